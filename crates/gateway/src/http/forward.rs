//! The head that a target gets: written anew from what was decided on.

use std::borrow::Cow;

use hyper::header::{COOKIE, HOST, HeaderMap, HeaderName, HeaderValue, ORIGIN, TE};
use hyper::{Method, Request, Uri, Version};
use identity::Told;
use masking::http::{Asked as Fate, Plan, asked};
use model::id::RequestId;
use model::subject::Subject;
use store::config::TlsMode;
use wire::http::fields::{self, request_fate};

use super::asking::Asked;
use super::credential::{By, Proof};
use super::refusal::Refusal;
use super::session::Place;
use super::signing::{Signed, is_signed, strict};
use super::turning::{Turning, is_of_handshake};
use super::upload::Upload;
use crate::clock;
use crate::gate::TargetLine;
use crate::tokens::Tokens;

/// What cookies of Sluice's own begin with.
const OWN_COOKIES: [&str; 3] = ["sluice", "__host-sluice", "__secure-sluice"];

/// Whether a cookie of this name is Sluice's own.
pub(super) fn is_own_cookie(name: &str) -> bool {
    let name = name.trim().to_ascii_lowercase();
    OWN_COOKIES.iter().any(|own| name.starts_with(own))
}

/// A head without what depends on the connection that it is sent on.
pub(super) struct Forwarded {
    method: Method,
    path: String,
    scheme: &'static str,
    authority: String,
    fields: HeaderMap,
    wants_trailers: bool,
    identity: Option<(HeaderName, HeaderValue)>,
}

impl Forwarded {
    /// What of a caller's head goes to the target, so that its answer can be masked by this plan.
    pub(super) fn new(ask: &Asked, place: &Place, given: &HeaderMap, plan: &Plan) -> Self {
        let mut kept = HeaderMap::new();
        for (name, value) in given {
            let passes = request_fate(name.as_str()) == fields::Fate::Passes && !ask.options.names(name.as_str());
            if !passes || *name == HOST || name.as_str() == "content-length" || is_of_handshake(name) {
                continue;
            }
            let value = if *name == COOKIE { others_cookies(value) } else { Some(value.clone()) };
            let Some(value) = value else { continue };
            match asked(plan, ask.is_safe(), name.as_str(), value.as_bytes()) {
                Fate::Keep => drop(kept.append(name.clone(), value)),
                Fate::Drop => {}
                Fate::Instead(bytes) => {
                    kept.extend(HeaderValue::from_bytes(&bytes).ok().map(|value| (name.clone(), value)));
                }
            }
        }
        join_cookies(&mut kept);
        let wants_trailers = given.get_all(TE).iter().any(|value| value.as_bytes().eq_ignore_ascii_case(b"trailers"));
        Self {
            method: ask.method.clone(),
            path: ask.path_and_query(),
            scheme: if place.http.tls.mode == TlsMode::Off { "http" } else { "https" },
            authority: place.authority.to_string(),
            fields: kept,
            wants_trailers,
            identity: None,
        }
    }

    /// Likewise, so that the connection turns to another protocol, asked for by this origin.
    pub(super) fn turning(mut self, turning: &Turning, origin: Option<HeaderValue>) -> Self {
        turning.ask(&mut self.fields);
        self.fields.remove(ORIGIN);
        self.fields.extend(origin.map(|origin| (ORIGIN, origin)));
        self
    }

    /// What is forwarded of the fields.
    pub(super) const fn fields_mut(&mut self) -> &mut HeaderMap {
        &mut self.fields
    }

    /// Tells the target who asks, if it wants to be told.
    ///
    /// # Errors
    /// If what it would be told cannot stand in a field.
    pub(super) fn telling(
        mut self,
        tokens: &Tokens,
        place: &Place,
        subject: &Subject,
        request: RequestId,
    ) -> Result<Self, Refusal> {
        let Some(identity) = &place.http.identity else { return Ok(self) };
        let (request, target) = (request.to_string(), &*place.model.name);
        let path = self.path.split_once('?').map_or(&*self.path, |(path, _)| path);
        let told = Told {
            issuer: "",
            audience: identity.audience.as_deref().unwrap_or(target),
            subject,
            request: &request,
            target,
            line: (self.method.as_str(), path),
            lifetime: identity.lifetime.as_secs(),
        };
        let token = tokens.tell(told, clock::now());
        let name = HeaderName::from_bytes(identity.header.as_bytes()).map_err(|_| Refusal::Internal)?;
        let mut value = HeaderValue::from_str(token.expose()).map_err(|_| Refusal::Internal)?;
        value.set_sensitive(true);
        self.identity = Some((name, value));
        Ok(self)
    }

    /// Whether its query has a signature of the caller's own.
    pub(super) fn is_signed(&self) -> bool {
        is_signed(&self.path)
    }

    /// The request for a connection, with what Sluice proves itself with.
    ///
    /// # Errors
    /// If what was decided on cannot be written so: a defect.
    pub(super) fn request(
        &self,
        line: &TargetLine<Upload>,
        proof: Option<&Proof>,
        body: Upload,
    ) -> Result<Request<Upload>, Refusal> {
        let signer = proof.and_then(|proof| match &proof.by {
            By::Signature(signer) => Some(signer),
            By::Field(..) => None,
        });
        let path = if signer.is_some() { strict(&self.path) } else { Cow::Borrowed(self.path.as_str()) };
        let mut request = Request::new(body);
        *request.method_mut() = self.method.clone();
        let mut fields = self.fields.clone();
        if line.is_shared() {
            let uri = Uri::builder().scheme(self.scheme).authority(self.authority.as_str()).path_and_query(&*path);
            *request.uri_mut() = uri.build().map_err(|_| Refusal::Internal)?;
            *request.version_mut() = Version::HTTP_2;
            if self.wants_trailers {
                fields.insert(TE, HeaderValue::from_static("trailers"));
            }
        } else {
            *request.uri_mut() = Uri::try_from(&*path).map_err(|_| Refusal::Internal)?;
            let host = HeaderValue::from_str(&self.authority).map_err(|_| Refusal::Internal)?;
            fields.insert(HOST, host);
        }
        let credential = proof.and_then(|proof| match &proof.by {
            By::Field(name, value) => Some((name, value)),
            By::Signature(_) => None,
        });
        let identity = self.identity.as_ref().map(|(name, value)| (name, value));
        for (name, value) in identity.into_iter().chain(credential) {
            without_lookalikes(&mut fields, name);
            fields.insert(name.clone(), value.clone());
        }
        if let Some(signer) = signer {
            let (method, authority) = (self.method.as_str(), self.authority.as_str());
            let body = request.body().known();
            signer.sign(&Signed { method, scheme: self.scheme, authority, path: &path, body }, &mut fields)?;
        }
        *request.headers_mut() = fields;
        Ok(request)
    }
}

/// Takes out whatever a server may take for the field of this name.
pub(super) fn without_lookalikes(kept: &mut HeaderMap, name: &HeaderName) {
    let wanted = fields::normal(name.as_str()).into_owned();
    let alike: Vec<HeaderName> = kept.keys().filter(|key| *fields::normal(key.as_str()) == wanted).cloned().collect();
    for name in alike {
        kept.remove(name);
    }
}

/// HTTP/2 lets cookies come in several fields, and HTTP/1.1 does not (RFC 9113, section 8.2.3).
fn join_cookies(fields: &mut HeaderMap) {
    let all: Vec<&[u8]> = fields.get_all(COOKIE).iter().map(HeaderValue::as_bytes).collect();
    if all.len() > 1
        && let Ok(joined) = HeaderValue::from_bytes(&all.join(b"; ".as_slice()))
    {
        fields.insert(COOKIE, joined);
    }
}

/// The cookies that are not Sluice's own; `None` if there is no other.
fn others_cookies(value: &HeaderValue) -> Option<HeaderValue> {
    let text = value.as_bytes();
    let is_other = |part: &&[u8]| {
        let name = part.split(|byte| *byte == b'=').next().unwrap_or_default();
        !is_own_cookie(&String::from_utf8_lossy(name))
    };
    let others: Vec<&[u8]> = text.split(|byte| *byte == b';').filter(is_other).collect();
    if others.is_empty() {
        return None;
    }
    HeaderValue::from_bytes(others.join(&b';').trim_ascii()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cookies_of_sluices_own_stay_here() {
        let others = |value: &'static str| {
            others_cookies(&HeaderValue::from_static(value)).map(|value| value.to_str().unwrap().to_owned())
        };
        assert_eq!(others("a=1; sluice_session=x; b=2").as_deref(), Some("a=1; b=2"));
        assert_eq!(others("sluice_session=x; b=2").as_deref(), Some("b=2"));
        assert_eq!(others("__Host-Sluice=x"), None);
        assert_eq!(others("a=sluice").as_deref(), Some("a=sluice"));
    }

    #[test]
    fn cookies_in_several_fields_are_joined() {
        let mut fields = HeaderMap::new();
        for value in ["a=1", "b=2"] {
            fields.append(COOKIE, HeaderValue::from_static(value));
        }
        join_cookies(&mut fields);
        assert_eq!(fields.get_all(COOKIE).iter().collect::<Vec<_>>(), ["a=1; b=2"]);
    }

    #[test]
    fn a_field_that_a_server_may_take_for_the_credential_goes() {
        let mut fields = HeaderMap::new();
        for name in ["x-api-key", "x_api_key", "x-api-key-id"] {
            fields.insert(HeaderName::from_static(name), HeaderValue::from_static("forged"));
        }
        without_lookalikes(&mut fields, &HeaderName::from_static("x-api-key"));
        assert_eq!(fields.keys().collect::<Vec<_>>(), ["x-api-key-id"]);
    }
}
