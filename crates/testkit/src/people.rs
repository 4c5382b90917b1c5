//! A real, certified OpenID provider where people sign in (`oidc-provider`, of `tests/node`), and their browser.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rcgen::{KeyPair, PublicKeyData};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::command::{Output, development_directory, run, workspace_root};
use crate::drivers::Toolchain;
use crate::process::Running;
use crate::random;
use crate::tls::write_private;

/// A running provider.
pub struct People {
    _process: Running,
    url: String,
    secret: String,
    home: TempDir,
}

impl People {
    /// Starts one whose access tokens last for so many seconds, with the groups of each account and client; `None` where
    /// `./dev` said that there is no Node here.
    pub fn start(lifetime: u64, groups: &Value) -> Result<Option<Self>> {
        if Toolchain::Node.is_left_out() {
            return Ok(None);
        }
        let home = tempfile::Builder::new().prefix("people-").tempdir()?;
        let key = KeyPair::generate()?;
        write_private(&home.path().join("billing.pem"), key.serialize_pem().as_bytes())?;
        let secret = random::word()?;
        let mut command = Command::new("node");
        command.arg("people_provider.mjs").current_dir(workspace_root().join("tests/node"));
        command.env("SECRET_ETL", &secret).env("PUBLIC_JWK", jwk(&key)?.to_string());
        command.env("LIFETIME", lifetime.to_string()).env("MEMBERSHIPS", groups.to_string());
        let process = Running::start(&command, &home.path().join("log"))?;
        let line: Value = serde_json::from_str(&process.wait_for("{\"port\":", 1)?)?;
        let port = line.get("port").and_then(Value::as_u64).context("no port")?;
        Ok(Some(Self { _process: process, url: format!("http://127.0.0.1:{port}"), secret, home }))
    }

    /// Its identifier.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The secret of the clients `etl` and `etl-post`.
    pub fn secret(&self) -> &str {
        &self.secret
    }

    /// The file with the key (PKCS#8 PEM) of the client `billing`.
    pub fn key_file(&self) -> PathBuf {
        self.home.path().join("billing.pem")
    }

    /// The lines of `sluice.toml` by which Sluice trusts it, as `corp`.
    pub fn configuration(&self) -> String {
        format!(
            "\n[[issuer]]\nalias = \"corp\"\nurl = \"{}\"\naudience = \"sluice\"\n\
             kind = {{ claim = \"account_type\", user = \"person\" }}\ngroups_claim = \"groups\"\nbare_groups = \"*\"\n\
             allow_http = true\n",
            self.url
        )
    }
}

/// An EC public key on P-256 (RFC 7518, section 6.2).
fn jwk(key: &KeyPair) -> Result<Value> {
    let point = key.der_bytes().get(1..).context("no point")?;
    let (x, y) = point.split_at_checked(32).context("no point on P-256")?;
    let part = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    Ok(
        json!({ "kty": "EC", "crv": "P-256", "x": part(x), "y": part(y), "kid": "billing", "alg": "ES256", "use": "sig" }),
    )
}

/// Opens an address in a browser of few words (`tests/python/browser.py`), which signs in as `name` and agrees to
/// everything, or declines. Returns what the last page says.
pub fn browse(url: &str, name: &str, declines: bool) -> Result<Output> {
    let mut command = Command::new(development_directory().join("venv/bin/python"));
    command.arg(workspace_root().join("tests/python/browser.py")).args([url, name]);
    if declines {
        command.arg("abort");
    }
    run(command, b"")
}
