//! `sluice target scan`: the right classes are proposed, no value leaves the scan, and a hostile target is bounded.

use std::path::Path;
use std::sync::Arc;

use ledger::{Reader, RealDisk};
use model::event::Event;
use serde_json::Value;
use testkit::canary::{Canary, assert_absent, luhn_digit};
use testkit::command::Output;
use testkit::demo::site::{DBA, Person, Site, Tuning};
use testkit::payments;
use testkit::postgres::{Options, Postgres};
use testkit::process::sluice;
use testkit::scripted::{
    ScriptedServer, authentication_ok, command_complete, data_row, parameter_status, ready_for_query, row_description,
};
use testkit::wait::eventually_blocking;

use crate::support::{LIMIT, admin, binary};

const OPERATOR: Person = Person { name: "operator", groups: &["operators"], is_human: true };

const POLICY: &str =
    "@id(\"operators\")\npermit (principal in Group::\"operators\", action == Action::\"admin:operate\", resource);\n";

/// As the shop began: nothing is classified but one column, which is said to be public, and one wrongly.
const CLASSIFICATION: &str = r#"
[[column]]
match = "crm.people.shown"
public = true

[[column]]
match = "crm.people.wrong"
classes = ["iban"]
"#;

fn tuning() -> Tuning {
    let mut tuning = Tuning::default();
    tuning.policies.push(("50-operators.cedar".into(), POLICY.into()));
    tuning
}

fn prepared() -> (Postgres, Site) {
    let server = Postgres::start(Options::default()).unwrap();
    let payments = payments::load(&server, 2_000).unwrap();
    let mut site = Site::prepare(&server, &payments, binary(), &tuning()).unwrap();
    std::fs::write(site.revision_file("classification.toml"), CLASSIFICATION).unwrap();
    site.start().unwrap();
    (server, site)
}

fn run(site: &Site, who: &Person, more: &[&str]) -> Output {
    let token = site.token(who).unwrap();
    let config = site.config().display().to_string();
    let environment = [("SLUICE_CONFIG", config.as_str()), ("SLUICE_TOKEN", &token)];
    let arguments: Vec<&str> = ["target", "scan", "payments"].iter().chain(more).copied().collect();
    sluice(site.binary(), &arguments, &environment).unwrap()
}

fn scan(site: &Site) -> Value {
    let output = run(site, &OPERATOR, &["--json"]);
    serde_json::from_str(&output.stdout).unwrap_or_else(|_| panic!("{output:?}\n{}", site.log()))
}

/// The proposals as `column class/confidence`.
fn proposed(report: &Value) -> Vec<String> {
    let proposals = report["proposals"].as_array().unwrap();
    let text = |one: &Value, name: &str| one[name].as_str().unwrap().to_owned();
    proposals
        .iter()
        .map(|one| format!("{} {}/{}", text(one, "column"), text(one, "class"), text(one, "confidence")))
        .collect()
}

fn events(site: &Site) -> Vec<Event> {
    let mut reader = Reader::open(Arc::new(RealDisk), &site.data().join("journal"), 0);
    std::iter::from_fn(|| reader.next().unwrap()).map(|(_, entry)| entry.event).collect()
}

/// Every file below a directory.
fn files(of: &Path) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(of).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found
}

/// Rows whose every value is of a class, a canary among them, and digits that follow no rule.
fn people(canary: &Canary) -> String {
    let mut rows = String::from(
        "CREATE SCHEMA crm; CREATE TABLE crm.people (a text, contact text, c text, shown text, wrong text, ref numeric, \
         note text, born date, e_mail_verified boolean, key text, huge text, doc jsonb); ",
    );
    for at in 0..60_u64 {
        let body = format!("4{:014}", at * 7_919_131 + 17);
        let card = if at == 7 { canary.card.clone() } else { format!("{body}{}", luhn_digit(&body)) };
        let email = if at == 7 { canary.email.clone() } else { format!("person.{at}@example.com") };
        let ssn = if at == 7 { canary.ssn.clone() } else { format!("{:03}-{:02}-{:04}", 100 + at, 1 + at, 1 + at) };
        let random = at.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let note = if at % 6 == 0 { format!("ask {email} again") } else { "nothing".into() };
        rows.push_str(&format!(
            "INSERT INTO crm.people VALUES ('{card}', '{email}', '{ssn}', '{email}', 'word {at}', 4{:015}, '{note}', \
             '1980-01-01', true, '{}', repeat('4111111111111111 ', 20000), '{{\"a\": \"{email}\"}}');",
            random % 1_000_000_000_000_000,
            canary.token,
        ));
    }
    rows
}

#[test]
fn a_scan_proposes_classes_and_shows_no_value() {
    let (server, site) = prepared();
    let canary = Canary::random().unwrap();
    server.sql("payments", &people(&canary)).unwrap();
    let more = r#"
        CREATE TABLE crm."we""ird\ name" ("e-mail @HIDDEN@x" text, "a.b" text, "x""
[[column]]
match = ""*.*.*"" #" text, "card number" text);
        INSERT INTO crm."we""ird\ name" SELECT 'p' || n || '@example.com', 'p' || n || '@example.com', 'p' || n || '@example.com', 'x'
            FROM generate_series(1, 30) n;
        CREATE TABLE crm.guarded (email text);
        INSERT INTO crm.guarded VALUES ('secret.person@example.com');
        CREATE FUNCTION crm.fail() RETURNS boolean LANGUAGE plpgsql AS 'BEGIN RAISE ''a policy was run''; END';
        CREATE POLICY all_rows ON crm.guarded USING (crm.fail());
        ALTER TABLE crm.guarded ENABLE ROW LEVEL SECURITY;
        CREATE VIEW crm.trap AS SELECT crm.fail() AS email;
        CREATE TABLE crm.parts (id int, mail text) PARTITION BY RANGE (id);
        CREATE TABLE crm.parts_1 PARTITION OF crm.parts FOR VALUES FROM (0) TO (100);
        INSERT INTO crm.parts SELECT n, 'q' || n || '@example.com' FROM generate_series(1, 50) n;
        CREATE FOREIGN DATA WRAPPER nowhere;
        CREATE SERVER nowhere FOREIGN DATA WRAPPER nowhere;
        CREATE TABLE crm.spread (id int, mail text) PARTITION BY RANGE (id);
        CREATE TABLE crm.spread_1 PARTITION OF crm.spread FOR VALUES FROM (0) TO (100);
        CREATE TABLE crm.spread_2 PARTITION OF crm.spread FOR VALUES FROM (100) TO (200) PARTITION BY RANGE (id);
        CREATE FOREIGN TABLE crm.spread_2_1 PARTITION OF crm.spread_2 FOR VALUES FROM (100) TO (150) SERVER nowhere;
        CREATE TABLE crm.hidden (iban text);
        GRANT USAGE ON SCHEMA crm TO sluice_app;
        GRANT SELECT ON ALL TABLES IN SCHEMA crm TO sluice_app;
        REVOKE ALL ON crm.hidden FROM sluice_app;"#;
    server.sql("payments", &more.replace("@HIDDEN@", "\u{202e}")).unwrap();

    let report = scan(&site);
    let _: control::shape::ScanReportView = serde_json::from_value(report.clone()).unwrap();
    let found = proposed(&report);
    for wanted in [
        "public.customers.name person_name/medium",
        "public.customers.email email/high",
        "public.customers.ssn us_ssn/high",
        "public.customers.phone phone/high",
        "public.cards.number card_number/high",
        "public.cards.cvv card_cvv/high",
        "crm.people.a card_number/high",
        "crm.people.contact email/high",
        "crm.people.c us_ssn/high",
        "crm.parts.mail email/high",
        "crm.hidden.iban iban/medium",
        "crm.guarded.email email/medium",
        "crm.we\"ird\\ name.card number card_number/low",
    ] {
        assert!(found.iter().any(|one| one == wanted), "{wanted}: {found:#?}");
    }
    // Digits that follow no rule, money, notes, moments and flags are nobody's.
    for column in
        ["ref ", "note ", "total ", "amount ", "status ", "verified ", "created_at ", "shown ", "parts_1", "trap"]
    {
        assert!(!found.iter().any(|one| one.contains(column)), "{column}: {found:#?}");
    }
    let told =
        |name: &str| report[name].as_array().unwrap().iter().map(Value::to_string).collect::<Vec<_>>().join("\n");
    let contradictions = told("contradictions");
    assert!(contradictions.contains("crm.people.shown") && contradictions.contains("it is public"), "{contradictions}");
    assert!(contradictions.contains("crm.people.wrong") && contradictions.contains("iban"), "{contradictions}");
    let unsampled = told("unsampled");
    assert!(unsampled.contains("crm.guarded") && unsampled.contains("row security"), "{unsampled}");
    assert!(unsampled.contains("crm.spread") && unsampled.contains("a partition of it is a foreign"), "{unsampled}");
    assert_eq!(report["classified"], 2);

    // Nothing that was read is anywhere: not in the answer, not for people, not in a log, journal or file.
    let file = site.home().join("proposed.toml");
    let written = run(&site, &OPERATOR, &["--write", &file.display().to_string()]);
    assert_eq!(written.status.code(), Some(0), "{written:?}");
    for text in [report.to_string(), format!("{}{}", written.stdout, written.stderr), site.log()] {
        assert_absent(text.as_bytes(), &canary);
    }
    for file in files(&site.data()).into_iter().chain([file.clone()]) {
        assert_absent(&std::fs::read(&file).unwrap_or_default(), &canary);
    }
    assert!(!written.stderr.contains('\u{202e}') && !written.stdout.contains('\u{202e}'), "{written:?}");
    let again = run(&site, &OPERATOR, &["--write", &file.display().to_string()]);
    assert!(again.stderr.contains("File exists"), "a file that is there stays: {again:?}");

    // The lines are a classification, and what they classify is not proposed again.
    let lines = std::fs::read_to_string(&file).unwrap();
    assert!(!lines.contains("*.*.*\"\npublic") && !lines.contains("\nmatch = \"*"), "{lines}");
    site.revise(|| Ok(std::fs::write(site.revision_file("classification.toml"), format!("{CLASSIFICATION}{lines}"))?))
        .unwrap();
    let after = scan(&site);
    let left = proposed(&after);
    assert!(
        left.iter().all(|one| one.ends_with("/low") || one.contains("a.b") || one.contains("[[column]]")),
        "{left:#?}"
    );
    assert!(after["classified"].as_u64().unwrap() > 10, "{after}");

    // Only who operates Sluice may, and what it did is in the record.
    assert!(run(&site, &DBA, &[]).stderr.contains("admin:operate"));
    let events = events(&site);
    let acts = |event: &&Event| matches!(event, Event::AdminAction { action, object, .. } if &**action == "target.scan" && &**object == "payments/payments");
    let own = |event: &&Event| matches!(event, Event::OwnStatement { name, .. } if &**name == "scan");
    assert_eq!((events.iter().filter(acts).count(), events.iter().filter(own).count()), (4, 4));
}

#[test]
fn wrong_questions_are_told_what_is_wrong() {
    let (_server, site) = prepared();
    let token = site.token(&OPERATOR).unwrap();
    for (path, status) in [
        ("/v1/targets/nowhere/scan", 404),
        ("/v1/targets/payments/scan?database=nowhere", 404),
        ("/v1/targets/payments/scan?rows=0", 400),
        ("/v1/targets/payments/scan?rows=1001", 400),
        ("/v1/targets/payments/scan?row=1", 400),
        ("/v1/scans/0123456789abcdef/cancel", 404),
    ] {
        assert_eq!(admin::call(&site, &token, "POST", path, None).unwrap().0, status, "{path}");
    }
    assert_eq!(admin::call(&site, &token, "GET", "/v1/scans/0123456789abcdef", None).unwrap().0, 404);
}

/// A target with one table, which answers for its rows with `flood` again and again, or with nothing.
async fn hostile(flood: Option<Vec<u8>>) -> ScriptedServer {
    let name = |text: &str| Some(text.as_bytes().to_vec());
    let row: Vec<Option<Vec<u8>>> = ["1", "public", "t", "r", "f", "1", "c", "text", "", "t"].map(name).into();
    let row: Vec<Option<&[u8]>> = row.iter().map(Option::as_deref).collect();
    let names = [row_description(&["a"; 10]), data_row(&row), command_complete("SELECT 1")].concat();
    ScriptedServer::start(move |mut peer, _| {
        let (flood, names) = (flood.clone(), names.clone());
        async move {
            peer.read_startup().await?;
            let settings =
                [("server_version", "15.0"), ("client_encoding", "UTF8"), ("standard_conforming_strings", "on")];
            let settings = settings.map(|(name, value)| parameter_status(name, value)).concat();
            peer.send(&[authentication_ok(), settings, ready_for_query(b'I')].concat()).await?;
            while let Ok(message) = peer.read_message().await {
                let text = String::from_utf8_lossy(&message.body).into_owned();
                if text.contains("pg_attribute") {
                    peer.send(&[names.clone(), ready_for_query(b'T')].concat()).await?;
                } else if text.starts_with("SELECT CASE") {
                    let Some(flood) = &flood else { continue };
                    peer.send(&row_description(&["a"])).await?;
                    while peer.send(flood).await.is_ok() {}
                } else {
                    peer.send(&[command_complete("BEGIN"), ready_for_query(b'T')].concat()).await?;
                }
            }
            Ok(())
        }
    })
    .await
    .unwrap()
}

fn in_front_of(server: &ScriptedServer) -> Site {
    let postgres = crate::support::postgres().unwrap();
    let tuning =
        Tuning { target_address: Some(server.address().to_string()), target: "tls = \"off\"\n".into(), ..tuning() };
    let mut site = Site::prepare(postgres, &crate::support::database("scanned").unwrap(), binary(), &tuning).unwrap();
    site.start().unwrap();
    site
}

#[tokio::test(flavor = "multi_thread")]
async fn a_target_that_sends_without_end_is_left() {
    for size in [100, 1 << 20] {
        let value = vec![b'4'; size];
        let server = hostile(Some(data_row(&[Some(&value)]))).await;
        let site = in_front_of(&server);
        let report = tokio::task::block_in_place(|| scan(&site));
        let why = report["unsampled"][0]["why"].as_str().unwrap();
        assert!(why.contains("did not answer with a sample"), "{report}");
        assert_eq!(report["values"], 0, "what a broken answer brought does not count");
        let memory = std::fs::read_to_string(format!("/proc/{}/status", site.process().unwrap().pid())).unwrap();
        let most = memory.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap().trim().trim_end_matches(" kB");
        assert!(most.parse::<u64>().unwrap() < 400 * 1024, "{most} kB");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_target_that_does_not_answer_is_given_up_and_a_scan_is_cancelled() {
    let server = hostile(None).await;
    let site = in_front_of(&server);
    tokio::task::block_in_place(|| {
        let token = site.token(&OPERATOR).unwrap();
        let call = |method: &str, path: &str| admin::call(&site, &token, method, path, None).unwrap();
        let (status, begun) = call("POST", "/v1/targets/payments/scan");
        assert_eq!(status, 202, "{begun}");
        let path = format!("/v1/scans/{}", begun["id"].as_str().unwrap());
        let until = |wanted: &dyn Fn(&Value) -> bool| {
            eventually_blocking(LIMIT, "the scan", || {
                let (_, scan) = call("GET", &path);
                Ok(wanted(&scan).then_some(()))
            })
            .unwrap();
        };
        until(&|scan| scan["relations"] == 1);
        assert_eq!(call("POST", "/v1/targets/payments/scan").0, 409, "one at a time");
        assert_eq!(call("POST", &format!("{path}/cancel")).0, 200);
        until(&|scan| scan["state"] == "cancelled" && scan["report"].is_null());
        // The next one is left alone until its target is given up.
        let report = scan(&site);
        assert!(report["unsampled"][0]["why"].as_str().unwrap().contains("did not answer"), "{report}");
        let cancels = |event: &Event| matches!(event, Event::AdminAction { action, .. } if &**action == "scan.cancel");
        assert!(events(&site).iter().any(cancels));
    });
}
