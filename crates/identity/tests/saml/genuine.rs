//! What is in order is taken, and read as it was meant.

use identity::saml::{SamlError, decode};
use model::subject::SubjectKind;
use serde_json::json;
use testkit::saml::xmlsec1;

use crate::support::{
    ASSERTION, RESPONSE, SIGNER, accepted, alone, assertion_of, judged_by, provider, soon_after, trusting, with,
};

#[test]
fn an_assertion_of_the_npm_package() {
    let read = accepted(&ASSERTION, "corp|svc:etl");
    assert_eq!(read.subject.kind, SubjectKind::Service);
    assert_eq!(read.subject.groups, ["corp|ci".into(), "corp|data-eng".into()]);
    assert_eq!(read.subject.expires_at, soon_after(&ASSERTION).plus_millis(299_000));
    assert_eq!(read.remember_until, read.subject.expires_at);
    assert_eq!(read.subject.token_id, Some(read.assertion_id));
}

#[test]
fn a_response_of_simplesamlphp() {
    let read = accepted(&RESPONSE, "corp|svc:etl");
    assert_eq!(read.subject.groups, ["corp|ci".into(), "corp|data-eng".into()]);
}

#[test]
fn the_assertion_alone_out_of_a_response_of_simplesamlphp() {
    accepted(&alone(&assertion_of(&RESPONSE)), "corp|svc:etl");
}

#[test]
fn signatures_with_a_prefix_and_typed_or_plain_attributes() {
    accepted(&with(&json!({"signatureNamespacePrefix": "ds"})), "corp|svc:etl");
    accepted(&with(&json!({"typedAttributes": false, "includeAttributeNameFormat": false})), "corp|svc:etl");
}

#[test]
fn every_algorithm_that_is_accepted_as_another_implementation_makes_it() {
    for (signature, digest) in [
        ("http://www.w3.org/2001/04/xmldsig-more#rsa-sha256", "http://www.w3.org/2001/04/xmlenc#sha512"),
        ("http://www.w3.org/2001/04/xmldsig-more#rsa-sha384", "http://www.w3.org/2001/04/xmldsig-more#sha384"),
        ("http://www.w3.org/2001/04/xmldsig-more#rsa-sha512", "http://www.w3.org/2001/04/xmlenc#sha256"),
    ] {
        let template = crate::signatures::Template { signature, digest, ..Default::default() };
        accepted(&xmlsec1::sign(&template.over(&ASSERTION), &SIGNER).unwrap(), "corp|svc:etl");
    }
}

#[test]
fn inclusive_namespaces_are_those_that_were_signed() {
    let list = "<ec:InclusiveNamespaces xmlns:ec=\"http://www.w3.org/2001/10/xml-exc-c14n#\" PrefixList=\"xs saml\"/>";
    let template = crate::signatures::Template { prefixes: list, ..Default::default() };
    accepted(&xmlsec1::sign(&template.over(&ASSERTION), &SIGNER).unwrap(), "corp|svc:etl");
}

#[test]
fn the_form_in_which_assertions_travel() {
    use base64::Engine;
    use base64::engine::general_purpose::{STANDARD, URL_SAFE, URL_SAFE_NO_PAD};

    let document = format!("{}  ", *ASSERTION).into_bytes();
    for text in [URL_SAFE.encode(&document), URL_SAFE_NO_PAD.encode(&document)] {
        assert_eq!(decode(&text).unwrap(), document);
    }
    // `?>?` is `Pz4/` in the alphabet that does not fit into URLs.
    assert_eq!(decode(&STANDARD.encode("?>?")), Err(SamlError::Encoding("base64url")));
    assert_eq!(decode(&"A".repeat(400_000)), Err(SamlError::TooLong));
}

#[test]
fn nothing_is_believed_without_metadata() {
    let now = soon_after(&ASSERTION);
    let none = identity::saml::Providers::new();
    let stranger = identity::saml::verify(ASSERTION.as_bytes(), &none, now).unwrap_err();
    assert_eq!(stranger, SamlError::UnknownProvider(String::from("`https://idp.example/saml`")));
    let too_old = SamlError::MetadataTooOld { provider: "corp".into() };
    let bare = none.without_metadata(std::sync::Arc::new(provider()));
    assert_eq!(identity::saml::verify(ASSERTION.as_bytes(), &bare, now), Err(too_old));
}

#[test]
fn id_08_a_provider_speaks_for_itself_alone() {
    let mut other = provider();
    other.entity_id = "https://other.example/saml".into();
    let refused = judged_by(&ASSERTION, other).unwrap_err();
    assert_eq!(refused, SamlError::UnknownProvider(String::from("`https://idp.example/saml`")));
    drop(trusting(provider()));
}
