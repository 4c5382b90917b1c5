//! Reading a revision's policies: all of them are valid, or none is used.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::Arc;

use cedar_policy::{Authorizer, Policy, PolicyId, Schema, ValidationMode, Validator};
use model::class::{DataClass, Transform};
use model::subject::Subject;

use crate::rule::Rule;
use crate::schema::Actions;
use crate::subject::SubjectPolicies;
use crate::vocabulary::Types;

mod annotations;
pub(crate) mod files;
mod lint;
pub(crate) mod measure;
pub(crate) mod reads;

use files::Source;
use reads::Reads;

/// The stack on which policies are read; the system gives memory only for what is used of it.
pub(crate) const STACK: usize = 64 << 20;

/// How far policies may look from what a request is about: at the resource, and at what it has beside it, which is what a
/// caller gave names to. All of that is there whenever it is asked about ([`crate::entities`]); what is further is not, and
/// a forbid that looks there would not match.
const DEEPEST: u32 = 2;

/// A mistake in a policy file, and where.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, thiserror::Error)]
pub struct PolicyError {
    /// The file, as it was named to [`PolicySet::load`].
    pub path: String,
    /// The line, from 1; 0 if the mistake is not at one place.
    pub line: usize,
    /// The column in characters, from 1; 0 if the mistake is not at one place.
    pub column: usize,
    /// How many characters are meant, where that is known; 0 if not.
    pub length: usize,
    /// What is wrong.
    pub message: String,
    /// What to write instead.
    pub help: Option<String>,
}

impl fmt::Display for PolicyError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}:{}:{}: {}", self.path, self.line, self.column, self.message)?;
        match &self.help {
            Some(help) => write!(out, " ({help})"),
            None => Ok(()),
        }
    }
}

/// The policies of one revision, validated.
pub struct PolicySet {
    pub(crate) shared: Arc<Shared>,
    pub(crate) loaded: Vec<Loaded>,
}

/// Only how many there are: the texts would fill a log.
impl fmt::Debug for PolicySet {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("PolicySet").field("policies", &self.loaded.len()).finish_non_exhaustive()
    }
}

/// What every subject's policies need of the whole set.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) authorizer: Authorizer,
    pub(crate) schema: Schema,
    pub(crate) types: Types,
    pub(crate) actions: Actions,
    pub(crate) rules: HashMap<PolicyId, Rule>,
    pub(crate) classes: BTreeMap<DataClass, Transform>,
}

/// A policy, to which actions it can apply, and what it reads.
#[derive(Debug)]
pub(crate) struct Loaded {
    pub(crate) policy: Policy,
    pub(crate) actions: Vec<Arc<str>>,
    pub(crate) reads: Reads,
}

impl PolicySet {
    /// Reads and validates `files`, pairs of a path (for messages) and a text. `classes` are the revision's data classes
    /// with their default transforms; policies may name these and the built-in ones, and no others. Without files there are no policies, and everything
    /// is denied.
    ///
    /// # Errors
    /// Every mistake in every file, sorted by place.
    pub fn load(
        files: &[(String, String)],
        classes: &BTreeMap<DataClass, Transform>,
    ) -> Result<Self, Vec<PolicyError>> {
        // What Cedar recurses over is bounded (`measure`), and here is room for that much wherever this is called.
        stacker::grow(STACK, || Self::read(files, classes))
    }

    fn read(files: &[(String, String)], classes: &BTreeMap<DataClass, Transform>) -> Result<Self, Vec<PolicyError>> {
        let mut classes = classes.clone();
        for built_in in DataClass::BUILT_IN {
            classes.entry(DataClass::new(built_in)).or_insert(Transform::Redact);
        }
        let (schema, types, actions) = crate::schema::build(&classes).map_err(|error| vec![error])?;
        let mut errors = Vec::new();
        let sources = files::parse(files, &mut errors);
        validate(&schema, &sources, &mut errors);
        let mut rules = HashMap::new();
        let mut loaded = Vec::new();
        for source in &sources {
            let actions = actions.matching(&source.policy.action_constraint());
            let rule = annotations::read(source, &mut errors);
            let reads = rule.reads;
            lint::check(source, &rule, &actions, &mut errors);
            let policy = source.policy.new_id(PolicyId::new(&rule.id));
            let named = !rule.id.is_empty();
            if rules.insert(policy.id().clone(), rule).is_some() && named {
                errors.push(source.error_at("id", "another policy has this @id", "give every policy an id of its own"));
            }
            loaded.push(Loaded { policy, actions, reads });
        }
        if !errors.is_empty() {
            errors.sort();
            errors.dedup();
            return Err(errors);
        }
        let authorizer = Authorizer::new();
        let shared = Shared { authorizer, schema, types, actions, rules, classes };
        Ok(Self { shared: Arc::new(shared), loaded })
    }

    /// The policies that can apply to `subject`: cheap to ask, made to be kept for a session and a revision.
    pub fn for_subject(&self, subject: &Subject) -> SubjectPolicies {
        SubjectPolicies::slice(self, subject)
    }
}

/// Strict validation. A condition may look one step into the principal, the resource or the context, and never into an
/// entity that is named in the policy: such entities are not there when a request is decided.
fn validate(schema: &Schema, sources: &[Source<'_>], errors: &mut Vec<PolicyError>) {
    let numbered = sources.iter().enumerate().map(|(index, source)| source.policy.new_id(number(index)));
    let Ok(set) = cedar_policy::PolicySet::from_policies(numbered) else {
        return errors.push(nowhere("the policies cannot be put together"));
    };
    let by_number: HashMap<PolicyId, &Source<'_>> =
        sources.iter().enumerate().map(|(index, source)| (number(index), source)).collect();
    let result = Validator::new(schema.clone()).validate_with_level(&set, ValidationMode::Strict, DEEPEST);
    for error in result.validation_errors() {
        errors.extend(by_number.get(error.policy_id()).map(|source| source.diagnosed(error)));
    }
    for warning in result.validation_warnings() {
        errors.extend(by_number.get(warning.policy_id()).map(|source| source.diagnosed(warning)));
    }
}

/// A mistake that has no place.
fn nowhere(message: &str) -> PolicyError {
    PolicyError { path: String::new(), line: 0, column: 0, length: 0, message: message.to_owned(), help: None }
}

/// An id that no text can have: what a policy is called until its own id was read.
fn number(index: usize) -> PolicyId {
    PolicyId::new(index.to_string())
}
