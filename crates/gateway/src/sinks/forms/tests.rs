use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::sync::Arc;

use model::approval::{Answer, Asked, Mode, Status};
use model::bypass::{self, Finding};
use model::class::DataClass;
use model::decision::{Denial, Need, Outcome};
use model::disclosure::{Counts, Disclosure};
use model::effect::{ColumnName, Effect, Facts, Object, TableKind, TableName, Verb};
use model::event::{Entry, Event, Shown};
use model::id::{ApprovalId, Digest, RequestId, RevisionId, SessionId};
use model::lineage::Output;
use model::subject::{Binding, Subject, SubjectKey, SubjectKind};
use model::time::Timestamp;
use serde_json::Value;
use store::{Sqlite, State};

use super::super::known::Known;
use super::*;

const SESSION: SessionId = SessionId::from_bits(0x0123_4567_89ab_cdef);
const SELECT: Digest = Digest([1; 32]);
const DELETE: Digest = Digest([2; 32]);
const TRACE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

fn ada() -> SubjectKey {
    SubjectKey { issuer: "corp".into(), id: "ada".into() }
}

fn statement(id: Digest, text: &str, verb: Verb) -> Event {
    let table = Object::Table(TableName::new("public", "cards"), TableKind::Table);
    Event::Statement {
        id,
        target: "payments".into(),
        database: "app".into(),
        text: text.into(),
        effects: vec![Effect::new(verb, table)],
        facts: Facts { kind: verb.as_str().into(), bounded: true, multi: false, opaque: None },
        output: Output::None,
    }
}

fn decided(request: RequestId, statement: Digest, outcome: Outcome) -> Event {
    let missing =
        Denial { policies: vec![], message: "not permitted".into(), missing: "delete table public.cards".into() };
    Event::Decided {
        request,
        statements: vec![statement],
        values: vec![Shown::Clear("1".into()), Shown::Masked("card_number".into()), Shown::Length(9), Shown::Null],
        outcome,
        policies: vec!["order-service-reads".into()],
        revision: RevisionId(3),
        approval: (outcome == Outcome::Allow).then(|| ApprovalId::from_bits(5)),
        denial: (outcome == Outcome::Deny).then_some(missing),
        on_behalf_of: None,
        traceparent: (outcome == Outcome::Allow).then(|| TRACE.into()),
    }
}

fn completed(request: RequestId, error: Option<Arc<str>>) -> Event {
    let counts = Counts { clear: 1, masked: 4 };
    let column = ColumnName::new(TableName::new("public", "cards"), "number");
    let (classes, columns) = ([(DataClass::new("card_number"), counts)].into(), [(column, counts)].into());
    Event::Completed { request, disclosure: Disclosure { rows: 5, bytes: 300, classes, columns }, error, millis: 12 }
}

/// What a session does, each kind of event in it.
fn sessions() -> Vec<Event> {
    let source = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 7));
    let subject = Subject {
        key: SubjectKey { issuer: "corp".into(), id: "order-service".into() },
        kind: SubjectKind::Service,
        groups: vec!["apps".into()],
        on_behalf_of: vec![ada()],
        expires_at: Timestamp(1_795_406_460_000),
        binding: Binding::Bearer,
        token_id: None,
        credential: model::subject::Credential::default(),
    };
    let opened = Event::SessionOpened {
        session: SESSION,
        subject,
        target: "payments".into(),
        database: "app".into(),
        source,
        application: "psql".into(),
        revision: RevisionId(3),
    };
    let reference = "env:PAYMENTS_PASSWORD".into();
    vec![
        Event::Started { version: "0.1.0".into() },
        opened,
        Event::SecretUsed { session: Some(SESSION), target: "payments".into(), reference },
        Event::OwnStatement {
            session: None,
            target: "payments".into(),
            database: "app".into(),
            name: "catalog".into(),
        },
        statement(SELECT, "SELECT number FROM cards WHERE id = $1", Verb::Select),
        Event::Prepared {
            request: SESSION.request(1),
            statements: vec![SELECT],
            policies: vec!["order-service-reads".into()],
            revision: RevisionId(3),
        },
        decided(SESSION.request(2), SELECT, Outcome::Allow),
        completed(SESSION.request(2), None),
        completed(SESSION.request(3), Some("57014".into())),
        statement(DELETE, "DELETE FROM cards WHERE id = $1", Verb::Delete),
        decided(SESSION.request(4), DELETE, Outcome::Deny),
        decided(SESSION.request(5), DELETE, Outcome::Ask),
        decided(SessionId::from_bits(99).request(1), Digest([9; 32]), Outcome::Allow),
        Event::SessionRenewed { session: SESSION, expires_at: Timestamp(1_795_406_520_000) },
        Event::SessionClosed { session: SESSION, reason: "terminated".into(), tape: Some((Digest([3; 32]), 77)) },
        Event::SessionRefused { session: SessionId::from_bits(7), source, reason: "the token has expired".into() },
    ]
}

/// What people do.
fn people() -> Vec<Event> {
    let (approval, request) = (ApprovalId::from_bits(5), SESSION.request(5));
    let need = Need { policy: "ask-dba".into(), policy_digest: Digest([4; 32]), groups: vec!["dba".into()], quorum: 1 };
    let asked = Asked {
        request,
        subject: ada(),
        on_behalf_of: vec![],
        target: "payments".into(),
        database: "app".into(),
        statement: "DELETE FROM cards WHERE id = $1".into(),
        parameters: vec!["1".into()],
        effects: vec!["delete table public.cards".into()],
        estimated_rows: Some(1),
        reason: None,
        needs: vec![need.clone()],
        digest: Digest([5; 32]),
        mode: Mode::Hold,
        revision: RevisionId(3),
        asked_at: Timestamp(1),
        expires_at: Timestamp(2),
    };
    let answer = Answer { approver: ada(), groups: vec!["dba".into()], approve: true, reason: None, at: Timestamp(3) };
    let action = |outcome| Event::AdminAction {
        subject: ada(),
        action: "session.kill".into(),
        object: SESSION.to_string().into(),
        outcome,
    };
    vec![
        Event::ApprovalAsked { approval, asked: Box::new(asked) },
        Event::ApprovalAnswered { approval, answer },
        Event::ApprovalConsumed { approval, request },
        Event::ApprovalEnded { approval, status: Status::Expired, reason: "its time is over".into() },
        Event::OutcomeUnknown { approval, request },
        Event::BreakGlass { request, subject: ada(), waived: vec![need] },
        Event::RevisionApplied { revision: RevisionId(3), digest: Digest([6; 32]) },
        Event::RevisionRefused { digest: Digest([7; 32]), errors: vec!["targets.toml:3: payments.addres".into()] },
        action(Outcome::Allow),
        action(Outcome::Deny),
        Event::Gap { session: Some(SESSION), reason: "an entry was too large".into() },
        Event::KeyRotated {
            old: "sluice+1+a".into(),
            new: "sluice+2+b".into(),
            size: 300,
            root: Digest([8; 32]),
            by_old: "c".into(),
            by_new: "d".into(),
        },
        Event::TapeCut { session: SESSION, length: 65_600, reason: "it reached its cap of 65536 bytes".into() },
        Event::TapeRemoved { session: SESSION, reason: "request 4711".into(), by: Some(ada()) },
        Event::Stopped,
        Event::HoldBecameTicket { approval: ApprovalId::from_bits(7) },
        Event::ClockMoved { by: -3_600_000 },
        Event::TapePartEnded { session: SESSION, part: 2, digest: Digest([9; 32]), length: 1 << 30 },
        Event::TapeArchived {
            session: SESSION,
            part: 2,
            object: "tapes/028t5cy4tqkff/00002.tapez".into(),
            digest: Digest([10; 32]),
            length: 1 << 28,
        },
        Event::TokenIssued {
            subject: Subject {
                key: ada(),
                kind: SubjectKind::User,
                groups: vec![],
                on_behalf_of: vec![],
                expires_at: Timestamp(1_795_406_460_000),
                binding: Binding::Dpop,
                token_id: Some("t-2".into()),
                credential: model::subject::Credential::default(),
            },
            kind: "access_token".into(),
            target: Some("payments".into()),
            issued_for: None,
            source: IpAddr::V4(Ipv4Addr::LOCALHOST),
        },
        Event::TokenRefused { source: IpAddr::V4(Ipv4Addr::LOCALHOST), reason: "the signature is wrong".into() },
        Event::Bypass {
            target: "payments".into(),
            database: "app".into(),
            findings: vec![Finding {
                severity: bypass::Severity::Serious,
                check: "superuser".into(),
                what: "statements can be run as \"postgres\"".into(),
            }],
        },
    ]
}

/// Calls `tell` with each event of a story that has all kinds.
fn story(mut tell: impl FnMut(&Telling<'_>)) {
    let dir = tempfile::tempdir().unwrap();
    let mut known = Known::new(Arc::new(Sqlite::open(dir.path()).unwrap()));
    let mut kinds: Vec<&str> = Event::KINDS.to_vec();
    for (event, position) in sessions().into_iter().chain(people()).zip(0..) {
        let entry = Entry { at: Timestamp(1_795_406_400_000 + position), event };
        kinds.retain(|kind| *kind != entry.event.kind());
        tell(&Telling::new(position, &entry, &mut known));
    }
    assert!(kinds.is_empty(), "the story lacks {kinds:?}");
}

/// The forms that receivers rely on. Read the difference before it is committed: somebody's rules go by these names.
#[test]
fn every_form_is_pinned() {
    let version = format!("\"{}\"", env!("CARGO_PKG_VERSION"));
    let write = |form: fn(&Telling<'_>) -> String| {
        let mut lines = String::new();
        story(|telling| lines.push_str(&format!("{}\n", form(telling).replace(&version, "\"VERSION\""))));
        lines
    };
    let found = [
        ("json", write(|telling| Form::Json.write(telling))),
        ("ocsf", write(|telling| Form::Ocsf.write(telling))),
        ("otlp", write(|telling| Form::Otlp.write(telling))),
        ("syslog", write(|telling| syslog::message(telling, "BODY", "host", 1))),
    ];
    for (name, lines) in found {
        let path: PathBuf = [env!("CARGO_MANIFEST_DIR"), "tests/golden/sinks", &format!("{name}.txt")].iter().collect();
        if std::env::var_os("SLUICE_GOLDEN").is_some() {
            std::fs::write(&path, &lines).unwrap();
        }
        assert_eq!(lines, std::fs::read_to_string(&path).unwrap(), "set SLUICE_GOLDEN=1 to rewrite {name}");
    }
}

#[test]
fn one_event_tells_who_did_what() {
    story(|telling| {
        let json: Value = serde_json::from_str(&telling.json()).unwrap();
        if ledger::request_of(telling.event) == Some(SESSION.request(2)) {
            assert_eq!(json.pointer("/subject/id"), Some(&"order-service".into()), "{json}");
            assert_eq!((&json["target"], &json["database"]), (&"payments".into(), &"app".into()));
            assert_eq!(json.pointer("/statements/0/text"), Some(&"SELECT number FROM cards WHERE id = $1".into()));
            assert_eq!(json["traceparent"], TRACE);
        }
    });
}

/// A sink that begins in the middle asks the index for what it has not read itself.
#[test]
fn what_came_before_is_asked_of_the_index() {
    let dir = tempfile::tempdir().unwrap();
    let state = Arc::new(Sqlite::open(dir.path()).unwrap());
    let entry = |(event, position): (Event, u64)| (position, Entry { at: Timestamp(position), event });
    let entries: Vec<(u64, Entry)> = sessions().into_iter().zip(0..).map(entry).collect();
    state.index(&entries).unwrap();
    let mut known = Known::new(state);
    let (position, last) = entries.iter().rfind(|(_, entry)| entry.event.session() == Some(SESSION)).unwrap();
    let who = Telling::new(*position, last, &mut known).who.unwrap();
    assert_eq!((&*who.subject.id, &*who.target, &*who.database), ("order-service", "payments", "app"));
    assert_eq!((who.source.to_string().as_str(), &who.on_behalf_of), ("192.0.2.7", &vec![ada()]));
    let again = Entry { at: Timestamp(99), event: decided(SESSION.request(9), SELECT, Outcome::Allow) };
    let telling = Telling::new(99, &again, &mut known);
    assert_eq!(telling.text().as_deref(), Some("SELECT number FROM cards WHERE id = $1"));
    assert_eq!(telling.statements[0].effects, ["select table public.cards"]);
}

/// What the schema requires of each class (schema.ocsf.io, 1.6.0), and what it constrains to be there.
#[test]
fn ocsf_has_what_each_class_requires() {
    story(|telling| {
        let event = ocsf::event(telling);
        let class = event["class_uid"].as_u64().unwrap();
        let required: &[&str] = match class {
            0 => &[],
            3002 => &["user", "service"],
            3004 => &["entity"],
            6003 => &["actor", "api", "src_endpoint"],
            6005 => &["actor", "src_endpoint", "database"],
            other => panic!("{other}"),
        };
        let always = ["activity_id", "category_uid", "metadata", "severity_id", "time", "type_uid"];
        for attribute in required.iter().chain(&always) {
            assert!(!event[attribute].is_null(), "{attribute} in {event}");
        }
        let number = |key: &str| event[key].as_u64().unwrap();
        assert_eq!(number("type_uid"), class * 100 + number("activity_id"));
        assert_eq!(number("category_uid"), class / 1000);
        assert_eq!(event.pointer("/metadata/version"), Some(&"1.6.0".into()));
        if let Some(query) = event.get("query_info") {
            assert!(query["query_string"].is_string() && query["uid"].is_string(), "{query}");
        }
        if let Some(user) = event.get("user").or_else(|| event.pointer("/actor/user")) {
            assert!(user["name"].is_string(), "{user}");
        }
    });
}

#[test]
fn a_syslog_frame_counts_bytes_and_not_characters() {
    story(|telling| {
        let frame = syslog::frame(telling, "ü");
        let (length, message) = frame.split_once(' ').unwrap();
        assert_eq!(length.parse::<usize>().unwrap(), message.len());
        assert!(message.ends_with(" ü"));
    });
}

#[test]
fn otlp_is_one_request_with_hexadecimal_ids() {
    let mut records = Vec::new();
    story(|telling| records.push(Form::Otlp.write(telling)));
    let request: Value = serde_json::from_str(&otlp_request(&records)).unwrap();
    let sent = request.pointer("/resourceLogs/0/scopeLogs/0/logRecords").unwrap().as_array().unwrap();
    assert_eq!(sent.len(), records.len());
    let traced: Vec<&Value> = sent.iter().filter(|record| record.get("traceId").is_some()).collect();
    assert_eq!(traced.len(), 3, "what was decided, and an end of it");
    assert_eq!(traced[0]["traceId"], "4bf92f3577b34da6a3ce929d0e0e4736");
    assert_eq!(traced[0]["spanId"], "00f067aa0ba902b7");
}
