//! What is the same for every grant: whether policy lets them, until when, bound to what, the journal, the answer.

use std::collections::BTreeSet;
use std::sync::Arc;

use gateway::clock;
use gateway::issued::{IssueError, Kind, StandsFor};
use identity::Confirmation;
use model::decision::{Denial, Outcome};
use model::event::Event;
use model::id::Digest;
use model::secret::Secret;
use model::subject::{Binding, Credential, Subject, SubjectKey};
use model::time::Timestamp;
use policy::Context;
use ssh_key::PublicKey;

use super::error::TokenError;
use super::grants::{Asked, Delegation, Redeemed, Wanted};
use super::{DATABASE_PASSWORD, SSH_CERTIFICATE, TokenAnswer, target};
use crate::journal;

/// The most tokens that may stand behind one: what they are is in each token.
const MOST_BEHIND: usize = 32;

/// Issues what was asked for to whoever the grant stands for.
pub(super) async fn issue(asked: &Asked<'_>, redeemed: Redeemed) -> Result<TokenAnswer, TokenError> {
    let Redeemed { mut subject, confirmation, delegation, wanted } = redeemed;
    let now = clock::now();
    let behind = behind(&subject, delegation.as_ref());
    let (made_of, issued_at) = (made_of(&behind)?, earliest(&behind));
    // It is as old as the oldest that was shown, or an exchange would make a token younger than what takes it away.
    subject.credential = Credential { made_of, issued_at, ..Credential::default() };
    let issued_for = subject.token_id.take();
    subject.binding = confirmation.map_or(Binding::Bearer, |confirmation| confirmation.binding());
    may(asked, &subject, delegation.as_ref())?;
    subject.expires_at = asked.app.node.tokens.end(subject.expires_at, now);
    subject.token_id = Some(token_id()?);
    let expires_in = subject.expires_at.seconds().saturating_sub(now.seconds());
    if expires_in == 0 {
        return Err(TokenError::request("the credential ends within this second"));
    }
    match wanted {
        Wanted::AccessToken => {
            record(asked, &subject, "access_token", issued_for).await?;
            let token = asked.app.node.tokens.sign(&subject, asked.target, confirmation, now);
            Ok(TokenAnswer {
                access_token: token.expose().clone(),
                issued_token_type: "urn:ietf:params:oauth:token-type:access_token",
                token_type: if subject.binding == Binding::Dpop { "DPoP" } else { "Bearer" },
                expires_in,
            })
        }
        Wanted::DatabasePassword => {
            let stands_for = password_for(asked, subject, confirmation)?;
            asked.app.node.issued.has_room(&stands_for.subject.key, now).map_err(not_issued)?;
            record(asked, &stands_for.subject, "database_password", issued_for).await?;
            let password = password(asked, stands_for, now).await?;
            Ok(TokenAnswer {
                access_token: password.expose().clone(),
                issued_token_type: DATABASE_PASSWORD,
                token_type: "N_A",
                expires_in,
            })
        }
        Wanted::SshCertificate(key) => {
            // It is bound to its own key, which whoever holds what was shown chose.
            subject.binding = Binding::Ssh;
            let stands_for = stands_for(Kind::SshCertificate, asked.target, subject, None);
            asked.app.node.issued.has_room(&stands_for.subject.key, now).map_err(not_issued)?;
            record(asked, &stands_for.subject, "ssh_certificate", issued_for).await?;
            let access_token = certificate(asked, &key, stands_for, now).await?;
            Ok(TokenAnswer { access_token, issued_token_type: SSH_CERTIFICATE, token_type: "N_A", expires_in })
        }
    }
}

/// Whoever showed a credential.
fn behind(subject: &Subject, delegation: Option<&Delegation>) -> Vec<Subject> {
    match delegation {
        Some(Delegation { actor, whom }) => vec![actor.clone(), whom.clone()],
        None => vec![subject.clone()],
    }
}

/// When the oldest of their credentials can have been issued.
fn earliest(behind: &[Subject]) -> Timestamp {
    behind.iter().map(|shown| shown.credential.issued_at).min().unwrap_or_default()
}

/// The tokens that something is issued for, by what they are and by their ids, with those that they were issued for: when
/// one of them is revoked, so is it.
fn made_of(behind: &[Subject]) -> Result<Vec<Digest>, TokenError> {
    let by_id = |shown: &Subject| shown.token_id.as_ref().map(|id| identity::id_digest(&shown.key.issuer, id));
    let of = |shown: &Subject| {
        let credential = &shown.credential;
        credential.made_of.iter().copied().chain(credential.digest).chain(by_id(shown)).collect::<Vec<_>>()
    };
    let all: BTreeSet<Digest> = behind.iter().flat_map(of).collect();
    if all.len() > MOST_BEHIND {
        return Err(TokenError::request("it was exchanged too often: show the token that it began with"));
    }
    Ok(all.into_iter().collect())
}

/// A password is for one target, and a connection that shows it can prove a certificate, but no key of a proof: what is
/// bound to that would become what anybody can use.
fn password_for(
    asked: &Asked<'_>,
    subject: Subject,
    confirmation: Option<Confirmation>,
) -> Result<StandsFor, TokenError> {
    let target = asked.target.ok_or_else(|| TokenError::request("name the target of the password: audience"))?;
    match confirmation {
        Some(Confirmation::ProofKey(_)) => {
            Err(TokenError::request("what is bound to a key of proofs (DPoP) cannot become a password"))
        }
        None | Some(Confirmation::Certificate(_)) => {
            Ok(stands_for(Kind::Password, Some(target), subject, confirmation))
        }
    }
}

fn stands_for(kind: Kind, target: Option<&str>, subject: Subject, confirmation: Option<Confirmation>) -> StandsFor {
    StandsFor {
        kind,
        issued_at: subject.credential.issued_at,
        made_of: subject.credential.made_of.clone(),
        subject,
        target: target.map(Arc::from),
        confirmation,
    }
}

/// Signs a certificate and keeps what it stands for; as the line of OpenSSH.
async fn certificate(
    asked: &Asked<'_>,
    key: &PublicKey,
    stands_for: StandsFor,
    now: Timestamp,
) -> Result<String, TokenError> {
    let failed = |error: &dyn std::fmt::Display| {
        tracing::error!(%error, "a certificate cannot be signed");
        TokenError::internal()
    };
    let signed = asked.app.node.ssh_callers.sign(key, &stands_for, now);
    let (certificate, digest) = signed.map_err(|error| failed(&error))?;
    let line = certificate.to_openssh().map_err(|error| failed(&error))?;
    let issued = Arc::clone(&asked.app.node.issued);
    let kept = tokio::task::spawn_blocking(move || issued.keep(digest, stands_for, now)).await;
    kept.map_err(|_| TokenError::internal())?.map_err(not_issued)?;
    Ok(line)
}

async fn password(asked: &Asked<'_>, stands_for: StandsFor, now: Timestamp) -> Result<Secret<String>, TokenError> {
    let issued = Arc::clone(&asked.app.node.issued);
    let password = tokio::task::spawn_blocking(move || issued.issue_password(stands_for, now)).await;
    password.map_err(|_| TokenError::internal())?.map_err(not_issued)
}

fn not_issued(error: IssueError) -> TokenError {
    match error {
        IssueError::TooMany | IssueError::TooManyOfSubject(_) => TokenError::too_many(error.to_string()),
        IssueError::State(_) | IssueError::Written(_) | IssueError::Randomness(_) => {
            tracing::error!(%error, "what was asked for cannot be issued");
            TokenError::unavailable()
        }
    }
}

/// Whether policy lets the subject have it, act for whom it wants to act for, and be where it wants to be.
fn may(asked: &Asked<'_>, subject: &Subject, delegation: Option<&Delegation>) -> Result<(), TokenError> {
    let active = asked.app.node.revisions.current();
    if let Some(Delegation { actor, whom }) = delegation {
        let policies = active.policies_for(actor);
        let permitted = policy::may_act_for(&policies, whom, &Context::at_the_start(actor, asked.source, clock::now()));
        permitted.map_err(|denial| denied(asked, &actor.key, "delegate", &whom.key.to_string(), &denial))?;
    }
    let policies = active.policies_for(subject);
    let permitted = policy::may_exchange(&policies, &Context::at_the_start(subject, asked.source, clock::now()));
    permitted.map_err(|denial| denied(asked, &subject.key, "exchange", "POST /token", &denial))?;
    asked.target.map_or(Ok(()), |target| target::check(asked.app, target, subject, &policies, asked.source))
}

/// A refusal, which is in the journal too: somebody tried.
fn denied(asked: &Asked<'_>, subject: &SubjectKey, action: &str, object: &str, denial: &Denial) -> TokenError {
    asked.app.node.recorder.note(Event::AdminAction {
        subject: subject.clone(),
        action: action.into(),
        object: object.into(),
        outcome: Outcome::Deny,
    });
    TokenError::not_permitted(format!("you need `{action}`: {}", denial.message))
}

/// 128 random bits.
fn token_id() -> Result<Arc<str>, TokenError> {
    let bytes = clock::random::<16>().map_err(|_| TokenError::internal())?;
    let text = bytes.iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"));
    Ok(text.into())
}

/// That it is issued is in the journal before it is given out.
async fn record(
    asked: &Asked<'_>,
    subject: &Subject,
    kind: &str,
    issued_for: Option<Arc<str>>,
) -> Result<(), TokenError> {
    let event = Event::TokenIssued {
        subject: subject.clone(),
        kind: kind.into(),
        target: asked.target.map(Arc::from),
        issued_for,
        source: asked.source,
    };
    journal::record(asked.app, event).await.map_err(|error| {
        tracing::error!(%error, "a token cannot be issued");
        TokenError::unavailable()
    })
}
