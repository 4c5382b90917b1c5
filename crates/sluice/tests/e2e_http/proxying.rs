//! Callers whose proxy is Sluice.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};
use model::event::Event;
use tempfile::TempDir;
use testkit::command::{Output, run};
use testkit::tls::Authority;

use crate::ground::{Answer, CALLER, Ground, Tuning, answer};
use crate::support::record;
use crate::wire::Wire;

/// A ground whose Sluice is a proxy, with a CA that callers trust.
pub(crate) struct Proxied {
    pub(crate) ground: Ground,
    /// What callers trust in a connection that Sluice is the server of.
    pub(crate) ca: PathBuf,
    _home: TempDir,
}

impl Proxied {
    pub(crate) fn new() -> Result<Self> {
        Self::tuned(Tuning::default())
    }

    pub(crate) fn tuned(tuning: Tuning) -> Result<Self> {
        let home = tempfile::tempdir()?;
        let files = Authority::generate("Proxy test CA")?.write(home.path(), "ca")?;
        let forward = format!(
            "[listen.http.forward]\nca_cert = \"{}\"\nca_key = \"{}\"\n",
            files.certificate.display(),
            files.key.display()
        );
        let sluice_toml = format!("{}{forward}", tuning.sluice_toml);
        let ground = Ground::tuned(Tuning { sluice_toml, ..tuning })?;
        Ok(Self { ground, ca: files.certificate, _home: home })
    }

    /// curl, told of its proxy, and whom to trust in front of it and behind.
    pub(crate) fn curl(&self, arguments: &[&str]) -> Result<Command> {
        let mut command = Command::new("curl");
        let proxy = format!("https://localhost:{}", self.ground.site.process()?.address("http")?.port());
        command.args(["-sS", "--noproxy", "", "--path-as-is", "--max-time", "60", "--suppress-connect-headers"]);
        command.args(["--proxy", &proxy, "--proxy-cacert", &self.ground.site.ca().display().to_string()]);
        command.args(["--cacert", &self.ca.display().to_string()]).args(arguments);
        Ok(command)
    }

    /// Asks for a URL with curl, as somebody in these groups.
    pub(crate) fn ask(&self, groups: &[&str], url: &str, arguments: &[&str]) -> Result<Answer> {
        answer(&self.told(Some(&format!("erin:{}", self.ground.token("erin", groups)?)), url, arguments)?)
    }

    /// What curl says that shows the proxy this user and password.
    pub(crate) fn told(&self, user: Option<&str>, url: &str, arguments: &[&str]) -> Result<Output> {
        let mut command = self.curl(&["-D", "-", "-o", "-"])?;
        command.args(user.iter().flat_map(|user| ["--proxy-user", user])).args(arguments).arg(url);
        run(command, b"")
    }

    /// What the proxy answers to curl, which connects to what is in this URL so.
    pub(crate) fn connected(&self, arguments: &[&str], url: &str) -> Result<String> {
        let mut command = self.curl(&["-o", "/dev/null", "-w", "%{http_connect}"])?;
        command.args(arguments).arg(url);
        Ok(run(command, b"")?.stdout)
    }

    /// A connection on which this was asked for, as somebody in these groups; and what it was answered.
    pub(crate) fn wire(&self, groups: &[&str], asked: &str, lines: &str) -> Result<(Wire, String)> {
        let bearer = format!("Proxy-Authorization: Bearer {}\r\n", self.ground.token("erin", groups)?);
        self.wire_with(asked, &format!("{bearer}{lines}"))
    }

    /// Likewise, with these lines in its head.
    pub(crate) fn wire_with(&self, asked: &str, lines: &str) -> Result<(Wire, String)> {
        let mut wire = Wire::connect(&self.ground)?;
        wire.say(format!("CONNECT {asked} HTTP/1.1\r\nHost: {asked}\r\n{lines}\r\n").as_bytes())?;
        let head = wire.hear_until("\r\n\r\n")?;
        Ok((wire, head))
    }

    /// A connection in which Sluice is asked in place of the API.
    pub(crate) fn within(&self) -> Result<Wire> {
        let (wire, head) = self.wire(CALLER, "localhost:443", "")?;
        assert!(head.starts_with("HTTP/1.1 200"), "{head}");
        wire.encrypted(&self.ca, "localhost")
    }

    /// Why a request did not come to belong to a session.
    pub(crate) fn refused(&self, part: &str) -> Result<()> {
        let is_it = |event: &Event| matches!(event, Event::SessionRefused { reason, .. } if reason.contains(part));
        record::wait_for(&self.ground.site, part, is_it).map(drop)
    }

    /// Who has opened sessions, in order.
    pub(crate) fn openers(&self) -> Result<Vec<String>> {
        let opened = record::events(&self.ground.site)?.into_iter().filter_map(|event| match event {
            Event::SessionOpened { subject, .. } => Some(subject.key.id.to_string()),
            _ => None,
        });
        Ok(opened.collect())
    }
}

/// The status that a head begins with.
pub(crate) fn status(head: &str) -> Result<u16> {
    let rest = head.strip_prefix("HTTP/1.1 ").with_context(|| format!("no head: {head}"))?;
    Ok(rest.get(..3).context("no status")?.parse()?)
}
