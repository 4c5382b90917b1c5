//! What a provider publishes, and how long and for what it is believed.

use std::sync::Arc;

use identity::saml::{Metadata, MetadataError, ProviderKeys, Providers, SamlError, verify};
use model::time::Timestamp;
use testkit::saml::{ENTITY_ID, Signer, metadata, xmlsec1};

use crate::support::{ASSERTION, RESPONSE, SIGNER, STRANGER, changed, provider, published, soon_after, unknown_key};

fn read(document: &str) -> Result<Metadata, MetadataError> {
    Metadata::read(document.as_bytes(), ENTITY_ID, Timestamp(1_000_000))
}

fn judged_by(metadata: &Metadata, now: Timestamp, until: Timestamp) -> Result<String, SamlError> {
    let providers = Providers::new().with(Arc::new(provider()), metadata, until);
    verify(ASSERTION.as_bytes(), &providers, now).map(|read| read.subject.key.to_string())
}

#[test]
fn the_metadata_of_simplesamlphp_verifies_its_assertions() {
    let metadata = Metadata::read(published().as_bytes(), ENTITY_ID, soon_after(&RESPONSE)).unwrap();
    assert_eq!((metadata.keys.count(), metadata.valid_until), (1, None));
    let providers = Providers::new().with(Arc::new(provider()), &metadata, Timestamp(u64::MAX));
    assert!(verify(RESPONSE.as_bytes(), &providers, soon_after(&RESPONSE)).is_ok());
}

#[test]
fn two_keys_are_believed_while_they_change_and_one_that_is_gone_is_not() {
    let now = soon_after(&ASSERTION);
    let forever = Timestamp(u64::MAX);
    for keys in [vec![&*SIGNER, &*STRANGER], vec![&*STRANGER, &*SIGNER]] {
        let both = read(&metadata(ENTITY_ID, &keys, "")).unwrap();
        assert_eq!(judged_by(&both, now, forever).unwrap(), "corp|svc:etl");
    }
    let changed = read(&metadata(ENTITY_ID, &[&STRANGER], "")).unwrap();
    assert_eq!(judged_by(&changed, now, forever), Err(unknown_key()));
}

#[test]
fn valid_until_and_the_age_of_metadata_both_count() {
    let now = soon_after(&ASSERTION);
    let too_old = Err(SamlError::MetadataTooOld { provider: "corp".into() });
    let until =
        |moment: Timestamp| read(&metadata(ENTITY_ID, &[&SIGNER], &format!("validUntil=\"{moment}\""))).unwrap();
    assert!(judged_by(&until(now.plus_millis(1)), now, Timestamp(u64::MAX)).is_ok());
    assert_eq!(judged_by(&until(now), now, Timestamp(u64::MAX)), too_old);
    assert_eq!(judged_by(&until(now.plus_millis(1)), now, now), too_old);
    let over = read(&metadata(ENTITY_ID, &[&SIGNER], "validUntil=\"1970-01-01T00:00:01Z\"")).unwrap_err();
    assert_eq!(over, MetadataError::Expired(Timestamp(1000)));
}

#[test]
fn metadata_of_others_or_without_a_key_is_refused() {
    let other = read(&metadata("https://other.example/saml", &[&SIGNER], "")).unwrap_err();
    assert_eq!(other, MetadataError::Entity(String::from("`https://other.example/saml`")));
    assert_eq!(read(&metadata(ENTITY_ID, &[], "")).unwrap_err(), MetadataError::Empty);
    let document = metadata(ENTITY_ID, &[&SIGNER], "").replace("use=\"signing\"", "use=\"encryption\"");
    assert_eq!(read(&document).unwrap_err(), MetadataError::Empty);
    let document = metadata(ENTITY_ID, &[&SIGNER], "").replace("SAML:2.0:protocol", "SAML:1.1:protocol");
    assert!(matches!(read(&document).unwrap_err(), MetadataError::Document(SamlError::Shape(_))));
    let document = metadata(ENTITY_ID, &[&SIGNER], "");
    let broken = changed(&document, "<ds:X509Certificate>MII", "<ds:X509Certificate>AAA");
    assert!(matches!(read(&broken).unwrap_err(), MetadataError::Certificate(_)));
    let types = format!("<!DOCTYPE md:EntityDescriptor>{document}");
    assert!(matches!(read(&types).unwrap_err(), MetadataError::Document(SamlError::Xml(_))));
}

#[test]
fn weak_keys_are_no_keys() {
    let weak = testkit::saml::weak_certificate().unwrap();
    let error = ProviderKeys::from_certificates([&*weak]).unwrap_err();
    assert!(error.to_string().contains("its RSA key is below 2048"), "{error}");
}

/// Metadata signed by `xmlsec1`, which makes the same form of signature.
fn signed(signer: &Signer) -> String {
    let document = metadata(ENTITY_ID, &[&SIGNER], "ID=\"_metadata\"");
    let signature = xmlsec1::template("_metadata");
    let document = changed(&document, "<md:IDPSSODescriptor", &format!("{signature}<md:IDPSSODescriptor"));
    xmlsec1::sign(&document, signer).unwrap()
}

#[test]
fn signed_metadata_is_believed_by_its_signature_alone() {
    let federation = ProviderKeys::from_certificates([&*STRANGER.certificate_der]).unwrap();
    let read = |document: &str| Metadata::read_signed(document.as_bytes(), &federation, ENTITY_ID, Timestamp(0));
    assert_eq!(read(&signed(&STRANGER)).unwrap().keys.count(), 1);
    assert_eq!(read(&signed(&SIGNER)), Err(MetadataError::Document(SamlError::Signature)));
    let other = signed(&STRANGER).replace("protocolSupport", "xprotocolSupport");
    assert_eq!(read(&other), Err(MetadataError::Document(SamlError::Digest)));
    let form = SamlError::SignatureForm("the element has no signature of its own");
    assert_eq!(read(&metadata(ENTITY_ID, &[&SIGNER], "")), Err(MetadataError::Document(form)));
}
