//! Bundles from a SPIFFE Workload API, which sends them anew whenever one changes.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use rustls_pki_types::CertificateDer;
use spiffe::{JwtBundle, WorkloadApiClient, WorkloadApiError};

use super::{Followed, Publish};

/// How long to pause before a connection is made again.
const AGAIN: Duration = Duration::from_secs(1);
/// How long the socket may take to accept.
const CONNECT: Duration = Duration::from_secs(10);

/// Why a Workload API gives nothing more.
#[derive(Debug, thiserror::Error)]
enum Broken {
    #[error("it does not accept in time")]
    Deadline,
    #[error("it ended the stream")]
    Ended,
    #[error(transparent)]
    Api(#[from] WorkloadApiError),
}

/// Follows these trust domains at one socket, for as long as it is polled: the workload's own, and federated ones.
///
/// While the socket does not answer, the last good bundles stay. A trust domain that an answer leaves out is withdrawn.
pub(super) async fn follow(socket: PathBuf, domains: Vec<Arc<Followed>>, publish: Publish) {
    let api = Api { socket, domains, publish };
    tokio::join!(api.keep_on(Kind::Authorities), api.keep_on(Kind::Keys));
}

struct Api {
    socket: PathBuf,
    domains: Vec<Arc<Followed>>,
    publish: Publish,
}

/// The two streams of bundles.
#[derive(Clone, Copy)]
enum Kind {
    Authorities,
    Keys,
}

impl Api {
    async fn keep_on(&self, kind: Kind) {
        let mut last = String::new();
        loop {
            let followed = match kind {
                Kind::Authorities => self.follow_authorities().await,
                Kind::Keys => self.follow_keys().await,
            };
            let error = followed.err().unwrap_or(Broken::Ended).to_string();
            if error != last {
                let socket = self.socket.display();
                tracing::warn!(%socket, error, "the Workload API is out of reach; the last bundles stay");
                last = error;
            }
            tokio::time::sleep(AGAIN).await;
        }
    }

    async fn connect(&self) -> Result<WorkloadApiClient, Broken> {
        let endpoint = format!("unix:{}", self.socket.display());
        let connecting = tokio::time::timeout(CONNECT, WorkloadApiClient::connect_to(endpoint));
        Ok(connecting.await.map_err(|_| Broken::Deadline)??)
    }

    /// Until the stream ends.
    async fn follow_authorities(&self) -> Result<(), Broken> {
        let mut answers = self.connect().await?.stream_x509_bundles().await?;
        while let Some(answer) = answers.next().await {
            let bundles = answer?;
            for followed in &self.domains {
                let bundle = bundles.iter().find(|(name, _)| name.as_ref() == &*followed.domain.name);
                let authorities = bundle.map(|(_, bundle)| bundle.authorities()).unwrap_or_default();
                let ders = authorities.iter().map(|authority| CertificateDer::from(authority.as_bytes().to_vec()));
                followed.change(|before| before.with_authorities(ders));
            }
            (self.publish)();
        }
        Ok(())
    }

    /// Until the stream ends.
    async fn follow_keys(&self) -> Result<(), Broken> {
        let mut answers = self.connect().await?.stream_jwt_bundles().await?;
        while let Some(answer) = answers.next().await {
            let bundles = answer?;
            for followed in &self.domains {
                let bundle = bundles.iter().find(|(name, _)| name.as_ref() == &*followed.domain.name);
                let jwks = key_set(bundle.map(|(_, bundle)| &**bundle));
                followed.change(|before| before.with_keys(&jwks));
            }
            (self.publish)();
        }
        Ok(())
    }
}

/// The keys as they were sent, in a JWK set for the one parser of keys that there is.
fn key_set(bundle: Option<&JwtBundle>) -> Vec<u8> {
    let keys = bundle.into_iter().flat_map(JwtBundle::jwt_authorities).map(|key| key.jwk_json());
    let keys: Vec<&[u8]> = keys.collect();
    [br#"{"keys":["#.as_slice(), &keys.join(&b','), b"]}"].concat()
}
