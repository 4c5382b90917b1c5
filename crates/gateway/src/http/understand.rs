//! What a request would do, as `effects::http` understands it by what is known of its target's interface.

use std::collections::BTreeMap;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use effects::http::{Api, Body, Call, Declared, Request, Speaks, TooMuch, canonical, names};
use effects::kubernetes;
use hyper::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderMap};
use masking::http::{Body as Masking, Plan};
use model::effect::{Effect, GrpcCall, McpItem, Named, Object, RpcCall};
use model::event::Shown;
use model::http::protobuf::{Schema, SchemaError};
use model::http::{FieldRule, Media};
use model::id::{Digest, RequestId};
use store::config::HttpInterface;
use store::revision::RevisionFiles;

use super::asking::Asked;
use super::interface::Interface;
use super::kubernetes::asks_to_be_another;
use super::refusal::Refusal;
use super::session::{Place, Standing};
use crate::deciding::Matter;

/// A request, and what its answer is masked by.
pub(super) struct Asking {
    pub(super) request: Request,
    /// What it would do, as the record and approvers may see it.
    pub(super) told: Vec<Effect>,
    pub(super) rules: Vec<FieldRule>,
}

impl Asking {
    /// With the body, for whoever is asked about it, unless it is there already: its beginning, masked by this plan as what its
    /// fields say that it is, where places are hidden in it.
    pub(super) fn showing(mut self, body: &[u8], fields: &HeaderMap, plan: &Plan) -> Self {
        if matches!(&*self.request.facts.kind, "http" | "kubernetes") {
            let media: Vec<&[u8]> = fields.get_all(CONTENT_TYPE).iter().map(|value| value.as_bytes()).collect();
            let media = if plan.hides_by_place() { media.as_slice() } else { TEXT };
            let shown = match std::str::from_utf8(body) {
                Ok(text) if text.len() <= MOST_SHOWN => masked(text, media, plan),
                Ok(_) | Err(_) => format!("[{} bytes]", body.len()),
            };
            self.request.shown = format!("{}\n{shown}", self.request.shown);
        }
        self
    }

    /// As the record and approvers may see it: what its values show by their form is masked by this plan.
    pub(super) fn hiding(mut self, plan: &Plan) -> Self {
        self.request.shown = masked(&self.request.shown, TEXT, plan);
        for value in &mut self.request.values {
            if let Shown::Clear(text) = value {
                *text = masked(text, TEXT, plan);
            }
        }
        self.told = self.request.effects.iter().map(|effect| told(effect, plan)).collect();
        self
    }
}

/// How much of a body an approver is shown, in bytes.
const MOST_SHOWN: usize = 16 * 1024;

/// What stands where a text cannot be masked.
const NOT_SHOWN: &str = "[not shown]";

/// What a text is that says nothing of itself.
const TEXT: &[&[u8]] = &[b"text/plain; charset=utf-8"];

/// A text as it may be seen. One that cannot be masked is not shown.
fn masked(text: &str, media: &[&[u8]], plan: &Plan) -> String {
    let whole = Masking::new(media, &[], plan).and_then(|mut body| {
        let mut bytes = body.push(text.as_bytes())?.bytes().to_vec();
        bytes.extend_from_slice(body.end()?.bytes());
        Ok(bytes)
    });
    whole.map_or_else(|_| NOT_SHOWN.to_owned(), |bytes| String::from_utf8_lossy(&bytes).into_owned())
}

/// An argument as it may be seen: each of the names that lead to it, which a caller may have chosen, and its value.
fn seen((name, value): &Named, plan: &Plan) -> Named {
    let as_given: Vec<String> = names(name).collect();
    let masked: Vec<String> = as_given.iter().map(|name| named("", name, plan)).collect();
    let shown = if masked == as_given { Arc::clone(name) } else { masked.join(".").into() };
    (shown, named(&as_given.join("."), value, plan).into())
}

/// A text that stands under this name, as it may be seen. One that cannot be masked is not shown.
fn named(name: &str, text: &str, plan: &Plan) -> String {
    let whole = masking::http::named(name, text, plan);
    whole.map_or_else(|_| NOT_SHOWN.to_owned(), |masked| String::from_utf8_lossy(masked.bytes()).into_owned())
}

/// An effect whose arguments are as they may be seen.
fn told(effect: &Effect, plan: &Plan) -> Effect {
    let seen = |arguments: &[Named]| arguments.iter().map(|argument| seen(argument, plan)).collect();
    let object = match &effect.object {
        Object::Mcp(item) => {
            Object::Mcp(Arc::new(McpItem { arguments: seen(&item.arguments), ..McpItem::clone(item) }))
        }
        Object::GrpcCall(call) => {
            Object::GrpcCall(Arc::new(GrpcCall { arguments: seen(&call.arguments), method: call.method.clone() }))
        }
        Object::RpcCall(call) => {
            Object::RpcCall(Arc::new(RpcCall { arguments: seen(&call.arguments), method: call.method.clone() }))
        }
        other => other.clone(),
    };
    Effect { object, ..effect.clone() }
}

/// A body as far as it was read.
#[derive(Clone, Copy)]
pub(super) enum Known<'a> {
    /// There is none.
    None,
    /// Nobody has to look into it, or it was not read yet.
    Unread,
    /// All of it.
    Whole(&'a [u8]),
}

/// Whether a request has to be read to its end before it is known what it does.
pub(super) fn looks_into(place: &Place, ask: &Asked, fields: &HeaderMap) -> bool {
    place.api.looks_into(ask.method.as_str(), ask.path.as_str(), media(fields).as_ref())
}

/// What a request would do.
///
/// # Errors
/// If it is more than is looked at.
pub(super) fn understand(
    standing: &Standing,
    ask: &Asked,
    fields: &HeaderMap,
    known: Known<'_>,
) -> Result<Asking, Refusal> {
    let place = &standing.place;
    if ask.connects() {
        let request = effects::http::tunnel(ask.authority.host.trim_matches(['[', ']']), ask.authority.port);
        return Ok(Asking { told: request.effects.clone(), request, rules: Vec::new() });
    }
    let media = media(fields);
    let mut request = place.api.analyse(&call(ask, fields, media.as_ref(), known)).map_err(too_much)?;
    if place.kubernetes().is_some() && asks_to_be_another(fields) {
        request.effects.push(kubernetes::impersonation());
    }
    let rules = request.answer.rules(&place.model.name, &standing.active.classification);
    Ok(Asking { told: request.effects.clone(), request, rules })
}

/// What stands in the body of a request that the record and approvers see no more of than its caller would.
pub(super) fn sent(place: &Place, ask: &Asked) -> Arc<[FieldRule]> {
    place.api.sent(ask.method.as_str(), ask.path.as_str())
}

/// Where in what an approval is bound to the request line is over: method and host, path, query.
const BEYOND_THE_LINE: usize = 3;

/// A request as it is decided, bound to all of it that is `exact`.
pub(super) fn matter<'a>(id: RequestId, asked: &'a Request, exact: &'a [&'a str]) -> Matter<'a> {
    Matter {
        request: id,
        effects: &asked.effects,
        told: &asked.effects,
        facts: &asked.facts,
        statement: &asked.statement,
        values: &asked.values,
        shown: &asked.shown,
        exact,
        state: &[],
        // The fields that it hangs on, and the digest of the body.
        beside: exact.get(BEYOND_THE_LINE..).unwrap_or_default(),
        reason: None,
        traceparent: None,
        shows: false,
    }
}

/// All of a request that an approval is bound to.
pub(super) fn exact(ask: &Asked, fields: &HeaderMap, body: Option<&Digest>) -> Vec<String> {
    let media = media(fields);
    let call = call(ask, fields, media.as_ref(), Known::Unread);
    let preferences = fields.get_all("prefer").iter().filter_map(|value| without_wait(value.to_str().ok()?));
    let preferences: Vec<String> = preferences.collect();
    let given = fields.iter().filter(|(name, _)| name.as_str() != "prefer");
    let given = given.map(|(name, value)| (name.as_str(), value.as_bytes()));
    canonical(&call, given.chain(preferences.iter().map(|value| ("prefer", value.as_bytes()))), body)
}

/// What a caller prefers but for how long it would wait, which is for Sluice.
pub(super) fn without_wait(value: &str) -> Option<String> {
    let is_wait = |part: &&str| {
        let name = part.split(['=', ';']).next().unwrap_or_default();
        name.trim().eq_ignore_ascii_case("wait")
    };
    let others: Vec<&str> = value.split(',').filter(|part| !is_wait(part)).map(str::trim).collect();
    (!others.is_empty()).then(|| others.join(", "))
}

fn media(fields: &HeaderMap) -> Option<Media> {
    let mut all = fields.get_all(CONTENT_TYPE).iter();
    let (only, None) = (all.next()?, all.next()) else { return None };
    Media::parse(only.to_str().ok()?).ok()
}

/// How messages of gRPC are compressed, if that is said once.
fn coding(fields: &HeaderMap) -> Option<&str> {
    let mut all = fields.get_all("grpc-encoding").iter();
    let (only, None) = (all.next()?, all.next()) else { return None };
    only.to_str().ok()
}

fn call<'a>(ask: &'a Asked, fields: &'a HeaderMap, media: Option<&'a Media>, known: Known<'a>) -> Call<'a> {
    let is_encoded = fields.contains_key(CONTENT_ENCODING);
    Call {
        method: ask.method.as_str(),
        host: ask.authority.host.trim_matches(['[', ']']),
        path: ask.path.as_str(),
        query: ask.query.pairs(),
        media,
        body: match known {
            Known::None => Body::None,
            Known::Whole(bytes) if !is_encoded => Body::Whole(bytes),
            Known::Whole(_) | Known::Unread => Body::Unread,
        },
        coding: coding(fields),
        upgrade: ask.turning.is_some(),
    }
}

fn too_much(error: TooMuch) -> Refusal {
    Refusal::Malformed(hyper::StatusCode::PAYLOAD_TOO_LARGE, error.to_string())
}

/// What is known of the interfaces of a revision's targets, by their names.
///
/// # Errors
/// Every mistake in their descriptions.
pub(crate) fn apis(files: &RevisionFiles) -> Result<BTreeMap<Arc<str>, Arc<Interface>>, Vec<String>> {
    let (mut apis, mut errors) = (BTreeMap::new(), Vec::new());
    for target in &files.targets {
        let (name, Some(http)) = (&target.target.name, target.http()) else { continue };
        if http.kubernetes.is_some() {
            let unknown = kubernetes::Api::classes().filter(|class| !files.classification.classes.contains_key(class));
            errors.extend(unknown.map(|class| {
                format!("targets.toml: {name}: an API server has values of the class {class}, which is none of classification.toml's")
            }));
            apis.insert(Arc::clone(name), Arc::new(Interface::Kubernetes(kubernetes::Api)));
            continue;
        }
        let is_it = |file: &str| {
            let found = files.apis.iter().find(|api| api.path.file_name().is_some_and(|known| known == file));
            found.map(|api| api.text.as_str())
        };
        let document = http.interface.openapi.as_deref().and_then(is_it);
        let messages = match http.interface.descriptors.as_deref().and_then(is_it).map(schema).transpose() {
            Ok(messages) => messages,
            Err(error) => {
                errors.push(format!("targets.toml: {name}.descriptors: {error}"));
                continue;
            }
        };
        match Api::new(document, &declared(&patterns(&http.interface))) {
            Ok(api) => {
                let api = api.with_messages(messages).with_form_methods(http.interface.form_method_override);
                let unknown =
                    api.classes().into_iter().filter(|class| !files.classification.classes.contains_key(class));
                errors.extend(unknown.map(|class| {
                    format!("targets.toml: {name}.openapi: the class {class} is none of classification.toml's")
                }));
                apis.insert(Arc::clone(name), Arc::new(Interface::Http(api)));
            }
            Err(mistakes) => {
                errors.extend(mistakes.iter().map(|mistake| format!("targets.toml: {name}: its interface: {mistake}")));
            }
        }
    }
    if errors.is_empty() { Ok(apis) } else { Err(errors) }
}

/// A descriptor set, which a revision has in base64.
fn schema(text: &str) -> Result<Schema, SchemaError> {
    Schema::read(&STANDARD.decode(text).map_err(|_| SchemaError::Encoding)?)
}

/// The routes that a target declares, and what is spoken there.
fn patterns(interface: &HttpInterface) -> Vec<(String, Speaks)> {
    let plain = interface.routes.iter().map(|route| (route.clone(), Speaks::Http));
    let spoken =
        [(&interface.graphql, Speaks::Graphql), (&interface.json_rpc, Speaks::JsonRpc), (&interface.mcp, Speaks::Mcp)];
    let spoken =
        spoken.into_iter().flat_map(|(paths, speaks)| paths.iter().map(move |path| (format!("* {path}"), speaks)));
    let grpc = interface.grpc.then(|| ("POST /{service}/{method}".to_owned(), Speaks::Grpc));
    plain.chain(spoken).chain(grpc).collect()
}

fn declared(patterns: &[(String, Speaks)]) -> Vec<Declared<'_>> {
    patterns.iter().map(|(pattern, speaks)| Declared { pattern, operation: None, speaks: *speaks }).collect()
}

#[cfg(test)]
mod tests {
    use masking::http::{Limits, Opaque};
    use masking::{Keys, Lens, OnUnmaskable, Settings};
    use model::class::{DataClass, Transform};
    use model::decision::Reveal;
    use model::effect::{RpcMethod, Verb};

    use super::*;

    /// What is told of an argument to somebody who may see nothing that content shows.
    fn told_of(name: &str, value: &str) -> String {
        let classes = BTreeMap::from(DataClass::BUILT_IN.map(|class| (DataClass::new(class), Transform::Redact)));
        let settings = Settings { classes: &classes, on_unmaskable: OnUnmaskable::Null };
        let lens = Lens::new(&Keys::derive(&[7; 32]), settings, &mut |_| Reveal::Masked(None));
        let plan = Plan::new(&lens, &[], Opaque::Refuse, Limits::default(), &mut |_| Reveal::Masked(None));
        let method = RpcMethod { route: "/rpc".into(), method: "pay".into() };
        let call = RpcCall { method, arguments: vec![(name.into(), value.into())] };
        told(&Effect::new(Verb::RpcCall, Object::RpcCall(Arc::new(call))), &plan).to_string()
    }

    #[test]
    fn arguments_are_told_as_they_may_be_seen() {
        for (name, value, hidden) in [
            ("to.card", "4111111111111111", "4111111111111111"),
            ("customer.ssn", "219099999", "219099999"),
            ("home_phone", "0171 2345678", "2345678"),
            ("notes.4111111111111111", "x", "4111111111111111"),
            ("notes.ann@shop%2Eexample.seen", "x", "ann@"),
            ("note", "4\u{0}111111111111111", "4"),
        ] {
            assert!(!told_of(name, value).contains(hidden), "{}", told_of(name, value));
        }
        assert_eq!(told_of("a%2Eb.c%25", "7 days"), "rpc:call method pay a%2Eb.c%25=7 days");
    }

    #[test]
    fn how_long_a_caller_waits_is_not_what_it_asks_for() {
        assert_eq!(without_wait("wait=10"), None);
        assert_eq!(without_wait("return=minimal, Wait = 10"), Some("return=minimal".to_owned()));
        assert_eq!(without_wait("respond-async"), Some("respond-async".to_owned()));
    }
}
