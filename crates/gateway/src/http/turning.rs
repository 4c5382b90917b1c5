//! Requests for another protocol on their connection (RFC 9110, section 7.8): which are understood, and what an answer has to
//! say that takes one up.

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hyper::header::{
    CONNECTION, CONTENT_LENGTH, HeaderMap, HeaderName, HeaderValue, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_EXTENSIONS,
    SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION, TRANSFER_ENCODING, UPGRADE,
};
use hyper::http::request::Parts;
use hyper::{Method, StatusCode, Version};
use wire::http::fields::ConnectionOptions;
use wire::websocket::Handshake;

use super::refusal::Refusal;

/// What the accepting side adds to the key (RFC 6455, section 1.3).
const GUID: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// What the subprotocols begin with in which a credential is handed in: that of Kubernetes, and what servers of browsers take.
const BEARERS: [&str; 4] = ["base64url.bearer.", "bearer", "authorization", "access_token"];

/// The fields of a handshake, which are written anew.
const FIELDS: [HeaderName; 5] =
    [SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_EXTENSIONS, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION];

/// The protocol that a request asks for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Turning {
    /// WebSocket (RFC 6455), without the subprotocols in which a credential is handed in (K8-11).
    WebSocket(Handshake),
    /// SPDY/3.1, which Kubernetes' streams came by before they did by WebSocket.
    Spdy,
}

/// The fields that the caller is told, and the subprotocol that was chosen.
pub(super) type TakenUp = (Vec<(HeaderName, HeaderValue)>, Option<Box<str>>);

impl Turning {
    /// What a request asks for, if it asks for another protocol.
    ///
    /// # Errors
    /// A refusal, if it is none of those, or not asked for as it has to be.
    pub(super) fn read(parts: &Parts, options: &ConnectionOptions) -> Result<Option<Self>, Refusal> {
        let fields = &parts.headers;
        if !options.upgrade() || !fields.contains_key(UPGRADE) {
            return Ok(None);
        }
        let mut protocols = fields.get_all(UPGRADE).iter();
        let (Some(protocol), None, Version::HTTP_11) = (protocols.next(), protocols.next(), parts.version) else {
            return Err(Refusal::Upgrade);
        };
        let malformed = |why: &str| Refusal::Malformed(StatusCode::BAD_REQUEST, why.to_owned());
        let has_length = fields.get(CONTENT_LENGTH).is_some_and(|length| length.as_bytes() != b"0");
        if has_length || fields.contains_key(TRANSFER_ENCODING) {
            return Err(malformed("a request for another protocol has a body"));
        }
        let protocol = protocol.as_bytes();
        if protocol.eq_ignore_ascii_case(b"SPDY/3.1") {
            return Ok(Some(Self::Spdy));
        }
        if !protocol.eq_ignore_ascii_case(b"websocket") {
            return Err(Refusal::Upgrade);
        }
        if parts.method != Method::GET {
            return Err(malformed("WebSocket is asked for by GET"));
        }
        let all = |name| fields.get_all(name).iter().map(HeaderValue::as_bytes).collect::<Vec<_>>();
        let (keys, versions) = (all(SEC_WEBSOCKET_KEY), all(SEC_WEBSOCKET_VERSION));
        let handshake = Handshake::parse(&keys, &versions, &all(SEC_WEBSOCKET_PROTOCOL));
        let mut handshake = handshake.map_err(|error| malformed(&error.to_string()))?;
        without_bearers(&mut handshake.protocols);
        Ok(Some(Self::WebSocket(handshake)))
    }

    /// Puts into a head what asks the target for it, in place of what the caller had.
    pub(super) fn ask(&self, fields: &mut HeaderMap) {
        FIELDS.iter().for_each(|name| drop(fields.remove(name)));
        fields.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
        let Self::WebSocket(handshake) = self else {
            fields.insert(UPGRADE, HeaderValue::from_static("SPDY/3.1"));
            return;
        };
        fields.insert(UPGRADE, HeaderValue::from_static("websocket"));
        fields.insert(SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
        let text = |text: &str| HeaderValue::from_str(text).ok();
        fields.extend(text(&handshake.key).map(|key| (SEC_WEBSOCKET_KEY, key)));
        if !handshake.protocols.is_empty() {
            let protocols = handshake.protocols.join(", ");
            fields.extend(text(&protocols).map(|protocols| (SEC_WEBSOCKET_PROTOCOL, protocols)));
        }
    }

    /// What an answer that takes it up has to say, and the caller is told; and the subprotocol that was chosen.
    ///
    /// # Errors
    /// A refusal, if it says anything else.
    pub(super) fn taken_up(&self, fields: &HeaderMap) -> Result<TakenUp, Refusal> {
        let broken = || Refusal::BadAnswer("the target turns to another protocol than was asked for");
        let options = ConnectionOptions::parse(fields.get_all(CONNECTION).iter().map(|value| value.as_bytes()));
        if !options.is_ok_and(|options| options.upgrade()) {
            return Err(broken());
        }
        let wanted = if *self == Self::Spdy { "SPDY/3.1" } else { "websocket" };
        let only = |name: HeaderName| {
            let mut all = fields.get_all(name).iter();
            (all.next(), all.next().is_none())
        };
        if !matches!(only(UPGRADE), (Some(value), true) if value.as_bytes().eq_ignore_ascii_case(wanted.as_bytes())) {
            return Err(broken());
        }
        let mut told = vec![
            (CONNECTION, HeaderValue::from_static("Upgrade")),
            (UPGRADE, HeaderValue::from_str(wanted).map_err(|_| broken())?),
        ];
        let Self::WebSocket(handshake) = self else { return Ok((told, None)) };
        let accept = accept(&handshake.key);
        let is_accepted = matches!(only(SEC_WEBSOCKET_ACCEPT), (Some(value), true) if *value == accept);
        if !is_accepted || fields.contains_key(SEC_WEBSOCKET_EXTENSIONS) {
            return Err(broken());
        }
        told.extend(HeaderValue::from_str(&accept).ok().map(|accept| (SEC_WEBSOCKET_ACCEPT, accept)));
        let (protocol, true) = only(SEC_WEBSOCKET_PROTOCOL) else { return Err(broken()) };
        let chosen = protocol.map(|protocol| protocol.to_str().map_err(|_| broken())).transpose()?;
        if !handshake.lets(chosen) {
            return Err(broken());
        }
        told.extend(protocol.map(|protocol| (SEC_WEBSOCKET_PROTOCOL, protocol.clone())));
        Ok((told, chosen.map(Into::into)))
    }
}

/// Whether a field is one of a handshake's, which are written anew.
pub(super) fn is_of_handshake(name: &HeaderName) -> bool {
    FIELDS.contains(name)
}

/// Leaves out what a credential is handed in by: a name that begins so, and what stands behind one that is no more than that.
fn without_bearers(protocols: &mut Vec<Box<str>>) {
    let mut is_behind = false;
    protocols.retain(|name| {
        let stays = !is_bearer(name) && !is_behind;
        is_behind = BEARERS.iter().any(|bearer| name.eq_ignore_ascii_case(bearer));
        stays
    });
}

fn is_bearer(protocol: &str) -> bool {
    let protocol = protocol.to_ascii_lowercase();
    BEARERS.iter().any(|bearer| protocol.starts_with(bearer))
}

/// What answers a key (RFC 6455, section 4.2.2).
fn accept(key: &str) -> String {
    STANDARD.encode(digest(&SHA1_FOR_LEGACY_USE_ONLY, format!("{key}{GUID}").as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";

    fn asked(more: &[(&str, &str)]) -> Result<Option<Turning>, Refusal> {
        let mut request = hyper::Request::builder().uri("/");
        for (name, value) in more {
            request = request.header(*name, *value);
        }
        let (parts, ()) = request.body(()).unwrap().into_parts();
        let options = parts.headers.get_all(CONNECTION).iter().map(|value| value.as_bytes());
        Turning::read(&parts, &ConnectionOptions::parse(options).unwrap())
    }

    const GOOD: [(&str, &str); 4] = [
        ("connection", "Upgrade"),
        ("upgrade", "websocket"),
        ("sec-websocket-version", "13"),
        ("sec-websocket-key", KEY),
    ];

    #[test]
    fn k8_11_a_bearer_among_the_subprotocols_goes_no_further() {
        for bearer in ["base64url.bearer.authorization.k8s.io.c2VjcmV0", "Bearer", "bearer.x", "access_token"] {
            let protocols = format!("v5.channel.k8s.io, {bearer}");
            let asked = asked(&[GOOD.as_slice(), &[("sec-websocket-protocol", &*protocols)]].concat());
            let Ok(Some(Turning::WebSocket(handshake))) = &asked else { panic!("{asked:?}") };
            assert_eq!(handshake.protocols.iter().map(|name| &**name).collect::<Vec<_>>(), ["v5.channel.k8s.io"]);
            let mut fields = HeaderMap::new();
            fields.insert(SEC_WEBSOCKET_EXTENSIONS, HeaderValue::from_static("permessage-deflate"));
            fields.insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_str(&protocols).unwrap());
            asked.unwrap().unwrap().ask(&mut fields);
            assert_eq!(fields[SEC_WEBSOCKET_PROTOCOL], "v5.channel.k8s.io");
            assert!(!fields.contains_key(SEC_WEBSOCKET_EXTENSIONS));
        }
    }

    #[test]
    fn k8_11_neither_does_a_token_behind_a_word_that_says_so() {
        let asked =
            asked(&[GOOD.as_slice(), &[("sec-websocket-protocol", "chat, Access_Token, abc123, soap")]].concat());
        let Ok(Some(Turning::WebSocket(handshake))) = &asked else { panic!("{asked:?}") };
        assert_eq!(handshake.protocols.iter().map(|name| &**name).collect::<Vec<_>>(), ["chat", "soap"]);
    }

    #[test]
    fn what_is_asked_for_in_no_known_way_is_refused() {
        assert_eq!(asked(&[("upgrade", "websocket")]), Ok(None));
        for (more, refused) in
            [(("upgrade", "h2c"), Refusal::Upgrade), (("upgrade", "websocket, h2c"), Refusal::Upgrade)]
        {
            assert_eq!(asked(&[("connection", "upgrade"), more]), Err(refused));
        }
        for left_out in 2..GOOD.len() {
            let rest: Vec<_> = GOOD.iter().enumerate().filter(|(at, _)| *at != left_out).map(|(_, one)| *one).collect();
            assert!(matches!(asked(&rest), Err(Refusal::Malformed(StatusCode::BAD_REQUEST, _))));
        }
        let body = asked(&[GOOD.as_slice(), &[("content-length", "1")]].concat());
        assert!(matches!(body, Err(Refusal::Malformed(StatusCode::BAD_REQUEST, _))));
    }

    #[test]
    fn k8_09_only_an_answer_that_fits_turns_the_connection() {
        let Ok(Some(turning)) = asked(&[GOOD.as_slice(), &[("sec-websocket-protocol", "a")]].concat()) else {
            panic!()
        };
        let good = [
            ("connection", "Upgrade"),
            ("upgrade", "WebSocket"),
            ("sec-websocket-accept", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="),
            ("sec-websocket-protocol", "a"),
        ];
        let answer = |fields: &[(&'static str, &'static str)]| {
            let mut all = HeaderMap::new();
            for (name, value) in fields {
                all.append(*name, HeaderValue::from_static(value));
            }
            turning.taken_up(&all).map(|(_, chosen)| chosen)
        };
        assert_eq!(answer(&good), Ok(Some("a".into())));
        assert_eq!(answer(&good[..3]), Ok(None));
        for wrong in [
            ("connection", "close"),
            ("upgrade", "h2c"),
            ("sec-websocket-accept", "s3pPLMBiTxaQ9kYGzzhZRbK+xOp="),
            ("sec-websocket-protocol", "b"),
        ] {
            let changed = good.map(|one| if one.0 == wrong.0 { wrong } else { one });
            assert!(answer(&changed).is_err(), "{wrong:?}");
            assert!(answer(&[good.as_slice(), &[good[2]]].concat()).is_err());
        }
        assert!(answer(&[good.as_slice(), &[("sec-websocket-extensions", "permessage-deflate")]].concat()).is_err());
    }
}
