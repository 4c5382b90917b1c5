//! What was allowed before, and is again where the same is asked: most texts do what another one did.
//!
//! Only a plain yes is remembered, and only where it hangs on nothing but what is in its key: no policy that was asked reads
//! the circumstances. It ends with the subject's slice, and so with the revision.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use crate::ask::{Ask, tells_columns_apart};
use crate::entities::{Place, Resource};
use crate::question::{Question, Validity};
use crate::subject::{Slice, SubjectPolicies};

/// How many answers are remembered per subject: then those that there are, and no more.
const MOST: usize = 4096;

/// The answers, each with the permits that gave it.
#[derive(Default)]
pub(crate) struct Allowed(Mutex<HashMap<Key, Arc<[Arc<str>]>>>);

/// All that an answer hangs on, besides the subject and the revision: lengths and bytes, so that no two are alike.
#[derive(PartialEq, Eq, Hash)]
pub(crate) struct Key(Vec<u8>);

impl Allowed {
    /// The permits that allowed it.
    pub(crate) fn get(&self, key: &Key) -> Option<Arc<[Arc<str>]>> {
        // A poisoned lock only means that somebody panicked: then nothing is remembered.
        self.0.lock().ok()?.get(key).cloned()
    }

    pub(crate) fn remember(&self, key: Key, permits: &[Arc<str>]) {
        if let Ok(mut known) = self.0.lock()
            && known.len() < MOST
        {
            known.insert(key, permits.into());
        }
    }
}

impl Key {
    /// `None` where the answer hangs on something else as well.
    pub(crate) fn of(
        policies: &SubjectPolicies,
        slice: &Slice,
        place: &Place<'_>,
        question: &Question<'_>,
        ask: &Ask<'_>,
    ) -> Option<Self> {
        let is_free = |slice: &Slice| slice.reads.validity == Validity::default() && !slice.reads.session;
        let sees = slice.reads.revealed && ask.values.is_some();
        if !is_free(slice) || (sees && !policies.slice_for("reveal").is_none_or(is_free)) {
            return None;
        }
        let mut key = Self(Vec::with_capacity(128));
        key.place(place);
        key.texts([ask.verb.as_str(), &question.facts.kind]);
        key.0.extend([question.facts.bounded, question.facts.multi].map(u8::from));
        let whole = tells_columns_apart(policies, ask.verb);
        key.resource(&ask.resource, place, whole);
        if let Some(values) = ask.values.as_ref().filter(|values| sees && **values != ask.resource) {
            key.resource(values, place, whole);
        }
        Some(key)
    }

    fn place(&mut self, place: &Place<'_>) {
        let Place { target, database, .. } = place;
        self.texts([&*target.name, &*target.protocol, database]);
        self.list(target.labels.iter().flat_map(|(name, value)| [&**name, &**value]));
    }

    /// Of a column, its name counts only where a policy can tell it from another one with the same classes.
    fn resource(&mut self, resource: &Resource<'_>, place: &Place<'_>, whole: bool) {
        match resource {
            Resource::Target => self.texts(["target"]),
            Resource::Database => self.texts(["database"]),
            Resource::Namespace(name) => self.texts(["namespace", name]),
            Resource::Channel(name) => self.texts(["channel", name]),
            Resource::Class(class) => self.texts(["class", class.as_str()]),
            Resource::Setting(name, class) => self.texts(["setting", name, class.as_str()]),
            Resource::Function(name, class) => self.texts(["function", &name.schema, &name.name, class.as_str()]),
            Resource::Table(name, kind) => {
                self.texts(["table", &name.schema, &name.name, kind.as_str()]);
                self.ancestors(place, name);
            }
            Resource::Column(column, classes) => {
                let name = if whole { &*column.name } else { "" };
                self.texts(["column", &column.table.schema, &column.table.name, name]);
                self.list(classes.iter().map(|class| class.as_str()));
                self.ancestors(place, &column.table);
            }
        }
    }

    /// What a table inherits from is of the catalog, and may be otherwise for another session, or later.
    fn ancestors(&mut self, place: &Place<'_>, table: &model::effect::TableName) {
        let ancestors = place.labels.ancestors(table);
        self.list(ancestors.into_iter().flat_map(|name| [&*name.schema, &*name.name]));
    }

    fn list<'t>(&mut self, texts: impl Iterator<Item = &'t str> + Clone) {
        self.number(texts.clone().count());
        texts.for_each(|text| self.texts([text]));
    }

    fn texts<const N: usize>(&mut self, texts: [&str; N]) {
        for text in texts {
            self.number(text.len());
            self.0.extend_from_slice(text.as_bytes());
        }
    }

    fn number(&mut self, number: usize) {
        self.0.extend_from_slice(&u64::try_from(number).unwrap_or(u64::MAX).to_be_bytes());
    }
}
