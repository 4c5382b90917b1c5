//! Generated statements, mostly valid ones, over a small database with sensitive columns (`schema.rs`): what the
//! analysis of statements is measured against.
//!
//! A statement is a function of a seed and a number ([`generate`]); one that shows a fault is made smaller by making
//! fewer and simpler choices ([`smaller`]).

mod aggregate;
mod choices;
mod expr;
mod query;
mod schema;
mod source;
mod write;

pub use self::choices::{Choices, smaller};
use self::query::Generator;
pub use self::schema::{ALL, Column, SENSITIVE, Type, Variant, database, load, relations};

/// A generated statement.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Generated {
    /// Its text.
    pub text: String,
    /// What it is.
    pub kind: Kind,
}

/// What a generated statement is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// A query, of which a view can be made.
    Query,
    /// It changes rows, or a query with a WITH that does.
    Write,
    /// It makes the table `made` of a query.
    Makes,
    /// COPY to the client.
    Copy,
}

/// The statement that these choices lead to.
pub fn generate(choices: &mut Choices) -> Generated {
    let mut generator = Generator::new(choices);
    match generator.choices.below(20) {
        0..=14 => Generated { text: generator.query().text, kind: Kind::Query },
        15..=17 => Generated { text: generator.write(), kind: Kind::Write },
        18 => Generated { text: generator.makes(), kind: Kind::Makes },
        _ => Generated { text: format!("COPY ({}) TO STDOUT", generator.query().text), kind: Kind::Copy },
    }
}
