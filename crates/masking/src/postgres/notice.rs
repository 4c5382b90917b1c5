//! Errors and notices: the target's own words may hold values (FINDINGS: in the message, the detail, the context, even
//! in a name that `RAISE … USING CONSTRAINT` made up).

use super::outbox::Touched;
use super::plan::Search;
use super::sqlstate;
use super::text;
use super::value::{Sink, Written};
use crate::detect::Hints;

/// Severities that are never translated (field `V`).
const SEVERITIES: [&[u8]; 8] = [b"ERROR", b"FATAL", b"PANIC", b"WARNING", b"NOTICE", b"DEBUG", b"INFO", b"LOG"];

/// The server's own files that report broken constraints, so that the names in the report are names of the catalog and
/// not what a procedure said they were.
const CONSTRAINT_FILES: [&[u8]; 8] = [
    b"nbtinsert.c",
    b"ri_triggers.c",
    b"execMain.c",
    b"execIndexing.c",
    b"execExprInterp.c",
    b"domains.c",
    b"tablecmds.c",
    b"tuplesort.c",
];

/// Appends the body: each field that may be seen, and the terminator.
pub(crate) fn write<'a>(
    fields: impl Iterator<Item = (u8, &'a [u8])>,
    touched: Touched,
    sink: &mut Sink<'_>,
    out: &mut Vec<u8>,
) {
    match touched {
        Touched::Nothing => fields.for_each(|(kind, text)| searched_field(kind, text, sink, out)),
        Touched::Hidden => withheld(&fields.collect::<Vec<_>>(), sink, out),
    }
    out.push(0);
}

/// All fields, as far as content lets them pass.
fn searched_field(kind: u8, text: &[u8], sink: &mut Sink<'_>, out: &mut Vec<u8>) {
    out.push(kind);
    searched(text, sink, out);
    out.push(0);
}

/// Appends a text with what content shows replaced.
pub(crate) fn searched(text: &[u8], sink: &mut Sink<'_>, out: &mut Vec<u8>) {
    let how = Search { hints: Hints::default(), known: std::collections::BTreeSet::new() };
    match text::search(&how, text, sink, out) {
        Written::Same => out.extend_from_slice(text),
        Written::Other | Written::Null => {}
    }
}

/// What says nothing about values: severity, code, a sentence of our own, and names where the server itself gives
/// them.
fn withheld(fields: &[(u8, &[u8])], sink: &mut Sink<'_>, out: &mut Vec<u8>) {
    let field = |kind: u8| fields.iter().find(|(found, _)| *found == kind).map(|(_, text)| *text);
    let severity = field(b'V').or_else(|| field(b'S')).and_then(|text| SEVERITIES.iter().find(|known| **known == text));
    let severity = severity.copied().unwrap_or(b"ERROR");
    let (code, message) = sqlstate::known(field(b'C').unwrap_or_default());
    let mut put = |kind: u8, text: &[u8]| {
        out.push(kind);
        out.extend_from_slice(text);
        out.push(0);
    };
    put(b'S', severity);
    put(b'V', severity);
    put(b'C', code);
    put(b'M', message.as_bytes());
    if let Some(position) = field(b'P').filter(|text| text.len() < 10 && text.iter().all(u8::is_ascii_digit)) {
        put(b'P', position);
    }
    if field(b'F').is_some_and(|file| CONSTRAINT_FILES.contains(&file)) {
        for kind in [b's', b't', b'c', b'd', b'n'] {
            field(kind).into_iter().for_each(|text| searched_field(kind, text, sink, out));
        }
    }
}
