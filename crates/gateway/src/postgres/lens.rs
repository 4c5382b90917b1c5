//! What masking asks, put to policy.

use std::net::IpAddr;

use masking::RevealAsk;
use model::class::Labels;
use model::decision::Reveal;
use model::subject::Subject;
use policy::{Context, RevealQuestion, SubjectPolicies, reveal};

use super::session::Place;
use crate::clock;

/// The circumstances when a session begins.
pub(super) fn at_the_start(subject: &Subject, source: IpAddr) -> Context<'_> {
    Context {
        now: clock::now(),
        source,
        binding: subject.binding,
        session_age: 0,
        on_behalf_of: subject.on_behalf_of.first(),
        reason: None,
        estimated_rows: None,
    }
}

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
