//! A file of cases: who asks what, and what should become of it.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use gateway::clock;
use model::decision::Outcome;
use model::subject::{Binding, Credential, Subject, SubjectKey, SubjectKind};
use model::time::Timestamp;
use store::config::{ConfigError, Document, Section};

use super::hearing::Circumstances;
use crate::time::Moment;

/// What a session finds unqualified names in, unless the file says otherwise.
const SEARCH_PATH: [&str; 2] = ["pg_catalog", "public"];

/// The cases of one file, and what they share.
pub struct CaseFile {
    /// Where the target's saved catalog is.
    pub catalog: PathBuf,
    /// The target.
    pub target: String,
    /// The schemas that unqualified names are looked up in.
    pub search_path: Vec<Arc<str>>,
    /// The cases, in order.
    pub cases: Vec<Case>,
}

/// One case.
pub struct Case {
    /// Where it begins.
    pub line: usize,
    /// What it shows.
    pub name: String,
    /// Who asks, and in which circumstances.
    pub who: Circumstances,
    /// What is asked.
    pub statement: String,
    /// Its parameters in order.
    pub parameters: Vec<String>,
    /// What should become of it.
    pub expected: Expected,
}

/// What should become of it; what is not named is not compared.
pub struct Expected {
    /// Allow, deny or ask.
    pub decision: Outcome,
    /// The groups that are asked.
    pub groups: Option<BTreeSet<String>>,
    /// The `@id`s of the policies that decide.
    pub policies: Option<BTreeSet<String>>,
    /// For every column that is named; the others are not compared.
    pub masks: BTreeMap<String, String>,
    /// What the caller is told.
    pub message: Option<String>,
    /// What it lacks.
    pub lacks: Option<String>,
}

/// Reads `text` as the case file at `file`.
///
/// # Errors
/// Every mistake in it.
pub fn parse(text: &str, file: &Path) -> Result<CaseFile, Vec<ConfigError>> {
    Document::new(file, text).read(|root| {
        let catalog = root.path("catalog");
        let catalog = root.required("catalog", catalog, "write catalog = \"shop.catalog\", relative to this file");
        let target = root.text("target");
        let target = root.required("target", target, "write target = \"shop\", a name of targets.toml");
        let search_path = root.texts("search_path").map(|path| path.into_iter().map(Arc::from).collect());
        let subjects = subjects(root);
        let cases: Vec<Option<Case>> =
            root.tables("case").into_iter().map(|section| case(section, &subjects)).collect();
        if cases.is_empty() {
            root.report(
                "",
                "it has no case",
                "write [[case]], and below it a name, a subject, a statement and a decision",
            );
        }
        CaseFile {
            catalog: catalog.unwrap_or_default(),
            target: target.unwrap_or_default(),
            search_path: search_path.unwrap_or_else(|| SEARCH_PATH.map(Arc::from).to_vec()),
            cases: cases.into_iter().flatten().collect(),
        }
    })
}

fn subjects(root: &Section<'_, '_>) -> BTreeMap<String, Circumstances> {
    let mut subjects = BTreeMap::new();
    for (name, setting) in root.table("subject").take_all() {
        let Some(section) = setting.section() else { continue };
        let subject = subject(&section);
        if let Some(subject) = subject {
            let mut who = circumstances(&section, who(subject));
            // The party of its token's delegation; a case names the user of one request.
            who.subject.on_behalf_of.extend(who.on_behalf_of.take());
            subjects.insert(name, who);
        }
        section.finish();
    }
    subjects
}

/// A subject in no circumstances of note.
pub fn who(subject: Subject) -> Circumstances {
    Circumstances {
        subject,
        on_behalf_of: None,
        source: IpAddr::V4(Ipv4Addr::LOCALHOST),
        now: clock::now(),
        session_age: 0,
        reason: None,
        estimated_rows: None,
    }
}

/// A subject as it would be verified, with a credential that does not end.
pub fn verified(key: SubjectKey, kind: SubjectKind, groups: Vec<Arc<str>>) -> Subject {
    let (expires_at, binding) = (Timestamp(u64::MAX), Binding::Bearer);
    Subject {
        key,
        kind,
        groups,
        on_behalf_of: Vec::new(),
        expires_at,
        binding,
        token_id: None,
        credential: Credential::default(),
    }
}

/// `alias|id`.
pub fn key(text: &str) -> Option<SubjectKey> {
    let (issuer, id) = text.split_once('|')?;
    let whole = !issuer.is_empty() && !id.is_empty();
    whole.then(|| SubjectKey { issuer: issuer.into(), id: id.into() })
}

const KEY: &str = "an issuer's alias and its id, such as \"corp|order-service\"";

fn subject(section: &Section<'_, '_>) -> Option<Subject> {
    let id = section.parsed("id", KEY, key);
    let id = section.required("id", id, "write id = \"corp|order-service\"");
    let kind = section.word("kind", &[("service", SubjectKind::Service), ("user", SubjectKind::User)]);
    let groups = section.texts("groups").unwrap_or_default();
    let binding = section.word(
        "binding",
        &[("bearer", Binding::Bearer), ("mtls", Binding::Mtls), ("dpop", Binding::Dpop), ("ssh", Binding::Ssh)],
    );
    let subject = verified(id?, kind.unwrap_or(SubjectKind::Service), groups.into_iter().map(Arc::from).collect());
    Some(Subject { binding: binding.unwrap_or(Binding::Bearer), ..subject })
}

/// What both a subject and a case may say of the circumstances; the case's word counts.
fn circumstances(section: &Section<'_, '_>, before: Circumstances) -> Circumstances {
    let age = section.duration("session_age", Duration::ZERO..=Duration::from_secs(30 * 86_400));
    let moment = |text: &str| text.parse::<Moment>().ok().map(|moment| moment.0);
    Circumstances {
        on_behalf_of: section.parsed("on_behalf_of", KEY, key).or(before.on_behalf_of),
        source: section
            .parsed("source", "an address such as \"10.1.2.3\"", |text| text.parse().ok())
            .unwrap_or(before.source),
        now: section.parsed("at", "a moment such as \"2026-11-23T02:00:00Z\"", moment).unwrap_or(before.now),
        session_age: age.map_or(before.session_age, |age| age.as_secs()),
        reason: section.text("reason").map(Arc::from).or(before.reason),
        estimated_rows: section
            .number("estimated_rows", 0..=usize::MAX)
            .and_then(|rows| u64::try_from(rows).ok())
            .or(before.estimated_rows),
        subject: before.subject,
    }
}

fn case(section: Section<'_, '_>, subjects: &BTreeMap<String, Circumstances>) -> Option<Case> {
    let name = section.text("name");
    let name = section.required("name", name, "say in a few words what it shows");
    let names: Vec<&str> = subjects.keys().map(String::as_str).collect();
    let known = format!("the name of a [subject.…] of this file: {}", names.join(", "));
    let who = section.parsed("subject", &known, |name| subjects.get(name).cloned());
    let who = section.required("subject", who, &format!("write {known}")).map(|who| circumstances(&section, who));
    let statement = section.text("statement");
    let statement = section.required("statement", statement, "write statement = \"SELECT …\"");
    let parameters = section.texts("parameters").unwrap_or_default();
    let expected = expected(&section);
    let line = section.line();
    section.finish();
    Some(Case { line, name: name?, who: who?, statement: statement?, parameters, expected: expected? })
}

fn expected(section: &Section<'_, '_>) -> Option<Expected> {
    let words = [("allow", Outcome::Allow), ("deny", Outcome::Deny), ("ask", Outcome::Ask)];
    let decision = section.word("decision", &words);
    let decision = section.required("decision", decision, "write decision = \"allow\", \"deny\" or \"ask\"");
    let groups = section.texts("groups");
    if groups.is_some() && decision.is_some_and(|decision| decision != Outcome::Ask) {
        section.report("groups", "only an \"ask\" asks groups", "remove it, or write decision = \"ask\"");
    }
    let masks = section.table("masks");
    let expects = format!("one of {}, or \"members(key: …)\"", super::words::MASKS.join(", "));
    let is_mask = |text: &str| super::words::MASKS.contains(&text) || text.starts_with("members(");
    let each = masks.take_all().into_iter().filter_map(|(column, setting)| {
        let mask = setting.parsed(&expects, |text| is_mask(text).then(|| text.to_owned()))?;
        Some((column, mask))
    });
    Some(Expected {
        decision: decision?,
        groups: groups.map(|groups| groups.into_iter().collect()),
        policies: section.texts("policies").map(|policies| policies.into_iter().collect()),
        masks: each.collect(),
        message: section.text("message"),
        lacks: section.text("missing"),
    })
}
