//! A connection of a caller to a target, in which nobody sees what passes: what goes either way is counted, and its digest is on
//! the tape. That it may be is one decision, which is journaled before the target hears of it.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use hyper::StatusCode;
use ledger::tape::{Lane, Track};
use masking::http as masks;
use masking::ssh::Stream as Masking;
use model::disclosure::Disclosure;
use tokio::io::{AsyncRead, AsyncReadExt};

use super::answer::{REQUEST, Stop};
use super::exchange::{Exchange, Outcome, Shows};
use super::idle::Idle;
use super::refusal::Refusal;
use super::session::{End, Place};
use super::taping::Taped;
use crate::deciding::Go;
use crate::gate::{ClientExchange, ClientStream, Gone, NotOpened, Reads, TargetTunnel, TunnelReads, Wrap};

/// How much is read at a time.
const AT_A_TIME: usize = 32 * 1024;

/// How long a side may take to hear that all is over.
const CLOSING: Duration = Duration::from_secs(5);

/// Why a tunnel ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Over {
    /// Each side has said all that it had to say.
    Closed,
    CallerGone,
    TargetGone,
    /// What passes cannot be recorded.
    NotRecorded(&'static str),
    /// Nobody said anything for too long.
    Idle,
    /// A revision denies it.
    Cut,
    /// The session ends.
    Gone,
    /// A defect of Sluice.
    Internal,
}

/// What the two ways of a tunnel share.
struct Tunnel<'a> {
    exchange: &'a Exchange,
    go: &'a Go,
    taped: &'a Taped,
    idle: Idle,
}

/// Whether a target may be connected to so that nobody sees what passes.
///
/// # Errors
/// A refusal, if it may not.
pub(super) fn may_be(place: &Place) -> Result<(), Refusal> {
    if place.http.tunnel { Ok(()) } else { Err(Refusal::Method) }
}

impl Exchange {
    /// Connects the caller to the target, and relays what both sides say.
    pub(super) async fn tunnel(
        &self,
        go: &Go,
        watching: impl Future<Output = ()>,
        shows: Shows<'_>,
        client: &mut ClientExchange,
        disclosure: &mut Disclosure,
    ) -> Result<Outcome, (Option<StatusCode>, Stop)> {
        let refused = |refusal| (None, Stop::Refused(refusal));
        let target = tokio::select! {
            biased;
            () = self.session.over.cancelled() => return Err((None, Stop::Cut)),
            opened = self.open(go) => opened.map_err(refused)?,
            () = client.gone() => return Err((None, Stop::CallerGone)),
        };
        let lines = format!("{REQUEST}: {}\r\n", self.request);
        let released = shows.0.head(StatusCode::OK, masks::own(&lines));
        let released = released.map_err(|_| refused(Refusal::NotRecorded))?;
        self.freedom.grant();
        let connected = tokio::time::timeout(self.body_timeout, client.connect(released)).await;
        let stopped = |stop: Stop| (Some(StatusCode::OK), stop);
        let connected = connected.map_err(|_| stopped(Stop::CallerGone))?;
        let (reads, caller, disclosed) = connected.map_err(|gone| stopped(gone.into()))?;
        disclosure.add(&disclosed);
        let tunnel = Tunnel { exchange: self, go, taped: shows.0, idle: Idle::default() };
        let error = tunnel.serve((reads, caller), target, watching, disclosure).await;
        Ok(Outcome { status: Some(StatusCode::OK), error, is_whole: true })
    }

    async fn open(&self, go: &Go) -> Result<(TunnelReads, TargetTunnel), Refusal> {
        let (standing, node) = (self.session.standing(), &self.session.node);
        let place = (&*standing.place.target.host, standing.place.target.port);
        let began = Instant::now();
        let opening = TargetTunnel::open(go.goes_on(), &go.receipt, place);
        let opened = tokio::time::timeout(node.config.limits.connect_timeout, opening).await;
        let opened = opened.unwrap_or_else(|late| Err(io::Error::new(io::ErrorKind::TimedOut, late).into()));
        match node.contacts.note(&standing.place.model.name, began, opened) {
            Ok(opened) => Ok(opened),
            Err(NotOpened::Gate(error)) => {
                tracing::error!(session = %self.session.id, %error, "a tunnel did not pass the gate");
                Err(Refusal::Internal)
            }
            Err(error) => {
                tracing::warn!(session = %self.session.id, %error, "a target cannot be reached");
                Err(Refusal::Unreachable)
            }
        }
    }
}

impl Tunnel<'_> {
    /// Relays until both sides are over, or one has to be. Returns why, if it is not that.
    async fn serve(
        &self,
        (caller_reads, mut caller): (Reads, ClientStream),
        (target_reads, mut target): (TunnelReads, TargetTunnel),
        watching: impl Future<Output = ()>,
        disclosure: &mut Disclosure,
    ) -> Option<Arc<str>> {
        let session = &self.exchange.session;
        let over = {
            let ways =
                both(self.inward(caller_reads, &mut target), self.outward(target_reads, &mut caller, disclosure));
            tokio::select! {
                biased;
                () = session.over.cancelled() => Over::Gone,
                () = watching => Over::Cut,
                over = ways => over,
                () = self.idle.lasts(self.exchange.idle_timeout) => Over::Idle,
            }
        };
        if let Over::NotRecorded(reason) = over {
            session.end(End::Withheld(reason));
        }
        let _ = tokio::time::timeout(CLOSING, async { tokio::join!(caller.close(), target.close()) }).await;
        (over != Over::Closed).then(|| self.reason(over))
    }

    /// Takes what the caller says to the target.
    async fn inward(&self, mut reads: Reads, target: &mut TargetTunnel) -> Over {
        while let Some(piece) = self.next(&mut reads).await {
            self.exchange.carried.add(&piece);
            let sending = target.send(self.go.goes_on(), &self.go.receipt, &piece);
            match tokio::time::timeout(self.exchange.body_timeout, sending).await {
                Ok(Ok(())) => {}
                Ok(Err(Gone::Gate(_))) => return Over::Internal,
                Ok(Err(Gone::Closed | Gone::NotOpened)) | Err(_) => return Over::TargetGone,
            }
        }
        target.close().await;
        Over::Closed
    }

    /// Takes what the target says to the caller.
    async fn outward(&self, mut reads: TunnelReads, caller: &mut ClientStream, disclosure: &mut Disclosure) -> Over {
        let track = Track { channel: self.exchange.number, lane: Lane::Output };
        while let Some(piece) = self.next(&mut reads).await {
            let masked = Masking::opaque(Arc::clone(&self.exchange.session.standing().lens)).push(&piece);
            let released = match self.taped.streamed(track, masked, false) {
                Ok(released) => released,
                Err(reason) => return Over::NotRecorded(reason),
            };
            match tokio::time::timeout(self.exchange.body_timeout, caller.send(released, Wrap::Nothing)).await {
                Ok(Ok(disclosed)) => {
                    disclosure.add(&disclosed);
                    // One answer, of which nobody can say what it holds.
                    disclosure.rows = 1;
                }
                Ok(Err(Gone::Gate(_))) => return Over::Internal,
                Ok(Err(Gone::Closed | Gone::NotOpened)) | Err(_) => return Over::CallerGone,
            }
        }
        caller.close().await;
        Over::Closed
    }

    /// What a side says next; `None` when it is over.
    async fn next(&self, reads: &mut (impl AsyncRead + Unpin)) -> Option<BytesMut> {
        let mut piece = BytesMut::with_capacity(AT_A_TIME);
        let read = reads.read_buf(&mut piece).await;
        self.idle.is_over();
        matches!(read, Ok(1..)).then_some(piece)
    }

    /// For the journal.
    fn reason(&self, over: Over) -> Arc<str> {
        match over {
            Over::Closed => "both sides closed it".into(),
            Over::CallerGone => "the caller went away".into(),
            Over::TargetGone => "the target went away".into(),
            Over::NotRecorded(reason) => reason.into(),
            Over::Idle => "nothing was said for too long".into(),
            Over::Cut => "a new policy no longer allows it".into(),
            Over::Gone => self.exchange.session.ended().reason().into(),
            Over::Internal => "Sluice failed".into(),
        }
    }
}

/// Runs both ways until each is over, or one breaks.
async fn both(inward: impl Future<Output = Over>, outward: impl Future<Output = Over>) -> Over {
    tokio::pin!(inward, outward);
    let (first, was_inward) = tokio::select! {
        biased;
        over = &mut outward => (over, false),
        over = &mut inward => (over, true),
    };
    match first {
        Over::Closed if was_inward => outward.await,
        Over::Closed => inward.await,
        over => over,
    }
}
