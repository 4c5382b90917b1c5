//! The question itself (RFC 7662, section 2): a POST with the token in a form, as an authenticated client.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hyper::StatusCode;
use hyper::body::Bytes;
use hyper::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue};
use identity::{IdentityError, Introspected, Issuer};
use model::secret::Secret;
use model::time::Timestamp;
use store::config::{ClientAuthentication, IntrospectionConfig};
use zeroize::Zeroize;

use super::Introspector;
use crate::fetch::{self, Call};
use crate::issuers::discover;

/// The whole question, from look-up to last byte: a login waits for it.
const DEADLINE: Duration = Duration::from_secs(5);

/// Where an issuer is asked.
pub(super) struct Endpoint {
    allow_http: bool,
    /// As the configuration has it, or as the discovery document said. Forgotten when it does not answer.
    url: Mutex<Option<String>>,
    is_configured: bool,
}

impl Endpoint {
    pub(super) fn new(issuer: &Issuer, config: &IntrospectionConfig) -> Self {
        // The configuration lets plain HTTP through only where the operator allowed it.
        let url = config.url.as_deref().unwrap_or(&issuer.url);
        Self {
            allow_http: url.starts_with("http://"),
            url: Mutex::new(config.url.clone()),
            is_configured: config.url.is_some(),
        }
    }

    pub(super) async fn ask(
        &self,
        of: &Introspector,
        token: &str,
        asked_at: Timestamp,
    ) -> Result<Introspected, IdentityError> {
        let answer = tokio::time::timeout(DEADLINE, self.exchange(of, token)).await;
        match answer.unwrap_or(Err("it did not answer in time")) {
            Ok(body) => Introspected::parse(&body, asked_at),
            Err(reason) => {
                if !self.is_configured {
                    *self.url.lock().unwrap_or_else(PoisonError::into_inner) = None;
                }
                Err(of.not_asked(reason))
            }
        }
    }

    async fn exchange(&self, of: &Introspector, token: &str) -> Result<Bytes, &'static str> {
        let issuer = &of.issuer.alias;
        let url = self.url(of).await?;
        let secret = (of.secret)().map_err(|error| {
            tracing::error!(%issuer, %error, "the secret for asking the issuer cannot be read");
            "Sluice's own secret there cannot be read"
        })?;
        let (headers, body) = question(&of.config, token, &secret).ok_or("the client's id or secret is not usable")?;
        let call = Call { url: &url, ca: of.config.ca_file.as_deref(), allow_http: self.allow_http, headers };
        let answer = fetch::post(&call, body, DEADLINE).await.map_err(|error| {
            tracing::warn!(%issuer, %error, "the issuer cannot be asked about a token");
            "the question failed"
        })?;
        match answer.status {
            StatusCode::OK => answer.body.ok_or("its answer is too long or was cut off"),
            status => {
                tracing::warn!(%issuer, %status, "the issuer refuses to be asked about a token");
                Err(if status.is_server_error() { "it answers with an error" } else { "it refuses Sluice as a client" })
            }
        }
    }

    async fn url(&self, of: &Introspector) -> Result<String, &'static str> {
        let known = self.url.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(url) = known {
            return Ok(url);
        }
        let document = discover(&of.issuer, of.config.ca_file.as_deref(), self.allow_http).await.map_err(|error| {
            tracing::warn!(issuer = %of.issuer.alias, %error, "the issuer does not say where it can be asked");
            "its discovery document cannot be had"
        })?;
        let url = document.introspection_endpoint.ok_or("its discovery document names no introspection_endpoint")?;
        *self.url.lock().unwrap_or_else(PoisonError::into_inner) = Some(url.clone());
        Ok(url)
    }
}

/// The headers and the form.
fn question(config: &IntrospectionConfig, token: &str, secret: &Secret<String>) -> Option<(HeaderMap, Bytes)> {
    let mut headers = HeaderMap::from_iter([
        (ACCEPT, HeaderValue::from_static("application/json")),
        (CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded")),
    ]);
    let mut body = format!("token={}&token_type_hint=access_token", form_encoded(token));
    authenticate(config.method, &config.client_id, secret, &mut headers, &mut body)?;
    Some((headers, Bytes::from(body)))
}

/// Shows the client's secret, in the header or in the form.
pub(crate) fn authenticate(
    method: ClientAuthentication,
    client_id: &str,
    secret: &Secret<String>,
    headers: &mut HeaderMap,
    body: &mut String,
) -> Option<()> {
    let (id, mut secret) = (form_encoded(client_id), form_encoded(secret.expose()));
    match method {
        ClientAuthentication::Basic => {
            // RFC 6749, section 2.3.1: encoded as in a form, then as RFC 7617 has it.
            let mut pair = format!("{id}:{secret}");
            let mut value = format!("Basic {}", STANDARD.encode(&pair));
            let header = HeaderValue::from_str(&value);
            pair.zeroize();
            value.zeroize();
            let mut header = header.ok()?;
            header.set_sensitive(true);
            headers.insert(AUTHORIZATION, header);
        }
        ClientAuthentication::Post => {
            body.push_str(&format!("&client_id={id}&client_secret={secret}"));
        }
    }
    secret.zeroize();
    Some(())
}

/// `application/x-www-form-urlencoded`; whatever could mean something there is written as its bytes.
pub(crate) fn form_encoded(text: &str) -> String {
    text.bytes().fold(String::with_capacity(text.len()), |mut encoded, byte| {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'*' => encoded.push(char::from(byte)),
            other => encoded.push_str(&format!("%{other:02X}")),
        }
        encoded
    })
}

#[cfg(test)]
mod tests {
    use store::config::CredentialSource;

    use super::*;

    fn config(method: ClientAuthentication) -> IntrospectionConfig {
        IntrospectionConfig {
            url: None,
            client_id: "slu:ice".to_owned(),
            client_secret: CredentialSource::Env("X".to_owned()),
            method,
            token_prefix: None,
            max_age: Duration::from_secs(30),
            max_outage: Duration::from_secs(300),
            ca_file: None,
        }
    }

    #[test]
    fn what_is_asked_cannot_be_changed_by_what_it_is_asked_with() {
        let secret = Secret::new("p&ss w=rd".to_owned());
        let (headers, body) = question(&config(ClientAuthentication::Basic), "a&token=b+/=", &secret).unwrap();
        assert_eq!(body, "token=a%26token%3Db%2B%2F%3D&token_type_hint=access_token");
        let basic = headers.get(AUTHORIZATION).unwrap();
        assert!(basic.is_sensitive(), "no log shows it");
        let pair = STANDARD.decode(basic.to_str().unwrap().strip_prefix("Basic ").unwrap()).unwrap();
        assert_eq!(pair, b"slu%3Aice:p%26ss%20w%3Drd");
        let (headers, body) = question(&config(ClientAuthentication::Post), "t", &secret).unwrap();
        assert!(headers.get(AUTHORIZATION).is_none());
        assert_eq!(body, "token=t&token_type_hint=access_token&client_id=slu%3Aice&client_secret=p%26ss%20w%3Drd");
    }
}
