//! What is asked for: a file, and what the command line says over it.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::issuer::Wanted;
use crate::source::Source;
use crate::source::assertion::AssertionKey;
use crate::source::client::{Client, ClientCredentials, ClientProof, SecretFrom};
use crate::source::workload::{AUDIENCE, Workload};
use crate::tls::{CertificateFiles, Trust};

/// Why it cannot be done. All mistakes together, each on a line.
#[derive(Debug, thiserror::Error)]
#[error("{}", .0.join("\n"))]
pub struct ConfigError(pub Vec<String>);

/// Everything. What is not said is `None`.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// `HOST:PORT` of Sluice's listener for PostgreSQL.
    pub gateway: Option<String>,
    /// `HOST:PORT` of Sluice's listener for SSH.
    pub ssh: Option<String>,
    /// The URL of Sluice's admin listener, where certificates of SSH are had.
    pub url: Option<String>,
    /// A file with the lines by which ssh knows Sluice.
    pub known_hosts: Option<PathBuf>,
    /// A directory for a configuration of ssh, in place of doors.
    pub ssh_config: Option<PathBuf>,
    /// Trust anchors for Sluice in place of the operating system's.
    pub ca_file: Option<PathBuf>,
    /// A client certificate for Sluice, and for the issuer where `identity.client_certificate` says so.
    pub certificate_file: Option<PathBuf>,
    /// Its key.
    pub key_file: Option<PathBuf>,
    /// Where health is told.
    pub health: Option<SocketAddr>,
    /// Who goes through.
    pub identity: Identity,
    /// The targets, by name.
    pub targets: BTreeMap<String, TargetSettings>,
}

/// Who goes through.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Identity {
    /// The issuer's URL.
    pub issuer: Option<String>,
    /// Trust anchors for the issuer in place of the operating system's.
    pub issuer_ca_file: Option<PathBuf>,
    /// The client's id.
    pub client_id: Option<String>,
    /// A file with the client's secret.
    pub client_secret_file: Option<PathBuf>,
    /// Whether the secret goes into the form in place of the header.
    pub client_secret_post: bool,
    /// A private key (PKCS#8 PEM) that signs the client's assertions.
    pub private_key_file: Option<PathBuf>,
    /// The key's id at the issuer.
    pub key_id: Option<String>,
    /// Whether an RSA key signs by PSS.
    pub pss: bool,
    /// The audience of assertions where it is not the issuer.
    pub assertion_audience: Option<String>,
    /// Whether the client certificate is what proves the client to the issuer.
    pub client_certificate: bool,
    /// A file with a token, which somebody else keeps fresh.
    pub token_file: Option<PathBuf>,
    /// The name of an environment variable with a token.
    pub token_env: Option<String>,
    /// The endpoint of a SPIFFE Workload API, such as `unix:///run/spire/agent.sock`.
    pub workload_api: Option<String>,
    /// `scope`, `audience` and `resource`.
    pub wanted: Wanted,
}

/// How programs reach a target.
#[derive(Default, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TargetSettings {
    /// A loopback address; port 0 is any.
    pub listen: Option<SocketAddr>,
    /// A directory for a socket, in place of an address.
    pub socket: Option<PathBuf>,
    /// The number in the socket's name.
    pub port: Option<u16>,
    /// The database for programs that name none; the target's name unless said.
    pub database: Option<String>,
    /// A file with the password that programs give at the address; it is made if it is not there.
    pub password_file: Option<PathBuf>,
    /// Whether there is no password at the address.
    pub no_password: bool,
}

impl Settings {
    /// Reads a file. Paths in it are relative to where it is.
    ///
    /// # Errors
    /// If it cannot be read, or says what makes no sense.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let failed = |error: &dyn std::fmt::Display| ConfigError(vec![format!("{}: {error}", path.display())]);
        let text = std::fs::read_to_string(path).map_err(|error| failed(&error))?;
        let mut settings: Self = toml::from_str(&text).map_err(|error| failed(&error))?;
        settings.resolve(path.parent().unwrap_or(Path::new(".")));
        Ok(settings)
    }

    fn resolve(&mut self, base: &Path) {
        let identity = &mut self.identity;
        let mut paths = vec![
            &mut self.ca_file,
            &mut self.known_hosts,
            &mut self.ssh_config,
            &mut self.certificate_file,
            &mut self.key_file,
            &mut identity.issuer_ca_file,
            &mut identity.client_secret_file,
            &mut identity.private_key_file,
            &mut identity.token_file,
        ];
        for target in self.targets.values_mut() {
            paths.extend([&mut target.socket, &mut target.password_file]);
        }
        for path in paths.into_iter().flatten() {
            *path = base.join(&*path);
        }
    }

    /// How TLS with Sluice is spoken.
    ///
    /// # Errors
    /// If a certificate has no key, or the other way round.
    pub fn trust(&self) -> Result<Trust, ConfigError> {
        Ok(Trust { ca_file: self.ca_file.clone(), certificate: self.certificate()? })
    }

    fn certificate(&self) -> Result<Option<CertificateFiles>, ConfigError> {
        match (self.certificate_file.clone(), self.key_file.clone()) {
            (Some(certificate), Some(key)) => Ok(Some(CertificateFiles { certificate, key })),
            (None, None) => Ok(None),
            _ => Err(ConfigError(vec!["certificate_file and key_file belong together".to_owned()])),
        }
    }

    /// Where tokens come from, or `None` if nothing is said of it. `secret` and `token` are values of the environment.
    ///
    /// # Errors
    /// If what is said makes no sense, or a key cannot be used.
    pub fn source(
        &self,
        secret: Option<model::secret::Secret<String>>,
        token: impl Fn(&str) -> Option<String>,
    ) -> Result<Option<Source>, ConfigError> {
        let identity = &self.identity;
        let has_secret = secret.is_some() || identity.client_secret_file.is_some();
        let ways = [
            ("a token file", identity.token_file.is_some()),
            ("a variable with a token", identity.token_env.is_some()),
            ("a Workload API", identity.workload_api.is_some()),
            ("a client's secret", has_secret),
            ("a client's private key", identity.private_key_file.is_some()),
            ("a client's certificate", identity.client_certificate),
        ];
        let said: Vec<&str> = ways.iter().filter(|(_, is_said)| *is_said).map(|(way, _)| *way).collect();
        match said.as_slice() {
            [] => return Ok(None),
            [_] => {}
            several => return Err(ConfigError(vec![format!("say one of these alone: {}", several.join(", "))])),
        }
        if let Some(path) = &identity.token_file {
            return Ok(Some(Source::File(path.clone())));
        }
        if let Some(endpoint) = &identity.workload_api {
            return Ok(Some(self.workload(endpoint.clone())));
        }
        if let Some(name) = &identity.token_env {
            let value = token(name).filter(|value| !value.trim().is_empty());
            let value = value.ok_or_else(|| ConfigError(vec![format!("the variable {name} is not there or empty")]))?;
            return Ok(Some(Source::Value(model::secret::Secret::new(value.trim().to_owned()))));
        }
        self.client(secret)
            .map(|client| Some(Source::Client(Box::new(ClientCredentials { client, wanted: identity.wanted.clone() }))))
    }

    /// The agent of a workload at this endpoint.
    pub fn workload(&self, endpoint: String) -> Source {
        let audience = self.identity.wanted.audience.clone();
        Source::Workload(Workload { endpoint, audience: audience.unwrap_or_else(|| AUDIENCE.to_owned()) })
    }

    fn client(&self, secret: Option<model::secret::Secret<String>>) -> Result<Client, ConfigError> {
        let identity = &self.identity;
        let mut mistakes = Vec::new();
        let mut needed = |value: &Option<String>, what: &str| {
            value.clone().unwrap_or_else(|| {
                mistakes.push(format!("say the {what}"));
                String::new()
            })
        };
        let (issuer, id) = (needed(&identity.issuer, "issuer"), needed(&identity.client_id, "client's id"));
        let certificate = self.certificate()?;
        if identity.client_certificate && certificate.is_none() {
            mistakes.push("say certificate_file and key_file: the certificate proves the client".to_owned());
        }
        if !mistakes.is_empty() {
            return Err(ConfigError(mistakes));
        }
        let certificate = certificate.filter(|_| identity.client_certificate);
        let trust = Trust { ca_file: identity.issuer_ca_file.clone(), certificate };
        Ok(Client { issuer, id, proof: self.proof(secret)?, trust })
    }

    fn proof(&self, secret: Option<model::secret::Secret<String>>) -> Result<ClientProof, ConfigError> {
        let identity = &self.identity;
        if identity.client_certificate {
            return Ok(ClientProof::Certificate);
        }
        if let Some(path) = &identity.private_key_file {
            let (id, audience) = (identity.key_id.clone(), identity.assertion_audience.clone());
            let key = AssertionKey::load(path, id, audience, identity.pss);
            return key.map(ClientProof::PrivateKey).map_err(|error| ConfigError(vec![error.to_string()]));
        }
        let file = || Some(SecretFrom::File(identity.client_secret_file.clone()?));
        let from = file().or_else(|| secret.map(SecretFrom::Value));
        let from = from.ok_or_else(|| ConfigError(vec!["the client has no secret".to_owned()]))?;
        Ok(ClientProof::Secret { secret: from, in_form: identity.client_secret_post })
    }
}

#[cfg(test)]
mod tests;
