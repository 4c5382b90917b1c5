//! Signatures of AWS, version 4: of a request by its headers, and of the URL that is a token of RDS.

use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{
    SignableBody, SignableRequest, SignatureLocation, SigningInstructions, SigningParams, SigningSettings, sign,
};
use aws_sigv4::sign::v4;
use model::secret::Secret;

use super::AwsError;

/// What is signed with.
pub(super) struct Keys {
    /// The access key's id, which is no secret.
    pub(super) id: String,
    pub(super) secret: Secret<String>,
    /// Where the key is a temporary one.
    pub(super) session_token: Option<Secret<String>>,
}

/// The headers of a request: those given, and those that sign it.
pub(super) fn headers(
    keys: &Keys,
    region: &str,
    service: &str,
    url: &str,
    given: &[(&str, &str)],
    body: &str,
    now: SystemTime,
) -> Result<Vec<(String, String)>, AwsError> {
    let given = given.iter().copied();
    let request = SignableRequest::new("POST", url, given.clone(), SignableBody::Bytes(body.as_bytes()));
    let signed = signed(keys, region, service, SigningSettings::default(), request.map_err(|_| AwsError::Sign)?, now)?;
    let own = signed.headers().map(|(name, value)| (name.to_owned(), value.to_owned()));
    Ok(given.map(|(name, value)| (name.to_owned(), value.to_owned())).chain(own).collect())
}

/// The token with which `user` logs in at `place`, a host and a port: a URL without its scheme, its parameters in the order of
/// their names.
pub(super) fn rds_token(
    keys: &Keys,
    region: &str,
    place: &str,
    user: &str,
    life: Duration,
    now: SystemTime,
) -> Result<String, AwsError> {
    let base = format!("{place}/?Action=connect&DBUser={}", encode(user));
    let mut settings = SigningSettings::default();
    settings.signature_location = SignatureLocation::QueryParams;
    settings.expires_in = Some(life);
    let url = format!("https://{base}");
    let request = SignableRequest::new("GET", &url, std::iter::empty(), SignableBody::Bytes(&[]));
    let signed = signed(keys, region, "rds-db", settings, request.map_err(|_| AwsError::Sign)?, now)?;
    let mut parameters: Vec<_> = signed.params().iter().collect();
    // The signature last, as it is over all others.
    parameters.sort_by_key(|(name, _)| (*name == "X-Amz-Signature", *name));
    Ok(parameters.into_iter().fold(base, |url, (name, value)| format!("{url}&{name}={}", encode(value))))
}

fn signed(
    keys: &Keys,
    region: &str,
    service: &str,
    settings: SigningSettings,
    request: SignableRequest<'_>,
    now: SystemTime,
) -> Result<SigningInstructions, AwsError> {
    let token = keys.session_token.as_ref().map(|token| token.expose().clone());
    let identity = Credentials::new(&keys.id, keys.secret.expose(), token, None, "sluice").into();
    let builder = v4::SigningParams::builder().identity(&identity).region(region).name(service);
    let params = builder.time(now).settings(settings).build().map_err(|_| AwsError::Sign)?;
    let signed = sign(request, &SigningParams::V4(params)).map_err(|_| AwsError::Sign)?;
    Ok(signed.into_parts().0)
}

/// A text inside a query (RFC 3986, section 2.3), as the signature wants it.
pub(super) fn encode(text: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    text.bytes()
        .map(|byte| if is_plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}

#[cfg(test)]
mod tests;
