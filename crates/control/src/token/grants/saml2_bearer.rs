//! A SAML 2.0 assertion as the grant itself (RFC 7522, section 2.1). Its provider lets it be used once.

use identity::saml::SamlError;

use super::{Asked, Redeemed, Wanted};
use crate::token::error::TokenError;

pub(super) async fn redeem(asked: &Asked<'_>) -> Result<Redeemed, TokenError> {
    let assertion = asked.form.required("assertion")?;
    let subject = asked.app.node.issuers.redeem(assertion).await.map_err(|error| {
        asked.refused(&error.to_string());
        match error {
            SamlError::Memory => TokenError::unavailable(),
            _ => TokenError::grant(),
        }
    })?;
    let confirmation = asked.confirmation(&subject);
    Ok(Redeemed { subject, confirmation, delegation: None, wanted: Wanted::AccessToken })
}
