//! Lists and watches without what the caller may not get.

use std::collections::HashMap;
use std::sync::Arc;

use effects::http::Request;
use hyper::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderMap};
use masking::http::Unmaskable;
use masking::kubernetes::{ItemName, Items, Shape};
use model::class::Labels;
use model::decision::Outcome;
use model::effect::{Effect, Facts, KubernetesResource, Object, Verb};
use model::http::{Media, Syntax};
use policy::Context;

use super::super::session::{Session, Standing};
use crate::clock;

/// How many answers are remembered, of one list or watch.
const MOST_REMEMBERED: usize = 64 * 1024;

/// Leaves out of one answer what its caller may not get, as it is judged when it comes.
pub(in crate::http) struct Filter {
    items: Items,
    session: Arc<Session>,
    /// What is listed.
    listed: Arc<KubernetesResource>,
    facts: Facts,
    reason: Option<String>,
    standing: Arc<Standing>,
    known: HashMap<ItemName, bool>,
}

/// Of what a request is a list or a watch, if it is one.
pub(in crate::http) fn listed(request: &Request) -> Option<(Shape, &Arc<KubernetesResource>)> {
    request.effects.iter().find_map(|effect| match (effect.verb, &effect.object) {
        (Verb::KubernetesList, Object::KubernetesResource(resource)) => Some((Shape::List, resource)),
        (Verb::KubernetesWatch, Object::KubernetesResource(resource)) => Some((Shape::Watch, resource)),
        _ => None,
    })
}

impl Filter {
    /// For the answer to a request, if it is a list or a watch.
    pub(in crate::http) fn new(session: &Arc<Session>, request: &Request, reason: Option<&str>) -> Option<Self> {
        let (shape, listed) = listed(request)?;
        Some(Self {
            items: Items::new(shape),
            session: Arc::clone(session),
            listed: Arc::clone(listed),
            facts: request.facts.clone(),
            reason: reason.map(str::to_owned),
            standing: session.standing(),
            known: HashMap::new(),
        })
    }

    /// Whether an answer with these fields can be read.
    ///
    /// # Errors
    /// It cannot: nothing of it may go out.
    pub(in crate::http) fn admits(fields: &HeaderMap) -> Result<(), Unmaskable> {
        let media = fields.get(CONTENT_TYPE).and_then(|value| Media::parse(value.to_str().ok()?).ok());
        if media.is_none_or(|media| media.syntax() != Syntax::Json || !media.is_utf8()) {
            return Err(Unmaskable::MediaType);
        }
        if fields.contains_key(CONTENT_ENCODING) { Err(Unmaskable::Coding) } else { Ok(()) }
    }

    /// What is kept of what came.
    ///
    /// # Errors
    /// It is not what such an answer is.
    pub(in crate::http) fn push(&mut self, bytes: &[u8]) -> Result<Vec<u8>, Unmaskable> {
        let now = self.session.standing();
        if !Arc::ptr_eq(&now, &self.standing) || self.known.len() > MOST_REMEMBERED {
            self.known.clear();
            self.standing = now;
        }
        let Self { items, session, listed, facts, reason, standing, known } = self;
        items.push(bytes, &mut |item| {
            if let Some(keeps) = known.get(item) {
                return *keeps;
            }
            let keeps = may_get(session, standing, of_item(listed, item), facts, reason.as_deref());
            known.insert(item.clone(), keeps);
            keeps
        })
    }

    /// The answer is over.
    ///
    /// # Errors
    /// It is not whole.
    pub(in crate::http) fn end(&mut self) -> Result<(), Unmaskable> {
        self.items.end()
    }
}

/// The item as a request for it alone would name it.
fn of_item(listed: &KubernetesResource, item: &ItemName) -> KubernetesResource {
    let is_namespace = listed.group.is_empty() && &*listed.resource == "namespaces";
    let namespace = if is_namespace { &item.name } else { &item.namespace };
    KubernetesResource {
        group: Arc::clone(&listed.group),
        version: Arc::clone(&listed.version),
        resource: Arc::clone(&listed.resource),
        namespace: namespace.as_str().into(),
        name: item.name.as_str().into(),
        ..KubernetesResource::default()
    }
}

fn may_get(
    session: &Session,
    standing: &Standing,
    item: KubernetesResource,
    facts: &Facts,
    reason: Option<&str>,
) -> bool {
    let (labels, now) = (Labels::default(), clock::now());
    let context = Context {
        session_age: now.millis_since(session.opened_at) / 1000,
        reason,
        ..Context::at_the_start(&standing.subject, session.source, now)
    };
    let effects = [Effect::new(Verb::KubernetesGet, Object::KubernetesResource(Arc::new(item)))];
    standing.bench(&labels).judge(&effects, facts, &context).outcome() == Outcome::Allow
}
