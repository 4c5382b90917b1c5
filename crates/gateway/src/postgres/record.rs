//! What the journal is told of a request: statements explained once, constants and parameters as they may be shown.

use std::sync::Arc;

use masking::RevealAsk;
use masking::postgres::{Context as ShownContext, shown};
use model::decision::Reveal;
use model::effect::{Effect, Facts};
use model::event::{Entry, Event, Shown};
use model::id::Digest;
use model::lineage::{LiteralRole, Output};
use policy::Recording;
use wire::postgres::part::Format;

use super::analysed::{Analysed, Known};
use super::query::Bound;
use super::session::Session;
use crate::judging::{self, unquoted};
use crate::recorder::entry;

/// The longest text that the journal shows; of a longer one it holds the beginning, its length and its digest.
const LONGEST_TEXT: usize = 24 * 1024;

/// How many effects the journal lists of a statement.
const MOST_EFFECTS: usize = 256;

/// How many bytes of values the journal shows of a request: with a thousand statements' ids, an entry has room for them.
const MOST_OF_VALUES: usize = 24 * 1024;

/// Of the values of a request, those for which an entry has room; of the others, their lengths.
pub(super) fn within_an_entry(mut values: Vec<Shown>) -> Vec<Shown> {
    let mut left = MOST_OF_VALUES;
    for value in &mut values {
        let Shown::Clear(text) = value else { continue };
        match left.checked_sub(text.len()) {
            Some(rest) => left = rest,
            None => *value = Shown::Length(u64::try_from(text.len()).unwrap_or(u64::MAX)),
        }
    }
    values
}

/// The ids of the statements that these entries explain.
pub(super) fn introduced(entries: &[Entry]) -> Vec<Digest> {
    let id = |entry: &Entry| match &entry.event {
        Event::Statement { id, .. } => Some(*id),
        _ => None,
    };
    entries.iter().filter_map(id).collect()
}

impl Session {
    /// Adds the entries that explain statements which the journal does not know yet.
    pub(super) fn introduce(&mut self, analysed: &Analysed) {
        for (index, id) in analysed.ids.iter().enumerate() {
            if self.node.recorder.knows(id) {
                continue;
            }
            let event = analysed.event(index, &self.place.model.name, &self.place.database);
            if let Some(event) = event {
                self.entries.push(entry(fit(event)));
            }
        }
    }

    /// What decides how safely a request's decision has to be recorded before it is forwarded.
    pub(super) fn recording(&self, known: &Known) -> Recording {
        Recording { durability: self.place.target.durability, shows: known.judged.shows }
    }

    /// The constants of the text, then the parameters, as the record may show them.
    pub(super) fn shown_values(&self, analysed: &Analysed, bound: Bound<'_>) -> Vec<Shown> {
        let labels = self.labels();
        let mut nothing = |_: RevealAsk<'_>| Reveal::Masked(None);
        let mut values = Vec::new();
        for statement in &analysed.statements {
            let context = ShownContext { mentions: &statement.mentions, labels: &labels };
            for literal in &statement.literals {
                let text = analysed.text.get(literal.start..literal.end).unwrap_or_default();
                let value = unquoted(text);
                values.push(shown(Some(value.as_bytes()), false, &literal.role, context, &mut nothing));
            }
        }
        if let [statement] = analysed.statements.as_slice() {
            let context = ShownContext { mentions: &statement.mentions, labels: &labels };
            for (index, value) in bound.values.iter().enumerate() {
                // A value for which the text has no place may be anything.
                let role = statement.parameters.get(index).unwrap_or(&LiteralRole::Secret);
                let binary = bound.formats.of(index) == Format::Binary;
                values.push(shown(value, binary, role, context, &mut nothing));
            }
        }
        values.truncate(256);
        values
    }

    /// The column to which a statement would write one of our masks as data (RULES.md 10).
    pub(super) fn mask_as_data(&self, analysed: &Analysed, bound: Bound<'_>) -> Option<Arc<str>> {
        let values = bound.values.iter();
        judging::mask_as_data(&self.lens, &self.labels(), &analysed.statements, values)
    }
}

/// Cuts what is too long for an entry, saying so: the text, then the columns of the answer, then effects.
fn fit(event: Event) -> Event {
    let Event::Statement { id, target, database, mut text, mut effects, mut facts, mut output } = event else {
        return event;
    };
    cut_text(&mut text);
    let statement = |text: String, effects, facts, output| Event::Statement {
        id,
        target: Arc::clone(&target),
        database: Arc::clone(&database),
        text,
        effects,
        facts,
        output,
    };
    let fits = |event: Event| {
        let entry = entry(event);
        ledger::fits(&entry).then_some(entry.event)
    };
    for (most, has_output) in [(MOST_EFFECTS, true), (MOST_EFFECTS, false), (MOST_EFFECTS / 4, false)] {
        cut_effects(&mut effects, &mut facts, most);
        if !has_output {
            output = Output::Unknown;
        }
        if let Some(event) = fits(statement(text.clone(), effects.clone(), facts.clone(), output.clone())) {
            return event;
        }
    }
    statement(text, effects, facts, output)
}

fn cut_text(text: &mut String) {
    if text.len() > LONGEST_TEXT {
        let end = (0..=LONGEST_TEXT).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
        let length = text.len();
        text.truncate(end);
        text.push_str(&format!("… [cut: {length} bytes in all]"));
    }
}

fn cut_effects(effects: &mut Vec<Effect>, facts: &mut Facts, most: usize) {
    if effects.len() > most {
        effects.truncate(most);
        facts.opaque.get_or_insert_with(|| format!("only the first {most} effects are listed").into());
    }
}
