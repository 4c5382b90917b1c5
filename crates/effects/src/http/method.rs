//! Methods of HTTP as verbs (HT-04).

use model::effect::Verb;

/// The verb of a method. Methods have case, and what is not one that HTTP defines (RFC 9110, section 9.3; RFC 5789) is
/// another one, though it look like it: some servers take `get` for GET.
pub(super) fn verb(method: &str) -> Verb {
    match method {
        "GET" => Verb::Get,
        "HEAD" => Verb::Head,
        "OPTIONS" => Verb::Options,
        "POST" => Verb::Post,
        "PUT" => Verb::Put,
        "PATCH" => Verb::Patch,
        "DELETE" => Verb::DeleteRoute,
        "TRACE" => Verb::Trace,
        "CONNECT" => Verb::Tunnel,
        _ => Verb::OtherMethod,
    }
}

/// Names under which frameworks take another method from the query of a POST.
const OVERRIDES: [&str; 4] = ["_method", "x-http-method-override", "x-http-method", "$method"];

/// The methods that the query asks for in place of the one that was sent.
pub(super) fn overridden<'a>(method: &str, query: &'a [super::Pair]) -> impl Iterator<Item = &'a str> {
    let may_override = method == "POST";
    let asks = move |(name, value): &'a super::Pair| {
        let is_override = OVERRIDES.iter().any(|known| name.eq_ignore_ascii_case(known));
        (may_override && is_override).then_some(value.as_deref()?)
    };
    query.iter().filter_map(asks)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ht_04_every_method_is_explicit() {
        for (method, expected) in [
            ("GET", "http:get"),
            ("HEAD", "http:head"),
            ("OPTIONS", "http:options"),
            ("POST", "http:post"),
            ("PUT", "http:put"),
            ("PATCH", "http:patch"),
            ("DELETE", "http:delete"),
            ("TRACE", "http:trace"),
            ("CONNECT", "http:connect"),
            ("PROPFIND", "http:other"),
            ("get", "http:other"),
            ("Post", "http:other"),
            ("", "http:other"),
        ] {
            assert_eq!(verb(method).as_str(), expected, "{method}");
        }
    }
}
