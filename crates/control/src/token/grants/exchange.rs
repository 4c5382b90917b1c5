//! Token exchange (RFC 8693): for oneself, or with an actor's token to act on somebody's behalf.

use model::subject::Subject;

use super::{Asked, Delegation, Redeemed, Wanted};
use crate::token::error::TokenError;
use crate::token::{DATABASE_PASSWORD, SSH_CERTIFICATE};

/// The types of tokens that are verified as JWTs; which kind each is to be, its issuer's profile says.
const JWT: [&str; 3] = [
    "urn:ietf:params:oauth:token-type:access_token",
    "urn:ietf:params:oauth:token-type:jwt",
    "urn:ietf:params:oauth:token-type:id_token",
];

pub(super) async fn redeem(asked: &Asked<'_>) -> Result<Redeemed, TokenError> {
    let wanted = wanted(asked)?;
    let subject = credential(asked, "subject_token").await?;
    let subject = subject.ok_or_else(|| TokenError::request("subject_token is missing"))?;
    let Some(actor) = credential(asked, "actor_token").await? else {
        let confirmation = asked.confirmation(&subject);
        return Ok(Redeemed { subject, confirmation, delegation: None, wanted });
    };
    let acting = acting(&actor, &subject).map_err(|reason| {
        asked.refused(reason);
        TokenError::request(reason)
    })?;
    // Each was shown with what it is bound to; who acts holds what is issued.
    let proven = &asked.shown.proven;
    let of_actor = proven.confirmation(actor.binding);
    let confirmation = of_actor.or_else(|| asked.confirmation(&subject));
    let delegation = Some(Delegation { actor, whom: subject });
    Ok(Redeemed { subject: acting, confirmation, delegation, wanted })
}

fn wanted(asked: &Asked<'_>) -> Result<Wanted, TokenError> {
    match asked.form.one("requested_token_type")? {
        None => Ok(Wanted::AccessToken),
        Some("urn:ietf:params:oauth:token-type:access_token" | "urn:ietf:params:oauth:token-type:jwt") => {
            Ok(Wanted::AccessToken)
        }
        Some(DATABASE_PASSWORD) => Ok(Wanted::DatabasePassword),
        Some(SSH_CERTIFICATE) => {
            let key = gateway::ssh::caller_key(asked.form.required("public_key")?);
            let key = key.map_err(|problem| TokenError::request(format!("public_key: {problem}")))?;
            Ok(Wanted::SshCertificate(Box::new(key)))
        }
        Some(_) => Err(TokenError::request("that requested_token_type is not issued")),
    }
}

/// A token with its type, which has to be there with it and not without it.
async fn credential(asked: &Asked<'_>, name: &str) -> Result<Option<Subject>, TokenError> {
    let type_name = format!("{name}_type");
    let (token, kind) = (asked.form.one(name)?, asked.form.one(&type_name)?);
    match (token, kind) {
        (None, None) => Ok(None),
        (Some(token), Some(kind)) if JWT.contains(&kind) => {
            asked.verify(token).await.map(Some).ok_or_else(TokenError::credential)
        }
        (Some(_), Some(_)) => Err(TokenError::request(format!("a {type_name} is not known"))),
        (_, _) => Err(TokenError::request(format!("{name} and {type_name} go together"))),
    }
}

/// The actor on behalf of the subject: with the actor's own groups, and until the first of the two tokens ends.
fn acting(actor: &Subject, subject: &Subject) -> Result<Subject, &'static str> {
    if !actor.on_behalf_of.is_empty() {
        return Err("the actor's token stands for somebody else itself");
    }
    if subject.identities().any(|identity| *identity == actor.key) {
        return Err("the actor is the subject itself, or acted before");
    }
    let on_behalf_of: Vec<_> = subject.identities().cloned().collect();
    if on_behalf_of.len() > identity::MAX_ACTORS {
        return Err("there are too many actors");
    }
    let expires_at = actor.expires_at.min(subject.expires_at);
    Ok(Subject { on_behalf_of, expires_at, token_id: subject.token_id.clone(), ..actor.clone() })
}
