//! The policies that can apply to one subject.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::{Arc, Mutex};

use cedar_policy::{Effect, Entity, EntityUid, Policy, PrincipalConstraint, ResourceConstraint, RestrictedExpression};
use model::decision::Reveal;
use model::subject::{Subject, SubjectKey, SubjectKind};

use crate::allowed::Allowed;
use crate::load::reads::Reads;
use crate::load::{Loaded, PolicySet, Shared};
use crate::reveal::CacheKey;
use crate::rule::Rule;
use crate::vocabulary::{Types, path, uid};

/// The actions by which something may be written. A function may do anything, whatever its label says.
const WRITING: [&str; 9] = ["insert", "update", "delete", "truncate", "maintain", "ddl", "grant", "opaque", "execute"];

/// The slice of a revision's policies that can apply to one subject, and the subject as policies see it.
///
/// Cedar looks at every policy of a set for every request, about a microsecond each. A policy whose scope names another
/// principal, a group that the subject is not in, or another action can never match: leaving it out changes no answer.
pub struct SubjectPolicies {
    pub(crate) shared: Arc<Shared>,
    pub(crate) principal: EntityUid,
    pub(crate) principal_entity: Option<Entity>,
    /// The caller and everybody that it acts for: none of them may approve its requests.
    pub(crate) identities: Vec<SubjectKey>,
    /// Answers of [`crate::reveal`] that depend on nothing but their key.
    pub(crate) reveals: Mutex<HashMap<CacheKey, Reveal>>,
    /// What [`crate::judge`] allowed where it depends on nothing but its key.
    pub(crate) allowed: Allowed,
    slices: HashMap<Arc<str>, Slice>,
    groups: Vec<Arc<str>>,
    /// The resources of the permits that may let it write.
    writing: Vec<ResourceConstraint>,
}

/// Only whose they are.
impl fmt::Debug for SubjectPolicies {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("SubjectPolicies").field("identities", &self.identities).finish_non_exhaustive()
    }
}

/// The policies that can apply to one subject doing one thing.
#[derive(Debug, Default)]
pub(crate) struct Slice {
    pub(crate) all: cedar_policy::PolicySet,
    /// All but the forbids that are waived for this subject; `None` if none is.
    pub(crate) binding: Option<cedar_policy::PolicySet>,
    pub(crate) reads: Reads,
}

impl SubjectPolicies {
    pub(crate) fn slice(policies: &PolicySet, subject: &Subject) -> Self {
        let shared = Arc::clone(&policies.shared);
        let principal = principal_uid(&shared.types, subject.kind, &subject.key);
        let groups: HashSet<EntityUid> = subject.groups.iter().map(|group| uid(&shared.types.group, group)).collect();
        let principal_entity = identity(&principal, &subject.key, groups.iter().cloned());
        let mut slices: HashMap<Arc<str>, Slice> = HashMap::new();
        let mut writing = Vec::new();
        for loaded in policies.loaded.iter().filter(|loaded| may_match(&loaded.policy, &principal, &groups)) {
            let waived = shared.rules.get(loaded.policy.id()).is_some_and(|rule| rule.is_waived_for(&subject.groups));
            let read_only = shared.rules.get(loaded.policy.id()).is_some_and(|rule| rule.read_only);
            let permits = loaded.policy.effect() == Effect::Permit;
            if permits && !read_only && loaded.actions.iter().any(|action| WRITING.contains(&&**action)) {
                writing.push(loaded.policy.resource_constraint());
            }
            for action in &loaded.actions {
                slices.entry(action.clone()).or_default().add(loaded, waived);
            }
        }
        let identities = subject.identities().cloned().collect();
        let groups = subject.groups.clone();
        Self {
            shared,
            principal,
            principal_entity,
            identities,
            reveals: Mutex::default(),
            allowed: Allowed::default(),
            slices,
            groups,
            writing,
        }
    }

    /// Whether any policy may permit the subject to write there, with an approval or without. Only the scopes of permits
    /// are looked at: a condition, or a forbid, may still refuse all of it.
    pub fn may_write(&self, target: &str, database: &str) -> bool {
        let here = path(&[target, database]);
        let concerns = |one: &EntityUid| {
            let (kind, id) = (one.type_name().basename(), one.id().unescaped());
            match kind {
                "Target" => id == path(&[target]),
                "Database" => id == here,
                "Namespace" | "Table" | "Column" | "Function" => {
                    id.strip_prefix(&*here).is_some_and(|rest| rest.starts_with('/'))
                }
                _ => true,
            }
        };
        self.writing.iter().any(|resource| match resource {
            ResourceConstraint::Any | ResourceConstraint::Is(_) => true,
            ResourceConstraint::In(one) | ResourceConstraint::Eq(one) | ResourceConstraint::IsIn(_, one) => {
                concerns(one)
            }
        })
    }

    pub(crate) fn slice_for(&self, action: &str) -> Option<&Slice> {
        self.slices.get(action)
    }

    /// Whether this forbid does not bind the subject, which is in one of its break-glass groups.
    pub(crate) fn is_waived(&self, rule: &Rule) -> bool {
        rule.is_waived_for(&self.groups)
    }

    pub(crate) fn rule(&self, policy: &cedar_policy::PolicyId) -> Option<&Rule> {
        self.shared.rules.get(policy)
    }
}

impl Slice {
    /// Ids are unique over the whole set, so adding does not fail.
    fn add(&mut self, loaded: &Loaded, waived: bool) {
        if waived && self.binding.is_none() {
            self.binding = Some(self.all.clone());
        }
        if !waived && let Some(binding) = &mut self.binding {
            let _ = binding.add(loaded.policy.clone());
        }
        let _ = self.all.add(loaded.policy.clone());
        self.reads = self.reads.and(loaded.reads);
    }
}

/// Whether the scope of a policy can match this principal.
fn may_match(policy: &Policy, principal: &EntityUid, groups: &HashSet<EntityUid>) -> bool {
    let within = |group: &EntityUid| group == principal || groups.contains(group);
    match policy.principal_constraint() {
        PrincipalConstraint::Any => true,
        PrincipalConstraint::Is(kind) => kind == *principal.type_name(),
        PrincipalConstraint::In(group) => within(&group),
        PrincipalConstraint::Eq(one) => one == *principal,
        PrincipalConstraint::IsIn(kind, group) => kind == *principal.type_name() && within(&group),
    }
}

pub(crate) fn principal_uid(types: &Types, kind: SubjectKind, key: &SubjectKey) -> EntityUid {
    let kind = match kind {
        SubjectKind::Service => &types.service,
        SubjectKind::User => &types.user,
    };
    uid(kind, key.to_string())
}

/// A service or user as policies see it; `None` cannot happen, as its attributes are plain strings.
pub(crate) fn identity(
    of: &EntityUid,
    key: &SubjectKey,
    groups: impl IntoIterator<Item = EntityUid>,
) -> Option<Entity> {
    let text = |text: &str| RestrictedExpression::new_string(text.to_owned());
    let attributes = [("issuer".to_owned(), text(&key.issuer)), ("id".to_owned(), text(&key.id))];
    Entity::new_with_tags(of.clone(), attributes, groups, []).ok()
}
