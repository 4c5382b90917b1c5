//! People and machines of a certified provider: they sign in, and are who they are to Sluice.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};
use serde_json::{Value, json};
use testkit::command::{path_with_clients, run};
use testkit::demo::site::{Site, Tuning};
use testkit::people::{People, browse};
use testkit::process::{Running, http_get};
use testkit::wait::eventually_blocking;

use crate::support::oracle::Watched;
use crate::support::{LIMIT, site};

/// A site that trusts a provider, and a home for whoever signs in.
struct World {
    // In this order: what needs the provider ends before it.
    site: Watched<Site>,
    home: tempfile::TempDir,
    people: People,
}

impl World {
    /// `None` where `./dev` said that there is no Node here.
    #[expect(clippy::print_stdout, reason = "nothing is left out silently")]
    fn start(database: &str, lifetime: u64) -> Result<Option<Self>> {
        let groups = json!({
            "dana": ["dba"], "vera": ["auditors"],
            "etl": ["payments-apps"], "etl-post": ["payments-apps"], "billing": ["payments-apps"],
        });
        let Some(people) = People::start(lifetime, &groups)? else {
            println!("signing in is left out: node is missing");
            return Ok(None);
        };
        let site = site(database, Tuning { sluice_toml: people.configuration(), ..Tuning::default() })?;
        Ok(Some(Self { site, home: tempfile::tempdir()?, people }))
    }

    /// `sluice`, as whoever has signed in.
    fn sluice(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(self.site.binary());
        command.args(arguments).current_dir(self.home.path()).env("XDG_STATE_HOME", self.home.path());
        [
            "SLUICE_TOKEN",
            "SLUICE_TOKEN_FILE",
            "SPIFFE_ENDPOINT_SOCKET",
            "SLUICE_CONFIG",
            "DISPLAY",
            "WAYLAND_DISPLAY",
            "BROWSER",
        ]
        .iter()
        .for_each(|name| {
            command.env_remove(name);
        });
        command
    }

    fn login(&self, how: &str, name: &str) -> Result<Running> {
        let issuer = ["--issuer", self.people.url(), "--client-id", "sluice-cli"];
        let command = self.sluice(&[&["login", how, "--no-open"], &issuer[..]].concat());
        Running::start(&command, &self.home.path().join(format!("{name}.log")))
    }

    /// Signs in by a browser.
    fn sign_in(&self, name: &str) -> Result<()> {
        let login = self.login("--browser", name)?;
        let page = browse(&login.wait_for("/auth?", 1)?, name, false)?.success()?;
        assert!(page.contains("You are signed in"), "{page}");
        assert_eq!(login.wait()?, 0);
        Ok(())
    }

    fn file(&self) -> std::path::PathBuf {
        self.home.path().join("sluice/login.json")
    }

    fn url(&self) -> Result<String> {
        Ok(format!("http://{}", self.site.process()?.address("admin")?))
    }

    fn whoami(&self) -> Result<Value> {
        let told = run(self.sluice(&["whoami", "--json", "--url", &self.url()?]), b"")?.success()?;
        Ok(serde_json::from_str(&told)?)
    }
}

#[test]
fn id_22_a_person_signs_in_by_a_browser_and_nobody_else_can_end_or_answer_the_login() -> Result<()> {
    let Some(world) = World::start("connect_browser", 300)? else { return Ok(()) };
    let login = world.login("--browser", "dana")?;
    let url = login.wait_for("/auth?", 1)?;
    for always in ["response_type=code", "code_challenge_method=S256", "code_challenge=", "state=", "nonce="] {
        assert!(url.contains(always), "{always} in {url}");
    }
    // What a page of somebody else's could make the browser do: it changes nothing.
    let encoded = url.split("redirect_uri=").nth(1).and_then(|rest| rest.split('&').next()).context("no redirect")?;
    let redirect = encoded.replace("%3A", ":").replace("%2F", "/");
    let authority = redirect.strip_prefix("http://").and_then(|rest| rest.strip_suffix("/callback"));
    let authority = authority.context(redirect.clone())?.parse()?;
    for (path, status) in [
        ("/callback?code=stolen&state=guessed", 400),
        ("/callback?code=stolen", 400),
        ("/callback?error=access_denied&state=guessed", 400),
        ("/callback/?code=stolen", 404),
        ("/", 404),
    ] {
        assert_eq!(http_get(authority, path)?.0, status, "{path}");
    }
    let page = browse(&url, "dana", false)?.success()?;
    assert!(page.contains("You are signed in"), "{page}");
    assert_eq!(login.wait()?, 0);
    let mode = |path: &Path| std::fs::metadata(path).map(|found| found.permissions().mode() & 0o777);
    assert_eq!((mode(&world.file())?, mode(world.file().parent().context("no directory")?)?), (0o600, 0o700));
    // She is who the issuer says, with what policy gives her groups.
    let who = world.whoami()?;
    assert_eq!((&who["subject"]["issuer"], &who["subject"]["id"]), (&json!("corp"), &json!("dana")));
    assert_eq!((&who["kind"], &who["groups"]), (&json!("user"), &json!(["dba"])));
    assert_eq!(who["may"], json!(["admin:read", "admin:approve"]));
    let run_as = |arguments: &[&str]| run(world.sluice(&[arguments, &["--url", &world.url()?]].concat()), b"");
    assert!(run_as(&["approvals", "list"])?.status.success());
    let refused = run_as(&["audit", "search"])?;
    assert!(!refused.status.success() && refused.stderr.contains("admin:audit"), "{}", refused.stderr);
    // Somebody else signs in, in her place.
    world.sign_in("vera")?;
    assert!(run_as(&["audit", "search"])?.status.success());
    // Signed out, here and at the issuer.
    let out = run(world.sluice(&["logout"]), b"")?.success()?;
    assert!(out.contains("here and at the issuer"), "{out}");
    assert!(!world.file().exists());
    let nobody = run_as(&["whoami"])?;
    assert!(nobody.status.code() == Some(2) && nobody.stderr.contains("sluice login"), "{}", nobody.stderr);
    Ok(())
}

#[test]
fn id_22_a_person_signs_in_with_a_code_on_any_device_or_declines_what_they_did_not_begin() -> Result<()> {
    let Some(world) = World::start("connect_device", 300)? else { return Ok(()) };
    let declined = world.login("--device", "declined")?;
    let address = |login: &Running| -> Result<String> {
        let line = login.wait_for("and compare the code", 1)?;
        Ok(line.trim_start_matches("or open ").trim_end_matches(" and compare the code.").to_owned())
    };
    let (_, code) = (declined.wait_for("Open http", 1)?, declined.wait_for("type the code: ", 1)?);
    let code = code.rsplit(' ').next().context("no code")?;
    let declining = address(&declined)?;
    assert!(declining.ends_with(code), "{declining} has not {code}");
    let approved = world.login("--device", "dana")?;
    let page = browse(&declining, "mallory", true)?.success()?;
    assert!(page.contains("interrupted"), "{page}");
    let page = browse(&address(&approved)?, "dana", false)?.success()?;
    assert!(page.contains("successful"), "{page}");
    let log = declined.log();
    assert_eq!(declined.wait()?, 1, "{log}");
    assert!(std::fs::read_to_string(world.home.path().join("declined.log"))?.contains("said no"));
    assert_eq!(approved.wait()?, 0);
    assert_eq!(world.whoami()?["subject"]["id"], "dana");
    Ok(())
}

#[test]
fn a_login_renews_itself_for_the_command_line_and_for_programs() -> Result<()> {
    let Some(world) = World::start("connect_login", 12)? else { return Ok(()) };
    world.sign_in("dana")?;
    let first = world.whoami()?["expires_at"].clone();
    eventually_blocking(LIMIT, "the login to renew itself", || {
        Ok((world.whoami()?["expires_at"] != first).then_some(()))
    })?;
    // `sluice connect` is whoever signed in, unless it is told who it is.
    let command = ["--", "psql", "-X", "-At", "-c", "SELECT count(*) FROM refunds"];
    let mut connect = world.sluice(&[&["connect", world.site.database()][..], &command].concat());
    connect.env("SLUICE_GATEWAY", world.site.process()?.address("postgres")?.to_string());
    connect.env("SLUICE_CA_FILE", world.site.ca()).env("PATH", path_with_clients()?);
    assert_eq!(run(connect, b"")?.success()?.trim(), "20");
    Ok(())
}

/// A client, its arguments, and a variable.
type Way<'a> = (&'static str, &'a [&'a str], Option<(&'a str, &'a str)>);

#[test]
fn machines_prove_themselves_by_secret_and_by_key() -> Result<()> {
    let Some(world) = World::start("connect_machines", 300)? else { return Ok(()) };
    let key = world.people.key_file().display().to_string();
    let secret = ("SLUICE_CLIENT_SECRET", world.people.secret());
    let ways: [Way<'_>; 3] = [
        ("etl", &[], Some(secret)),
        ("etl-post", &["--client-secret-post"], Some(secret)),
        ("billing", &["--private-key-file", &key, "--key-id", "billing"], None),
    ];
    for (client, arguments, environment) in ways {
        let way = ["connect", world.site.database(), "--client-id", client, "--issuer", world.people.url()];
        let command = ["--", "psql", "-X", "-At", "-c", "SELECT count(*) FROM orders"];
        let mut connect = world.sluice(&[&way, arguments, &command].concat());
        connect.env("SLUICE_GATEWAY", world.site.process()?.address("postgres")?.to_string());
        connect.env("SLUICE_CA_FILE", world.site.ca()).env("PATH", path_with_clients()?).envs(environment);
        assert_eq!(run(connect, b"")?.success().context(client)?.trim(), "300", "{client}");
    }
    // Another key is not the client's.
    let other = world.home.path().join("other.pem");
    std::fs::write(&other, rcgen::KeyPair::generate()?.serialize_pem())?;
    let other = other.display().to_string();
    let way = ["connect", "x", "--no-password", "--client-id", "billing", "--issuer", world.people.url()];
    let mut connect = world.sluice(&[&way[..], &["--private-key-file", &other]].concat());
    connect.env("SLUICE_GATEWAY", world.site.process()?.address("postgres")?.to_string());
    connect.env("SLUICE_CA_FILE", world.site.ca());
    let refused = run(connect, b"")?;
    assert!(refused.status.code() == Some(1) && refused.stderr.contains("invalid_client"), "{}", refused.stderr);
    Ok(())
}
