//! What everyday work needs, with the clients that people use.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use anyhow::{Context, Result};
use testkit::command::{development_directory, run, workspace_root};
use testkit::issuer::Grant;

use crate::ground::{CLEARED, DEVELOPER, Ground, OPERATOR};

#[test]
fn kubectl_works_in_the_namespace_that_it_may_use() -> Result<()> {
    let ground = Ground::new()?;
    let pods = ground.kubectl(DEVELOPER, &["get", "pods"])?;
    assert!(pods.status.success() && pods.stdout.contains("web") && pods.stdout.contains("db"), "{pods:?}");
    let wide = ground.kubectl(DEVELOPER, &["get", "pods,configmaps", "-o", "yaml"])?;
    assert!(wide.status.success() && wide.stdout.contains("registry.example/app:1"), "{wide:?}");
    let made = ground.make(DEVELOPER, r#"{"kind":"ConfigMap","metadata":{"name":"mine"},"data":{"a":"b"}}"#)?;
    assert!(made.status.success(), "{made:?}");
    let manifest =
        "{\"apiVersion\":\"v1\",\"kind\":\"ConfigMap\",\"metadata\":{\"name\":\"mine\"},\"data\":{\"a\":\"c\"}}";
    for _ in 0..2 {
        let applied = ground.kubectl_with(DEVELOPER, &["apply", "--validate=false", "-f", "-"], manifest)?;
        assert!(applied.status.success(), "{applied:?}");
    }
    let read = ground.kubectl(DEVELOPER, &["get", "configmap", "mine", "-o", "jsonpath={.data.a}"])?;
    assert_eq!(read.stdout, "c", "{read:?}");
    let scaled = ground.kubectl(DEVELOPER, &["scale", "deployment/web", "--replicas=3"])?;
    assert!(scaled.status.success(), "{scaled:?}");
    let gone = ground.kubectl(DEVELOPER, &["delete", "configmap", "mine"])?;
    assert!(gone.status.success(), "{gone:?}");
    Ok(())
}

#[test]
fn a_refusal_is_one_that_kubectl_prints() -> Result<()> {
    let ground = Ground::new()?;
    let refused = ground.kubectl(DEVELOPER, &["get", "pods", "-n", "prod"])?;
    assert!(!refused.status.success(), "{refused:?}");
    assert!(refused.stderr.contains("Error from server (Forbidden)"), "{refused:?}");
    assert!(refused.stderr.contains("request "), "{refused:?}");
    let (status, body) = ground.ask_json(DEVELOPER, "/api/v1/namespaces/prod/pods", &[])?;
    assert_eq!(
        (status, &body["kind"], &body["reason"], &body["code"]),
        (403, &"Status".into(), &"Forbidden".into(), &403.into())
    );
    // Who is nobody gets one too.
    let (status, body, _) = ground.ask_as_nobody("/api/v1/namespaces/prod/pods", &["-H", "Authorization: Bearer a"])?;
    assert!(status == 401 && body.contains("\"reason\":\"Unauthorized\""), "{body}");
    Ok(())
}

/// Discovery stays usable for a caller who may do nothing else.
#[test]
fn whoever_may_do_nothing_can_still_find_out_what_there_is() -> Result<()> {
    let ground = Ground::new()?;
    let version = ground.kubectl(&[], &["version"])?;
    assert!(version.stdout.contains("Server Version"), "{version:?}");
    let kinds = ground.kubectl(&[], &["api-resources"])?;
    assert!(kinds.status.success() && kinds.stdout.contains("deployments"), "{kinds:?}");
    let (status, _, _) = ground.ask(&[], "/metrics", &[])?;
    assert_eq!(status, 403);
    let refused = ground.kubectl(&[], &["get", "pods"])?;
    assert!(refused.stderr.contains("Forbidden"), "{refused:?}");
    Ok(())
}

#[test]
fn a_watch_and_a_log_show_what_happens_when_it_does() -> Result<()> {
    let ground = Ground::new()?;
    let mut command = ground.kubectl_command(DEVELOPER, &["get", "configmaps", "--watch", "-o", "name"])?;
    let mut watching = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?;
    let mut lines = BufReader::new(watching.stdout.take().context("no output")?).lines();
    assert_eq!(lines.next().context("no line")??, "configmap/settings");
    let made = ground.make(DEVELOPER, r#"{"kind":"ConfigMap","metadata":{"name":"late"}}"#)?;
    assert!(made.status.success(), "{made:?}");
    assert_eq!(lines.next().context("no line")??, "configmap/late");
    watching.kill()?;
    watching.wait()?;
    let mut command = ground.kubectl_command(DEVELOPER, &["logs", "web", "--follow"])?;
    let mut following = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?;
    let mut lines = BufReader::new(following.stdout.take().context("no output")?).lines();
    assert_eq!(lines.next().context("no line")??, "starting web");
    let paid = lines.next().context("no line")??;
    assert!(paid.contains("1111") && !paid.contains("4111 1111"), "{paid}");
    assert_eq!(lines.next().context("no line")??, "still running");
    following.kill()?;
    following.wait()?;
    Ok(())
}

/// What a client does that takes a kubeconfig, and says when all of it is well.
fn is_well_with(mut client: Command, groups: &[&str]) -> Result<()> {
    let ground = Ground::new()?;
    client.env("KUBECONFIG", ground.kubeconfig("erin", groups)?).env("NO_PROXY", "*");
    let output = run(client, b"")?;
    assert!(output.status.success() && output.stdout.contains("all is well"), "{output:?}");
    Ok(())
}

#[test]
fn the_client_of_python_works() -> Result<()> {
    let mut python = Command::new(development_directory().join("kubernetes/bin/python"));
    python.arg(workspace_root().join("tests/kubernetes/client.py"));
    is_well_with(python, CLEARED)
}

#[test]
fn client_go_works() -> Result<()> {
    // It asks for protobuf, and takes the JSON that masks need.
    is_well_with(Command::new(development_directory().join("go/kubernetes")), DEVELOPER)
}

#[test]
fn kube_rs_works() -> Result<()> {
    is_well_with(Command::new(development_directory().join("rust/kube_client")), DEVELOPER)
}

/// K8-04: the API server is told by Sluice who asks, and by nobody else.
#[test]
fn k8_04_the_api_server_knows_who_asks() -> Result<()> {
    let ground = Ground::with("impersonate = { user = \"sluice:{id}\", groups = [\"{group}\"], extra = true }")?;
    let pods = ground.kubectl(OPERATOR, &["get", "pods"])?;
    assert!(pods.status.success(), "{pods:?}");
    for one in ground.api.reached()? {
        assert_eq!(one.field("impersonate-user"), Some("sluice:erin"), "{one:?}");
        let groups: Vec<_> = one.fields.iter().filter(|(name, _)| name == "impersonate-group").collect();
        assert!(groups.len() == 1 && groups[0].1.ends_with("operators"), "{one:?}");
        assert!(one.field("impersonate-extra-sluice-request").is_some(), "{one:?}");
        assert_eq!(one.field("authorization"), Some("Bearer first-token"), "{one:?}");
    }
    Ok(())
}

/// A kubeconfig that `sluice connect` wrote, and the plugin that it names.
#[test]
fn kubectl_gets_its_token_by_itself() -> Result<()> {
    let ground = Ground::new()?;
    ground.site.hand_out("erin", Grant::new("erin").groups(DEVELOPER.iter().copied()))?;
    let file = ground.folder.path().join("kube/sluice");
    let mut command = Command::new(ground.site.binary());
    // By the address, below the path: the name leads to the target by itself.
    let server = ground.server()?.replace("localhost", "127.0.0.1");
    command.args(["connect", "prod", "--http", &server, "--kubeconfig"]).arg(&file);
    command.arg("--ca-file").arg(ground.site.ca()).arg("--token-file").arg(ground.site.token_file("erin"));
    run(command, b"")?.success()?;
    let token = std::fs::read_to_string(ground.site.token_file("erin"))?;
    assert!(!std::fs::read_to_string(&file)?.contains(token.trim()), "the kubeconfig has a token in it");
    let mut command = Command::new(development_directory().join("kubernetes/bin/kubectl"));
    command.env("KUBECONFIG", &file).env("HOME", ground.folder.path()).env("NO_PROXY", "*");
    command.args(["--context", "prod", "-n", "dev", "get", "pods", "-o", "name"]);
    let pods = run(command, b"")?;
    assert!(pods.status.success() && pods.stdout.contains("pod/web"), "{pods:?}");
    let paths: Vec<_> = ground.api.reached()?.into_iter().map(|one| one.path).collect();
    assert!(paths.iter().all(|path| path.starts_with("/api")), "{paths:?}");
    Ok(())
}
