//! The rows of each table, in the text format of COPY.

use std::fmt::Write as _;

use super::Counts;
use super::people::{Generator, address};

/// Any number would do; this one is fixed.
const SEED: u64 = 0x5105_1ce0;

/// One table's rows.
pub(super) struct Table {
    /// Its name.
    pub(super) name: &'static str,
    /// Its rows.
    pub(super) rows: String,
}

/// All tables. Each has a generator of its own, so that a change of one leaves the others' rows as they are.
pub(super) fn tables(counts: Counts) -> [Table; 5] {
    [
        table("customers", counts.customers, customer),
        table("cards", counts.cards, |generator, id| card(generator, id, counts)),
        table("orders", counts.orders, |generator, id| order(generator, id, counts)),
        table("payments", counts.payments, |generator, id| payment(generator, id, counts)),
        table("refunds", counts.refunds, |generator, id| refund(generator, id, counts)),
    ]
}

fn table(name: &'static str, count: usize, mut row: impl FnMut(&mut Generator, usize) -> String) -> Table {
    let seed = name.bytes().fold(SEED, |seed, byte| seed.wrapping_mul(31).wrapping_add(u64::from(byte)));
    let mut generator = Generator::new(seed);
    let mut rows = String::new();
    for id in 1..=count {
        // Writing to a string cannot fail.
        let _ = writeln!(rows, "{id}\t{}", row(&mut generator, id));
    }
    Table { name, rows }
}

fn customer(generator: &mut Generator, id: usize) -> String {
    let (first, last) = generator.name();
    let email = address(generator, first, last, id);
    let ssn = generator.ssn();
    let phone = if generator.between(0, 9) == 0 { "\\N".to_owned() } else { generator.phone() };
    format!("{first} {last}\t{email}\t{ssn}\t{phone}\t{}", generator.moment())
}

/// The first cards go round the customers, so that each has one.
fn card(generator: &mut Generator, id: usize, counts: Counts) -> String {
    let customer = 1 + (id - 1) % counts.customers;
    let (number, cvv) = generator.card();
    let (year, month) = (generator.between(2027, 2031), generator.between(1, 12));
    format!("{customer}\t{number}\t{cvv}\t{year}-{month:02}-01")
}

fn order(generator: &mut Generator, _: usize, counts: Counts) -> String {
    let customer = any(generator, counts.customers);
    let (total, note) = (generator.amount(), generator.note());
    format!("{customer}\t{total}\t{note}\t{}", generator.moment())
}

fn payment(generator: &mut Generator, id: usize, counts: Counts) -> String {
    let order = 1 + (id - 1) % counts.orders;
    let card = any(generator, counts.cards);
    let amount = generator.amount();
    let status = generator.one_of(&["authorized", "captured", "settled", "settled", "settled", "failed"]);
    format!("{order}\t{card}\t{amount}\t{status}\t{}", generator.moment())
}

fn refund(generator: &mut Generator, _: usize, counts: Counts) -> String {
    let payment = any(generator, counts.payments);
    let reason = generator.one_of(&["damaged", "late", "wrong size", "duplicate"]);
    format!("{payment}\t{}\t{reason}\t{}", generator.amount(), generator.moment())
}

/// The id of one of `count` rows.
fn any(generator: &mut Generator, count: usize) -> u64 {
    generator.between(1, u64::try_from(count).unwrap_or(1).max(1))
}
