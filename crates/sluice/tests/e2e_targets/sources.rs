//! Secrets of sources (LK-01, RULES.md 37 O3): whatever happens with them, they are in nothing that the program writes or shows.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use serde_json::json;
use testkit::canary::{Canary, leak};
use testkit::demo::site::{ORDER_SERVICE, Site, Tuning};
use testkit::openbao::OpenBao;
use testkit::payments;
use testkit::postgres::{Options, Postgres};

use crate::support::{binary, run};

fn write(site: &Site, name: &str, text: &str, mode: u32) -> PathBuf {
    let path = site.home().join(name);
    std::fs::write(&path, text).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
    path
}

/// Brings this password source of the target into force.
fn revise(site: &Site, before: &str, password: &str) {
    let path = site.revision_file("targets.toml");
    let text = std::fs::read_to_string(&path).unwrap();
    let target = &text[text.find("[payments]").unwrap()..];
    let lines = target.lines().map(|line| match line.starts_with("credential") {
        true => format!("credential = {{ user = \"sluice_app\", password = {{ {password} }} }}\n"),
        false => format!("{line}\n"),
    });
    let text = format!("{before}{}", lines.collect::<String>());
    site.revise(|| Ok(std::fs::write(&path, text)?)).unwrap();
}

#[test]
fn lk_01_no_secret_of_a_source_is_logged_recorded_or_shown() {
    let (server, bao) = (Postgres::start(Options::default()).unwrap(), OpenBao::start().unwrap());
    let payments = payments::load(&server, 100).unwrap();
    let tuning = Tuning { sluice_toml: "[log]\nlevel = \"trace\"\n".into(), ..Tuning::default() };
    let mut site = Site::prepare(&server, &payments, binary(), &tuning).unwrap();
    site.start().unwrap();
    let token = site.token(&ORDER_SERVICE).unwrap();
    let mut told = String::new();
    let mut ask = |site: &Site, works: bool| {
        let output = run(site, &token, "SELECT 1").unwrap();
        assert_eq!(output.status.success(), works, "{output:?}");
        told.push_str(&output.stderr);
    };
    let password = Canary::random().unwrap().token;
    server.sql("postgres", &format!("ALTER ROLE sluice_app PASSWORD '{password}'")).unwrap();
    let (role_id, secret_id) = bao.app_role("1h", "2h").unwrap();
    let file = write(&site, "secret-id", &secret_id, 0o600);
    let server_of = format!(
        "[[openbao]]\nname = \"corp\"\nurl = \"{}\"\nauth = {{ approle = \"{role_id}\", secret_id = {{ file = \"{}\" }} }}\n\n",
        bao.url(),
        file.display()
    );
    // It serves, it is refused by the target, and the secret is not what it should be.
    let kv = "openbao = \"corp\", kv = \"secret/data/payments\"";
    bao.done("POST", "secret/data/payments", Some(&json!({ "data": { "password": password } }))).unwrap();
    revise(&site, &server_of, kv);
    ask(&site, true);
    let wrong = Canary::random().unwrap().token;
    bao.done("POST", "secret/data/payments", Some(&json!({ "data": { "password": wrong } }))).unwrap();
    ask(&site, false);
    bao.done("POST", "secret/data/payments", Some(&json!({ "data": { "other": wrong } }))).unwrap();
    ask(&site, false);
    // A program that serves, one that tells its secret to whoever listens, and one that answers nonsense with it.
    let answer = format!("{{\"version\":1,\"password\":\"{password}\"}}");
    for (script, works) in [
        (format!("echo '{answer}'; echo 'the password is {password}' >&2"), true),
        (format!("echo '{answer}'; echo '{answer}' >&2; exit 1"), false),
        (format!("echo 'password: {password}'; echo 'no JSON: {password}' >&2"), false),
    ] {
        let program = write(&site, "program", &format!("#!/bin/sh\n{script}\n"), 0o700);
        revise(&site, "", &format!("exec = [\"{}\"], reference = \"{works}\"", program.display()));
        ask(&site, works);
        revise(&site, &server_of, kv);
    }
    let metrics = site.process().unwrap().get("/metrics").unwrap().1;
    site.stop().unwrap();
    let mut looked = vec![("what callers are told", told.into_bytes()), ("metrics", metrics.into_bytes())];
    looked.push(("the log", site.log().into_bytes()));
    let mut directories = vec![site.data()];
    while let Some(directory) = directories.pop() {
        for entry in std::fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                directories.push(path)
            } else {
                looked.push(("the data directory", std::fs::read(path).unwrap()))
            }
        }
    }
    assert!(site.log().contains("withheld"), "the log says what it does not show");
    for secret in [&password, &wrong, &secret_id] {
        for (place, bytes) in &looked {
            assert_eq!(leak(bytes, secret), None, "{place}");
        }
    }
}
