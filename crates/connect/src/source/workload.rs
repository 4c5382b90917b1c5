//! JWT-SVIDs of the SPIFFE Workload API: the agent knows who this workload is, and gives it short-lived tokens.

use std::time::{Duration, SystemTime};

use spiffe::{WorkloadApiClient, WorkloadApiError};

use crate::issuer::{IssuerError, printable};
use crate::token::Token;

/// How long the agent may take. It is on this machine.
const DEADLINE: Duration = Duration::from_secs(10);

/// What Sluice is called unless said otherwise.
pub const AUDIENCE: &str = "sluice";

/// A Workload API, and whom its tokens are for.
pub struct Workload {
    /// `unix:///PATH`, as in `SPIFFE_ENDPOINT_SOCKET`.
    pub endpoint: String,
    /// `aud` of the tokens.
    pub audience: String,
}

impl Workload {
    /// The next token. A connection is made each time: it is local, and agents are restarted.
    ///
    /// # Errors
    /// Why there is none.
    pub async fn token(&self, now: SystemTime) -> Result<Token, IssuerError> {
        let failed = |reason: &str| IssuerError::WorkloadApi(printable(reason));
        let fetched = tokio::time::timeout(DEADLINE, self.fetch()).await;
        let token = fetched.map_err(|_| failed("no answer in time"))?;
        token.map(|token| Token::new(token, None, now)).map_err(|error| failed(&error.to_string()))
    }

    async fn fetch(&self) -> Result<String, WorkloadApiError> {
        let client = WorkloadApiClient::connect_to(&self.endpoint).await?;
        client.fetch_jwt_token([&self.audience], None).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_agent_that_is_away_may_come_back() {
        let dir = tempfile::tempdir().unwrap();
        let endpoint = format!("unix://{}", dir.path().join("none.sock").display());
        let workload = Workload { endpoint, audience: AUDIENCE.into() };
        let error = workload.token(SystemTime::now()).await.err().unwrap();
        assert!(error.is_transient() && error.to_string().contains("Workload API"), "{error}");
    }
}
