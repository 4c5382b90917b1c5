//! The policies that can apply to one subject.

/// The slice of a revision's policies that can apply to one subject, and the subject as policies see it.
#[derive(Debug)]
pub struct SubjectPolicies {}
