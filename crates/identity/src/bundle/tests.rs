use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair, KeyUsagePurpose};
use serde_json::{Value, json};

use super::*;

fn certificate() -> rcgen::Certificate {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    params.self_signed(&KeyPair::generate().unwrap()).unwrap()
}

fn authority_entry() -> Value {
    json!({"kty": "EC", "use": "x509-svid", "x5c": [STANDARD.encode(certificate().der())]})
}

fn key_entry(kid: &str) -> Value {
    json!({"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo", "use": "jwt-svid", "kid": kid})
}

fn read(entries: Value) -> Result<TrustBundle, BundleError> {
    TrustBundle::from_file(json!({"keys": entries, "spiffe_sequence": 7}).to_string().as_bytes())
}

#[test]
fn a_pem_file_holds_authorities() {
    let text = format!("two of them\n{}\n{}", certificate().pem(), certificate().pem());
    let bundle = TrustBundle::from_file(text.as_bytes()).unwrap();
    assert_eq!((bundle.authorities(), bundle.key_ids().count()), (2, 0));
    assert_eq!(TrustBundle::from_file(b"").unwrap_err(), BundleError::Empty);
    assert_eq!(TrustBundle::from_file(&vec![b' '; MAX_BYTES + 1]).unwrap_err(), BundleError::TooLarge);
    let broken = text.replacen("-----END CERTIFICATE-----", "", 1);
    assert!(TrustBundle::from_file(broken.as_bytes()).is_err());
}

#[test]
fn a_bundle_document_holds_both_kinds() {
    let bundle = read(json!([authority_entry(), key_entry("a"), key_entry("b")])).unwrap();
    assert_eq!(bundle.authorities(), 1);
    assert_eq!(bundle.key_ids().collect::<Vec<_>>(), ["a", "b"]);
    // Entries of other uses are passed over; so is one that does not say.
    let mut other = key_entry("c");
    other["use"] = json!("sig");
    let mut silent = key_entry("d");
    silent.as_object_mut().unwrap().remove("use");
    let bundle = read(json!([authority_entry(), other.clone(), silent])).unwrap();
    assert_eq!((bundle.authorities(), bundle.key_ids().count()), (1, 0));
    assert_eq!(read(json!([other])).unwrap_err(), BundleError::Empty);
    assert_eq!(read(json!([])).unwrap_err(), BundleError::Empty);
}

#[test]
fn a_broken_entry_refuses_the_whole() {
    let chain = json!({"kty": "EC", "use": "x509-svid", "x5c": ["AA==", "AA=="]});
    for wrong in [chain, json!({"use": "x509-svid"}), json!({"use": "x509-svid", "x5c": ["AA=="]}), json!(7)] {
        assert!(read(json!([authority_entry(), wrong.clone()])).is_err(), "{wrong}");
    }
    let mut private = key_entry("a");
    private["d"] = json!("AA");
    assert!(matches!(read(json!([private])), Err(BundleError::Keys(KeySetError::Secret(_)))));
    let twice = json!([key_entry("a"), key_entry("a")]);
    assert!(matches!(read(twice), Err(BundleError::Keys(KeySetError::Ambiguous(_)))));
    assert!(TrustBundle::from_file(br#"{"keys": [], "keys": []}"#).is_err());
}

#[test]
fn keys_and_authorities_are_renewed_apart() {
    let bundle = read(json!([authority_entry(), key_entry("a")])).unwrap();
    let mut key = key_entry("b");
    key.as_object_mut().unwrap().remove("use");
    let bundle = bundle.with_keys(json!({"keys": [key]}).to_string().as_bytes()).unwrap();
    assert_eq!((bundle.authorities(), bundle.key_ids().collect::<Vec<_>>()), (1, vec!["b"]));
    let bundle = bundle.with_authorities([]).unwrap();
    assert_eq!((bundle.authorities(), bundle.key_ids().count()), (0, 1));
    assert_eq!(bundle.with_keys(br#"{"keys": []}"#).unwrap().key_ids().count(), 0);
    assert!(bundle.with_keys(b"nothing").is_err());
}
