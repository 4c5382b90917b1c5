//! What Sluice proves itself to a target with. It is read when a session first needs it, and again when the target does not
//! believe it any more; each reading is in the journal before.

use std::sync::Arc;
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hyper::header::{AUTHORIZATION, HeaderName, HeaderValue};
use ledger::Level;
use model::event::Event;
use model::secret::Secret;
use store::config::{HttpCredential, PasswordSource, TargetCertificate};
use tokio::sync::Mutex;

use super::session::{Place, Session};
use super::signing::Signer;
use crate::credentials::{self, NoCredential, Use, Wanted, stored_secret};
use crate::recorder::entry;
use crate::tls::{OwnCertificate, TlsError};

/// Why Sluice cannot prove itself. It names places, and nothing that came from there.
#[derive(Debug, thiserror::Error)]
pub(super) enum NoProof {
    #[error("that the credential is used cannot be recorded")]
    NotRecorded,
    #[error(transparent)]
    Password(#[from] NoCredential),
    #[error("{0}: {1}")]
    Secret(String, String),
    #[error("{0}: it cannot stand in a field")]
    Field(String),
    #[error("{0}: it names no user, and neither does the target")]
    NoUser(String),
    #[error("the client certificate: {0}")]
    Certificate(#[from] TlsError),
}

/// What a request is proved with.
#[derive(Clone)]
pub(super) struct Proof {
    pub(super) by: By,
    /// Which reading it came with.
    reading: u64,
}

/// How.
#[derive(Clone)]
pub(super) enum By {
    /// A field with a credential.
    Field(HeaderName, HeaderValue),
    /// A signature over all of it.
    Signature(Arc<Signer>),
}

/// A certificate is looked at again after so long, to notice that it was renewed.
const CERTIFICATE_USE: Duration = Duration::from_secs(5);

/// The certificate that a session shows.
struct Certificate {
    from: TargetCertificate,
    own: Arc<OwnCertificate>,
    read: Instant,
}

/// What a session has read.
#[derive(Default)]
pub(super) struct Proofs(Mutex<State>);

#[derive(Default)]
struct State {
    readings: u64,
    held: Option<Held>,
    certificate: Option<Certificate>,
}

struct Held {
    from: HttpCredential,
    proof: Proof,
    /// A lease, for as long as it is used, or what ends by itself.
    password: Option<Use>,
}

impl Held {
    fn is_good(&self) -> bool {
        self.password.as_ref().is_none_or(Use::is_good)
    }
}

impl Session {
    /// The certificate that Sluice shows in the handshake; `None` where it has none.
    pub(super) async fn certificate(&self, place: &Place) -> Result<Option<Arc<OwnCertificate>>, NoProof> {
        let Some(from) = &place.http.tls.client else { return Ok(None) };
        let mut state = self.proofs.0.lock().await;
        let known = state.certificate.take().filter(|known| known.from == *from);
        let own = match &known {
            Some(known) if known.read.elapsed() < CERTIFICATE_USE => Arc::clone(&known.own),
            _ => {
                if known.is_none() {
                    self.record_use(place, &format!("certificate:{}", from.cert)).await?;
                }
                Arc::new(credentials::certificate(&self.node, from)?)
            }
        };
        if let Some(known) = &known
            && known.own.digest() != own.digest()
        {
            self.record_use(place, &format!("certificate:{}", from.cert)).await?;
        }
        let read = known.filter(|known| Arc::ptr_eq(&known.own, &own)).map_or_else(Instant::now, |known| known.read);
        state.certificate = Some(Certificate { from: from.clone(), own: Arc::clone(&own), read });
        Ok(Some(own))
    }

    /// What Sluice proves itself with; `None` where it has nothing.
    pub(super) async fn proof(&self, place: &Place) -> Result<Option<Proof>, NoProof> {
        let configured = &place.http.credential;
        let mut state = self.proofs.0.lock().await;
        if let Some(held) = &state.held
            && held.from == *configured
            && held.is_good()
        {
            return Ok(Some(held.proof.clone()));
        }
        state.readings = state.readings.saturating_add(1);
        let Some(held) = self.read(place, configured, state.readings).await? else { return Ok(None) };
        let proof = held.proof.clone();
        state.held = Some(held);
        Ok(Some(proof))
    }

    /// The target does not believe this one: it is read again when it is needed.
    pub(super) async fn is_not_believed(&self, spent: &Proof) {
        let mut state = self.proofs.0.lock().await;
        if state.held.as_ref().is_some_and(|held| held.proof.reading == spent.reading)
            && let Some(password) = state.held.take().and_then(|held| held.password)
        {
            password.close();
        }
    }

    async fn read(&self, place: &Place, from: &HttpCredential, reading: u64) -> Result<Option<Held>, NoProof> {
        let (name, value, reference, password) = match from {
            HttpCredential::None => return Ok(None),
            HttpCredential::Bearer(source) => {
                let reference = source.to_string();
                self.record_use(place, &reference).await?;
                let secret = stored_secret(&self.node, source);
                let secret = secret.map_err(|error| NoProof::Secret(reference.clone(), error))?;
                let value = Secret::new(format!("Bearer {}", secret.expose()));
                (AUTHORIZATION, value, reference, None)
            }
            HttpCredential::Header { name, value } => {
                let reference = value.to_string();
                self.record_use(place, &reference).await?;
                let secret = stored_secret(&self.node, value);
                let secret = secret.map_err(|error| NoProof::Secret(reference.clone(), error))?;
                let name = HeaderName::from_bytes(name.as_bytes());
                (name.map_err(|_| NoProof::Field(reference.clone()))?, secret, reference, None)
            }
            HttpCredential::Basic { user, password: source } => {
                let reference = source.to_string();
                self.record_use(place, &reference).await?;
                let password = self.password(place, user.as_ref(), source).await?;
                let user = password.user().or(user.as_ref()).ok_or_else(|| NoProof::NoUser(reference.clone()))?;
                let pair = Secret::new(format!("{user}:{}", password.password().expose()));
                let value = Secret::new(format!("Basic {}", STANDARD.encode(pair.expose())));
                (AUTHORIZATION, value, reference, password.lasting())
            }
            HttpCredential::OAuth2(source) => {
                let reference = source.to_string();
                self.record_use(place, &reference).await?;
                let token = self.password(place, None, source).await?;
                let value = Secret::new(format!("Bearer {}", token.password().expose()));
                (AUTHORIZATION, value, reference, Some(token))
            }
            HttpCredential::SigV4(signing) => {
                let reference = signing.keys.to_string();
                self.record_use(place, &reference).await?;
                let keys = self.password(place, None, &signing.keys).await?;
                let signer = Signer::new(keys.password(), signing).ok_or(NoProof::Field(reference))?;
                let proof = Proof { by: By::Signature(Arc::new(signer)), reading };
                return Ok(Some(Held { from: from.clone(), proof, password: Some(keys) }));
            }
        };
        let mut value = HeaderValue::from_str(value.expose()).map_err(|_| NoProof::Field(reference))?;
        value.set_sensitive(true);
        Ok(Some(Held { from: from.clone(), proof: Proof { by: By::Field(name, value), reading }, password }))
    }

    async fn password(&self, place: &Place, user: Option<&Arc<str>>, source: &PasswordSource) -> Result<Use, NoProof> {
        let wanted = Wanted { target: &place.target, user, source };
        Ok(self.node.credentials.password(&self.node, wanted).await?)
    }

    async fn record_use(&self, place: &Place, reference: &str) -> Result<(), NoProof> {
        let target = Arc::clone(&place.model.name);
        let used = Event::SecretUsed { session: Some(self.id), target, reference: reference.into() };
        let recorded = self.node.recorder.record(vec![entry(used)], Level::Process).await;
        recorded.map(drop).map_err(|_| NoProof::NotRecorded)
    }
}
