//! What a client shows to say who it is: a certificate that names a subject, or a token as its password or by SASL
//! (`OAUTHBEARER`, RFC 7628). All of it only inside TLS.
//!
//! A certificate that names a subject settles it, and nothing is asked: the client proved to hold its key, which is more
//! than any token proves. So a token cannot change, behind the back of whoever set a workload up, who that workload is. A
//! client that has both and is to be known by its token says how it wants to be asked for it; the certificate is then only
//! what the token may be bound to.

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

/// The start-up setting with which a client chooses how it is asked: nothing else in its first message tells a client
/// that speaks `OAUTHBEARER` from one that has a password.
pub(super) const SETTING: &str = "sluice.auth";

/// Says who the client is by its certificate, or else by its answer to what it is asked.
pub(super) async fn identify(node: &Node, applicant: &mut Applicant) -> Result<Subject, Refusal> {
    negotiate(node, applicant);
    let nameless = match by_certificate(node, applicant) {
        Some(Ok(subject)) => return Ok(subject),
        Some(Err(error)) => Some(error),
        None => None,
    };
    ask(node, applicant).await.map_err(|refusal| refusal.beside(nameless.as_ref()))
}

/// Says which version is spoken, if that is not the one that was asked for.
fn negotiate(node: &Node, applicant: &mut Applicant) {
    let Some(unknown) = &applicant.wanted.negotiate else { return };
    let mut message = Vec::new();
    let _ = encode::negotiate_version(&mut message, applicant.wanted.version, unknown.iter().map(String::as_str));
    speak(&mut applicant.side, node, &message);
}

/// What the certificate says, if there is one and the client did not say how it wants to be asked for a token.
fn by_certificate(node: &Node, applicant: &Applicant) -> Option<Result<Subject, IdentityError>> {
    let certificate = applicant.certificate.as_ref().filter(|_| applicant.wanted.authentication.is_none())?;
    Some(node.issuers.recognise(certificate))
}

/// Asks the client for a token, in the way that it or else the configuration chose, and verifies the answer.
async fn ask(node: &Node, applicant: &mut Applicant) -> Result<Subject, Refusal> {
    let mut message = Vec::new();
    match applicant.wanted.authentication.unwrap_or(node.config.postgres.auth) {
        PostgresAuth::Password => {
            let _ = Backend::Authentication(Authentication::CleartextPassword).encode(&mut message);
            speak(&mut applicant.side, node, &message);
            by_password(node, applicant).await
        }
        PostgresAuth::OauthBearer => {
            let _ = encode::authentication_sasl(&mut message, &[MECHANISM]);
            speak(&mut applicant.side, node, &message);
            by_sasl(node, applicant).await
        }
    }
}

async fn by_password(node: &Node, applicant: &mut Applicant) -> Result<Subject, Refusal> {
    let body = answer(applicant).await?;
    let token = password(Part::from(&*body)).ok().and_then(|token| std::str::from_utf8(token.get()).ok());
    let token = token.ok_or_else(|| Refusal::generic("the password is not a token"))?;
    verify(node, applicant, token).await.map_err(|error| Refusal::generic(error.to_string()))
}

async fn by_sasl(node: &Node, applicant: &mut Applicant) -> Result<Subject, Refusal> {
    let body = answer(applicant).await?;
    let reason = match token(&body)? {
        Initial::Token(token) => match verify(node, applicant, token).await {
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

async fn verify(node: &Node, applicant: &Applicant, token: &str) -> Result<Subject, IdentityError> {
    node.issuers.verify(token, &applicant.proven()).await
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
