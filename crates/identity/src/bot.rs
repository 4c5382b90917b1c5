//! The token that the Bot Connector shows with each activity that it brings: that it comes from there, for this bot, about
//! this service (Microsoft's "Authentication with the Bot Connector API", "Connector to Bot").

use model::time::Timestamp;

use crate::error::IdentityError;
use crate::issuers::Issuers;
use crate::json::Json;
use crate::token::Token;
use crate::{claims, verify};

/// Verifies the token of an activity; returns when it ends. `issuers` has the Bot Connector alone, with the bot as its audience; `service_url` is
/// what the activity says. It names nobody: who did something is what the activity says.
///
/// # Errors
/// The first check that fails, as [`crate::verify`].
pub fn bot_activity(
    token: &str,
    issuers: &Issuers,
    service_url: &str,
    now: Timestamp,
) -> Result<Timestamp, IdentityError> {
    let token = Token::parse(token)?;
    let issuer = verify::signer(issuers, &token, now)?.issuer();
    claims::check_not_foreign(&token.claims)?;
    claims::check_audience(issuer, &token.claims)?;
    if claims::seconds(&token.claims, "exp")?.is_none() {
        return Err(IdentityError::Claim { claim: "exp", problem: "absent" });
    }
    // It need not say when it was issued.
    let ends_at = claims::check_answered_times(issuer, &token.claims, now, now)?;
    match token.claims.get("serviceurl").and_then(Json::text) {
        Some(url) if url == service_url => Ok(ends_at),
        Some(_) | None => Err(IdentityError::Claim { claim: "serviceurl", problem: "not that of the activity" }),
    }
}
