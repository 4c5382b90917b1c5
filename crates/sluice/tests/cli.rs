//! The real program, from a fresh configuration on, without a target.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use model::event::Event;
use serde_json::Value;
use tempfile::TempDir;
use testkit::command::{Output, go_program, run};
use testkit::process::{Options, SluiceProcess};
use testkit::wait::eventually_blocking;

fn binary() -> PathBuf {
    PathBuf::from(env!("CARGO_BIN_EXE_sluice"))
}

/// Runs it with nothing of the developer's own environment.
fn sluice_with(arguments: &[&str], environment: &[(&str, &str)], input: &str) -> Result<Output> {
    let mut command = Command::new(binary());
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("SLUICE") {
            command.env_remove(name);
        }
    }
    command.args(arguments).envs(environment.iter().copied()).current_dir("/");
    run(command, input.as_bytes())
}

fn sluice(arguments: &[&str]) -> Result<Output> {
    sluice_with(arguments, &[], "")
}

fn code(output: &Output) -> i32 {
    output.status.code().unwrap_or(-1)
}

/// A fresh configuration on free ports.
struct Fresh {
    dir: TempDir,
}

impl Fresh {
    fn new() -> Result<Self> {
        let dir = TempDir::new()?;
        let path = dir.path().join("etc").display().to_string();
        sluice(&["init", &path])?.success()?;
        let fresh = Self { dir };
        fresh.edit("sluice.toml", ":6432", ":0")?;
        fresh.edit("sluice.toml", ":7632", ":0")?;
        Ok(fresh)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join("etc").join(name)
    }

    fn config(&self) -> String {
        self.path("sluice.toml").display().to_string()
    }

    fn edit(&self, name: &str, from: &str, to: &str) -> Result<()> {
        let text = std::fs::read_to_string(self.path(name))?;
        ensure!(text.contains(from), "{name} has no {from:?}");
        Ok(std::fs::write(self.path(name), text.replace(from, to))?)
    }

    fn start(&self) -> Result<SluiceProcess> {
        SluiceProcess::start(&Options {
            binary: binary(),
            config: self.path("sluice.toml"),
            data_directory: self.path("data"),
            environment: vec![],
        })
    }

    /// Runs a command against this configuration.
    fn run(&self, arguments: &[&str]) -> Result<Output> {
        sluice_with(arguments, &[("SLUICE_CONFIG", &self.config())], "")
    }
}

#[test]
fn what_init_writes_passes_check() -> Result<()> {
    let fresh = Fresh::new()?;
    let checked = fresh.run(&["check"])?;
    assert_eq!(code(&checked), 0, "{}", checked.stderr);
    let policies = fresh.path("revision/policies").display().to_string();
    assert_eq!(code(&sluice(&["policy", "check", &policies])?), 0);
    assert_eq!(code(&sluice(&["policy", "check", &fresh.path("revision").display().to_string()])?), 0);
    let again = sluice(&["init", &fresh.path("").display().to_string()])?;
    assert_eq!(code(&again), 1);
    assert!(again.stderr.contains("would overwrite"), "{}", again.stderr);
    Ok(())
}

/// Every mistake at once, with its file, its line and what to write instead.
#[test]
fn check_reports_every_mistake_at_once() -> Result<()> {
    let fresh = Fresh::new()?;
    fresh.edit("sluice.toml", "[limits]", "[limits]\nmax_statment = \"1MiB\"\nlogin_timeout = \"ten\"")?;
    fresh.edit("revision/targets.toml", "protocol = \"postgres\"", "protocol = \"oracle\"")?;
    fresh.edit("revision/classification.toml", "mask = \"partial\"", "mask = \"partly\"")?;
    let checked = fresh.run(&["check"])?;
    assert_eq!(code(&checked), 1);
    for expected in ["sluice.toml:", "max_statment", "login_timeout", "targets.toml:", "classification.toml:", "partly"]
    {
        assert!(checked.stderr.contains(expected), "{expected} is not in:\n{}", checked.stderr);
    }
    let fresh = Fresh::new()?;
    fresh.edit("revision/policies/example.cedar", "Action::\"connect\"", "Action::\"conect\"")?;
    fresh.edit("revision/policies/admin.cedar", "@id(\"sluice-admin\")", "@name(\"sluice-admin\")")?;
    let checked = fresh.run(&["check"])?;
    assert_eq!(code(&checked), 1);
    for expected in ["example.cedar:", "conect", "admin.cedar:", "@name"] {
        assert!(checked.stderr.contains(expected), "{expected} is not in:\n{}", checked.stderr);
    }
    let served = fresh.run(&["serve"])?;
    assert_eq!(code(&served), 1, "OP-01: it does not listen with a broken revision");
    assert!(served.stderr.contains("conect"), "{}", served.stderr);
    assert!(!fresh.path("data/addresses.json").exists());
    Ok(())
}

#[test]
fn the_first_administrator_is_whoever_reads_the_key() -> Result<()> {
    let fresh = Fresh::new()?;
    let sluice = fresh.start()?;
    let who: Value = serde_json::from_str(&fresh.run(&["whoami", "--json"])?.success()?)?;
    assert_eq!(who["subject"]["id"], "admin");
    assert_eq!(who["may"].as_array().context("verbs")?.len(), 8);
    let arguments = ["token", "--subject", "bob", "--group", "readers", "--for", "5m"];
    let token = fresh.run(&arguments)?.success()?;
    let url = format!("http://{}", sluice.address("admin")?);
    let as_bob = [("SLUICE_URL", url.as_str()), ("SLUICE_TOKEN", token.trim())];
    let who = sluice_with(&["whoami"], &as_bob, "")?.success()?;
    assert!(who.contains("sluice|bob") && who.contains("sluice|readers"), "{who}");
    let refused = sluice_with(&["sessions", "list"], &as_bob, "")?;
    assert_eq!(code(&refused), 1);
    assert!(refused.stderr.contains("admin:sessions"), "{}", refused.stderr);
    let file = fresh.path("bob.token");
    std::fs::write(&file, token.trim())?;
    let from_file = [("SLUICE_URL", url.as_str()), ("SLUICE_TOKEN_FILE", file.to_str().context("a path")?)];
    assert_eq!(code(&sluice_with(&["whoami"], &from_file, "")?), 0);
    assert_eq!(code(&fresh.run(&["token", "--for", "2h"])?), 2, "longer than Sluice believes");
    let log = sluice.log();
    assert!(!log.contains(token.trim()), "LK-01");
    assert_eq!(sluice.stop()?, 0);
    Ok(())
}

#[test]
fn every_listing_works_on_a_fresh_sluice() -> Result<()> {
    let fresh = Fresh::new()?;
    let _sluice = fresh.start()?;
    for arguments in [
        ["approvals", "list"].as_slice(),
        &["approvals", "list", "--pending", "--since", "24h"],
        &["sessions", "list"],
        &["sessions", "history", "--since", "2026-11-23T02:00:00Z"],
        &["audit", "search", "--target", "payments", "--since", "1h", "--verb", "delete", "--outcome", "deny"],
        &["audit", "report", "--class", "card_number", "--since", "7d"],
        &["audit", "events"],
        &["policy", "revisions"],
        &["policy", "proposals"],
        &["notify", "list"],
    ] {
        let shown = fresh.run(arguments)?;
        assert_eq!(code(&shown), 0, "{arguments:?}: {}", shown.stderr);
        let as_json = fresh.run(&[arguments, &["--json"]].concat())?.success()?;
        assert!(serde_json::from_str::<Value>(&as_json)?.is_array(), "{arguments:?}: {as_json}");
    }
    let search = ["audit", "search", "--subject", "order-service", "--class", "card_number"];
    let summary = fresh.run(&search)?.success()?;
    let line = "order-service read card_number: 0 in clear, 0 masked, 0 unknown";
    assert_eq!(summary.lines().last(), Some(line));
    let disclosed = fresh.run(&["audit", "disclosed", "--class", "card_number"])?.success()?;
    assert_eq!(disclosed, "everybody together read card_number: 0 in clear, 0 masked, 0 unknown\n");
    for (arguments, expected) in [
        (["sessions", "show", "0000000000001"], 1),
        (["sessions", "replay", "0000000000001"], 1),
        (["sessions", "kill", "0000000000001"], 1),
        (["sessions", "kill", "not-an-id"], 2),
        (["approvals", "show", "apr-0000000000001"], 1),
        (["approvals", "approve", "apr-0000000000001"], 1),
        (["approvals", "deny", "1"], 2),
        (["policy", "proposal", "prp-0000000000001"], 1),
        (["policy", "withdraw", "1"], 2),
        (["policy", "diff", "7"], 1),
        (["notify", "test", "no-such-channel"], 1),
        (["notify", "test", "../approvals"], 2),
        (["audit", "search", "--since=soon"], 2),
        (["audit", "search", "--verb=vanish"], 1),
    ] {
        assert_eq!(code(&fresh.run(&arguments)?), expected, "{arguments:?}");
    }
    Ok(())
}

#[test]
fn a_change_of_policies_takes_two_on_the_command_line() -> Result<()> {
    let fresh = Fresh::new()?;
    fresh.edit("sluice.toml", "# apply = false", "apply = true")?;
    let sluice = fresh.start()?;
    let url = format!("http://{}", sluice.address("admin")?);
    let token = |name: &str| {
        let made = fresh.run(&["token", "--subject", name, "--group", "sluice-admin", "--for", "5m"])?.success()?;
        Ok::<_, anyhow::Error>(made.trim().to_owned())
    };
    let (ann, bob) = (token("ann")?, token("bob")?);
    let by = |token: &str, arguments: &[&str]| {
        sluice_with(&[&["policy"], arguments].concat(), &[("SLUICE_URL", url.as_str()), ("SLUICE_TOKEN", token)], "")
    };
    let candidate = fresh.path("candidate");
    std::fs::create_dir_all(candidate.join("policies"))?;
    for entry in std::fs::read_dir(fresh.path("revision/policies"))? {
        let entry = entry?;
        std::fs::copy(entry.path(), candidate.join("policies").join(entry.file_name()))?;
    }
    let dir = candidate.to_str().context("a path of text")?;
    let propose = ["propose", dir, "--reason", "guests look around", "--json"];
    let same = by(&ann, &propose)?;
    assert!(code(&same) == 1 && same.stderr.contains("nothing would change"), "{}", same.stderr);
    let more = candidate.join("policies/guests.cedar");
    std::fs::write(&more, "@id(\"guests\")\npermit (principal, action == Action::\"admin:reed\", resource);\n")?;
    let wrong = by(&ann, &["try", dir])?;
    assert!(code(&wrong) == 1 && wrong.stdout.contains("policies/guests.cedar:2:"), "{}{}", wrong.stdout, wrong.stderr);
    std::fs::write(&more, "@id(\"guests\")\npermit (principal, action == Action::\"admin:read\", resource);\n")?;
    let tried = by(&ann, &["try", dir, "--since", "1h"])?.success()?;
    assert!(tried.contains("0, all as expected") && tried.contains("0 requests and 0 sessions would"), "{tried}");
    let proposed: Value = serde_json::from_str(&by(&ann, &propose)?.success()?)?;
    let text = |place: &str| proposed.pointer(place).and_then(Value::as_str).context("a text").map(str::to_owned);
    let (id, digest) = (text("/proposal/id")?, text("/proposal/digest")?);
    let shown = by(&bob, &["proposal", &id])?.success()?;
    assert!(shown.contains("+@id(\"guests\")") && shown.contains("0 of 1") && shown.contains(&digest), "{shown}");
    // Another proposal that begins alike could be made by whoever wrote this one.
    let short = digest.get(..32).context("a digest")?;
    assert_eq!(code(&by(&bob, &["approve", &id, "--digest", short])?), 2);
    let own = by(&ann, &["approve", &id, "--digest", &digest])?;
    assert!(code(&own) == 1 && own.stderr.contains("their own"), "{}", own.stderr);
    let other = by(&bob, &["approve", &id, "--digest", &"0".repeat(64)])?;
    assert!(code(&other) == 1 && other.stderr.contains("was changed since you looked at it"), "{}", other.stderr);
    assert_eq!(code(&by(&bob, &["approve", &id, "--digest", "xyz"])?), 2);
    let early = by(&bob, &["apply", &id, "--digest", &digest])?;
    assert!(code(&early) == 1 && early.stderr.contains("0 of 1"), "{}", early.stderr);
    assert!(by(&bob, &["approve", &id, "--digest", &digest])?.success()?.contains("1 of 1"));
    assert!(by(&ann, &["apply", &id, "--digest", &digest])?.success()?.contains("revision 2"));
    assert!(fresh.path("revision/policies/guests.cedar").exists());
    let listed = by(&bob, &["revisions"])?.success()?;
    assert!(listed.contains(&id) && listed.contains("sluice|ann"), "{listed}");
    assert!(by(&bob, &["diff", "2"])?.success()?.contains("+++ b/policies/guests.cedar"));
    let again: Value = serde_json::from_str(&{
        std::fs::remove_file(&more)?;
        by(&ann, &propose)?.success()?
    })?;
    let again = again.pointer("/proposal/id").and_then(Value::as_str).context("an id")?.to_owned();
    assert!(by(&ann, &["withdraw", &again])?.success()?.contains("withdrawn"));
    let events = sluice_with(&["audit", "events"], &[("SLUICE_URL", &url), ("SLUICE_TOKEN", &bob)], "")?.success()?;
    assert!(events.contains("policy.apply") && events.contains("policy.approve"), "{events}");
    Ok(())
}

#[test]
fn asking_where_nothing_listens_is_3() -> Result<()> {
    let fresh = Fresh::new()?;
    fresh.run(&["token"])?.success()?;
    assert_eq!(code(&fresh.run(&["whoami"])?), 3);
    let nobody = [("SLUICE_URL", "http://127.0.0.1:1"), ("SLUICE_TOKEN", "x")];
    assert_eq!(code(&sluice_with(&["whoami"], &nobody, "")?), 3);
    assert_eq!(code(&sluice(&["whoami"])?), 2, "nobody said which");
    let in_clear = [("SLUICE_URL", "http://192.0.2.1:80"), ("SLUICE_TOKEN", "x")];
    assert_eq!(code(&sluice_with(&["whoami"], &in_clear, "")?), 2, "a token does not travel in clear");
    Ok(())
}

/// Away from the loopback addresses the admin API speaks TLS alone.
#[test]
fn the_admin_api_is_inside_tls_elsewhere() -> Result<()> {
    let fresh = Fresh::new()?;
    fresh.edit(
        "sluice.toml",
        "[listen.admin]\naddress = \"127.0.0.1:0\"",
        "[listen.admin]\naddress = \"0.0.0.0:0\"",
    )?;
    let child = testkit_free_start(&fresh)?;
    let who = eventually(|| fresh.run(&["whoami"]))?;
    assert_eq!(code(&who), 0, "{}", who.stderr);
    let addresses: Value = serde_json::from_slice(&std::fs::read(fresh.path("data/addresses.json"))?)?;
    let admin = addresses["admin"].as_str().context("admin")?.replace("0.0.0.0", "127.0.0.1");
    let plain = testkit::process::http_get(admin.parse()?, "/readyz");
    assert!(plain.is_err(), "no plain HTTP: {plain:?}");
    let unknown = [("SLUICE_URL", format!("https://{admin}")), ("SLUICE_TOKEN", "x".into())];
    let unknown = unknown.each_ref().map(|(name, value)| (*name, value.as_str()));
    let refused = sluice_with(&["whoami"], &unknown, "")?;
    assert_eq!(code(&refused), 3, "a certificate of no known CA: {}", refused.stderr);
    drop(child);
    Ok(())
}

/// A `sluice serve` whose readiness is not asked over plain HTTP; ended when dropped.
struct Serving(std::process::Child);

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn testkit_free_start(fresh: &Fresh) -> Result<Serving> {
    let mut command = Command::new(binary());
    command.arg("serve").env("SLUICE_CONFIG", fresh.config());
    command.stdin(std::process::Stdio::null()).stderr(std::process::Stdio::null());
    Ok(Serving(command.spawn()?))
}

fn eventually(work: impl Fn() -> Result<Output>) -> Result<Output> {
    let until = std::time::Instant::now() + std::time::Duration::from_secs(20);
    loop {
        let output = work()?;
        if code(&output) == 0 || std::time::Instant::now() > until {
            return Ok(output);
        }
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
}

#[test]
fn one_changed_byte_of_the_journal_is_found() -> Result<()> {
    let fresh = Fresh::new()?;
    let sluice = fresh.start()?;
    assert_eq!(code(&fresh.run(&["audit", "verify"])?), 0, "also while it is written");
    sluice.stop()?;
    let whole = fresh.run(&["audit", "verify"])?.success()?;
    assert!(whole.contains("the record is whole: 3 entries, 3 of them signed"), "{whole}");
    let journal = fresh.path("data/journal");
    let segment = first_segment(&journal)?;
    let mut bytes = std::fs::read(&segment)?;
    let started = bytes.windows(5).position(|window| window == b"0.1.0").context("the version in the first entry")?;
    bytes[started] ^= 1;
    std::fs::write(&segment, bytes)?;
    let (key, journal) = (fresh.path("data/journal.pub").display().to_string(), journal.display().to_string());
    let damaged = sluice_with(&["audit", "verify", "--journal", &journal, "--key", &key], &[], "")?;
    assert_eq!(code(&damaged), 1);
    assert!(damaged.stderr.contains("DAMAGED") && damaged.stderr.contains("entry 0"), "{}", damaged.stderr);
    let as_json = fresh.run(&["audit", "verify", "--json"])?;
    let report: Value = serde_json::from_str(&as_json.stdout)?;
    assert_eq!((code(&as_json), &report["good"], &report["entry"]), (1, &Value::Bool(false), &Value::from(0)));
    Ok(())
}

/// A hole in what is not signed: the bytes of an entry are zeros, and whole entries follow.
#[test]
fn rc_02_what_a_power_cut_left_is_set_aside_when_somebody_says_so() -> Result<()> {
    let fresh = Fresh::new()?;
    fresh.start()?.stop()?;
    let nothing = fresh.run(&["audit", "repair"])?.success()?;
    assert_eq!(nothing, "nothing had to be set aside; the journal has 3 entries\n");
    let journal = fresh.path("data/journal");
    let segment = journal.join("00000000000000000000.segment");
    let signed = std::fs::read(&segment)?.len();
    fresh.start()?.kill()?;
    let mut bytes = std::fs::read(&segment)?;
    ensure!(bytes.len() > signed + 60, "nothing was written behind what is signed");
    bytes[signed..signed + 20].fill(0);
    let damaged = bytes[signed..].to_vec();
    std::fs::write(&segment, bytes)?;
    let refused = fresh.run(&["serve"])?;
    assert!(refused.stderr.contains("sluice audit repair"), "{}", refused.stderr);
    let repaired = fresh.run(&["audit", "repair"])?.success()?;
    let aside = format!("00000000000000000000.segment.{signed}.aside");
    assert!(repaired.contains(&aside) && repaired.contains("the journal has 3 entries"), "{repaired}");
    ensure!(std::fs::read(journal.join(&aside))? == damaged, "what was set aside is not what was there");
    fresh.start()?.stop()?;
    let whole = fresh.run(&["audit", "verify"])?.success()?;
    assert!(whole.contains("7 entries, 7 of them signed"), "{whole}");
    let mut reader = ledger::Reader::open(Arc::new(ledger::RealDisk), &journal, 3);
    let Some((_, entry)) = reader.next()? else { anyhow::bail!("there is no entry of it") };
    ensure!(matches!(&entry.event, Event::Gap { reason, .. } if reason.contains(&aside)), "{:?}", entry.event);
    Ok(())
}

#[test]
fn the_key_of_the_journal_is_changed_while_sluice_is_stopped() -> Result<()> {
    let fresh = Fresh::new()?;
    let running = fresh.start()?;
    let held = fresh.run(&["audit", "rotate-key"])?;
    assert_eq!(code(&held), 1);
    assert!(held.stderr.contains("another process has this journal open"), "{}", held.stderr);
    running.stop()?;
    let (first, public) = (fresh.path("first.pub"), fresh.path("data/journal.pub"));
    let secret = fresh.path("data/keys/journal.key");
    std::fs::copy(&public, &first)?;
    let before = std::fs::read(&secret)?;
    let changed = fresh.run(&["audit", "rotate-key"])?.success()?;
    assert!(changed.contains("the first 4 entries are signed by it"), "{changed}");
    assert!(changed.contains(std::fs::read_to_string(&public)?.trim()), "{changed}");
    ensure!(
        std::fs::read(&secret)? != before && !fresh.path("data/keys/journal.next").exists(),
        "the old key is there"
    );
    let mut reader = ledger::Reader::open(Arc::new(ledger::RealDisk), &fresh.path("data/journal"), 0);
    let mut last = None;
    while let Some((_, entry)) = reader.next()? {
        last = Some(entry.event);
    }
    ensure!(matches!(last, Some(Event::KeyRotated { .. })), "{last:?}");
    fresh.start()?.stop()?;
    for key in [&first, &public] {
        let whole = fresh.run(&["audit", "verify", "--key", &key.display().to_string()])?.success()?;
        assert!(whole.contains("7 entries, 7 of them signed"), "{whole}");
    }
    let tiles = fresh.path("tiles").display().to_string();
    assert_eq!(fresh.run(&["audit", "tiles", &tiles])?.success()?, "7 entries, 7 of them new\n");
    assert_eq!(fresh.run(&["audit", "tiles", &tiles])?.success()?, "7 entries, 0 of them new\n");
    for key in [&first, &public] {
        let whole = sluice(&["audit", "verify", "--tiles", &tiles, "--key", &key.display().to_string()])?.success()?;
        assert!(whole.contains("the tiles are whole: 7 entries"), "{whole}");
    }
    let tile = fresh.path("tiles/tile/0/000.p/7");
    let mut bytes = std::fs::read(&tile)?;
    bytes[0] ^= 1;
    std::fs::write(&tile, bytes)?;
    let damaged = sluice(&["audit", "verify", "--tiles", &tiles, "--key", &public.display().to_string()])?;
    assert_eq!(code(&damaged), 1);
    assert!(damaged.stderr.contains("DAMAGED: tile/0/000.p/7"), "{}", damaged.stderr);
    let first_checkpoint = fresh.path("data/journal/checkpoint").display().to_string();
    let kept =
        fresh.run(&["audit", "verify", "--key", &first.display().to_string(), "--checkpoint", &first_checkpoint])?;
    assert_eq!(code(&kept), 0, "{}", kept.stderr);
    Ok(())
}

/// As somebody else reads them, with the public key and a checkpoint that was kept.
#[test]
fn td_12_a_public_client_reads_what_audit_tiles_writes() -> Result<()> {
    let fresh = Fresh::new()?;
    let tiles = fresh.path("tiles").display().to_string();
    let kept = fresh.path("kept");
    let key = || std::fs::read_to_string(fresh.path("data/journal.pub"));
    let read = |older: &[&Path]| {
        let mut client = Command::new(go_program("tlog")?);
        client.arg(key()?.trim()).arg(&tiles).args(older);
        run(client, b"")?.success()
    };
    let export = || -> Result<String> {
        fresh.start()?.stop()?;
        fresh.run(&["audit", "tiles", &tiles])?.success()
    };
    export()?;
    assert_eq!(read(&[])?, "good 3\n");
    std::fs::copy(fresh.path("tiles/checkpoint"), &kept)?;
    export()?;
    assert_eq!(read(&[&kept])?, "good 6\n");
    std::fs::write(fresh.path("tiles/tile/0/000.p/6"), [0; 6 * 32])?;
    assert_eq!(read(&[])?, "bad \"downloaded inconsistent tile\"\n");
    Ok(())
}

/// A witness that ends with the test.
struct Witness(std::process::Child);

impl Drop for Witness {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_witness_cosigns_and_verification_asks_for_it() -> Result<()> {
    let fresh = Fresh::new()?;
    fresh.start()?.stop()?;
    let (log, dir) =
        (fresh.path("data/journal.pub").display().to_string(), fresh.path("witness").display().to_string());
    let refused = sluice(&["audit", "witness", "--dir", &dir, "--log", &log, "--listen", "0.0.0.0:0"])?;
    assert_eq!(code(&refused), 1);
    assert!(refused.stderr.contains("TLS"), "{}", refused.stderr);
    let mut command = Command::new(binary());
    command.args(["audit", "witness", "--dir", &dir, "--log", &log, "--listen", "127.0.0.1:0", "--name", "w.example"]);
    let mut witness =
        Witness(command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::null()).spawn()?);
    let mut line = String::new();
    let out = witness.0.stdout.as_mut().context("it is piped")?;
    std::io::BufRead::read_line(&mut std::io::BufReader::new(out), &mut line)?;
    let address = line.trim().rsplit(' ').next().context("it says where it listens")?.to_owned();
    let configured = format!(
        "[[witness]]\nname = \"w1\"\nurl = \"http://{address}\"\nkey = \"witness/witness.pub\"\nallow_http = true\n\n[limits]"
    );
    fresh.edit("sluice.toml", "[limits]", &configured)?;
    let checked = fresh.run(&["check"])?;
    assert_eq!(code(&checked), 0, "{}", checked.stderr);
    fresh.start()?.stop()?;
    let key = fresh.path("witness/witness.pub").display().to_string();
    let whole = fresh.run(&["audit", "verify", "--witness-key", &key])?.success()?;
    assert!(whole.contains("6 entries cosigned by w.example at 20"), "{whole}");
    let kept = fresh.path("data/journal/witness-w1");
    std::fs::remove_file(&kept)?;
    let without = fresh.run(&["audit", "verify", "--witness-key", std::fs::read_to_string(&key)?.trim()])?;
    assert_eq!(code(&without), 1);
    assert!(without.stderr.contains("no checkpoint is cosigned by the witness w.example"), "{}", without.stderr);
    Ok(())
}

fn first_segment(journal: &Path) -> Result<PathBuf> {
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(journal)?.map(|entry| entry.map(|entry| entry.path())).collect::<Result<_, _>>()?;
    files.sort();
    let is_segment = |path: &PathBuf| std::fs::read(path).is_ok_and(|bytes| bytes.windows(5).any(|w| w == b"0.1.0"));
    files.into_iter().find(is_segment).context("no segment has the first entry")
}

#[test]
fn secrets_come_from_standard_input_and_stay_sealed() -> Result<()> {
    let fresh = Fresh::new()?;
    let config = fresh.config();
    let environment = [("SLUICE_CONFIG", config.as_str())];
    let value = "canary-5f2c-9b1e\n";
    let set =
        |arguments: &[&str]| sluice_with(&[&["secret", "set", "payments"], arguments].concat(), &environment, value);
    let without = set(&[])?;
    assert_eq!(code(&without), 1);
    assert!(without.stderr.contains("[vault]"), "{}", without.stderr);
    fresh.edit("sluice.toml", "# [vault]\n# key_file", "[vault]\nkey_file")?;
    let without = set(&[])?;
    assert_eq!(code(&without), 1);
    assert!(without.stderr.contains("--make-key"), "{}", without.stderr);
    let made = set(&["--make-key"])?;
    assert_eq!((code(&made), made.stdout.as_str()), (0, "payments is set\n"), "{}", made.stderr);
    let listed = fresh.run(&["secret", "list"])?.success()?;
    assert!(listed.contains("payments"), "{listed}");
    for entry in std::fs::read_dir(fresh.path("data"))? {
        let path = entry?.path();
        let bytes = std::fs::read(&path).unwrap_or_default();
        assert!(!bytes.windows(11).any(|window| window == b"canary-5f2c"), "{}", path.display());
    }
    // What was done while Sluice was stopped is in the journal when it runs, and what is done beside it as well.
    let running = fresh.start()?;
    assert_eq!(code(&fresh.run(&["secret", "remove", "payments"])?), 0);
    assert_eq!(code(&fresh.run(&["secret", "remove", "payments"])?), 1);
    assert_eq!(code(&sluice_with(&["secret", "set", "empty"], &environment, "\n")?), 1);
    let expected = [("vault.make", ""), ("secret.set", "payments"), ("secret.remove", "payments")];
    let recorded = || {
        let mut reader = ledger::Reader::open(Arc::new(ledger::RealDisk), &fresh.path("data/journal"), 0);
        let mut found = Vec::new();
        while let Some((_, entry)) = reader.next()? {
            if let Event::AdminAction { subject, action, object, .. } = entry.event {
                ensure!(&*subject.issuer == "sluice" && subject.id.starts_with("uid:"), "{subject:?}");
                found.push((action.to_string(), object.to_string()));
            }
        }
        Ok((found.len() == expected.len()).then_some(found))
    };
    let found = eventually_blocking(Duration::from_secs(20), "every change to be recorded", recorded)?;
    assert_eq!(found.iter().map(|(action, name)| (&**action, &**name)).collect::<Vec<_>>(), expected);
    running.stop()?;
    Ok(())
}

#[test]
fn help_completions_and_usage() -> Result<()> {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = sluice(&["completions", shell])?.success()?;
        assert!(script.contains("approvals"), "{shell}");
    }
    for command in
        ["init", "serve", "check", "token", "secret", "approvals", "request", "sessions", "audit", "whoami", "policy"]
    {
        let help = sluice(&[command, "--help"])?.success()?;
        assert!(help.contains("Example"), "{command} has no examples:\n{help}");
    }
    assert_eq!(code(&sluice(&["vanish"])?), 2);
    assert_eq!(code(&sluice(&[])?), 2);
    Ok(())
}
