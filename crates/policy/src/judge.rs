//! The first question, and the second.

use model::decision::Denial;

use crate::question::{Question, Validity};
use crate::subject::SubjectPolicies;
use crate::verdict::{Answered, Verdict};

/// Whether the subject may do what the question says, and whether a human's approval would change the answer.
pub fn judge(policies: &SubjectPolicies, question: &Question<'_>) -> Verdict {
    let _ = (policies, question);
    let denial = Denial { policies: vec![], message: "no policy permits it".into(), missing: "".into() };
    Verdict { answer: Answered::Deny(denial), policies: vec![], waived: vec![], validity: Validity::default() }
}
