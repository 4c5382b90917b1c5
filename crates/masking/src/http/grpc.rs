//! Messages of gRPC, each masked by what a descriptor set says of its fields (gRPC over HTTP/2, "Length-Prefixed-Message").

use model::http::protobuf::MessageRef;

use super::coding::{self, Coding};
use super::error::Unmaskable;
use super::plan::Plan;
use super::protobuf::Messages;
use super::work::Work;

/// What stands in front of a message: whether it is compressed, and its length.
const PREFIX: usize = 5;

/// How the one coding begins that is taken off (RFC 1952, 2.3.1); it has no name in front of a message.
const GZIP: &[u8] = b"\x1f\x8b";

/// Masks one message after another. Each goes out uncompressed.
pub(super) struct Grpc {
    plan: Plan,
    messages: Messages,
    held: Vec<u8>,
}

impl Grpc {
    pub(super) fn new(plan: &Plan, message: &MessageRef) -> Self {
        Self { plan: plan.clone(), messages: Messages::new(plan, message), held: Vec::new() }
    }

    /// Takes up what came.
    pub(super) fn push(&mut self, mut bytes: &[u8], work: &mut Work) -> Result<(), Unmaskable> {
        while !bytes.is_empty() {
            let wanted = self.wanted()?;
            let taken = wanted.saturating_sub(self.held.len()).min(bytes.len());
            let (now, later) = bytes.split_at(taken);
            self.held.extend_from_slice(now);
            bytes = later;
            if self.held.len() >= PREFIX && self.held.len() == self.wanted()? {
                let whole = std::mem::take(&mut self.held);
                self.message(&whole, work)?;
            }
        }
        Ok(())
    }

    /// The body is over.
    pub(super) const fn end(&self) -> Result<(), Unmaskable> {
        if self.held.is_empty() { Ok(()) } else { Err(Unmaskable::Malformed) }
    }

    /// How many bytes the message has that is held, as far as that is known.
    fn wanted(&self) -> Result<usize, Unmaskable> {
        let Some(([_, length @ ..], _)) = self.held.split_first_chunk::<PREFIX>() else { return Ok(PREFIX) };
        let length = usize::try_from(u32::from_be_bytes(*length)).unwrap_or(usize::MAX);
        if length > self.plan.0.limits.record {
            return Err(Unmaskable::TooLong);
        }
        Ok(PREFIX.saturating_add(length))
    }

    fn message(&mut self, whole: &[u8], work: &mut Work) -> Result<(), Unmaskable> {
        let (prefix, message) = whole.split_at_checked(PREFIX).ok_or(Unmaskable::Malformed)?;
        let inflated;
        let message = match prefix.first() {
            Some(0) => message,
            Some(1) => {
                inflated = self.inflate(message)?;
                &inflated
            }
            _ => return Err(Unmaskable::Malformed),
        };
        let start = work.out().len();
        self.messages.mask(message, work)?;
        let masked = work.out().split_off(start);
        let length = u32::try_from(masked.len()).map_err(|_| Unmaskable::TooLong)?;
        work.verbatim(&[0]);
        work.verbatim(&length.to_be_bytes());
        work.verbatim(&masked);
        work.count_row();
        Ok(())
    }

    fn inflate(&self, message: &[u8]) -> Result<Vec<u8>, Unmaskable> {
        if !message.starts_with(GZIP) {
            return Err(Unmaskable::Coding);
        }
        let limits = &self.plan.0.limits;
        let mut coding = [Coding::named("gzip", limits.decoded).ok_or(Unmaskable::Coding)?];
        let mut out = Vec::new();
        coding::decode(&mut coding, message, limits, &mut |piece| {
            out.extend_from_slice(piece);
            if out.len() > limits.record { Err(Unmaskable::TooLong) } else { Ok(()) }
        })?;
        if coding::are_complete(&coding) { Ok(out) } else { Err(Unmaskable::Damaged) }
    }
}
