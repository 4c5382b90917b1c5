//! How Sluice logs in at a target, and how it comes to an end: through a whole gateway in this process.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod world;

use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use testkit::postgres::{Authentication, Login};
use testkit::wait::eventually_blocking;
use world::World;

/// A `targets.toml` whose target is logged in at with `login`, with these further settings.
fn targets(world: &World, login: &Login, more: &str) -> String {
    let file = world.dir.path().join(&login.user);
    std::fs::write(&file, &login.password).unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
    let password = match &login.certificate {
        None => format!(", password = {{ file = \"{}\" }}", file.display()),
        Some(_) => String::new(),
    };
    format!(
        "[payments]\nprotocol = \"postgres\"\naddress = \"{}:{}\"\ndatabases = [\"payments\"]\n\
         labels = {{ env = \"prod\" }}\nca_file = \"{}\"\ncredential = {{ user = \"{}\"{password} }}\n{more}\n",
        world.server.host(),
        world.server.port(),
        world.server.ca_certificate().display(),
        login.user,
    )
}

fn apply(world: &World, text: &str) {
    let before = world.node.revisions.current().id;
    std::fs::write(world.dir.path().join("revision/targets.toml"), text).unwrap();
    let changed = || Ok((world.node.revisions.current().id != before).then_some(()));
    eventually_blocking(Duration::from_secs(20), "the revision", changed).unwrap();
}

#[test]
fn every_way_to_log_in_at_a_target_works_and_md5_only_where_it_is_allowed() {
    let world = World::start(200);
    let token = world.reader();
    let login = |user: &str, authentication| world.server.login(user, authentication).unwrap();
    let works = |name: &str| assert_eq!(world.rows(&token, "SELECT 1").trim(), "1", "{name}");
    works("SCRAM-SHA-256-PLUS");
    apply(&world, &targets(&world, &login("in_clear", Authentication::Cleartext), ""));
    works("a password in clear, inside verified TLS");
    let with_md5 = login("with_md5", Authentication::Md5);
    apply(&world, &targets(&world, &with_md5, ""));
    let refused = world.psql(&token, &["-X", "-c", "SELECT 1"]);
    assert!(refused.stderr.contains("the target cannot be reached"), "{}", refused.stderr);
    apply(&world, &targets(&world, &with_md5, "allow_md5 = true"));
    works("md5");
    let certified = login("certified", Authentication::Certificate);
    let files = certified.certificate.clone().unwrap();
    let more = format!("client_cert = \"{}\"\nclient_key = \"{}\"", files.certificate.display(), files.key.display());
    apply(&world, &targets(&world, &certified, &more));
    works("a client certificate");
    let plain = login("unencrypted", Authentication::ScramWithoutTls);
    let text = targets(&world, &plain, "tls = \"off\"").replace("ca_file", "# ca_file");
    apply(&world, &text);
    works("SCRAM-SHA-256 in clear, by the operator's word");
}

#[test]
fn a_stop_lets_what_runs_finish_and_ends_the_rest() {
    let world = World::start(200);
    let token = world.token("migrator", &["apps", "readers", "migrations", "cleared"]);
    // psql waits in its transaction until the other end of the pipe was opened and closed again.
    let pipe = world.dir.path().join("pipe");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let script = format!(
        "BEGIN;\nSELECT 'begun';\n\\! cat {}\nSELECT 'still served' FROM generate_series(1, 3);\nCOMMIT;\nSELECT 'too late';\n",
        pipe.display()
    );
    let output = std::thread::scope(|scope| {
        let session = scope.spawn(|| world.psql_with(&token, &["-X", "-A", "-t", "-f", "-"], &script));
        let opened = std::fs::OpenOptions::new().write(true).open(&pipe).unwrap();
        world.stop();
        let closed = || Ok(std::net::TcpStream::connect(world.address).is_err().then_some(()));
        eventually_blocking(Duration::from_secs(20), "the listener to close", closed).unwrap();
        drop(opened);
        session.join().unwrap()
    });
    assert!(output.stdout.contains("still served") && !output.stdout.contains("too late"), "{output:?}");
    assert!(output.stderr.contains("stopping"), "{output:?}");
    let refused = world.psql(&token, &["-X", "-c", "SELECT 1"]);
    assert!(!refused.status.success(), "a stopped node takes nobody in");
}
