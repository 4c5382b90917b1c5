//! What the journal is told of a request, in the form that an entry has room for.

use std::sync::Arc;

use aws_lc_rs::digest::{Context, SHA256};
use model::effect::{Effect, Facts};
use model::event::{Entry, Event, Shown};
use model::id::Digest;
use model::lineage::Output;

use crate::recorder::entry;

/// The longest text that the journal shows; of a longer one it holds the beginning, its length and its digest.
const LONGEST_TEXT: usize = 24 * 1024;

/// How many effects the journal lists of a statement.
const MOST_EFFECTS: usize = 256;

/// How many bytes of values the journal shows of a request: with a thousand statements' ids, an entry has room for them.
const MOST_OF_VALUES: usize = 24 * 1024;

/// Of the values of a request, those for which an entry has room; of the others, their lengths.
pub(crate) fn within_an_entry(mut values: Vec<Shown>) -> Vec<Shown> {
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
pub(crate) fn introduced(entries: &[Entry]) -> Vec<Digest> {
    let id = |entry: &Entry| match &entry.event {
        Event::Statement { id, .. } => Some(*id),
        _ => None,
    };
    entries.iter().filter_map(id).collect()
}

/// The name of a statement in the journal: a digest of target, database, text, effects and lineage.
pub(crate) fn statement_id(
    place: (&str, &str),
    text: &str,
    effects: &[Effect],
    facts: &Facts,
    output: &Output,
) -> Digest {
    let mut context = Context::new(&SHA256);
    for part in [place.0, place.1, text] {
        context.update(&u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
        context.update(part.as_bytes());
    }
    // Debug quotes every name, so that two different lists never give the same text.
    context.update(format!("{effects:?} {facts:?} {output:?}").as_bytes());
    let mut id = Digest::default();
    id.0.iter_mut().zip(context.finish().as_ref()).for_each(|(to, from)| *to = *from);
    id
}

/// Cuts what is too long for an entry, saying so: the text, then the columns of the answer, then effects.
pub(crate) fn fit(event: Event) -> Event {
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
