//! The permits of a revision, for saying which of them nobody needs.

use std::sync::Arc;

use cedar_policy::{Effect, PrincipalConstraint};

use crate::load::PolicySet;
use crate::load::reads::Reads;

/// A permit, to whom it gives what.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PermitScope {
    /// Its `@id`.
    pub id: Arc<str>,
    /// The actions that it can apply to.
    pub actions: Vec<Arc<str>>,
    /// The principal of its scope, as policies write it; `anybody` if it names none.
    pub principal: String,
    /// Whether its condition hangs on what the record has not of each request: the reason, who observes, how the session
    /// is bound, on whose behalf it is, how many rows are expected.
    pub of_circumstances: bool,
}

impl PolicySet {
    /// Every permit.
    pub fn permits(&self) -> impl Iterator<Item = PermitScope> {
        let permits = self.loaded.iter().filter(|loaded| loaded.policy.effect() == Effect::Permit);
        permits.map(|loaded| PermitScope {
            id: loaded.policy.id().to_string().into(),
            actions: loaded.actions.clone(),
            principal: principal(&loaded.policy.principal_constraint()),
            of_circumstances: of_circumstances(loaded.reads),
        })
    }
}

const fn of_circumstances(reads: Reads) -> bool {
    let validity = reads.validity;
    reads.session || validity.reason || validity.on_behalf_of || validity.estimated_rows
}

fn principal(of: &PrincipalConstraint) -> String {
    match of {
        PrincipalConstraint::Any => "anybody".to_owned(),
        PrincipalConstraint::In(one) | PrincipalConstraint::Eq(one) => one.to_string(),
        PrincipalConstraint::Is(kind) => format!("every {kind}"),
        PrincipalConstraint::IsIn(kind, one) => format!("every {kind} in {one}"),
    }
}
