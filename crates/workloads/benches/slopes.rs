//! `./dev bench micro slopes`: how the cost grows where there is ten times as much of something.
//!
//! An exponent of 1 says that ten times as much costs ten times as much, 0 that it costs the same.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "figures")]

use std::hint::black_box;
use std::time::Instant;

use masking::ssh::Stream;
use workloads::analysis::{catalog_with, read, wide_text};
use workloads::bodies::{Document, mask};
use workloads::decision::{self, Revision};
use workloads::prose::{stream, with_hits, without_hits};
use workloads::rows::{Chunk, Shape, lens, planned_by};

/// How often each is measured; the fastest counts, as everything that disturbs makes it slower.
const ROUNDS: u32 = 15;

fn main() {
    println!("| what, of which there is ten times as much | 1x | 10x | exponent |\n|---|--:|--:|--:|");
    statements();
    policies();
    classes();
    columns();
    bodies();
    streams();
}

/// Distinct texts: each is analysed once.
fn statements() {
    let catalog = catalog_with(&[]).unwrap();
    let analyse = |count: usize| {
        let texts: Vec<String> =
            (0..count).map(|number| format!("SELECT name AS n_{number} FROM customers WHERE id = {number}")).collect();
        fastest(|| texts.iter().for_each(|text| drop(black_box(read(&catalog, text)))))
    };
    row("distinct statements, 100: all of them analysed", analyse(100), analyse(1000));
    let analyse = |tables: usize| {
        let catalog = catalog_with(&vec![8; tables]).unwrap();
        fastest(|| drop(black_box(read(&catalog, "SELECT c1 FROM wide_0 WHERE c0 = 4711"))))
    };
    row("tables of the catalog, 1,000: a statement about one analysed", analyse(1000), analyse(10_000));
}

fn policies() {
    let load = |count| {
        let files = decision::files(count);
        fastest_of(3, || drop(black_box(decision::load(&files).unwrap())))
    };
    row("policies, 200: a revision read and validated", load(200), load(2000));
    let revision = |count| Revision::new(count, workloads::analysis::LOOKUP).unwrap();
    let (some, many) = (revision(1000), revision(10_000));
    let slice = |revision: &Revision| fastest(|| drop(black_box(revision.slice())));
    row("policies, 1,000: those of a subject found as its session opens", slice(&some), slice(&many));
    let judge = |revision: &Revision| {
        let slice = revision.slice();
        fastest(|| drop(black_box(revision.judge(&slice))))
    };
    row("policies, 1,000: a statement judged that does what one before did", judge(&some), judge(&many));
}

fn classes() {
    let shape = |more_classes| Shape { more_classes, searched: true, ..Shape::TEXT };
    let (some, many) = (shape(10), shape(100));
    let made = |shape| fastest(|| drop(black_box(lens(shape))));
    row("classes, 10: what a session may see of each", made(some), made(many));
    let planned = |shape| {
        let lens = lens(shape);
        fastest(|| drop(black_box(planned_by(&lens, shape))))
    };
    row("classes, 10: an answer planned", planned(some), planned(many));
    row("classes, 10: a row masked", masked(some), masked(many));
}

fn columns() {
    let analyse = |columns: usize| {
        let catalog = catalog_with(&[columns]).unwrap();
        let text = wide_text(columns);
        fastest(|| drop(black_box(read(&catalog, &text))))
    };
    row("columns, 10: a statement that reads all of them analysed", analyse(10), analyse(100));
    let shape = |wider| Shape { wider, ..Shape::TEXT };
    let planned = |shape| {
        let lens = lens(shape);
        fastest(|| drop(black_box(planned_by(&lens, shape))))
    };
    row("columns, 10: an answer planned", planned(shape(1)), planned(shape(10)));
    row("columns, 10: a row masked", masked(shape(1)), masked(shape(10)));
}

fn bodies() {
    let masked = |document: Document| {
        let (plan, text) = (document.plan().unwrap(), document.text());
        fastest(|| {
            black_box(mask(&plan, &text).unwrap());
        })
    };
    let plain = Document { length: 10_000, telling: false, rules: 0 };
    for (what, telling) in [("without finds", false), ("with finds", true)] {
        let sized = |length| masked(Document { length, telling, ..plain });
        row(&format!("bytes of JSON {what}, 10,000: masked"), sized(10_000), sized(100_000));
    }
    let ruled = |rules| masked(Document { rules, ..plain });
    row("places that are hidden, 10: a body of JSON masked", ruled(10), ruled(100));
}

/// Text of a channel of SSH.
fn streams() {
    for (what, telling) in [("without finds", false), ("with finds", true)] {
        let sized = |length| {
            let text = if telling { with_hits(length) } else { without_hits(length) };
            let mut through = Stream::text(lens(Shape::TEXT));
            fastest(|| {
                black_box(stream(&mut through, &text));
            })
        };
        row(&format!("bytes of a text stream {what}, 10,000: masked"), sized(10_000), sized(100_000));
    }
}

/// One row of a chunk, in nanoseconds.
fn masked(shape: Shape) -> f64 {
    let mut chunk = Chunk::new(shape).unwrap();
    let rows = f64::from(u32::try_from(chunk.rows()).unwrap());
    let mask = || {
        black_box(chunk.mask_again().unwrap());
    };
    fastest(mask) / rows
}

/// Nanoseconds, repeated until a round is long enough for the clock.
fn fastest(work: impl FnMut()) -> f64 {
    fastest_of(ROUNDS, work)
}

fn fastest_of(rounds: u32, mut work: impl FnMut()) -> f64 {
    let mut round = |times: u32| {
        let began = Instant::now();
        (0..times).for_each(|_| work());
        began.elapsed().as_secs_f64() * 1e9 / f64::from(times)
    };
    let once = round(1).min(round(1)).max(1.0);
    let times = (1u32..1 << 20).find(|times| f64::from(*times) * once > 2e6).unwrap_or(1 << 20);
    (0..rounds).map(|_| round(times)).fold(f64::INFINITY, f64::min)
}

fn row(what: &str, one: f64, ten: f64) {
    println!("| {what} | {} | {} | {:.2} |", time(one), time(ten), (ten / one).log10());
}

fn time(nanoseconds: f64) -> String {
    match nanoseconds {
        few if few < 1e3 => format!("{few:.0} ns"),
        some if some < 1e6 => format!("{:.1} us", some / 1e3),
        many => format!("{:.1} ms", many / 1e6),
    }
}
