//! Secrets in arguments, environments, and files that others may read (LK-13), and in what is shipped (LK-16).

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use memchr::memmem;
use testkit::canary::leak;
use testkit::command::workspace_root;
use testkit::demo::site::{ORDER_SERVICE, Site, Tuning};
use testkit::process::sluice;
use testkit::wait::eventually_blocking;

use super::leakage::files_under;
use crate::support::{LIMIT, binary, database, postgres, prepare, rows, run};

/// What anybody may read, were it not inside a directory that nobody else can look into.
const PUBLIC: [&str; 4] = ["addresses.json", "journal.pub", "tls/ca.pem", "tls/server.pem"];

/// The program, started by somebody whose files are open to all by default.
fn careless(home: &Path) -> Result<PathBuf> {
    let script = home.join("careless");
    fs::write(&script, format!("#!/bin/sh\numask 0\nexec {} \"$@\"\n", binary().display()))?;
    fs::set_permissions(&script, fs::Permissions::from_mode(0o700))?;
    Ok(script)
}

/// Everything below a directory, with its mode.
fn modes(directory: &Path) -> Result<Vec<(PathBuf, bool, u32)>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        let metadata = fs::symlink_metadata(&path)?;
        found.push((path.clone(), metadata.is_dir(), metadata.mode() & 0o777));
        if metadata.is_dir() {
            found.extend(modes(&path)?);
        }
    }
    Ok(found)
}

/// Processes whose parent this is.
fn children(parent: u32) -> Result<Vec<u32>> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc")? {
        let name = entry?.file_name();
        let Some(pid) = name.to_str().and_then(|name| name.parse::<u32>().ok()) else { continue };
        // One that has ended meanwhile is no child any more.
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        let is_child =
            status.lines().any(|line| line.strip_prefix("PPid:").is_some_and(|of| of.trim() == parent.to_string()));
        found.extend(is_child.then_some(pid));
    }
    Ok(found)
}

#[test]
fn lk_13_what_sluice_writes_is_its_owners_alone() -> Result<()> {
    let (home, temporary) = (tempfile::tempdir()?, tempfile::tempdir()?);
    let password = database("files")?.login.password;
    let sink =
        "[[sink]]\nname = \"json\"\nkind = \"file\"\npath = \"data/json.jsonl\"\nformat = \"json\"\nfrom = \"start\"\n";
    let sluice_toml = format!("[vault]\nkey_file = \"vault.key\"\n{sink}");
    let environment = vec![("TMPDIR".into(), temporary.path().into())];
    let tuning = Tuning { sluice_toml, environment, ..Tuning::default() };
    let mut site = Site::prepare(postgres()?, &database("files")?, careless(home.path())?, &tuning)?;
    let config = site.config().display().to_string();
    let made = sluice(site.binary(), &["secret", "set", "unused", "--make-key", "--config", &config], &[]);
    assert!(!made?.status.success(), "an empty secret is none");
    site.start()?;
    let token = site.token(&ORDER_SERVICE)?;
    assert_eq!(rows(&site, &token, "SELECT count(*) > 0 FROM orders")?, "t");
    run(&site, &token, "DROP TABLE orders")?;
    sluice(site.binary(), &["sessions", "history", "--config", &config], &[])?.success()?;
    eventually_blocking(LIMIT, "the first event in the file", || {
        Ok(fs::metadata(site.data().join("json.jsonl")).is_ok_and(|file| file.len() > 0).then_some(()))
    })?;

    // Neither what started it, nor what it started, if anything, has a secret where `ps` shows it.
    let pid = site.process()?.pid();
    let key = fs::read_to_string(site.data().join("keys/token.key"))?;
    for pid in children(pid)?.into_iter().chain([pid]) {
        for what in ["cmdline", "environ"] {
            let bytes = fs::read(format!("/proc/{pid}/{what}")).with_context(|| format!("{what} of {pid}"))?;
            for secret in [&token, &password, key.trim()] {
                assert_eq!(leak(&bytes, secret), None, "{what} of {pid}");
            }
        }
    }
    site.stop()?;

    let found = modes(&site.data())?;
    for name in
        ["keys/token.key", "keys/tape.key", "keys/masking.key", "keys/journal.key", "tls/server.key", "state.db"]
    {
        assert!(found.iter().any(|(path, ..)| path.ends_with(name)), "there is no {name}");
    }
    for (inside, kind) in [("keys/tapes/", "key of a tape"), ("/tapes/", "tape"), ("/journal/", "segment")] {
        assert!(found.iter().any(|(path, ..)| path.display().to_string().contains(inside)), "there is no {kind}");
    }
    let public = |path: &Path| PUBLIC.iter().any(|name| path.ends_with(name));
    let open = found.iter().filter(|(path, is_directory, mode)| match is_directory {
        true => *mode != 0o700,
        false => *mode != 0o600 && !public(path),
    });
    let open: Vec<String> = open.map(|(path, _, mode)| format!("{} has mode {mode:o}", path.display())).collect();
    assert!(open.is_empty(), "{}", open.join("\n"));
    assert_eq!(fs::metadata(site.home().join("vault.key"))?.mode() & 0o777, 0o600);
    let left: Vec<_> = fs::read_dir(temporary.path())?.collect();
    assert!(left.is_empty(), "left in TMPDIR: {left:?}");
    Ok(())
}

#[test]
fn lk_13_a_secret_that_others_can_read_is_not_used() -> Result<()> {
    let open = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode));
    let mut site = prepare("open_files", Tuning::default())?;
    let password = site.home().join("payments.password");
    open(&password, 0o644)?;
    site.start()?;
    let token = site.token(&ORDER_SERVICE)?;
    let refused = run(&site, &token, "SELECT 1")?;
    assert!(!refused.status.success() && refused.stderr.contains("cannot be reached"), "{}", refused.stderr);
    assert!(!refused.stderr.contains("password\""), "{}", refused.stderr);
    assert!(site.log().contains("payments.password is open to others; run chmod 600 on it"), "{}", site.log());
    // The group may read it: that is how secrets are mounted. Nothing has to be started again.
    open(&password, 0o640)?;
    assert_eq!(rows(&site, &token, "SELECT 1")?, "1");
    site.stop()?;

    // Sluice's own keys: it does not start.
    for name in ["token.key", "tape.key", "masking.key", "journal.key"] {
        let key = site.data().join("keys").join(name);
        open(&key, 0o644)?;
        let refused = site.start().err().with_context(|| format!("it started with an open {name}"))?;
        let told = format!("{refused:#}");
        assert!(told.contains(&format!("{name} is open to others; run chmod 600 on it")), "{told}");
        open(&key, 0o600)?;
    }
    // What others put there, and can be right, is warned about: certificates' keys, directories, tokens of people.
    let (own, clients) = (site.data().join("tls/server.key"), site.token_file("order-service"));
    open(&own, 0o644)?;
    open(&site.data(), 0o755)?;
    site.start()?;
    let log = site.log();
    assert!(log.contains("a private key is open to others") && log.contains("server.key"), "{log}");
    assert!(log.contains("run chmod 700 on it"), "{log}");
    site.renew_tokens()?;
    open(&clients, 0o644)?;
    let config = site.config().display().to_string();
    let arguments = ["whoami", "--config", &config, "--token-file", &clients.display().to_string()];
    let warned = sluice(site.binary(), &arguments, &[])?;
    assert!(warned.stderr.contains("order-service.token is open to others"), "{}", warned.stderr);
    assert!(warned.success()?.contains("order-service"));
    open(&clients, 0o600)?;
    assert_eq!(sluice(site.binary(), &arguments, &[])?.stderr, "");
    Ok(())
}

/// What no release may hold: a key of anybody, and the names and passwords of the demo and of tests.
fn forbidden_in(bytes: &[u8]) -> Vec<String> {
    let mut found = Vec::new();
    // A block of PEM with content; the words alone are in every program that reads one.
    for at in memmem::find_iter(bytes, b"-----BEGIN ") {
        let rest = bytes.get(at + 11..).unwrap_or_default();
        let Some(end) = memmem::find(rest.get(..80.min(rest.len())).unwrap_or_default(), b"-----") else { continue };
        let (label, content) = (rest.get(..end).unwrap_or_default(), rest.get(end + 5..).unwrap_or_default());
        let content = content.iter().skip_while(|byte| byte.is_ascii_whitespace());
        let length = content.take_while(|byte| byte.is_ascii_alphanumeric() || b"+/=".contains(byte)).count();
        if memmem::find(label, b"PRIVATE KEY").is_some() && length >= 32 {
            found.push(format!("a block of {}", String::from_utf8_lossy(label)));
        }
    }
    masking::detect::scan(bytes, masking::detect::Hints::default(), &mut |matched| {
        if matched.detector == masking::detect::Detector::Jwt {
            found.push("a token".into());
        }
    });
    for word in DEFAULTS {
        if memmem::find(bytes, word.as_bytes()).is_some() {
            found.push(format!("{word:?}"));
        }
    }
    found
}

/// Of the demo and the tests (`order-service` is in examples of the help), and what is guessed first.
const DEFAULTS: [&str; 17] = [
    "fraud-service",
    "payments-apps",
    "pci-cleared",
    "sluice_app",
    "demo|",
    "hunter2",
    "changeme",
    "change-me",
    "letmein",
    "password123",
    "s3cret",
    "admin:admin",
    "postgres:postgres",
    "root:root",
    "P@ssw0rd",
    "correct horse",
    "testkit_",
];

#[test]
fn lk_16_nothing_of_tests_and_no_default_is_in_what_is_shipped() -> Result<()> {
    // What is looked for is found.
    let key = rcgen::KeyPair::generate()?.serialize_pem();
    let token = crate::support::shared()?.token(&ORDER_SERVICE)?;
    let planted = format!("\0{key}\0 {token} \0password = \"changeme\"");
    assert_eq!(forbidden_in(planted.as_bytes()), ["a block of PRIVATE KEY", "a token", "\"changeme\""]);

    assert_eq!(forbidden_in(&fs::read(binary())?), [""; 0], "in the program");
    let home = tempfile::tempdir()?;
    let directory = home.path().join("fresh").display().to_string();
    sluice(&binary(), &["init", &directory], &[])?.success()?;
    let written = files_under(home.path())?;
    assert!(written.len() >= 6, "{} files", written.len());
    for (name, bytes) in &written {
        assert_eq!(forbidden_in(bytes), [""; 0], "in {name}");
        // A secret is named by where it is.
        for line in String::from_utf8_lossy(bytes).lines().filter(|line| line.contains("password =")) {
            assert!(["{ env =", "{ file =", "{ vault ="].iter().any(|place| line.contains(place)), "{name}: {line}");
        }
    }
    for (name, bytes) in files_under(&workspace_root().join("examples"))? {
        let found = forbidden_in(&bytes);
        assert!(found.iter().all(|found| found.starts_with('"')), "{name}: {found:?}");
    }
    Ok(())
}
