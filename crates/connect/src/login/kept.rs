//! The login of a person, kept in a file that only they can read.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use model::secret::Secret;
use serde::{Deserialize, Serialize};

use crate::issuer::{Granted, IssuerError, Wanted};
use crate::private;
use crate::source::client::{Client, ClientProof, SecretFrom};
use crate::tls::Trust;
use crate::token::Token;

/// What is told whoever has none.
const SIGN_IN: &str = "you are not signed in: run `sluice login`";

/// What is told when it is over.
const SIGN_IN_AGAIN: &str = "your login is over: run `sluice login` again";

/// Who signed in where.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    /// The issuer.
    pub issuer: String,
    /// The client that the person signed in to.
    pub client_id: String,
    /// The client's secret, for issuers that give programs one (which is none).
    pub client_secret_file: Option<PathBuf>,
    /// Trust anchors for the issuer in place of the operating system's.
    pub ca_file: Option<PathBuf>,
    /// What is asked for.
    pub wanted: Wanted,
}

impl Account {
    /// The client of the issuer.
    pub fn client(&self) -> Client {
        let secret = |path: &PathBuf| ClientProof::Secret { secret: SecretFrom::File(path.clone()), in_form: true };
        Client {
            issuer: self.issuer.clone(),
            id: self.client_id.clone(),
            proof: self.client_secret_file.as_ref().map_or(ClientProof::Public, secret),
            trust: Trust { ca_file: self.ca_file.clone(), certificate: None },
        }
    }
}

#[derive(Serialize, Deserialize)]
struct Kept {
    account: Account,
    access_token: String,
    /// Seconds since 1970.
    obtained_at: u64,
    expires_at: Option<u64>,
    refresh_token: Option<String>,
}

/// The file of a login.
pub struct KeptLogin {
    path: PathBuf,
}

impl KeptLogin {
    /// The login in this file, whether there is one or not.
    pub const fn at(path: PathBuf) -> Self {
        Self { path }
    }

    /// `$XDG_STATE_HOME/sluice/login.json`, or below `~/.local/state` (XDG Base Directory Specification).
    pub fn default_path(state_home: Option<PathBuf>, home: Option<PathBuf>) -> Option<PathBuf> {
        let state = state_home.filter(|path| path.is_absolute());
        let state = state.or_else(|| Some(home.filter(|path| path.is_absolute())?.join(".local/state")))?;
        Some(state.join("sluice/login.json"))
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether somebody is signed in.
    pub fn exists(&self) -> bool {
        self.path.exists()
    }

    /// Whose it is.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn account(&self) -> Result<Option<Account>, IssuerError> {
        Ok(self.read()?.map(|kept| kept.account))
    }

    /// Keeps what was granted, in place of whatever was kept.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn keep(&self, account: Account, granted: &Granted) -> Result<(), IssuerError> {
        let _locked = self.lock()?;
        self.write(&kept(account, granted, None))
    }

    /// The token, renewed where that is due and possible. Several programs may ask at once: a refresh token that is used
    /// twice can end the login at the issuer.
    ///
    /// # Errors
    /// If nobody is signed in any more.
    pub async fn token(&self, now: SystemTime) -> Result<Token, IssuerError> {
        if !self.exists() {
            return Err(IssuerError::Person(SIGN_IN.to_owned()));
        }
        let token = self.read()?.map(|kept| token_of(&kept));
        if let Some(token) = token.filter(|token| now < token.renew_at()) {
            return Ok(token);
        }
        let path = self.path.clone();
        let locked = tokio::task::spawn_blocking(move || Self::at(path).lock()).await;
        let _locked = locked.map_err(|_| IssuerError::Person("the lock of the login cannot be had".to_owned()))??;
        // Somebody else may have renewed it meanwhile.
        let kept = self.read()?.ok_or_else(|| IssuerError::Person(SIGN_IN.to_owned()))?;
        let token = token_of(&kept);
        if now < token.renew_at() {
            return Ok(token);
        }
        let renewed = match &kept.refresh_token {
            Some(refresh_token) => refresh(&kept.account, refresh_token, now).await,
            None => Err(IssuerError::Person(SIGN_IN_AGAIN.to_owned())),
        };
        match renewed {
            Ok(granted) => {
                self.write(&self::kept(kept.account, &granted, kept.refresh_token))?;
                Ok(granted.token)
            }
            // It still serves.
            Err(_) if !token.is_over(now) => Ok(token),
            Err(IssuerError::Refused { code, .. }) if code == "invalid_grant" => {
                Err(IssuerError::Person(SIGN_IN_AGAIN.to_owned()))
            }
            Err(error) => Err(error),
        }
    }

    /// Signs out: gives the tokens back to the issuer (RFC 7009), and removes the file whatever the issuer says.
    ///
    /// # Errors
    /// Whether the issuer could be told, within an error of the file.
    pub async fn forget(&self) -> Result<Result<(), IssuerError>, IssuerError> {
        let kept = self.read()?.ok_or_else(|| IssuerError::Person("you are not signed in".to_owned()))?;
        let told = revoke(&kept).await;
        std::fs::remove_file(&self.path).map_err(|error| self.failed(&error))?;
        Ok(told)
    }

    fn lock_path(&self) -> PathBuf {
        self.path.with_extension("lock")
    }

    fn lock(&self) -> Result<std::fs::File, IssuerError> {
        let directory = self.path.parent().unwrap_or(Path::new("."));
        private::directory(directory)
            .and_then(|()| private::lock(&self.lock_path()))
            .map_err(|error| self.failed(&error))
    }

    fn read(&self) -> Result<Option<Kept>, IssuerError> {
        let text = match std::fs::read(&self.path) {
            Ok(text) => Secret::new(text),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(self.failed(&error)),
        };
        if private::is_open_to_others(&self.path).map_err(|error| self.failed(&error))? {
            return Err(self.failed(&"is open to others: run chmod 600 on it, and sign in again if that is a surprise"));
        }
        let kept = serde_json::from_slice(text.expose());
        kept.map(Some).map_err(|_| self.failed(&"is no login: run `sluice login` again"))
    }

    fn write(&self, kept: &Kept) -> Result<(), IssuerError> {
        let text = serde_json::to_vec(kept).map_err(|error| self.failed(&error))?;
        let text = Secret::new(text);
        private::write(&self.path, text.expose()).map_err(|error| self.failed(&error))
    }

    fn failed(&self, reason: &dyn std::fmt::Display) -> IssuerError {
        IssuerError::File { path: self.path.display().to_string(), reason: reason.to_string() }
    }
}

fn seconds(time: SystemTime) -> u64 {
    time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs()
}

fn time(seconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(seconds)).unwrap_or(SystemTime::UNIX_EPOCH)
}

/// An issuer that gives no new refresh token means the old one (RFC 6749, section 6).
fn kept(account: Account, granted: &Granted, old_refresh_token: Option<String>) -> Kept {
    let token = &granted.token;
    Kept {
        account,
        access_token: token.expose().to_owned(),
        obtained_at: seconds(token.obtained_at()),
        expires_at: token.expires_at().map(seconds),
        refresh_token: granted.refresh_token.as_ref().map(|token| token.expose().clone()).or(old_refresh_token),
    }
}

fn token_of(kept: &Kept) -> Token {
    Token::restored(Secret::new(kept.access_token.clone()), time(kept.obtained_at), kept.expires_at.map(time))
}

async fn refresh(account: &Account, refresh_token: &str, now: SystemTime) -> Result<Granted, IssuerError> {
    let client = account.client();
    let metadata = client.discover().await?;
    let mut fields = vec![("grant_type", "refresh_token"), ("refresh_token", refresh_token)];
    // The scope stays what was granted; what else an issuer goes by has to be said again.
    fields.extend(account.wanted.fields().into_iter().filter(|(name, _)| *name != "scope"));
    client.grant(&metadata, &fields, now).await
}

/// With the refresh token goes what was got by it (RFC 7009, section 2.1).
async fn revoke(kept: &Kept) -> Result<(), IssuerError> {
    let client = kept.account.client();
    let metadata = client.discover().await?;
    let endpoint = metadata.revocation_endpoint.as_deref();
    let endpoint = endpoint.ok_or(IssuerError::NotOffered("revocation_endpoint"))?;
    let (token, hint) = match &kept.refresh_token {
        Some(token) => (token.as_str(), "refresh_token"),
        None => (kept.access_token.as_str(), "access_token"),
    };
    client.tell(&metadata, endpoint, &[("token", token), ("token_type_hint", hint)], SystemTime::now()).await
}

#[cfg(test)]
mod tests;
