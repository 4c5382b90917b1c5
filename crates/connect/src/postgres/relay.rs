//! Carrying bytes in both directions.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, split};

/// How long Sluice may take to say its last words after the program has ended.
const LAST_WORDS: Duration = Duration::from_secs(10);

/// Carries until either side ends. When Sluice ends, what it said reaches the program first.
pub(super) async fn carry<L, R>(local: &mut L, remote: &mut R) -> io::Result<()>
where
    L: AsyncRead + AsyncWrite + Unpin,
    R: AsyncRead + AsyncWrite + Unpin,
{
    let (mut from_program, mut to_program) = split(local);
    let (mut from_sluice, mut to_sluice) = split(remote);
    let up = async {
        let carried = tokio::io::copy(&mut from_program, &mut to_sluice).await;
        // So that Sluice knows; what is still on its way back is waited for.
        let _ = to_sluice.shutdown().await;
        carried
    };
    let down = async {
        let carried = tokio::io::copy(&mut from_sluice, &mut to_program).await;
        let _ = to_program.shutdown().await;
        carried
    };
    tokio::pin!(down);
    tokio::select! {
        carried = &mut down => carried.map(drop),
        _ = up => match tokio::time::timeout(LAST_WORDS, down).await {
            Ok(carried) => carried.map(drop),
            Err(_) => Err(io::ErrorKind::TimedOut.into()),
        },
    }
}
