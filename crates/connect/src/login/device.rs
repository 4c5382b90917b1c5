//! Signing in by a browser on any machine: the device authorization grant (RFC 8628).

use std::time::{Duration, SystemTime};

use model::secret::Secret;
use serde::Deserialize;
use tokio::time::Instant;

use super::browser::check_id_token;
use crate::issuer::{Granted, IssuerError, Wanted, printable};
use crate::source::client::Client;

const GRANT: &str = "urn:ietf:params:oauth:grant-type:device_code";

/// How long to wait between attempts unless the issuer says (section 3.2).
const INTERVAL: u64 = 5;

/// What `slow_down` adds (section 3.5).
const SLOWER: Duration = Duration::from_secs(5);

/// The longest that is waited for a person, whatever the issuer says.
const PATIENCE: u64 = 1800;

/// What a person has to be shown.
pub struct Shown {
    /// The address to open.
    pub verification_uri: String,
    /// The code to compare and to type.
    pub user_code: String,
    /// The address with the code in it, where the issuer has one.
    pub verification_uri_complete: Option<String>,
}

#[derive(Deserialize)]
struct DeviceAnswer {
    device_code: String,
    user_code: String,
    verification_uri: String,
    verification_uri_complete: Option<String>,
    expires_in: u64,
    interval: Option<u64>,
}

/// Signs a person in. `show` gets what the person has to be shown.
///
/// # Errors
/// Why nobody is signed in.
pub async fn sign_in(client: &Client, wanted: &Wanted, show: impl FnOnce(&Shown)) -> Result<Granted, IssuerError> {
    let metadata = client.discover().await?;
    let endpoint = metadata.device_authorization_endpoint.as_deref();
    let endpoint = endpoint.ok_or(IssuerError::NotOffered("device_authorization_endpoint"))?;
    let fields = wanted.fields();
    let began: DeviceAnswer = client.ask(&metadata, endpoint, &fields, SystemTime::now()).await?;
    let device_code = Secret::new(began.device_code);
    show(&Shown {
        verification_uri: printable(&began.verification_uri),
        user_code: printable(&began.user_code),
        verification_uri_complete: began.verification_uri_complete.as_deref().map(printable),
    });
    let deadline = Instant::now() + Duration::from_secs(began.expires_in.min(PATIENCE));
    let mut polling = Polling::new(began.interval);
    loop {
        if Instant::now() + polling.interval >= deadline {
            return Err(IssuerError::Person(OVER.to_owned()));
        }
        tokio::time::sleep(polling.interval).await;
        let now = SystemTime::now();
        let fields = [("grant_type", GRANT), ("device_code", device_code.expose().as_str())];
        match client.grant(&metadata, &fields, now).await {
            Ok(granted) => {
                check_id_token(&granted, &metadata, client, None, now)?;
                return Ok(granted);
            }
            Err(error) => polling.after(error)?,
        }
    }
}

const OVER: &str = "the code is over: nobody signed in with it in time; run the command again";

/// How often is asked.
struct Polling {
    interval: Duration,
}

impl Polling {
    fn new(interval: Option<u64>) -> Self {
        Self { interval: Duration::from_secs(interval.unwrap_or(INTERVAL).clamp(1, 60)) }
    }

    /// Goes on after this answer, or ends (section 3.5).
    fn after(&mut self, error: IssuerError) -> Result<(), IssuerError> {
        match &error {
            IssuerError::Refused { code, .. } => match code.as_str() {
                "authorization_pending" => Ok(()),
                "slow_down" => {
                    self.interval = self.interval.saturating_add(SLOWER);
                    Ok(())
                }
                "expired_token" => Err(IssuerError::Person(OVER.to_owned())),
                "access_denied" => Err(IssuerError::Person("whoever was asked said no".to_owned())),
                _ => Err(error),
            },
            // "Clients MUST unilaterally reduce their polling frequency" when the connection times out.
            IssuerError::Http { error: transient, .. } if transient.is_transient() => {
                self.interval = self.interval.saturating_mul(2);
                Ok(())
            }
            _ => Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::HttpError;

    fn refused(code: &str) -> IssuerError {
        IssuerError::Refused { code: code.to_owned(), description: None }
    }

    #[test]
    fn id_22_polling_slows_down_as_it_is_told_and_ends_when_it_has_to() {
        let mut polling = Polling::new(None);
        let seconds = |polling: &Polling| polling.interval.as_secs();
        assert_eq!(seconds(&polling), 5);
        polling.after(refused("authorization_pending")).unwrap();
        assert_eq!(seconds(&polling), 5);
        polling.after(refused("slow_down")).unwrap();
        polling.after(refused("slow_down")).unwrap();
        assert_eq!(seconds(&polling), 15);
        polling.after(IssuerError::Http { url: String::new(), error: HttpError::Deadline }).unwrap();
        assert_eq!(seconds(&polling), 30);
        for (code, said) in
            [("expired_token", "over"), ("access_denied", "said no"), ("invalid_grant", "invalid_grant")]
        {
            let error = polling.after(refused(code)).unwrap_err().to_string();
            assert!(error.contains(said), "{code}: {error}");
        }
        let final_error = IssuerError::Http { url: String::new(), error: HttpError::Insecure };
        assert!(polling.after(final_error).is_err());
    }

    #[test]
    fn an_issuer_cannot_make_it_ask_all_the_time_or_never() {
        assert_eq!(Polling::new(Some(0)).interval.as_secs(), 1);
        assert_eq!(Polling::new(Some(86_400)).interval.as_secs(), 60);
    }
}
