//! The oracle O3: what is secret is in nothing that Sluice writes.

use std::path::Path;

use anyhow::Result;
use ledger::tape::Kind;
use testkit::canary::{Canary, leak};
use testkit::ssh::keys::Key;
use testkit::ssh::{Client, Credential};
use testkit::sshd::{Login, Options};
use testkit::wait::eventually_blocking;

use crate::ground::{ENGINEER, Ground, Tuning};
use crate::support::{LIMIT, record, tape};

fn files_under(directory: &Path) -> Result<Vec<std::path::PathBuf>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(directory)? {
        let path = entry?.path();
        if path.is_dir() { found.extend(files_under(&path)?) } else { found.push(path) }
    }
    Ok(found)
}

/// Fails if one of these is in the log, the journal, a tape, a metric or any file of the data directory.
fn assert_nowhere(ground: &Ground, secrets: &[(&str, &str)]) -> Result<()> {
    eventually_blocking(LIMIT, "the ends of the sessions", || Ok(ground.sessions()?.is_empty().then_some(())))?;
    let mut places = vec![
        ("the log".to_owned(), ground.site.log().into_bytes()),
        ("the journal".to_owned(), format!("{:?}", record::events(&ground.site)?).into_bytes()),
        ("the metrics".to_owned(), ground.site.process()?.get("/metrics")?.1.into_bytes()),
    ];
    for path in ground.tapes()? {
        let records = tape::records(&path)?.0;
        let content = records.into_iter().filter(|record| record.kind != Kind::End).flat_map(|record| record.content);
        places.push((path.display().to_string(), content.collect()));
    }
    for path in files_under(&ground.site.data())? {
        // What a database keeps beside it comes and goes.
        places.push((path.display().to_string(), std::fs::read(path).unwrap_or_default()));
    }
    for (place, content) in places {
        for (name, secret) in secrets {
            assert_eq!(leak(&content, secret), None, "the {name} in {place}");
        }
    }
    Ok(())
}

/// The middle of a private key.
fn heart(key: &Key) -> Result<String> {
    let text = std::fs::read_to_string(key.private())?;
    let lines: Vec<&str> = text.lines().collect();
    Ok(lines[lines.len() / 2].to_owned())
}

fn everyday(ground: &Ground, client: &Client, canary: &Canary) -> Result<()> {
    let home = ground.sshd.home();
    std::fs::write(home.join("cards.txt"), format!("{}\n{}\n", canary.card, canary.ssn))?;
    assert_eq!(client.exec("cat cards.txt; cat cards.txt >&2; exit 3")?.status.code(), Some(3));
    let at = ground.folder.path().join("fetched").display().to_string();
    client.sftp(&format!("get cards.txt {at}\n-get none\nls\n"))?.success()?;
    client.scp(&["-O", "target:cards.txt", &at])?.success()?;
    client.exec("halt")?;
    // A secret in a line.
    let line =
        format!("mysql --password={} -e 'SELECT 1' || curl -u me:{} http://127.0.0.1:1/", canary.token, canary.token);
    client.exec(&line)?;
    let mut terminal = client.shell(80, 24)?;
    terminal.send("cat cards.txt; exit\n")?;
    terminal.wait()?;
    Ok(())
}

#[test]
fn lk_01_nothing_secret_is_written_anywhere() -> Result<()> {
    let (folder, canary) = (tempfile::tempdir()?, Canary::random()?);
    let key = Key::generate(folder.path(), "target")?;
    let target = format!("credential = {{ private_key = {{ file = \"{}\" }} }}\n", key.private().display());
    let host = Options { authorized_keys: vec![key.public_line()?], ..Options::default() };
    let ground = Ground::tuned(Tuning { host, target, ..Tuning::default() })?;
    let token = ground.token("erin", ENGINEER)?;
    let client = Client::new(&ground.endpoint("web1", Credential::Password(token.clone()))?)?;
    everyday(&ground, &client, &canary)?;
    let wrong = format!("{token}x");
    Client::new(&ground.endpoint("web1", Credential::Password(wrong.clone()))?)?.exec("true")?;
    let heart = heart(&key)?;
    let secrets = [
        ("card number", &*canary.card),
        ("token", &token),
        ("wrong token", &wrong),
        ("key", &heart),
        ("password", &canary.token),
    ];
    assert_nowhere(&ground, &secrets)
}

#[test]
fn lk_01_a_password_of_the_host_is_written_nowhere() -> Result<()> {
    let canary = Canary::random()?;
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("password");
    testkit::tls::write_private(&file, canary.token.as_bytes())?;
    let target = format!("credential = {{ password = {{ file = \"{}\" }} }}\n", file.display());
    let logins = vec![Login { password: Some(canary.token.clone()), ..Login::new("deploy") }];
    let ground = Ground::tuned(Tuning { host: Options { logins, ..Options::default() }, target, ..Tuning::default() })?;
    let client = ground.client(ENGINEER)?;
    assert_eq!(client.exec("echo $USER")?.success()?, "deploy\n");
    assert_eq!(ground.sshd.accepted()[0].method, "password");
    everyday(&ground, &client, &Canary { token: "unused-in-this-test".to_owned(), ..canary.clone() })?;
    assert_nowhere(&ground, &[("password", &canary.token), ("card number", &canary.card)])
}
