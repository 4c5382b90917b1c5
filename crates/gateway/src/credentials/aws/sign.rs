//! Signatures of AWS, version 4: of a request by its headers, and of the URL that is a token of RDS.

use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{
    PayloadChecksumKind, PercentEncodingMode, SignableBody, SignableRequest, SignatureLocation, SigningInstructions,
    SigningParams, SigningSettings, UriPathNormalizationMode, sign,
};
use aws_sigv4::sign::v4;
use model::secret::Secret;
use serde_json::{Value, json};
use store::config::AwsSigning;

use super::AwsError;

/// What is signed with.
pub(crate) struct AwsKeys {
    /// The access key's id, which is no secret.
    pub(super) id: String,
    pub(super) secret: Secret<String>,
    /// Where the key is a temporary one.
    pub(super) session_token: Option<Secret<String>>,
}

impl AwsKeys {
    /// In the form that AWS writes them.
    pub(super) fn written(&self) -> Secret<String> {
        let token = self.session_token.as_ref().map(Secret::expose);
        let keys = json!({ "AccessKeyId": self.id, "SecretAccessKey": self.secret.expose(), "SessionToken": token });
        Secret::new(keys.to_string())
    }

    /// Reads that form.
    pub(crate) fn read(text: &Secret<String>) -> Option<Self> {
        let read: Value = serde_json::from_str(text.expose()).ok()?;
        let word = |name: &str| read.get(name).and_then(Value::as_str).map(str::to_owned);
        let (id, secret) = (word("AccessKeyId")?, Secret::new(word("SecretAccessKey")?));
        Some(Self { id, secret, session_token: word("SessionToken").map(Secret::new) })
    }
}

/// The body of a request that is signed.
#[derive(Clone, Copy)]
pub(crate) enum Payload<'a> {
    /// All of it.
    Whole(&'a [u8]),
    /// It is on its way, and not signed: S3 alone takes that.
    Unsigned,
}

/// The fields that sign a request: its method, its whole URL, the fields that it has with `Host`, and its body.
pub(crate) fn sign_request(
    keys: &AwsKeys,
    signing: &AwsSigning,
    (method, url): (&str, &str),
    fields: &[(&str, &str)],
    payload: Payload<'_>,
    now: SystemTime,
) -> Result<Vec<(String, Secret<String>)>, AwsError> {
    let body = match payload {
        Payload::Whole(bytes) => SignableBody::Bytes(bytes),
        Payload::Unsigned => SignableBody::UnsignedPayload,
    };
    let mut settings = SigningSettings::default();
    // Like what the library leaves out already: a proxy on the way may change it.
    settings.excluded_headers.get_or_insert_default().push("te".into());
    if signing.service == "s3" {
        // S3 has its own rules: escaped once, `..` and `//` are names, and the digest stands in a field.
        settings.percent_encoding_mode = PercentEncodingMode::Single;
        settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
        settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
    }
    let request = SignableRequest::new(method, url, fields.iter().copied(), body).map_err(|_| AwsError::Sign)?;
    let signed = signed(keys, &signing.region, &signing.service, settings, request, now)?;
    Ok(signed.headers().map(|(name, value)| (name.to_owned(), Secret::new(value.to_owned()))).collect())
}

/// The headers of a request: those given, and those that sign it.
pub(super) fn headers(
    keys: &AwsKeys,
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
    keys: &AwsKeys,
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
    keys: &AwsKeys,
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
pub(in super::super) fn encode(text: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    text.bytes()
        .map(|byte| if is_plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}

#[cfg(test)]
mod tests;
