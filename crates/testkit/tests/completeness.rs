//! Whatever changes something has an entry in the journal: every operation of state, every route that changes, every kind of
//! event. Each stands in a table here; one that is added to the code and not to its table fails.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use testkit::command::workspace_root;

/// What an operation leaves in the journal.
enum Leaves {
    /// It only looks.
    Nothing,
    /// It is made from the journal, or says again what is there.
    Derived,
    /// These events.
    Events(&'static [&'static str]),
}

use Leaves::{Derived, Events, Nothing};

/// Every operation of `store::State`.
const STATE: [(&str, Leaves); 31] = [
    ("ask", Events(&["ApprovalAsked", "ApprovalEnded"])),
    ("request_window", Events(&["ApprovalAsked", "ApprovalEnded", "AdminAction"])),
    ("approval", Nothing),
    ("approvals", Nothing),
    ("answer", Events(&["ApprovalAnswered", "ApprovalEnded", "AdminAction"])),
    ("consume", Events(&["ApprovalConsumed"])),
    ("consume_window", Events(&["ApprovalConsumed"])),
    ("completed", Events(&["Completed", "OutcomeUnknown"])),
    ("unresolved", Nothing),
    ("mark_consumed", Derived),
    ("make_ticket", Events(&["HoldBecameTicket"])),
    ("withdraw", Events(&["ApprovalEnded"])),
    ("withdraw_session", Events(&["ApprovalEnded"])),
    ("expire", Events(&["ApprovalEnded"])),
    ("subscribe", Nothing),
    ("index", Derived),
    ("indexed_to", Nothing),
    ("reindex", Derived),
    ("search", Nothing),
    ("disclosed", Nothing),
    ("report", Nothing),
    ("sessions", Nothing),
    ("events", Nothing),
    ("put_sealed", Events(&["AdminAction"])),
    ("sealed", Nothing),
    ("secrets", Nothing),
    ("remove_sealed", Events(&["AdminAction"])),
    ("vault_check", Events(&["AdminAction"])),
    ("vault_changes", Nothing),
    ("vault_changes_recorded", Derived),
    ("next_revision", Events(&["RevisionApplied"])),
];

/// Every route that changes something, with the action that its handler records and the test that sees it.
const ROUTES: [(&str, &str, &str); 6] = [
    ("/v1/approvals/{id}/answer", "approval.deny", "a_denial_ends_it_and_the_journal_says_so"),
    ("/v1/approvals/{id}/withdraw", "approval.withdraw", "requesters_see_and_withdraw_their_own_alone"),
    ("/v1/windows", "window.request", "a_window_is_asked_for_agreed_to_and_used"),
    ("/v1/sessions/{id}/kill", "session.kill", "a_session_is_listed_replayed_and_ended"),
    ("/v1/sessions/{id}/token", "session.renew", "a_session_is_listed_replayed_and_ended"),
    ("/v1/sessions/{id}/tape/remove", "tape.remove", "td_13_a_tape_that_is_removed_leaves_its_record"),
];

const STORY: &str = "every_kind_of_thing_that_matters_has_its_entry";

/// Every kind of event: where it is made, and the test in which it comes about as it does in use.
const EVENTS: [(&str, &str, &str); 29] = [
    ("Started", "gateway/src/node.rs", STORY),
    ("Stopped", "gateway/src/serve.rs", STORY),
    ("SessionOpened", "gateway/src/postgres/login.rs", STORY),
    ("SessionRefused", "gateway/src/postgres/login.rs", STORY),
    ("SessionRenewed", "gateway/src/postgres/waiting.rs", STORY),
    ("SessionClosed", "gateway/src/postgres/closing.rs", STORY),
    ("Statement", "gateway/src/postgres/analysed.rs", STORY),
    ("Decided", "gateway/src/postgres/query.rs", STORY),
    ("Completed", "gateway/src/postgres/ends.rs", STORY),
    ("ApprovalAsked", "gateway/src/postgres/hold.rs", STORY),
    ("ApprovalAnswered", "control/src/approvals.rs", "a_denial_ends_it_and_the_journal_says_so"),
    ("ApprovalConsumed", "gateway/src/postgres/query.rs", STORY),
    ("ApprovalEnded", "gateway/src/postgres/hold.rs", STORY),
    ("OutcomeUnknown", "gateway/src/restart.rs", "ap_12_the_journal_ends_what_a_restored_state_has_open"),
    ("BreakGlass", "gateway/src/postgres/query.rs", STORY),
    ("RevisionApplied", "gateway/src/revision.rs", STORY),
    ("RevisionRefused", "gateway/src/revision.rs", STORY),
    ("SecretUsed", "gateway/src/postgres/upstream.rs", STORY),
    ("AdminAction", "control/src/journal.rs", "a_denial_ends_it_and_the_journal_says_so"),
    ("OwnStatement", "gateway/src/postgres/own.rs", STORY),
    (
        "Gap",
        "gateway/src/recorder/gathered.rs",
        "rc_06_what_is_gathered_while_the_disk_fails_is_bounded_counted_and_sessions_are_closed",
    ),
    ("Prepared", "gateway/src/postgres/query.rs", STORY),
    ("HoldBecameTicket", "gateway/src/postgres/hold.rs", STORY),
    ("KeyRotated", "ledger/src/rotation.rs", "the_key_of_the_journal_is_changed_while_sluice_is_stopped"),
    ("TapeCut", "gateway/src/postgres/tape.rs", "a_tape_is_capped_searched_exported_and_removed"),
    ("TapeRemoved", "gateway/src/retention.rs", "a_tape_whose_time_is_over_goes"),
    ("TapePartEnded", "gateway/src/postgres/rotate.rs", "rc_14_a_part_ends_when_it_is_old_while_nothing_is_asked"),
    ("TapeArchived", "gateway/src/archive/round.rs", "rc_11_nothing_goes_before_its_object_is_what_it_was"),
    ("ClockMoved", "gateway/src/recorder/clocks.rs", "rc_09_a_clock_that_is_set_has_an_entry"),
];

/// A kind as it stands in JSON.
fn word(kind: &str) -> String {
    let mut word = String::new();
    for character in kind.chars() {
        if character.is_ascii_uppercase() && !word.is_empty() {
            word.push('_');
        }
        word.push(character.to_ascii_lowercase());
    }
    word
}

fn source(path: &str) -> Result<String> {
    fs::read_to_string(workspace_root().join("crates").join(path)).with_context(|| path.to_owned())
}

/// The code of a file without its tests.
fn product(path: &str) -> Result<String> {
    Ok(source(path)?.split("#[cfg(test)]\nmod ").next().unwrap_or_default().to_owned())
}

/// Every source file below a directory of the workspace.
fn sources(dir: &Path, found: &mut Vec<String>) -> Result<()> {
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        if path.is_dir() {
            sources(&path, found)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(fs::read_to_string(path)?);
        }
    }
    Ok(())
}

/// The text of each function under `#[test]` or `#[tokio::test…]`, by its name.
fn tests() -> Result<BTreeMap<String, String>> {
    let mut files = Vec::new();
    for dir in ["gateway/src", "gateway/tests", "control/tests", "sluice/tests"] {
        sources(&workspace_root().join("crates").join(dir), &mut files)?;
    }
    let mut tests = BTreeMap::<String, String>::new();
    for file in files {
        for part in file.split("#[test]").chain(file.split("#[tokio::test")).skip(1) {
            let name = part.split("fn ").nth(1).and_then(|rest| rest.split('(').next());
            // Two programs may have a test of one name.
            tests.entry(name.unwrap_or_default().to_owned()).or_default().push_str(part);
        }
    }
    Ok(tests)
}

#[test]
fn every_operation_of_state_leaves_an_entry_or_only_looks() -> Result<()> {
    let trait_of = source("store/src/state.rs")?;
    let (_, body) = trait_of.split_once("pub trait State").context("there is a trait")?;
    let there: BTreeSet<&str> = body.split("\n    fn ").skip(1).filter_map(|rest| rest.split('(').next()).collect();
    let listed: BTreeSet<&str> = STATE.iter().map(|(name, _)| *name).collect();
    ensure!(there == listed, "say what these leave in the journal: {:?}", there.symmetric_difference(&listed));
    let kinds: BTreeSet<&str> = EVENTS.iter().map(|(kind, ..)| *kind).collect();
    for (name, leaves) in STATE {
        match leaves {
            Events(events) => ensure!(!events.is_empty() && events.iter().all(|kind| kinds.contains(kind)), "{name}"),
            Nothing | Derived => {}
        }
    }
    Ok(())
}

#[test]
fn every_route_that_changes_something_records_it() -> Result<()> {
    let routes = product("control/src/routes.rs")?;
    let changes = routes.split("changes(\"").skip(1).filter_map(|rest| rest.split('"').next());
    let there: BTreeSet<&str> = changes.collect();
    let listed: BTreeSet<&str> = ROUTES.iter().map(|(path, ..)| *path).collect();
    ensure!(there == listed, "say what these record: {:?}", there.symmetric_difference(&listed));
    let tests = tests()?;
    for (path, action, test) in ROUTES {
        // `changes("/path", Access, post(module::function))`
        let handler = routes.split(&format!("changes(\"{path}\"")).nth(1).and_then(|rest| rest.split("post(").nth(1));
        let (module, function) =
            handler.and_then(|rest| rest.split(')').next()?.split_once("::")).context("a route has a handler")?;
        let file = product(&format!("control/src/{module}.rs"))?;
        let body = file.split(&format!("async fn {function}(")).nth(1).context("a handler is a function")?;
        let body = body.split("\n}\n").next().unwrap_or_default();
        let puts_aside = body.contains("put(&app") && file.contains("journal::act(app, caller");
        ensure!(body.contains("journal::act(&app") || puts_aside, "{path}: {module}::{function} records nothing");
        ensure!(file.contains(&format!("\"{action}\"")), "{path}: there is no {action}");
        let seen = tests.get(test).with_context(|| format!("{path}: there is no test {test}"))?;
        ensure!(seen.contains(action), "{path}: {test} does not look for {action}");
    }
    // Nothing is hung in beside the table.
    ensure!(routes.matches("post(").count() == ROUTES.len() && !routes.contains("delete("), "a route stands elsewhere");
    Ok(())
}

#[test]
fn every_kind_of_event_is_made_somewhere_and_tested_as_it_comes_about() -> Result<()> {
    let enumeration = source("model/src/event.rs")?;
    let (_, body) = enumeration.split_once("pub enum Event {").context("there are events")?;
    let body = body.split("\n}").next().unwrap_or_default();
    let lines = body.lines().filter_map(|line| line.strip_prefix("    "));
    let names = lines.filter_map(|line| line.split([' ', ',']).next());
    let there: BTreeSet<&str> =
        names.filter(|name| name.starts_with(|first: char| first.is_ascii_uppercase())).collect();
    let listed: BTreeSet<&str> = EVENTS.iter().map(|(kind, ..)| *kind).collect();
    ensure!(there == listed, "say where these are made and tested: {:?}", there.symmetric_difference(&listed));
    let tests = tests()?;
    for (kind, file, test) in EVENTS {
        ensure!(product(file)?.contains(&format!("Event::{kind}")), "{file} makes no {kind}");
        let seen = tests.get(test).with_context(|| format!("{kind}: there is no test {test}"))?;
        // The story looks for all kinds but those that it names as coming about elsewhere.
        ensure!(
            test == STORY || seen.contains(kind) || seen.contains(&word(kind)),
            "{kind}: {test} does not look for it"
        );
    }
    Ok(())
}
