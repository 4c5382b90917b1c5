//! A human in the loop, a revision under way, a credential that ends: through a whole gateway in this process.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod world;

use std::sync::OnceLock;
use std::time::Duration;

use model::approval::{Answer, Mode, Status};
use model::id::ApprovalId;
use model::subject::SubjectKey;
use store::approval::{Approval, Filter};
use testkit::command::Output;
use testkit::issuer::Grant;
use testkit::wait::eventually_blocking;
use world::World;

fn world() -> &'static World {
    static WORLD: OnceLock<World> = OnceLock::new();
    WORLD.get_or_init(|| World::start(2_000))
}

fn cashier(name: &str) -> String {
    world().token(name, &["apps", "readers", "cashiers", "cleared"])
}

/// The newest approval that this subject asked for and that stands so.
fn asked_by(subject: &str, status: Status) -> Approval {
    let filter = Filter {
        status: Some(status),
        subject: Some(SubjectKey { issuer: "corp".into(), id: subject.into() }),
        ..Filter::default()
    };
    eventually_blocking(Duration::from_secs(20), "an approval", || {
        Ok(world().node.state.approvals(&filter)?.into_iter().next())
    })
    .unwrap()
}

fn answer(id: ApprovalId, approver: &str, approve: bool) -> Result<Status, store::approval::AnswerError> {
    let now = gateway::clock::now();
    let approver = SubjectKey { issuer: "corp".into(), id: approver.into() };
    let answer = Answer { approver, groups: vec!["dba".into()], approve, reason: None, at: now };
    world().node.state.answer(id, &answer, &[], now)
}

fn delete(token: &str, id: u32) -> Output {
    world().psql(
        token,
        &["-X", "-A", "-t", "-v", "VERBOSITY=verbose", "-c", &format!("DELETE FROM payments WHERE id = {id}")],
    )
}

fn exists(id: u32) -> bool {
    world().server.sql("payments", &format!("SELECT count(*) FROM payments WHERE id = {id}")).unwrap().trim() == "1"
}

#[test]
fn a_delete_waits_runs_once_and_asks_again() {
    let token = cashier("holder");
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| delete(&token, 1));
        let asked = asked_by("holder", Status::Pending);
        assert_eq!(asked.asked.mode, Mode::Hold);
        assert!(exists(1));
        assert!(answer(asked.id, "holder", true).is_err(), "nobody approves their own");
        assert_eq!(answer(asked.id, "dana", true).unwrap(), Status::Approved);
        let output = waiting.join().unwrap();
        assert!(output.stderr.contains(&asked.id.to_string()), "{}", output.stderr);
        assert_eq!(output.stdout.trim(), "DELETE 1", "{}", output.stderr);
    });
    assert!(!exists(1));
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| delete(&token, 1));
        let asked = asked_by("holder", Status::Pending);
        assert_eq!(answer(asked.id, "dana", false).unwrap(), Status::Denied);
        let output = waiting.join().unwrap();
        assert!(output.stderr.contains("42501") && output.stderr.contains("denied"), "{}", output.stderr);
    });
}

#[test]
fn in_a_transaction_it_is_a_ticket_that_exactly_one_retry_spends() {
    let token = cashier("ticketer");
    let sql = "BEGIN;\nDELETE FROM payments WHERE id = 2;\nROLLBACK;\nSELECT 'alive';\n";
    let first = world().psql_with(&token, &["-X", "-A", "-t", "-v", "VERBOSITY=verbose", "-f", "-"], sql);
    assert!(first.stderr.contains("42501") && first.stdout.contains("alive"), "{first:?}");
    let asked = asked_by("ticketer", Status::Pending);
    assert_eq!(asked.asked.mode, Mode::Ticket);
    assert_eq!(answer(asked.id, "dana", true).unwrap(), Status::Approved);
    let retry = "BEGIN;\nDELETE FROM payments WHERE id = 2;\nCOMMIT;\n";
    let outputs: Vec<Output> = std::thread::scope(|scope| {
        let all: Vec<_> =
            (0..8).map(|_| scope.spawn(|| world().psql_with(&token, &["-X", "-A", "-t", "-f", "-"], retry))).collect();
        all.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let ran = outputs.iter().filter(|output| output.stdout.contains("DELETE 1")).count();
    assert_eq!(ran, 1, "{outputs:?}");
    assert!(!exists(2));
}

#[test]
fn another_literal_needs_another_approval() {
    let token = cashier("literal");
    let sql = |id: u32| format!("BEGIN;\nDELETE FROM payments WHERE id = {id};\nROLLBACK;\n");
    let run = |id: u32| world().psql_with(&token, &["-X", "-A", "-t", "-f", "-"], &sql(id));
    run(3);
    let asked = asked_by("literal", Status::Pending);
    answer(asked.id, "dana", true).unwrap();
    assert!(!run(4).stdout.contains("DELETE 1"));
    assert!(run(3).stdout.contains("DELETE 1"));
}

#[test]
fn a_held_request_of_a_client_that_goes_away_is_withdrawn() {
    let token = cashier("leaver");
    let (host, port) = (world().address.ip().to_string(), world().address.port().to_string());
    let mut child = std::process::Command::new("psql")
        .args(["-X", "-c", "DELETE FROM payments WHERE id = 5"])
        .env("PGHOST", host)
        .env("PGPORT", port)
        .env("PGUSER", "app")
        .env("PGDATABASE", "payments")
        .env("PGPASSWORD", &token)
        .env("PGSSLMODE", "require")
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let asked = asked_by("leaver", Status::Pending);
    child.kill().unwrap();
    child.wait().unwrap();
    let ended = asked_by("leaver", Status::Withdrawn);
    assert_eq!(ended.id, asked.id);
    assert!(exists(5));
}

#[test]
fn a_session_ends_with_its_token_and_a_renewed_one_goes_on() {
    // Long enough for a login on a busy machine; psql itself waits for the end.
    let lifetime = Duration::from_secs(8);
    let short = |name: &str| {
        let grant = Grant::new(name).groups(["apps", "readers"]).lifetime(lifetime);
        world().issuer.issue(grant).unwrap()
    };
    let until_expired = || {
        let end = gateway::clock::now().seconds() + lifetime.as_secs() + 1;
        format!("\\! while [ $(date +%s) -le {end} ]; do sleep 0.1; done\n")
    };
    let fresh = world().token("renewer", &["apps", "readers"]);
    let run = |token: String, before: String| {
        let script = format!("{before}{}SELECT 'out';\n", until_expired());
        world().psql_with(&token, &["-X", "-A", "-t", "-v", "VERBOSITY=verbose", "-f", "-"], &script)
    };
    let (ended, renewed) = std::thread::scope(|scope| {
        let ended = scope.spawn(|| run(short("brief"), "SELECT 'in';\n".into()));
        let renewed = scope.spawn(|| run(short("renewer"), format!("SET sluice.token = '{fresh}';\n")));
        (ended.join().unwrap(), renewed.join().unwrap())
    });
    assert!(ended.stdout.contains("in") && !ended.stdout.contains("out"), "{ended:?}");
    assert!(ended.stderr.contains("57P01"), "{}", ended.stderr);
    assert!(renewed.stdout.contains("out"), "{renewed:?}");
    let journal = world().dir.path().join("data/journal");
    for file in std::fs::read_dir(journal).unwrap() {
        let bytes = std::fs::read(file.unwrap().path()).unwrap();
        assert!(testkit::canary::leak(&bytes, &fresh).is_none(), "the token is in the journal");
    }
}

#[test]
fn a_revision_holds_for_the_very_next_statement_and_a_broken_one_is_refused_whole() {
    let token = world().token("revised", &["apps", "revised"]);
    let policy = world().dir.path().join("revision/policies/extra.cedar");
    let revision = || world().node.revisions.current().id;
    let marker = world().dir.path().join("go");
    // At once: on a busy machine a file that is written in place is empty for long enough to be taken.
    let put = |text: &str| {
        let whole = world().dir.path().join("extra.new");
        std::fs::write(&whole, text).and_then(|()| std::fs::rename(&whole, &policy)).unwrap();
    };
    let grant = "@id(\"revised\") permit (principal in Group::\"revised\", action in Action::\"read\", \
                 resource in Table::\"payments/payments/public/orders\");";
    let before = revision();
    let script = format!(
        "SELECT count(*) FROM orders;\n\\! while [ ! -e {0} ]; do :; done\nSELECT 'after', count(*) > 0 FROM orders;\n",
        marker.display()
    );
    let output = std::thread::scope(|scope| {
        let session = scope.spawn(|| world().psql_with(&token, &["-X", "-A", "-t", "-f", "-"], &script));
        put(grant);
        eventually_blocking(Duration::from_secs(20), "the revision", || Ok((revision() != before).then_some(())))
            .unwrap();
        std::fs::write(&marker, "").unwrap();
        session.join().unwrap()
    });
    assert!(output.stdout.contains("after|t"), "{output:?}");
    let running = revision();
    put(&format!("{grant}\n@id(\"broken\") permit (principal, action == Action::\"slect\", resource);\n"));
    let refused =
        eventually_blocking(Duration::from_secs(20), "the refusal", || Ok(world().node.revisions.refused())).unwrap();
    assert!(refused.errors.iter().any(|error| error.contains("extra.cedar:2")), "{:?}", refused.errors);
    assert_eq!(revision(), running);
    assert_eq!(world().rows(&token, "SELECT count(*) > 0 FROM orders").trim(), "t");
}
