//! What a tape tells, one thing after the other.

use model::time::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// One thing that passed, and when.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = TapeLine)]
pub struct Line {
    /// When, in milliseconds since the epoch.
    #[schema(value_type = u64)]
    pub at: Timestamp,
    /// On which of the session's channels, counted from 1; absent for what concerns the whole session.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channel: Option<u32>,
    /// What.
    #[serde(flatten)]
    pub event: Event,
}

/// What passed.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[schema(as = TapeEvent)]
pub enum Event {
    /// The caller asked for this.
    Request {
        /// The request's id, as every refusal names it.
        request: String,
        /// The statement, classified constants masked.
        statement: String,
        /// Its parameters, as the record may show them.
        values: Vec<String>,
    },
    /// Rows with these columns follow.
    Columns {
        /// The labels.
        names: Vec<String>,
    },
    /// A row.
    Row {
        /// The values as text; absent for NULL.
        values: Vec<Option<String>>,
    },
    /// Data of a COPY.
    Copy {
        /// As text.
        data: String,
    },
    /// A statement is complete.
    Complete {
        /// Its command tag.
        tag: String,
    },
    /// A request failed.
    Error(Report),
    /// A note.
    Notice(Report),
    /// Somebody notified a channel.
    Notification {
        /// The channel.
        channel: String,
        /// What was said.
        payload: String,
    },
    /// A setting has a new value.
    Setting {
        /// Which.
        name: String,
        /// Its value.
        value: String,
    },
    /// What the caller wrote: standard input, keys that were pressed.
    Input(Passed),
    /// What it got: standard output, a terminal's screen.
    Output(Passed),
    /// What it got on standard error, what Sluice told it included.
    ErrorOutput(Passed),
    /// The size of its terminal from here on.
    Size {
        /// How many characters wide.
        columns: u32,
        /// How many lines high.
        rows: u32,
    },
    /// What ran on a channel has ended.
    Exit {
        /// Its exit status, if it gave one.
        exit_status: Option<u32>,
        /// The signal that ended it, without SIG, if one did.
        signal: Option<String>,
        /// What it was given, where the tape has no more of that.
        input: Option<Digested>,
        /// What it gave, where the tape has no more of that.
        output: Option<Digested>,
    },
    /// The head of a request of HTTP.
    Asked {
        /// The method.
        method: String,
        /// The path and the query.
        path: String,
        /// The fields in their order; secrets stand as `[secret]`.
        fields: Vec<Field>,
    },
    /// The head of an answer of HTTP.
    Answered {
        /// Its status.
        status: u16,
        /// The fields in their order.
        fields: Vec<Field>,
    },
    /// Fields behind the body of an answer of HTTP.
    Trailers {
        /// The fields in their order.
        fields: Vec<Field>,
    },
    /// A message of WebSocket; its content follows, as far as the tape holds it.
    Message {
        /// Whom it is for: `caller` or `target`.
        to: String,
        /// What it is (RFC 6455, section 5.2): 1 a text, 2 bytes, 8 the end.
        opcode: u8,
        /// How many bytes it has.
        bytes: u64,
        /// How many of them follow.
        taped: u64,
    },
    /// A request of HTTP is answered, or ended otherwise.
    Exchanged {
        /// The status that the caller got, if it got one.
        status: Option<u16>,
        /// Why it ended otherwise than with the target's answer, or that status where it says that something failed.
        error: Option<String>,
        /// Milliseconds from its head to the end of its answer.
        millis: u64,
        /// The body of the request, if there was one.
        input: Option<Digested>,
        /// The body of the answer, if there was one.
        output: Option<Digested>,
    },
    /// A file or directory that was open was closed.
    File {
        /// The request by which it was opened.
        request: String,
        /// What was read of it, if anything.
        read: Option<Digested>,
        /// What was written to it, if anything.
        written: Option<Digested>,
    },
    /// Something was left out of the tape on purpose.
    Cut {
        /// What and why.
        reason: String,
    },
    /// Something on the tape cannot be read.
    Unreadable {
        /// Why, and how much.
        reason: String,
    },
    /// The end of the tape.
    End {
        /// Whether it was closed in order. If not, the session still runs, or its process died.
        complete: bool,
    },
}

/// A field of a head.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct Field {
    /// Its name, in lower case.
    pub name: String,
    /// Its value; what is not UTF-8 is U+FFFD in it.
    pub value: String,
}

/// An error or a note.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct Report {
    /// `ERROR`, `FATAL`, `NOTICE`, …
    pub severity: String,
    /// The SQLSTATE.
    pub sqlstate: String,
    /// What happened.
    pub message: String,
    /// More about it.
    pub detail: Option<String>,
    /// What to do.
    pub hint: Option<String>,
}

/// A piece of a stream. Characters are whole: one that was split over several pieces is in the last of them.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct Passed {
    /// As text; what is not UTF-8 is U+FFFD in it.
    pub data: String,
    /// The very bytes, in base64 (RFC 4648, section 4), where they are not UTF-8.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes: Option<String>,
}

impl Passed {
    /// How many bytes it has.
    pub fn length(&self) -> usize {
        match &self.bytes {
            None => self.data.len(),
            Some(bytes) => {
                (bytes.len() / 4 * 3).saturating_sub(bytes.bytes().rev().take_while(|sign| *sign == b'=').count())
            }
        }
    }
}

/// What was carried and is not on the tape itself.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct Digested {
    /// How long it was.
    pub bytes: u64,
    /// Its SHA-256 in hexadecimal; absent where it was not carried from its beginning on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
}
