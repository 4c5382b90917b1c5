//! An API server, a Sluice in front of it, and clients.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};
use model::decision::Outcome;
use model::effect::Object;
use model::event::Event;
use serde_json::{Value, json};
use tempfile::TempDir;
use testkit::api::Api;
use testkit::command::{Output, development_directory, run};
use testkit::demo::site::Site;
use testkit::issuer::Grant;
use testkit::wait::eventually_blocking;

use crate::support::{LIMIT, admin, binary, record};

/// The groups of somebody who works in one namespace, and sees no secrets.
pub(crate) const DEVELOPER: &[&str] = &["developers"];

/// Likewise, and sees them.
pub(crate) const CLEARED: &[&str] = &["developers", "cleared"];

/// Of somebody who may do everything that is not forbidden.
pub(crate) const OPERATOR: &[&str] = &["operators"];

const POLICIES: &str = include_str!("policies.cedar");
const BASELINE: &str = include_str!("../../../policy/shipped/baseline.cedar");
const CLASSIFICATION: &str = "[classes.card_number]\nmask = \"partial\"\nkeep_last = 4\n";

/// All of it. When it goes, what the API server executed has to be what the journal permitted.
pub(crate) struct Ground {
    // In this order: Sluice ends before its target.
    pub(crate) site: Site,
    pub(crate) api: Api,
    pub(crate) folder: TempDir,
}

impl Ground {
    pub(crate) fn new() -> Result<Self> {
        Self::with("")
    }

    /// One whose target has these lines too.
    pub(crate) fn with(target: &str) -> Result<Self> {
        Self::at(None, target)
    }

    /// One whose target is somewhere else than its API server.
    pub(crate) fn at(address: Option<String>, target: &str) -> Result<Self> {
        let (folder, api) = (tempfile::tempdir()?, Api::kubernetes()?);
        let address = address.unwrap_or_else(|| api.address().to_string());
        let bearer = api.bearer_file().display().to_string();
        let target = format!(
            "[prod]\nprotocol = \"kubernetes\"\naddress = \"{address}\"\ntls = \"off\"\nhosts = [\"localhost\"]\n\
             path_prefix = \"/prod\"\ncredential = {{ bearer = {{ file = \"{bearer}\" }} }}\n{target}\n"
        );
        let revision = [
            ("targets.toml", target),
            ("classification.toml", CLASSIFICATION.to_owned()),
            ("policies/00-baseline.cedar", BASELINE.to_owned()),
            ("policies/10-prod.cedar", POLICIES.to_owned()),
        ];
        let listen = "\n[listen.http]\naddress = \"127.0.0.1:0\"\n";
        let mut site = Site::with_revision(binary(), listen, &revision)?;
        site.start()?;
        Ok(Self { site, api, folder })
    }

    /// A token for somebody in these groups.
    pub(crate) fn token(&self, subject: &str, groups: &[&str]) -> Result<String> {
        self.site.issuer().issue(Grant::new(subject).groups(groups.iter().copied()))
    }

    /// The URL of the API server through Sluice.
    pub(crate) fn server(&self) -> Result<String> {
        Ok(format!("https://localhost:{}", self.site.process()?.address("http")?.port()))
    }

    /// A kubeconfig for somebody in these groups.
    pub(crate) fn kubeconfig(&self, subject: &str, groups: &[&str]) -> Result<PathBuf> {
        let config = json!({
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{
                "name": "prod",
                "cluster": { "server": self.server()?, "certificate-authority": self.site.ca().display().to_string() },
            }],
            "users": [{ "name": subject, "user": { "token": self.token(subject, groups)? } }],
            "contexts": [{ "name": "prod", "context": { "cluster": "prod", "user": subject, "namespace": "dev" } }],
            "current-context": "prod",
        });
        let file = self.folder.path().join(format!("{subject}-{}.json", groups.join("-")));
        std::fs::write(&file, config.to_string())?;
        Ok(file)
    }

    /// Runs kubectl as somebody in these groups.
    pub(crate) fn kubectl(&self, groups: &[&str], arguments: &[&str]) -> Result<Output> {
        self.kubectl_with(groups, arguments, "")
    }

    /// Likewise, with something to read.
    pub(crate) fn kubectl_with(&self, groups: &[&str], arguments: &[&str], input: &str) -> Result<Output> {
        run(self.kubectl_command(groups, arguments)?, input.as_bytes())
    }

    /// Makes an object of the core group with kubectl.
    pub(crate) fn make(&self, groups: &[&str], manifest: &str) -> Result<Output> {
        let manifest = manifest.replacen('{', "{\"apiVersion\":\"v1\",", 1);
        self.kubectl_with(groups, &["create", "--validate=false", "-f", "-"], &manifest)
    }

    pub(crate) fn kubectl_command(&self, groups: &[&str], arguments: &[&str]) -> Result<Command> {
        let mut command = Command::new(development_directory().join("kubernetes/bin/kubectl"));
        command.env("KUBECONFIG", self.kubeconfig("erin", groups)?).env("HOME", self.folder.path());
        command.env("NO_PROXY", "*").args(arguments);
        Ok(command)
    }

    /// Asks for a path with curl, as somebody in these groups: the status, the body, and the head.
    pub(crate) fn ask(&self, groups: &[&str], path: &str, arguments: &[&str]) -> Result<(u16, String, String)> {
        let bearer = format!("Authorization: Bearer {}", self.token("erin", groups)?);
        self.ask_as_nobody(path, &[&["-H", &bearer], arguments].concat())
    }

    /// Asks for a path with curl, with what is said here alone.
    pub(crate) fn ask_as_nobody(&self, path: &str, arguments: &[&str]) -> Result<(u16, String, String)> {
        let port = self.site.process()?.address("http")?.port();
        let mut command = Command::new("curl");
        let ca = self.site.ca().display().to_string();
        command.args(["-sS", "--noproxy", "*", "--path-as-is", "--max-time", "60", "--cacert", &ca, "-i"]);
        command.args(["--resolve", &format!("localhost:{port}:127.0.0.1")]);
        command.args(arguments).arg(format!("{}{path}", self.server()?));
        let output = run(command, b"")?;
        let (head, body) = output.stdout.split_once("\r\n\r\n").with_context(|| format!("{output:?}"))?;
        let status = head.split(' ').nth(1).context("no status")?.parse()?;
        Ok((status, body.to_owned(), head.to_ascii_lowercase()))
    }

    /// The same as JSON.
    pub(crate) fn ask_json(&self, groups: &[&str], path: &str, arguments: &[&str]) -> Result<(u16, Value)> {
        let (status, body, _) = self.ask(groups, path, arguments)?;
        Ok((status, serde_json::from_str(&body).with_context(|| body.clone())?))
    }

    /// Runs `sluice` as somebody in these groups.
    pub(crate) fn sluice_as(&self, subject: &str, groups: &[&str], arguments: &[&str]) -> Result<Output> {
        self.site.hand_out(subject, Grant::new(subject).groups(groups.iter().copied()))?;
        let file = self.site.token_file(subject).display().to_string();
        let config = self.site.config().display().to_string();
        let mut command = Command::new(self.site.binary());
        command.args(arguments).args(["--config", &config, "--token-file", &file]);
        run(command, b"")
    }

    /// The id of an approval that somebody waits for.
    pub(crate) fn pending(&self) -> Result<String> {
        let token = self.token("olga", &["leads"])?;
        eventually_blocking(LIMIT, "an approval to wait for", || {
            let (_, list) = admin::call(&self.site, &token, "GET", "/v1/approvals?status=pending", None)?;
            Ok(list.pointer("/0/id").or_else(|| list.pointer("/0/approval")).and_then(Value::as_str).map(str::to_owned))
        })
    }

    /// Fails unless the journal has permitted all that reached the API server, as often as it did (O1).
    fn verify(&self) -> Result<()> {
        let reached = self.api.reached()?;
        let (mut statements, mut permitted) = (BTreeMap::new(), 0_usize);
        for event in record::events(&self.site)? {
            match event {
                Event::Statement { id, effects, .. } => {
                    let is_known = effects.iter().all(|effect| !matches!(effect.object, Object::Route(_)));
                    statements.insert(id, is_known);
                }
                Event::Decided { statements: ids, outcome: Outcome::Allow, .. } => {
                    let all = ids.iter().all(|id| statements.get(id) == Some(&true));
                    anyhow::ensure!(all, "a decision on what is no request to an API server");
                    permitted += 1;
                }
                _ => {}
            }
        }
        let executed = reached.iter().filter(|one| !one.refused).count();
        anyhow::ensure!(executed <= permitted, "{executed} executed, {permitted} permitted: {reached:?}");
        Ok(())
    }
}

impl Drop for Ground {
    fn drop(&mut self) {
        if std::thread::panicking() {
            println!("the log of Sluice:\n{}", self.site.log());
            return;
        }
        self.verify().expect("the API server executed what the journal permitted");
    }
}
