//! What a descriptor set (`protoc --descriptor_set_out --include_imports`, `buf build`) says of messages and methods.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Field, NoMessage, Wire, fields};

/// How many messages and enumerations a set may describe, and how many fields and names of values in all.
const MOST_MESSAGES: usize = 20_000;
const MOST_FIELDS: usize = 200_000;
/// How deep messages may be declared in one another.
const DEEPEST: usize = 32;

/// A descriptor set is none, or says what cannot be.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum SchemaError {
    /// It is not encoded as one.
    #[error("it is no descriptor set: write it with protoc --include_imports --descriptor_set_out, or buf build")]
    Encoding,
    /// A type is named that it does not describe.
    #[error("it does not describe {0}: write it with its imports")]
    Unknown(Box<str>),
    /// There is more in it than is read.
    #[error("it describes more than {MOST_MESSAGES} messages, or {MOST_FIELDS} fields and values")]
    TooMany,
}

impl From<NoMessage> for SchemaError {
    fn from(_: NoMessage) -> Self {
        Self::Encoding
    }
}

/// What a value is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FieldKind {
    /// A text.
    Text,
    /// Bytes.
    Bytes,
    /// A message, by its place in the schema.
    Message(usize),
    /// A group: it is not read.
    Group,
    /// A number, a truth value or a name of an enumeration.
    Number(NumberKind),
}

/// What a number is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NumberKind {
    /// `int32`.
    Int32,
    /// `int64`.
    Int64,
    /// `uint32`.
    Uint32,
    /// `uint64`.
    Uint64,
    /// `sint32`.
    Sint32,
    /// `sint64`.
    Sint64,
    /// `fixed32`.
    Fixed32,
    /// `fixed64`.
    Fixed64,
    /// `sfixed32`.
    Sfixed32,
    /// `sfixed64`.
    Sfixed64,
    /// `float`.
    Float,
    /// `double`.
    Double,
    /// `bool`.
    Truth,
    /// A name of an enumeration, which has this place in the schema.
    Name(usize),
}

/// How a number is encoded.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Encoding {
    /// A whole number, as it is.
    Plain,
    /// A whole number whose sign is its last bit.
    Zigzag,
    /// A whole number of fixed length.
    Fixed,
    /// A number of fixed length that need not be whole.
    Float,
}

impl NumberKind {
    /// How it is encoded.
    pub const fn encoding(self) -> Encoding {
        match self {
            Self::Int32 | Self::Int64 | Self::Uint32 | Self::Uint64 | Self::Truth | Self::Name(_) => Encoding::Plain,
            Self::Sint32 | Self::Sint64 => Encoding::Zigzag,
            Self::Fixed32 | Self::Fixed64 | Self::Sfixed32 | Self::Sfixed64 => Encoding::Fixed,
            Self::Float | Self::Double => Encoding::Float,
        }
    }

    /// What descriptors call it, but for enumerations.
    const fn of(number: u64) -> Option<Self> {
        Some(match number {
            1 => Self::Double,
            2 => Self::Float,
            3 => Self::Int64,
            4 => Self::Uint64,
            5 => Self::Int32,
            6 => Self::Fixed64,
            7 => Self::Fixed32,
            8 => Self::Truth,
            13 => Self::Uint32,
            15 => Self::Sfixed32,
            16 => Self::Sfixed64,
            17 => Self::Sint32,
            18 => Self::Sint64,
            _ => return None,
        })
    }
}

/// A field of a message.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FieldType {
    /// Its name as it is declared.
    pub name: Box<str>,
    /// What it is.
    pub kind: FieldKind,
    /// Whether there may be several.
    pub is_list: bool,
    /// Of which fields of its message there may be one at most, this one among them; `None` if it is of none.
    pub choice: Option<u64>,
}

/// A message.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct MessageType {
    /// Its name, with its package.
    pub name: Box<str>,
    /// Its fields, by their numbers.
    pub fields: BTreeMap<u32, FieldType>,
    /// Whether it is an entry of a map: 1 is the key, 2 the value.
    pub is_entry: bool,
}

/// A method.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Method {
    input: usize,
    output: usize,
    is_streaming: bool,
}

/// The names that an enumeration has for numbers: the first where there are several.
type Names = BTreeMap<i32, Arc<str>>;

/// The messages and methods of an API.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Schema {
    messages: Vec<MessageType>,
    names: BTreeMap<Box<str>, usize>,
    enumerations: Vec<Names>,
    /// By `package.Service/Method`.
    methods: BTreeMap<Box<str>, Method>,
}

/// A message of a schema.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MessageRef {
    /// The schema.
    pub schema: Arc<Schema>,
    /// Its place there.
    pub message: usize,
}

/// What was read of a field, and the name of its type, if it has one.
struct Declared {
    message: usize,
    number: u32,
    field: FieldType,
    type_name: Option<Box<str>>,
}

/// A service's method, with the names of what it takes and answers.
struct DeclaredMethod {
    name: Box<str>,
    input: Box<str>,
    output: Box<str>,
    is_streaming: bool,
}

impl Schema {
    /// Reads a `FileDescriptorSet`.
    ///
    /// # Errors
    /// [`SchemaError`].
    pub fn read(set: &[u8]) -> Result<Self, SchemaError> {
        let mut reading = Reading::default();
        for file in nested(set, 1)? {
            reading.file(file)?;
        }
        reading.finish()
    }

    /// A message.
    pub fn message(&self, at: usize) -> Option<&MessageType> {
        self.messages.get(at)
    }

    /// The message of this name, with its package.
    pub fn named(&self, name: &str) -> Option<usize> {
        self.names.get(name).copied()
    }

    /// What a method answers: one or more of these.
    pub fn output(self: &Arc<Self>, service: &str, method: &str) -> Option<MessageRef> {
        let method = self.method(service, method)?;
        Some(MessageRef { schema: Arc::clone(self), message: method.output })
    }

    /// The one message that a method takes; `None` if there may be more of them, or it is not described.
    pub fn input(&self, service: &str, method: &str) -> Option<usize> {
        self.method(service, method).filter(|method| !method.is_streaming).map(|method| method.input)
    }

    /// Whether a service has methods here, by its name without case: some servers look it up so.
    pub fn describes(&self, service: &str) -> bool {
        let mut services = self.methods.keys().filter_map(|method| method.rsplit_once('/'));
        services.any(|(known, _)| known.eq_ignore_ascii_case(service))
    }

    /// What an enumeration calls a number.
    pub fn name_of(&self, enumeration: usize, number: i32) -> Option<&Arc<str>> {
        self.enumerations.get(enumeration)?.get(&number)
    }

    fn method(&self, service: &str, method: &str) -> Option<&Method> {
        self.methods.get(format!("{service}/{method}").as_str())
    }
}

#[derive(Default)]
struct Reading {
    schema: Schema,
    fields: Vec<Declared>,
    methods: Vec<DeclaredMethod>,
    /// The places of enumerations, by their names.
    enumerations: BTreeMap<Box<str>, usize>,
    /// How many names of values there are.
    values: usize,
}

impl Reading {
    /// `FileDescriptorProto`: package 2, messages 4, enumerations 5, services 6.
    fn file(&mut self, file: &[u8]) -> Result<(), SchemaError> {
        let package = text(file, 2)?.unwrap_or_default();
        for message in nested(file, 4)? {
            self.message(package, message, 0)?;
        }
        for enumeration in nested(file, 5)? {
            self.enumeration(package, enumeration)?;
        }
        for service in nested(file, 6)? {
            let name = joined(package, text(service, 1)?.unwrap_or_default());
            for method in nested(service, 2)? {
                self.method(&name, method)?;
            }
        }
        Ok(())
    }

    /// `MethodDescriptorProto`: name 1, input 2, output 3, `client_streaming` 5.
    fn method(&mut self, service: &str, method: &[u8]) -> Result<(), SchemaError> {
        let name = format!("{service}/{}", text(method, 1)?.unwrap_or_default()).into();
        let (input, output) = (text(method, 2)?.unwrap_or_default(), text(method, 3)?.unwrap_or_default());
        let is_streaming = number(method, 5)?.is_some_and(|value| value != 0);
        self.methods.push(DeclaredMethod { name, input: bare(input), output: bare(output), is_streaming });
        Ok(())
    }

    /// `EnumDescriptorProto`: name 1, values 2, of which 1 is the name and 2 the number.
    fn enumeration(&mut self, scope: &str, enumeration: &[u8]) -> Result<(), SchemaError> {
        let (values, mut names) = (nested(enumeration, 2)?, Names::new());
        self.values = self.values.saturating_add(values.len());
        if self.schema.enumerations.len() >= MOST_MESSAGES || self.values > MOST_FIELDS {
            return Err(SchemaError::TooMany);
        }
        for value in values {
            let number = whole(number(value, 2)?.unwrap_or_default()).ok_or(SchemaError::Encoding)?;
            names.entry(number).or_insert(text(value, 1)?.unwrap_or_default().into());
        }
        let name = joined(scope, text(enumeration, 1)?.unwrap_or_default());
        self.enumerations.insert(name.into(), self.schema.enumerations.len());
        self.schema.enumerations.push(names);
        Ok(())
    }

    /// `DescriptorProto`: name 1, fields 2, messages 3, enumerations 4, options 7, of which 7 is `map_entry`.
    fn message(&mut self, scope: &str, message: &[u8], depth: usize) -> Result<(), SchemaError> {
        if depth > DEEPEST || self.schema.messages.len() >= MOST_MESSAGES {
            return Err(SchemaError::TooMany);
        }
        let name = joined(scope, text(message, 1)?.unwrap_or_default());
        let at = self.schema.messages.len();
        let mut is_entry = false;
        for options in nested(message, 7)? {
            is_entry |= number(options, 7)? == Some(1);
        }
        let described = MessageType { name: name.as_str().into(), fields: BTreeMap::new(), is_entry };
        self.schema.messages.push(described);
        self.schema.names.insert(name.as_str().into(), at);
        for field in nested(message, 2)? {
            self.field(at, field)?;
        }
        for enumeration in nested(message, 4)? {
            self.enumeration(&name, enumeration)?;
        }
        for inner in nested(message, 3)? {
            self.message(&name, inner, depth.saturating_add(1))?;
        }
        Ok(())
    }

    /// `FieldDescriptorProto`: name 1, number 3, label 4, type 5, the type's name 6, the place of its `oneof` 9.
    fn field(&mut self, message: usize, field: &[u8]) -> Result<(), SchemaError> {
        if self.fields.len() >= MOST_FIELDS {
            return Err(SchemaError::TooMany);
        }
        let kind = match number(field, 5)?.ok_or(SchemaError::Encoding)? {
            9 => FieldKind::Text,
            10 => FieldKind::Group,
            11 => FieldKind::Message(0),
            12 => FieldKind::Bytes,
            14 => FieldKind::Number(NumberKind::Name(0)),
            other => FieldKind::Number(NumberKind::of(other).ok_or(SchemaError::Encoding)?),
        };
        let read = number(field, 3)?.and_then(|number| u32::try_from(number).ok()).ok_or(SchemaError::Encoding)?;
        let name = text(field, 1)?.unwrap_or_default().into();
        let field_type = FieldType { name, kind, is_list: number(field, 4)? == Some(3), choice: number(field, 9)? };
        let is_named = matches!(kind, FieldKind::Message(_) | FieldKind::Number(NumberKind::Name(_)));
        let type_name = if is_named { Some(bare(text(field, 6)?.unwrap_or_default())) } else { None };
        self.fields.push(Declared { message, number: read, field: field_type, type_name });
        Ok(())
    }

    /// Every name leads to a message, or an enumeration.
    fn finish(self) -> Result<Schema, SchemaError> {
        let Self { mut schema, fields, methods, enumerations, .. } = self;
        let find = |names: &BTreeMap<Box<str>, usize>, name: Box<str>| {
            names.get(&name).copied().ok_or(SchemaError::Unknown(name))
        };
        for Declared { message, number, mut field, type_name } in fields {
            field.kind = match (field.kind, type_name) {
                (FieldKind::Message(_), Some(name)) => FieldKind::Message(find(&schema.names, name)?),
                (FieldKind::Number(NumberKind::Name(_)), Some(name)) => {
                    FieldKind::Number(NumberKind::Name(find(&enumerations, name)?))
                }
                (kind, _) => kind,
            };
            if let Some(message) = schema.messages.get_mut(message) {
                message.fields.insert(number, field);
            }
        }
        for DeclaredMethod { name, input, output, is_streaming } in methods {
            let (input, output) = (find(&schema.names, input)?, find(&schema.names, output)?);
            schema.methods.insert(name, Method { input, output, is_streaming });
        }
        Ok(schema)
    }
}

/// A whole number of 32 bits, which is written with its sign in all 64.
fn whole(value: u64) -> Option<i32> {
    i32::try_from(value.cast_signed()).ok()
}

fn joined(scope: &str, name: &str) -> String {
    if scope.is_empty() { name.to_owned() } else { format!("{scope}.{name}") }
}

/// A full name without the dot that it begins with.
fn bare(name: &str) -> Box<str> {
    name.strip_prefix('.').unwrap_or(name).into()
}

/// The values of a field of messages.
fn nested(message: &[u8], wanted: u32) -> Result<Vec<&[u8]>, SchemaError> {
    let mut found = Vec::new();
    for field in fields(message) {
        if let Field { number, value: Wire::Bytes(bytes), .. } = field?
            && number == wanted
        {
            found.push(bytes);
        }
    }
    Ok(found)
}

/// The last value of a field of text.
fn text(message: &[u8], wanted: u32) -> Result<Option<&str>, SchemaError> {
    let last = nested(message, wanted)?.pop();
    last.map(|bytes| std::str::from_utf8(bytes).map_err(|_| SchemaError::Encoding)).transpose()
}

/// The last value of a field of numbers.
fn number(message: &[u8], wanted: u32) -> Result<Option<u64>, SchemaError> {
    let mut found = None;
    for field in fields(message) {
        if let Field { number, value: Wire::Varint(value), .. } = field?
            && number == wanted
        {
            found = Some(value);
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::super::{push_bytes, push_varint};
    use super::*;

    fn message(parts: &[(u32, &[u8])]) -> Vec<u8> {
        let mut out = Vec::new();
        parts.iter().for_each(|(number, bytes)| push_bytes(*number, bytes, &mut out));
        out
    }

    fn field(name: &str, number: u64, label: u64, kind: u64, type_name: &str) -> Vec<u8> {
        let mut out = message(&[(1, name.as_bytes())]);
        for (at, value) in [(3_u64, number), (4, label), (5, kind)] {
            push_varint(at << 3, &mut out);
            push_varint(value, &mut out);
        }
        out.extend(message(&[(6, type_name.as_bytes())]));
        out
    }

    fn set(type_name: &str) -> Vec<u8> {
        let entry = message(&[(1, b"LabelsEntry"), (2, &field("key", 1, 1, 9, "")), (7, b"\x38\x01")]);
        let card = message(&[(1, b"Card"), (2, &field("number", 1, 1, 9, ""))]);
        let customer = message(&[
            (1, b"Customer"),
            (2, &field("cards", 4, 3, 11, type_name)),
            (2, &field("id", 1, 1, 3, "")),
            (3, &card),
            (3, &entry),
        ]);
        let method = message(&[(1, b"Get"), (2, b".shop.Customer"), (3, b".shop.Customer")]);
        let service = message(&[(1, b"Customers"), (2, &method)]);
        message(&[(1, &message(&[(1, b"shop.proto"), (2, b"shop"), (4, &customer), (6, &service)]))])
    }

    #[test]
    fn messages_and_methods_are_found_by_their_names() {
        let schema = Arc::new(Schema::read(&set(".shop.Customer.Card")).unwrap());
        let customer = schema.output("shop.Customers", "Get").unwrap();
        let described = schema.message(customer.message).unwrap();
        let cards = &described.fields[&4];
        let card = schema.named("shop.Customer.Card").unwrap();
        assert_eq!((&*cards.name, cards.kind, cards.is_list), ("cards", FieldKind::Message(card), true));
        assert_eq!(described.fields[&1].kind, FieldKind::Number(NumberKind::Int64));
        let entry = schema.named("shop.Customer.LabelsEntry").unwrap();
        assert!(schema.message(entry).unwrap().is_entry && !described.is_entry);
        assert_eq!(schema.output("shop.Customers", "Put"), None);
        assert!(schema.describes("shop.Customers") && schema.describes("SHOP.customers") && !schema.describes("shop"));
    }

    #[test]
    fn what_is_not_described_is_told() {
        assert_eq!(Schema::read(&set(".shop.Cart")), Err(SchemaError::Unknown("shop.Cart".into())));
        assert_eq!(Schema::read(b"no set"), Err(SchemaError::Encoding));
        assert_eq!(Schema::read(b""), Ok(Schema::default()));
    }
}
