//! The messages of a PostgreSQL session as events.

use wire::postgres::backend::{Backend, Field, ReportFields, field};
use wire::postgres::frame::{BackendTag, Frame, HEADER};
use wire::postgres::part::{Format, Text};

use super::value;
use super::{Event, Report, request, unreadable};

/// The longest message that is shown; what is longer is named and passed over.
const LONGEST: usize = 16 << 20;

/// Turns what is on a tape into events. Messages and lines may be split over any number of records.
#[derive(Debug, Default)]
pub struct Decoder {
    from_client: Vec<u8>,
    to_client: Vec<u8>,
    /// Bytes of a message that is too long to be shown, still to come.
    passing: usize,
    /// Of the rows that follow; empty if they were not described.
    columns: Vec<(u32, Format)>,
}

impl Decoder {
    pub(super) fn requests(&mut self, content: &[u8]) -> Vec<Event> {
        self.from_client.extend_from_slice(content);
        let mut events = Vec::new();
        while let Some(end) = self.from_client.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = self.from_client.drain(..=end).collect();
            events.push(request(&line));
        }
        events
    }

    pub(super) fn answers(&mut self, content: &[u8]) -> Vec<Event> {
        let passed = self.passing.min(content.len());
        self.passing = self.passing.saturating_sub(passed);
        self.to_client.extend_from_slice(content.get(passed..).unwrap_or_default());
        let mut events = Vec::new();
        loop {
            let buffer = std::mem::take(&mut self.to_client);
            let Some(length) = message_length(&buffer) else {
                self.to_client = buffer;
                return events;
            };
            if length > LONGEST {
                events.push(unreadable("an answer too long to be shown", length));
                self.passing = length.saturating_sub(buffer.len());
                self.to_client = buffer.get(length..).unwrap_or_default().to_vec();
                continue;
            }
            let Some((message, rest)) = buffer.split_at_checked(length) else {
                self.to_client = buffer;
                return events;
            };
            events.extend(self.message(message));
            self.to_client = rest.to_vec();
        }
    }

    /// What is left at the end of a tape: the torn end of a crash.
    pub(super) fn finish(&mut self) -> Option<Event> {
        let left = self.from_client.len().saturating_add(self.to_client.len()).saturating_add(self.passing);
        (left > 0).then(|| unreadable("the end, which is cut off", left))
    }

    fn message(&mut self, bytes: &[u8]) -> Option<Event> {
        let (tag, body) = (bytes.first().copied().and_then(BackendTag::from_byte), bytes.get(HEADER..));
        let parsed = match (tag, body) {
            (Some(tag), Some(body)) => Backend::parse(&Frame { tag, body, bytes }).ok(),
            (_, _) => None,
        };
        let Some(message) = parsed else { return Some(unreadable("an answer", bytes.len())) };
        match message {
            Backend::RowDescription(fields) => {
                self.columns = fields.iter().map(|column: Field<'_>| (column.type_oid, column.format)).collect();
                Some(Event::Columns { names: fields.iter().map(|column| text(column.name)).collect() })
            }
            Backend::DataRow(values) => Some(Event::Row {
                values: values.iter().enumerate().map(|(at, value)| Some(self.value(at, value?))).collect(),
            }),
            Backend::CopyData(data) => Some(Event::Copy { data: value::copied(data.get()) }),
            Backend::CommandComplete(tag) => self.complete(text(tag)),
            Backend::EmptyQueryResponse => self.complete(String::new()),
            Backend::PortalSuspended => Some(Event::Complete { tag: String::from("(more rows follow)") }),
            Backend::ErrorResponse(fields) => {
                self.columns.clear();
                Some(Event::Error(report(fields)))
            }
            Backend::NoticeResponse(fields) => Some(Event::Notice(report(fields))),
            Backend::NotificationResponse(notification) => {
                Some(Event::Notification { channel: text(notification.channel), payload: text(notification.payload) })
            }
            Backend::ParameterStatus(status) => {
                Some(Event::Setting { name: text(status.name), value: text(status.value) })
            }
            Backend::FunctionCallResponse(result) => {
                let value = result.map(|bytes| value::shown(bytes.get(), 0, Format::Binary));
                Some(Event::Row { values: vec![value] })
            }
            // What follows was described for another statement, if for any.
            Backend::BindComplete | Backend::NoData => {
                self.columns.clear();
                None
            }
            Backend::Authentication(_)
            | Backend::BackendKeyData(_)
            | Backend::CloseComplete
            | Backend::CopyDone
            | Backend::CopyInResponse(_)
            | Backend::CopyOutResponse(_)
            | Backend::CopyBothResponse(_)
            | Backend::NegotiateProtocolVersion(_)
            | Backend::ParameterDescription(_)
            | Backend::ParseComplete
            | Backend::ReadyForQuery(_) => None,
        }
    }

    fn complete(&mut self, tag: String) -> Option<Event> {
        self.columns.clear();
        Some(Event::Complete { tag })
    }

    fn value(&self, at: usize, bytes: &[u8]) -> String {
        let (type_oid, format) = self.columns.get(at).copied().unwrap_or_default();
        value::shown(bytes, type_oid, format)
    }
}

/// The length of the message at the start of `buffer`, as far as it says one. One that is less than its own length word
/// takes the rest of what is there: nothing after it can be trusted to be a message.
fn message_length(buffer: &[u8]) -> Option<usize> {
    let word = buffer.get(1..)?.first_chunk::<4>()?;
    let length = usize::try_from(u32::from_be_bytes(*word)).unwrap_or(usize::MAX);
    Some(if length < 4 { buffer.len() } else { length.saturating_add(1) })
}

fn report(fields: ReportFields<'_>) -> Report {
    let of = |code| fields.get(code).map(text);
    Report {
        severity: of(field::SEVERITY_PLAIN).or_else(|| of(field::SEVERITY)).unwrap_or_default(),
        sqlstate: of(field::SQLSTATE).unwrap_or_default(),
        message: of(field::MESSAGE).unwrap_or_default(),
        detail: of(field::DETAIL),
        hint: of(field::HINT),
    }
}

fn text(text: Text<'_>) -> String {
    String::from_utf8_lossy(text.bytes()).into_owned()
}

#[cfg(test)]
mod tests;
