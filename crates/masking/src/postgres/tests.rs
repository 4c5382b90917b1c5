//! A small bench: a table of people, a subject that may not see some classes, and rows in and out.

mod canary;
mod messages;
mod plans;
mod types;
mod values;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use model::class::{DataClass, Labels, Marking, Transform};
use model::decision::Reveal;
use model::disclosure::Disclosure;
use model::effect::{ColumnName, TableName};
use model::lineage::{Container, Member, Mentions, Origin, Output, OutputColumn};

use super::*;
use crate::{Keys, Lens, MaskError, OnUnmaskable, RevealAsk, Settings};

pub(crate) const TEXT: u32 = 25;
pub(crate) const JSON: u32 = 114;
pub(crate) const CARD: &str = "4111111111111111";

pub(crate) fn people() -> TableName {
    TableName::new("public", "people")
}

pub(crate) fn column(name: &str) -> ColumnName {
    ColumnName::new(people(), name)
}

/// `people(id public, card, email, ssn, notes unmarked)`.
pub(crate) fn labels() -> Labels {
    let classified = [("card", "card_number"), ("email", "email"), ("ssn", "us_ssn")];
    let marking = |class: &str| Marking::Classes(BTreeSet::from([DataClass::new(class)]));
    let mut columns: std::collections::HashMap<_, _> =
        classified.iter().map(|(name, class)| (column(name), marking(class))).collect();
    columns.insert(column("id"), Marking::Public);
    let names = classified.iter().map(|(name, _)| column(name)).collect();
    Labels { columns, parents: Default::default(), classified: BTreeMap::from([(people(), names)]) }
}

pub(crate) fn mentions() -> Mentions {
    Mentions { tables: BTreeSet::from([people()]), anything: false }
}

/// A subject and how it sees: the classes that it may not, each with its transform.
pub(crate) struct Bench {
    pub(crate) lens: Arc<Lens>,
    hidden: Vec<&'static str>,
}

pub(crate) fn bench(hidden: &[(&'static str, Transform)], on_unmaskable: OnUnmaskable) -> Bench {
    let mut classes: BTreeMap<DataClass, Transform> =
        DataClass::BUILT_IN.iter().map(|class| (DataClass::new(*class), Transform::Redact)).collect();
    classes.extend(hidden.iter().map(|(class, transform)| (DataClass::new(*class), transform.clone())));
    let hidden: Vec<&str> = hidden.iter().map(|(class, _)| *class).collect();
    let settings = Settings { classes: &classes, on_unmaskable };
    let lens = Lens::new(&Keys::derive(&[7; 32]), settings, &mut |ask| answer(&hidden, ask));
    Bench { lens, hidden }
}

fn answer(hidden: &[&str], ask: RevealAsk<'_>) -> Reveal {
    let class = match ask {
        RevealAsk::Column(_, class) | RevealAsk::Class(class) => class,
    };
    if hidden.contains(&class.as_str()) { Reveal::Masked(None) } else { Reveal::Clear }
}

pub(crate) fn described(oid: u32, binary: bool) -> Described {
    Described { name: "x".into(), source: None, whole_row_of: None, type_oid: oid, binary }
}

pub(crate) fn rows(origins: Vec<Origin>) -> Output {
    Output::Rows(origins.into_iter().map(|origin| OutputColumn { name: "x".into(), origin }).collect())
}

pub(crate) fn member(key: &str, origin: Origin) -> Member {
    Member { key: (!key.is_empty()).then(|| key.into()), origin }
}

pub(crate) type Cell = Option<Vec<u8>>;

pub(crate) fn body(cells: &[Cell]) -> Vec<u8> {
    let mut body = u16::try_from(cells.len()).unwrap().to_be_bytes().to_vec();
    for cell in cells {
        match cell {
            Some(value) => {
                body.extend(i32::try_from(value.len()).unwrap().to_be_bytes());
                body.extend(value);
            }
            None => body.extend((-1i32).to_be_bytes()),
        }
    }
    body
}

pub(crate) fn cells(message: &[u8]) -> Vec<Cell> {
    assert_eq!(message[0], b'D');
    assert_eq!(usize::try_from(u32::from_be_bytes(message[1..5].try_into().unwrap())).unwrap() + 1, message.len());
    let count = u16::from_be_bytes(message[5..7].try_into().unwrap());
    let mut rest = &message[7..];
    let cells = (0..count).map(|_| {
        let (length, after) = rest.split_first_chunk::<4>().unwrap();
        let length = i32::from_be_bytes(*length);
        rest = after;
        (length >= 0).then(|| {
            let (value, after) = rest.split_at(usize::try_from(length).unwrap());
            rest = after;
            value.to_vec()
        })
    });
    let cells = cells.collect();
    assert!(rest.is_empty());
    cells
}

impl Bench {
    pub(crate) fn plan(&self, output: &Output, described: &[Described]) -> Plan {
        self.plan_for(output, described, &mentions())
    }

    pub(crate) fn plan_for(&self, output: &Output, described: &[Described], mentions: &Mentions) -> Plan {
        plan(&self.lens, output, described, mentions, &labels(), &mut |ask| answer(&self.hidden, ask))
    }

    pub(crate) fn deliver(&self, plan: &Plan, cells_in: &[Cell]) -> Result<(Vec<Cell>, Disclosure), MaskError> {
        let mut outbox = Outbox::new(Arc::clone(&self.lens));
        outbox.data_row(plan, &body(cells_in))?;
        let masked = outbox.finish();
        assert_eq!(masked.disclosure().rows, 1);
        Ok((cells(masked.bytes()), masked.disclosure().clone()))
    }

    /// One value of one type and origin.
    pub(crate) fn one(&self, origin: Origin, oid: u32, binary: bool, value: &[u8]) -> Result<Cell, MaskError> {
        let plan = self.plan(&rows(vec![origin]), &[described(oid, binary)]);
        self.deliver(&plan, &[Some(value.to_vec())]).map(|(mut cells, _)| cells.remove(0))
    }

    pub(crate) fn text(&self, origin: Origin, oid: u32, value: &str) -> Option<String> {
        self.one(origin, oid, false, value.as_bytes()).unwrap().map(|value| String::from_utf8(value).unwrap())
    }
}

pub(crate) fn hiding_cards(transform: Transform) -> Bench {
    bench(&[("card_number", transform)], OnUnmaskable::Null)
}

pub(crate) fn card() -> Origin {
    Origin::Column(column("card"))
}

pub(crate) fn derived(names: &[&str]) -> Origin {
    Origin::Derived(names.iter().map(|name| column(name)).collect())
}

pub(crate) fn container(container: Container, members: Vec<Member>) -> Origin {
    Origin::Members(container, members)
}
