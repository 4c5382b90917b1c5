//! One program at a door, from its first word to its last.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::io::{AsyncRead, AsyncWrite};

use super::super::House;
use super::super::gateway::GatewayError;
use super::super::local::{self, LocalError, Opened, Startup};
use super::super::peer::Peer;
use super::super::relay;
use super::{Door, Knocking};

/// How long a program may take to say what it wants.
const OPENING: Duration = Duration::from_secs(10);

/// Serves one program.
pub(super) async fn serve(door: Arc<Door>, house: Arc<House>, stream: Knocking) {
    match stream {
        Knocking::Tcp(stream) => let_in(&door, &house, Peer::new(stream)).await,
        Knocking::Socket(stream) => let_in(&door, &house, Peer::new(stream)).await,
    }
}

async fn let_in<S: AsyncRead + AsyncWrite + Unpin>(door: &Door, house: &House, mut peer: Peer<S>) {
    let opening = async {
        let opened = local::open(&mut peer).await?;
        if let (Opened::Session(_), Some(password)) = (&opened, door.password()) {
            local::check_password(&mut peer, password).await?;
        }
        Ok::<_, LocalError>(opened)
    };
    match tokio::time::timeout(OPENING, opening).await {
        Ok(Ok(Opened::Session(startup))) => session(door, house, peer, startup).await,
        Ok(Ok(Opened::Cancel { process, key })) => {
            if let Err(error) = house.gateway.cancel(process, &key).await {
                tracing::warn!(target = door.target, %error, "a cancel cannot be passed on");
            }
        }
        Ok(Err(LocalError::Password)) => {
            tracing::warn!(target = door.target, "a program gave the wrong password at a local port");
            let hint = "The password is that of this `sluice connect`, and no token.";
            local::refuse(&mut peer, "28P01", "the local password is wrong", Some(hint)).await;
        }
        Ok(Err(error @ (LocalError::Io(_) | LocalError::Tls))) => tracing::debug!(%error, "nobody came in"),
        Ok(Err(error)) => local::refuse(&mut peer, "08P01", &error.to_string(), None).await,
        Err(_) => {}
    }
}

async fn session<S: AsyncRead + AsyncWrite + Unpin>(door: &Door, house: &House, mut peer: Peer<S>, startup: Startup) {
    let current = house.keeper.watch().borrow().clone();
    if current.token.is_over(SystemTime::now()) {
        let why = current.failing.as_deref().unwrap_or("the token is over and does not change");
        tracing::warn!(target = door.target, reason = why, "no session without a token");
        let message = "sluice connect has no token that lasts";
        local::refuse(&mut peer, "28000", message, Some("Its own log or health says why.")).await;
        return;
    }
    let mut begun = match house.gateway.begin(&startup, &door.database, &current.token).await {
        Ok(begun) => begun,
        Err(error) => return unreached(door, &mut peer, &error).await,
    };
    let entered = begun.session.map(|session| house.sessions.enter(session, &begun.database, current.number));
    if entered.is_none() {
        tracing::warn!(target = door.target, "Sluice does not name its session, which ends with its token");
    }
    let carried = async {
        peer.send(&begun.greeting).await?;
        // What came early, on either side.
        peer.send(&begun.peer.inbox).await?;
        begun.peer.send(&peer.inbox).await?;
        relay::carry(&mut peer.stream, &mut begun.peer.stream).await
    };
    if let Err(error) = carried.await {
        tracing::debug!(target = door.target, %error, "a session broke");
    }
}

/// Tells the program why there is no session: in Sluice's own words, where there are any.
async fn unreached<S: AsyncRead + AsyncWrite + Unpin>(door: &Door, peer: &mut Peer<S>, error: &GatewayError) {
    tracing::warn!(target = door.target, %error, "no session");
    match error {
        GatewayError::Refused { report, .. } => {
            let _ = peer.send(report).await;
        }
        GatewayError::Protocol(..) => {
            local::refuse(peer, "08P01", "what answers in place of Sluice is not Sluice", None).await;
        }
        _ => {
            local::refuse(peer, "08006", "Sluice cannot be reached", Some("The log of sluice connect says why.")).await
        }
    }
}
