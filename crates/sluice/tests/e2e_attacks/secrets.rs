//! Passwords in statements (LK-04): whatever form they come in, they are in nothing that Sluice writes or shows.

use std::collections::BTreeSet;
use std::fmt::Write;

use anyhow::{Context, Result};
use memchr::memmem;
use testkit::canary::{Canary, leak};
use testkit::demo::site::{AUDITOR, DBA, Site, Tuning};
use testkit::process::sluice;
use testkit::scripted::query;
use testkit::wait::eventually_blocking;

use super::leakage::files_under;
use crate::support::admin::{answer, call};
use crate::support::raw::{Answer, Raw, bind, close, describe, execute, field, parse, sync};
use crate::support::{LIMIT, database, postgres, site, token};

/// Texts with a password at `@`: a new one in each text for each caller.
const TEXTS: &[&str] = &[
    "CREATE ROLE lk LOGIN PASSWORD '@'",
    "CREATE USER lk ENCRYPTED PASSWORD E'@' VALID UNTIL 'tomorrow'",
    "ALTER ROLE lk PASSWORD U&'@'",
    "ALTER USER lk WITH PASSWORD $$@$$",
    "ALTER USER lk WITH PASSWORD $x$@$x$ VALID UNTIL 'no date but @'",
    "ALTER ROLE lk SET app.password = '@'",
    "ALTER ROLE lk SET app.api_key TO @",
    "ALTER DATABASE secrets SET app.secret = @",
    "SELECT 1; ALTER ROLE lk PASSWORD '@'; SELECT 2",
    "EXPLAIN SELECT crypt('@', gen_salt('bf'))",
    "EXPLAIN ALTER ROLE lk PASSWORD '@'",
    "DO $$ BEGIN EXECUTE 'ALTER ROLE lk PASSWORD ''@'''; END $$",
    "DO $$ BEGIN RAISE NOTICE 'the password %', '@'; END $$",
    "DO $$ BEGIN RAISE EXCEPTION 'the password %', '@' USING DETAIL = 'passphrase @'; END $$",
    "CREATE FUNCTION lk() RETURNS void LANGUAGE plpgsql AS $$ BEGIN ALTER ROLE lk PASSWORD '@'; END $$",
    "CREATE SERVER lk FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host 'h', password '@')",
    "CREATE USER MAPPING FOR CURRENT_USER SERVER lk OPTIONS (user 'u', password '@')",
    "ALTER USER MAPPING FOR CURRENT_USER SERVER lk OPTIONS (SET password '@')",
    "CREATE FOREIGN TABLE lk_far (a int) SERVER lk OPTIONS (table_name 't', password '@')",
    "IMPORT FOREIGN SCHEMA public FROM SERVER lk INTO public OPTIONS (password '@')",
    "SELECT * FROM dblink('host=127.0.0.1 port=1 password=@', 'SELECT 1') AS far (a int)",
    "SELECT dblink_connect('postgresql://u:@%40127.0.0.1:1/d?password=@')",
    "CREATE VIEW lk_view AS SELECT * FROM dblink('port=1 password=@', 'SELECT 1') AS far (a int)",
    "SELECT length(pgp_sym_encrypt(status, '@')::text) FROM payments WHERE id = 1",
    "SELECT id FROM payments WHERE status = crypt('@', status)",
    "SELECT id FROM payments WHERE status = md5('@') OR status = encode(hmac('a', '@', 'sha256'), 'hex')",
    "SELECT length(encrypt_iv('a', '@', 'b', 'aes')::text)",
    "CREATE SUBSCRIPTION lk CONNECTION 'host=127.0.0.1 port=1 password=@' PUBLICATION p",
    "ALTER SUBSCRIPTION lk CONNECTION 'password=@'",
    "ALTER SYSTEM SET primary_conninfo = 'host=h password=@'",
    "ALTER SYSTEM SET ssl_passphrase_command = '@'",
    "SET app.password = '@'",
    "SET LOCAL app.client_secret TO @",
    "SELECT count(set_config('app.jwt_secret', '@', false))",
    "SELECT count(current_setting('app.password') = '@')",
    "PREPARE lk (text) AS SELECT id FROM payments WHERE status = crypt($1, status); EXECUTE lk ('@'); DEALLOCATE lk",
    "PREPARE lk2 AS SELECT id FROM payments WHERE status = crypt('@', status)",
    "EXECUTE lk2",
    "COPY payments TO PROGRAM 'PGPASSWORD=@ psql'",
    "COMMENT ON TABLE payments IS 'password: @'",
    "SELECT 1 /* the password is @ */ -- and once more: @",
    "/* @ */ SELECT count(*) FROM payments /* @ */ WHERE id = 1",
    "SELECT 1 /*password='@'*/",
    // What does not parse.
    "CREATE ROLE lk PASSWORD @",
    "CREATE ROLE lk PASSWORD '@",
    "ALTER ROLE lk PASSSWORD '@'",
    "CREATE USER lk IDENTIFIED BY '@'",
    "\\password @",
];

/// May do everything; the first sees nothing in clear, and the second all.
const KEEPERS: &str = r#"
@id("keepers-do-everything")
permit (principal in Group::"keepers", action, resource) unless { action == Action::"reveal" };

@id("roots-do-everything")
permit (principal in Group::"roots", action, resource);
"#;

/// Passwords that begin with one random word and have a number each, so that one search finds any of them.
struct Canaries {
    word: String,
    texts: Vec<String>,
}

impl Canaries {
    /// A text with a password of its own.
    fn text(&mut self, who: &str, template: &str) -> String {
        let canary = format!("{}x{}x", self.word, self.texts.len());
        self.texts.push(format!("{template}, as {who}"));
        template.replace('@', &canary)
    }

    /// The texts whose passwords these bytes hold as they are.
    fn texts_in(&self, bytes: &[u8]) -> BTreeSet<&str> {
        let found = memmem::find_iter(bytes, &self.word).filter_map(|at| {
            let number = bytes.get(at + self.word.len() + 1..)?.split(|byte| *byte == b'x').next()?;
            let number: usize = std::str::from_utf8(number).ok()?.parse().ok()?;
            Some(self.texts.get(number)?.as_str())
        });
        found.collect()
    }
}

fn command(site: &Site, token: Option<&str>, arguments: &[&str]) -> Result<String> {
    let config = site.config().display().to_string();
    let mut environment = vec![("SLUICE_CONFIG", config.as_str())];
    environment.extend(token.map(|token| ("SLUICE_TOKEN", token)));
    sluice(site.binary(), arguments, &environment)?.success()
}

fn approval_in(answer: &Answer) -> Result<String> {
    let texts = answer.0.iter().flat_map(|message| [field(message, b'M'), field(message, b'D')]).flatten();
    let words = texts.flat_map(|text| text.split([' ', '.']).map(str::to_owned).collect::<Vec<_>>());
    words.into_iter().find(|word| word.starts_with("apr-")).context("no approval")
}

/// By Query, and by Parse, Bind and Execute.
async fn say_everything(site: &Site, canaries: &mut Canaries, who: &str, groups: &[&str]) -> Result<()> {
    let token = token(site, who, groups)?;
    let mut client = Raw::login(site, &token).await?;
    client.simple("SELECT 'the control constant'").await?;
    for template in TEXTS {
        client.simple(&canaries.text(who, template)).await?;
        let text = canaries.text(who, template);
        client.exchange(&[parse("", &text), describe(b'S', ""), bind("", "", &[], 0), execute("", 0), sync()]).await?;
        client.exchange(&[parse("lk", &text), sync()]).await?;
        client.exchange(&[close(b'S', "lk"), sync()]).await?;
    }
    for template in ["SELECT crypt($1, 'salt') IS NULL", "SELECT id FROM lk_users WHERE password = $1", "SELECT 1"] {
        let password = canaries.text(who, "@");
        client.exchange(&[parse("", template), bind("", "", &[&password], 0), execute("", 0), sync()]).await?;
    }
    client.simple("ROLLBACK").await?;
    Ok(())
}

/// What an approver is shown has a mark where the password was; what was asked runs as it was.
async fn ask(site: &Site, canaries: &mut Canaries) -> Result<String> {
    let dba = site.token(&DBA)?;
    let mut client = Raw::login(site, &token(site, "asker", &["keepers"])?).await?;
    let text = canaries.text("asker", "DELETE FROM payments WHERE id = 7 /* it is @ */ AND status <> crypt('@', 'ab')");
    client.send(&[query(&text)]).await?;
    let approval = approval_in(&Answer(vec![client.peer.read_message().await?]))?;
    let listed = command(site, Some(&dba), &["approvals", "list"])?;
    let shown = command(site, Some(&dba), &["approvals", "show", &approval])?;
    let expected = "DELETE FROM payments WHERE id = 7 /* … */ AND status <> crypt([secret], [secret])";
    assert!(shown.contains(expected), "{shown}");
    assert_eq!(answer(site, &dba, &approval, true)?, 200);
    let ran = client.answer().await?;
    assert_eq!(ran.tags(), ["DELETE 1"], "{ran:?}");
    Ok(listed + &shown)
}

/// Everything that can be asked for, and every file.
fn everything(site: &Site) -> Result<Vec<(String, Vec<u8>)>> {
    let auditor = site.token(&AUDITOR)?;
    let (_, history) = call(site, &auditor, "GET", "/v1/sessions/history?limit=100", None)?;
    let sessions = history.as_array().context("no sessions")?;
    let ids = sessions.iter().filter_map(|session| session["session"].as_str().or(session["id"].as_str()));
    let ids: Vec<&str> = ids.collect();
    assert!(ids.len() >= 4, "{history}");
    let mut found = Vec::new();
    for id in ids {
        for what in ["replay", "export"] {
            found.push((format!("{what} of a tape"), command(site, None, &["sessions", what, id])?.into_bytes()));
        }
    }
    for what in ["search", "events"] {
        let arguments = ["audit", what, "--since", "1h", "--limit", "10000", "--json"];
        found.push((format!("audit {what}"), command(site, None, &arguments)?.into_bytes()));
    }
    found.push(("metrics".into(), site.process()?.get("/metrics")?.1.into_bytes()));
    found.push(("log".into(), site.log().into_bytes()));
    for sink in ["json.jsonl", "ocsf.jsonl"] {
        found.push((sink.into(), std::fs::read(site.home().join(sink))?));
    }
    found.extend(files_under(&site.data())?);
    Ok(found)
}

#[tokio::test(flavor = "multi_thread")]
async fn lk_04_no_password_of_a_statement_is_written_or_shown() -> Result<()> {
    let mut sluice_toml = "[log]\nlevel = \"trace\"\n".to_owned();
    for format in ["json", "ocsf"] {
        write!(
            sluice_toml,
            "[[sink]]\nname = \"{format}\"\nkind = \"file\"\npath = \"{format}.jsonl\"\nformat = \"{format}\"\nfrom = \"start\"\n"
        )?;
    }
    database("secrets")?;
    postgres()?.sql(
        "secrets",
        "CREATE EXTENSION pgcrypto; CREATE EXTENSION dblink; CREATE EXTENSION postgres_fdw; \
         CREATE TABLE lk_users (id int, password text); GRANT ALL ON lk_users TO public",
    )?;
    let policies = vec![("50-keepers.cedar".into(), KEEPERS.into())];
    let site = &site("secrets", Tuning { sluice_toml, policies, ..Tuning::default() })?;
    let word = format!("lk{}", Canary::random()?.token);
    let mut canaries = Canaries { word, texts: Vec::new() };
    let callers: [(&str, &[&str]); 3] = [
        ("order-service", &["payments-apps"]),
        ("keeper", &["keepers", "release-pipeline"]),
        ("root", &["roots", "release-pipeline"]),
    ];
    for (who, groups) in callers {
        say_everything(site, &mut canaries, who, groups).await?;
    }
    let approvals = ask(site, &mut canaries).await?;
    for sink in ["json", "ocsf"] {
        let lag = format!("sluice_sink_lag_entries{{sink=\"{sink}\"}}");
        eventually_blocking(LIMIT, &lag, || Ok((site.metric(&lag)? == Some(0)).then_some(())))?;
    }
    eventually_blocking(LIMIT, "every end in the index", || {
        let open = call(site, &site.token(&AUDITOR)?, "GET", "/v1/sessions", None)?.1;
        Ok(open.as_array().is_some_and(Vec::is_empty).then_some(()))
    })?;
    let mut found = everything(site)?;
    found.push(("approvals".into(), approvals.into_bytes()));
    // What is no secret is there, so that what is not found was looked for where it would be.
    let has_control = |name: &str| {
        let has = |(of, bytes): &&(String, Vec<u8>)| of.contains(name) && leak(bytes, "the control constant").is_some();
        found.iter().find(has).is_some()
    };
    for name in ["replay", "export", "audit search", "json.jsonl", "/journal/"] {
        assert!(has_control(name), "the control is not in {name}");
    }
    let mut leaks: Vec<String> = Vec::new();
    for (name, bytes) in &found {
        if let Some(leak) = leak(bytes, &canaries.word) {
            leaks.push(format!("in {name} as {}: {:#?}", leak.form, canaries.texts_in(bytes)));
        }
    }
    assert!(leaks.is_empty(), "{} leaks:\n{}", leaks.len(), leaks.join("\n"));
    Ok(())
}
