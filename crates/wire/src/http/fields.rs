//! Which fields of a message pass, and which never do (HT-01, HT-04, HT-06).
//!
//! Many servers hand fields to programs as variables, in which every sign is a `_`: there `X_Forwarded_User` and
//! `X-Forwarded-User` are one. So names are compared in a form without that difference ([`normal`]).

use std::borrow::Cow;
use std::collections::BTreeSet;

use model::error::ErrorKind;

/// What becomes of a field on its way to a target.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Fate {
    /// It passes.
    Passes,
    /// It was for Sluice alone: it is about the connection (RFC 9110, section 7.6.1), or its body's frame.
    Hop,
    /// It says who the caller is, in a way that a target could believe.
    Identity,
    /// It says where the request came from or was sent to, or asks for another path or host than the one that was decided on.
    Routing,
    /// It asks for another method than the one that was decided on.
    Method,
    /// It is a credential for Sluice.
    Credential,
    /// It is for Sluice: its name is one of Sluice's own.
    Own,
}

/// Fields about a connection or a frame. `Proxy-Connection` was never in a standard, but clients send it.
const HOP: [&str; 12] = [
    "connection",
    "keep-alive",
    "proxy-connection",
    "proxy-authenticate",
    "proxy-authentication-info",
    "proxy-status",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "http2-settings",
    "expect",
];

/// Fields by which proxies in common use tell a server whom they have verified.
const IDENTITY: [&str; 22] = [
    "remote-user",
    "remote-groups",
    "remote-name",
    "remote-email",
    "x-remote-user",
    "x-remote-group",
    "x-user",
    "x-user-id",
    "x-user-email",
    "x-username",
    "x-groups",
    "x-roles",
    "x-email",
    "x-webauth-user",
    "x-authenticated-user",
    "x-authenticated-userid",
    "x-authenticated-groups",
    "x-consumer-id",
    "x-consumer-username",
    "x-credential-identifier",
    "x-wsse",
    "client-cert",
];

/// What such names begin with.
const IDENTITY_PREFIXES: [&str; 18] = [
    "x-forwarded-user",
    "x-forwarded-email",
    "x-forwarded-groups",
    "x-forwarded-preferred-username",
    "x-forwarded-access-token",
    "x-forwarded-client-cert",
    "x-forwarded-tls-client-cert",
    "x-auth-request-",
    "x-remote-extra-",
    "x-goog-authenticated-user",
    "x-goog-iap-jwt",
    "x-amzn-oidc-",
    "x-ms-client-principal",
    "x-ms-token-",
    "x-ssl-client-",
    "ssl-client-",
    "x-client-cert",
    "impersonate-",
];

/// Fields that say how a request came, or that some servers take for its path, host or scheme.
const ROUTING: [&str; 25] = [
    "forwarded",
    "via",
    "x-real-ip",
    "x-client-ip",
    "client-ip",
    "x-cluster-client-ip",
    "true-client-ip",
    "cf-connecting-ip",
    "fastly-client-ip",
    "x-azure-clientip",
    "x-appengine-user-ip",
    "x-remote-ip",
    "x-remote-addr",
    "x-original-url",
    "x-original-uri",
    "x-original-host",
    "x-rewrite-url",
    "x-host",
    "x-http-host-override",
    "x-http-destinationurl",
    "x-proxy-url",
    "x-url-scheme",
    "front-end-https",
    "x-arr-ssl",
    "destination-host",
];

/// What such names begin with. `X-Forwarded-User` and its like are identity before they are this.
const ROUTING_PREFIXES: [&str; 5] = ["x-forwarded", "x-envoy-", "x-original-forwarded", "x-waws-", "x-middleware-"];

/// Fields that ask for another method (HT-04).
const METHOD: [&str; 4] = ["x-http-method-override", "x-http-method", "x-method-override", "x-original-method"];

/// Credentials that are for whoever is asked directly, which is Sluice.
const CREDENTIALS: [&str; 3] = ["authorization", "proxy-authorization", "dpop"];

/// What Sluice's own names begin with: the reason of a request, and the signed word on who it is.
const OWN_PREFIXES: [&str; 2] = ["sluice-", "x-sluice-"];

/// Fields that a `Connection` may not take out: they say what the message is, and a target that gets it without them reads
/// another one (RFC 9110, section 7.6.1, forbids it).
const END_TO_END: [&str; 12] = [
    "host",
    "content-length",
    "content-type",
    "content-encoding",
    "content-range",
    "authorization",
    "cookie",
    "cache-control",
    "range",
    "if-match",
    "if-none-match",
    "origin",
];

/// What a message says of its fields cannot be.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum FieldError {
    /// A `Connection` that is no list of names.
    #[error("the Connection field is malformed")]
    Connection,
    /// A `Connection` that names a field which is not about the connection.
    #[error("the Connection field names a field that is not about the connection")]
    EndToEnd,
    /// More options than [`ConnectionOptions::MOST`].
    #[error("the Connection field has more than {} options", ConnectionOptions::MOST)]
    TooMany,
}

impl FieldError {
    /// Always the sender's doing.
    pub const fn kind(&self) -> ErrorKind {
        ErrorKind::Client
    }
}

/// A name as it is compared: in lower case, and every sign a `-`.
pub fn normal(name: &str) -> Cow<'_, str> {
    let is_normal = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    if name.bytes().all(is_normal) {
        return Cow::Borrowed(name);
    }
    let plain = |character: char| match character.is_ascii_alphanumeric() {
        true => character.to_ascii_lowercase(),
        false => '-',
    };
    Cow::Owned(name.chars().map(plain).collect())
}

/// What becomes of a caller's field, but for what `Connection` names ([`ConnectionOptions`]) and what the target's own
/// credential stands in.
pub fn request_fate(name: &str) -> Fate {
    let written = name.trim();
    let name = &*normal(written);
    // The library does not know it for what it is, but a server behind may.
    let is_disguised = !written.eq_ignore_ascii_case(name) && END_TO_END.contains(&name);
    let begins = |prefixes: &[&str]| prefixes.iter().any(|prefix| name.starts_with(prefix));
    if HOP.contains(&name) {
        Fate::Hop
    } else if METHOD.contains(&name) {
        Fate::Method
    } else if CREDENTIALS.contains(&name) {
        Fate::Credential
    } else if begins(&OWN_PREFIXES) {
        Fate::Own
    } else if IDENTITY.contains(&name) || begins(&IDENTITY_PREFIXES) {
        Fate::Identity
    } else if ROUTING.contains(&name) || begins(&ROUTING_PREFIXES) || is_disguised {
        Fate::Routing
    } else {
        Fate::Passes
    }
}

/// Whether a field of a target's answer passes to the caller, but for what `Connection` names. What the caller's own browser
/// is told of Sluice's name is the gateway's to say.
pub fn answer_passes(name: &str) -> bool {
    let name = normal(name.trim());
    !HOP.contains(&&*name) && !OWN_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}

/// Whether a field may stand behind the body, on either way: none that frames, routes, says who it is or changes what the
/// head said (RFC 9110, section 6.5.1). A merge of trailers into the head then changes nothing that was decided on.
pub fn trailer_passes(name: &str) -> bool {
    const NEVER: [&str; 20] = [
        "host",
        "content-length",
        "content-type",
        "content-encoding",
        "content-range",
        "content-disposition",
        "content-location",
        "cache-control",
        "cookie",
        "set-cookie",
        "age",
        "expires",
        "date",
        "location",
        "retry-after",
        "vary",
        "www-authenticate",
        "max-forwards",
        "pragma",
        "range",
    ];
    let normal = normal(name.trim());
    let is_condition = normal.starts_with("if-") || normal.starts_with("access-control-");
    request_fate(name) == Fate::Passes && !is_condition && !NEVER.contains(&&*normal)
}

/// What `Connection` names: fields that are for Sluice alone.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ConnectionOptions(BTreeSet<String>);

impl ConnectionOptions {
    /// How many there may be.
    pub const MOST: usize = 16;

    /// Reads every `Connection` field of a message.
    ///
    /// # Errors
    /// [`FieldError`].
    pub fn parse<'a>(values: impl IntoIterator<Item = &'a [u8]>) -> Result<Self, FieldError> {
        let mut names = BTreeSet::new();
        for value in values {
            let value = std::str::from_utf8(value).map_err(|_| FieldError::Connection)?;
            for option in value.split(',').map(|option| option.trim_matches([' ', '\t'])) {
                if option.is_empty() {
                    continue;
                }
                let is_name =
                    option.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'));
                let name = normal(option).into_owned();
                if !is_name {
                    return Err(FieldError::Connection);
                }
                if END_TO_END.contains(&name.as_str()) {
                    return Err(FieldError::EndToEnd);
                }
                names.insert(name);
                if names.len() > Self::MOST {
                    return Err(FieldError::TooMany);
                }
            }
        }
        Ok(Self(names))
    }

    /// Whether it names this field.
    pub fn names(&self, field: &str) -> bool {
        self.0.contains(&*normal(field.trim()))
    }

    /// Whether the connection ends behind the message.
    pub fn close(&self) -> bool {
        self.0.contains("close")
    }

    /// Whether the message asks for another protocol, if it also has an `Upgrade`.
    pub fn upgrade(&self) -> bool {
        self.0.contains("upgrade")
    }
}

#[cfg(test)]
mod tests;
