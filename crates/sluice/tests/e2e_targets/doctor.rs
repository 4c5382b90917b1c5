//! `sluice target doctor` (RULES.md 39): each way past Sluice is found, and none where there is none.

use std::collections::BTreeSet;
use std::io::Write;
use std::process::Stdio;
use std::sync::Arc;

use ledger::{Reader, RealDisk};
use model::event::Event;
use serde_json::Value;
use testkit::command::client_command;
use testkit::demo::site::{DBA, ORDER_SERVICE, Person, Site, Tuning};
use testkit::payments;
use testkit::postgres::{Options, Postgres};
use testkit::process::sluice;

use crate::support::{binary, rows, token};

/// Whoever operates Sluice.
const OPERATOR: Person = Person { name: "operator", groups: &["operators"], is_human: true };

const POLICY: &str =
    "@id(\"operators\")\npermit (principal in Group::\"operators\", action == Action::\"admin:operate\", resource);\n";

/// A server of its own: what is provoked holds for all of it.
fn prepared() -> (Postgres, Site) {
    let server = Postgres::start(Options::default()).unwrap();
    let payments = payments::load(&server, 100).unwrap();
    let mut tuning = Tuning::default();
    tuning.policies.push(("50-operators.cedar".into(), POLICY.into()));
    let mut site = Site::prepare(&server, &payments, binary(), &tuning).unwrap();
    site.start().unwrap();
    (server, site)
}

/// What the command says as JSON, and how it ends.
fn doctor(site: &Site) -> (Value, i32) {
    let token = site.token(&OPERATOR).unwrap();
    let config = site.config().display().to_string();
    let environment = [("SLUICE_CONFIG", config.as_str()), ("SLUICE_TOKEN", &token)];
    let output = sluice(site.binary(), &["target", "doctor", "payments", "--json"], &environment).unwrap();
    let report = serde_json::from_str(&output.stdout).unwrap_or_else(|_| panic!("{output:?}"));
    (report, output.status.code().unwrap())
}

/// The checks that found something, as `check/severity`.
fn found(report: &Value) -> BTreeSet<String> {
    let findings = report["findings"].as_array().unwrap();
    let named =
        |finding: &Value| format!("{}/{}", finding["check"].as_str().unwrap(), finding["severity"].as_str().unwrap());
    findings.iter().map(named).collect()
}

fn set(checks: &[&str]) -> BTreeSet<String> {
    checks.iter().map(|check| (*check).to_owned()).collect()
}

/// Brings the target to where Sluice is the only way: nothing is found.
fn close(server: &Postgres) {
    let close = "
        CREATE ROLE tables_owner NOLOGIN;
        GRANT CREATE ON SCHEMA public TO tables_owner;
        REASSIGN OWNED BY sluice_app TO tables_owner;
        GRANT ALL ON ALL TABLES IN SCHEMA public TO sluice_app;
        GRANT EXECUTE ON FUNCTION pg_catalog.pg_hba_file_rules() TO sluice_app;
        GRANT SELECT ON pg_catalog.pg_hba_file_rules TO sluice_app;";
    server.sql("payments", close).unwrap();
}

/// Writes pg_hba.conf anew.
fn admit(server: &Postgres, lines: &[&str]) {
    let rows: Vec<String> = lines.iter().map(|line| format!("('{line}')")).collect();
    let path = server.sql("postgres", "SHOW hba_file").unwrap();
    let write = format!("COPY (SELECT * FROM (VALUES {}) AS rows (line)) TO '{path}'", rows.join(", "));
    server.sql("postgres", &write).unwrap();
    server.sql("postgres", "SELECT pg_reload_conf()").unwrap();
}

#[test]
fn every_way_past_sluice_is_found_and_a_closed_target_has_none() {
    let (server, site) = prepared();
    rows(&site, &site.token(&ORDER_SERVICE).unwrap(), "SELECT 1").unwrap();
    // As the demo has it: the owner of everything, and a socket that anybody on the machine uses.
    let (report, code) = doctor(&site);
    assert_eq!((found(&report), code), (set(&["owner/warning"]), 0), "{report}");
    assert!(report["unchecked"][0].as_str().unwrap().contains("pg_hba"), "{report}");
    close(&server);

    // Each provoked.
    let provoke = "
        ALTER ROLE sluice_app BYPASSRLS REPLICATION CREATEROLE CREATEDB;
        GRANT pg_read_all_data, pg_execute_server_program TO sluice_app;
        ALTER ROLE sluice_app SET search_path = hidden;
        ALTER DATABASE payments SET extra_float_digits = 1;
        CREATE FUNCTION watch() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END';
        CREATE EVENT TRIGGER watching ON ddl_command_end EXECUTE FUNCTION watch();
        ALTER SYSTEM SET password_encryption = 'md5';
        SELECT pg_reload_conf();";
    for statement in provoke.split_inclusive(";\n") {
        server.sql("payments", statement).unwrap();
    }
    let mut other = client_command("psql").unwrap();
    other.args(["-X", "-A", "-t", "-d", "payments", "-U", "postgres"]).env("PGHOST", server.socket_directory());
    other.env("PGPORT", server.port().to_string()).env("PGAPPNAME", "a way around");
    let mut other = other.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    other.stdin.as_mut().unwrap().write_all(b"SELECT 1;\n").unwrap();
    let connected = || {
        let sessions = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'a way around'";
        Ok((server.sql("postgres", sessions)? == "1").then_some(()))
    };
    testkit::wait::eventually_blocking(crate::support::LIMIT, "a session", connected).unwrap();
    let (report, code) = doctor(&site);
    let wanted = set(&[
        "bypassrls/serious",
        "replication/serious",
        "createrole/serious",
        "createdb/warning",
        "membership/serious",
        "membership/warning",
        "setting/warning",
        "event_trigger/warning",
        "md5/warning",
        "session/serious",
        // The rules of the test's server: five methods for its roles, from Sluice's own address, and the socket.
        "pg_hba/warning",
        "pg_hba/note",
    ]);
    assert_eq!((found(&report), code), (wanted, 1), "{report}");
    assert!(report["unchecked"].as_array().unwrap().is_empty(), "{report}");
    let settings: Vec<_> =
        report["findings"].as_array().unwrap().iter().filter(|one| one["check"] == "setting").collect();
    assert!(settings.len() == 1 && settings[0]["what"].as_str().unwrap().contains("search_path"), "{settings:?}");
    let gravest = report["findings"][0]["severity"].as_str();
    assert_eq!(gravest, Some("serious"));
    drop(other.stdin.take());
    other.wait().unwrap();

    // A superuser is said once: nothing else says more.
    server.sql("postgres", "ALTER ROLE sluice_app SUPERUSER").unwrap();
    let (report, code) = doctor(&site);
    assert!(found(&report).contains("superuser/serious") && !found(&report).contains("bypassrls/serious"), "{report}");
    assert_eq!(code, 1);

    // Mended.
    let mend = "
        ALTER ROLE sluice_app NOSUPERUSER NOBYPASSRLS NOREPLICATION NOCREATEROLE NOCREATEDB;
        REVOKE pg_read_all_data, pg_execute_server_program FROM sluice_app;
        ALTER ROLE sluice_app RESET search_path;
        DROP EVENT TRIGGER watching;
        ALTER SYSTEM RESET password_encryption;";
    for statement in mend.split_inclusive(";\n") {
        server.sql("payments", statement).unwrap();
    }
    admit(
        &server,
        &["hostssl payments sluice_app 127.0.0.1/32 scram-sha-256", "host all all 10.0.0.0/8 scram-sha-256"],
    );
    let (report, code) = doctor(&site);
    assert_eq!((found(&report), code), (set(&["pg_hba/serious"]), 1), "{report}");
    journal_has(&site, "superuser");
}

#[test]
fn a_closed_target_has_no_way_past_sluice() {
    let (server, site) = prepared();
    rows(&site, &site.token(&ORDER_SERVICE).unwrap(), "SELECT 1").unwrap();
    close(&server);
    admit(&server, &["hostssl payments sluice_app 127.0.0.1/32 scram-sha-256", "host all all all reject"]);
    let (report, code) = doctor(&site);
    assert_eq!((found(&report), code), (set(&[]), 0), "{report}");
    assert!(report["unchecked"].as_array().unwrap().is_empty(), "{report}");
    // Only who operates Sluice may look, and that somebody looked is in the record.
    let config = site.config().display().to_string();
    let dba = site.token(&DBA).unwrap();
    let refused =
        sluice(site.binary(), &["target", "doctor", "payments"], &[("SLUICE_CONFIG", &config), ("SLUICE_TOKEN", &dba)]);
    assert!(refused.unwrap().stderr.contains("admin:operate"));
    let operator = token(&site, "operator", &["operators"]).unwrap();
    let environment = [("SLUICE_CONFIG", config.as_str()), ("SLUICE_TOKEN", operator.as_str())];
    let told = sluice(site.binary(), &["target", "doctor", "payments"], &environment).unwrap().success().unwrap();
    assert_eq!(told, "nothing was found\n");
    let unknown = sluice(site.binary(), &["target", "doctor", "nowhere"], &environment).unwrap();
    assert!(unknown.stderr.contains("there is no such target"), "{unknown:?}");
    let events = events(&site);
    let empty = |event: &&Event| matches!(event, Event::Bypass { findings, .. } if findings.is_empty());
    assert_eq!(events.iter().filter(empty).count(), 2);
    let acts = |event: &&Event| matches!(event, Event::AdminAction { action, .. } if &**action == "target.doctor");
    assert_eq!(events.iter().filter(acts).count(), 2);
}

#[test]
fn a_target_is_examined_before_anything_serves() {
    let server = Postgres::start(Options::default()).unwrap();
    let payments = payments::load(&server, 100).unwrap();
    let site = Site::prepare(&server, &payments, binary(), &Tuning::default()).unwrap();
    server.sql("postgres", "ALTER ROLE sluice_app SUPERUSER").unwrap();
    let config = site.config().display().to_string();
    let command = ["target", "doctor", "payments", "--offline", "--json", "--config", &config];
    let output = sluice(site.binary(), &command, &[]).unwrap();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let report: Value = serde_json::from_str(&output.stdout).unwrap_or_else(|_| panic!("{output:?}"));
    assert!(found(&report).contains("superuser/serious"), "{report}");
    journal_has(&site, "superuser");
    assert!(matches!(events(&site).last(), Some(Event::Stopped)));
}

fn events(site: &Site) -> Vec<Event> {
    let mut reader = Reader::open(Arc::new(RealDisk), &site.data().join("journal"), 0);
    std::iter::from_fn(|| reader.next().unwrap()).map(|(_, entry)| entry.event).collect()
}

/// What was found is in the journal, and before it that Sluice is about to look.
#[track_caller]
fn journal_has(site: &Site, check: &str) {
    let events = events(site);
    let has = |event: &Event| matches!(event, Event::Bypass { findings, .. } if findings.iter().any(|one| &*one.check == check));
    let at = events.iter().position(has).expect("the finding is in the journal");
    let looks = |event: &Event| matches!(event, Event::OwnStatement { name, .. } if &**name == "doctor");
    assert!(events[..at].iter().any(looks));
}
