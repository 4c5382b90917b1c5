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
    let asks = move |(name, value): &'a super::Pair| (may_override && is_override(name)).then_some(value.as_deref()?);
    query.iter().filter_map(asks)
}

/// Whether frameworks take a method from what stands under this name. PHP leaves out blanks in front, reads up to a NUL, and
/// takes `.`, ` ` and `[` for `_` (`php_register_variable_ex`); others leave out brackets around a name.
pub(super) fn is_override(name: &str) -> bool {
    let name = name.split('\0').next().unwrap_or_default().trim();
    let bare = name.trim_start_matches(['[', ']']).trim_end_matches(']');
    let folded = name.replace(['.', ' ', '['], "_");
    OVERRIDES.iter().any(|known| folded.eq_ignore_ascii_case(known) || bare.eq_ignore_ascii_case(known))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ht_04_names_that_ask_for_a_method_are_known_in_each_spelling() {
        for name in [
            "_method",
            "_METHOD",
            " _method",
            ".method",
            "[method",
            "_method\0x",
            "X-HTTP-Method-Override",
            "[_method]",
            "_method]",
            "[[_method",
        ] {
            assert!(is_override(name), "{name}");
        }
        for name in ["method", "_method_", "_method[]", "my_method", "x_http_method", ""] {
            assert!(!is_override(name), "{name}");
        }
    }

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
