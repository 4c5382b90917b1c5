//! `credential = { oauth2 = { … } }` of an API: Sluice is a client of the API's issuer, and asks it for tokens of its own
//! (client credentials, RFC 6749, section 4.4).

use std::path::PathBuf;
use std::time::Duration;

use super::super::sluice::seconds;
use super::super::{CredentialSource, Section};
use super::{SOURCE_ADVICE, secret, url};

/// A client of an issuer, and what it asks for.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct OAuth2Client {
    /// The issuer's token endpoint.
    pub token_url: String,
    /// The CA of its certificate; `None` means the system's.
    pub ca_file: Option<PathBuf>,
    /// The client's id.
    pub id: String,
    /// How it proves that it is the client.
    pub proof: OAuth2Proof,
    /// What else the request for a token says, such as `scope`.
    pub asks: Vec<(&'static str, String)>,
    /// How long an answer may take.
    pub timeout: Duration,
}

/// How a client proves that it is the client.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum OAuth2Proof {
    /// By a secret in `Authorization` (`client_secret_basic`).
    Basic(CredentialSource),
    /// By a secret in the form (`client_secret_post`).
    Post(CredentialSource),
    /// By an assertion that it signs each time (`private_key_jwt`, RFC 7523).
    Key {
        /// Where the key is, in PKCS#8 PEM.
        key: CredentialSource,
        /// `kid`, where the issuer wants one.
        id: Option<String>,
        /// `aud` of the assertion; `None` means the token endpoint.
        audience: Option<String>,
    },
}

const ADVICE: &str =
    "write oauth2 = { token_url = \"https://…\", client_id = \"sluice\", client_secret = { vault = \"…\" } }";
const PROOF_ADVICE: &str = "write client_secret = { vault = \"name\" }, or client_key = { file = \"path\" }";

/// `oauth2 = { … }`: `None` after a mistake, `Some(None)` where there is none. Every setting is read before any is missed.
pub(in super::super) fn client(credential: &Section<'_, '_>) -> Option<Option<OAuth2Client>> {
    let Some(setting) = credential.take("oauth2") else { return Some(None) };
    let section = setting.section()?;
    let token_url = url(&section, "token_url");
    let word =
        |key| section.parsed(key, "a text that is not empty", |text| (!text.is_empty()).then(|| text.to_owned()));
    let id = word("client_id");
    let proof = proof(&section);
    let asks = ["scope", "audience", "resource"].map(|key| word(key).map(|value| (key, value)));
    let ca_file = section.path("ca_file");
    let timeout = section.duration("timeout", seconds(1, 60)).unwrap_or(Duration::from_secs(5));
    let token_url = section.required("token_url", token_url, ADVICE);
    let id = section.required("client_id", id, ADVICE);
    section.finish();
    let asks = asks.into_iter().flatten().collect();
    Some(Some(OAuth2Client { token_url: token_url?, ca_file, id: id?, proof: proof?, asks, timeout }))
}

fn proof(section: &Section<'_, '_>) -> Option<OAuth2Proof> {
    let (secret_at, key) = (secret(section, "client_secret"), secret(section, "client_key"));
    let in_form = section.word("auth", &[("basic", false), ("post", true)]);
    let (id, audience) = (section.text("key_id"), section.text("assertion_audience"));
    match (secret_at?, key?) {
        (Some(secret), None) if id.is_none() && audience.is_none() => Some(match in_form.unwrap_or(false) {
            true => OAuth2Proof::Post(secret),
            false => OAuth2Proof::Basic(secret),
        }),
        (None, Some(key)) if in_form.is_none() => Some(OAuth2Proof::Key { key, id, audience }),
        (None, None) => section.required("client_secret", None, SOURCE_ADVICE),
        _ => {
            section.report("", "it proves who Sluice is in several ways", PROOF_ADVICE);
            None
        }
    }
}
