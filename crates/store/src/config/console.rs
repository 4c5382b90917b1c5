//! `[console]` of `sluice.toml`: where people look at Sluice, in a browser.

use std::sync::Arc;
use std::time::Duration;

use super::credential::secret;
use super::sluice::seconds;
use super::tokens::origin;
use super::{ClientAuthentication, CredentialSource, IssuerConfig, Listen, Section};

/// The console, and where people sign in to it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ConsoleConfig {
    /// How browsers reach the admin listener: scheme, host and port. `None` means by the loopback address that it is bound to.
    pub public_url: Option<String>,
    /// The issuer at which people sign in, by its alias.
    pub issuer: Arc<str>,
    /// Which client Sluice is there.
    pub client_id: String,
    /// Where that client's secret is; `None` for a public client. Read for each sign-in.
    pub client_secret: Option<CredentialSource>,
    /// How the secret is shown.
    pub method: ClientAuthentication,
    /// What is asked for; `openid` is always in it.
    pub scope: String,
    /// For whom the access token is to be (RFC 8707), where the issuer wants to be told.
    pub resource: Option<String>,
    /// How long somebody may do nothing before they have to sign in again.
    pub idle_timeout: Duration,
}

/// Every setting is read before any is missed, so that all mistakes are found.
pub(super) fn console(section: Section<'_, '_>, issuers: &[IssuerConfig], admin: &Listen) -> Option<ConsoleConfig> {
    if !section.is_present() {
        return None;
    }
    let public_url = section.text("public_url").and_then(|url| origin(&section, "public_url", url));
    let with_alias = |alias: &str| issuers.iter().find(|known| &*known.issuer.alias == alias);
    let named = section.parsed("issuer", "the alias of an [[issuer]]", with_alias);
    let only = match issuers {
        [only] if !section.holds("issuer") => Some(only),
        _ => None,
    };
    let issuer = named.or(only);
    let client_id =
        section.parsed("client_id", "Sluice's own client at the issuer", |id| (!id.is_empty()).then(|| id.to_owned()));
    let client_secret = secret(&section, "client_secret");
    let methods =
        [("client_secret_basic", ClientAuthentication::Basic), ("client_secret_post", ClientAuthentication::Post)];
    let method = section.word("method", &methods).unwrap_or_default();
    let is_openid = |scope: &str| scope.split(' ').any(|word| word == "openid");
    let scope =
        section.parsed("scope", "scopes with openid among them", |text| is_openid(text).then(|| text.to_owned()));
    let resource = section.text("resource");
    let idle_timeout = section.duration("idle_timeout", seconds(60, 12 * 3600));
    let client_id = section.required("client_id", client_id, "write client_id = \"sluice-console\"");
    let advice = "write the alias of the [[issuer]] at which people sign in";
    let issuer = section.required("issuer", issuer, advice);
    if public_url.is_none() && !section.has_mistake() && !admin.address.ip().to_canonical().is_loopback() {
        let advice = "write how browsers reach the admin listener, such as \"https://sluice.example.com:7632\"";
        section.required::<()>("public_url", None, advice);
    }
    let is_right = !section.has_mistake();
    section.finish();
    let (client_id, issuer, client_secret) = (client_id?, issuer?, client_secret?);
    is_right.then_some(ConsoleConfig {
        public_url,
        issuer: Arc::clone(&issuer.issuer.alias),
        client_id,
        client_secret,
        method,
        scope: scope.unwrap_or_else(|| String::from("openid")),
        resource,
        idle_timeout: idle_timeout.unwrap_or(Duration::from_secs(30 * 60)),
    })
}
