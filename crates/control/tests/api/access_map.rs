//! The access map: what an answer is, what it hangs on, why, and that a large one stalls nobody.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use control::shape;
use model::event::Event;
use model::id::SessionId;
use model::subject::{Binding, Credential, Subject, SubjectKey, SubjectKind};
use serde_json::Value;
use tempfile::TempDir;

use crate::world::{POLICIES, World};

/// Policies that hang on something, or on nothing.
const MORE: &str = r#"
@id("night-connect")
permit (principal in Group::"sluice|night", action == Action::"connect", resource in Target::"payments")
when { context.now.toTime() < duration("6h") };
@id("night-read")
permit (principal in Group::"sluice|night", action in Action::"read", resource in Target::"payments");
@id("office-writes")
permit (principal in Group::"sluice|orders", action == Action::"notify", resource)
when { context.sourceIp.isInRange(ip("10.0.0.0/8")) };
@id("why-listen")
permit (principal in Group::"sluice|orders", action == Action::"listen", resource)
when { context has reason };
@id("hosts-shell")
permit (principal in Group::"sluice|hosts", action == Action::"ssh:shell", resource in Target::"web1");
@id("hosts-pty")
permit (principal in Group::"sluice|hosts", action == Action::"ssh:pty", resource in Login::"web1/backup");
@id("hosts-run")
permit (principal in Group::"sluice|hosts", action == Action::"ssh:exec", resource in Target::"web1")
when { resource is Command && resource.program == "uptime" };
@id("hosts-read-one")
permit (principal in Group::"sluice|hosts", action == Action::"file:read", resource == File::"web1/backup/etc/motd");
@id("hosts-no-forward")
@message("nothing goes onward from here")
forbid (principal in Group::"sluice|hosts", action == Action::"ssh:forward", resource in Target::"web1")
unless { principal in Group::"sluice|nobody" };
@id("see-email")
permit (principal in Group::"sluice|orders", action == Action::"reveal", resource in DataClass::"email");
"#;

fn policies() -> String {
    format!("{POLICIES}{MORE}")
}

async fn world() -> World {
    World::start_with(Arc::new(TempDir::new().unwrap()), "", &policies()).await
}

async fn cell(world: &World, query: &str) -> shape::AccessCellView {
    let token = world.token("auditor", &["audit"]);
    let reply = world.get(&format!("/v1/access/cell?{query}"), &token).await;
    assert_eq!(reply.status, 200, "{}", reply.body);
    serde_json::from_str(&reply.body).unwrap_or_else(|error| panic!("{error}: {}", reply.body))
}

/// The answers of a place, by verb and object.
fn answers(place: &shape::AccessPlaceView) -> BTreeMap<String, &shape::AccessAnswerView> {
    let all = place.may.iter().chain([&place.connect]);
    all.map(|one| (format!("{} {}", one.verb, one.object), one)).collect()
}

/// An outcome with what it hangs on.
fn said(one: &shape::AccessAnswerView) -> String {
    let unbounded = one.unbounded.as_ref().map(|outcome| format!(" unbounded {outcome}")).unwrap_or_default();
    format!("{}{unbounded} [{}] by {}", one.outcome, one.depends_on.join(","), one.policies.join(","))
}

#[tokio::test]
async fn a_cell_says_what_its_answers_hang_on_and_why() {
    let world = world().await;
    opened(&world, "order-service", &["sluice|orders"], "public.orders");
    world.indexed().await;
    let found = cell(&world, "subject=sluice%7Corder-service&target=payments").await;
    assert_eq!((found.kind.as_str(), found.groups.as_slice()), ("service", &["sluice|orders".to_owned()][..]));
    assert!(found.is_complete);
    let place = &found.places[0];
    assert!(place.known.contains("record"), "the target cannot be reached: {}", place.known);
    let answers = answers(place);
    for (what, wanted) in [
        ("connect the database", "allow [] by orders-connect"),
        ("select table public.orders", "allow [] by orders-write"),
        ("insert table public.orders", "allow [] by orders-write"),
        ("update table public.orders", "allow unbounded ask [] by orders-write"),
        ("delete table public.orders", "ask [] by delete-needs-dba"),
        ("truncate table public.orders", "ask [] by delete-needs-dba"),
        ("ddl table public.orders", "deny [] by "),
        ("notify any channel", "deny [session] by "),
        ("listen any channel", "deny [reason,object] by "),
        ("opaque statements that are not understood", "deny [] by "),
    ] {
        assert_eq!(said(answers[what]), wanted, "{what}");
    }
    assert_eq!(answers["delete table public.orders"].asks, ["sluice|dba"]);
    assert_eq!(answers["notify any channel"].near, ["office-writes"]);
    assert_eq!(answers["ddl table public.orders"].told.as_deref(), Some("no policy permits it"));
    let shown = |class: &str| place.sees.iter().find(|one| one.class == class && one.column.is_none()).unwrap();
    assert_eq!(
        (shown("email").shown.as_str(), shown("email").policies.as_slice()),
        ("clear", &["see-email".to_owned()][..])
    );
    assert_eq!((shown("card_number").shown.as_str(), shown("card_number").policies.len()), ("partial", 0));
    // Why: each policy that is named, where it stands and as it was written.
    let text = found.policies.iter().find(|one| one.id == "delete-needs-dba").unwrap();
    assert_eq!(text.file, "test.cedar");
    assert!(text.text.starts_with("@id(\"delete-needs-dba\")") && text.text.ends_with(';'), "{}", text.text);
    let line = policies().lines().position(|line| line.contains("\"delete-needs-dba\"")).unwrap() + 1;
    assert_eq!(text.line, u64::try_from(line).unwrap());
}

#[tokio::test]
async fn what_depends_is_not_guessed() {
    let world = world().await;
    let found = cell(&world, "subject=sluice%7Cowl&kind=service&groups=sluice%7Cnight&target=payments").await;
    let connect = &found.places[0].connect;
    assert_eq!(connect.depends_on, ["time"], "whatever time it is: {connect:?}");
    assert!(!found.places[0].may.is_empty(), "what may be had at times is asked about");
    let found = cell(&world, "subject=sluice%7Chost-job&kind=service&groups=sluice%7Chosts&target=web1").await;
    let places: BTreeMap<&str, &shape::AccessPlaceView> =
        found.places.iter().map(|place| (place.place.as_str(), place)).collect();
    assert_eq!(said(&places["deploy"].connect), "deny [] by ");
    assert!(places["deploy"].may.is_empty(), "nothing is to be had where nobody gets in");
    let answers = answers(places["backup"]);
    for (what, wanted) in [
        ("connect the login", "allow [] by hosts-connect"),
        ("ssh:shell a shell", "allow [] by hosts-shell"),
        ("ssh:pty a terminal", "allow [] by baseline-ssh-terminal,hosts-pty"),
        ("ssh:exec any command", "deny [object] by "),
        ("file:read any file", "deny [object] by "),
        ("file:write any file", "deny [] by "),
        ("ssh:forward any host and port", "deny [] by hosts-no-forward"),
        ("ssh:sftp SFTP", "allow [] by baseline-ssh-terminal"),
    ] {
        assert_eq!(said(answers[what]), wanted, "{what}");
    }
    assert_eq!(answers["ssh:exec any command"].near, ["hosts-run"]);
    assert_eq!(answers["ssh:forward any host and port"].told.as_deref(), Some("nothing goes onward from here"));
}

#[tokio::test]
async fn wrong_questions_get_nothing() {
    let world = world().await;
    let auditor = world.token("auditor", &["audit"]);
    for (path, status) in [
        ("/v1/access/cell?subject=x&target=payments", 400),
        ("/v1/access/cell?subject=a%7Cb&target=nowhere", 404),
        ("/v1/access/cell?subject=a%7Cb&target=payments", 404),
        ("/v1/access/cell?subject=a%7Cb&kind=robot&groups=&target=payments", 400),
        ("/v1/access/cell?subject=a%7Cb&kind=user&groups=&target=payments", 200),
        ("/v1/access?limit=0", 400),
        ("/v1/access?limit=101", 400),
        ("/v1/access?target=nowhere", 404),
        ("/v1/access?nothing=1", 400),
        ("/v1/access", 200),
    ] {
        assert_eq!(world.get(path, &auditor).await.status, status, "{path}");
    }
    let others = world.token("somebody", &["read", "sessions", "approve", "operate", "replay"]);
    for path in ["/v1/access", "/v1/access/cell?subject=a%7Cb&kind=user&groups=&target=payments"] {
        assert_eq!(world.get(path, &others).await.status, 403, "{path}");
        assert_eq!(world.send("GET", path, &[], "").await.status, 401, "{path}");
    }
}

/// Notes that a subject opened a session and ran something.
fn opened(world: &World, name: &str, groups: &[&str], table: &str) {
    use model::decision::Outcome;
    use model::effect::{Effect, Facts, Object, TableKind, TableName, Verb};
    use model::id::{Digest, RevisionId};
    let subject = Subject {
        key: SubjectKey { issuer: "sluice".into(), id: name.into() },
        kind: SubjectKind::Service,
        groups: groups.iter().map(|group| Arc::from(*group)).collect(),
        on_behalf_of: Vec::new(),
        expires_at: gateway::clock::now(),
        binding: Binding::Bearer,
        token_id: None,
        credential: Credential::default(),
    };
    let session = SessionId::from_bits(gateway::clock::random_bits().unwrap());
    world.node.recorder.note(Event::SessionOpened {
        session,
        subject,
        target: "payments".into(),
        database: "payments".into(),
        source: [127, 0, 0, 1].into(),
        application: "test".into(),
        revision: RevisionId(1),
    });
    if let Some((schema, name)) = table.split_once('.') {
        let id = Digest([7; 32]);
        let effect = Effect::new(Verb::Select, Object::Table(TableName::new(schema, name), TableKind::Table));
        world.node.recorder.note(Event::Statement {
            id,
            target: "payments".into(),
            database: "payments".into(),
            text: "SELECT".into(),
            effects: vec![effect],
            facts: Facts::default(),
            output: model::lineage::Output::Unknown,
        });
        world.node.recorder.note(Event::Decided {
            request: session.request(1),
            statements: vec![id],
            values: vec![],
            outcome: Outcome::Allow,
            policies: vec!["orders-write".into()],
            revision: RevisionId(1),
            approval: None,
            denial: None,
            on_behalf_of: None,
            traceparent: None,
        });
    }
}

#[tokio::test]
async fn the_map_goes_by_pages_and_says_what_it_does_not_know() {
    let world = world().await;
    for name in ["c", "a", "b"] {
        opened(&world, name, if name == "b" { &[] } else { &["sluice|orders"] }, "public.orders");
    }
    world.indexed().await;
    let token = world.token("auditor", &["audit"]);
    let page = async |query: &str| -> shape::AccessMapView {
        let reply = world.get(&format!("/v1/access?{query}"), &token).await;
        serde_json::from_str(&reply.body).unwrap_or_else(|error| panic!("{error}: {}", reply.body))
    };
    let first = page("limit=2").await;
    let names = |map: &shape::AccessMapView| map.subjects.iter().map(|one| one.subject.id.clone()).collect::<Vec<_>>();
    assert_eq!((names(&first), first.next.as_deref()), (vec!["a".into(), "b".into()], Some("sluice|b")));
    let second = page("limit=2&after=sluice%7Cb").await;
    assert_eq!((names(&second), second.next), (vec!["c".into()], None));
    let [payments, web1] = first.subjects[0].targets.as_slice() else { panic!("{first:?}") };
    assert_eq!((payments.connect.as_str(), web1.connect.as_str()), ("allow", "deny"));
    assert!(payments.allow.contains(&"select".into()) && payments.ask.contains(&"delete".into()), "{payments:?}");
    assert!(payments.depends.contains(&"notify".into()) && payments.clear.contains(&"email".into()), "{payments:?}");
    assert!(first.subjects[1].targets.iter().all(|one| one.connect == "deny" && one.allow.is_empty()));
    assert_eq!(names(&page("subject=CE%7Cc").await), ["c"]);
    assert_eq!(page("target=web1").await.subjects[0].targets.len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_subjects_and_fifty_targets_stall_nobody() {
    let dir = Arc::new(TempDir::new().unwrap());
    let more: String = (0..48)
        .map(|at| {
            format!(
                "\n[extra{at}]\nprotocol = \"postgres\"\naddress = \"127.0.0.1:1\"\ndatabases = [\"d{at}\"]\n\
                 credential = {{ user = \"sluice\", password = {{ env = \"NOT_USED\" }} }}\n"
            )
        })
        .collect();
    let world = World::start_of(dir, "", &policies(), &more).await;
    for at in 0..1000 {
        opened(
            &world,
            &format!("subject-{at:04}"),
            if at % 4 == 0 { &["sluice|orders"] } else { &["x"] },
            "public.orders",
        );
    }
    world.indexed().await;
    let token = world.token("auditor", &["audit"]);
    let (mut seen, mut after, mut slowest) = (0, String::new(), Duration::ZERO);
    loop {
        let path = format!("/v1/access?limit=100{after}");
        // While it is worked out, others are answered.
        let (map, health) = tokio::join!(
            async {
                let begun = Instant::now();
                (world.get(&path, &token).await, begun.elapsed())
            },
            async {
                let begun = Instant::now();
                assert_eq!(world.send("GET", "/healthz", &[], "").await.status, 200);
                begun.elapsed()
            }
        );
        assert_eq!(map.0.status, 200, "{}", map.0.body);
        assert!(health < Duration::from_secs(5), "{health:?}");
        slowest = slowest.max(map.1);
        let page = map.0.json();
        assert_eq!(page["targets"].as_array().unwrap().len(), 50);
        let subjects = page["subjects"].as_array().unwrap();
        assert!(!subjects.is_empty(), "a page goes on");
        seen += subjects.len();
        match &page["next"] {
            Value::String(next) => after = format!("&after={}", next.replace('|', "%7C")),
            _ => break,
        }
    }
    assert_eq!(seen, 1000);
    assert!(slowest < Duration::from_secs(30), "{slowest:?}");
}
