//! The providers of the tests, their assertions, and how two verifiers judge them.

use std::sync::{Arc, LazyLock};

use identity::saml::{Accepted, Metadata, Providers, SamlError, verify};
use model::saml::SamlProvider;
use model::time::Timestamp;
use serde_json::Value;
use testkit::saml::{AUDIENCE, ENTITY_ID, RECIPIENT, Signer, SimpleSamlPhp, assertions, metadata, xmlsec1};

/// The provider's key.
pub(crate) static SIGNER: LazyLock<Signer> = LazyLock::new(|| Signer::generate().unwrap());
/// A stranger's.
pub(crate) static STRANGER: LazyLock<Signer> = LazyLock::new(|| Signer::generate().unwrap());

static SIMPLESAMLPHP: LazyLock<SimpleSamlPhp> = LazyLock::new(|| SimpleSamlPhp::start(&SIGNER).unwrap());

/// An assertion of the npm package, for `svc:etl` in two groups.
pub(crate) static ASSERTION: LazyLock<String> = LazyLock::new(|| made("svc:etl"));

/// The same for another name.
pub(crate) fn made(name: &str) -> String {
    one(SIGNER.options(name, &["data-eng", "ci"]))
}

/// What the npm package makes of options.
pub(crate) fn one(options: Value) -> String {
    assertions(&[options]).unwrap().remove(0)
}

/// The usual options, with some of them other.
pub(crate) fn with(changes: &Value) -> String {
    let mut options = SIGNER.options("svc:etl", &["data-eng", "ci"]);
    let all = options.as_object_mut().unwrap();
    all.extend(changes.as_object().unwrap().iter().map(|(name, value)| (name.clone(), value.clone())));
    one(options)
}

/// A response of SimpleSAMLphp in which the assertion is signed.
pub(crate) static RESPONSE: LazyLock<String> = LazyLock::new(|| response(AUDIENCE));
/// One in which only the response is.
pub(crate) static SIGNED_RESPONSE: LazyLock<String> = LazyLock::new(|| response("urn:sluice:response"));

fn response(audience: &str) -> String {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    let now = Timestamp::from_seconds(now.as_secs()).to_string();
    SIMPLESAMLPHP.response(audience, "_request", &now).unwrap()
}

/// The metadata that SimpleSAMLphp publishes.
pub(crate) fn published() -> String {
    SIMPLESAMLPHP.metadata().unwrap()
}

/// What is expected of the provider: it may answer requests, as ECP does.
pub(crate) fn provider() -> SamlProvider {
    let mut provider = SamlProvider::new("corp", ENTITY_ID, AUDIENCE, RECIPIENT);
    provider.groups_attribute = Some("groups".into());
    provider.solicited = true;
    provider
}

/// The provider, trusted with the key of [`SIGNER`].
pub(crate) fn trusting(provider: SamlProvider) -> Providers {
    let metadata = metadata(ENTITY_ID, &[&SIGNER], "");
    let metadata = Metadata::read(metadata.as_bytes(), ENTITY_ID, Timestamp(0)).unwrap();
    Providers::new().with(Arc::new(provider), &metadata, Timestamp(u64::MAX))
}

/// A second after the assertion was issued.
pub(crate) fn soon_after(document: &str) -> Timestamp {
    let (_, rest) = document.rsplit_once("IssueInstant=\"").unwrap();
    Timestamp::from_rfc_3339(rest.split('"').next().unwrap()).unwrap().plus_millis(1000)
}

/// What Sluice says of a document a second after it was issued.
pub(crate) fn judged(document: &str) -> Result<Accepted, SamlError> {
    judged_by(document, provider())
}

pub(crate) fn judged_by(document: &str, provider: SamlProvider) -> Result<Accepted, SamlError> {
    verify(document.as_bytes(), &trusting(provider), soon_after(&ASSERTION).max(soon_after(document)))
}

/// The signature is by none of the provider's keys.
pub(crate) fn unknown_key() -> SamlError {
    SamlError::UnknownKey { provider: "corp".into() }
}

/// What `xmlsec1` says of the first signature.
#[derive(Clone, Copy)]
pub(crate) enum Second {
    /// It is not valid either, or cannot be looked at.
    Refuses,
    /// It is valid, and that is not the question: the reason why the document is refused all the same.
    Accepts(&'static str),
}

/// Sluice refuses the document for this reason, and `xmlsec1` says what it is said to.
#[track_caller]
pub(crate) fn refused(document: &str, reason: &SamlError, second: Second) {
    assert_eq!(judged(document).as_ref().unwrap_err(), reason, "{document}");
    let said = match second {
        Second::Refuses => (false, "it is not valid"),
        Second::Accepts(why) => (true, why),
    };
    let accepted = xmlsec1::verifies(document, &SIGNER).unwrap();
    assert_eq!(accepted, said.0, "xmlsec1, of which is said: {}: {document}", said.1);
}

/// Sluice takes the document for this subject, and `xmlsec1` finds its signature valid too.
#[track_caller]
pub(crate) fn accepted(document: &str, subject: &str) -> Accepted {
    let accepted = judged(document).unwrap_or_else(|error| panic!("{error}: {document}"));
    assert_eq!(accepted.subject.key.to_string(), subject);
    assert!(xmlsec1::verifies(document, &SIGNER).unwrap(), "xmlsec1 refuses: {document}");
    accepted
}

/// The text from the first `begin` to the first `end` after it, both included.
pub(crate) fn piece<'a>(document: &'a str, begin: &str, end: &str) -> &'a str {
    let from = document.find(begin).unwrap_or_else(|| panic!("no {begin} in {document}"));
    let to = from + document[from..].find(end).unwrap_or_else(|| panic!("no {end} in {document}")) + end.len();
    &document[from..to]
}

/// The document with the one `from` in it replaced.
pub(crate) fn changed(document: &str, from: &str, to: &str) -> String {
    assert_eq!(document.matches(from).count(), 1, "{from} in {document}");
    document.replace(from, to)
}

/// The assertion without its signature.
pub(crate) fn unsigned(assertion: &str) -> String {
    let prefix = if assertion.contains("<ds:Signature") { "ds:" } else { "" };
    let signature = piece(assertion, &format!("<{prefix}Signature"), &format!("</{prefix}Signature>"));
    assertion.replacen(signature, "", 1)
}

/// The value of the first such attribute.
pub(crate) fn attribute<'a>(document: &'a str, name: &str) -> &'a str {
    document.split_once(&format!(" {name}=\"")).unwrap().1.split('"').next().unwrap()
}

/// The assertion in a response, as it stands there.
pub(crate) fn assertion_of(response: &str) -> String {
    let begin = response.find("<saml:Assertion").unwrap();
    response[begin..].strip_suffix("</samlp:Response>").unwrap().to_owned()
}

/// The same as a document of its own, with the one namespace that it had from the response.
pub(crate) fn alone(assertion: &str) -> String {
    assertion.replacen("<saml:Assertion", "<saml:Assertion xmlns:saml=\"urn:oasis:names:tc:SAML:2.0:assertion\"", 1)
}
