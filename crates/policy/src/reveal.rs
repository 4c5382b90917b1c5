//! The third question: may they see it?

use model::class::{DataClass, Labels};
use model::decision::Reveal;
use model::effect::ColumnName;
use model::target::Target;

use crate::question::Context;
use crate::subject::SubjectPolicies;

/// What is to be seen.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RevealQuestion<'a> {
    /// A value of this column, as a value of this class.
    Column(&'a ColumnName, &'a DataClass),
    /// A value of this class that was found by its content, in no known column.
    Class(&'a DataClass),
}

/// Whether the subject may see such values in clear, and how they are masked otherwise.
pub fn reveal(
    policies: &SubjectPolicies,
    target: &Target,
    database: &str,
    question: RevealQuestion<'_>,
    labels: &Labels,
    context: &Context<'_>,
) -> Reveal {
    let _ = (policies, target, database, question, labels, context);
    Reveal::Masked(None)
}
