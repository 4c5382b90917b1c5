//! Secrets in the memory of the running program, after whoever gave them is gone (LK-09).

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::Write as _;
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use memchr::memmem;
use testkit::canary::Canary;
use testkit::demo::site::{ORDER_SERVICE, Site, Tuning};
use testkit::wait::eventually_blocking;

use crate::support::admin::call;
use crate::support::oracle::Watched;
use crate::support::raw::{Raw, bind, execute, parse, sync};
use crate::support::{LIMIT, binary, database, postgres};

/// What must not be in memory any more, by what it is.
struct Secrets(Vec<(&'static str, String)>);

impl Secrets {
    /// A token: what opens something is its signature.
    fn token(&mut self, what: &'static str, token: &str) {
        self.0.push((what, token.rsplit('.').next().unwrap_or(token).to_owned()));
    }

    /// Which of them the memory of the process holds, with where.
    fn found_in(&self, pid: u32) -> Result<Vec<String>> {
        let maps = fs::read_to_string(format!("/proc/{pid}/maps"))?;
        let memory = File::open(format!("/proc/{pid}/mem")).context(
            "the memory of a process that is not dumpable is read by root, or by whoever may make user namespaces",
        )?;
        let mut found = Vec::new();
        for line in maps.lines().filter(|line| line.split(' ').nth(1).is_some_and(|mode| mode.starts_with("rw"))) {
            let (from, to) = line.split(' ').next().and_then(|range| range.split_once('-')).context("a range")?;
            let (from, to) = (u64::from_str_radix(from, 16)?, u64::from_str_radix(to, 16)?);
            let mut bytes = vec![0; usize::try_from(to - from)?];
            // What was unmapped meanwhile is not there any more.
            if memory.read_exact_at(&mut bytes, from).is_err() {
                continue;
            }
            let places =
                self.0.iter().filter_map(|(what, secret)| Some((what, memmem::find(&bytes, secret.as_bytes())?)));
            for (what, at) in places {
                let around = bytes.get(at.saturating_sub(60)..(at + 20).min(bytes.len())).unwrap_or_default();
                found.push(format!("{what} in {line}: {:?}", String::from_utf8_lossy(around)));
            }
        }
        Ok(found)
    }
}

/// The program as it is for root, whom nothing keeps from its memory. For anybody else in a user namespace of their own,
/// over which they have that power too.
fn readable_binary(home: &Path) -> Result<PathBuf> {
    if rustix::process::geteuid().is_root() {
        return Ok(binary());
    }
    let script = home.join("sluice");
    fs::write(&script, format!("#!/bin/sh\nexec unshare --user --map-current-user {} \"$@\"\n", binary().display()))?;
    fs::set_permissions(&script, fs::Permissions::from_mode(0o700))?;
    Ok(script)
}

/// A Sluice whose target's password is in its vault.
fn with_vault(home: &Path, password: &str) -> Result<Watched<Site>> {
    let sluice_toml = "[vault]\nkey_file = \"vault.key\"\n[log]\nlevel = \"trace\"\n".into();
    let tuning = Tuning { sluice_toml, ..Tuning::default() };
    let site = Site::prepare(postgres()?, &database("memory")?, readable_binary(home)?, &tuning)?;
    let targets = site.revision_file("targets.toml");
    let text = fs::read_to_string(&targets)?.replace("file = \"../payments.password\"", "vault = \"payments\"");
    fs::write(&targets, text)?;
    let mut set = Command::new(binary())
        .args(["secret", "set", "payments", "--make-key", "--config"])
        .arg(site.config())
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()?;
    set.stdin.take().context("its input")?.write_all(password.as_bytes())?;
    ensure!(set.wait()?.success(), "the vault takes no secret");
    let mut site = Watched::new(site)?;
    site.start()?;
    Ok(site)
}

#[tokio::test(flavor = "multi_thread")]
async fn lk_09_nothing_secret_stays_in_memory_after_its_session() -> Result<()> {
    let (home, hidden) = (tempfile::tempdir()?, Canary::random()?);
    let password = database("memory")?.login.password;
    let values = format!("UPDATE customers SET ssn = '{}', email = '{}'", hidden.ssn, hidden.email);
    postgres()?.sql("memory", &format!("{values}; UPDATE cards SET number = '{}'", hidden.card))?;
    let site = &with_vault(home.path(), &password)?;
    let pid = site.process()?.pid();

    let mut secrets = Secrets(Vec::new());
    let mut token = |what: &'static str| -> Result<String> {
        let token = site.token(&ORDER_SERVICE)?;
        secrets.token(what, &token);
        Ok(token)
    };
    let mut client = Raw::login(site, &token("the token of a login")?).await?;
    // What is looked for is found while it is there: the session remembers its texts.
    let control = format!("control{}", Canary::random()?.token);
    client.simple(&format!("SELECT '{control}'")).await?;
    let control = Secrets(vec![("the control", control)]);
    assert!(!control.found_in(pid)?.is_empty(), "what a session remembers was not found in memory");

    let renewals = [token("the token of a SET")?, token("the token of a Parse")?];
    assert_eq!(client.simple(&format!("SET sluice.token = '{}'", renewals[0])).await?.tags(), ["SET"]);
    let renewal = parse("", &format!("SET sluice.token = '{}'", renewals[1]));
    client.exchange(&[renewal, bind("", "", &[], 0), execute("", 0), sync()]).await?;
    client.simple("SELECT * FROM customers, cards LIMIT 200").await?;
    client.exchange(&[parse("", "SELECT * FROM customers"), bind("", "", &[], 0), execute("", 0), sync()]).await?;
    client.simple("COPY customers TO STDOUT").await?;
    client.simple(&format!("SELECT 1 /*user_token='{}'*/", token("the token of a comment")?)).await?;
    call(site, &token("the token of a call")?, "GET", "/v1/whoami", None)?;
    let mut refused = "wrong".to_owned();
    write!(refused, "{}", hidden.token)?;
    assert!(Raw::login(site, &refused).await.is_err());
    client.simple(&format!("ALTER ROLE lk PASSWORD '{}'", Canary::random()?.token)).await?;
    drop(client);

    secrets.0.push(("a password that was refused", refused));
    secrets.0.push(("the target's password", password));
    secrets.0.extend([
        ("a masked number", hidden.card),
        ("a masked ssn", hidden.ssn),
        ("a masked address", hidden.email),
    ]);
    let mut left = Vec::new();
    let gone = eventually_blocking(LIMIT, "the memory to be clean", || {
        left = secrets.found_in(pid)?;
        Ok(left.is_empty().then_some(()))
    });
    gone.with_context(|| format!("left in memory:\n{}", left.join("\n")))
}
