//! The only two ways out: to a target with a [`Permit`] and a [`Receipt`], to a client with [`Released`].
//!
//! The legs that bytes are written to can be reached from nowhere else, so the compiler keeps the promise.

mod channel;
mod exchange;
mod leg;
mod tunnel;
mod turned;

use ledger::{Lets, Receipt, Taped};
use masking::Masked;
use model::disclosure::Disclosure;
use policy::{Permit, PermitKind, ProtocolAct};

pub(crate) use channel::{ClientChannel, Gone, Lane, Size, TargetChannel, TargetConnection, ToTarget, Way};
pub(crate) use exchange::{AnswerBody, Carrying, ClientExchange, Cut, NoAnswer, TargetLine, Turn};
pub(crate) use leg::{Early, HIGH_WATER, Leg, Moved, Stream};
pub(crate) use tunnel::{NotOpened, TargetTunnel, TunnelReads};
pub(crate) use turned::{Bare, ClientStream, Control, Reads, TargetStream, Wrap};

/// Why something may not leave.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum GateError {
    /// A defect of Sluice: the proofs are not about one request, or not about the same to be done with it.
    #[error("permit and receipt are not about the same request")]
    Mismatch,
    /// A defect of Sluice: a power cut could forget what has to survive one.
    #[error("the request is not recorded as safely as it has to be")]
    TooWeak,
    /// What was recorded is not what is to be delivered.
    #[error("what was recorded is not what is delivered")]
    NotRecorded,
}

/// Whether the permit and the receipt are about one thing to be done, and it is recorded as safely as it has to be.
fn check(permit: &Permit, receipt: &Receipt) -> Result<(), GateError> {
    let lets = receipt.lets().ok_or(GateError::Mismatch)?;
    let fits = match permit.kind() {
        PermitKind::Request | PermitKind::Continuation => lets == Lets::Run(permit.request()),
        PermitKind::Preparation => lets == Lets::Prepare(permit.request()),
        PermitKind::Protocol(_) | PermitKind::Own(_) => permit.request().session == lets.request().session,
    };
    if !fits {
        return Err(GateError::Mismatch);
    }
    if receipt.level() < permit.level() {
        return Err(GateError::TooWeak);
    }
    Ok(())
}

/// The side of a session that faces the target.
pub(crate) struct TargetSide(Leg);

impl TargetSide {
    /// Takes a connected leg.
    pub(crate) fn new(leg: Leg) -> Self {
        Self(leg)
    }

    /// Sends whole messages to the target: the only function that does.
    ///
    /// # Errors
    /// If the permit and the receipt are not about one request, or the entry lets it be prepared and the permit be run, or
    /// the other way round, or the receipt is of a lower level than the permit asks for. Protocol messages and Sluice's own
    /// statements go with any receipt of their session.
    pub(crate) fn send(&mut self, permit: Permit, receipt: &Receipt, messages: &[u8]) -> Result<(), GateError> {
        check(&permit, receipt)?;
        self.0.enqueue(messages);
        Ok(())
    }

    /// Asks a target for TLS, before anything else was said (protocol docs, "SSL Session Encryption").
    pub(crate) fn request_encryption(leg: &mut Leg, permit: &Permit, message: &[u8]) -> Result<(), GateError> {
        if permit.kind() != PermitKind::Protocol(ProtocolAct::StartUp) {
            return Err(GateError::Mismatch);
        }
        leg.enqueue(message);
        Ok(())
    }

    /// The leg, to read from and to drive.
    pub(crate) fn leg(&mut self) -> &mut Leg {
        &mut self.0
    }
}

/// Bytes that were masked and recorded, and may go to the client they were masked for.
pub(crate) struct Released {
    masked: Masked,
}

impl Released {
    /// Joins what was masked with the proof that it is on the tape.
    ///
    /// # Errors
    /// If the tape holds another number of bytes than are to be delivered.
    pub(crate) fn join(masked: Masked, taped: &Taped) -> Result<Self, GateError> {
        let length = u64::try_from(masked.bytes().len()).unwrap_or(u64::MAX);
        if taped.length() == length { Ok(Self { masked }) } else { Err(GateError::NotRecorded) }
    }

    /// For what no tape holds: the exchange before a session exists, and targets whose tape is off or holds requests
    /// only.
    pub(crate) const fn untaped(masked: Masked) -> Self {
        Self { masked }
    }
}

/// The side of a session that faces the client.
pub(crate) struct ClientSide(Leg);

impl ClientSide {
    /// Takes an accepted leg.
    pub(crate) fn new(leg: Leg) -> Self {
        Self(leg)
    }

    /// Sends to the client: the only function that does. Returns what it discloses, and the buffer for reuse.
    pub(crate) fn send(&mut self, released: Released) -> (Vec<u8>, Disclosure) {
        self.0.enqueue(released.masked.bytes());
        released.masked.into_parts()
    }

    /// Answers a request for encryption with the one byte that the protocol has for it.
    pub(crate) fn answer_encryption(leg: &mut Leg, yes: bool) {
        leg.enqueue(if yes { b"S" } else { b"N" });
    }

    /// The leg, to read from and to drive.
    pub(crate) fn leg(&mut self) -> &mut Leg {
        &mut self.0
    }
}

#[cfg(test)]
mod leg_tests;
#[cfg(test)]
mod tests;
