//! The only way for bytes to a client.

use std::sync::Arc;

use model::disclosure::{Counts, Disclosure};

use super::copy::CopyMasker;
use super::plan::{Plan, PlanParts};
use super::value::{self, Sink, Written};
use crate::error::MaskError;
use crate::lens::Lens;
use crate::masked::Masked;

/// Whether the statement, or the transaction that it runs in, touches a class that the subject may not reveal.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Touched {
    /// It does: the target's own words may hold such a value, so they are withheld.
    Hidden,
    /// It does not: the target's words pass but for what content shows.
    Nothing,
}

/// Gathers the messages for one client, each masked by its own rule. A message that is refused leaves nothing behind.
pub struct Outbox {
    lens: Arc<Lens>,
    bytes: Vec<u8>,
    disclosure: Disclosure,
    /// The plan that `counts` belong to.
    counted: Option<Plan>,
    counts: Vec<Counts>,
}

impl Outbox {
    /// For one session.
    pub fn new(lens: Arc<Lens>) -> Self {
        Self { lens, bytes: Vec::new(), disclosure: Disclosure::default(), counted: None, counts: Vec::new() }
    }

    /// Takes up the lens of a new revision. Plans bring their own.
    pub fn set_lens(&mut self, lens: Arc<Lens>) {
        self.lens = lens;
    }

    /// How many bytes wait.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// A DataRow, whose body is the number of columns and the values.
    ///
    /// # Errors
    /// [`MaskError::Malformed`] if the body is not a row of the plan's width, [`MaskError::Unmaskable`] if the target
    /// is configured so.
    pub fn data_row(&mut self, plan: &Plan, body: &[u8]) -> Result<(), MaskError> {
        self.count_for(plan);
        let start = self.bytes.len();
        let done = self.row(&plan.0, body);
        if done.is_err() {
            self.bytes.truncate(start);
        }
        done
    }

    fn row(&mut self, plan: &PlanParts, body: &[u8]) -> Result<(), MaskError> {
        let _ = (plan, body);
        Err(MaskError::Malformed)
    }

    /// A CopyData of a COPY … TO STDOUT. Rows go out when they are complete.
    ///
    /// # Errors
    /// As for rows, and [`MaskError::TooLarge`].
    pub fn copy_data(&mut self, masker: &mut CopyMasker, body: &[u8]) -> Result<(), MaskError> {
        let _ = (masker, body);
        Err(MaskError::Malformed)
    }

    /// CopyDone, if the stream ended between rows.
    ///
    /// # Errors
    /// [`MaskError::Malformed`] if part of a row is left.
    pub fn copy_done(&mut self, masker: &CopyMasker) -> Result<(), MaskError> {
        let _ = masker;
        Err(MaskError::Malformed)
    }

    /// A message without values, by its type: authentication, BackendKeyData, NegotiateProtocolVersion, ReadyForQuery,
    /// ParseComplete, BindComplete, CloseComplete, NoData, ParameterDescription, RowDescription, PortalSuspended,
    /// EmptyQueryResponse, CommandComplete, CopyInResponse, CopyOutResponse.
    ///
    /// # Errors
    /// [`MaskError::Unexpected`] for every other type.
    pub fn control(&mut self, tag: u8, body: &[u8]) -> Result<(), MaskError> {
        let _ = body;
        Err(MaskError::Unexpected(tag))
    }

    /// A ParameterStatus: only parameters that are known pass, and their values are searched. Returns whether it
    /// passed.
    pub fn parameter_status(&mut self, name: &[u8], value: &[u8]) -> bool {
        let _ = (name, value);
        false
    }

    /// An ErrorResponse, from its fields (type, text).
    pub fn error<'a>(&mut self, fields: impl Iterator<Item = (u8, &'a [u8])>, touched: Touched) {
        let _ = (fields, touched);
    }

    /// A NoticeResponse, from its fields (type, text).
    pub fn notice<'a>(&mut self, fields: impl Iterator<Item = (u8, &'a [u8])>, touched: Touched) {
        let _ = (fields, touched);
    }

    /// A NotificationResponse; channel and payload are searched.
    pub fn notification(&mut self, process: i32, channel: &[u8], payload: &[u8]) {
        let _ = (process, channel, payload);
    }

    /// A FunctionCallResponse, whose body is one value, by a plan of one column.
    ///
    /// # Errors
    /// As for rows.
    pub fn function_call_response(&mut self, plan: &Plan, body: &[u8]) -> Result<(), MaskError> {
        let _ = (plan, body);
        Err(MaskError::Malformed)
    }

    /// Whole messages that Sluice itself composed, such as its errors. They hold no value from a target: rows and
    /// CopyData are refused here.
    ///
    /// # Errors
    /// [`MaskError::Unexpected`] for a message type that carries values, [`MaskError::Malformed`] unless the bytes are
    /// whole messages.
    pub fn own(&mut self, messages: &[u8]) -> Result<(), MaskError> {
        let _ = messages;
        Err(MaskError::Malformed)
    }

    /// Takes what has gathered.
    pub fn finish(&mut self) -> Masked {
        self.settle();
        let mut disclosure = std::mem::take(&mut self.disclosure);
        disclosure.bytes = u64::try_from(self.bytes.len()).unwrap_or(u64::MAX);
        Masked::new(std::mem::take(&mut self.bytes), disclosure)
    }

    /// Takes a buffer back, so that the next answer needs no new one.
    pub fn recycle(&mut self, mut buffer: Vec<u8>) {
        if self.bytes.is_empty() && buffer.capacity() > self.bytes.capacity() {
            buffer.clear();
            self.bytes = buffer;
        }
    }

    fn count_for(&mut self, plan: &Plan) {
        if self.counted.as_ref().is_none_or(|counted| !Arc::ptr_eq(&counted.0, &plan.0)) {
            self.settle();
            self.counted = Some(plan.clone());
            self.counts.resize(plan.0.tallies.len(), Counts::default());
        }
    }

    /// Turns the counters of the plan in hand into the disclosure.
    fn settle(&mut self) {
        let Some(plan) = self.counted.take() else { return };
        for (tally, counts) in plan.0.tallies.iter().zip(self.counts.drain(..)) {
            if counts == Counts::default() {
                continue;
            }
            for class in &tally.classes {
                self.disclosure.classes.entry(class.clone()).or_default().add(counts);
            }
            for column in &tally.columns {
                self.disclosure.columns.entry(column.clone()).or_default().add(counts);
            }
        }
    }
}
