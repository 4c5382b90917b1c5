//! `sluice target doctor`: ways past Sluice at a target (RULES.md 39). It enforces only what passes through it.
//!
//! It looks with the target's own credential, on a connection of its own, and changes nothing. What it may not look at is
//! said, and is no finding. What it found is in the journal before anybody is told.
//!
//! Start with [`examine`]; what is looked at in the database is in `looks`, who else may log in is in `hba`.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use ledger::Level;
use model::bypass::{Finding, Severity};
use model::event::Event;
use policy::OwnStatement;
use serde::Serialize;
use store::config::{Databases, TlsMode};

use super::catalogs::ExportError;
use super::server::Server;
use super::upstream::{ConnectError, OwnConnection};
use crate::node::Node;
use crate::recorder::entry;

mod hba;
mod looks;

/// How long all of it may take.
const DEADLINE: Duration = Duration::from_secs(25);

/// The most findings that are told and recorded; the gravest are kept.
const MOST: usize = 100;

/// The longest text of one, in characters.
const LONGEST: usize = 300;

/// What was found at a target.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// The target.
    pub target: Arc<str>,
    /// The database that was looked at.
    pub database: Arc<str>,
    /// The gravest first.
    pub findings: Vec<Advised>,
    /// What could not be looked at, and what that would take.
    pub unchecked: Vec<&'static str>,
}

impl Report {
    /// Whether there is a way past Sluice.
    pub fn is_serious(&self) -> bool {
        self.findings.iter().any(|found| found.finding.severity == Severity::Serious)
    }
}

/// A finding, and what to do about it.
#[derive(Clone, Debug, Serialize)]
pub struct Advised {
    /// What there is.
    #[serde(flatten)]
    pub finding: Finding,
    /// What to do.
    pub advice: &'static str,
}

impl Advised {
    fn new(severity: Severity, check: &'static str, what: impl AsRef<str>, advice: &'static str) -> Self {
        let what: String = what.as_ref().chars().take(LONGEST).collect();
        Self { finding: Finding { severity, check: check.into(), what: what.into() }, advice }
    }
}

/// Looks for ways past Sluice at a target, in the database that is named, or its first.
///
/// # Errors
/// If there is no such target or database, it cannot be looked at, or what was found cannot be recorded.
pub async fn examine(node: &Node, target: &str, database: Option<&str>) -> Result<Report, ExportError> {
    let active = node.revisions.current();
    let server = active.targets.get(target).and_then(Server::of).ok_or(ExportError::Unknown)?;
    let database = place(&server, database).ok_or(ExportError::Unknown)?;
    let looking = tokio::time::timeout(DEADLINE, look(node, &server, &database)).await;
    let (mut findings, unchecked) = looking.unwrap_or(Err(ConnectError::Deadline)).map_err(|error| {
        tracing::warn!(target = %server.name(), %error, "the target cannot be examined");
        ExportError::Unavailable
    })?;
    findings.sort_by_key(|found| std::cmp::Reverse(found.finding.severity));
    findings.truncate(MOST);
    let event = Event::Bypass {
        target: Arc::clone(server.name()),
        database: Arc::clone(&database),
        findings: findings.iter().map(|found| found.finding.clone()).collect(),
    };
    node.recorder.record(vec![entry(event)], Level::Power).await.map_err(|_| ExportError::Unavailable)?;
    Ok(Report { target: Arc::clone(server.name()), database, findings, unchecked })
}

pub(super) fn place(server: &Server, database: Option<&str>) -> Option<Arc<str>> {
    match (&server.postgres.databases, database) {
        (Databases::Only(names), None) => names.first().cloned(),
        (Databases::Only(names), Some(name)) => names.get(name).cloned(),
        (Databases::All, None) => Some(Arc::clone(server.name())),
        (Databases::All, Some(name)) => Some(name.into()),
    }
}

/// What is found, and what cannot be looked at.
type Found = (Vec<Advised>, Vec<&'static str>);

async fn look(node: &Node, server: &Server, database: &Arc<str>) -> Result<Found, ConnectError> {
    let mut findings = configured(server);
    let mut unchecked = Vec::new();
    let mut connection = OwnConnection::open(node, server, database, OwnStatement::Doctor).await?;
    let mut look = looks::Look { connection: &mut connection, findings: &mut findings, unchecked: &mut unchecked };
    look.at_the_server().await?;
    let acting = look.at_the_credential(server).await?;
    look.at_settings(&acting).await?;
    look.at_triggers().await?;
    look.at_slots().await?;
    look.at_who_may_log_in(database).await?;
    look.at_sessions(|| own_backends(node, server)).await?;
    Ok((findings, unchecked))
}

/// The server processes of Sluice's own connections to the server of this target, by whichever target they lead there.
fn own_backends(node: &Node, server: &Server) -> BTreeSet<u32> {
    let active = node.revisions.current();
    let (host, port) = (&server.config.host, server.config.port);
    let same = active.targets.values().filter(|other| other.host == *host && other.port == port);
    same.flat_map(|other| node.backends.of(&other.target.name)).collect()
}

/// What the configuration says already.
fn configured(server: &Server) -> Vec<Advised> {
    let mut findings = Vec::new();
    let is_here = server.config.host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback());
    let severity = if is_here { Severity::Warning } else { Severity::Serious };
    let advice = "give the target a certificate, and write tls = \"verify-full\" and ca_file";
    match server.postgres.tls.mode {
        TlsMode::VerifyFull => {}
        TlsMode::Require => {
            findings.push(Advised::new(severity, "tls", "whoever answers at the target's address is believed", advice));
        }
        TlsMode::Off => {
            findings.push(Advised::new(severity, "tls", "what passes to and from the target is in clear", advice));
        }
    }
    if server.postgres.allow_md5 {
        let advice = "let the target keep SCRAM verifiers, and remove allow_md5";
        findings.push(Advised::new(Severity::Warning, "md5", "md5 may be used to log in at the target", advice));
    }
    findings
}
