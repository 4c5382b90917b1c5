//! The only way for bytes to a client.

use std::sync::Arc;

use model::disclosure::{Counts, Disclosure};

use super::copy::CopyMasker;
use super::plan::{Plan, PlanParts};
use super::value::{Sink, Slot};
use super::{copy, notice, row};
use crate::detect::Detector;
use crate::error::MaskError;
use crate::keys::wipe_stack;
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
    /// What content showed, by [`Detector`].
    content: [Counts; Detector::COUNT],
    work: Work,
}

/// What is used anew for every value, and what is counted until a message is complete.
#[derive(Default)]
struct Work {
    pending: Vec<(Slot, Counts)>,
    scratch: String,
    buffer: Vec<u8>,
    /// Whether anything was masked since the stack was wiped.
    masked: bool,
}

/// Parameters that the server reports and whose values a client may need (PostgreSQL documentation, 54.2.7).
const PARAMETERS: [&[u8]; 17] = [
    b"application_name",
    b"client_encoding",
    b"DateStyle",
    b"default_transaction_read_only",
    b"in_hot_standby",
    b"integer_datetimes",
    b"IntervalStyle",
    b"is_superuser",
    b"scram_iterations",
    b"search_path",
    b"server_encoding",
    b"server_version",
    b"session_authorization",
    b"standard_conforming_strings",
    b"TimeZone",
    b"timezone",
    b"datestyle",
];

impl Outbox {
    /// For one session.
    pub fn new(lens: Arc<Lens>) -> Self {
        Self {
            lens,
            bytes: Vec::new(),
            disclosure: Disclosure::default(),
            counted: None,
            counts: Vec::new(),
            content: [Counts::default(); Detector::COUNT],
            work: Work::default(),
        }
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
        self.message(b'D', &plan.0.lens, |sink, out| match plan.0.passes {
            true => whole_row(&plan.0, body, out),
            false => row::write(&plan.0, body, sink, out),
        })?;
        self.disclosure.rows = self.disclosure.rows.saturating_add(1);
        Ok(())
    }

    /// A CopyData of a COPY … TO STDOUT. Rows go out when they are complete.
    ///
    /// # Errors
    /// As for rows, and [`MaskError::TooLarge`].
    pub fn copy_data(&mut self, masker: &mut CopyMasker, body: &[u8]) -> Result<(), MaskError> {
        let plan = masker.plan.clone();
        self.count_for(&plan);
        let before = self.bytes.len();
        let rows = self.message(b'd', &plan.0.lens, |sink, out| copy::feed(masker, body, sink, out))?;
        if self.bytes.len() == before + 5 {
            self.bytes.truncate(before);
        }
        self.disclosure.rows = self.disclosure.rows.saturating_add(rows);
        Ok(())
    }

    /// CopyDone, if the stream ended between rows.
    ///
    /// # Errors
    /// [`MaskError::Malformed`] if part of a row is left.
    pub fn copy_done(&mut self, masker: &CopyMasker) -> Result<(), MaskError> {
        if !masker.is_between_rows() {
            return Err(MaskError::Malformed);
        }
        self.plain(b'c', &[])
    }

    /// A message without values, by its type: authentication, BackendKeyData, NegotiateProtocolVersion, ReadyForQuery,
    /// ParseComplete, BindComplete, CloseComplete, NoData, ParameterDescription, RowDescription, PortalSuspended,
    /// EmptyQueryResponse, CommandComplete, CopyInResponse, CopyOutResponse.
    ///
    /// # Errors
    /// [`MaskError::Unexpected`] for every other type.
    pub fn control(&mut self, tag: u8, body: &[u8]) -> Result<(), MaskError> {
        match tag {
            b'R' | b'K' | b'v' | b'Z' | b'1' | b'2' | b'3' | b'n' | b't' | b'T' | b's' | b'I' | b'C' | b'G' | b'H' => {
                self.plain(tag, body)
            }
            _ => Err(MaskError::Unexpected(tag)),
        }
    }

    /// A ParameterStatus: only parameters that are known pass, and their values are searched. Returns whether it
    /// passed.
    pub fn parameter_status(&mut self, name: &[u8], value: &[u8]) -> bool {
        if !PARAMETERS.contains(&name) {
            return false;
        }
        self.searched(b'S', |sink, out| {
            out.extend_from_slice(name);
            out.push(0);
            notice::searched(value, sink, out);
            out.push(0);
        })
    }

    /// An ErrorResponse, from its fields (type, text).
    pub fn error<'a>(&mut self, fields: impl Iterator<Item = (u8, &'a [u8])>, touched: Touched) {
        self.searched(b'E', |sink, out| notice::write(fields, touched, sink, out));
    }

    /// A NoticeResponse, from its fields (type, text).
    pub fn notice<'a>(&mut self, fields: impl Iterator<Item = (u8, &'a [u8])>, touched: Touched) {
        self.searched(b'N', |sink, out| notice::write(fields, touched, sink, out));
    }

    /// A NotificationResponse; channel and payload are searched.
    pub fn notification(&mut self, process: i32, channel: &[u8], payload: &[u8]) {
        self.searched(b'A', |sink, out| {
            out.extend_from_slice(&process.to_be_bytes());
            for text in [channel, payload] {
                notice::searched(text, sink, out);
                out.push(0);
            }
        });
    }

    /// A FunctionCallResponse, whose body is one value, by a plan of one column.
    ///
    /// # Errors
    /// As for rows.
    pub fn function_call_response(&mut self, plan: &Plan, body: &[u8]) -> Result<(), MaskError> {
        self.count_for(plan);
        self.message(b'V', &plan.0.lens, |sink, out| row::single(&plan.0, body, sink, out))?;
        self.disclosure.rows = self.disclosure.rows.saturating_add(1);
        Ok(())
    }

    /// Whole messages that Sluice itself composed, such as its errors. They hold no value from a target: rows and
    /// CopyData are refused here.
    ///
    /// # Errors
    /// [`MaskError::Unexpected`] for a message type that carries values, [`MaskError::Malformed`] unless the bytes are
    /// whole messages.
    pub fn own(&mut self, messages: &[u8]) -> Result<(), MaskError> {
        let mut rest = messages;
        while let Some((tag, after)) = rest.split_first() {
            if matches!(tag, b'D' | b'd' | b'V' | b'A') {
                return Err(MaskError::Unexpected(*tag));
            }
            let length = after.first_chunk::<4>().map(|length| u32::from_be_bytes(*length));
            let length = length.filter(|length| *length >= 4).and_then(|length| usize::try_from(length).ok());
            rest = length.and_then(|length| after.get(length..)).ok_or(MaskError::Malformed)?;
        }
        self.bytes.extend_from_slice(messages);
        Ok(())
    }

    /// Takes what was disclosed since the last time, bytes apart: so that each request of a batch gets its own account.
    /// What is taken here is not in the [`Masked`] that follows.
    pub fn take_disclosure(&mut self) -> Disclosure {
        self.settle();
        std::mem::take(&mut self.disclosure)
    }

    /// Takes what has gathered.
    pub fn finish(&mut self) -> Masked {
        self.settle();
        self.wipe();
        let mut disclosure = std::mem::take(&mut self.disclosure);
        disclosure.bytes = u64::try_from(self.bytes.len()).unwrap_or(u64::MAX);
        Masked::new(std::mem::take(&mut self.bytes), disclosure)
    }

    /// Wipes what masks have left on the stack, since the last time: of the thread that masked, before anything is awaited.
    pub fn wipe(&mut self) {
        if std::mem::take(&mut self.work.masked) {
            wipe_stack();
        }
    }

    /// Takes a buffer back, so that the next answer needs no new one.
    pub fn recycle(&mut self, mut buffer: Vec<u8>) {
        if self.bytes.is_empty() && buffer.capacity() > self.bytes.capacity() {
            buffer.clear();
            self.bytes = buffer;
        }
    }

    /// Gives back the room of what is empty. For a session that has gone quiet.
    pub fn rest(&mut self) {
        if self.bytes.is_empty() {
            self.bytes = Vec::new();
        }
        if self.counts.is_empty() {
            self.counts = Vec::new();
        }
        let Work { pending, scratch, buffer, .. } = &mut self.work;
        // Nothing of them outlasts a message.
        (*pending, *scratch, *buffer) = (Vec::new(), String::new(), Vec::new());
    }

    fn plain(&mut self, tag: u8, body: &[u8]) -> Result<(), MaskError> {
        framed(&mut self.bytes, tag, |out| {
            out.extend_from_slice(body);
            Ok(())
        })
    }

    /// A message of texts that content is searched in; whether it passed.
    fn searched(&mut self, tag: u8, fill: impl FnOnce(&mut Sink<'_>, &mut Vec<u8>)) -> bool {
        let lens = Arc::clone(&self.lens);
        let done = self.message(tag, &lens, |sink, out| {
            fill(sink, out);
            Ok(())
        });
        done.is_ok()
    }

    /// Writes one message and counts what it gives away; neither, if it is refused.
    fn message<T>(
        &mut self,
        tag: u8,
        lens: &Lens,
        fill: impl FnOnce(&mut Sink<'_>, &mut Vec<u8>) -> Result<T, MaskError>,
    ) -> Result<T, MaskError> {
        let Work { pending, scratch, buffer, .. } = &mut self.work;
        let mut sink = Sink { lens, pending, scratch, buffer };
        let done = framed(&mut self.bytes, tag, |out| fill(&mut sink, out));
        if done.is_err() {
            self.work.pending.clear();
            self.work.masked = true;
        }
        for (slot, counts) in self.work.pending.drain(..) {
            self.work.masked |= counts.masked > 0;
            let counter = match slot {
                Slot::Plan(tally) => self.counts.get_mut(tally),
                Slot::Content(detector) => self.content.get_mut(detector.index()),
            };
            counter.into_iter().for_each(|counter| counter.add(counts));
        }
        done
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
        for (detector, counts) in Detector::ALL.into_iter().zip(&mut self.content) {
            let counts = std::mem::take(counts);
            if let (Some((class, _)), false) = (self.lens.content(detector), counts == Counts::default()) {
                self.disclosure.classes.entry(class.clone()).or_default().add(counts);
            }
        }
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

/// A row of which nothing is masked, searched or counted: the frame as it came, if it is a row of this width.
fn whole_row(plan: &PlanParts, body: &[u8], out: &mut Vec<u8>) -> Result<(), MaskError> {
    row::must_have(plan.columns.len(), body)?;
    out.extend_from_slice(body);
    Ok(())
}

/// Appends a message: its type, its length, which counts itself, and its body; nothing, if that fails.
fn framed<T>(
    out: &mut Vec<u8>,
    tag: u8,
    fill: impl FnOnce(&mut Vec<u8>) -> Result<T, MaskError>,
) -> Result<T, MaskError> {
    let start = out.len();
    out.extend_from_slice(&[tag, 0, 0, 0, 0]);
    let done = fill(out).and_then(|done| {
        let length = out.len().saturating_sub(start + 1);
        let length = i32::try_from(length).map_err(|_| MaskError::TooLarge)?;
        let slot = out.get_mut(start + 1..start + 5).ok_or(MaskError::Malformed)?;
        slot.copy_from_slice(&length.to_be_bytes());
        Ok(done)
    });
    if done.is_err() {
        out.truncate(start);
    }
    done
}
