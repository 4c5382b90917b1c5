//! Texts: masked whole, or searched and masked in the places that content shows.

use super::plan::Search;
use super::value::{Sink, Slot, Written};
use crate::detect;
use crate::mask::Mask;

/// Masks a text whole.
pub(crate) fn mask(mask: &Mask, raw: &[u8], sink: &mut Sink<'_>, out: &mut Vec<u8>) -> Written {
    if mask.bytes(raw, sink.scratch, out) { Written::Other } else { Written::Null }
}

/// Replaces each find that may not be seen; what may be is counted. Nothing is written if all of it stands.
pub(crate) fn search(how: &Search, raw: &[u8], sink: &mut Sink<'_>, out: &mut Vec<u8>) -> Written {
    let (mut copied, mut written) = (0, Written::Same);
    let lens = sink.lens;
    detect::scan(raw, how.hints, &mut |found| {
        let Some((class, hidden)) = lens.content(found.detector) else { return };
        let Some(mask) = hidden else {
            if !how.known.contains(class) {
                sink.push(Slot::Content(found.detector), false);
            }
            return;
        };
        sink.push(Slot::Content(found.detector), true);
        let value = raw.get(found.start..found.end).unwrap_or_default();
        let start = out.len();
        out.extend_from_slice(raw.get(copied..found.start).unwrap_or_default());
        let shown = mask.bytes(value, sink.scratch, out);
        if !shown && value.len() == raw.len() {
            out.truncate(start);
            written = Written::Null;
            return;
        }
        if !shown {
            out.extend_from_slice(mask.label().as_bytes());
        }
        (copied, written) = (found.end, Written::Other);
    });
    if written == Written::Other {
        out.extend_from_slice(raw.get(copied..).unwrap_or_default());
    }
    written
}
