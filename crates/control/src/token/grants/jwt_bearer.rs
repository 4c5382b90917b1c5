//! A JWT as the grant itself (RFC 7523, section 2.1): what an exchange of it for a token of the same subject is.

use super::{Asked, Redeemed, Wanted};
use crate::token::error::TokenError;

pub(super) async fn redeem(asked: &Asked<'_>) -> Result<Redeemed, TokenError> {
    let subject = asked.verify(asked.form.required("assertion")?).await.ok_or_else(TokenError::grant)?;
    let confirmation = asked.confirmation(&subject);
    Ok(Redeemed { subject, confirmation, delegation: None, wanted: Wanted::AccessToken })
}
