//! What is tried with any bytes, for the fuzz targets and for the test that runs the same over the seeds
//! (`tests/fuzz_bodies.rs`). The seeds are two assertions of the npm package `saml` and the metadata that they are verified
//! by; nobody has their key any more.

use std::sync::{Arc, LazyLock};

use identity::saml::{Accepted, Metadata, Providers, verify};
use model::saml::SamlProvider;
use model::time::Timestamp;

const ENTITY_ID: &str = "https://idp.example/saml";
/// A minute after the assertions were issued.
const NOW: Timestamp = Timestamp::from_seconds(1_795_999_747);

static PROVIDERS: LazyLock<Providers> = LazyLock::new(|| {
    let mut provider = SamlProvider::new("corp", ENTITY_ID, "urn:sluice", "https://sluice.example/token");
    provider.groups_attribute = Some("groups".into());
    let metadata = Metadata::read(include_bytes!("seeds/saml_metadata/metadata.xml"), ENTITY_ID, NOW).unwrap();
    Providers::new().with(Arc::new(provider), &metadata, Timestamp(u64::MAX))
});

/// Whom a document stands for.
pub fn judged(input: &[u8]) -> Option<Accepted> {
    verify(input, &PROVIDERS, NOW).ok()
}

/// An assertion or a response: no input panics, and whatever is accepted says what was signed.
pub fn saml_assertion(input: &[u8]) {
    if let Some(accepted) = judged(input) {
        assert_eq!(accepted.subject.key.to_string(), "corp|svc:etl");
        assert_eq!(accepted.subject.groups, ["corp|ci".into(), "corp|data-eng".into()]);
    }
}

/// Metadata: no input panics, and what is accepted is of the entity that was asked for.
pub fn saml_metadata(input: &[u8]) {
    if let Ok(metadata) = Metadata::read(input, ENTITY_ID, NOW) {
        assert_eq!(&*metadata.entity_id, ENTITY_ID);
        assert!(metadata.keys.count() > 0);
        assert!(metadata.valid_until.is_none_or(|end| end > NOW));
        let signed = Metadata::read_signed(input, &metadata.keys, ENTITY_ID, NOW);
        assert!(signed.is_err(), "nothing here is signed by the provider itself");
    }
}
