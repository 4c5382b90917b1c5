//! Events of the Open Cybersecurity Schema Framework, 1.6.0 (<https://schema.ocsf.io/1.6.0>).
//!
//! Requests are Datastore Activity, sessions Authentication, what administrators do API Activity, revisions Entity
//! Management. What is none of these is a Base Event. The whole event is in `unmapped.sluice`, so that nothing is lost
//! that has no attribute there.

use model::decision::Outcome;
use model::effect::Verb;
use model::event::Event;
use serde_json::{Value, json};

use super::super::known::Who;
use super::super::telling::{Severity, Telling};

/// The version of the schema.
const VERSION: &str = "1.6.0";

/// The activity that a class has no number for; `activity_name` says which.
const OTHER: u64 = 99;

/// The event as OCSF has it.
pub(super) fn event(telling: &Telling<'_>) -> Value {
    let mut event = match telling.event {
        Event::Decided { .. } | Event::Completed { .. } | Event::Prepared { .. } => request(telling),
        Event::SessionOpened { .. } => session(telling, 1, "Logon"),
        Event::SessionRefused { .. } => refused(telling),
        Event::SessionRenewed { .. } => session(telling, OTHER, "Renew"),
        Event::SessionClosed { .. } => session(telling, 2, "Logoff"),
        Event::AdminAction { subject, action, object, outcome } => {
            let mut event = base(telling, 6003, OTHER, action);
            set(&mut event, "actor", json!({ "user": user(subject) }));
            set(&mut event, "api", json!({ "operation": action, "service": { "name": "Sluice admin API" } }));
            set(&mut event, "resources", json!([{ "name": object }]));
            set(&mut event, "src_endpoint", unknown());
            decided(&mut event, *outcome);
            event
        }
        Event::RevisionApplied { revision, digest } => {
            revised(telling, json!({ "name": "revision", "uid": digest, "version": revision.to_string() }), true)
        }
        Event::RevisionRefused { digest, .. } => revised(telling, json!({ "name": "revision", "uid": digest }), false),
        other => base(telling, 0, OTHER, other.kind()),
    };
    let whole = serde_json::to_value(telling).unwrap_or_default();
    set(&mut event, "unmapped", json!({ "sluice": whole }));
    event
}

/// What every class has.
fn base(telling: &Telling<'_>, class: u64, activity: u64, name: &str) -> Value {
    let (severity_id, severity) = match telling.severity() {
        Severity::Info => (1, "Informational"),
        Severity::Notice => (2, "Low"),
        Severity::Warning => (3, "Medium"),
        Severity::Error => (4, "High"),
    };
    let correlation = ledger::request_of(telling.event).map(|request| request.to_string());
    let mut event = json!({
        "activity_id": activity,
        "activity_name": name,
        "category_uid": class / 1000,
        "class_uid": class,
        "type_uid": class * 100 + activity,
        "severity_id": severity_id,
        "severity": severity,
        "time": telling.at,
        "message": telling.event.kind(),
        "metadata": {
            "version": VERSION,
            "product": { "name": "Sluice", "vendor_name": "Sluice", "version": env!("CARGO_PKG_VERSION") },
            "uid": telling.position.to_string(),
            "sequence": telling.position,
            "event_code": telling.event.kind(),
            "log_name": "journal",
        },
    });
    if let (Some(correlation), Some(metadata)) = (correlation, event.get_mut("metadata")) {
        set(metadata, "correlation_uid", json!(correlation));
    }
    event
}

fn set(object: &mut Value, key: &str, value: Value) {
    if let Some(object) = object.as_object_mut() {
        object.insert(key.to_owned(), value);
    }
}

/// An endpoint or a user that nobody knows, where the class requires one.
fn unknown() -> Value {
    json!({ "name": "unknown" })
}

fn user(key: &model::subject::SubjectKey) -> Value {
    json!({ "uid": key.to_string(), "name": key.id, "domain": key.issuer })
}

/// The action that was taken, its disposition, and the status of what was asked for.
fn decided(event: &mut Value, outcome: Outcome) {
    let (action, disposition, status) = match outcome {
        // Allowed, Allowed, Success.
        Outcome::Allow => (1, 1, 1),
        // Denied, Blocked, Failure.
        Outcome::Deny => (2, 2, 2),
        // A human is asked: Unknown, Delayed, Other.
        Outcome::Ask => (0, 14, 99),
    };
    if let Some(metadata) = event.get_mut("metadata") {
        set(metadata, "profiles", json!(["security_control"]));
    }
    set(event, "action_id", json!(action));
    set(event, "disposition_id", json!(disposition));
    set(event, "status_id", json!(status));
    if outcome == Outcome::Ask {
        set(event, "status", json!("ask"));
    }
}

/// Datastore Activity.
fn request(telling: &Telling<'_>) -> Value {
    let (activity, name) = activity(telling);
    let mut event = base(telling, 6005, activity, name);
    place(&mut event, telling.who.as_deref());
    let session = telling.event.session().map(|session| session.to_string());
    let subject = telling.who.as_ref().map_or_else(unknown, |who| user(&who.subject));
    let mut actor = json!({ "user": subject, "session": { "uid": session } });
    if let Some(behalf) = telling.on_behalf_of().next() {
        set(&mut actor, "invoked_by", json!(behalf.to_string()));
    }
    set(&mut event, "actor", actor);
    set(&mut event, "type_id", json!(1));
    if let Some(text) = telling.text() {
        let uid = ledger::request_of(telling.event).map(|request| request.to_string());
        set(&mut event, "query_info", json!({ "uid": uid, "query_string": text }));
    }
    match telling.event {
        Event::Decided { outcome, policies, denial, .. } => {
            decided(&mut event, *outcome);
            if let Some(policy) = policies.first() {
                set(&mut event, "policy", json!({ "uid": policy, "name": policy }));
            }
            if let Some(denial) = denial {
                set(&mut event, "status_detail", json!(denial.missing));
            }
        }
        Event::Completed { error, millis, disclosure, .. } => {
            set(&mut event, "status_id", json!(if error.is_some() { 2 } else { 1 }));
            set(&mut event, "duration", json!(millis));
            if let Some(code) = error {
                set(&mut event, "status_code", json!(code));
            }
            if let Some(query) = event.get_mut("query_info") {
                set(query, "bytes", json!(disclosure.bytes));
            }
        }
        _ => {}
    }
    event
}

/// From where to where.
fn place(event: &mut Value, who: Option<&Who>) {
    let (source, database, target) = match who {
        Some(who) => (json!({ "ip": who.source }), who.database.to_string(), who.target.to_string()),
        None => (unknown(), "unknown".to_owned(), "unknown".to_owned()),
    };
    set(event, "src_endpoint", source);
    set(event, "dst_endpoint", json!({ "svc_name": target }));
    // A relational database.
    let uid = format!("{target}/{database}");
    set(event, "database", json!({ "name": database, "type_id": 1, "uid": uid }));
}

/// The activity of what a request does that changes the most.
fn activity(telling: &Telling<'_>) -> (u64, &'static str) {
    if matches!(telling.event, Event::Prepared { .. }) {
        return (OTHER, "Prepare");
    }
    let ranks: [(Verb, u64, &str); 7] = [
        (Verb::Delete, 7, "Delete"),
        (Verb::Truncate, 7, "Delete"),
        (Verb::Update, 2, "Update"),
        (Verb::Insert, 5, "Write"),
        (Verb::Ddl, OTHER, "Ddl"),
        (Verb::Opaque, OTHER, "Opaque"),
        (Verb::Select, 4, "Query"),
    ];
    let effects = || telling.statements.iter().flat_map(|statement| &statement.effects);
    let does = |verb: Verb| effects().any(|effect| effect.split(' ').next() == Some(verb.as_str()));
    let found = ranks.into_iter().find(|(verb, _, _)| does(*verb));
    match found {
        Some((_, activity, name)) => (activity, name),
        None if telling.statements.is_empty() => (0, "Unknown"),
        None => (OTHER, "Other"),
    }
}

/// Authentication.
fn session(telling: &Telling<'_>, activity: u64, name: &str) -> Value {
    let mut event = base(telling, 3002, activity, name);
    let subject = telling.who.as_ref().map_or_else(unknown, |who| user(&who.subject));
    set(&mut event, "user", subject);
    set(&mut event, "service", json!({ "name": "Sluice" }));
    set(&mut event, "session", json!({ "uid": telling.event.session() }));
    set(&mut event, "is_remote", json!(true));
    set(&mut event, "status_id", json!(1));
    if let Some(who) = &telling.who {
        set(&mut event, "src_endpoint", json!({ "ip": who.source }));
        set(&mut event, "dst_endpoint", json!({ "svc_name": who.target }));
    }
    if let Event::SessionClosed { reason, .. } = telling.event {
        set(&mut event, "status_detail", json!(reason));
    }
    event
}

fn refused(telling: &Telling<'_>) -> Value {
    let mut event = session(telling, 1, "Logon");
    decided(&mut event, Outcome::Deny);
    if let Event::SessionRefused { source, reason, .. } = telling.event {
        set(&mut event, "src_endpoint", json!({ "ip": source }));
        set(&mut event, "status_detail", json!(reason));
    }
    event
}

/// Entity Management: an update of the revision.
fn revised(telling: &Telling<'_>, entity: Value, is_applied: bool) -> Value {
    let mut event = base(telling, 3004, 3, "Update");
    set(&mut event, "entity", entity);
    set(&mut event, "status_id", json!(if is_applied { 1 } else { 2 }));
    event
}
