//! Renewing sessions from beside them: a connection that begins no session, as one that cancels begins none.
//!
//! Its StartupMessage has the option [`RENEW_OPTION`] with the sessions' ids and names their database, and it proves who it
//! is as every connection does. So a client can renew while a statement runs, inside a failed transaction or a COPY, and
//! without a word in the session's own protocol (RULES.md 12). Each session journals its renewal itself.
//!
//! [`RENEW_OPTION`]: wire::postgres::startup::RENEW_OPTION

use std::sync::Arc;

use model::id::{Digest, SessionId};
use model::subject::{Binding, Subject};
use wire::postgres::backend::{Authentication, Backend, ParameterStatus};
use wire::postgres::startup::RENEWED_PARAMETER;

use super::credential;
use super::login::{Refusal, speak};
use super::opening::{Applicant, Failed};
use crate::node::Node;
use crate::sessions::{LiveSession, Renewal};

/// How many sessions one connection may renew; their ids are some 3.5 kB of a start-up packet's 10.
const MOST: usize = 256;

/// The sessions that the option names. None is fine: a client learns whether it is known, and nothing else happens.
pub(super) fn sessions(value: &str) -> Result<Vec<SessionId>, Refusal> {
    if value.is_empty() {
        return Ok(Vec::new());
    }
    let named: Result<Vec<SessionId>, _> = value.split(',').map(str::parse).collect();
    named.ok().filter(|named| named.len() <= MOST).ok_or_else(|| {
        let message = format!("a renewal names at most {MOST} sessions by their ids, separated by commas");
        Refusal::tell("a malformed renewal", "08P01", &message, "")
    })
}

/// Hands the new credential's subject to those of the sessions that may take it, and tells which they are.
pub(super) async fn renew(node: &Arc<Node>, mut applicant: Applicant, sessions: Vec<SessionId>) -> Result<(), Failed> {
    let renewed = match renew_own(node, &mut applicant, sessions).await {
        Ok(renewed) => renewed,
        Err(refusal) => return Err((refusal, Some(applicant.side))),
    };
    let mut message = Vec::new();
    let _ = Backend::Authentication(Authentication::Ok).encode(&mut message);
    let names: Vec<String> = renewed.iter().map(SessionId::to_string).collect();
    report(&mut message, RENEWED_PARAMETER, &names.join(","));
    speak(&mut applicant.side, node, &message);
    applicant.side.leg().close().await;
    Ok(())
}

async fn renew_own(
    node: &Arc<Node>,
    applicant: &mut Applicant,
    sessions: Vec<SessionId>,
) -> Result<Vec<SessionId>, Refusal> {
    let target = node.revisions.current().route(&applicant.wanted.database).cloned();
    // As in a login: what has no target is verified all the same.
    let at = target.map(|target| Arc::clone(&target.target.name)).unwrap_or_default();
    let subject = credential::identify(node, applicant, &at).await?;
    let certificate = applicant.proven().certificate;
    // A certificate that is itself the identity may follow another one; a token is bound to the one that it names.
    let bound_to = (!credential::is_by_certificate(node, applicant)).then_some(certificate);
    let renewal = Renewal::new(subject, applicant.certificate.as_ref());
    let own = |session: &SessionId| {
        let Some((live, signals)) = node.sessions.find(*session) else { return false };
        let may = live.target == at && may_take(&live, &renewal.subject, bound_to);
        if may {
            signals.renew(renewal.clone());
        }
        may
    };
    Ok(sessions.into_iter().filter(own).collect())
}

/// Whether a session may take this credential: it stands for the same issuer, subject and actors, and is bound as the
/// session's is. `bound_to` is the certificate of the connection that a token came by.
fn may_take(live: &LiveSession, subject: &Subject, bound_to: Option<Option<Digest>>) -> bool {
    let is_own = live.subject == subject.key && live.on_behalf_of == subject.on_behalf_of;
    let stays_bound = live.binding.stays_with(subject.binding);
    let fits = match (subject.binding, bound_to) {
        (Binding::Mtls, Some(certificate)) => certificate.is_some() && live.certificate == certificate,
        (Binding::Dpop | Binding::Ssh, _) => false,
        (Binding::Bearer | Binding::Mtls, _) => true,
    };
    is_own && stays_bound && fits
}

/// Appends a ParameterStatus of Sluice's own.
pub(super) fn report(out: &mut Vec<u8>, name: &str, value: &str) {
    let _ = Backend::ParameterStatus(ParameterStatus { name: name.into(), value: value.into() }).encode(out);
}

#[cfg(test)]
mod tests {
    use model::subject::{SubjectKey, SubjectKind};
    use model::time::Timestamp;

    use super::*;

    #[test]
    fn a_renewal_names_sessions_and_not_too_many() {
        let ids = |count: u64| (0..count).map(|bits| SessionId::from_bits(bits).to_string()).collect::<Vec<_>>();
        assert_eq!(sessions(&ids(2).join(",")).ok(), Some(vec![SessionId::from_bits(0), SessionId::from_bits(1)]));
        assert!(sessions(&ids(256).join(",")).is_ok());
        assert_eq!(sessions("").ok(), Some(vec![]));
        for wrong in [",", "nobody", &ids(257).join(",")] {
            assert!(sessions(wrong).is_err(), "{wrong}");
        }
    }

    fn subject(id: &str, binding: Binding) -> Subject {
        Subject {
            key: SubjectKey { issuer: "corp".into(), id: id.into() },
            kind: SubjectKind::Service,
            groups: Vec::new(),
            on_behalf_of: Vec::new(),
            expires_at: Timestamp(1),
            binding,
            token_id: None,
            credential: model::subject::Credential::default(),
        }
    }

    #[test]
    fn a_session_takes_what_is_its_callers_and_bound_as_it_is() {
        let (mine, other) = (Some(Digest([1; 32])), Some(Digest([2; 32])));
        let live = |binding, certificate| LiveSession {
            session: SessionId::from_bits(1),
            subject: subject("etl", binding).key,
            on_behalf_of: Vec::new(),
            target: "payments".into(),
            database: "payments".into(),
            source: std::net::Ipv4Addr::LOCALHOST.into(),
            opened_at: Timestamp(1),
            binding,
            certificate,
            awaits_observer: Vec::new(),
        };
        let bearer = live(Binding::Bearer, None);
        assert!(may_take(&bearer, &subject("etl", Binding::Bearer), Some(None)));
        assert!(!may_take(&bearer, &subject("other", Binding::Bearer), Some(None)));
        let mut delegated = subject("etl", Binding::Bearer);
        delegated.on_behalf_of.push(SubjectKey { issuer: "corp".into(), id: "ann".into() });
        assert!(!may_take(&bearer, &delegated, Some(None)));
        let bound = live(Binding::Mtls, mine);
        assert!(may_take(&bound, &subject("etl", Binding::Mtls), Some(mine)));
        assert!(!may_take(&bound, &subject("etl", Binding::Mtls), Some(other)));
        assert!(!may_take(&bound, &subject("etl", Binding::Bearer), Some(mine)));
        assert!(!may_take(&bound, &subject("etl", Binding::Dpop), Some(mine)));
        // An SVID that was rotated.
        assert!(may_take(&bound, &subject("etl", Binding::Mtls), None));
    }
}
