//! What was allowed before, and is again where the same is asked: most texts do what another one did.
//!
//! Only a plain yes is remembered, and only where it hangs on nothing but what is in its key: no policy that was asked reads
//! the circumstances. It ends with the subject's slice, and so with the revision.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use model::effect::{Endpoint, KubernetesCommand, KubernetesResource, Named};

use crate::ask::{Ask, tells_columns_apart};
use crate::entities::{Place, Resource};
use crate::question::{Question, Validity};
use crate::subject::{Slice, SubjectPolicies};

/// How many answers are remembered per subject: then those that there are, and no more.
const MOST: usize = 4096;

/// How many bytes of a caller's own text an answer is remembered under.
const MOST_BYTES: usize = 512;

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
        if !is_short(&ask.resource) {
            return None;
        }
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
            Resource::Login => self.texts(["login"]),
            Resource::File(path) => self.texts(["file", path]),
            Resource::Endpoint(Endpoint::Socket(path)) => self.texts(["socket", path]),
            Resource::Endpoint(Endpoint::Tcp { host, port, address }) => {
                self.texts([
                    "tcp",
                    host,
                    &port.to_string(),
                    &address.map(|known| known.to_string()).unwrap_or_default(),
                ]);
            }
            Resource::Command(command) => {
                self.texts(["command", &command.program, &command.line]);
                self.list(command.arguments.iter().map(|argument| &**argument));
                self.0.push(command.interactive.into());
            }
            Resource::Route(route) => {
                self.texts(["route", route.kind.as_str(), &route.method, &route.host, &route.path]);
                self.texts([&route.template, &route.operation]);
                self.named(&route.parameters);
                self.named(&route.query);
            }
            Resource::GraphqlField(field) => {
                self.texts(["field", &field.route, field.kind.as_str(), &field.operation]);
                self.list(field.path.iter().map(|name| &**name));
            }
            Resource::GrpcMethod(method, arguments) => {
                self.texts(["grpc", &method.route, &method.service, &method.method]);
                self.0.push(arguments.is_some().into());
                self.named(arguments.unwrap_or_default());
            }
            Resource::RpcMethod(method, arguments) => {
                self.texts(["rpc", &method.route, &method.method]);
                self.0.push(arguments.is_some().into());
                self.named(arguments.unwrap_or_default());
            }
            Resource::Mcp(item) => {
                self.texts(["mcp", &item.route, item.kind.as_str(), &item.name]);
                self.named(&item.arguments);
            }
            Resource::Kubernetes(resource) => {
                self.texts(["kubernetes"]);
                self.kubernetes(resource);
            }
            Resource::KubernetesPath(path) => self.texts(["kubernetes path", &path.method, &path.path]),
            Resource::KubernetesCommand(KubernetesCommand { at, command }) => {
                self.texts(["kubernetes command", &command.program, &command.line]);
                self.list(command.arguments.iter().map(|argument| &**argument));
                self.0.push(command.interactive.into());
                self.kubernetes(at);
            }
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

    fn kubernetes(&mut self, resource: &KubernetesResource) {
        self.texts(kubernetes_texts(resource));
        self.0.push(resource.dry_run.into());
        self.list(resource.traits.iter().map(|one| one.as_str()));
    }

    /// What a table inherits from is of the catalog, and may be otherwise for another session, or later.
    fn ancestors(&mut self, place: &Place<'_>, table: &model::effect::TableName) {
        let ancestors = place.labels.ancestors(table);
        self.list(ancestors.into_iter().flat_map(|name| [&*name.schema, &*name.name]));
    }

    fn named(&mut self, named: &[Named]) {
        self.list(named.iter().flat_map(|(name, value)| [&**name, &**value]));
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

/// Whether it is short enough to be remembered: the names of other resources have the target's own limits.
fn is_short(resource: &Resource<'_>) -> bool {
    match resource {
        Resource::Command(command) => {
            let arguments = command.arguments.iter().map(|argument| argument.len());
            arguments.fold(command.line.len(), usize::saturating_add) <= MOST_BYTES
        }
        Resource::File(path) => path.len() <= MOST_BYTES,
        Resource::Endpoint(Endpoint::Socket(path)) => path.len() <= MOST_BYTES,
        Resource::Endpoint(Endpoint::Tcp { host, .. }) => host.len() <= MOST_BYTES,
        // What it was matched with is the operator's.
        Resource::Route(route) => {
            let values = length(&route.parameters).saturating_add(length(&route.query));
            [&route.method, &route.host, &route.path].iter().map(|text| text.len()).fold(values, usize::saturating_add)
                <= MOST_BYTES
        }
        Resource::GraphqlField(field) => {
            let names = field.path.iter().map(|name| name.len());
            let whole = field.route.len().saturating_add(field.operation.len());
            names.fold(whole, usize::saturating_add) <= MOST_BYTES
        }
        Resource::GrpcMethod(method, arguments) => {
            let arguments = length(arguments.unwrap_or_default());
            method.route.len().saturating_mul(2).saturating_add(arguments) <= MOST_BYTES
        }
        Resource::RpcMethod(method, arguments) => {
            let whole = method.route.len().saturating_add(method.method.len());
            whole.saturating_add(length(arguments.unwrap_or_default())) <= MOST_BYTES
        }
        Resource::Kubernetes(resource) => kubernetes_length(resource) <= MOST_BYTES,
        Resource::KubernetesPath(path) => path.path.len() <= MOST_BYTES,
        Resource::KubernetesCommand(KubernetesCommand { at, command }) => {
            let arguments = command.arguments.iter().map(|argument| argument.len());
            let whole = command.line.len().saturating_add(kubernetes_length(at));
            arguments.fold(whole, usize::saturating_add) <= MOST_BYTES
        }
        Resource::Mcp(item) => {
            let whole = item.route.len().saturating_add(item.name.len());
            whole.saturating_add(length(&item.arguments)) <= MOST_BYTES
        }
        _ => true,
    }
}

fn kubernetes_texts(resource: &KubernetesResource) -> [&str; 9] {
    let KubernetesResource { group, version, resource, subresource, namespace, name, container, port, rest, .. } =
        resource;
    [group, version, resource, subresource, namespace, name, container, port, rest]
}

fn kubernetes_length(resource: &KubernetesResource) -> usize {
    kubernetes_texts(resource).iter().fold(0, |sum, text| sum.saturating_add(text.len()))
}

fn length(named: &[Named]) -> usize {
    let each = named.iter().map(|(name, value)| name.len().saturating_add(value.len()));
    each.fold(0, usize::saturating_add)
}
