//! What masking asks, put to policy.

use masking::RevealAsk;
use model::class::Labels;
use model::decision::Reveal;
use policy::{Context, RevealQuestion, SubjectPolicies, reveal};

use super::session::Place;

/// Whether the subject may see values of a class, from a column or wherever they come from.
pub(super) fn ask(
    policies: &SubjectPolicies,
    place: &Place,
    labels: &Labels,
    context: &Context<'_>,
    asked: RevealAsk<'_>,
) -> Reveal {
    let question = match asked {
        RevealAsk::Column(column, class) => RevealQuestion::Column(column, class),
        RevealAsk::Class(class) => RevealQuestion::Class(class),
    };
    reveal(policies, &place.model, &place.database, question, labels, context)
}
