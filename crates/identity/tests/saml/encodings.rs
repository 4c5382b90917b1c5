//! What stands in a document beside elements and text, and what hides in it.

use identity::saml::{MAX_DOCUMENT, SamlError};
use serde_json::json;

use crate::support::{ASSERTION, SIGNER, Second, accepted, changed, judged, made, refused, with};

fn is_not_xml(document: &str) {
    let error = judged(document).unwrap_err();
    assert!(matches!(error, SamlError::Xml(_)), "{error:?}");
}

#[test]
fn id_21_a_comment_does_not_split_a_name() {
    let assertion = made("admin.evil.example");
    let document = changed(&assertion, "admin.evil.example", "admin<!-- a comment -->.evil.example");
    accepted(&document, "corp|admin.evil.example");
    let document = changed(&ASSERTION, ">data-eng<", ">data<!---->-eng<");
    assert_eq!(accepted(&document, "corp|svc:etl").subject.groups[1], "corp|data-eng".into());
    let issuer = changed(&ASSERTION, "<saml:Issuer>https://", "<saml:Issuer>https:<!-- -->//");
    accepted(&issuer, "corp|svc:etl");
}

#[test]
fn id_21_a_cdata_section_is_the_text_in_it() {
    let document = changed(&ASSERTION, ">svc:etl<", "><![CDATA[svc:]]>etl<");
    accepted(&document, "corp|svc:etl");
    let document = changed(&ASSERTION, ">svc:etl<", "><![CDATA[svc:etl<!-- -->]]><");
    refused(&document, &SamlError::Digest, Second::Refuses);
}

#[test]
fn id_21_a_processing_instruction_is_refused() {
    for place in [">svc:<?x?>etl<", "><?x y?>svc:etl<"] {
        let document = changed(&ASSERTION, ">svc:etl<", place);
        let instruction = SamlError::Xml(String::from("it has a processing instruction"));
        refused(&document, &instruction, Second::Refuses);
    }
}

#[test]
fn id_21_a_document_type_is_refused() {
    let before = |types: &str| format!("{types}{}", *ASSERTION);
    for types in [
        "<!DOCTYPE saml:Assertion>",
        "<!DOCTYPE saml:Assertion [<!ENTITY who \"svc:admin\">]>",
        "<!DOCTYPE saml:Assertion SYSTEM \"file:///etc/passwd\">",
        "<!DOCTYPE saml:Assertion [<!ATTLIST saml:Subject ID ID #IMPLIED>]>",
        "<!DOCTYPE saml:Assertion [<!ENTITY % more SYSTEM \"http://127.0.0.1:9/x\"> %more;]>",
    ] {
        is_not_xml(&before(types));
    }
    let document = before("<!DOCTYPE saml:Assertion [<!ENTITY who \"svc:etl\">]>");
    is_not_xml(&changed(&document, ">svc:etl<", ">&who;<"));
    let bomb: String = (1..10).map(|n| format!("<!ENTITY e{n} \"{}\">", format!("&e{};", n - 1).repeat(10))).collect();
    let document = before(&format!("<!DOCTYPE saml:Assertion [<!ENTITY e0 \"ha\">{bomb}]>"));
    is_not_xml(&changed(&document, ">svc:etl<", ">&e9;<"));
    is_not_xml(&changed(&ASSERTION, ">svc:etl<", ">&who;<"));
}

#[test]
fn id_21_what_is_encrypted_is_refused() {
    let document = with(&json!({"encryptionCert": SIGNER.certificate, "encryptionPublicKey": SIGNER.public_key}));
    assert!(document.contains("EncryptedAssertion"), "{document}");
    let in_response = format!(
        "<samlp:Response xmlns:samlp=\"urn:oasis:names:tc:SAML:2.0:protocol\" Version=\"2.0\">{document}</samlp:Response>"
    );
    for document in [document, in_response] {
        let now = crate::support::soon_after(&ASSERTION);
        let providers = crate::support::trusting(crate::support::provider());
        let refused = identity::saml::verify(document.as_bytes(), &providers, now).unwrap_err();
        assert_eq!(refused, SamlError::Encrypted);
    }
    let name = ASSERTION.replace("saml:NameID", "saml:EncryptedID");
    refused(&name, &SamlError::Encrypted, Second::Refuses);
}

#[test]
fn id_21_other_encodings_than_utf_8_are_refused() {
    let declared = format!("<?xml version=\"1.0\" encoding=\"UTF-16\"?>{}", *ASSERTION);
    assert_eq!(judged(&declared).unwrap_err(), SamlError::Encoding("UTF-8, as it says itself"));
    let utf16: Vec<u8> = ASSERTION.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let providers = crate::support::trusting(crate::support::provider());
    let now = crate::support::soon_after(&ASSERTION);
    assert!(identity::saml::verify(&utf16, &providers, now).is_err());
    accepted(&format!("<?xml version=\"1.0\" encoding=\"utf-8\"?>\n{}", *ASSERTION), "corp|svc:etl");
}

#[test]
fn id_21_size_and_depth_are_bounded() {
    let long = format!("{}{}", *ASSERTION, " ".repeat(MAX_DOCUMENT));
    assert_eq!(judged(&long).unwrap_err(), SamlError::TooLong);
    let (open, close) = ("<a>".repeat(5000), "</a>".repeat(5000));
    is_not_xml(&changed(&ASSERTION, "<saml:Subject>", &format!("{open}{close}<saml:Subject>")));
    let many = "<a/>".repeat(20_000);
    is_not_xml(&changed(&ASSERTION, "<saml:Subject>", &format!("{many}<saml:Subject>")));
    let attributes: String = (0..8000).map(|number| format!(" a{number}=\"\"")).collect();
    is_not_xml(&changed(&ASSERTION, "<saml:Subject>", &format!("<saml:Subject{attributes}>")));
}
