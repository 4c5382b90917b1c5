//! What is tried with any answer of a target, for the fuzz targets and for the test that runs the same over the seeds
//! (`tests/fuzz_bodies.rs`). The subject may not see card numbers; what it gets is judged by other code than wrote it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, OnceLock};

use masking::http::{Body, Limits, Opaque, Unmaskable};
use masking::postgres::{CopyFormat, CopyMasker, CsvFormat, Described, Outbox, Plan, TextFormat, Touched, plan};
use masking::ssh::Stream;
use masking::{Keys, Lens, MaskError, OnUnmaskable, RevealAsk, Settings};
use model::class::{DataClass, Labels, Marking, Transform};
use model::decision::Reveal;
use model::effect::{ColumnName, TableName};
use model::http::{FieldPath, FieldRule};
use model::lineage::{Container, Member, Mentions, Origin, Output, OutputColumn};
use serde_json::Value;

const MASK: &str = "[card_number]";

const TEXT: u32 = 25;
const INT8: u32 = 20;
const JSON: u32 = 114;
const TEXT_ARRAY: u32 = 1009;

fn people() -> TableName {
    TableName::new("public", "people")
}

fn column(name: &str) -> Origin {
    Origin::Column(ColumnName::new(people(), name))
}

fn reveal(ask: RevealAsk<'_>) -> Reveal {
    let (RevealAsk::Column(_, class) | RevealAsk::Class(class)) = ask;
    if class.as_str() == "card_number" { Reveal::Masked(None) } else { Reveal::Clear }
}

fn lens() -> &'static Arc<Lens> {
    static LENS: OnceLock<Arc<Lens>> = OnceLock::new();
    LENS.get_or_init(|| {
        let classes: BTreeMap<DataClass, Transform> =
            DataClass::BUILT_IN.iter().map(|class| (DataClass::new(*class), Transform::Redact)).collect();
        let settings = Settings { classes: &classes, on_unmaskable: OnUnmaskable::Null };
        Lens::new(&Keys::derive(&[7; 32]), settings, &mut reveal)
    })
}

/// `people(id public, card card_number, notes)`.
fn planned(columns: &[(Origin, u32)], binary: bool) -> Plan {
    let card = ColumnName::new(people(), "card");
    let marked = Marking::Classes(BTreeSet::from([DataClass::new("card_number")]));
    let labels = Labels {
        columns: [(card.clone(), marked), (ColumnName::new(people(), "id"), Marking::Public)].into(),
        parents: Default::default(),
        classified: BTreeMap::from([(people(), [card].into())]),
    };
    let mentions = Mentions { tables: BTreeSet::from([people()]), anything: false };
    let output = columns.iter().map(|(origin, _)| OutputColumn { name: "x".into(), origin: origin.clone() });
    let described = columns.iter().map(|(_, type_oid)| Described {
        name: "x".into(),
        source: None,
        whole_row_of: None,
        type_oid: *type_oid,
        binary,
    });
    let described: Vec<Described> = described.collect();
    plan(lens(), &Output::Rows(output.collect()), &described, &mentions, &labels, &mut reveal)
}

/// The bodies of the messages that wait, of which all have this type.
fn messages(outbox: &mut Outbox, tag: u8) -> Vec<Vec<u8>> {
    let masked = outbox.finish();
    let (mut rest, mut bodies) = (masked.bytes(), Vec::new());
    while let Some((found, after)) = rest.split_first() {
        assert_eq!(*found, tag);
        let length = usize::try_from(u32::from_be_bytes(*after.first_chunk().unwrap())).unwrap();
        bodies.push(after[4..length].to_vec());
        rest = &after[length..];
    }
    bodies
}

fn is_hidden(value: Option<&[u8]>) -> bool {
    value.is_none_or(|value| value == MASK.as_bytes())
}

/// A stream of a channel: wherever it is cut the caller gets the same, and the same is counted.
pub fn stream(input: &[u8]) {
    streamed(input);
}

/// Likewise; says how many cards were masked. The first byte chooses the kind, the second how long the pieces are.
pub fn streamed(input: &[u8]) -> usize {
    let [kind, cut, bytes @ ..] = input else { return 0 };
    let new = || match kind % 2 {
        0 => Stream::text(Arc::clone(lens())),
        _ => Stream::terminal(Arc::clone(lens())),
    };
    let whole = sent(new(), bytes, bytes.len().max(1));
    for piece in [usize::from(*cut) + 1, 1] {
        assert_eq!(sent(new(), bytes, piece), whole);
    }
    usize::try_from(whole.1).unwrap()
}

/// What goes out, and how many cards were masked in it.
fn sent(mut stream: Stream, bytes: &[u8], piece: usize) -> (Vec<u8>, u64) {
    let (mut out, mut masked) = (Vec::new(), 0);
    let mut take = |part: masking::Masked| {
        masked += part.disclosure().classes.get("card_number").map_or(0, |counts| counts.masked);
        out.extend_from_slice(part.bytes());
    };
    for piece in bytes.chunks(piece) {
        take(stream.push(piece));
    }
    take(stream.finish());
    (out, masked)
}

/// What the body of an answer may be, and by which coding it may come.
const MEDIA: [(&str, Option<&str>); 13] = [
    ("application/json", None),
    ("application/json-seq", None),
    ("text/event-stream", None),
    ("text/csv", None),
    ("application/x-www-form-urlencoded", None),
    ("text/plain", None),
    ("text/html", None),
    ("image/png", None),
    ("application/json", Some("gzip")),
    ("application/json", Some("deflate")),
    ("application/json", Some("br")),
    ("application/json", Some("zstd")),
    ("multipart/form-data; boundary=b", None),
];

/// A body of HTTP: wherever it is cut the caller gets the same, and nothing of the members named `card`.
pub fn body(input: &[u8]) {
    body_masked(input);
}

/// Likewise; says how many cards were masked. The first byte chooses the media type and whether places are hidden, the second
/// how long the pieces are.
pub fn body_masked(input: &[u8]) -> usize {
    let [kind, cut, bytes @ ..] = input else { return 0 };
    let (media, coding) = MEDIA[usize::from(*kind) % MEDIA.len()];
    let by_place = *kind >= 128;
    let rule = FieldRule {
        path: FieldPath::parse("$..card").unwrap(),
        classes: [DataClass::new("card_number")].into(),
        form: model::http::FieldForm::Plain,
    };
    let limits = Limits { depth: 32, record: 4096, decoded: 1 << 20, ratio: 100 };
    let rules = if by_place { vec![rule] } else { Vec::new() };
    let plan = masking::http::Plan::new(lens(), &rules, Opaque::Through, limits, &mut reveal);
    let send = |piece: usize| -> Result<(Vec<u8>, u64), Unmaskable> {
        let codings: Vec<&[u8]> = coding.iter().map(|coding| coding.as_bytes()).collect();
        let mut body = Body::new(&[media.as_bytes()], &codings, &plan)?;
        let (mut out, mut masked) = (Vec::new(), 0);
        let mut take = |part: masking::Masked| {
            masked += part.disclosure().classes.get("card_number").map_or(0, |counts| counts.masked);
            out.extend_from_slice(part.bytes());
        };
        for piece in bytes.chunks(piece) {
            take(body.push(piece)?);
        }
        take(body.end()?);
        Ok((out, masked))
    };
    // Which of two faults is seen first may differ: a decoder may give what it has of a damaged body, or not.
    let whole = send(bytes.len().max(1)).ok();
    for piece in [usize::from(*cut) + 1, 1] {
        assert_eq!(send(piece).ok(), whole);
    }
    let Some((out, masked)) = whole else { return 0 };
    if by_place && media == "application/json" {
        for value in serde_json::Deserializer::from_slice(&out).into_iter::<Value>().map_while(Result::ok) {
            assert!(hides_cards(&value, false), "{value}");
        }
    }
    usize::try_from(masked).unwrap()
}

/// Whether all that is in members named `card` is masks and NULLs.
fn hides_cards(value: &Value, inside: bool) -> bool {
    match value {
        Value::Array(values) => values.iter().all(|value| hides_cards(value, inside)),
        Value::Object(members) => members.iter().all(|(key, value)| hides_cards(value, inside || key == "card")),
        Value::Null => true,
        scalar => !inside || scalar == MASK,
    }
}

/// A COPY stream of (id, card, notes): wherever it is cut the client gets the same, and no card.
pub fn copy(input: &[u8]) {
    copy_by_format(input);
}

/// Likewise; says how many rows went out. The first byte chooses the format, the second where the stream is cut.
pub fn copy_by_format(input: &[u8]) -> usize {
    let [options, cut, stream @ ..] = input else { return 0 };
    let header = options & 4 != 0;
    let format = match options % 4 {
        0 => CopyFormat::Text(TextFormat { header, ..TextFormat::default() }),
        1 => CopyFormat::Text(TextFormat { delimiter: b';', null: b"nil".to_vec(), header }),
        2 => CopyFormat::Csv(CsvFormat { header, ..CsvFormat::default() }),
        _ => CopyFormat::Binary,
    };
    let whole = copied(&format, stream, stream.len());
    let pieces = copied(&format, stream, usize::from(*cut) + 1);
    assert_eq!(whole.is_ok(), pieces.is_ok());
    let Ok(whole) = whole else { return 0 };
    assert_eq!(Ok(&whole), pieces.as_ref().map_err(|_| ()));
    let rows = match &format {
        CopyFormat::Text(options) => rows_of_text(&whole, options),
        CopyFormat::Csv(options) => rows_of_csv(&whole, options),
        CopyFormat::Binary => rows_of_binary(&whole),
        CopyFormat::Unknown => unreachable!("not among the options"),
    };
    let skipped = usize::from(header && format != CopyFormat::Binary);
    for row in rows.iter().skip(skipped) {
        assert_eq!(row.len(), 3);
        assert!(is_hidden(row[1].as_deref()), "{row:?}");
    }
    rows.len().saturating_sub(skipped)
}

fn copied(format: &CopyFormat, stream: &[u8], piece: usize) -> Result<Vec<u8>, MaskError> {
    let columns = [(column("id"), TEXT), (column("card"), TEXT), (column("notes"), TEXT)];
    let mut masker = CopyMasker::new(planned(&columns, *format == CopyFormat::Binary), format.clone(), 1 << 20);
    let mut outbox = Outbox::new(Arc::clone(lens()));
    for piece in stream.chunks(piece.max(1)) {
        outbox.copy_data(&mut masker, piece)?;
    }
    let sent = messages(&mut outbox, b'd').concat();
    outbox.copy_done(&masker)?;
    Ok(sent)
}

type Row = Vec<Option<Vec<u8>>>;

/// COPY (PostgreSQL documentation, "Text Format").
fn rows_of_text(stream: &[u8], options: &TextFormat) -> Vec<Row> {
    let lines = stream.strip_suffix(b"\n").map(|stream| stream.split(|byte| *byte == b'\n'));
    let value = |value: Vec<u8>| (value != options.null).then_some(value);
    let row = |line: &[u8]| values_of_line(line, options.delimiter).into_iter().map(value).collect();
    lines.into_iter().flatten().map(row).collect()
}

/// Split at delimiters that no backslash stands before.
fn values_of_line(line: &[u8], delimiter: u8) -> Vec<Vec<u8>> {
    let (mut values, mut escaped) = (vec![Vec::new()], false);
    for byte in line {
        if *byte == delimiter && !escaped {
            values.push(Vec::new());
        } else {
            values.last_mut().unwrap().push(*byte);
        }
        escaped = *byte == b'\\' && !escaped;
    }
    values
}

/// RFC 4180 with PostgreSQL's NULL.
fn rows_of_csv(stream: &[u8], options: &CsvFormat) -> Vec<Row> {
    let mut rows = Vec::new();
    let (mut values, mut value, mut was_quoted, mut inside) = (Vec::new(), Vec::new(), false, false);
    let mut bytes = stream.iter().copied().peekable();
    while let Some(byte) = bytes.next() {
        match byte {
            byte if inside && byte == options.quote => match bytes.next_if_eq(&options.quote) {
                Some(quote) => value.push(quote),
                None => inside = false,
            },
            byte if !inside && byte == options.quote => (inside, was_quoted) = (true, true),
            byte if !inside && (byte == options.delimiter || byte == b'\n') => {
                let done = std::mem::take(&mut value);
                values.push((was_quoted || done != options.null).then_some(done));
                was_quoted = false;
                if byte == b'\n' {
                    rows.push(std::mem::take(&mut values));
                }
            }
            byte => value.push(byte),
        }
    }
    rows
}

/// COPY (PostgreSQL documentation, "Binary Format").
fn rows_of_binary(stream: &[u8]) -> Vec<Row> {
    let number = |bytes: &[u8]| i32::from_be_bytes(*bytes.first_chunk().unwrap());
    let extension = usize::try_from(number(&stream[15..])).unwrap();
    let (mut rest, mut rows) = (&stream[19 + extension..], Vec::new());
    while rest != b"\xff\xff" {
        assert_eq!(rest[..2], [0, 3]);
        let (values, used) = values_of(&rest[2..], 3);
        rows.push(values.into_iter().map(|value| value.map(<[u8]>::to_vec)).collect());
        rest = &rest[2 + used..];
    }
    rows
}

/// So many values, each behind its length, and how many bytes they take.
fn values_of(bytes: &[u8], count: usize) -> (Vec<Option<&[u8]>>, usize) {
    let (mut values, mut at) = (Vec::new(), 0);
    for _ in 0..count {
        let length = i32::from_be_bytes(*bytes[at..].first_chunk().unwrap());
        at += 4;
        let length = usize::try_from(length).ok();
        values.push(length.map(|length| &bytes[at..at + length]));
        at += length.unwrap_or_default();
    }
    (values, at)
}

/// The bodies of DataRow messages, of which each byte 0xff in the input ends one: whatever they hold, no card goes out.
pub fn rows(input: &[u8]) {
    rows_sent(input);
}

/// Likewise; says how many went out.
pub fn rows_sent(input: &[u8]) -> usize {
    let member = |key: &str, origin| Member { key: Some(key.into()), origin };
    let object = vec![member("id", column("id")), member("card", column("card"))];
    let cards = vec![Member { key: None, origin: column("card") }];
    let columns = [
        (column("card"), TEXT),
        (column("card"), INT8),
        (Origin::Members(Container::JsonObject, object), JSON),
        (Origin::Members(Container::ArrayOf, cards), TEXT_ARRAY),
        (column("notes"), TEXT),
    ];
    let plan = planned(&columns, false);
    let mut outbox = Outbox::new(Arc::clone(lens()));
    let mut objects = Vec::new();
    for line in input.split(|byte| *byte == 0xff) {
        let values: Vec<&[u8]> = line.splitn(columns.len(), |byte| *byte == 0xfe).collect();
        let mut body = u16::try_from(columns.len()).unwrap().to_be_bytes().to_vec();
        for at in 0..columns.len() {
            let value = values.get(at).copied().filter(|value| *value != b"\xfd");
            let length = value.map_or(-1, |value| i32::try_from(value.len()).unwrap());
            body.extend(length.to_be_bytes());
            body.extend(value.unwrap_or_default());
        }
        outbox.data_row(&plan, &body).unwrap();
        objects.push(values.get(2).copied().unwrap_or_default());
    }
    let sent = messages(&mut outbox, b'D');
    for (row, object) in sent.iter().zip(objects) {
        let (values, used) = values_of(&row[2..], columns.len());
        assert_eq!(used + 2, row.len());
        assert!(is_hidden(values[0]), "{:?}", values[0]);
        assert_eq!(values[1], None);
        // What was no JSON to begin with need not become any.
        let was_json = serde_json::from_slice::<Value>(object).is_ok();
        assert!(!was_json || values[2].is_none_or(hides_the_card), "{:?}", values[2]);
        assert!(values[3].is_none_or(is_array_of_masks), "{:?}", values[3]);
    }
    sent.len()
}

/// The members of a JSON object in their order, however often a key comes.
struct Members(Vec<(String, Value)>);

impl<'de> serde::Deserialize<'de> for Members {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> serde::de::Visitor<'de> for Visitor {
            type Value = Members;

            fn expecting(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                out.write_str("an object")
            }

            fn visit_map<A: serde::de::MapAccess<'de>>(self, mut map: A) -> Result<Members, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(Visitor)
    }
}

/// Whether this is a mask, or a JSON object of which no value but that of `id` is anything else.
fn hides_the_card(value: &[u8]) -> bool {
    let is_mask = |value: &Value| value.is_null() || value == MASK;
    let members = serde_json::from_slice::<Members>(value).ok();
    let in_each = members.is_some_and(|members| members.0.iter().all(|(key, value)| key == "id" || is_mask(value)));
    in_each || serde_json::from_slice(value).is_ok_and(|whole| is_mask(&whole))
}

/// Whether nothing but masks and NULLs is in a SQL array.
fn is_array_of_masks(value: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(value) else { return false };
    let rest = text.replace(MASK, "").replace("NULL", "");
    rest.chars().all(|symbol| "{}\",[]:=-+ 0123456789".contains(symbol)) && {
        // Digits only in the bounds before the equals sign.
        let elements = rest.rsplit_once('=').map_or(&*rest, |(_, elements)| elements);
        elements.chars().all(|symbol| "{}\", ".contains(symbol))
    }
}

/// An error that touched what is hidden: what the target says in words does not change what the client is told.
pub fn words(input: &[u8]) {
    let fields = |texts: bool| {
        let fields = input.split(|byte| *byte == 0).filter_map(|field| field.split_first());
        fields.map(move |(kind, text)| match kind {
            b'S' | b'V' | b'C' | b'P' | b'F' | b's' | b't' | b'c' | b'd' | b'n' => (*kind, text),
            _ if texts => (*kind, text),
            _ => (*kind, &b"other words"[..]),
        })
    };
    let told = |texts: bool| {
        let mut outbox = Outbox::new(Arc::clone(lens()));
        outbox.error(fields(texts), Touched::Hidden);
        let hidden = messages(&mut outbox, b'E');
        outbox.error(fields(texts), Touched::Nothing);
        (hidden, messages(&mut outbox, b'E').len())
    };
    assert_eq!(told(true), told(false));
}
