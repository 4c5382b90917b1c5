//! Who is asked: one host, however often a request names it (HT-02).
//!
//! HTTP/1.1 says it in `Host` and, towards a proxy, in the request's own target; HTTP/2 in `:authority` and perhaps in `Host`;
//! TLS in the server's name. A request in which two of them differ is refused: whichever was decided on, some reader would
//! take the other.

use std::net::{Ipv4Addr, Ipv6Addr};

use model::error::ErrorKind;

/// A host and a port, in the one form that is compared.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Authority {
    /// A name in lower case without the dot at its end, an IPv4 address, or an IPv6 address in brackets.
    pub host: Box<str>,
    /// The port; where it is not said, the scheme's own.
    pub port: u16,
}

/// All that a request and its connection say of who is asked.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Claims<'a> {
    /// The authority of an absolute request target, or of `CONNECT`, or `:authority`.
    pub target: Option<&'a [u8]>,
    /// Every `Host` field, as it came.
    pub hosts: &'a [&'a [u8]],
    /// The server's name in the TLS handshake.
    pub server_name: Option<&'a str>,
    /// The port of the scheme: 443 with TLS, 80 without.
    pub default_port: u16,
}

/// Nobody, or more than one, is asked.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum AuthorityError {
    /// Neither `Host` nor another one.
    #[error("the request does not say which host it is for")]
    Missing,
    /// More than one `Host` field (RFC 9112, section 3.2).
    #[error("the request has more than one Host field")]
    Several,
    /// No host, or no port where one has to be; with a user in front of it, or with what names do not have.
    #[error("the request's host is malformed")]
    Malformed,
    /// `Host` is for another one than the request's target.
    #[error("the Host field and the request's target name different hosts")]
    Differ,
    /// The TLS handshake was for another one.
    #[error("the request is for another host than its connection")]
    OtherConnection,
}

impl AuthorityError {
    /// Always the client's doing.
    pub const fn kind(&self) -> ErrorKind {
        ErrorKind::Client
    }

    /// What it is answered with: 421 where another connection would do (RFC 9110, section 15.5.20).
    pub const fn status(&self) -> u16 {
        match self {
            Self::OtherConnection => 421,
            Self::Missing | Self::Several | Self::Malformed | Self::Differ => 400,
        }
    }
}

impl Authority {
    /// The longest name of a host (RFC 1035, section 2.3.4), in bytes.
    pub const MOST_OF_A_HOST: usize = 253;

    /// Reads `host` or `host:port`.
    ///
    /// # Errors
    /// [`AuthorityError::Malformed`].
    pub fn parse(raw: &[u8], default_port: u16) -> Result<Self, AuthorityError> {
        Self::read(raw, default_port).ok_or(AuthorityError::Malformed)
    }

    fn read(raw: &[u8], default_port: u16) -> Option<Self> {
        let text = std::str::from_utf8(raw).ok()?;
        let (host, port) = match text.strip_prefix('[') {
            Some(rest) => {
                let (address, behind) = rest.split_once(']')?;
                let address: Ipv6Addr = address.parse().ok()?;
                (format!("[{address}]"), if behind.is_empty() { None } else { Some(behind.strip_prefix(':')?) })
            }
            None => {
                let (host, port) = text.split_once(':').map_or((text, None), |(host, port)| (host, Some(port)));
                (name(host)?, port)
            }
        };
        let port = match port {
            None | Some("") => default_port,
            Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => digits.parse().ok()?,
            Some(_) => return None,
        };
        Some(Self { host: host.into(), port })
    }

    /// The one that all claims agree on.
    ///
    /// # Errors
    /// [`AuthorityError`].
    pub fn agreed(claims: &Claims<'_>) -> Result<Self, AuthorityError> {
        let host = match claims.hosts {
            [] => None,
            [host] => Some(Self::parse(host, claims.default_port)?),
            _ => return Err(AuthorityError::Several),
        };
        let target = claims.target.map(|target| Self::parse(target, claims.default_port)).transpose()?;
        let agreed = match (target, host) {
            (Some(target), Some(host)) if target != host => return Err(AuthorityError::Differ),
            (Some(agreed), _) | (None, Some(agreed)) => agreed,
            (None, None) => return Err(AuthorityError::Missing),
        };
        match claims.server_name {
            Some(name) if !agreed.is_host(name) => Err(AuthorityError::OtherConnection),
            Some(_) | None => Ok(agreed),
        }
    }

    /// Whether this is the host of that name; an IPv6 address may be with or without brackets.
    pub fn is_host(&self, name: &str) -> bool {
        let same = |name: &str| Self::read(name.as_bytes(), self.port).is_some_and(|other| other == *self);
        !name.contains('/') && (same(name) || same(&format!("[{name}]")))
    }
}

impl std::fmt::Display for Authority {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "{}:{}", self.host, self.port)
    }
}

/// A name as it is compared. One that ends in a number has to be an address in its usual form, as some resolvers read
/// `0x7f.1` and `127.1` as addresses, too.
fn name(host: &str) -> Option<String> {
    let host = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
    let is_label = |label: &str| {
        !label.is_empty()
            && label.len() <= 63
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
    };
    if host.len() > Authority::MOST_OF_A_HOST || !host.split('.').all(is_label) {
        return None;
    }
    let last = host.rsplit('.').next().unwrap_or_default();
    let is_number = last.bytes().all(|byte| byte.is_ascii_digit()) || last.starts_with("0x");
    (!is_number || host.parse::<Ipv4Addr>().is_ok()).then_some(host)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parsed(raw: &str) -> Option<String> {
        Authority::parse(raw.as_bytes(), 443).ok().map(|authority| authority.to_string())
    }

    #[test]
    fn a_host_has_one_form() {
        for (raw, expected) in [
            ("api.example", "api.example:443"),
            ("API.Example.", "api.example:443"),
            ("api.example:", "api.example:443"),
            ("api.example:8080", "api.example:8080"),
            ("xn--bcher-kva.example", "xn--bcher-kva.example:443"),
            ("my_service", "my_service:443"),
            ("127.0.0.1:80", "127.0.0.1:80"),
            ("[2001:DB8::0001]", "[2001:db8::1]:443"),
            ("[::1]:8443", "[::1]:8443"),
        ] {
            assert_eq!(parsed(raw).as_deref(), Some(expected), "{raw}");
        }
        for raw in [
            "",
            ":80",
            ".",
            "a..b",
            ".a",
            "a b",
            " a",
            "a ",
            "a\t",
            "user@a",
            "user:pw@a",
            "a/b",
            "a?b",
            "a#b",
            "a,b",
            "é",
            "%61",
            "a:b",
            "a:+80",
            "a:80:80",
            "a:65536",
            "a:-1",
            "::1",
            "[::1",
            "[::1]x",
            "[a]",
            "[::1%25eth0]",
            "a\0",
            "a\\b",
            "0x7f.1",
            "127.1",
            "2130706433",
            "1.2.3.256",
            "0x7f000001",
            "01.2.3.4",
        ] {
            assert_eq!(parsed(raw), None, "{raw:?}");
        }
        let name = |length: usize| ["a".repeat(63), "b".repeat(63), "c".repeat(63), "d".repeat(length)].join(".");
        assert!(parsed(&name(61)).is_some() && parsed(&name(62)).is_none());
        assert!(parsed(&"a".repeat(63)).is_some() && parsed(&"a".repeat(64)).is_none());
    }

    #[test]
    fn ht_02_all_that_name_the_host_agree() {
        use AuthorityError::{Differ, Malformed, Missing, OtherConnection, Several};
        let agreed = |target: Option<&str>, hosts: &[&str], server_name: Option<&str>| {
            let hosts: Vec<&[u8]> = hosts.iter().map(|host| host.as_bytes()).collect();
            let target = target.map(str::as_bytes);
            Authority::agreed(&Claims { target, hosts: &hosts, server_name, default_port: 443 })
                .map(|authority| authority.to_string())
        };
        let fine = Ok("a.example:443".to_owned());
        assert_eq!(agreed(None, &["a.example"], None), fine);
        assert_eq!(agreed(None, &["A.example."], Some("a.EXAMPLE")), fine);
        assert_eq!(agreed(Some("a.example"), &["a.example:443"], Some("a.example")), fine);
        assert_eq!(agreed(Some("a.example"), &[], None), fine);
        assert_eq!(agreed(Some("[::1]"), &[], Some("::1")), Ok("[::1]:443".to_owned()));
        for (target, hosts, server_name, error) in [
            (None, &[][..], None, Missing),
            (None, &[], Some("a.example"), Missing),
            (None, &["a.example", "a.example"], None, Several),
            (None, &["a.example", "b.example"], None, Several),
            (Some("a.example"), &["b.example"], None, Differ),
            (Some("a.example"), &["a.example:8443"], None, Differ),
            (Some("a.example"), &[""], None, Malformed),
            (Some("evil@a.example"), &["a.example"], None, Malformed),
            (None, &["a.example, b.example"], None, Malformed),
            (None, &["b.example"], Some("a.example"), OtherConnection),
            (Some("b.example"), &["b.example"], Some("a.example"), OtherConnection),
            (None, &["a.example"], Some("a.example/x"), OtherConnection),
        ] {
            assert_eq!(agreed(target, hosts, server_name), Err(error), "{target:?} {hosts:?} {server_name:?}");
        }
        assert_eq!((OtherConnection.status(), Differ.status(), Differ.kind()), (421, 400, ErrorKind::Client));
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_alike(raw in "[a-cA-C0-9.:_\\[\\]x-]{0,16}") {
            if let Ok(authority) = Authority::parse(raw.as_bytes(), 80) {
                let again = Authority::parse(authority.to_string().as_bytes(), 1);
                prop_assert_eq!(again.as_ref(), Ok(&authority));
                prop_assert!(authority.is_host(&authority.host));
            }
        }
    }
}
