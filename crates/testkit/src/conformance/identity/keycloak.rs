//! Keycloak: a service account's token, keys that change, and Keycloak away, with Sluice in between.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use rustix::process::Signal;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::login::Stage;
use super::shown;
use crate::http::{self, FORM};
use crate::keeper::Kept;
use crate::random;
use crate::wait::eventually_blocking;

/// It compiles itself at its first start.
const START: Duration = Duration::from_secs(300);
/// An unknown key is looked for once a minute.
const UNKNOWN_KEY: Duration = Duration::from_secs(75);

pub(super) fn run(distribution: &Path, sluice: &Path) -> Result<()> {
    let mut keycloak = Keycloak::start(distribution)?;
    let stage = Stage::start(sluice, "keycloak", keycloak.table())?;
    let first = keycloak.token()?;
    stage.is_let_in(&first.access)?;
    shown("a service account's token, groups by realm_access.roles");
    stage.is_refused(&first.id)?;
    ensure!(stage.failed_check(&first.id)? == "kind", "an ID token fails by its kind");
    shown("its ID token is refused by its kind, and `sluice token inspect` says so");

    let before = keycloak.signing_key()?;
    keycloak.add_key()?;
    let second = keycloak.token()?;
    stage.is_let_in(&first.access)?;
    stage.is_let_in_within(UNKNOWN_KEY, &second.access)?;
    stage.is_let_in(&first.access)?;
    shown("a new key: found within a minute, and tokens of the one before are good as well");
    keycloak.remove_key(&before)?;
    keycloak.add_key()?;
    // The unknown key makes Sluice look, and what is not published any more is gone.
    let third = keycloak.token()?;
    stage.is_let_in_within(UNKNOWN_KEY, &third.access)?;
    stage.is_refused(&first.access)?;
    ensure!(stage.failed_check(&first.access)? == "key", "it fails by its key");
    shown("a withdrawn key: its tokens are refused");

    keycloak.stop()?;
    stage.is_let_in(&third.access)?;
    stage.is_refused(&first.access)?;
    shown("Keycloak away: known keys are believed, and no others");
    keycloak.start_again()?;
    let fourth = keycloak.token()?;
    stage.is_let_in_within(UNKNOWN_KEY, &fourth.access)?;
    shown("Keycloak back");
    Ok(())
}

struct Tokens {
    access: String,
    id: String,
}

/// A Keycloak with one realm, in a directory of its own.
struct Keycloak {
    process: Option<Kept>,
    home: TempDir,
    port: u16,
    client_secret: String,
    admin_password: String,
}

impl Keycloak {
    fn start(distribution: &Path) -> Result<Self> {
        let home = tempfile::Builder::new().prefix("keycloak-").tempdir()?;
        // It writes into its own directory.
        let copied = Command::new("cp").arg("-r").arg(distribution.join(".")).arg(home.path()).status()?;
        ensure!(copied.success(), "{} cannot be copied", distribution.display());
        let (client_secret, admin_password) = (random::word()?, random::word()?);
        let mut keycloak = Self { process: None, home, port: 0, client_secret, admin_password };
        let import = keycloak.home.path().join("data/import");
        std::fs::create_dir_all(&import)?;
        std::fs::write(import.join("sluice-realm.json"), keycloak.realm().to_string())?;
        keycloak.start_again()?;
        Ok(keycloak)
    }

    /// At the port that it had, with the keys that it had.
    fn start_again(&mut self) -> Result<()> {
        let log = self.log();
        let _ = std::fs::remove_file(&log);
        let mut command = Command::new("sh");
        command.arg(self.home.path().join("bin/kc.sh"));
        command
            .args(["start-dev", "--http-host=127.0.0.1", "--import-realm"])
            .arg(format!("--http-port={}", self.port));
        command.env("KC_BOOTSTRAP_ADMIN_USERNAME", "admin").env("KC_BOOTSTRAP_ADMIN_PASSWORD", &self.admin_password);
        command.env("JAVA_OPTS_KC_HEAP", "-Xms64m -Xmx512m");
        let process = Kept::spawn(&command, "TERM", None, &log)?;
        let port = eventually_blocking(START, "Keycloak to listen", || {
            let text = std::fs::read_to_string(&log).unwrap_or_default();
            ensure!(process.is_running(), "it has ended; its log:\n{text}");
            let after = text.split_once("Listening on: http://127.0.0.1:").map(|(_, after)| after);
            let port = after.and_then(|after| after.split(|digit: char| !digit.is_ascii_digit()).next());
            Ok(port.and_then(|port| port.parse().ok()))
        });
        self.port = port?;
        self.process = Some(process);
        Ok(())
    }

    fn stop(&mut self) -> Result<()> {
        let process = self.process.take().context("Keycloak does not run")?;
        process.signal(Signal::TERM)?;
        process.wait_for_end(START)?;
        process.finish().map(drop)
    }

    fn log(&self) -> PathBuf {
        self.home.path().join("log")
    }

    fn address(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.port))
    }

    /// What docs/identity.md has for Keycloak, with plain HTTP to this machine.
    fn table(&self) -> String {
        format!(
            "[[issuer]]\nalias = \"keycloak\"\nurl = \"http://{}/realms/sluice\"\naudience = \"sluice\"\n\
             profile = \"keycloak\"\ngroups_claim = \"realm_access.roles\"\nbare_groups = [\"payments-apps\"]\n\
             allow_http = true\n",
            self.address()
        )
    }

    fn realm(&self) -> Value {
        let mapper = json!({
            "name": "for sluice", "protocol": "openid-connect", "protocolMapper": "oidc-audience-mapper",
            "config": { "included.custom.audience": "sluice", "access.token.claim": "true", "id.token.claim": "true" },
        });
        let client = json!({
            "clientId": "order-service", "secret": self.client_secret, "publicClient": false, "protocol": "openid-connect",
            "serviceAccountsEnabled": true, "standardFlowEnabled": false, "protocolMappers": [mapper],
        });
        let account = json!({
            "username": "service-account-order-service", "enabled": true, "serviceAccountClientId": "order-service",
            "realmRoles": ["payments-apps"],
        });
        json!({
            "realm": "sluice", "enabled": true, "sslRequired": "none", "accessTokenLifespan": 900,
            "roles": { "realm": [{ "name": "payments-apps" }] }, "clients": [client], "users": [account],
        })
    }

    fn token(&self) -> Result<Tokens> {
        let form = format!(
            "grant_type=client_credentials&scope=openid&client_id=order-service&client_secret={}",
            self.client_secret
        );
        let answer = self.posted("/realms/sluice/protocol/openid-connect/token", &form)?;
        Ok(Tokens { access: text(&answer, "/access_token")?, id: text(&answer, "/id_token")? })
    }

    fn posted(&self, path: &str, form: &str) -> Result<Value> {
        let (status, answer) = http::call(self.address(), "POST", path, &[FORM], form)?;
        ensure!(status == 200, "{path}: {status} {answer}");
        Ok(serde_json::from_str(&answer)?)
    }

    /// A call of the admin API; the JSON that is answered, if any is.
    fn admin(&self, method: &str, path: &str, body: Option<&Value>) -> Result<Value> {
        let form = format!("grant_type=password&client_id=admin-cli&username=admin&password={}", self.admin_password);
        let answer = self.posted("/realms/master/protocol/openid-connect/token", &form)?;
        let authorization = format!("Bearer {}", text(&answer, "/access_token")?);
        let headers = [("Authorization", authorization.as_str()), ("Content-Type", "application/json")];
        let body = body.map(Value::to_string).unwrap_or_default();
        let (status, answer) =
            http::call(self.address(), method, &format!("/admin/realms/sluice{path}"), &headers, &body)?;
        ensure!((200..300).contains(&status), "{method} {path}: {status} {answer}");
        Ok(serde_json::from_str(&answer).unwrap_or(Value::Null))
    }

    /// The component whose key signs now.
    fn signing_key(&self) -> Result<String> {
        let keys = self.admin("GET", "/keys", None)?;
        let active = text(&keys, "/active/RS256")?;
        let all = keys.pointer("/keys").and_then(Value::as_array).context("no keys")?;
        let signs = all.iter().find(|key| key.pointer("/kid").is_some_and(|kid| *kid == active));
        text(signs.context("the active key is not listed")?, "/providerId")
    }

    /// Signs with a new key from now on, and goes on publishing those before.
    fn add_key(&self) -> Result<()> {
        let realm = text(&self.admin("GET", "", None)?, "/id")?;
        let keys = self.admin("GET", "/components?type=org.keycloak.keys.KeyProvider", None)?;
        let priority = 100 + keys.as_array().map_or(0, Vec::len);
        let component = json!({
            "name": format!("rotated-{priority}"), "providerId": "rsa-generated", "parentId": realm,
            "providerType": "org.keycloak.keys.KeyProvider",
            "config": { "priority": [priority.to_string()], "algorithm": ["RS256"], "keySize": ["2048"] },
        });
        let before = self.signing_key()?;
        self.admin("POST", "/components", Some(&component))?;
        ensure!(self.signing_key()? != before, "the new key does not sign");
        Ok(())
    }

    fn remove_key(&self, component: &str) -> Result<()> {
        self.admin("DELETE", &format!("/components/{component}"), None).map(drop)
    }
}

fn text(answer: &Value, pointer: &str) -> Result<String> {
    let text = answer.pointer(pointer).and_then(Value::as_str);
    Ok(text.with_context(|| format!("no {pointer} in the answer"))?.to_owned())
}
