//! What the journal is told of a request: statements explained once, constants and parameters as they may be shown.

use std::sync::Arc;

use masking::RevealAsk;
use masking::postgres::{Context as ShownContext, shown};
use model::decision::Reveal;
use model::event::Shown;
use model::lineage::LiteralRole;
use policy::Recording;
use wire::postgres::part::Format;

use super::analysed::{Analysed, Known};
use super::query::Bound;
use super::session::Session;
use crate::explained::fit;
use crate::judging::{self, unquoted};
use crate::recorder::entry;

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
        Recording { durability: self.place.server.config.durability, shows: known.judged.shows }
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
