//! The body of a request on its way to the target: counted, bounded in size and silence, and noted for the tape.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use hyper::HeaderMap;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use tokio::time::{Instant, Sleep};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};
use wire::http::fields;

use super::refusal::Refusal;
use super::taping::Taped;
use crate::measure::{Measure, Measured};

/// Why a body does not go on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the body of the request does not go on")]
pub(super) struct Stopped;

/// What became of a body so far.
#[derive(Default)]
pub(super) struct Carried(Mutex<Progress>);

#[derive(Default)]
struct Progress {
    bytes: u64,
    measure: Option<Measure>,
    /// When something came last.
    last: Option<Instant>,
    stopped: Option<Refusal>,
}

impl Carried {
    fn progress(&self) -> MutexGuard<'_, Progress> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a piece into account.
    pub(super) fn add(&self, bytes: &[u8]) -> u64 {
        let mut progress = self.progress();
        progress.measure.get_or_insert_default().add(bytes);
        progress.bytes = progress.bytes.saturating_add(u64::try_from(bytes.len()).unwrap_or(u64::MAX));
        progress.last = Some(Instant::now());
        progress.bytes
    }

    fn stop(&self, why: Refusal) -> Stopped {
        self.progress().stopped.get_or_insert(why);
        Stopped
    }

    /// When something came last, if anything did.
    pub(super) fn last(&self) -> Option<Instant> {
        self.progress().last
    }

    /// Why it did not go on, if so.
    pub(super) fn stopped(&self) -> Option<Refusal> {
        self.progress().stopped.clone()
    }

    /// What was carried, if anything was.
    pub(super) fn measured(&self) -> Option<Measured> {
        self.progress().measure.clone().map(Measure::finish)
    }
}

/// What a body is bounded by, and noted on.
#[derive(Clone)]
pub(super) struct Bounds {
    pub(super) most: u64,
    pub(super) silence: Duration,
    pub(super) over: CancellationToken,
    pub(super) carried: Arc<Carried>,
    pub(super) taped: Taped,
}

/// The body of a request, as the library sends it.
pub(super) enum Upload {
    /// All of it is here.
    Whole(Option<Bytes>),
    /// It is on its way.
    Coming(Box<Coming>),
}

/// A body that is on its way.
pub(super) struct Coming {
    body: Incoming,
    bounds: Bounds,
    silent: Pin<Box<Sleep>>,
    over: Pin<Box<WaitForCancellationFutureOwned>>,
}

impl Upload {
    /// One that is here; it is counted and noted at once.
    pub(super) fn whole(bytes: Bytes) -> Self {
        Self::Whole(Some(bytes).filter(|bytes| !bytes.is_empty()))
    }

    /// All of it, if it is here.
    pub(super) fn known(&self) -> Option<&[u8]> {
        match self {
            Self::Whole(bytes) => Some(bytes.as_deref().unwrap_or_default()),
            Self::Coming(coming) => coming.body.is_end_stream().then_some(&[]),
        }
    }

    /// One that is on its way.
    pub(super) fn coming(body: Incoming, bounds: Bounds) -> Self {
        let silent = Box::pin(tokio::time::sleep(bounds.silence));
        let over = Box::pin(bounds.over.clone().cancelled_owned());
        Self::Coming(Box::new(Coming { body, bounds, silent, over }))
    }
}

/// Reads a body whole that is looked into.
///
/// # Errors
/// If it is larger than `most`, breaks off or does not come.
pub(super) async fn read_whole(body: Incoming, most: usize, bounds: &Bounds) -> Result<Bytes, Refusal> {
    let too_large = || Refusal::TooLargeToInspect(most);
    let expected = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
    if expected > most {
        return Err(too_large());
    }
    let mut coming = Upload::coming(body, bounds.clone());
    let mut whole = Vec::with_capacity(expected);
    loop {
        let frame = std::future::poll_fn(|cx| Pin::new(&mut coming).poll_frame(cx)).await;
        match frame {
            Some(Ok(frame)) => {
                // Trailers of what is looked into say nothing that was looked at.
                let Ok(bytes) = frame.into_data() else { continue };
                if whole.len().saturating_add(bytes.len()) > most {
                    return Err(too_large());
                }
                whole.extend_from_slice(&bytes);
            }
            Some(Err(Stopped)) => return Err(bounds.carried.stopped().unwrap_or(Refusal::Broken)),
            None => return Ok(whole.into()),
        }
    }
}

impl Coming {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Stopped>>> {
        let carried = &self.bounds.carried;
        if self.over.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Some(Err(carried.stop(Refusal::Gone))));
        }
        match Pin::new(&mut self.body).poll_frame(cx) {
            Poll::Pending if self.silent.as_mut().poll(cx).is_ready() => {
                Poll::Ready(Some(Err(carried.stop(Refusal::Slow))))
            }
            Poll::Pending => Poll::Pending,
            Poll::Ready(None) => Poll::Ready(None),
            Poll::Ready(Some(Err(_))) => Poll::Ready(Some(Err(carried.stop(Refusal::Broken)))),
            Poll::Ready(Some(Ok(frame))) => {
                self.silent.as_mut().reset(Instant::now() + self.bounds.silence);
                Poll::Ready(Some(self.take(frame)))
            }
        }
    }

    fn take(&self, frame: Frame<Bytes>) -> Result<Frame<Bytes>, Stopped> {
        match frame.into_data() {
            Ok(bytes) => {
                let so_far = self.bounds.carried.add(&bytes);
                if so_far > self.bounds.most {
                    return Err(self.bounds.carried.stop(Refusal::TooLarge(self.bounds.most)));
                }
                match self.bounds.taped.came(&bytes) {
                    Ok(()) => Ok(Frame::data(bytes)),
                    Err(_) => Err(self.bounds.carried.stop(Refusal::NotRecorded)),
                }
            }
            Err(frame) => Ok(Frame::trailers(passing(frame.into_trailers().unwrap_or_default()))),
        }
    }
}

/// Of the fields behind a body those that may stand there (HT-06).
pub(super) fn passing(trailers: HeaderMap) -> HeaderMap {
    let mut passing = HeaderMap::new();
    for (name, value) in &trailers {
        if fields::trailer_passes(name.as_str()) {
            passing.append(name.clone(), value.clone());
        }
    }
    passing
}

impl Body for Upload {
    type Data = Bytes;
    type Error = Stopped;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Stopped>>> {
        match &mut *self {
            Self::Whole(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Self::Coming(coming) => coming.poll(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Whole(bytes) => bytes.is_none(),
            Self::Coming(coming) => coming.body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(bytes) => {
                let length = bytes.as_ref().map_or(0, Bytes::len);
                SizeHint::with_exact(u64::try_from(length).unwrap_or(u64::MAX))
            }
            Self::Coming(coming) => coming.body.size_hint(),
        }
    }
}
