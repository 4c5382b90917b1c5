//! Renewing sessions from beside them: a connection that begins no session, as one that cancels begins none.
//!
//! Its StartupMessage has the option [`RENEW_OPTION`] with the sessions' ids, and its password is the new token, which is
//! all that it proves itself by. So a client can renew while a statement runs, inside a failed transaction or a COPY, and
//! without a word in the session's own protocol (RULES.md 12). Each session journals its renewal itself.
//!
//! [`RENEW_OPTION`]: wire::postgres::startup::RENEW_OPTION

use std::sync::Arc;

use identity::Proven;
use model::id::SessionId;
use wire::postgres::backend::{Authentication, Backend, ParameterStatus};
use wire::postgres::startup::RENEWED_PARAMETER;

use super::login::{Refusal, ask_for_token, speak};
use super::opening::{Applicant, Failed};
use crate::node::Node;

/// How many sessions one connection may renew; their ids are some 3.5 kB of a start-up packet's 10.
const MOST: usize = 256;

/// The sessions that the option names.
pub(super) fn sessions(value: &str) -> Result<Vec<SessionId>, Refusal> {
    let named: Result<Vec<SessionId>, _> = value.split(',').map(str::parse).collect();
    named.ok().filter(|named| named.len() <= MOST).ok_or_else(|| {
        let message = format!("a renewal names at most {MOST} sessions by their ids, separated by commas");
        Refusal::tell("a malformed renewal", "08P01", &message, "")
    })
}

/// Hands the new token's subject to those of the sessions that are its own, and tells which they are.
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
    let _ = applicant.side.leg().close().await;
    Ok(())
}

async fn renew_own(
    node: &Arc<Node>,
    applicant: &mut Applicant,
    sessions: Vec<SessionId>,
) -> Result<Vec<SessionId>, Refusal> {
    let token = ask_for_token(node, applicant).await?;
    let subject = node.issuers.verify(&token, &Proven::NOTHING).await;
    let subject = subject.map_err(|error| Refusal::generic(format!("a renewal of sessions: {error}")))?;
    let own = |session: &SessionId| {
        let signals = node.sessions.own(*session, &subject);
        signals.map(|signals| signals.renew(subject.clone())).is_some()
    };
    Ok(sessions.into_iter().filter(own).collect())
}

/// Appends a ParameterStatus of Sluice's own.
pub(super) fn report(out: &mut Vec<u8>, name: &str, value: &str) {
    let _ = Backend::ParameterStatus(ParameterStatus { name: name.into(), value: value.into() }).encode(out);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_renewal_names_sessions_and_not_too_many() {
        let ids = |count: u64| (0..count).map(|bits| SessionId::from_bits(bits).to_string()).collect::<Vec<_>>();
        assert_eq!(sessions(&ids(2).join(",")).ok(), Some(vec![SessionId::from_bits(0), SessionId::from_bits(1)]));
        assert!(sessions(&ids(256).join(",")).is_ok());
        for wrong in ["", ",", "nobody", &ids(257).join(",")] {
            assert!(sessions(wrong).is_err(), "{wrong}");
        }
    }
}
