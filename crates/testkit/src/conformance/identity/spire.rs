//! SPIRE: psql with the SVIDs of a real server and agent, the authorities' rotation followed live, and a federated trust
//! domain of a second server.

mod server;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};

use self::server::{LIMIT, Server};
use super::super::report::line;
use crate::demo::site::{Site, Tuning};
use crate::payments;
use crate::postgres::Postgres;
use crate::spiffe::clients::{LOADER, Shown, psql, trusting};
use crate::wait::eventually_blocking;

const OTHER_JOB: &str = "spiffe://other.acme/job";
const OTHER_POLICY: &str = r#"
@id("other-connects")
permit (principal == Service::"other|spiffe://other.acme/job", action == Action::"connect", resource in Target::"payments");
"#;

/// Starts two SPIRE servers, an agent and a Sluice, and tries all of it.
pub(super) fn run(programs: &Path, sluice: &Path) -> Result<()> {
    let other = Server::start(programs, "other.acme")?;
    let mut prod = Server::start(programs, "prod.acme")?;
    let exchanged = tempfile::NamedTempFile::new()?;
    fs::write(exchanged.path(), other.ask(&["bundle", "show", "-format", "spiffe"])?)?;
    let path = exchanged.path().display().to_string();
    prod.ask(&["bundle", "set", "-format", "spiffe", "-id", "spiffe://other.acme", "-path", &path])?;
    prod.start_agent(LOADER, &["spiffe://other.acme"])?;
    line("SPIRE: two servers and an agent run");
    let postgres = Postgres::shared()?;
    let database = payments::load_into(postgres, "spire", 100)?;
    let mut site = Site::prepare(postgres, &database, sluice.to_owned(), &tuning(&prod.workload_api()))?;
    site.start()?;
    Trial { site, prod, other }.run()
}

fn tuning(socket: &Path) -> Tuning {
    let socket = format!("workload_api = \"{}\"\n", socket.display());
    let other = "[[trust_domain]]\nname = \"other.acme\"\nalias = \"other\"\n";
    let mut tuning = trusting(&format!("{socket}\n{other}{socket}"));
    tuning.policies.push(("46-other.cedar".into(), OTHER_POLICY.into()));
    tuning
}

struct Trial {
    site: Site,
    prod: Server,
    other: Server,
}

impl Trial {
    fn run(&self) -> Result<()> {
        let (certificate, token) = (by(self.prod.fetch("old")?), with(self.prod.fetch_token("sluice")?));
        self.wait(&certificate, true, "psql gets in with the agent's X.509-SVID and no password")?;
        self.wait(&token, true, "psql gets in with the agent's JWT-SVID as its password")?;
        self.never(&with(self.prod.fetch_token("another")?), "a JWT-SVID for another audience is refused")?;
        self.federation()?;
        self.rotation(&certificate, &token)
    }

    fn federation(&self) -> Result<()> {
        self.wait(&by(self.other.mint(OTHER_JOB)?), true, "the federated trust domain's X.509-SVID gets in")?;
        self.never(&by(self.other.mint("spiffe://other.acme/x")?), "another workload of it is refused")
    }

    /// What an authority signed counts until that is out of the bundle.
    fn rotation(&self, certificate: &Shown, token: &Shown) -> Result<()> {
        let (before, _) = self.prod.fetch("old")?;
        let before = fs::read(before)?;
        let old = ["x509", "jwt"].map(|kind| self.prod.rotate(kind).map(|old| (kind, old)));
        let old = old.into_iter().collect::<Result<Vec<_>>>()?;
        old.iter().try_for_each(|(kind, old)| self.prod.taint(kind, old))?;
        let reissued = || {
            let fetched = self.prod.fetch("new")?;
            Ok((fs::read(&fetched.0)? != before).then_some(by(fetched)))
        };
        let new = eventually_blocking(LIMIT, "the agent's new X.509-SVID", reissued)?;
        self.wait(&new, true, "the X.509-SVID of a new authority gets in")?;
        ensure!(self.gets_in(certificate)? && self.gets_in(token)?, "the SVIDs of the old one are refused too early");
        old.iter().try_for_each(|(kind, old)| self.prod.revoke(kind, old))?;
        self.wait(certificate, false, "the X.509-SVID of the revoked authority is refused")?;
        self.wait(token, false, "the JWT-SVID of the revoked authority is refused")?;
        self.wait(&new, true, "that of the new authority still gets in")?;
        self.wait(&with(self.prod.fetch_token("sluice")?), true, "and so does a JWT-SVID of the new one")
    }

    fn gets_in(&self, shown: &Shown) -> Result<bool> {
        Ok(psql(&self.site, shown, "SELECT 1")?.status.success())
    }

    fn wait(&self, shown: &Shown, is_in: bool, what: &str) -> Result<()> {
        eventually_blocking(LIMIT, what, || Ok((self.gets_in(shown)? == is_in).then_some(())))?;
        line(&format!("  {what}"));
        Ok(())
    }

    fn never(&self, shown: &Shown, what: &str) -> Result<()> {
        ensure!(!self.gets_in(shown)?, "not so: {what}");
        line(&format!("  {what}"));
        Ok(())
    }
}

fn by((certificate, key): (PathBuf, PathBuf)) -> Shown {
    Shown { certificate: Some((certificate, key)), ..Shown::default() }
}

fn with(token: String) -> Shown {
    Shown::default().with_token(token)
}
