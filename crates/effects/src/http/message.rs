//! What a message of Protocol Buffers holds, by what a descriptor set says of its type.
//!
//! Readers differ in what they make of a field that is there twice though there is one of it, of two fields of which there may be
//! one, and of what nobody described: a message with such is not understood.

use std::collections::BTreeSet;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use model::effect::Named;
use model::http::protobuf::{Encoding, FieldKind, FieldType, NumberKind, Schema, Wire, fields, varint};

use super::arguments::{Room, below};
use crate::named_secrets::names_a_secret;
use crate::shown::MARK;

/// How deep messages may be in one another.
const DEEPEST: usize = 32;

/// The longest bytes that are told, in bytes. Of longer ones it is told how long they are.
const LONGEST_BYTES: usize = 1024;

/// What stands before bytes in base64.
const BASE64: &str = "base64:";

/// A message that holds another one of any type, by its name.
const ANY: &str = "google.protobuf.Any";

const MALFORMED: &str = "a message that is not of its described type";

/// Every scalar of a message under the names that lead to it; or why it is not understood.
pub(super) fn arguments(schema: &Schema, message: usize, bytes: &[u8]) -> Result<Vec<Named>, &'static str> {
    let mut reader = Reader { schema, out: Vec::new(), room: Room::default() };
    reader.message(message, bytes, None, 0)?;
    Ok(reader.out)
}

struct Reader<'s> {
    schema: &'s Schema,
    out: Vec<Named>,
    room: Room,
}

/// What a message has had so far.
#[derive(Default)]
struct Seen {
    numbers: BTreeSet<u32>,
    choices: BTreeSet<u64>,
    /// The keys of its maps.
    keys: BTreeSet<String>,
}

impl Reader<'_> {
    fn message(&mut self, at: usize, bytes: &[u8], name: Option<&str>, depth: usize) -> Result<(), &'static str> {
        let described = self.schema.message(at).ok_or(MALFORMED)?;
        if depth > DEEPEST {
            return Err("a message that is nested too deep");
        }
        if &*described.name == ANY {
            return Err("a message that holds one of any type");
        }
        let mut seen = Seen::default();
        for field in fields(bytes) {
            let field = field.map_err(|_| MALFORMED)?;
            let known = described.fields.get(&field.number).ok_or("a field that is not described")?;
            let is_new = known.is_list || seen.numbers.insert(field.number);
            if !is_new || known.choice.is_some_and(|choice| !seen.choices.insert(choice)) {
                return Err("more than one of what there can be one of");
            }
            let name = below(name, &known.name);
            match (self.entry_of(known), field.value) {
                (Some(at), Wire::Bytes(entry)) => self.entry(at, entry, &name, &mut seen.keys, depth)?,
                (Some(_), _) => return Err(MALFORMED),
                (None, value) => self.field(known, value, &name, depth)?,
            }
        }
        Ok(())
    }

    fn field(&mut self, known: &FieldType, value: Wire<'_>, name: &str, depth: usize) -> Result<(), &'static str> {
        match (known.kind, value) {
            (FieldKind::Message(_), Wire::Bytes([])) => self.add(name, "{}"),
            (FieldKind::Message(at), Wire::Bytes(inner)) => {
                self.message(at, inner, Some(name), depth.saturating_add(1))
            }
            (FieldKind::Text, Wire::Bytes(text)) => {
                self.add_telling(name, std::str::from_utf8(text).map_err(|_| MALFORMED)?)
            }
            (FieldKind::Bytes, Wire::Bytes(bytes)) => self.add_telling(name, &told(bytes)),
            (FieldKind::Number(kind), Wire::Bytes(packed)) if known.is_list => self.packed(kind, packed, name),
            (FieldKind::Number(kind), value) => self.number(kind, value, name),
            (FieldKind::Message(_) | FieldKind::Group | FieldKind::Text | FieldKind::Bytes, _) => Err(MALFORMED),
        }
    }

    fn packed(&mut self, kind: NumberKind, mut rest: &[u8], name: &str) -> Result<(), &'static str> {
        while !rest.is_empty() {
            let (value, behind) = first(kind, rest).ok_or(MALFORMED)?;
            self.number(kind, value, name)?;
            rest = behind;
        }
        Ok(())
    }

    fn number(&mut self, kind: NumberKind, value: Wire<'_>, name: &str) -> Result<(), &'static str> {
        let text = self.written(kind, value).ok_or(MALFORMED)?;
        match kind {
            NumberKind::Truth | NumberKind::Name(_) => self.add(name, &text),
            _ => self.add_telling(name, &text),
        }
    }

    /// A number as JSON has it, but without quotes; nothing if it is none of its kind.
    fn written(&self, kind: NumberKind, value: Wire<'_>) -> Option<String> {
        Some(match (kind, value) {
            (NumberKind::Int32, Wire::Varint(number)) => low(number)?.to_string(),
            (NumberKind::Int64, Wire::Varint(number)) => number.cast_signed().to_string(),
            (NumberKind::Uint32, Wire::Varint(number)) => u32::try_from(number).ok()?.to_string(),
            (NumberKind::Uint64, Wire::Varint(number)) => number.to_string(),
            (NumberKind::Sint32, Wire::Varint(number)) => {
                i32::try_from(zigzag(u32::try_from(number).ok()?.into())).ok()?.to_string()
            }
            (NumberKind::Sint64, Wire::Varint(number)) => zigzag(number).to_string(),
            (NumberKind::Fixed32, Wire::Four(bytes)) => u32::from_le_bytes(bytes).to_string(),
            (NumberKind::Fixed64, Wire::Eight(bytes)) => u64::from_le_bytes(bytes).to_string(),
            (NumberKind::Sfixed32, Wire::Four(bytes)) => i32::from_le_bytes(bytes).to_string(),
            (NumberKind::Sfixed64, Wire::Eight(bytes)) => i64::from_le_bytes(bytes).to_string(),
            (NumberKind::Float, Wire::Four(bytes)) => format!("{:?}", f32::from_le_bytes(bytes)),
            (NumberKind::Double, Wire::Eight(bytes)) => format!("{:?}", f64::from_le_bytes(bytes)),
            (NumberKind::Truth, Wire::Varint(0)) => "false".to_owned(),
            (NumberKind::Truth, Wire::Varint(1)) => "true".to_owned(),
            (NumberKind::Name(at), Wire::Varint(number)) => self.schema.name_of(at, low(number)?)?.to_string(),
            _ => return None,
        })
    }

    /// The place of the entries, if it is a map.
    fn entry_of(&self, field: &FieldType) -> Option<usize> {
        let FieldKind::Message(at) = field.kind else { return None };
        self.schema.message(at).filter(|message| message.is_entry && field.is_list).map(|_| at)
    }

    /// An entry of a map: its value is under the name of its key.
    fn entry(
        &mut self,
        at: usize,
        entry: &[u8],
        name: &str,
        keys: &mut BTreeSet<String>,
        depth: usize,
    ) -> Result<(), &'static str> {
        let described = self.schema.message(at).ok_or(MALFORMED)?;
        let (key_type, value_type) = described.fields.get(&1).zip(described.fields.get(&2)).ok_or(MALFORMED)?;
        let (mut key, mut value) = (None, None);
        for field in fields(entry) {
            let field = field.map_err(|_| MALFORMED)?;
            let place = match field.number {
                1 => &mut key,
                2 => &mut value,
                _ => return Err("a field that is not described"),
            };
            if place.replace(field.value).is_some() {
                return Err("more than one of what there can be one of");
            }
        }
        let key = match (key_type.kind, key) {
            (FieldKind::Text, Some(Wire::Bytes(key))) => std::str::from_utf8(key).map_err(|_| MALFORMED)?.to_owned(),
            (FieldKind::Number(kind), Some(key)) => self.written(kind, key).ok_or(MALFORMED)?,
            (kind, None) => self.default_of(kind)?,
            (_, Some(_)) => return Err(MALFORMED),
        };
        let name = below(Some(name), &key);
        if !keys.insert(name.clone()) {
            return Err("more than one of what there can be one of");
        }
        match value {
            Some(value) => self.field(value_type, value, &name, depth.saturating_add(1)),
            None => self.add(&name, &self.default_of(value_type.kind)?),
        }
    }

    /// What a key or a value is that an entry does not have.
    fn default_of(&self, kind: FieldKind) -> Result<String, &'static str> {
        match kind {
            FieldKind::Text | FieldKind::Bytes => Ok(String::new()),
            FieldKind::Message(_) | FieldKind::Group => Ok("{}".to_owned()),
            FieldKind::Number(kind) => self.written(kind, zero(kind)).ok_or(MALFORMED),
        }
    }

    /// A value that is a secret where its name says so.
    fn add_telling(&mut self, name: &str, text: &str) -> Result<(), &'static str> {
        self.add(name, if names_a_secret(name) { MARK } else { text })
    }

    fn add(&mut self, name: &str, text: &str) -> Result<(), &'static str> {
        self.room.add(name, text, &mut self.out).map_err(|_| "a message that holds more than is looked at")
    }
}

/// Bytes that are a text as that text, so that what it may not show is found in it; others in base64. Of long ones, and of a
/// text that would be taken for base64, how many they are.
fn told(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        _ if bytes.len() > LONGEST_BYTES => format!("[{} bytes]", bytes.len()),
        Ok(text) if text.starts_with(BASE64) => format!("[{} bytes]", bytes.len()),
        Ok(text) => text.to_owned(),
        Err(_) => format!("{BASE64}{}", STANDARD.encode(bytes)),
    }
}

/// Nothing, as a number of this kind.
const fn zero(kind: NumberKind) -> Wire<'static> {
    match kind {
        NumberKind::Fixed32 | NumberKind::Sfixed32 | NumberKind::Float => Wire::Four([0; 4]),
        NumberKind::Fixed64 | NumberKind::Sfixed64 | NumberKind::Double => Wire::Eight([0; 8]),
        _ => Wire::Varint(0),
    }
}

/// The first number of a packed list, and what is behind it.
fn first(kind: NumberKind, bytes: &[u8]) -> Option<(Wire<'static>, &[u8])> {
    match (kind.encoding(), zero(kind)) {
        (Encoding::Plain | Encoding::Zigzag, _) => varint(bytes).map(|(number, behind)| (Wire::Varint(number), behind)),
        (_, Wire::Four(_)) => bytes.split_first_chunk().map(|(number, behind)| (Wire::Four(*number), behind)),
        _ => bytes.split_first_chunk().map(|(number, behind)| (Wire::Eight(*number), behind)),
    }
}

/// A number of 32 bits with a sign, which is written in 64 of them, and by some in 32.
fn low(number: u64) -> Option<i32> {
    i32::try_from(number.cast_signed()).ok().or_else(|| u32::try_from(number).ok().map(u32::cast_signed))
}

/// A number whose sign is its last bit.
const fn zigzag(number: u64) -> i64 {
    (number >> 1).cast_signed() ^ (number & 1).cast_signed().wrapping_neg()
}

#[cfg(test)]
mod tests;
