//! The walk from a parsed text to its statements.

use model::effect::{Effect, Facts, Object, Verb};
use model::lineage::{Mentions, Output};

use super::{Changes, Session, Statement};

/// Says what each statement of `text` would do. Never empty, never an error: what is not understood is opaque, and a
/// text without statements is one with the effect `transaction`.
pub fn analyse(text: &str, session: &Session<'_>) -> Vec<Statement> {
    let _ = session;
    vec![opaque(text, "not analysed")]
}

fn opaque(text: &str, why: &str) -> Statement {
    Statement {
        range: 0..text.len(),
        normal: String::new(),
        effects: vec![Effect::new(Verb::Opaque, Object::Database)],
        facts: Facts { opaque: Some(why.into()), bounded: true, ..Facts::default() },
        output: Output::Unknown,
        mentions: Mentions { anything: true, ..Mentions::default() },
        literals: Vec::new(),
        parameters: Vec::new(),
        changes: Changes { state: true, local: true, catalog: true, temporary: true },
        names: None,
        transaction: None,
        own: None,
        copy: None,
    }
}
