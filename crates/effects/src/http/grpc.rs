//! gRPC: the service and the method are in the path (gRPC over HTTP/2, Requests).

use std::sync::Arc;

use model::effect::{Effect, GrpcMethod, Object, Route, Verb};
use model::http::Syntax;
use model::http::protobuf::Schema;

use super::answer::Answer;
use super::call::Call;
use super::method;
use super::request::Request;

/// A call of gRPC; what else comes on its route is not understood.
pub(super) fn analyse(call: &Call<'_>, route: &Arc<Route>, answer: Answer, schema: Option<&Arc<Schema>>) -> Request {
    let is_grpc = call.method == "POST" && call.media.is_some_and(|media| media.syntax() == Syntax::Grpc);
    match called(call.path).filter(|_| is_grpc) {
        Some((service, name)) => {
            let called = GrpcMethod { route: Arc::clone(&route.path), service: service.into(), method: name.into() };
            let effects = vec![Effect::new(Verb::GrpcCall, Object::GrpcMethod(Arc::new(called)))];
            let message = schema.and_then(|schema| schema.output(service, name));
            // Of what is not described, nothing is known of what its fields mean.
            let place = if message.is_some() { Arc::clone(&route.path) } else { Arc::clone(&answer.place) };
            Request::of("grpc", route, effects, Answer { is_opaque: message.is_none(), message, place, ..answer })
        }
        None => Request::opaque("grpc", route, method::verb(call.method), answer, "a request that is no call of gRPC"),
    }
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
mod tests {
    use super::*;

    #[test]
    fn services_and_methods_are_the_last_names() {
        for (path, expected) in [
            ("/shop.v1.Orders/Get", Some(("shop.v1.Orders", "Get"))),
            ("/prefix/shop.v1.Orders/Get", Some(("shop.v1.Orders", "Get"))),
            ("/Orders/Get/", None),
            ("/Get", None),
            ("/shop.v1.Orders/Get%20", None),
            ("/shop%2FOrders/Get", None),
            ("/a/b.c", None),
            ("/", None),
        ] {
            assert_eq!(called(path), expected, "{path}");
        }
    }
}
