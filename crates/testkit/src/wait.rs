//! Waiting for a state instead of a time.

use std::future::Future;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

/// How often a state is looked at.
const POLL: Duration = Duration::from_millis(20);

/// Calls `attempt` until it returns `Some`, and fails once `limit` has passed, naming `what` was waited for.
///
/// The state is looked at, not its change, so it makes no difference whether it was reached before the call. An attempt
/// that hangs is cut at the limit.
pub async fn eventually<T, F, Fut>(limit: Duration, what: &str, mut attempt: F) -> Result<T>
where
    F: FnMut() -> Fut,
    Fut: Future<Output = Option<T>>,
{
    let looking = async {
        loop {
            if let Some(found) = attempt().await {
                return found;
            }
            tokio::time::sleep(POLL).await;
        }
    };
    match tokio::time::timeout(limit, looking).await {
        Ok(found) => Ok(found),
        Err(_) => bail!("waited {limit:?} in vain for {what}"),
    }
}

/// [`eventually`] for code that is not async. An attempt may end the wait early by failing.
pub fn eventually_blocking<T>(
    limit: Duration,
    what: &str,
    mut attempt: impl FnMut() -> Result<Option<T>>,
) -> Result<T> {
    let deadline = Instant::now() + limit;
    loop {
        if let Some(found) = attempt()? {
            return Ok(found);
        }
        if Instant::now() >= deadline {
            bail!("waited {limit:?} in vain for {what}");
        }
        std::thread::sleep(POLL);
    }
}
