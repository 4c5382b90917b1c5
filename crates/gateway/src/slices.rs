//! What of a revision's policies can apply to a subject, worked out once for all of its sessions.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use model::subject::{Subject, SubjectKey, SubjectKind};
use policy::{PolicySet, SubjectPolicies};

/// How many subjects are remembered before all are forgotten, and worked out again.
const MOST: usize = 1024;

/// All that a slice depends on, besides the revision.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
struct Key {
    kind: SubjectKind,
    subject: SubjectKey,
    groups: Vec<Arc<str>>,
    on_behalf_of: Vec<SubjectKey>,
}

impl Key {
    fn of(subject: &Subject) -> Self {
        // Whatever else a subject has, whoever adds something to it looks here.
        let Subject { key, kind, groups, on_behalf_of, expires_at: _, binding: _, token_id: _, credential: _ } =
            subject;
        Self { kind: *kind, subject: key.clone(), groups: groups.clone(), on_behalf_of: on_behalf_of.clone() }
    }
}

/// The slices of one revision.
#[derive(Default)]
pub(crate) struct Slices(Mutex<HashMap<Key, Arc<SubjectPolicies>>>);

impl std::fmt::Debug for Slices {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("Slices")
    }
}

impl Slices {
    /// The policies that can apply to a subject.
    pub(crate) fn of(&self, policies: &PolicySet, subject: &Subject) -> Arc<SubjectPolicies> {
        let key = Key::of(subject);
        if let Some(known) = self.known().get(&key) {
            return Arc::clone(known);
        }
        // Not under the lock: with many policies it takes a while.
        let sliced = Arc::new(policies.for_subject(subject));
        let mut known = self.known();
        if known.len() >= MOST {
            known.clear();
        }
        Arc::clone(known.entry(key).or_insert(sliced))
    }

    fn known(&self) -> std::sync::MutexGuard<'_, HashMap<Key, Arc<SubjectPolicies>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use model::subject::Binding;
    use model::time::Timestamp;

    use super::*;

    fn subject(id: &str, groups: &[&str], on_behalf_of: &[&str]) -> Subject {
        let key = |id: &str| SubjectKey { issuer: "svc".into(), id: id.into() };
        Subject {
            key: key(id),
            kind: SubjectKind::Service,
            groups: groups.iter().map(|group| Arc::from(*group)).collect(),
            on_behalf_of: on_behalf_of.iter().map(|id| key(id)).collect(),
            expires_at: Timestamp(1),
            binding: Binding::Bearer,
            token_id: None,
            credential: model::subject::Credential::default(),
        }
    }

    #[test]
    fn a_slice_is_shared_by_sessions_of_one_subject_alone() {
        let (slices, policies) = (Slices::default(), PolicySet::load(&[], &std::collections::BTreeMap::new()).unwrap());
        let of = |subject: &Subject| slices.of(&policies, subject);
        let app = subject("app", &["readers"], &[]);
        let later = Subject { expires_at: Timestamp(2), token_id: Some("other".into()), ..app.clone() };
        assert!(Arc::ptr_eq(&of(&app), &of(&later)));
        let user = Subject { kind: SubjectKind::User, ..app.clone() };
        let others =
            [subject("app", &[], &[]), subject("app", &["readers"], &["ada"]), subject("b", &["readers"], &[]), user];
        assert!(others.iter().all(|other| !Arc::ptr_eq(&of(&app), &of(other))));
        for number in 0..3000 {
            of(&subject(&number.to_string(), &[], &[]));
            assert!(slices.known().len() <= MOST);
        }
    }
}
