//! What the tape shows of a text.

use std::sync::Arc;

use masking::RevealAsk;
use model::decision::Reveal;
use model::event::Shown;

use super::analysed::Analysed;
use super::session::Session;
use crate::session_tape::shown_text;

impl Session {
    /// The text with the constants masked that may belong to classified columns or are secrets, and without what its
    /// comments say, which may be anything.
    pub(super) fn masked_text(&self, analysed: &Analysed) -> Arc<str> {
        Arc::clone(analysed.masked.get_or_init(|| self.mask_text(analysed).into()))
    }

    fn mask_text(&self, analysed: &Analysed) -> String {
        let labels = self.labels();
        let mut nothing = |_: RevealAsk<'_>| Reveal::Masked(None);
        let mut out = String::with_capacity(analysed.text.len());
        let mut at = 0;
        for statement in &analysed.statements {
            let context = masking::postgres::Context { mentions: &statement.mentions, labels: &labels };
            for literal in &statement.literals {
                let (Some(before), Some(text)) =
                    (analysed.text.get(at..literal.start), analysed.text.get(literal.start..literal.end))
                else {
                    continue;
                };
                out.push_str(&effects::postgres::without_comments(before));
                let value = text.trim_matches('\'').as_bytes();
                let shown = masking::postgres::shown(Some(value), false, &literal.role, context, &mut nothing);
                match shown {
                    Shown::Clear(_) | Shown::Null => out.push_str(text),
                    Shown::Masked(_) | Shown::Length(_) => out.push_str(&shown_text(&shown)),
                }
                at = literal.end;
            }
            if statement.is_opaque() && statement.literals.is_empty() {
                // What was not understood may hold anything.
                return format!("[{} bytes that were not understood]", analysed.text.len());
            }
        }
        out.push_str(&effects::postgres::without_comments(analysed.text.get(at..).unwrap_or_default()));
        out
    }
}
