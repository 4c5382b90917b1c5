//! One value: masked in its own wire type and format, or NULL.

use model::class::Transform;
use model::disclosure::Counts;
use model::lineage::Container;

use super::plan::{Leaf, Members, Part, Search, Treatment};
use super::types::{Kind, Width};
use super::{array, json, record, text, zero};
use crate::detect::Detector;
use crate::error::MaskError;
use crate::lens::{Lens, OnUnmaskable};
use crate::mask::Mask;

/// What became of a value.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Written {
    /// It stands as it came; nothing was written.
    Same,
    /// Another one was written in its place.
    Other,
    /// NULL takes its place; nothing was written.
    Null,
}

/// Why a value could not be written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Fault {
    /// It does not have the shape that its lineage or its type announced: the value around it is masked whole.
    Shape,
    /// The answer ends here.
    Refused(MaskError),
}

/// Which counter a value belongs to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Slot {
    /// A counter of the plan.
    Plan(usize),
    /// What content showed.
    Content(Detector),
}

/// What values are written with, and what is counted until a row is complete.
pub(crate) struct Sink<'a> {
    pub(crate) lens: &'a Lens,
    pub(crate) pending: &'a mut Vec<(Slot, Counts)>,
    pub(crate) scratch: &'a mut String,
    /// Where a value is written before it is known to differ.
    pub(crate) buffer: &'a mut Vec<u8>,
}

impl Sink<'_> {
    pub(crate) fn count(&mut self, tally: Option<usize>, masked: bool) {
        if let Some(tally) = tally {
            self.push(Slot::Plan(tally), masked);
        }
    }

    pub(crate) fn push(&mut self, slot: Slot, masked: bool) {
        let one = if masked { Counts { clear: 0, masked: 1 } } else { Counts { clear: 1, masked: 0 } };
        self.pending.push((slot, one));
    }
}

/// The type and format of a value.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Form {
    pub(crate) kind: Kind,
    pub(crate) binary: bool,
}

/// Appends to `out` what is shown in place of `raw`, which is not NULL.
pub(crate) fn write(
    part: &Part,
    form: Form,
    raw: &[u8],
    sink: &mut Sink<'_>,
    out: &mut Vec<u8>,
) -> Result<Written, MaskError> {
    let (start, counted) = (out.len(), sink.pending.len());
    let attempted = match part {
        Part::Leaf(leaf) => whole(leaf, form, raw, sink, out),
        Part::Members(members) => parts(members, form, raw, sink, out),
    };
    match attempted {
        Ok(written) => Ok(written),
        Err(Fault::Refused(error)) => Err(error),
        Err(Fault::Shape) => {
            out.truncate(start);
            sink.pending.truncate(counted);
            match part {
                Part::Leaf(leaf) => withheld(leaf, sink),
                Part::Members(members) => match whole(&members.whole, form, raw, sink, out) {
                    Ok(written) => Ok(written),
                    Err(Fault::Refused(error)) => Err(error),
                    Err(Fault::Shape) => withheld(&members.whole, sink),
                },
            }
        }
    }
}

/// As [`write`], but for a part of a value: what does not fit is for the value around it to mask.
pub(crate) fn attempt(
    part: &Part,
    form: Form,
    raw: &[u8],
    sink: &mut Sink<'_>,
    out: &mut Vec<u8>,
) -> Result<Written, Fault> {
    match part {
        // NULLs beside it are not masked, so that it has to look like them.
        Part::Leaf(leaf) if leaf.alike => {
            sink.count(leaf.tally, true);
            Ok(Written::Null)
        }
        Part::Leaf(leaf) => whole(leaf, form, raw, sink, out),
        Part::Members(members) => parts(members, form, raw, sink, out),
    }
}

/// A value that cannot be read is not shown.
fn withheld(leaf: &Leaf, sink: &mut Sink<'_>) -> Result<Written, MaskError> {
    sink.count(leaf.tally, true);
    match sink.lens.on_unmaskable() {
        OnUnmaskable::Refuse => Err(MaskError::Unmaskable),
        OnUnmaskable::Null | OnUnmaskable::TypeDefault => Ok(Written::Null),
    }
}

fn whole(leaf: &Leaf, form: Form, raw: &[u8], sink: &mut Sink<'_>, out: &mut Vec<u8>) -> Result<Written, Fault> {
    sink.count(leaf.tally, matches!(leaf.treatment, Treatment::Mask(_)));
    match &leaf.treatment {
        Treatment::Pass => Ok(Written::Same),
        Treatment::Search(how) => search(how, form, raw, sink, out),
        Treatment::Mask(mask) => masked(mask, form, raw, sink, out),
    }
}

fn parts(members: &Members, form: Form, raw: &[u8], sink: &mut Sink<'_>, out: &mut Vec<u8>) -> Result<Written, Fault> {
    match (members.container, form.kind) {
        (Container::JsonObject | Container::JsonArray | Container::JsonArrayOf, Kind::Json | Kind::Jsonb) => {
            let text = json::open(form, raw, out)?;
            json::members(members, text, sink, out)?;
        }
        (Container::ArrayOf, Kind::Array(element)) => {
            let [(_, part)] = members.members.as_slice() else { return Err(Fault::Shape) };
            array::rewrite(raw, form.binary, element, out, |form, element, out| {
                attempt(part, form, element, sink, out)
            })?;
        }
        (Container::Row, Kind::Record | Kind::Other) => {
            let count = members.members.len();
            record::rewrite(raw, form.binary, Some(count), out, |at, form, field, out| {
                let (_, part) = members.members.get(at).ok_or(Fault::Shape)?;
                field_part(part, form, field, sink, out)
            })?;
        }
        _ => return Err(Fault::Shape),
    }
    Ok(Written::Other)
}

/// A field of a row. In text its type is not known, so what must be masked becomes NULL, and what has members of its
/// own is taken for what they say it is.
fn field_part(part: &Part, form: Form, raw: &[u8], sink: &mut Sink<'_>, out: &mut Vec<u8>) -> Result<Written, Fault> {
    let kind = match part {
        Part::Members(members) if !form.binary => match members.container {
            Container::JsonObject | Container::JsonArray | Container::JsonArrayOf => Kind::Json,
            Container::ArrayOf => Kind::Array(0),
            Container::Row => Kind::Record,
        },
        Part::Members(_) | Part::Leaf(_) => form.kind,
    };
    attempt(part, Form { kind, ..form }, raw, sink, out)
}

/// Replaces what content shows; the value's type and structure stay.
fn search(how: &Search, form: Form, raw: &[u8], sink: &mut Sink<'_>, out: &mut Vec<u8>) -> Result<Written, Fault> {
    match (form.kind, form.binary) {
        (Kind::Text | Kind::Xml, _) | (Kind::Other | Kind::Record, false) => Ok(text::search(how, raw, sink, out)),
        (Kind::Json | Kind::Jsonb, _) => {
            let start = out.len();
            let text = json::open(form, raw, out)?;
            let written = json::search(how, text, sink, out)?;
            if written == Written::Same {
                out.truncate(start);
            }
            Ok(written)
        }
        (Kind::Array(element), binary) if Kind::of(element).is_searched() => {
            array::rewrite(raw, binary, element, out, |form, element, out| search(how, form, element, sink, out))?;
            Ok(Written::Other)
        }
        (Kind::Record, true) => {
            record::rewrite(raw, true, None, out, |_, form, field, out| search(how, form, field, sink, out))?;
            Ok(Written::Other)
        }
        // A layout that is not known cannot be rewritten: one find hides all of it.
        (Kind::Other, true) => {
            let start = out.len();
            let written = text::search(how, raw, sink, out);
            out.truncate(start);
            Ok(if written == Written::Same { Written::Same } else { Written::Null })
        }
        _ => Ok(Written::Same),
    }
}

/// Masks a value whole.
fn masked(mask: &Mask, form: Form, raw: &[u8], sink: &mut Sink<'_>, out: &mut Vec<u8>) -> Result<Written, Fault> {
    if mask.transform == Transform::Null {
        return Ok(Written::Null);
    }
    match form.kind {
        Kind::Text | Kind::Xml => Ok(text::mask(mask, raw, sink, out)),
        Kind::Json | Kind::Jsonb => {
            let text = json::open(form, raw, out)?;
            json::mask_value(mask, text, sink, out);
            Ok(Written::Other)
        }
        Kind::Integer(width) if mask.transform == Transform::FormatPreserving => {
            integer(mask, width, form, raw, sink, out)
        }
        Kind::Array(element) if matches!(Kind::of(element), Kind::Text) => {
            if mask.transform == Transform::Redact {
                sink.scratch.clear();
                mask.redacted(sink.scratch);
                array::single(sink.scratch.as_bytes(), form.binary, element, out)?;
            } else {
                array::rewrite(raw, form.binary, element, out, |form, element, out| {
                    masked(mask, form, element, sink, out)
                })?;
            }
            Ok(Written::Other)
        }
        kind => unmaskable(kind, form.binary, sink.lens, out),
    }
}

/// What `on_unmaskable` says about a type without a mask.
fn unmaskable(kind: Kind, binary: bool, lens: &Lens, out: &mut Vec<u8>) -> Result<Written, Fault> {
    match lens.on_unmaskable() {
        OnUnmaskable::Null => Ok(Written::Null),
        OnUnmaskable::Refuse => Err(Fault::Refused(MaskError::Unmaskable)),
        OnUnmaskable::TypeDefault => match zero::of(kind, binary) {
            Some(zero) => {
                out.extend_from_slice(&zero);
                Ok(Written::Other)
            }
            None => Ok(Written::Null),
        },
    }
}

/// Other digits of the same length, if they fit the width.
fn integer(
    mask: &Mask,
    width: Width,
    form: Form,
    raw: &[u8],
    sink: &mut Sink<'_>,
    out: &mut Vec<u8>,
) -> Result<Written, Fault> {
    let value =
        if form.binary { from_binary(width, raw) } else { str::from_utf8(raw).ok().and_then(|text| text.parse().ok()) };
    sink.scratch.clear();
    let other = value.filter(|value| *value >= 0).and_then(|value: i64| {
        let same = mask.same_format(&value.to_string(), sink.scratch);
        same.then(|| sink.scratch.parse::<i64>().ok()).flatten()
    });
    let bytes = other.and_then(|other| to_bytes(width, form.binary, other));
    match bytes {
        Some(bytes) => {
            out.extend_from_slice(&bytes);
            Ok(Written::Other)
        }
        None => unmaskable(form.kind, form.binary, sink.lens, out),
    }
}

fn from_binary(width: Width, raw: &[u8]) -> Option<i64> {
    match width {
        Width::Two => raw.try_into().ok().map(i16::from_be_bytes).map(i64::from),
        Width::Four => raw.try_into().ok().map(i32::from_be_bytes).map(i64::from),
        Width::Eight => raw.try_into().ok().map(i64::from_be_bytes),
    }
}

fn to_bytes(width: Width, binary: bool, value: i64) -> Option<Vec<u8>> {
    let bytes = match width {
        Width::Two => i16::try_from(value).ok()?.to_be_bytes().to_vec(),
        Width::Four => i32::try_from(value).ok()?.to_be_bytes().to_vec(),
        Width::Eight => value.to_be_bytes().to_vec(),
    };
    Some(if binary { bytes } else { value.to_string().into_bytes() })
}

/// Appends a value with its length in front (`-1` for NULL).
pub(crate) fn prefixed(
    out: &mut Vec<u8>,
    raw: &[u8],
    fill: impl FnOnce(&mut Vec<u8>) -> Result<Written, Fault>,
) -> Result<Written, Fault> {
    let start = out.len();
    out.extend_from_slice(&[0; 4]);
    let written = fill(out)?;
    match written {
        Written::Same => out.extend_from_slice(raw),
        Written::Other => {}
        Written::Null => out.truncate(start + 4),
    }
    let length = match written {
        Written::Null => -1,
        Written::Same | Written::Other => {
            let length = out.len().saturating_sub(start + 4);
            i32::try_from(length).map_err(|_| Fault::Refused(MaskError::TooLarge))?
        }
    };
    if let Some(slot) = out.get_mut(start..start + 4) {
        slot.copy_from_slice(&length.to_be_bytes());
    }
    Ok(written)
}
