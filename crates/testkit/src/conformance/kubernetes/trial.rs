//! What kubectl and the client of Python do, directly and through Sluice.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::{Front, shown};
use crate::command::{development_directory, run, workspace_root};
use crate::wait::eventually_blocking;

/// How long something may take until it is there.
const LIMIT: Duration = Duration::from_secs(60);

/// With these, kubectl speaks as those before version 1.31 did.
const BY_SPDY: &[(&str, &str)] =
    &[("KUBECTL_REMOTE_COMMAND_WEBSOCKETS", "false"), ("KUBECTL_PORT_FORWARD_WEBSOCKETS", "false")];

/// What is tried of a cluster behind Sluice.
pub(super) struct Trial<'a>(pub(super) &'a Front);

impl Trial<'_> {
    pub(super) fn run(&self) -> Result<()> {
        self.reads()?;
        self.writes()?;
        self.secrets()?;
        self.refusals()?;
        self.commands(&[])?;
        self.commands(BY_SPDY)?;
        self.copies()?;
        self.ports(&[])?;
        self.ports(BY_SPDY)?;
        self.python()
    }

    fn reads(&self) -> Result<()> {
        let front = self.0;
        for arguments in [
            &["get", "pods", "-o", "name"][..],
            &["get", "pods", "-o", "jsonpath={.items[*].spec.containers[*].image}"],
            &["get", "pods,configmaps", "-o", "name"],
            &["get", "pod", "web", "-o", "jsonpath={.status.phase}"],
            &["api-resources", "-o", "name"],
            &["api-versions"],
            &["explain", "pod.spec.containers"],
            &["get", "--raw", "/version"],
            &["auth", "can-i", "get", "pods"],
            &["get", "nothing"],
        ] {
            front.is_same("olga", arguments)?;
        }
        let described = front.kubectl("erin", &["describe", "pod", "web"])?;
        ensure!(described.status.success() && described.stdout.contains("sluice.test/busybox:1"), "{described:?}");
        shown("kubectl reads, describes, explains and discovers as it does directly");
        let mut watching = front.command("erin");
        watching.args(["get", "configmaps", "--watch", "-o", "name"]).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut watching = watching.spawn()?;
        let mut lines = BufReader::new(watching.stdout.take().context("no output")?).lines();
        ensure!(lines.next().context("no line")?? == "configmap/settings", "another line comes first");
        front.cluster.direct(&["-n", "dev", "create", "configmap", "late", "--from-literal=a=b"])?;
        ensure!(lines.next().context("no line")?? == "configmap/late", "another line comes");
        watching.kill()?;
        watching.wait()?;
        shown("a watch shows what happens when it does");
        Ok(())
    }

    fn writes(&self) -> Result<()> {
        let front = self.0;
        let manifest = |value: &str| {
            format!("{{apiVersion: v1, kind: ConfigMap, metadata: {{name: mine}}, data: {{a: {value}}}}}")
        };
        for (arguments, value) in [
            (&["create", "-f", "-"][..], "b"),
            (&["apply", "-f", "-"], "c"),
            (&["apply", "-f", "-"], "d"),
            (&["apply", "--server-side", "--force-conflicts", "-f", "-"], "e"),
            (&["replace", "-f", "-"], "f"),
            (&["diff", "-f", "-"], "f"),
        ] {
            let done = front.kubectl_with("erin", arguments, &[], manifest(value).as_bytes())?;
            ensure!(done.status.success(), "{arguments:?}: {done:?}");
        }
        for patch in ["json", "merge", "strategic"] {
            let content = match patch {
                "json" => r#"[{"op": "replace", "path": "/data/a", "value": "json"}]"#,
                "merge" => r#"{"data": {"a": "merge"}}"#,
                _ => r#"{"data": {"a": "strategic"}}"#,
            };
            let done = front.kubectl("erin", &["patch", "configmap", "mine", "--type", patch, "-p", content])?;
            ensure!(done.status.success(), "{done:?}");
            let read = front.kubectl("erin", &["get", "configmap", "mine", "-o", "jsonpath={.data.a}"])?;
            ensure!(read.stdout == patch, "{read:?}");
        }
        for arguments in [&["label", "configmap", "mine", "x=y"][..], &["annotate", "configmap", "mine", "x=y"]] {
            ensure!(front.kubectl("erin", arguments)?.status.success(), "{arguments:?}");
        }
        let dry = front.kubectl("erin", &["delete", "configmap", "mine", "--dry-run=server"])?;
        ensure!(dry.status.success(), "{dry:?}");
        let gone = front.kubectl("erin", &["delete", "configmap", "mine", "late"])?;
        ensure!(gone.status.success(), "{gone:?}");
        shown("kubectl creates, applies both ways, replaces, patches three ways, labels and deletes");
        Ok(())
    }

    fn secrets(&self) -> Result<()> {
        let front = self.0;
        let clear = "Y2FuYXJ5LW9mLXRoZS1zZWNyZXQ=";
        for arguments in [
            &["get", "secret", "db", "-o", "yaml"][..],
            &["get", "secrets", "-o", "json"],
            &["get", "secret", "db", "-o", "jsonpath={.data.password}"],
            &["get", "--raw", "/api/v1/namespaces/dev/secrets/db"],
            &["describe", "secret", "db"],
            &["get", "configmap", "settings", "-o", "yaml"],
        ] {
            let seen = front.kubectl("erin", arguments)?;
            let is_hidden = !seen.stdout.contains(clear) && !seen.stdout.contains("canary-of-the-secret");
            ensure!(seen.status.success() && is_hidden && !seen.stdout.contains("4111 1111 1111"), "{seen:?}");
        }
        let seen = front.kubectl("olga", &["get", "secret", "db", "-o", "jsonpath={.data.password}"])?;
        ensure!(seen.stdout == clear, "{seen:?}");
        shown("secrets are masked for those who may not see them, and whole for those who may");
        Ok(())
    }

    fn refusals(&self) -> Result<()> {
        let front = self.0;
        let privileged = "{apiVersion: v1, kind: Pod, metadata: {name: bad}, spec: {containers: [{name: a, image: b, \
                          securityContext: {privileged: true}}]}}";
        let refused = front.kubectl_with("erin", &["apply", "-f", "-"], &[], privileged.as_bytes())?;
        ensure!(!refused.status.success() && refused.stderr.contains("rights on the node"), "{refused:?}");
        for arguments in [
            &["get", "pods", "-n", "prod"][..],
            &["get", "pods", "-A"],
            &["get", "pods", "--as", "system:admin"],
            &["get", "--raw", "/metrics"],
        ] {
            let refused = front.kubectl("erin", arguments)?;
            ensure!(!refused.status.success() && refused.stderr.contains("(request "), "{refused:?}");
        }
        ensure!(!front.cluster.kubectl(&["-n", "dev", "get", "pod", "bad"])?.status.success(), "it was made");
        shown("what is refused is a Status that kubectl prints, with the request to look up");
        Ok(())
    }

    fn commands(&self, environment: &[(&str, &str)]) -> Result<()> {
        let front = self.0;
        let line = "echo out; echo err >&2; exit 3";
        let done = front.kubectl_with("erin", &["exec", "web", "--", "sh", "-c", line], environment, b"")?;
        ensure!((done.status.code(), &*done.stdout) == (Some(3), "out\n") && done.stderr.contains("err\n"), "{done:?}");
        let large = vec![b'x'; 1 << 20];
        let counted = front.kubectl_with("erin", &["exec", "-i", "web", "--", "wc", "-c"], environment, &large)?;
        ensure!(counted.stdout.trim() == "1048576", "{counted:?}");
        let shown_by =
            front.kubectl_with("erin", &["exec", "web", "--", "echo", "4111 1111 1111 1111"], environment, b"")?;
        ensure!(shown_by.status.success() && !shown_by.stdout.contains("4111 1111 1111 1111"), "{shown_by:?}");
        let logs = front.kubectl_with("erin", &["logs", "web"], environment, b"")?;
        ensure!(logs.stdout.contains("ready") && !logs.stdout.contains("4111 1111 1111"), "{logs:?}");
        let how = if environment.is_empty() { "WebSocket" } else { "SPDY" };
        shown(&format!(
            "commands run in containers by {how}: output and errors apart, exit status, a mebibyte of input, masked"
        ));
        Ok(())
    }

    fn copies(&self) -> Result<()> {
        let (front, folder) = (self.0, tempfile::tempdir()?);
        let (there, back) = (folder.path().join("there"), folder.path().join("back"));
        let content: Vec<u8> = (0..300_000_u32).flat_map(u32::to_le_bytes).collect();
        std::fs::write(&there, &content)?;
        let (there, target, back_name) = (there.display().to_string(), "web:/tmp/copied", back.display().to_string());
        // Who may see what is masked gets files as they are.
        for arguments in [&["cp", &there, target][..], &["cp", target, &back_name]] {
            let copied = front.kubectl("olga", arguments)?;
            ensure!(copied.status.success(), "{copied:?}");
        }
        ensure!(std::fs::read(&back)? == content, "the file came back as another");
        shown("kubectl cp carries files both ways");
        Ok(())
    }

    fn ports(&self, environment: &[(&str, &str)]) -> Result<()> {
        let front = self.0;
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let port = listener.local_addr()?.port();
        let answering = std::thread::spawn(move || -> std::io::Result<()> {
            let (mut peer, _) = listener.accept()?;
            let mut asked = [0; 4];
            peer.read_exact(&mut asked)?;
            peer.write_all(&asked)
        });
        let mut command = front.command("erin");
        command.args(["port-forward", "pod/web", &format!(":{port}"), "--address", "127.0.0.1"]);
        command.envs(environment.iter().copied()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut forwarding = command.spawn()?;
        let mut lines = BufReader::new(forwarding.stdout.take().context("no output")?).lines();
        let told = lines.next().context("kubectl forwards nothing")??;
        let local = told.split("127.0.0.1:").nth(1).and_then(|rest| rest.split(' ').next()).context(told.clone())?;
        let local: u16 = local.parse()?;
        let mut client = eventually_blocking(LIMIT, "the port", || Ok(TcpStream::connect(("127.0.0.1", local)).ok()))?;
        client.set_read_timeout(Some(LIMIT))?;
        client.write_all(b"ping")?;
        let mut answer = [0; 4];
        client.read_exact(&mut answer)?;
        ensure!(&answer == b"ping", "{answer:?}");
        forwarding.kill()?;
        forwarding.wait()?;
        answering.join().ok().context("the server panicked")??;
        shown(if environment.is_empty() { "ports are forwarded by WebSocket" } else { "ports are forwarded by SPDY" });
        Ok(())
    }

    fn python(&self) -> Result<()> {
        let front = self.0;
        let mut command = Command::new(development_directory().join("kubernetes/bin/python"));
        command.arg(workspace_root().join("tests/kubernetes/cluster/client.py"));
        command.env("KUBECONFIG", front.kubeconfig("erin")).env("HOME", front.site.home()).env("NO_PROXY", "*");
        let output = run(command, b"")?;
        ensure!(output.status.success() && output.stdout.contains("all is well"), "{output:?}");
        shown("the client of Python reads, writes, watches, runs commands and is refused");
        Ok(())
    }
}
