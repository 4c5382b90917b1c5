//! Whatever changes something has an entry in the journal: every operation of state, every route that changes, every kind of
//! event, and whatever is done to files. Each stands in a table here; one that is added to the code and not to its table fails.
//!
//! The code is parsed, so that a comment, an odd spelling or a place that nobody thought of does not pass for an entry.

#![allow(clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::collections::BTreeSet;

use anyhow::{Context, Result, bail, ensure};

#[path = "completeness/code.rs"]
mod code;
#[path = "completeness/files.rs"]
mod files;

use code::{Function, Graph, Sources, functions, parse, sources};

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
const STATE: [(&str, Leaves); 50] = [
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
    ("records", Nothing),
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
    ("keep_credential", Events(&["TokenIssued"])),
    ("issued_credentials", Nothing),
    ("drop_credentials", Derived),
    ("drop_ended_credentials", Derived),
    // What comes of the use has its entry: a token, or a refusal by policy.
    ("use_once", Events(&["TokenIssued", "AdminAction"])),
    ("put_revocation", Events(&["AdminAction"])),
    ("remove_revocations", Events(&["AdminAction"])),
    ("revocations", Nothing),
    ("has_security_event", Nothing),
    // What it says has its entry; that it was taken keeps it from being one twice.
    ("take_security_event", Events(&["AdminAction"])),
    // Each says in its own entry when it ends.
    ("sweep_revocations", Events(&["AdminAction"])),
    ("next_revision", Events(&["RevisionApplied"])),
    ("keep_revision", Events(&["RevisionApplied"])),
    ("revisions", Nothing),
    ("revision_files", Nothing),
    ("propose", Events(&["AdminAction"])),
    ("proposal", Nothing),
    ("proposals", Nothing),
    ("change_proposal", Events(&["AdminAction"])),
];

/// Every route that changes something, with the action that its handler records and the test that sees it.
const ROUTES: [(&str, &str, &str); 26] = [
    ("/token", "access_token", "a_token_is_exchanged_for_one_of_the_same_subject"),
    ("/signout", "console.sign_out", "somebody_signs_in_looks_and_signs_out"),
    ("/v1/approvals/{id}/answer", "approval.deny", "a_denial_ends_it_and_the_journal_says_so"),
    ("/v1/approvals/{id}/withdraw", "approval.withdraw", "requesters_see_and_withdraw_their_own_alone"),
    ("/v1/notify/{name}/test", "notify.test", "an_operator_tries_a_channel_out_and_is_told_why_it_fails"),
    ("/notify/{name}/slack", "approval.approve", "an_approval_is_posted_answered_by_a_button_and_its_message_follows"),
    ("/notify/{name}/teams", "approval.approve", "a_card_is_posted_answered_by_a_button_and_follows"),
    ("/v1/targets/{target}/doctor", "target.doctor", "a_closed_target_has_no_way_past_sluice"),
    ("/v1/targets/{target}/scan", "target.scan", "a_scan_proposes_classes_and_shows_no_value"),
    ("/v1/policy/unused", "policy.unused", "what_decided_nothing_is_found_and_goes_without_a_change"),
    ("/v1/scans/{id}/cancel", "scan.cancel", "a_target_that_does_not_answer_is_given_up_and_a_scan_is_cancelled"),
    ("/v1/windows", "window.request", "a_window_is_asked_for_agreed_to_and_used"),
    ("/v1/sessions/{id}/kill", "session.kill", "a_session_is_listed_replayed_and_ended"),
    ("/v1/sessions/{id}/token", "session.renew", "a_session_is_listed_replayed_and_ended"),
    ("/v1/revocations", "subject.revoke", "id_14_a_revocation_reaches_a_session_whatever_it_does"),
    ("/v1/revocations/issuer", "issuer.revoke", "id_14_an_issuer_that_is_gone_takes_its_sessions_with_it"),
    ("/v1/revocations/lift", "revocation.lift", "revocations_are_listed_and_lifted_by_whoever_may"),
    ("/revoke", "token.revoke", "a_token_that_is_given_up_is_in_the_journal_and_not_itself"),
    ("/events", "event.account_disabled", "id_14_an_issuers_events_reach_live_sessions"),
    ("/v1/sessions/{id}/tape/remove", "tape.remove", "td_13_a_tape_that_is_removed_leaves_its_record"),
    ("/v1/proposals", "policy.propose", "a_change_is_proposed_agreed_to_and_in_force"),
    ("/v1/proposals/{id}/change", "policy.change", "an_agreement_counts_for_what_was_looked_at_alone"),
    ("/v1/proposals/{id}/withdraw", "policy.withdraw", "an_agreement_counts_for_what_was_looked_at_alone"),
    ("/v1/proposals/{id}/approve", "policy.approve", "a_change_is_proposed_agreed_to_and_in_force"),
    ("/v1/proposals/{id}/apply", "policy.apply", "a_change_is_proposed_agreed_to_and_in_force"),
    ("/v1/policy/simulations", "policy.simulate", "a_simulation_lists_what_would_go_otherwise_for_its_starter_alone"),
];

/// Routes with a body that change nothing, and why they have no entry.
const LOOKS: [(&str, &str); 4] = [
    ("/v1/policy/check", "it reads what somebody is writing, at every pause, and keeps none of it"),
    ("/v1/policy/test", "it runs the cases of what somebody is writing, and keeps none of it"),
    ("/v1/policy/unused/{id}/cancel", "it ends the caller's own looking, whose beginning has an entry"),
    ("/v1/policy/simulations/{id}/cancel", "it ends the caller's own looking, whose beginning has an entry"),
];

const STORY: &str = "every_kind_of_thing_that_matters_has_its_entry";

/// Every kind of event: where it is made, and the test in which it comes about as it does in use.
const EVENTS: [(&str, &str, &str); 32] = [
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
    ("TapeCut", "gateway/src/session_tape.rs", "a_tape_is_capped_searched_exported_and_removed"),
    ("TapeRemoved", "gateway/src/retention.rs", "a_tape_whose_time_is_over_goes"),
    ("TapePartEnded", "gateway/src/session_tape.rs", "rc_14_a_part_ends_when_it_is_old_while_nothing_is_asked"),
    ("TapeArchived", "gateway/src/archive/round.rs", "rc_11_nothing_goes_before_its_object_is_what_it_was"),
    ("TokenIssued", "control/src/token/issue.rs", "a_token_is_exchanged_for_one_of_the_same_subject"),
    ("TokenRefused", "control/src/token.rs", "what_is_not_accepted_is_not_exchanged"),
    ("Bypass", "gateway/src/postgres/doctor.rs", "every_way_past_sluice_is_found_and_a_closed_target_has_none"),
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

/// What writes SQL and is no operation of state: what it is, and why it has no entry.
const BESIDE: [(&str, &str, &str); 1] =
    [("store/src/sqlite/migrations.rs", "apply", "the form of the tables, not what is in them")];

/// Routes that are hung in elsewhere, and why they record nothing here.
const ELSEWHERE: [(&str, &str, &str); 4] = [
    ("control/src/witness.rs", "/add-checkpoint", "another machine's, which has no journal: its memory is the record"),
    ("control/src/console/pages.rs", "", "pages, which are files and change nothing: `get` alone"),
    ("control/src/console/pages.rs", "/assets/{file}", "what they consist of"),
    ("control/src/console/pages.rs", "/favicon.svg", "the same"),
];

/// What SQL statements that change something begin with.
fn writes(text: &str) -> bool {
    let words: Vec<String> = text
        .split(|symbol: char| !symbol.is_alphanumeric() && symbol != '_' && symbol != '{' && symbol != '}')
        .filter(|word| !word.is_empty())
        .map(str::to_ascii_uppercase)
        .collect();
    let at = |place: usize| words.get(place).map_or("", String::as_str);
    (0..words.len()).any(|place| match at(place) {
        "INSERT" | "REPLACE" => matches!(at(place + 1), "INTO" | "OR"),
        "DELETE" => at(place + 1) == "FROM",
        "UPDATE" => (2..=4).any(|after| at(place + after) == "SET"),
        "CREATE" | "DROP" | "ALTER" => {
            matches!(
                at(place + 1),
                "TABLE" | "INDEX" | "UNIQUE" | "TRIGGER" | "VIEW" | "VIRTUAL" | "TEMP" | "TEMPORARY"
            )
        }
        _ => false,
    })
}

fn writing(function: &Function) -> bool {
    function.texts.iter().any(|text| writes(text))
}

fn is_operation(function: &Function, name: &str) -> bool {
    function.implements.as_deref() == Some("State") && function.name == name
}

/// Holds the store's code against the table.
fn check_state(sources: &Sources) -> Result<()> {
    let code = parse(sources)?;
    let product = || code.functions.iter().filter(|function| !function.is_test);
    let there: BTreeSet<&str> = product()
        .filter(|function| function.implements.as_deref() == Some("State"))
        .map(|function| function.name.as_str())
        .collect();
    let listed: BTreeSet<&str> = STATE.iter().map(|(name, _)| *name).collect();
    ensure!(there == listed, "say what these leave in the journal: {:?}", there.symmetric_difference(&listed));
    let kinds: BTreeSet<&str> = EVENTS.iter().map(|(kind, ..)| *kind).collect();
    let graph = Graph::of(&code);
    let mut reached = BTreeSet::new();
    for (name, leaves) in STATE {
        let all = graph.reached(|function| is_operation(function, name));
        let written: Vec<_> = all.into_iter().filter(|function| writing(function)).collect();
        match leaves {
            Events(events) => {
                ensure!(!events.is_empty() && events.iter().all(|kind| kinds.contains(kind)), "{name}");
                ensure!(!written.is_empty(), "{name} changes nothing: what does it have entries for?");
            }
            Derived => ensure!(!written.is_empty(), "{name} changes nothing"),
            Nothing => ensure!(
                written.is_empty(),
                "{name} only looks, and may come to {:?}",
                written.iter().map(|function| (&function.file, &function.name)).collect::<Vec<_>>()
            ),
        }
        reached.extend(written.iter().map(|function| (function.file.clone(), function.name.clone())));
    }
    reached.extend(BESIDE.iter().map(|(file, name, _)| ((*file).to_owned(), (*name).to_owned())));
    for function in product().filter(|function| writing(function)) {
        let place = (function.file.clone(), function.name.clone());
        ensure!(reached.contains(&place), "{place:?} writes, and is behind no operation that has an entry");
    }
    Ok(())
}

#[test]
fn every_operation_of_state_leaves_an_entry_or_only_looks() -> Result<()> {
    check_state(&sources(&["store/src"])?)?;
    // The trait has just these, and nobody else has a database.
    let text = std::fs::read_to_string(testkit::command::workspace_root().join("crates/store/src/state.rs"))?;
    let parsed = syn::parse_file(&text)?;
    let of_trait = parsed.items.iter().find_map(|item| match item {
        syn::Item::Trait(item) if item.ident == "State" => Some(&item.items),
        _ => None,
    });
    let operations = of_trait.context("there is a trait")?.iter().filter(|item| matches!(item, syn::TraitItem::Fn(_)));
    ensure!(operations.count() == STATE.len(), "an operation has a body of its own");
    for entry in std::fs::read_dir(testkit::command::workspace_root().join("crates"))? {
        let manifest = entry?.path().join("Cargo.toml");
        let manifest: toml::Value = toml::from_str(&std::fs::read_to_string(&manifest)?)?;
        let name = manifest["package"]["name"].as_str().unwrap_or_default().to_owned();
        let has_database = manifest.get("dependencies").is_some_and(|all| all.get("rusqlite").is_some());
        ensure!(has_database == (name == "store"), "{name} has a database");
    }
    Ok(())
}

/// Whether a call makes a handler of a method that changes something.
fn is_changing(path: &str) -> bool {
    const METHODS: [&str; 8] = ["post", "put", "delete", "patch", "any", "on", "connect", "trace"];
    METHODS.iter().any(|method| path.ends_with(&format!("routing::{method}")))
}

/// Holds the admin API's code against the table.
fn check_routes(sources: &Sources, tests: &[Function]) -> Result<()> {
    let code = parse(sources)?;
    let graph = Graph::of(&code);
    let product = || code.functions.iter().filter(|function| !function.is_test);
    let mut there = Vec::new();
    for function in product() {
        for call in &function.calls {
            let is_here = function.file == "control/src/routes.rs";
            let hangs_in = [".route", ".route_service", ".nest", ".nest_service", ".merge", ".fallback_service"];
            if is_here && matches!(call.path.as_str(), "reads" | "changes") {
                let path = call.text.clone().context("a route has a path")?;
                let expected = if call.path == "reads" { "get" } else { "post" };
                ensure!(call.last == expected, "{path} is one of those that {}, and is {}", call.path, call.last);
                if call.path == "changes" {
                    there.push((path, call.inner.clone()));
                }
            } else if is_changing(&call.path) && (!is_here || !call.within.iter().any(|outer| outer == "changes")) {
                let known = ELSEWHERE.iter().any(|(file, ..)| *file == function.file);
                ensure!(
                    known && call.path.ends_with("::post"),
                    "{}: {} hangs in {}",
                    function.file,
                    function.name,
                    call.path
                );
            } else if hangs_in.contains(&call.path.as_str())
                // The target that a database name means is a route too.
                && !(call.path == ".route" && call.arguments == 1) && !(is_here && function.name == "router")
            {
                let path = call.text.clone().unwrap_or_default();
                let known = ELSEWHERE.iter().any(|(file, known, _)| *file == function.file && *known == path);
                ensure!(known, "{}: {} hangs in {path:?}", function.file, function.name);
            } else if is_here && call.path.starts_with('.') {
                let hung = format!("routing::{}", &call.path[1..]);
                ensure!(!is_changing(&hung), "a method is hung in beside the table: {}", call.path);
            }
        }
    }
    let looking = LOOKS.iter().map(|(path, _)| *path);
    let listed: BTreeSet<&str> = ROUTES.iter().map(|(path, ..)| *path).chain(looking).collect();
    let found: BTreeSet<&str> = there.iter().map(|(path, _)| path.as_str()).collect();
    ensure!(found == listed, "say what these record: {:?}", found.symmetric_difference(&listed));
    for (path, action, test) in ROUTES {
        let (_, handler) = there.iter().find(|(found, _)| found == path).context("it is there")?;
        let (module, name) = handler.rsplit_once("::").context("a handler is a function of a module")?;
        let file = format!("control/src/{}.rs", module.replace("::", "/"));
        let all = graph.reached(|function| function.file == file && function.of.is_none() && function.name == name);
        let is_act = |function: &&Function| {
            function.file == "control/src/journal.rs" && matches!(function.name.as_str(), "act" | "record")
        };
        ensure!(all.iter().any(is_act), "{path}: {handler} records nothing");
        ensure!(all.iter().any(|function| function.texts.contains(action)), "{path}: there is no {action}");
        seen(tests, test, &[action]).with_context(|| path.to_owned())?;
    }
    Ok(())
}

/// Whether there is such a test, and it looks for one of these.
fn seen(tests: &[Function], test: &str, wanted: &[&str]) -> Result<()> {
    let mut found = tests.iter().filter(|function| function.name == test && function.is_test).peekable();
    ensure!(found.peek().is_some(), "there is no test {test}");
    let looks = |function: &Function| {
        wanted
            .iter()
            .any(|wanted| function.words.contains(*wanted) || function.texts.iter().any(|text| text.contains(wanted)))
    };
    ensure!(found.any(looks), "{test} does not look for {wanted:?}");
    Ok(())
}

fn tests() -> Result<Vec<Function>> {
    functions(&sources(&["gateway/src", "gateway/tests", "control/tests", "sluice/tests"])?)
}

#[test]
fn every_route_that_changes_something_records_it() -> Result<()> {
    check_routes(&sources(&["control/src"])?, &tests()?)
}

/// Holds the code that makes events against the table.
fn check_events(functions: &[Function], tests: &[Function]) -> Result<()> {
    let listed: BTreeSet<&str> = EVENTS.iter().map(|(kind, ..)| *kind).collect();
    ensure!(listed == kinds()?.iter().map(String::as_str).collect(), "say where these are made and tested");
    for (kind, file, test) in EVENTS {
        let makes = |function: &Function| !function.is_test && function.file == file && function.makes.contains(kind);
        ensure!(functions.iter().any(makes), "{file} makes no {kind}");
        if test != STORY {
            seen(tests, test, &[kind, &word(kind)]).with_context(|| kind.to_owned())?;
        }
    }
    // The story looks for all kinds but those that it names as coming about elsewhere.
    let story = tests.iter().find(|function| function.name == STORY).context("there is a story")?;
    let elsewhere = story.locals.get("elsewhere").context("it says what comes about elsewhere")?;
    let other: BTreeSet<String> =
        EVENTS.iter().filter(|(_, _, test)| *test != STORY).map(|(kind, ..)| word(kind)).collect();
    ensure!(*elsewhere == other, "the story and the table differ: {:?}", elsewhere.symmetric_difference(&other));
    Ok(())
}

/// The variants of the enum.
fn kinds() -> Result<BTreeSet<String>> {
    let text = std::fs::read_to_string(testkit::command::workspace_root().join("crates/model/src/event.rs"))?;
    for item in syn::parse_file(&text)?.items {
        if let syn::Item::Enum(item) = item
            && item.ident == "Event"
        {
            return Ok(item.variants.iter().map(|variant| variant.ident.to_string()).collect());
        }
    }
    bail!("there are no events")
}

fn makers() -> Result<Sources> {
    sources(&["gateway/src", "control/src", "ledger/src"])
}

#[test]
fn every_kind_of_event_is_made_somewhere_and_tested_as_it_comes_about() -> Result<()> {
    check_events(&functions(&makers()?)?, &tests()?)
}

/// Puts a text in the place of another.
fn changed(sources: &Sources, file: &str, from: &str, to: &str) -> Result<Sources> {
    let mut sources = sources.clone();
    let text = sources.entry(file.to_owned()).or_default();
    ensure!(text.contains(from), "{file} has no {from:?}");
    match from {
        "" => text.push_str(to),
        from => *text = text.replacen(from, to, 1),
    }
    Ok(sources)
}

/// What a check says of code that it must refuse.
fn refused(checked: Result<()>) -> Result<String> {
    match checked {
        Ok(()) => bail!("it passes"),
        Err(error) => Ok(format!("{error:#}")),
    }
}

#[test]
fn an_operation_of_state_that_is_added_without_an_entry_fails() -> Result<()> {
    let there = sources(&["store/src"])?;
    let file = "store/src/sqlite.rs";
    let operation = "    fn records(&self) -> &Index {";
    let added = changed(&there, file, operation, &format!("    fn sneak(&self) {{}}\n\n{operation}"))?;
    assert!(refused(check_state(&added))?.contains("\"sneak\""));
    // One that only looks comes to write, through a method of another file and an odd spelling.
    let looks = "self.list_approvals(filter)";
    let added = changed(&there, file, looks, &format!("{{ self.quietly(); {looks} }}"))?;
    let hidden = "impl Sqlite {\n    fn quietly(&self) { let _ = locked(&self.state).execute(SQL, []); }\n}\n\
                  const SQL: &str = \"delete\\n  From approvals\";\n";
    let added = changed(&added, "store/src/sqlite/rows.rs", "", hidden)?;
    assert!(refused(check_state(&added))?.contains("approvals only looks"));
    // A write that no operation comes to.
    for sql in ["INSERT OR IGNORE INTO uses VALUES (1)", "update uses set completed = 1", "DROP TABLE uses"] {
        let alone = format!("fn alone(tx: &Connection) {{ let _ = tx.execute(&format!(\"{sql}\"), []); }}\n");
        let added = changed(&there, "store/src/vault.rs", "", &alone)?;
        assert!(refused(check_state(&added))?.contains("\"alone\""), "{sql}");
    }
    Ok(())
}

#[test]
fn a_route_that_is_added_without_an_entry_fails() -> Result<()> {
    let (there, tests) = (sources(&["control/src"])?, tests()?);
    let routes = "control/src/routes.rs";
    let said = |file: &str, from: &str, to: &str| refused(check_routes(&changed(&there, file, from, to)?, &tests));
    let windows = "changes(\"/v1/windows\", Caller, post(windows::request)),";
    let more = format!("{windows}\n        changes(\"/v1/new\", Caller, post(windows::request)),");
    assert!(said(routes, windows, &more)?.contains("/v1/new"));
    assert!(said(routes, "get(revision::whoami)", "post(revision::whoami)")?.contains("/v1/whoami"));
    assert!(said(routes, "get(revision::whoami)", "get(revision::whoami).delete(revision::get)")?.contains("delete"));
    assert!(said(routes, "route.handler.layer(guard)", "axum::routing::put(openapi::describe)")?.contains("put"));
    let hung = "fn more(router: Router<App>) -> Router<App> { router.route(\"/v1/new\", handler()) }\n";
    assert!(said("control/src/health.rs", "", hung)?.contains("/v1/new"));
    let hung = "fn more() -> MethodRouter<App> { axum::routing::patch(healthz) }\n";
    assert!(said("control/src/health.rs", "", hung)?.contains("patch"));
    // A handler whose record is a comment.
    let record = "    journal::act(&app, &caller, \"session.kill\", id.to_string()).await?;";
    let comment = "    // journal::act(&app, &caller, \"session.kill\", id.to_string()).await?;";
    assert!(said("control/src/sessions.rs", record, comment)?.contains("session"));
    Ok(())
}

#[test]
fn an_event_that_nobody_makes_or_tests_fails() -> Result<()> {
    let (there, tests) = (makers()?, tests()?);
    let made = functions(&there)?;
    for (kind, file, test) in EVENTS {
        // Named in comments and patterns alone.
        let text = there.get(file).context("a file")?.replace(&format!("Event::{kind}"), &format!("Other::{kind}"));
        let named = format!("matches!(event, Event::{kind} {{ .. }})");
        let text = format!("{text}\n// Event::{kind}\nfn is(event: &Event) -> bool {{ {named} }}\n");
        let without = functions(&Sources::from([(file.to_owned(), text)]))?;
        let others = made.iter().filter(|function| function.file != file).cloned();
        let without: Vec<Function> = others.chain(without).collect();
        assert!(refused(check_events(&without, &tests))?.contains(&format!("makes no {kind}")), "{kind}");
        let untested: Vec<Function> = tests.iter().filter(|function| function.name != test).cloned().collect();
        refused(check_events(&made, &untested))?;
    }
    Ok(())
}
