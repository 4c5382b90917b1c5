//! A chunk of rows, and what a subject may see of them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use masking::postgres::{Described, Outbox, Plan, plan};
use masking::{Keys, Lens, Masked, OnUnmaskable, RevealAsk, Settings};
use model::class::{DataClass, Labels, Marking, Transform};
use model::decision::Reveal;
use model::effect::{ColumnName, TableName};
use model::lineage::{Mentions, Origin, Output, OutputColumn};
use wire::postgres::encode;

/// How much is read from a socket at once.
pub const CHUNK: usize = 64 * 1024;

/// The columns of a row, each with its type and its value as text.
const COLUMNS: [(&str, u32, &str); 10] = [
    ("id", 20, "104245"),
    ("name", 25, "Anna Katharina Berg-Lindqvist"),
    ("email", 25, "anna.berg-lindqvist@example.com"),
    ("ssn", 25, "078-05-1120"),
    ("card_number", 25, "4111111111111111"),
    ("total", 1700, "249.90"),
    ("created_at", 1184, "2026-03-14 09:26:53.589793+00"),
    ("city", 25, "Göteborg"),
    ("status", 25, "delivered and confirmed by the recipient"),
    ("note", 25, "to be left with the neighbours at number 12"),
];

/// Those that are masked, with their classes.
const CLASSIFIED: [(&str, &str); 3] = [("email", "email"), ("ssn", "us_ssn"), ("card_number", "card_number")];

/// What is asked of the masks.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    /// Whether numbers and times come in the binary format (texts are the same in both).
    pub binary: bool,
    /// Whether the note is marked by nothing, so that its text is searched.
    pub searched: bool,
    /// How often the ten columns are repeated.
    pub wider: usize,
    /// How many classes there are beside the built-in ones.
    pub more_classes: usize,
}

impl Shape {
    /// Ten columns of text, of which three are masked and seven pass.
    pub const TEXT: Self = Self { binary: false, searched: false, wider: 1, more_classes: 0 };
}

/// Rows of one answer, ready to be masked.
pub struct Chunk {
    lens: Arc<Lens>,
    plan: Plan,
    outbox: Outbox,
    bodies: Vec<Vec<u8>>,
    length: usize,
}

impl Chunk {
    /// As many rows as there is room for in [`CHUNK`].
    ///
    /// # Errors
    /// If a row cannot be written, or none is masked.
    pub fn new(shape: Shape) -> Result<Self> {
        let (lens, plan) = planned(shape);
        let mut chunk = Self { outbox: Outbox::new(Arc::clone(&lens)), lens, plan, bodies: Vec::new(), length: 0 };
        for number in 0u64.. {
            let row = row(shape, number)?;
            if chunk.length + row.len() > CHUNK {
                break;
            }
            chunk.length += row.len();
            chunk.bodies.push(row.get(5..).context("a message without a body")?.to_vec());
        }
        let masked = chunk.mask()?;
        let counts = masked.disclosure().classes.values();
        let wanted = chunk.bodies.len() * CLASSIFIED.len() * shape.wider;
        let found: u64 = counts.map(|counts| counts.masked).sum();
        ensure!(found == u64::try_from(wanted)?, "{found} of {wanted} values are masked");
        Ok(chunk)
    }

    /// How many bytes the messages have.
    pub const fn len(&self) -> usize {
        self.length
    }

    /// Whether there is no row.
    pub const fn is_empty(&self) -> bool {
        self.bodies.is_empty()
    }

    /// How many rows there are.
    pub const fn rows(&self) -> usize {
        self.bodies.len()
    }

    /// Masks all of them.
    ///
    /// # Errors
    /// If a row is not what the plan says.
    pub fn mask(&mut self) -> Result<Masked> {
        for body in &self.bodies {
            self.outbox.data_row(&self.plan, body)?;
        }
        Ok(self.outbox.finish())
    }

    /// As [`Chunk::mask`], and gives the buffer back as a session does.
    ///
    /// # Errors
    /// As [`Chunk::mask`].
    pub fn mask_again(&mut self) -> Result<usize> {
        let (bytes, _) = self.mask()?.into_parts();
        let length = bytes.len();
        self.outbox.recycle(bytes);
        Ok(length)
    }

    /// The lens that it is seen through.
    pub fn lens(&self) -> &Arc<Lens> {
        &self.lens
    }
}

/// What is done once for each session, and once for each answer that is described.
pub fn planned(shape: Shape) -> (Arc<Lens>, Plan) {
    let lens = lens(shape);
    let plan = planned_by(&lens, shape);
    (lens, plan)
}

/// What is done once for each session and revision.
pub fn lens(shape: Shape) -> Arc<Lens> {
    let mut classes: BTreeMap<DataClass, Transform> =
        DataClass::BUILT_IN.iter().map(|class| (DataClass::new(*class), Transform::Redact)).collect();
    classes.insert(DataClass::new("card_number"), Transform::Partial { keep_last: 4 });
    classes.extend((0..shape.more_classes).map(|class| (DataClass::new(format!("class_{class}")), Transform::Redact)));
    let settings = Settings { classes: &classes, on_unmaskable: OnUnmaskable::Null };
    Lens::new(&Keys::derive(&[7; 32]), settings, &mut hide)
}

fn hide(_: RevealAsk<'_>) -> Reveal {
    Reveal::Masked(None)
}

/// What is done once for each answer that is described.
pub fn planned_by(lens: &Arc<Lens>, shape: Shape) -> Plan {
    let table = TableName::new("public", "people");
    let mut labels = Labels::default();
    let (mut output, mut described) = (Vec::new(), Vec::new());
    for (number, (name, type_oid, _)) in std::iter::repeat_n(COLUMNS, shape.wider).flatten().enumerate() {
        let column = ColumnName::new(table.clone(), format!("{name}_{number}"));
        let marking = match CLASSIFIED.iter().find(|(of, _)| *of == name) {
            Some((_, class)) => Marking::Classes(BTreeSet::from([DataClass::new(*class)])),
            None if name == "note" && shape.searched => Marking::Unmarked,
            None => Marking::Public,
        };
        if matches!(marking, Marking::Classes(_)) {
            labels.classified.entry(table.clone()).or_default().insert(column.clone());
        }
        labels.columns.insert(column.clone(), marking);
        output.push(OutputColumn { name: name.into(), origin: Origin::Column(column.clone()) });
        described.push(Described {
            name: name.into(),
            source: Some(column),
            whole_row_of: None,
            type_oid,
            binary: shape.binary,
        });
    }
    let mentions = Mentions { tables: BTreeSet::from([table]), anything: false };
    plan(lens, &Output::Rows(output), &described, &mentions, &labels, &mut hide)
}

/// One DataRow, which differs with its number.
fn row(shape: Shape, number: u64) -> Result<Vec<u8>> {
    let id = number.to_string();
    let mut values = Vec::new();
    for (name, _, text) in std::iter::repeat_n(COLUMNS, shape.wider).flatten() {
        let value: Vec<u8> = match (name, shape.binary) {
            ("id", false) => id.clone().into_bytes(),
            ("id", true) => number.to_be_bytes().to_vec(),
            // numeric: two digits of base 10,000, the first of weight 0, positive, two decimals.
            ("total", true) => [2u16, 0, 0, 2, 249, 9000].iter().flat_map(|word| word.to_be_bytes()).collect(),
            ("created_at", true) => 826_795_613_589_793u64.to_be_bytes().to_vec(),
            (_, _) => text.as_bytes().to_vec(),
        };
        values.push(value);
    }
    let mut out = Vec::new();
    encode::data_row(&mut out, values.iter().map(|value| Some(value.as_slice())))?;
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_masked_is_gone_and_the_rest_is_there_in_both_formats() {
        for binary in [false, true] {
            let mut chunk = Chunk::new(Shape { binary, searched: true, ..Shape::TEXT }).unwrap();
            let masked = chunk.mask().unwrap();
            let holds = |text: &str| masked.bytes().windows(text.len()).any(|window| window == text.as_bytes());
            assert!(!holds("4111111111111111") && !holds("078-05-1120") && !holds("anna.berg"));
            assert!(holds("Göteborg") && holds("************1111") && holds("neighbours"));
            assert!(chunk.rows() > 200 && chunk.len() > CHUNK - 400);
        }
    }
}
