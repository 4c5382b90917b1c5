//! Who a client is: the subject of its certificate, or else of the token that it sends as its password or by SASL
//! (`OAUTHBEARER`, RFC 7628). All of it inside TLS.
//!
//! A certificate that names a subject settles it, and nothing more is asked for: the client proved to hold its key, which
//! is more than any password proves. So a token cannot change, behind the back of whoever configured a workload, who that
//! workload is. A client that holds an X.509-SVID and wants to be known by a token says so when it connects
//! ([`SETTING`]); the certificate then only proves the key that the token may be bound to.

use identity::IdentityError;
use model::subject::Subject;
use serde_json::{Map, Value};
use store::config::PostgresAuth;
use wire::postgres::backend::{Authentication, Backend};
use wire::postgres::encode;
use wire::postgres::frame::{HEADER, Limits, Phase, frontend};
use wire::postgres::frontend::{SaslInitial, password};
use wire::postgres::oauthbearer::{FINISHED, Initial, MECHANISM};
use wire::postgres::part::Bytes as Part;

use super::login::{Refusal, speak};
use super::opening::Applicant;
use crate::gate::Moved;
use crate::node::Node;

/// The start-up setting with which a client chooses how it is asked for its token: nothing else in its first message tells
/// a client that speaks `OAUTHBEARER` from one that has a password.
pub(super) const SETTING: &str = "sluice.auth";

/// Finds out who the client is that wants to be at the target `at`, and asks it for a token unless its certificate says
/// so.
pub(super) async fn identify(node: &Node, applicant: &mut Applicant, at: &str) -> Result<Subject, Refusal> {
    let mut message = Vec::new();
    if let Some(unknown) = &applicant.wanted.negotiate {
        let unknown = unknown.iter().map(String::as_str);
        let _ = encode::negotiate_version(&mut message, applicant.wanted.version, unknown);
    }
    let nameless = match by_certificate(node, applicant) {
        Some(Ok(subject)) => {
            speak(&mut applicant.side, node, &message);
            return Ok(subject);
        }
        Some(Err(error)) => Some(error),
        None => None,
    };
    by_token(node, applicant, at, message).await.map_err(|refusal| refusal.beside(nameless.as_ref()))
}

/// What the certificate says, if there is one and the client did not ask to be known by a token.
fn by_certificate(node: &Node, applicant: &Applicant) -> Option<Result<Subject, IdentityError>> {
    let certificate = applicant.certificate.as_ref().filter(|_| applicant.wanted.authentication.is_none())?;
    Some(node.issuers.recognise(certificate))
}

/// Whether [`identify`] goes by the certificate.
pub(super) fn is_by_certificate(node: &Node, applicant: &Applicant) -> bool {
    by_certificate(node, applicant).is_some_and(|recognised| recognised.is_ok())
}

/// Asks for a token in the way that the client or else the configuration chose. `message` goes before the question.
async fn by_token(node: &Node, applicant: &mut Applicant, at: &str, mut message: Vec<u8>) -> Result<Subject, Refusal> {
    match applicant.wanted.authentication.unwrap_or(node.config.postgres.auth) {
        PostgresAuth::Password => {
            let _ = Backend::Authentication(Authentication::CleartextPassword).encode(&mut message);
            speak(&mut applicant.side, node, &message);
            by_password(node, applicant, at).await
        }
        PostgresAuth::OauthBearer => {
            let _ = encode::authentication_sasl(&mut message, &[MECHANISM]);
            speak(&mut applicant.side, node, &message);
            by_sasl(node, applicant, at).await
        }
    }
}

async fn by_password(node: &Node, applicant: &mut Applicant, at: &str) -> Result<Subject, Refusal> {
    let body = answer(applicant).await?;
    let token = password(Part::from(&*body)).ok().and_then(|token| std::str::from_utf8(token.get()).ok());
    let token = token.ok_or_else(|| Refusal::generic("the password is not a token"))?;
    let verified = node.issuers.log_in(token, &applicant.proven(), at).await;
    verified.map_err(|error| Refusal::generic(error.to_string()))
}

async fn by_sasl(node: &Node, applicant: &mut Applicant, at: &str) -> Result<Subject, Refusal> {
    let body = answer(applicant).await?;
    let reason = match token(&body)? {
        Initial::Token(token) => match node.issuers.verify_for(token, &applicant.proven(), at).await {
            Ok(subject) => return Ok(subject),
            Err(error) => error.to_string(),
        },
        Initial::Discovery => "the client has no token, and was told where to get one".to_owned(),
    };
    let mut message = Vec::new();
    let challenge = challenge(node);
    let _ =
        Backend::Authentication(Authentication::SaslContinue(Part::from(challenge.as_bytes()))).encode(&mut message);
    speak(&mut applicant.side, node, &message);
    // The client has to say that it has seen it before it may be told that it failed (RFC 7628, section 3.2.3).
    match answer(applicant).await?.as_slice() {
        FINISHED => Err(Refusal::generic(reason)),
        _ => Err(Refusal::generic(format!("{reason}; and it went on with something else"))),
    }
}

/// The token in the client's first message of the exchange.
fn token(body: &[u8]) -> Result<Initial<'_>, Refusal> {
    let malformed = |reason: String| Refusal::tell(reason, "08P01", "malformed OAUTHBEARER message", "");
    let initial = SaslInitial::parse(Part::from(body)).map_err(|error| malformed(error.to_string()))?;
    if initial.mechanism.bytes() != MECHANISM.as_bytes() {
        return Err(malformed(String::from("the client chose a mechanism that was not offered")));
    }
    let message = initial.data.ok_or_else(|| malformed(String::from("the client sent no first message")))?;
    Initial::parse(message).map_err(|error| malformed(error.to_string()))
}

/// Where to get a token (RFC 7628, section 3.2.2): the issuer that the configuration names for it.
fn challenge(node: &Node) -> String {
    let oauth = &node.config.postgres.oauth;
    let discovery =
        oauth.issuer.as_deref().map(|url| format!("{}/.well-known/openid-configuration", url.trim_end_matches('/')));
    let members = [("openid-configuration", discovery), ("scope", oauth.scope.as_deref().map(str::to_owned))];
    let mut challenge = Map::from_iter([("status".to_owned(), Value::from("invalid_token"))]);
    challenge.extend(members.into_iter().filter_map(|(name, value)| Some((name.to_owned(), Value::from(value?)))));
    Value::Object(challenge).to_string()
}

/// The body of the client's next message, which has to be an answer to what it was asked.
async fn answer(applicant: &mut Applicant) -> Result<Vec<u8>, Refusal> {
    let limits = Limits::default();
    loop {
        let inbox = &mut applicant.side.leg().inbox;
        let header = frontend(inbox, Phase::Authentication, &limits)
            .map_err(|error| Refusal::tell(error.to_string(), error.sqlstate(), &error.to_string(), ""))?;
        if let Some(header) = header.filter(|header| inbox.len() >= header.length()) {
            let frame = inbox.split_to(header.length());
            return Ok(frame.get(HEADER..).unwrap_or_default().to_vec());
        }
        match applicant.side.leg().read_more().await {
            Ok(Moved::Read) => {}
            Ok(Moved::Closed) | Err(_) => return Err(Refusal::silent("the client went away during the login")),
        }
    }
}
