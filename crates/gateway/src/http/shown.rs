//! Which fields of an answer a caller gets, and what has to be said otherwise in them because it asked Sluice and not the
//! target (HT-07).

use std::sync::Arc;

use hyper::header::{
    CONNECTION, CONTENT_LOCATION, HeaderMap, HeaderName, HeaderValue, LOCATION, SET_COOKIE, STRICT_TRANSPORT_SECURITY,
};
use wire::http::Authority;
use wire::http::fields::{ConnectionOptions, answer_passes};

use super::asking::written;
use super::forward::is_own_cookie;

/// What a target says of a name that is Sluice's, and others' behind it: by which other way it is reached, how it must be, what is
/// to be forgotten of it.
const OF_THE_NAME: [&str; 7] =
    ["alt-svc", "alt-used", "clear-site-data", "public-key-pins", "public-key-pins-report-only", "expect-ct", "nel"];

/// How the caller came.
#[derive(Clone, Debug)]
pub(super) struct Came {
    /// By which host.
    pub(super) host: Authority,
    /// Below which path, if so.
    pub(super) prefix: Option<Arc<str>>,
    /// What the target is called.
    pub(super) authority: Arc<str>,
}

impl Came {
    /// The fields of an answer that pass, as they are to be said. What its `Connection` names does not; nothing passes of an
    /// answer whose `Connection` is malformed.
    pub(super) fn passing(&self, given: &HeaderMap) -> Option<Vec<(HeaderName, HeaderValue)>> {
        let options = given.get_all(CONNECTION).iter().map(|value| value.as_bytes());
        let options = ConnectionOptions::parse(options).ok()?;
        let mut passing = Vec::with_capacity(given.len());
        for (name, value) in given {
            let text = name.as_str();
            let passes = answer_passes(text) && !options.names(text) && !OF_THE_NAME.contains(&text);
            if !passes || *name == STRICT_TRANSPORT_SECURITY {
                continue;
            }
            let value = match name {
                _ if *name == SET_COOKIE => self.cookie(value),
                _ if *name == LOCATION || *name == CONTENT_LOCATION => Some(self.location(value)),
                _ => Some(value.clone()),
            };
            passing.extend(value.map(|value| (name.clone(), value)));
        }
        Some(passing)
    }

    /// A place of the target, as the caller reaches it through Sluice. Others stay what they are.
    fn location(&self, value: &HeaderValue) -> HeaderValue {
        let Ok(text) = value.to_str() else { return value.clone() };
        let prefix = self.prefix.as_deref().unwrap_or_default();
        let own = ["https://", "http://"].iter().find_map(|scheme| {
            let rest = text.strip_prefix(scheme)?.strip_prefix(&*self.authority)?;
            (rest.is_empty() || rest.starts_with(['/', '?', '#'])).then_some(rest)
        });
        let said = match own {
            Some(rest) => format!("https://{}{prefix}{rest}", written(&self.host)),
            None if text.starts_with('/') && !text.starts_with("//") => format!("{prefix}{text}"),
            None => return value.clone(),
        };
        HeaderValue::from_str(&said).unwrap_or_else(|_| value.clone())
    }

    /// A cookie of the target's. Below a path it is for that path alone: others' targets are beside it.
    fn cookie(&self, value: &HeaderValue) -> Option<HeaderValue> {
        let text = value.to_str().ok()?;
        let mut parts = text.split(';');
        let pair = parts.next().unwrap_or_default();
        if is_own_cookie(pair.split('=').next().unwrap_or_default()) {
            return None;
        }
        let Some(prefix) = &self.prefix else { return Some(value.clone()) };
        let (mut said, mut path) = (pair.to_owned(), "/");
        for part in parts {
            let (name, value) = part.split_once('=').map_or((part, ""), |(name, value)| (name, value.trim()));
            match name.trim().to_ascii_lowercase().as_str() {
                "path" if value.starts_with('/') => path = value,
                "path" | "domain" => {}
                _ => said.push_str(&format!(";{part}")),
            }
        }
        said.push_str(&format!("; Path={prefix}{}", if path == "/" { "" } else { path }));
        HeaderValue::from_str(&said).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn came(prefix: Option<&str>) -> Came {
        let host = Authority { host: "sluice.example".into(), port: 8443 };
        Came { host, prefix: prefix.map(Into::into), authority: "billing.internal:8080".into() }
    }

    fn shown(came: &Came, name: &'static str, value: &str) -> Option<String> {
        let mut given = HeaderMap::new();
        given.insert(name, value.parse().unwrap());
        let passing = came.passing(&given).unwrap();
        passing.first().map(|(_, value)| value.to_str().unwrap().to_owned())
    }

    #[test]
    fn ht_07_what_a_target_says_of_sluices_own_name_does_not_pass() {
        for (name, value) in [
            ("alt-svc", "h3=\":443\""),
            ("strict-transport-security", "max-age=1"),
            ("clear-site-data", "\"*\""),
            ("connection", "close"),
            ("transfer-encoding", "chunked"),
            ("sluice-request", "forged"),
            ("set-cookie", "sluice_session=stolen"),
            ("set-cookie", "__Host-sluice=stolen; Path=/"),
        ] {
            assert_eq!(shown(&came(None), name, value), None, "{name}: {value}");
        }
        assert_eq!(shown(&came(None), "set-cookie", "a=1; Path=/x").as_deref(), Some("a=1; Path=/x"));
    }

    #[test]
    fn a_field_that_connection_names_does_not_pass() {
        let mut given = HeaderMap::new();
        given.insert("connection", HeaderValue::from_static("x-hop"));
        given.insert("x-hop", HeaderValue::from_static("1"));
        given.insert("x-end", HeaderValue::from_static("1"));
        let passing = came(None).passing(&given).unwrap();
        assert_eq!(passing.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["x-end"]);
        given.insert("connection", HeaderValue::from_static("content-type"));
        assert_eq!(came(None).passing(&given), None);
    }

    #[test]
    fn a_place_of_the_target_is_one_behind_sluice() {
        let below = came(Some("/billing"));
        for (given, alone, prefixed) in [
            ("/v1/x?a=1", "/v1/x?a=1", "/billing/v1/x?a=1"),
            (
                "https://billing.internal:8080/v1",
                "https://sluice.example:8443/v1",
                "https://sluice.example:8443/billing/v1",
            ),
            ("http://billing.internal:8080", "https://sluice.example:8443", "https://sluice.example:8443/billing"),
            ("https://billing.internal:80801/", "https://billing.internal:80801/", "https://billing.internal:80801/"),
            (
                "https://billing.internal:8080.evil/",
                "https://billing.internal:8080.evil/",
                "https://billing.internal:8080.evil/",
            ),
            ("//other/x", "//other/x", "//other/x"),
            ("relative", "relative", "relative"),
        ] {
            assert_eq!(shown(&came(None), "location", given).as_deref(), Some(alone));
            assert_eq!(shown(&below, "location", given).as_deref(), Some(prefixed));
        }
    }

    #[test]
    fn a_cookie_stays_below_the_path_of_its_target() {
        let below = came(Some("/billing"));
        for (given, said) in [
            ("a=1", "a=1; Path=/billing"),
            ("a=1; Path=/; Secure", "a=1; Secure; Path=/billing"),
            ("a=1; HttpOnly; path=/v1; Domain=sluice.example", "a=1; HttpOnly; Path=/billing/v1"),
        ] {
            assert_eq!(shown(&below, "set-cookie", given).as_deref(), Some(said));
        }
    }
}
