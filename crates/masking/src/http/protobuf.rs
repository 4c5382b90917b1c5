//! A message of Protocol Buffers: what may not be seen is masked in a text, and left out of everything else, which then has the
//! value that is the default of its type. Lengths around it are written anew; numbers stay as they were encoded.
//!
//! Its places are those of its JSON: a field by its declared name, an element of a list, an entry of a map by its key.

use std::sync::Arc;

use model::http::protobuf::{
    Encoding, Field, FieldKind, FieldType, MessageRef, MessageType, Schema, Wire, fields, push_bytes, varint,
};

use super::error::Unmaskable;
use super::path::Inward;
use super::plan::{Plan, Treatment};
use super::spelling::Spelling;
use super::work::{Work, is_telling};
use crate::detect::Hints;

/// A value of which more has to be known than that it is one is redacted if it has more bytes.
const LONGEST_VALUE: usize = 4096;

/// A message that holds another one of any type, by its name.
const ANY: &str = "google.protobuf.Any";

/// Masks messages of one type.
pub(super) struct Messages {
    plan: Plan,
    schema: Arc<Schema>,
    message: usize,
}

/// Where in a message a reader is.
struct Place {
    /// The states of the paths.
    states: Box<[u64]>,
    /// What the names on the way say.
    hints: Hints,
    depth: usize,
}

impl Messages {
    pub(super) fn new(plan: &Plan, message: &MessageRef) -> Self {
        Self { plan: plan.clone(), schema: Arc::clone(&message.schema), message: message.message }
    }

    /// Writes a message as it may be seen.
    pub(super) fn mask(&self, message: &[u8], work: &mut Work) -> Result<(), Unmaskable> {
        let states = self.plan.0.paths.start().into();
        self.message(self.message, message, &Place { states, hints: Hints::default(), depth: 0 }, work)
    }

    fn message(&self, at: usize, message: &[u8], place: &Place, work: &mut Work) -> Result<(), Unmaskable> {
        if place.depth > self.plan.0.limits.depth {
            return Err(Unmaskable::TooDeep);
        }
        let described = self.schema.message(at).ok_or(Unmaskable::Malformed)?;
        for field in fields(message) {
            let field = field.map_err(|_| Unmaskable::Malformed)?;
            // What nobody described may hold anything: it is left out where anything may have to be hidden.
            let Some(known) = described.fields.get(&field.number) else { continue };
            self.field(described, known, &field, place, work)?;
        }
        if &*described.name == ANY { self.any(message) } else { Ok(()) }
    }

    /// What an `Any` holds has no place here, and cannot be read.
    fn any(&self, message: &[u8]) -> Result<(), Unmaskable> {
        let holds = fields(message).flatten().any(|field| field.number == 2 && field.value != Wire::Bytes(b""));
        if holds && self.plan.hides() { Err(Unmaskable::MediaType) } else { Ok(()) }
    }

    fn field(
        &self,
        message: &MessageType,
        known: &FieldType,
        field: &Field<'_>,
        place: &Place,
        work: &mut Work,
    ) -> Result<(), Unmaskable> {
        // The name of an entry is its key, which was stepped to.
        let mut inner =
            if message.is_entry { place.here() } else { self.step(place, Inward::Key(known.name.as_bytes())) };
        if !message.is_entry {
            inner.hints = place.hints.with(Hints::of(&known.name));
        }
        if known.is_list && !self.is_map(known) {
            inner = Place { hints: inner.hints, ..self.step(&inner, Inward::Index) };
        }
        let is_key = message.is_entry && field.number == 1;
        let treatment = if is_key { None } else { self.plan.0.treatment(self.plan.0.paths.ended(&inner.states)) };
        match (known.kind, field.value) {
            (FieldKind::Message(at), Wire::Bytes(bytes)) => {
                if self.is_map(known) {
                    inner = self.entry(at, bytes, &inner)?;
                }
                inner.depth = place.depth.saturating_add(1);
                let start = work.out().len();
                self.message(at, bytes, &inner, work)?;
                let masked = work.out().split_off(start);
                push_bytes(field.number, &masked, work.out());
                Ok(())
            }
            (FieldKind::Text, Wire::Bytes(text)) => {
                self.text(field.number, text, inner.hints, treatment.as_deref(), work)
            }
            (FieldKind::Bytes, Wire::Bytes(bytes)) => self.bytes(field, bytes, inner.hints, treatment.as_deref(), work),
            (FieldKind::Message(_) | FieldKind::Text | FieldKind::Bytes | FieldKind::Group, _) => {
                Err(Unmaskable::Malformed)
            }
            // Packed, though there is one of it.
            (FieldKind::Number(_), Wire::Bytes(_)) if !known.is_list => Err(Unmaskable::Malformed),
            (FieldKind::Number(kind), value) => {
                self.number(kind.encoding(), value, field, inner.hints, treatment.as_deref(), work)
            }
        }
    }

    /// A text, as it may be seen.
    fn text(
        &self,
        number: u32,
        text: &[u8],
        hints: Hints,
        treatment: Option<&Treatment>,
        work: &mut Work,
    ) -> Result<(), Unmaskable> {
        let start = work.out().len();
        let mask = treatment.and_then(|treatment| treatment.mask.as_ref());
        let mut shown = true;
        match mask {
            Some(mask) if text.len() > LONGEST_VALUE => shown = work.redacted(mask, Spelling::Plain),
            Some(mask) => shown = work.masked(mask, &String::from_utf8_lossy(text), Spelling::Plain),
            None => {
                let lens = treatment.map_or(&self.plan.0.lens, |treatment| &treatment.lens);
                work.whole(Spelling::Plain, hints, text, lens)?;
            }
        }
        if let Some(treatment) = treatment {
            work.count(&treatment.classes, mask.is_some());
        }
        let masked = work.out().split_off(start);
        if shown {
            push_bytes(number, &masked, work.out());
        }
        Ok(())
    }

    /// Bytes, which are searched where they may be a text.
    fn bytes(
        &self,
        field: &Field<'_>,
        bytes: &[u8],
        hints: Hints,
        treatment: Option<&Treatment>,
        work: &mut Work,
    ) -> Result<(), Unmaskable> {
        match treatment {
            Some(treatment) if treatment.mask.is_some() => work.count(&treatment.classes, true),
            _ if std::str::from_utf8(bytes).is_ok() => return self.text(field.number, bytes, hints, treatment, work),
            _ => work.verbatim(field.raw),
        }
        Ok(())
    }

    /// A number, or a packed list of them: as it was encoded, or not at all.
    fn number(
        &self,
        encoding: Encoding,
        value: Wire<'_>,
        field: &Field<'_>,
        hints: Hints,
        treatment: Option<&Treatment>,
        work: &mut Work,
    ) -> Result<(), Unmaskable> {
        let mask = treatment.and_then(|treatment| treatment.mask.as_ref());
        if let Some(treatment) = treatment {
            work.count(&treatment.classes, mask.is_some());
        }
        if mask.is_some() {
            return Ok(());
        }
        for number in whole_numbers(encoding, value).ok_or(Unmaskable::Malformed)? {
            let digits = number.to_string();
            if !is_telling(digits.as_bytes(), hints) {
                continue;
            }
            let start = work.out().len();
            let lens = treatment.map_or(&self.plan.0.lens, |treatment| &treatment.lens);
            work.whole(Spelling::Plain, hints, digits.as_bytes(), lens)?;
            if work.out().split_off(start) != digits.as_bytes() {
                return Ok(());
            }
        }
        work.verbatim(field.raw);
        Ok(())
    }

    fn is_map(&self, field: &FieldType) -> bool {
        match field.kind {
            FieldKind::Message(at) => self.schema.message(at).is_some_and(|message| message.is_entry),
            _ => false,
        }
    }

    /// The place of an entry of a map, which is named by its key.
    fn entry(&self, at: usize, entry: &[u8], place: &Place) -> Result<Place, Unmaskable> {
        let mut name = String::new();
        for field in fields(entry) {
            let field = field.map_err(|_| Unmaskable::Malformed)?;
            if field.number == 1 {
                let key = self.schema.message(at).and_then(|message| message.fields.get(&1));
                let encoding = match key.map(|key| key.kind) {
                    Some(FieldKind::Number(kind)) => kind.encoding(),
                    _ => Encoding::Plain,
                };
                name = match field.value {
                    Wire::Bytes(text) => String::from_utf8_lossy(text).into_owned(),
                    value => {
                        let mut numbers = whole_numbers(encoding, value).unwrap_or_default();
                        numbers.pop().unwrap_or_default().to_string()
                    }
                };
            }
        }
        let hints = place.hints.with(Hints::of(&name));
        Ok(Place { hints, ..self.step(place, Inward::Key(name.as_bytes())) })
    }

    fn step(&self, from: &Place, by: Inward<'_>) -> Place {
        let mut states: Box<[u64]> = vec![0; from.states.len()].into();
        self.plan.0.paths.step(&from.states, by, &mut states);
        Place { states, hints: from.hints, depth: from.depth }
    }
}

impl Place {
    fn here(&self) -> Self {
        Self { states: self.states.clone(), hints: self.hints, depth: self.depth }
    }
}

/// The whole numbers of a field, or none of them where it is of another kind; nothing if it is not encoded as its kind.
fn whole_numbers(encoding: Encoding, value: Wire<'_>) -> Option<Vec<u64>> {
    let zigzag = |number: u64| if number & 1 == 0 { number >> 1 } else { (number >> 1).saturating_add(1) };
    let read = |number: u64| match encoding {
        Encoding::Zigzag => zigzag(number),
        // What is less than nothing is looked at without its sign.
        _ => number.min(number.wrapping_neg()),
    };
    match (encoding, value) {
        (Encoding::Plain | Encoding::Zigzag, Wire::Varint(number)) => Some(vec![read(number)]),
        (Encoding::Fixed, Wire::Eight(bytes)) => Some(vec![read(u64::from_le_bytes(bytes))]),
        (Encoding::Fixed, Wire::Four(bytes)) => Some(vec![u64::from(u32::from_le_bytes(bytes))]),
        (Encoding::Float, Wire::Four(_) | Wire::Eight(_)) => Some(Vec::new()),
        // Packed.
        (Encoding::Plain | Encoding::Zigzag, Wire::Bytes(mut rest)) => {
            let mut numbers = Vec::new();
            while !rest.is_empty() {
                let (number, behind) = varint(rest)?;
                numbers.push(read(number));
                rest = behind;
            }
            Some(numbers)
        }
        // Whether they are of four bytes or of eight is looked at both ways.
        (Encoding::Fixed, Wire::Bytes(bytes)) if bytes.len() % 4 == 0 => {
            let halves = bytes.as_chunks::<4>().0.iter().map(|number| u64::from(u32::from_le_bytes(*number)));
            let wholes = if bytes.len() % 8 == 0 { bytes.as_chunks::<8>().0 } else { &[] };
            Some(halves.chain(wholes.iter().map(|number| read(u64::from_le_bytes(*number)))).collect())
        }
        (Encoding::Float, Wire::Bytes(bytes)) if bytes.len() % 4 == 0 => Some(Vec::new()),
        _ => None,
    }
}
