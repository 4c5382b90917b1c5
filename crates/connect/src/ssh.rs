//! A configuration for OpenSSH, and a certificate that is kept fresh beside it. There is no door and no proxy: `ssh` goes to
//! Sluice itself, as whoever runs this.
//!
//! The key is made for each run and is in its file alone; the file is gone when the run ends.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use model::secret::Secret;
use serde::Deserialize;
use ssh_key::private::Ed25519Keypair;
use ssh_key::{Certificate, LineEnding, PrivateKey};
use tokio_util::sync::CancellationToken;

use crate::backoff::Backoff;
use crate::http::{self, HttpError};
use crate::keeper::Keeper;
use crate::private;
use crate::random::{self, NoRandomness};
use crate::tls::Trust;

/// How soon another certificate is asked for at the earliest.
const SOONEST: Duration = Duration::from_secs(1);

/// Why there is no certificate, or no configuration.
#[derive(Debug, thiserror::Error)]
pub enum SshError {
    /// There is no answer from Sluice.
    #[error("{url}: {error}")]
    Http {
        /// Who was asked.
        url: String,
        /// Why not.
        error: HttpError,
    },
    /// Sluice refuses, in its own words.
    #[error("Sluice refuses: {0}")]
    Refused(String),
    /// The answer is no certificate of this key.
    #[error("{0} gives no certificate: is it Sluice's token endpoint?")]
    Answer(String),
    /// A file cannot be written or read.
    #[error("{path}: {error}")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// A name, or a path, that the configuration cannot hold.
    #[error("{0:?} cannot be in a configuration of ssh: it has quotes, control characters or other marks")]
    Unwritable(String),
    /// Nothing random.
    #[error(transparent)]
    Randomness(#[from] NoRandomness),
    /// The key cannot be written down.
    #[error("the key cannot be written: {0}")]
    Key(#[from] ssh_key::Error),
}

impl SshError {
    /// Whether another attempt may go better without anybody doing anything.
    pub const fn is_transient(&self) -> bool {
        match self {
            Self::Http { error, .. } => error.is_transient(),
            Self::Answer(_) => true,
            Self::Refused(_) | Self::File { .. } | Self::Unwritable(_) | Self::Randomness(_) | Self::Key(_) => false,
        }
    }
}

/// What goes into the configuration.
pub struct Wanted {
    /// The directory for it: it is made, for this user alone, if it is not there.
    pub dir: PathBuf,
    /// The host of Sluice's SSH listener.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// The file with the lines by which ssh knows Sluice.
    pub known_hosts: PathBuf,
    /// The targets.
    pub targets: Vec<String>,
    /// The URL of the token endpoint.
    pub endpoint: String,
    /// How TLS with it is spoken.
    pub trust: Trust,
}

/// A key, and where its certificate and the configuration are.
pub struct Written {
    wanted: Wanted,
    public_key: String,
    /// How long the first certificate lasts.
    first: Duration,
}

/// The files of a directory.
struct Files {
    key: PathBuf,
    certificate: PathBuf,
    config: PathBuf,
}

impl Files {
    fn of(dir: &Path) -> Self {
        Self { key: dir.join("key"), certificate: dir.join("key-cert.pub"), config: dir.join("config") }
    }
}

impl Written {
    /// Makes a key, gets the first certificate of it, and writes the configuration.
    ///
    /// # Errors
    /// See [`SshError`].
    pub async fn begin(wanted: Wanted, keeper: &Keeper) -> Result<Self, SshError> {
        let config = config(&wanted)?;
        let files = Files::of(&wanted.dir);
        private::directory(&wanted.dir).map_err(|error| SshError::File { path: wanted.dir.clone(), error })?;
        let key = new_key()?;
        let public_key = key.public_key().to_openssh()?;
        let mut written = Self { wanted, public_key, first: Duration::ZERO };
        // An older run's certificate fits no key of this one.
        let _ = std::fs::remove_file(&files.certificate);
        write(&files.key, key.to_openssh(LineEnding::LF)?.as_bytes())?;
        written.first = written.renew(keeper).await?;
        write(&files.config, config.as_bytes())?;
        Ok(written)
    }

    /// Where the configuration is.
    pub fn config(&self) -> PathBuf {
        Files::of(&self.wanted.dir).config
    }

    /// Renews the certificate until `stop`, and takes key and certificate away then. One that cannot be renewed serves while it
    /// lasts.
    pub async fn keep(&self, keeper: &Keeper, stop: CancellationToken) {
        let (mut backoff, mut wait) = (Backoff::default(), renew_after(self.first));
        loop {
            tokio::select! {
                () = tokio::time::sleep(wait.max(SOONEST)) => {}
                () = stop.cancelled() => break,
            }
            wait = match self.renew(keeper).await {
                Ok(lasts) => {
                    backoff.reset();
                    renew_after(lasts)
                }
                Err(error) => {
                    tracing::warn!(%error, "no new certificate; the old one serves while it lasts");
                    backoff.next_delay()
                }
            };
        }
        let files = Files::of(&self.wanted.dir);
        for file in [files.key, files.certificate] {
            let _ = std::fs::remove_file(file);
        }
    }

    /// Gets a certificate for the newest token, and says how long it lasts.
    async fn renew(&self, keeper: &Keeper) -> Result<Duration, SshError> {
        let token = Arc::clone(&keeper.watch().borrow().token);
        let (line, lasts) = self.ask(token.expose()).await?;
        write(&Files::of(&self.wanted.dir).certificate, format!("{line}\n").as_bytes())?;
        Ok(lasts)
    }

    async fn ask(&self, token: &str) -> Result<(String, Duration), SshError> {
        let url = &self.wanted.endpoint;
        let fields = [
            ("grant_type", "urn:ietf:params:oauth:grant-type:token-exchange"),
            ("subject_token", token),
            ("subject_token_type", "urn:ietf:params:oauth:token-type:access_token"),
            ("requested_token_type", "urn:sluice:token-type:ssh-certificate"),
            ("public_key", &self.public_key),
        ];
        let answer = http::post_form(&self.wanted.trust, url, None, &fields).await;
        let answer = answer.map_err(|error| SshError::Http { url: url.clone(), error })?;
        let not_it = || SshError::Answer(url.clone());
        if answer.status != 200 {
            return Err(refusal(&answer.body).map_or_else(not_it, SshError::Refused));
        }
        let issued: Issued = serde_json::from_slice(answer.body.expose()).map_err(|_| not_it())?;
        let certificate = Certificate::from_openssh(&issued.access_token).map_err(|_| not_it())?;
        // What is written beside the key is what ssh shows: never anything else than a certificate of that key.
        let own = ssh_key::PublicKey::from_openssh(&self.public_key)?;
        if certificate.public_key() != own.key_data() {
            return Err(not_it());
        }
        Ok((certificate.to_openssh()?, Duration::from_secs(issued.expires_in)))
    }
}

/// What the token endpoint gives out.
#[derive(Deserialize)]
struct Issued {
    access_token: String,
    expires_in: u64,
}

/// What an error says (RFC 6749, section 5.2), as far as it can be shown.
fn refusal(body: &Secret<Vec<u8>>) -> Option<String> {
    #[derive(Deserialize)]
    struct Refused {
        error: String,
        error_description: Option<String>,
    }
    let refused: Refused = serde_json::from_slice(body.expose()).ok()?;
    let text = refused.error_description.map_or(refused.error.clone(), |why| format!("{}: {why}", refused.error));
    Some(text.chars().filter(|c| !c.is_control()).take(200).collect())
}

/// When to get the next one: after two thirds of its time, as with tokens.
fn renew_after(lasts: Duration) -> Duration {
    lasts / 3 * 2
}

fn new_key() -> Result<PrivateKey, SshError> {
    let seed = Secret::new(random::bytes::<32>()?);
    Ok(PrivateKey::from(Ed25519Keypair::from_seed(seed.expose())))
}

/// The configuration: a `Host` for each target, by its own name.
fn config(wanted: &Wanted) -> Result<String, SshError> {
    let files = Files::of(&wanted.dir);
    let path = |path: &Path| {
        let absolute = std::path::absolute(path).map_err(|error| SshError::File { path: path.to_owned(), error })?;
        let text = absolute.to_str().map(str::to_owned).unwrap_or_default();
        // ssh reads `%` and `${…}` in paths (ssh_config(5), TOKENS).
        let is_plain = !text.is_empty() && !text.chars().any(|c| c.is_control() || matches!(c, '"' | '%' | '$' | '\\'));
        if is_plain { Ok(format!("\"{text}\"")) } else { Err(SshError::Unwritable(path.display().to_string())) }
    };
    let (key, certificate, known_hosts) = (path(&files.key)?, path(&files.certificate)?, path(&wanted.known_hosts)?);
    let (host, port) = (name(&wanted.host)?, wanted.port);
    let mut text =
        String::from("# Written by `sluice connect --ssh-config` and replaced at its next start. In ~/.ssh/config:\n");
    text.push_str(&format!("#   Include {}\n", path(&files.config)?));
    for target in &wanted.targets {
        let target = name(target)?;
        text.push_str(&format!(
            "\nHost {target}\n  HostName {host}\n  Port {port}\n  User {target}\n  IdentityFile {key}\n  \
             CertificateFile {certificate}\n  IdentitiesOnly yes\n  UserKnownHostsFile {known_hosts}\n  \
             GlobalKnownHostsFile none\n  StrictHostKeyChecking yes\n"
        ));
    }
    Ok(text)
}

/// The name of a host or a target: nothing that ssh would read as a pattern, a list or a token.
fn name(name: &str) -> Result<&str, SshError> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_' | b':');
    let is_name = !name.is_empty() && !name.starts_with('-') && name.bytes().all(is_plain);
    if is_name { Ok(name) } else { Err(SshError::Unwritable(name.to_owned())) }
}

fn write(path: &Path, content: &[u8]) -> Result<(), SshError> {
    private::write(path, content).map_err(|error| SshError::File { path: path.to_owned(), error })
}

#[cfg(test)]
mod tests;
