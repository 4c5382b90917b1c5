//! gRPC: the service and the method are in the path (gRPC over HTTP/2, Requests), and what the method is called with is in a
//! message, which is looked into where it is described and there is one.

use std::borrow::Cow;
use std::sync::Arc;

use flate2::{Decompress, FlushDecompress, Status};
use model::effect::{Effect, GrpcCall, GrpcMethod, Named, Object, Route, Verb};
use model::http::protobuf::Schema;
use model::http::{Media, Syntax};

use super::answer::Answer;
use super::arguments::names;
use super::call::{Body, Call};
use super::request::{Request, line};
use super::{message, method};

/// What stands in front of a message: whether it is compressed, and its length ("Length-Prefixed-Message").
const PREFIX: usize = 5;

/// The longest message when it is decompressed, in bytes.
const LONGEST: usize = 1024 * 1024;

/// The windows of gzip: the largest that there are.
const WINDOW: u8 = 15;

/// Whether a call has to be read before it is known what it does.
pub(super) fn looks_into(path: &str, schema: Option<&Arc<Schema>>) -> bool {
    called(path).zip(schema).is_some_and(|((service, name), schema)| schema.input(service, name).is_some())
}

/// A call of gRPC; what else comes on its route is not understood.
pub(super) fn analyse(call: &Call<'_>, route: &Arc<Route>, answer: Answer, schema: Option<&Arc<Schema>>) -> Request {
    let is_grpc = call.method == "POST" && call.media.is_some_and(|media| media.syntax() == Syntax::Grpc);
    let Some((service, name)) = called(call.path).filter(|_| is_grpc) else {
        return Request::opaque("grpc", route, method::verb(call.method), answer, "a request that is no call of gRPC");
    };
    let method = GrpcMethod { route: Arc::clone(&route.path), service: service.into(), method: name.into() };
    let message = schema.and_then(|schema| schema.output(service, name));
    // Of what is not described, nothing is known of what its fields mean.
    let place = if message.is_some() { Arc::clone(&route.path) } else { Arc::clone(&answer.place) };
    let answer = Answer { is_opaque: message.is_none(), message, place, ..answer };
    let on = |object| vec![Effect::new(Verb::GrpcCall, object)];
    let input = schema.and_then(|schema| Some((schema, schema.input(service, name)?)));
    let read = input.map(|(schema, input)| arguments(call, schema, input)).transpose();
    let is_unknown = schema.is_some_and(|schema| schema.describes(service)) && answer.message.is_none();
    match read {
        Ok(Some(arguments)) => {
            let shown = shown(&arguments);
            let effects = on(Object::GrpcCall(Arc::new(GrpcCall { method, arguments })));
            Request::of("grpc", route, effects, answer).with(line(route), &shown)
        }
        Ok(None) if !is_unknown => Request::of("grpc", route, on(Object::GrpcMethod(Arc::new(method))), answer),
        Ok(None) => not_understood(route, method, answer, "a method that its service is not described to have"),
        Err(why) => not_understood(route, method, answer, why),
    }
}

/// A call of which the method is known, and no more.
fn not_understood(route: &Arc<Route>, method: GrpcMethod, answer: Answer, why: &str) -> Request {
    let called = Effect::new(Verb::GrpcCall, Object::GrpcMethod(Arc::new(method)));
    let effects = vec![called, Effect::new(Verb::Opaque, Object::Target)];
    let mut request = Request::of("grpc", route, effects, answer);
    request.facts.opaque = Some(why.into());
    request
}

/// What the one message holds, or why that is not known.
fn arguments(call: &Call<'_>, schema: &Schema, input: usize) -> Result<Vec<Named>, &'static str> {
    let body = match call.body {
        Body::Whole(body) => body,
        Body::Unread => return Err("a body that was not read"),
        Body::None => return Err("no message"),
    };
    if !call.media.is_some_and(is_protobuf) {
        return Err("messages in another coding than Protocol Buffers");
    }
    message::arguments(schema, input, &only(body, call.coding)?)
}

fn is_protobuf(media: &Media) -> bool {
    matches!(media.essence(), "application/grpc" | "application/grpc+proto")
}

/// The one message of a body, decompressed.
fn only<'a>(body: &'a [u8], coding: Option<&str>) -> Result<Cow<'a, [u8]>, &'static str> {
    let not_one = "a body that is not one message";
    let ([compressed, length @ ..], message) = body.split_first_chunk::<PREFIX>().ok_or(not_one)?;
    if usize::try_from(u32::from_be_bytes(*length)) != Ok(message.len()) {
        return Err(not_one);
    }
    match (compressed, coding) {
        (0, _) if message.len() > LONGEST => Err("a message that is too long to be looked into"),
        (0, _) => Ok(message.into()),
        (1, Some("gzip")) => inflated(message).map(Cow::Owned),
        (1, _) => Err("a message that is compressed in another way than gzip"),
        _ => Err(not_one),
    }
}

/// A message that is one member of gzip, and nothing more (RFC 1952).
fn inflated(message: &[u8]) -> Result<Vec<u8>, &'static str> {
    let (mut inflate, mut out) = (Decompress::new_gzip(WINDOW), Vec::new());
    loop {
        // The most that may still come, and one byte to know that more did.
        out.reserve(LONGEST.saturating_add(1).saturating_sub(out.len()).min(4096.max(message.len())));
        let rest = message.get(usize::try_from(inflate.total_in()).unwrap_or(usize::MAX)..).unwrap_or_default();
        let before = (inflate.total_in(), inflate.total_out());
        let status = inflate.decompress_vec(rest, &mut out, FlushDecompress::None);
        let is_stuck = before == (inflate.total_in(), inflate.total_out());
        match status.map_err(|_| "a message that cannot be decompressed")? {
            _ if out.len() > LONGEST => return Err("a message that is too long to be looked into"),
            Status::StreamEnd if usize::try_from(inflate.total_in()) == Ok(message.len()) => return Ok(out),
            Status::Ok if !is_stuck => {}
            Status::StreamEnd | Status::BufError | Status::Ok => return Err("a message that cannot be decompressed"),
        }
    }
}

/// Arguments for people, each on a line.
fn shown(arguments: &[Named]) -> String {
    arguments
        .iter()
        .map(|(name, value)| format!("{}: {value}", names(name).collect::<Vec<_>>().join(".")))
        .collect::<Vec<_>>()
        .join("\n")
}

/// The last two names of the path, if they are such as services and methods have.
fn called(path: &str) -> Option<(&str, &str)> {
    let (before, method) = path.rsplit_once('/')?;
    let (_, service) = before.rsplit_once('/')?;
    let is_name = |name: &str| {
        !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-'))
    };
    (is_name(service) && is_name(method) && !method.contains('.')).then_some((service, method))
}

#[cfg(test)]
mod tests;
