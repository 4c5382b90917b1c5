//! A real, certified OpenID provider (`oidc-provider`, of `tests/node`), as a process that can be stopped and come back.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use rustix::process::Signal;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::command::workspace_root;
use crate::drivers::Toolchain;
use crate::http::{self, FORM};
use crate::keeper::Kept;
use crate::random;
use crate::wait::eventually_blocking;

/// How long it may take to start or to end: it draws keys.
const LIMIT: Duration = Duration::from_secs(60);

/// What a token is asked for with in place of a JWT: one that only the provider can read.
pub const OPAQUE: &str = "urn:opaque";

/// A running provider, or one that was stopped. Its keys are kept.
pub struct Provider {
    process: Option<Kept>,
    port: u16,
    home: TempDir,
    secrets: [(&'static str, String); 2],
}

/// How often each endpoint was asked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Requests {
    /// `/jwks`.
    pub jwks: u64,
    /// `/token/introspection`.
    pub introspection: u64,
    /// What no provider has: where an attacker would have Sluice go.
    pub elsewhere: u64,
}

impl Provider {
    /// Starts one on a free port; `None` where `./dev` said that there is no Node here.
    pub fn start() -> Result<Option<Self>> {
        if Toolchain::Node.is_left_out() {
            return Ok(None);
        }
        let secrets = [("SECRET_ORDER_SERVICE", random::word()?), ("SECRET_SLUICE", random::word()?)];
        let home = tempfile::Builder::new().prefix("provider-").tempdir()?;
        let mut provider = Self { process: None, port: 0, home, secrets };
        provider.start_again()?;
        Ok(Some(provider))
    }

    /// Starts it at the port that it had, with the keys that it had.
    pub fn start_again(&mut self) -> Result<()> {
        let mut command = Command::new("node");
        command.arg("oidc_provider.mjs").arg(self.home.path()).arg(self.port.to_string());
        command.current_dir(workspace_root().join("tests/node")).envs(self.secrets.clone());
        let log = self.log();
        let _ = std::fs::remove_file(&log);
        let process = Kept::spawn(&command, "KILL", None, &log)?;
        let started = eventually_blocking(LIMIT, "the provider's port", || {
            let text = std::fs::read_to_string(&log).unwrap_or_default();
            let line = text.lines().find(|line| line.starts_with("{\"port\":") && line.ends_with('}'));
            ensure!(line.is_some() || process.is_running(), "it has ended: run `./dev setup`; its log:\n{text}");
            Ok(line.and_then(|line| serde_json::from_str::<Value>(line).ok()?.pointer("/port")?.as_u64()))
        });
        self.port = u16::try_from(started?)?;
        self.process = Some(process);
        Ok(())
    }

    /// Stops it: nobody listens at its port.
    pub fn stop(&mut self) -> Result<()> {
        let process = self.process.take().context("the provider does not run")?;
        process.signal(Signal::KILL)?;
        process.wait_for_end(LIMIT)?;
        process.finish().map(drop)
    }

    fn log(&self) -> PathBuf {
        self.home.path().join("log")
    }

    fn secret_of(&self, client: usize) -> &str {
        self.secrets.get(client).map_or("", |(_, secret)| secret)
    }

    /// Its identifier, the `iss` of its tokens.
    pub fn url(&self) -> String {
        format!("http://{}", self.address())
    }

    const fn address(&self) -> SocketAddr {
        SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), self.port)
    }

    /// The secret of the client `order-service`, which may ask for tokens.
    pub fn client_secret(&self) -> &str {
        self.secret_of(0)
    }

    /// The secret of the client `sluice`, which may ask about tokens.
    pub fn introspection_secret(&self) -> &str {
        self.secret_of(1)
    }

    /// A token for `order-service`, which shows its secret: a JWT signed with this algorithm, or [`OPAQUE`].
    pub fn token(&self, kind: &str) -> Result<String> {
        let pair = format!("order-service:{}", self.secret_of(0));
        let basic = format!("Basic {}", STANDARD.encode(pair));
        self.ask_for_token(&format!("grant_type=client_credentials&scope=db&resource={}", resource(kind)), &basic)
    }

    /// A token for `billing`, which shows a signed assertion (`private_key_jwt`, RFC 7523) made by `jose`.
    pub fn token_by_assertion(&self, kind: &str) -> Result<String> {
        let made = self.test("assertion", &json!({}))?;
        let assertion = made.pointer("/assertion").and_then(Value::as_str).context("no assertion")?;
        let form = format!(
            "grant_type=client_credentials&scope=db&resource={}&client_assertion_type=\
             urn:ietf:params:oauth:client-assertion-type:jwt-bearer&client_assertion={assertion}",
            resource(kind)
        );
        self.ask_for_token(&form, "")
    }

    fn ask_for_token(&self, form: &str, authorization: &str) -> Result<String> {
        let (status, answer) = self.post("/token", form, FORM, authorization)?;
        ensure!(status == 200, "{status}: {answer}");
        let answer: Value = serde_json::from_str(&answer)?;
        Ok(answer.pointer("/access_token").and_then(Value::as_str).context("no token")?.to_owned())
    }

    /// Revokes a token of `order-service` (RFC 7009).
    pub fn revoke(&self, token: &str) -> Result<()> {
        let basic = format!("Basic {}", STANDARD.encode(format!("order-service:{}", self.secret_of(0))));
        let form = format!("token={token}");
        let (status, answer) = self.post("/token/revocation", &form, FORM, &basic)?;
        ensure!(status == 200, "{status}: {answer}");
        Ok(())
    }

    /// Signs with new keys from now on; the old ones stay published if `keep`.
    pub fn rotate_keys(&self, keep: bool) -> Result<()> {
        self.test("rotate", &json!({ "keep": keep })).map(drop)
    }

    /// Every answer comes this much later.
    pub fn delay(&self, time: Duration) -> Result<()> {
        self.test("delay", &json!({ "milliseconds": u64::try_from(time.as_millis())? })).map(drop)
    }

    /// These claims under this header, signed by `jose` with the provider's key of this id; or with `symmetric`, which is
    /// `pem`, `der` or `jwk`, with that form of the public key as the secret of an HMAC.
    pub fn sign(&self, kid: &str, header: &Value, claims: &Value, symmetric: Option<&str>) -> Result<String> {
        let wanted = json!({ "kid": kid, "header": header, "claims": claims, "symmetric": symmetric });
        Ok(self.test("sign", &wanted)?.get("token").and_then(Value::as_str).context("no token")?.to_owned())
    }

    /// How often each endpoint was asked since it was started.
    pub fn requests(&self) -> Result<Requests> {
        let counted = self.test("requests", &json!({}))?;
        let of = |name: &str| counted.get(name).and_then(Value::as_u64).context("no count");
        Ok(Requests { jwks: of("jwks")?, introspection: of("introspection")?, elsewhere: of("elsewhere")? })
    }

    fn test(&self, action: &str, wanted: &Value) -> Result<Value> {
        let (status, answer) =
            self.post(&format!("/test/{action}"), &wanted.to_string(), ("Content-Type", "application/json"), "")?;
        ensure!(status == 200, "{status}: {answer}");
        Ok(serde_json::from_str(&answer)?)
    }

    fn post(&self, path: &str, body: &str, kind: (&str, &str), authorization: &str) -> Result<(u16, String)> {
        let shown = Some(("Authorization", authorization)).filter(|(_, value)| !value.is_empty());
        let headers: Vec<_> = std::iter::once(kind).chain(shown).collect();
        http::call(self.address(), "POST", path, &headers, body)
    }
}

/// A part of a JWT: 0 is the header, 1 what it claims.
pub fn part(token: &str, number: usize) -> Result<Value> {
    let part = token.split('.').nth(number).context("the token has no such part")?;
    Ok(serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part)?)?)
}

fn resource(kind: &str) -> String {
    if kind == OPAQUE { OPAQUE.to_owned() } else { format!("urn:jwt:{kind}") }
}
