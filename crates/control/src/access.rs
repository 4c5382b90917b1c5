//! Who may call what: authentication, then `policy::may`.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::{FromRequestParts, Request, State};
use axum::http::{HeaderMap, Method, header, request::Parts};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use gateway::clock;
use gateway::node::Node;
use gateway::sessions::Renewal;
use gateway::tls::ClientCertificate;
use identity::IdentityError;
use identity::dpop::ProofError;
use model::decision::{Denial, Outcome};
use model::event::Event;
use model::id::Digest;
use model::subject::{Binding, Subject};
use policy::{AdminVerb, Context, SubjectPolicies};

use crate::app::{App, Peer};
use crate::console::{self, SignedIn};
use crate::problem::Problem;
use crate::proof::{Call, DPOP, DPOP_NONCE, Shown};

/// What browsers send and programs do not: the first with all that a page makes them send, and to where.
const OF_BROWSERS: [&str; 3] = ["origin", "sec-fetch-site", "cookie"];

/// What it takes to call a route.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Access {
    /// Nothing: health, the description of the API, and what proves by itself who says it: a token that is given up, an
    /// issuer's signed event, an answer that Slack signed or the Bot Connector brings.
    Open,
    /// Nothing from this machine; the verb from elsewhere.
    Local(AdminVerb),
    /// A verified token or certificate. The handler shows and changes only what is the caller's own.
    Caller,
    /// The same, also with a token that is good at the session's target alone: the session is the caller's own.
    Session,
    /// A verified token or certificate for what is the caller's own; the verb for the rest.
    CallerOr(AdminVerb),
    /// The verb.
    Verb(AdminVerb),
}

impl fmt::Display for Access {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Open => out.write_str("open"),
            Self::Local(verb) => write!(out, "local or {}", verb.as_str()),
            Self::Caller | Self::Session => out.write_str("own"),
            Self::CallerOr(verb) => write!(out, "own or {}", verb.as_str()),
            Self::Verb(verb) => out.write_str(verb.as_str()),
        }
    }
}

/// The verified caller of a route that is not open.
#[derive(Clone)]
pub(crate) struct Caller {
    pub(crate) subject: Arc<Subject>,
    pub(crate) source: IpAddr,
    pub(crate) credential: Credential,
    certificate: Option<ClientCertificate>,
    policies: Arc<SubjectPolicies>,
    /// That they are signed in, where that is what says who they are.
    signed_in: Option<SignedIn>,
}

/// What said who the caller is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Credential {
    /// A token, on a connection with this client certificate.
    Token(Option<Digest>),
    /// The client certificate of this connection alone.
    Certificate,
    /// The cookie of whoever signed in to the console.
    Cookie,
}

impl Caller {
    /// Verifies the token of a request, which may be one for this target; or, where it has none at all, the certificate of
    /// its connection.
    async fn verify(app: &App, call: &Call<'_>, peer: &Peer, at: Option<&str>) -> Result<Self, Problem> {
        let source = peer.address.ip();
        let refused = |reason: &dyn fmt::Display| {
            tracing::info!(%source, %reason, "an identity was refused by the admin API");
            Problem::unauthenticated()
        };
        let shown = Shown::on(peer);
        let mut signed_in = None;
        let (credential, subject) = match (presented(call.headers), &peer.certificate) {
            (Some((scheme, token)), _) => {
                let subject = call.verify(app, scheme, token, shown, at).await.map_err(|error| match error {
                    NotVerified::Nonce => Problem::nonce(app.proofs.nonce()),
                    NotVerified::Refused(reason) => refused(&reason),
                })?;
                (Credential::Token(shown.proven.certificate), subject)
            }
            (None, _) if !call.headers.contains_key(header::AUTHORIZATION) && console::has_cookie(call.headers) => {
                let (subject, lasts) = console::caller(app, call.method, call.headers).await?;
                signed_in = Some(lasts);
                (Credential::Cookie, subject)
            }
            (None, Some(certificate)) if may_be_known_by_certificate(call.headers) => {
                let subject = app.node.issuers.recognise(certificate).map_err(|error| refused(&error))?;
                (Credential::Certificate, subject)
            }
            (None, _) => return Err(Problem::unauthenticated()),
        };
        let policies = app.node.revisions.current().policies_for(&subject);
        let certificate = peer.certificate.clone();
        Ok(Self { subject: Arc::new(subject), source, credential, certificate, policies, signed_in })
    }

    /// Somebody for whom the operator's configuration vouches, once another has verified who it is: as they are believed now.
    ///
    /// # Errors
    /// Their issuer is not configured, or something of them was revoked.
    pub(crate) fn vouched(app: &App, subject: Subject, source: IpAddr) -> Result<Self, IdentityError> {
        let subject = app.node.issuers.vouch(subject)?;
        let policies = app.node.revisions.current().policies_for(&subject);
        let credential = Credential::Token(None);
        Ok(Self { subject: Arc::new(subject), source, credential, certificate: None, policies, signed_in: None })
    }

    /// The subject as it is believed now, if the caller's credential is good still: for answers that last.
    pub(crate) fn standing(&self, node: &Node) -> Option<Subject> {
        let is_good = clock::now() < self.subject.expires_at && self.signed_in.as_ref().is_none_or(SignedIn::lasts);
        if is_good { node.issuers.standing(&self.subject).ok() } else { None }
    }

    /// What said who the caller is, for a session to live by.
    pub(crate) fn renewal(&self) -> Renewal {
        Renewal::new(self.subject.as_ref().clone(), self.certificate.as_ref())
    }

    /// Whether the credential may be taken up by a session with this client certificate.
    pub(crate) fn may_renew(&self, certificate: Option<Digest>) -> bool {
        fits(self.credential, &self.subject, certificate)
    }

    /// The circumstances that policies see; each call is a session of its own.
    pub(crate) fn context<'a>(&'a self, reason: Option<&'a str>) -> Context<'a> {
        Context { reason, ..Context::at_the_start(&self.subject, self.source, clock::now()) }
    }

    /// The policies that can apply to the caller.
    pub(crate) fn policies(&self) -> &SubjectPolicies {
        &self.policies
    }

    /// Whether policy lets the caller.
    pub(crate) fn may(&self, verb: AdminVerb) -> Result<(), Denial> {
        policy::may(&self.policies, verb, &self.context(None))
    }

    /// Whether policy lets the caller now, as the subject that it is now.
    pub(crate) fn may_as(&self, node: &Node, subject: Subject, verb: AdminVerb) -> bool {
        let policies = node.revisions.current().policies_for(&subject);
        let now = Self { subject: Arc::new(subject), policies, ..self.clone() };
        now.may(verb).is_ok()
    }

    /// Whether something asked for by `subject` is the caller's own.
    pub(crate) fn is(&self, subject: &model::subject::SubjectKey) -> bool {
        self.subject.key == *subject
    }
}

/// Set by [`authorise`] on every route that is not open.
impl<S: Send + Sync> FromRequestParts<S> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Problem> {
        parts.extensions.get::<Self>().cloned().ok_or_else(Problem::unauthenticated)
    }
}

/// Whether what was proven for this call may go on to count in a session with this client certificate: a bound token only
/// where it is bound to that very certificate. A certificate that says by itself who the caller is has just been proven.
fn fits(credential: Credential, subject: &Subject, session: Option<Digest>) -> bool {
    match (credential, subject.binding) {
        (Credential::Certificate, _) | (Credential::Token(_), Binding::Bearer) => true,
        (Credential::Token(here), Binding::Mtls) => here == session,
        // Its key was proven for this call alone, or for a connection of SSH.
        (Credential::Token(_), Binding::Dpop | Binding::Ssh) => false,
        // Whoever looks at a page keeps no session alive by it.
        (Credential::Cookie, _) => false,
    }
}

/// Why a token does not count.
enum NotVerified {
    /// Its proof lacks a nonce that Sluice issued, or has an old one: the caller is given another.
    Nonce,
    /// The true reason.
    Refused(String),
}

impl Call<'_> {
    /// Verifies a token, with its proof where it is presented with one. `shown` is what the connection proved.
    async fn verify(
        &self,
        app: &App,
        scheme: Scheme,
        token: &str,
        shown: Shown,
        at: Option<&str>,
    ) -> Result<Subject, NotVerified> {
        let refused = |reason: &dyn fmt::Display| NotVerified::Refused(reason.to_string());
        let shown = match scheme {
            Scheme::Bearer => shown,
            Scheme::Dpop => self.prove(app, Some(token), shown).map_err(|error| match error {
                ProofError::Nonce => NotVerified::Nonce,
                other => refused(&other),
            })?,
        };
        let verified = match at {
            Some(target) => app.node.issuers.verify_for(token, &shown.proven, target).await,
            None => app.node.issuers.verify(token, &shown.proven).await,
        };
        let subject = verified.map_err(|error| refused(&error))?;
        // RFC 9449, section 7.1: a token that is not bound has no business under this scheme.
        if scheme == Scheme::Dpop && subject.binding != Binding::Dpop {
            return Err(refused(&"it is not bound to the key of its proof"));
        }
        app.proofs.use_once(&shown, &subject.key).map_err(|error| refused(&error))?;
        Ok(subject)
    }
}

/// How a token is presented.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Scheme {
    /// By itself (RFC 6750).
    Bearer,
    /// With a proof of the key that it is bound to (RFC 9449, section 7.1).
    Dpop,
}

/// The token of exactly one well-formed `Authorization` header. Never from the URL, which ends up in logs.
fn presented(headers: &HeaderMap) -> Option<(Scheme, &str)> {
    let mut all = headers.get_all(header::AUTHORIZATION).iter();
    let (Some(only), None) = (all.next(), all.next()) else { return None };
    let (scheme, token) = only.to_str().ok()?.split_once(' ')?;
    let scheme = match scheme.to_ascii_lowercase().as_str() {
        "bearer" => Scheme::Bearer,
        "dpop" => Scheme::Dpop,
        _ => return None,
    };
    (!token.is_empty()).then(|| (scheme, token.trim()))
}

/// Whether a certificate alone will do. It goes along with whatever a browser is made to send, so that no browser may be
/// known by it; and a header that holds no token is a mistake, not the wish to be known by something else.
fn may_be_known_by_certificate(headers: &HeaderMap) -> bool {
    !headers.contains_key(header::AUTHORIZATION) && !OF_BROWSERS.iter().any(|name| headers.contains_key(*name))
}

/// Lets a request through to its handler, or refuses it.
pub(crate) async fn authorise(
    State((app, access)): State<(App, Access)>,
    mut request: Request,
    next: Next,
) -> Response {
    let has_proof = request.headers().contains_key(DPOP);
    match admit(&app, access, &mut request).await {
        Ok(()) => {
            let mut response = next.run(request).await;
            // The next nonce comes before the last one ends, so that nobody is asked twice.
            if let Some(nonce) = app.proofs.nonce().filter(|_| has_proof) {
                response.headers_mut().insert(DPOP_NONCE, nonce);
            }
            response
        }
        Err(problem) => problem.into_response(),
    }
}

async fn admit(app: &App, access: Access, request: &mut Request) -> Result<(), Problem> {
    let Some(peer) = request.extensions().get::<Peer>().cloned() else { return Err(Problem::internal()) };
    let verb = match access {
        Access::Open => return Ok(()),
        Access::Local(_) if peer.address.ip().to_canonical().is_loopback() => return Ok(()),
        Access::Local(verb) | Access::Verb(verb) => Some(verb),
        Access::Caller | Access::Session | Access::CallerOr(_) => None,
    };
    let target = if access == Access::Session { target_of(app, request.uri().path()) } else { None };
    let call = Call { method: request.method(), uri: request.uri(), headers: request.headers() };
    let caller = Caller::verify(app, &call, &peer, target.as_deref()).await?;
    if let Some(verb) = verb {
        caller
            .may(verb)
            .map_err(|denial| refused(app, &caller, request.method(), request.uri().path(), verb, &denial))?;
    }
    request.extensions_mut().insert(caller);
    Ok(())
}

/// The target of the live session that a path names.
fn target_of(app: &App, path: &str) -> Option<Arc<str>> {
    let id = path.split('/').nth(3)?.parse().ok()?;
    app.node.sessions.find(id).map(|(live, _)| live.target)
}

/// A refusal, which is in the journal too: somebody tried.
fn refused(app: &App, caller: &Caller, method: &Method, path: &str, verb: AdminVerb, denial: &Denial) -> Problem {
    app.node.recorder.note(Event::AdminAction {
        subject: caller.subject.key.clone(),
        action: verb.as_str().into(),
        object: format!("{method} {path}").into(),
        outcome: Outcome::Deny,
    });
    Problem::forbidden(format!("{}: you need `{}`", denial.message, verb.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_comes_from_one_header_alone() {
        let headers = |values: &[&str]| {
            let mut headers = HeaderMap::new();
            values.iter().for_each(|value| {
                headers.append(header::AUTHORIZATION, value.parse().unwrap());
            });
            headers
        };
        assert_eq!(presented(&headers(&["Bearer a.b.c"])), Some((Scheme::Bearer, "a.b.c")));
        assert_eq!(presented(&headers(&["bearer a.b.c"])), Some((Scheme::Bearer, "a.b.c")));
        assert_eq!(presented(&headers(&["DPoP a.b.c"])), Some((Scheme::Dpop, "a.b.c")));
        for wrong in [
            vec![],
            vec!["Basic YTpi"],
            vec!["Bearer"],
            vec!["Bearer "],
            vec!["Bearer a", "Bearer b"],
            vec!["Bearer a", "DPoP a"],
        ] {
            assert_eq!(presented(&headers(&wrong)), None, "{wrong:?}");
        }
    }

    #[test]
    fn a_credential_renews_only_what_it_is_bound_as() {
        use model::subject::{SubjectKey, SubjectKind};
        use model::time::Timestamp;
        let may_renew = |credential, binding, session| {
            let key = SubjectKey { issuer: "corp".into(), id: "etl".into() };
            let subject = Subject {
                key,
                kind: SubjectKind::Service,
                groups: Vec::new(),
                on_behalf_of: Vec::new(),
                expires_at: Timestamp(1),
                binding,
                token_id: None,
                credential: model::subject::Credential::default(),
            };
            fits(credential, &subject, session)
        };
        let (mine, other) = (Some(Digest([1; 32])), Some(Digest([2; 32])));
        for session in [None, mine, other] {
            assert!(may_renew(Credential::Token(mine), Binding::Bearer, session));
            assert!(may_renew(Credential::Certificate, Binding::Mtls, session));
            assert_eq!(may_renew(Credential::Token(mine), Binding::Mtls, session), session == mine);
            assert!(!may_renew(Credential::Token(mine), Binding::Dpop, session));
        }
    }

    #[test]
    fn a_certificate_counts_only_beside_no_header_at_all_and_from_no_browser() {
        let with =
            |name: &'static str, value: &str| HeaderMap::from_iter([(name.parse().unwrap(), value.parse().unwrap())]);
        assert!(may_be_known_by_certificate(&with("host", "sluice")));
        for (name, value) in [
            ("authorization", "Basic YTpi"),
            ("authorization", ""),
            ("origin", "https://evil.example"),
            ("origin", "null"),
            ("sec-fetch-site", "cross-site"),
            ("cookie", "a=b"),
        ] {
            assert!(!may_be_known_by_certificate(&with(name, value)), "{name}: {value}");
        }
    }
}
