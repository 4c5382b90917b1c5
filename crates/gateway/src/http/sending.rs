//! A request on its way to its target: on a connection that is kept or a new one, with what Sluice proves itself with.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use hyper::body::{Body, Incoming};
use hyper::{Response, StatusCode};
use store::config::HttpCredential;

use super::credential::NoProof;
use super::forward::Forwarded;
use super::refusal::Refusal;
use super::session::{Place, Session};
use super::signing::signs_bodies;
use super::upload::{Bounds, Carried, Upload, read_whole};
use super::upstream::Leased;
use crate::deciding::Go;
use crate::gate::{NoAnswer, Turn};

/// The body of a request: on its way, or here.
pub(super) enum Given {
    Coming(Incoming),
    Whole(Bytes),
}

impl Given {
    /// Whether there is none.
    pub(super) fn is_empty(&self) -> bool {
        match self {
            Self::Coming(body) => body.is_end_stream(),
            Self::Whole(bytes) => bytes.is_empty(),
        }
    }

    /// Reads it whole, up to `most` bytes.
    ///
    /// # Errors
    /// If it is larger, breaks off or does not come.
    pub(super) async fn take_whole(&mut self, most: usize, bounds: &Bounds) -> Result<Bytes, Refusal> {
        let body = match std::mem::replace(self, Self::Whole(Bytes::new())) {
            Self::Whole(bytes) => bytes,
            Self::Coming(body) => read_whole(body, most, bounds).await?,
        };
        *self = Self::Whole(body.clone());
        Ok(body)
    }
}

/// How often a request is sent that its target took nothing of, or did not believe Sluice with.
const TRIES: usize = 3;

/// Sends a request on a connection that is kept, or a new one; again, where its target took nothing of it or did not believe
/// Sluice.
pub(super) async fn send(
    session: &Arc<Session>,
    go: &Go,
    place: &Place,
    forwarded: &Forwarded,
    mut given: Given,
    bounds: &Bounds,
) -> Result<(Response<Incoming>, Leased), Refusal> {
    let carried = &*bounds.carried;
    if matches!(place.http.credential, HttpCredential::SigV4(_)) && forwarded.is_signed() {
        let reason = "the URL has a signature, which Sluice makes itself".to_owned();
        return Err(Refusal::Malformed(StatusCode::BAD_REQUEST, reason));
    }
    if signs_bodies(&place.http) {
        given.take_whole(place.http.max_inspected_body, bounds).await?;
    }
    let whole = match &given {
        Given::Whole(bytes) => Some(bytes.clone()),
        Given::Coming(body) if body.is_end_stream() => Some(Bytes::new()),
        Given::Coming(_) => None,
    };
    let mut upload = match given {
        Given::Whole(bytes) => Upload::whole(bytes),
        Given::Coming(body) => Upload::coming(body, bounds.clone()),
    };
    let mut was_refused = false;
    for tried in 1..=TRIES {
        let node = &session.node;
        let subject = &session.standing().subject.key;
        let certificate = session.certificate(place).await.map_err(|error| unproven(session, &error))?;
        let limit = node.config.limits.connect_timeout;
        let began = Instant::now();
        // Those that are kept may all have ended with the target.
        let is_fresh = tried == TRIES;
        let leased = node.http.lease(subject, &place.target, &place.http, certificate, is_fresh, limit).await;
        let leased = match leased {
            // Nothing was connected for this one.
            Ok(leased) if leased.is_used => Ok(leased),
            went => node.contacts.note(&place.model.name, began, went),
        };
        let mut leased = leased.map_err(|error| {
            tracing::warn!(session = %session.id, %error, "a target cannot be reached");
            Refusal::Unreachable
        })?;
        let proof = session.proof(place).await.map_err(|error| unproven(session, &error))?;
        let request = forwarded.request(&leased.line, proof.as_ref(), upload)?;
        let sending = leased.line.send(go.goes_on(), &go.receipt, request);
        let response = tokio::select! {
            response = sending => response,
            () = silent(place.http.answer_timeout, carried) => return Err(Refusal::NoAnswer),
        };
        match (response, &whole) {
            (Ok(response), whole) if response.status() == StatusCode::UNAUTHORIZED && proof.is_some() => {
                // One that was read just now is not the reason, and is others' too.
                if let Some(proof) = proof.as_ref().filter(|_| !was_refused) {
                    session.is_not_believed(proof).await;
                }
                let Some(bytes) = whole.as_ref().filter(|_| !was_refused) else { return Err(NOT_BELIEVED) };
                (was_refused, upload) = (true, Upload::whole(bytes.clone()));
                tracing::info!(session = %session.id, "a target's credential is read once more");
            }
            (Ok(response), _) => return Ok((response, leased)),
            (Err(NoAnswer::NotSent(body)), _) if leased.is_used && tried < TRIES => upload = body,
            (Err(NoAnswer::NotSent(_)), _) => return Err(Refusal::Unreachable),
            (Err(NoAnswer::Gate(error)), _) => {
                tracing::error!(session = %session.id, %error, "a request did not pass the gate");
                return Err(Refusal::Internal);
            }
            (Err(NoAnswer::Broken(error)), _) => {
                tracing::info!(session = %session.id, %error, "a target gave no answer");
                return Err(carried.stopped().unwrap_or(Refusal::BadAnswer("the target gave no answer")));
            }
        }
    }
    Err(NOT_BELIEVED)
}

/// Sends a request for another protocol on a connection of its own; once more, where the target did not believe Sluice.
pub(super) async fn turn(
    session: &Arc<Session>,
    go: &Go,
    place: &Place,
    forwarded: &Forwarded,
) -> Result<Turn, Refusal> {
    for is_last in [false, true] {
        let (node, subject) = (&session.node, &session.standing().subject.key);
        let limit = node.config.limits.connect_timeout;
        let certificate = session.certificate(place).await.map_err(|error| unproven(session, &error))?;
        let began = Instant::now();
        let line = node.http.connect_alone(subject, &place.target, &place.http, certificate, limit).await;
        let line = node.contacts.note(&place.model.name, began, line);
        let line = line.map_err(|error| {
            tracing::warn!(session = %session.id, %error, "a target cannot be reached");
            Refusal::Unreachable
        })?;
        let proof = session.proof(place).await.map_err(|error| unproven(session, &error))?;
        let request = forwarded.request(&line, proof.as_ref(), Upload::whole(Bytes::new()))?;
        let turning = line.turn(go.goes_on(), &go.receipt, request);
        let turned = tokio::time::timeout(place.http.answer_timeout, turning).await.map_err(|_| Refusal::NoAnswer)?;
        match (turned, proof) {
            (Ok(Turn::Answered(answer)), Some(proof)) if answer.status() == StatusCode::UNAUTHORIZED => {
                if is_last {
                    return Err(NOT_BELIEVED);
                }
                session.is_not_believed(&proof).await;
            }
            (Ok(turned), _) => return Ok(turned),
            (Err(NoAnswer::Gate(error)), _) => {
                tracing::error!(session = %session.id, %error, "a request did not pass the gate");
                return Err(Refusal::Internal);
            }
            (Err(NoAnswer::NotSent(_)), _) => return Err(Refusal::Unreachable),
            (Err(NoAnswer::Broken(error)), _) => {
                tracing::info!(session = %session.id, %error, "a target gave no answer");
                return Err(Refusal::BadAnswer("the target gave no answer"));
            }
        }
    }
    Err(NOT_BELIEVED)
}

/// Sluice cannot prove itself: the journal has why, and the caller is not told.
fn unproven(session: &Session, error: &NoProof) -> Refusal {
    tracing::warn!(session = %session.id, %error, "a target's credential cannot be had");
    Refusal::Unproven(format!("Sluice cannot prove itself: {error}").into())
}

/// The target does not believe who Sluice is: nothing that the caller could do anything about.
const NOT_BELIEVED: Refusal = Refusal::BadAnswer("the target does not accept Sluice's credential");

/// Ends when a target has not answered for so long after the last piece of the request.
async fn silent(limit: Duration, carried: &Carried) {
    let mut last = tokio::time::Instant::now();
    loop {
        tokio::time::sleep_until(last + limit).await;
        match carried.last() {
            Some(later) if later > last => last = later,
            Some(_) | None => return,
        }
    }
}
