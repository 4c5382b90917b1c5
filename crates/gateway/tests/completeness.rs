//! Whatever matters has an entry: a day through a whole gateway, after which the journal has one of each kind. What people
//! do through the admin API is in `control/tests/api`, and what a process finds that another left in `restart.rs`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests fail so")]

mod world;

use std::collections::BTreeSet;
use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use model::approval::{Answer, Status};
use model::event::Event;
use model::subject::SubjectKey;
use store::approval::{Approval, Filter};
use testkit::wait::eventually_blocking;
use world::World;
use world::client::Client;

const LIMIT: Duration = Duration::from_secs(20);

/// What a break-glass group may do nevertheless.
const POLICIES: &str = r#"
@id("what-goes-with-a-payment")
permit (principal in Group::"cashiers", action in Action::"write", resource == Table::"payments/payments/public/refunds");

@id("not-tonight")
@break_glass("on-call")
forbid (principal, action == Action::"select", resource == Table::"payments/payments/public/refunds");
"#;

fn kinds(world: &World) -> BTreeSet<&'static str> {
    events(world).iter().map(Event::kind).collect()
}

fn events(world: &World) -> Vec<Event> {
    let mut reader = world.node.recorder.journal().reader(0);
    std::iter::from_fn(|| reader.next().unwrap()).map(|(_, entry)| entry.event).collect()
}

fn until_recorded(world: &World, what: &str, is_it: impl Fn(&Event) -> bool) {
    eventually_blocking(LIMIT, what, || Ok(events(world).iter().any(&is_it).then_some(()))).unwrap();
}

fn pending(world: &World, subject: &str) -> Approval {
    let subject = Some(SubjectKey { issuer: "corp".into(), id: subject.into() });
    let filter = Filter { status: Some(Status::Pending), subject, ..Filter::default() };
    eventually_blocking(LIMIT, "a question", || Ok(world.node.state.approvals(&filter)?.into_iter().next())).unwrap()
}

fn approve(world: &World, approval: &Approval) {
    let (now, approver) = (gateway::clock::now(), SubjectKey { issuer: "corp".into(), id: "dana".into() });
    let answer = Answer { approver, groups: vec!["dba".into(), "lead".into()], approve: true, reason: None, at: now };
    world.node.state.answer(approval.id, &answer, &[], now).unwrap();
}

fn start() -> World {
    World::start_on(Arc::new(ledger::RealDisk), 50, |_, _, dir| {
        let mut file = std::fs::File::options().append(true).open(dir.join("sluice.toml")).unwrap();
        file.write_all(b"[approvals]\nhold_max = \"1s\"\n").unwrap();
        std::fs::write(dir.join("revision/policies/more.cedar"), POLICIES).unwrap();
    })
}

#[test]
fn every_kind_of_thing_that_matters_has_its_entry() {
    let world = start();
    let group =
        |who: &str, more: &[&str]| world.token(who, &[&["apps", "readers", "cashiers", "cleared"], more].concat());
    assert!(!world.psql("no token", &["-c", "SELECT 1"]).status.success());

    let mut renewer = Client::connect(&world, &group("renewer", &[]));
    renewer.ask(&format!("SET sluice.token = '{}'", group("renewer", &[])));
    renewer.ask("SELECT count(*) FROM orders \\gdesc\n");
    renewer.end();
    let mut on_call = Client::connect(&world, &group("anna", &["on-call"]));
    assert_eq!(on_call.ask("SELECT count(*) > 0 FROM refunds").lines().count(), 1);

    // A hold that nobody answers becomes a ticket; answered, it is spent.
    let mut cashier = Client::connect(&world, &group("cashier", &[]));
    let delete = "DELETE FROM payments WHERE id = 1";
    let told = cashier.ask(delete);
    assert!(told.contains("ERROR"), "{told}");
    until_recorded(&world, "the ticket", |event| matches!(event, Event::HoldBecameTicket { .. }));
    approve(&world, &pending(&world, "cashier"));
    assert!(!cashier.ask(delete).contains("ERROR"));

    // A question that policy puts otherwise now is over.
    assert!(cashier.ask("DELETE FROM payments WHERE id = 2").contains("ERROR"));
    let story = world.dir.path().join("revision/policies/story.cedar");
    let text = std::fs::read_to_string(&story).unwrap();
    let stricter = text.replace("@require_approval(\"dba\")", "@require_approval(\"lead\")");
    let stricter = stricter.replace("groups.contains(\"dba\")", "groups.contains(\"lead\")");
    std::fs::write(&story, stricter).unwrap();
    eventually_blocking(LIMIT, "the revision", || Ok((world.node.revisions.current().id.0 > 1).then_some(()))).unwrap();
    assert!(cashier.ask("DELETE FROM payments WHERE id = 2").contains("ERROR"));
    let outdated = |event: &Event| matches!(event, Event::ApprovalEnded { reason, status: Status::Withdrawn, .. } if **reason == *store::approval::OUTDATED);
    until_recorded(&world, "the end of the outdated question", outdated);
    cashier.end();

    std::fs::write(world.dir.path().join("revision/policies/broken.cedar"), "permit (").unwrap();
    until_recorded(&world, "the refusal", |event| matches!(event, Event::RevisionRefused { .. }));
    until_recorded(&world, "the end of a session", |event| matches!(event, Event::SessionClosed { .. }));
    drop(on_call);
    world.stop();
    until_recorded(&world, "the stop", |event| matches!(event, Event::Stopped));
    let elsewhere = [
        "admin_action",
        "approval_answered",
        "outcome_unknown",
        "gap",
        "key_rotated",
        "tape_cut",
        "tape_removed",
        "clock_moved",
        "tape_part_ended",
        "tape_archived",
        "token_issued",
        "token_refused",
        "bypass",
    ];
    let found = kinds(&world);
    let missing: Vec<_> =
        Event::KINDS.iter().filter(|kind| !found.contains(*kind) && !elsewhere.contains(kind)).collect();
    assert!(missing.is_empty(), "no entry of {missing:?}");
}
