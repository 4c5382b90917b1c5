//! OAuth client credentials (RFC 6749, section 4.4), and how a client proves who it is.

use std::path::PathBuf;
use std::time::SystemTime;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hyper::header::HeaderValue;
use model::secret::Secret;
use serde::de::DeserializeOwned;

use super::assertion::AssertionKey;
use super::file;
use crate::http::Answer;
use crate::issuer::{self, Granted, IssuerError, Metadata, TokenAnswer, Wanted};
use crate::tls::Trust;
use crate::token::Token;

/// The type of a JWT as client assertion (RFC 7523, section 2.2).
const JWT_BEARER: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// A client of an issuer.
pub struct Client {
    /// The issuer's URL, exactly as its discovery document has it.
    pub issuer: String,
    /// The client's id.
    pub id: String,
    /// How it proves that it is the client.
    pub proof: ClientProof,
    /// How TLS with the issuer is spoken.
    pub trust: Trust,
}

/// How a client proves that it is the client.
pub enum ClientProof {
    /// Not at all: programs of people can keep no secret (RFC 8252, section 8.5).
    Public,
    /// A secret.
    Secret {
        /// Where it is.
        secret: SecretFrom,
        /// In the form (`client_secret_post`) in place of the header (`client_secret_basic`).
        in_form: bool,
    },
    /// A key that signs an assertion each time (`private_key_jwt`, RFC 7523).
    PrivateKey(AssertionKey),
    /// The certificate of the TLS connection (RFC 8705, section 2). The tokens are bound to it.
    Certificate,
}

/// Where a secret is.
pub enum SecretFrom {
    /// In a file, which is read anew each time.
    File(PathBuf),
    /// Here.
    Value(Secret<String>),
}

impl SecretFrom {
    fn read(&self) -> Result<Secret<String>, IssuerError> {
        Ok(Secret::new(match self {
            Self::File(path) => file::read(path)?,
            Self::Value(value) => value.expose().clone(),
        }))
    }
}

impl Client {
    /// Reads the issuer's discovery document. Each time anew: it is asked for seldom, and may have changed.
    ///
    /// # Errors
    /// If there is none.
    pub async fn discover(&self) -> Result<Metadata, IssuerError> {
        issuer::discover(&self.trust, &self.issuer).await
    }

    /// Asks the token endpoint for what these fields ask for, as this client.
    ///
    /// # Errors
    /// Why there is no token.
    pub async fn grant(
        &self,
        metadata: &Metadata,
        fields: &[(&str, &str)],
        now: SystemTime,
    ) -> Result<Granted, IssuerError> {
        let url = match self.proof {
            ClientProof::Certificate => metadata.mtls_token_endpoint(),
            ClientProof::Public | ClientProof::Secret { .. } | ClientProof::PrivateKey(_) => &metadata.token_endpoint,
        };
        self.ask::<TokenAnswer>(metadata, url, fields, now).await?.granted(url, now)
    }

    /// Asks an endpoint as this client.
    pub(crate) async fn ask<T: DeserializeOwned>(
        &self,
        metadata: &Metadata,
        url: &str,
        fields: &[(&str, &str)],
        now: SystemTime,
    ) -> Result<T, IssuerError> {
        issuer::parse(url, &self.post(metadata, url, fields, now).await?)
    }

    /// Tells an endpoint something as this client; what it answers makes no difference.
    pub(crate) async fn tell(
        &self,
        metadata: &Metadata,
        url: &str,
        fields: &[(&str, &str)],
        now: SystemTime,
    ) -> Result<(), IssuerError> {
        self.post(metadata, url, fields, now).await.map(drop)
    }

    async fn post(
        &self,
        metadata: &Metadata,
        url: &str,
        fields: &[(&str, &str)],
        now: SystemTime,
    ) -> Result<Answer, IssuerError> {
        let mut form = fields.to_vec();
        let (secret, assertion);
        let mut authorization = None;
        match &self.proof {
            ClientProof::Public | ClientProof::Certificate => form.push(("client_id", &self.id)),
            ClientProof::Secret { secret: from, in_form: false } => {
                authorization = Some(basic(&self.id, &from.read()?)?);
            }
            ClientProof::Secret { secret: from, in_form: true } => {
                secret = from.read()?;
                form.extend([("client_id", self.id.as_str()), ("client_secret", secret.expose().as_str())]);
            }
            ClientProof::PrivateKey(key) => {
                assertion = key.assertion(&self.id, &metadata.issuer, now)?;
                form.extend([
                    ("client_id", self.id.as_str()),
                    ("client_assertion_type", JWT_BEARER),
                    ("client_assertion", assertion.expose().as_str()),
                ]);
            }
        }
        issuer::post(&self.trust, url, authorization, &form).await
    }
}

/// RFC 6749, section 2.3.1: both are form-encoded before they are joined.
fn basic(id: &str, secret: &Secret<String>) -> Result<HeaderValue, IssuerError> {
    let encode = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
    let joined = Secret::new(format!("{}:{}", encode(id), encode(secret.expose())));
    let header = format!("Basic {}", STANDARD.encode(joined.expose()));
    HeaderValue::try_from(header).map_err(|_| IssuerError::Person("the client's id is no such id".to_owned()))
}

/// A client that asks for tokens of its own.
pub struct ClientCredentials {
    /// The client.
    pub client: Client,
    /// What it asks for.
    pub wanted: Wanted,
}

impl ClientCredentials {
    /// The next token.
    ///
    /// # Errors
    /// Why there is none.
    pub async fn token(&self, now: SystemTime) -> Result<Token, IssuerError> {
        let metadata = self.client.discover().await?;
        let mut fields = vec![("grant_type", "client_credentials")];
        fields.extend(self.wanted.fields());
        Ok(self.client.grant(&metadata, &fields, now).await?.token)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_and_secrets_are_encoded_before_they_are_joined() {
        let header = basic("a:b", &Secret::new("s e/cret%".into())).unwrap();
        let encoded = header.to_str().unwrap().strip_prefix("Basic ").unwrap().to_owned();
        assert_eq!(STANDARD.decode(encoded).unwrap(), b"a%3Ab:s+e%2Fcret%25");
    }
}
