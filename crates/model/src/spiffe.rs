//! SPIFFE names, and a trust domain as the configuration meant it.

use std::sync::Arc;

use crate::issuer::Issuer;

/// The longest SPIFFE id, in bytes (SPIFFE-ID, section 2.3).
const MAX_ID: usize = 2048;
/// The longest name of a trust domain, in bytes (SPIFFE-ID, section 2.1).
const MAX_TRUST_DOMAIN: usize = 255;

/// The SPIFFE id of a workload: `spiffe://trust-domain/path`, in the one form that it can be written in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SpiffeId<'a> {
    text: &'a str,
    trust_domain: &'a str,
    path: &'a str,
}

impl<'a> SpiffeId<'a> {
    /// Reads an id (SPIFFE-ID, section 2). `None` unless it is well formed to the letter and has a path: an id without
    /// one names a trust domain, which is no workload (X509-SVID, section 3.1).
    pub fn parse(text: &'a str) -> Option<Self> {
        let rest = text.strip_prefix("spiffe://").filter(|_| text.len() <= MAX_ID)?;
        let (trust_domain, path) = rest.split_at_checked(rest.find('/')?)?;
        let segments = path.strip_prefix('/')?;
        let is_valid = is_trust_domain(trust_domain) && segments.split('/').all(is_segment);
        is_valid.then_some(Self { text, trust_domain, path: segments })
    }

    /// The whole id.
    pub const fn as_str(&self) -> &'a str {
        self.text
    }

    /// The name of its trust domain.
    pub const fn trust_domain(&self) -> &'a str {
        self.trust_domain
    }

    fn segments(&self) -> impl Iterator<Item = &'a str> + use<'a> {
        self.path.split('/')
    }
}

/// Whether `text` is the name of a trust domain (SPIFFE-ID, section 2.1).
pub fn is_trust_domain(text: &str) -> bool {
    let is_allowed = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'-' | b'_');
    (1..=MAX_TRUST_DOMAIN).contains(&text.len()) && text.bytes().all(is_allowed)
}

/// Whether `text` may stand between two slashes of a path (SPIFFE-ID, section 2.2).
fn is_segment(text: &str) -> bool {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
    !text.is_empty() && text != "." && text != ".." && text.bytes().all(is_allowed)
}

/// Which paths of a trust domain: `/ns/orders/sa/*`, where `*` is any one segment, and `/**` at the end is anything below.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PathPattern {
    /// `None` is any segment.
    segments: Vec<Option<Arc<str>>>,
    /// Whether more segments may follow, and one must.
    is_open: bool,
}

impl PathPattern {
    /// Reads a pattern; `None` if it could match no path.
    pub fn parse(text: &str) -> Option<Self> {
        let (segments, is_open) = match text.strip_prefix('/')? {
            "**" => return Some(Self { segments: Vec::new(), is_open: true }),
            path => path.strip_suffix("/**").map_or((path, false), |above| (above, true)),
        };
        let segment = |text: &str| match text {
            "*" => Some(None),
            _ => is_segment(text).then(|| Some(Arc::from(text))),
        };
        Some(Self { segments: segments.split('/').map(segment).collect::<Option<_>>()?, is_open })
    }

    /// Whether the id's path is one of these.
    pub fn matches(&self, id: &SpiffeId<'_>) -> bool {
        let mut path = id.segments();
        let fits = |segment: &Option<Arc<str>>| {
            path.next().is_some_and(|text| segment.as_ref().is_none_or(|wanted| **wanted == *text))
        };
        self.segments.iter().all(fits) && path.next().is_some() == self.is_open
    }
}

/// A SPIFFE trust domain that Sluice believes about its own workloads.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TrustDomain {
    /// Its name, such as `prod.example`.
    pub name: Arc<str>,
    /// What its subjects and groups are prefixed with, and what to believe of its JWT-SVIDs. Without an audience, none is.
    pub issuer: Arc<Issuer>,
    /// Whether an X.509-SVID alone says who the caller is. If not, a client certificate is only what a token may be bound
    /// to.
    pub certificates: bool,
    /// The groups of its workloads, by path, without the alias.
    pub groups: Vec<(Arc<str>, Vec<PathPattern>)>,
}

impl TrustDomain {
    /// The groups of a workload as policies name them, sorted and each once.
    pub fn groups_of(&self, id: &SpiffeId<'_>) -> Vec<Arc<str>> {
        let is_in = |(_, patterns): &&(Arc<str>, Vec<PathPattern>)| patterns.iter().any(|pattern| pattern.matches(id));
        let named = self.groups.iter().filter(is_in).map(|(group, _)| format!("{}|{group}", self.issuer.alias).into());
        let mut groups: Vec<Arc<str>> = named.collect();
        groups.sort();
        groups.dedup();
        groups
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_has_one_form() {
        let id = SpiffeId::parse("spiffe://prod.acme/ns/etl/sa/loader").unwrap();
        assert_eq!((id.trust_domain(), id.path), ("prod.acme", "ns/etl/sa/loader"));
        for wrong in [
            "",
            "spiffe://prod.acme",
            "spiffe://prod.acme/",
            "spiffe:///x",
            "spiffe://prod.acme/a/",
            "spiffe://prod.acme//a",
            "spiffe://prod.acme/./a",
            "spiffe://prod.acme/../a",
            "spiffe://prod.acme/a%2fb",
            "spiffe://prod.acme/a?b",
            "spiffe://prod.acme/a#b",
            "spiffe://prod.acme/ä",
            "spiffe://Prod.acme/a",
            "SPIFFE://prod.acme/a",
            "spiffe://prod.acme:443/a",
            "spiffe://me@prod.acme/a",
            "https://prod.acme/a",
        ] {
            assert_eq!(SpiffeId::parse(wrong), None, "{wrong}");
        }
        let long = |length: usize| format!("spiffe://a/{}", "x".repeat(length - "spiffe://a/".len()));
        assert!(SpiffeId::parse(&long(2048)).is_some() && SpiffeId::parse(&long(2049)).is_none());
        let named = |length: usize| format!("spiffe://{}/x", "a".repeat(length));
        assert!(SpiffeId::parse(&named(255)).is_some() && SpiffeId::parse(&named(256)).is_none());
    }

    #[test]
    fn a_pattern_is_of_whole_segments() {
        let matches = |pattern: &str, path: &str| {
            let id = format!("spiffe://prod{path}");
            PathPattern::parse(pattern).unwrap().matches(&SpiffeId::parse(&id).unwrap())
        };
        assert!(matches("/ns/orders/sa/api", "/ns/orders/sa/api"));
        assert!(matches("/ns/*/sa/api", "/ns/orders/sa/api"));
        assert!(matches("/ns/orders/**", "/ns/orders/sa/api"));
        assert!(matches("/**", "/x"));
        for (pattern, path) in [
            ("/ns/orders", "/ns/orders/sa"),
            ("/ns/orders/**", "/ns/orders"),
            ("/ns/orders/**", "/ns/orders2/sa"),
            ("/ns/*", "/ns/a/b"),
            ("/ns/*", "/ns"),
            ("/ns/a", "/ns/A"),
        ] {
            assert!(!matches(pattern, path), "{pattern} {path}");
        }
        for wrong in ["", "ns", "/", "/ns//a", "/ns/a*", "/**/a", "/ns/", "/ns/../a"] {
            assert_eq!(PathPattern::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn groups_come_from_the_path_and_carry_the_alias() {
        let group = |name: &str, patterns: &[&str]| {
            let patterns = patterns.iter().map(|pattern| PathPattern::parse(pattern).unwrap()).collect();
            (Arc::from(name), patterns)
        };
        let domain = TrustDomain {
            name: "prod.acme".into(),
            issuer: Arc::new(Issuer::new("prod", "spiffe://prod.acme", "sluice")),
            certificates: true,
            groups: vec![group("orders", &["/ns/orders/**", "/orders"]), group("all", &["/**"]), group("no", &["/no"])],
        };
        let groups = domain.groups_of(&SpiffeId::parse("spiffe://prod.acme/ns/orders/sa/api").unwrap());
        assert_eq!(groups, [Arc::from("prod|all"), Arc::from("prod|orders")]);
    }
}
