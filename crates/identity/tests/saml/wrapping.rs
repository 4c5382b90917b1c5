//! XML signature wrapping: the eight shapes of Somorovsky and others ("On Breaking SAML", 2012), each built from what
//! SimpleSAMLphp signed, with `svc:admin` in place of `svc:etl`. The signature itself stays valid, as
//! `xmlsec1` says of all but three.

use identity::saml::SamlError;

use crate::support::{
    ASSERTION, RESPONSE, SIGNED_RESPONSE, Second, accepted, alone, assertion_of, attribute, changed, made, piece,
    refused, unsigned,
};

const SEVERAL: SamlError = SamlError::Shape("there are several assertions");
const VALID: Second = Second::Accepts("the signature is valid, over the assertion that was moved aside");
/// `xmlsec1` takes the signature, and so what was moved into it, out of what is signed: nothing is left. Others take only
/// the signature of the element that is referred to, and find it valid.
const EMPTY: Second = Second::Refuses;

/// The genuine assertion of a response, and one like it that nobody signed, with another ID and name.
fn genuine_and_evil() -> (String, String) {
    let genuine = assertion_of(&RESPONSE);
    let evil = changed(&genuine, ">svc:etl</saml:NameID>", ">svc:admin</saml:NameID>");
    let evil = evil.replace(&format!(" ID=\"{}\"", attribute(&genuine, "ID")), " ID=\"_evil\"");
    (genuine, evil)
}

fn signature(element: &str) -> &str {
    piece(element, "<ds:Signature ", "</ds:Signature>")
}

/// The response with other assertions in place of its own.
fn response(content: &str) -> String {
    let (genuine, _) = genuine_and_evil();
    changed(&RESPONSE, &genuine, content)
}

/// The response that was signed as a whole, and an evil one that carries its signature.
fn responses() -> (String, String) {
    let genuine = SIGNED_RESPONSE.clone();
    let id = format!(" ID=\"{}\"", attribute(&genuine, "ID"));
    let evil = changed(&genuine, ">svc:etl</saml:NameID>", ">svc:admin</saml:NameID>");
    let evil = evil.replacen(&id, " ID=\"_evil\"", 1);
    let id = format!(" ID=\"{}\"", attribute(&assertion_of(&genuine), "ID"));
    let evil = changed(&evil, &id, " ID=\"_evil_too\"");
    (genuine, evil)
}

#[test]
fn id_21_xsw_1_the_signed_response_inside_the_signature_of_another() {
    let (genuine, evil) = responses();
    let original = genuine.replacen(signature(&genuine), "", 1);
    let inner = signature(&evil).replace("</ds:Signature>", &format!("{original}</ds:Signature>"));
    refused(&changed(&evil, signature(&evil), &inner), &SEVERAL, EMPTY);
}

#[test]
fn id_21_xsw_2_the_signed_response_beside_the_signature_of_another() {
    let (genuine, evil) = responses();
    let original = genuine.replacen(signature(&genuine), "", 1);
    let both = format!("{original}{}", signature(&evil));
    refused(&changed(&evil, signature(&evil), &both), &SEVERAL, VALID);
}

#[test]
fn id_21_xsw_3_an_assertion_before_the_signed_one() {
    let (genuine, evil) = genuine_and_evil();
    let twice = SamlError::Part { part: "Assertion", problem: "there more than once" };
    refused(&response(&format!("{}{genuine}", unsigned(&evil))), &twice, VALID);
}

#[test]
fn id_21_xsw_4_an_assertion_around_the_signed_one() {
    let (genuine, evil) = genuine_and_evil();
    let around = unsigned(&evil).replace("</saml:Assertion>", &format!("{genuine}</saml:Assertion>"));
    refused(&response(&around), &SEVERAL, VALID);
    refused(&alone(&around), &SEVERAL, VALID);
}

#[test]
fn id_21_xsw_5_the_signature_in_an_assertion_before_the_one_that_it_covers() {
    let (genuine, evil) = genuine_and_evil();
    let twice = SamlError::Part { part: "Assertion", problem: "there more than once" };
    refused(&response(&format!("{evil}{}", unsigned(&genuine))), &twice, VALID);
}

#[test]
fn id_21_xsw_6_the_signed_assertion_inside_its_signature_in_another() {
    let (genuine, evil) = genuine_and_evil();
    let inner = signature(&evil).replace("</ds:Signature>", &format!("{}</ds:Signature>", unsigned(&genuine)));
    let evil = changed(&evil, signature(&evil), &inner);
    refused(&response(&evil), &SEVERAL, EMPTY);
    refused(&alone(&evil), &SEVERAL, EMPTY);
}

#[test]
fn id_21_xsw_7_an_assertion_in_extensions_before_the_signed_one() {
    let (genuine, evil) = genuine_and_evil();
    let extensions = format!("<samlp:Extensions>{}</samlp:Extensions>", unsigned(&evil));
    refused(&response(&format!("{extensions}{genuine}")), &SEVERAL, VALID);
}

#[test]
fn id_21_xsw_8_the_signed_assertion_in_an_object_of_its_signature_in_another() {
    let (genuine, evil) = genuine_and_evil();
    let object = format!("<ds:Object>{}</ds:Object></ds:Signature>", unsigned(&genuine));
    let inner = signature(&evil).replace("</ds:Signature>", &object);
    let evil = changed(&evil, signature(&evil), &inner);
    refused(&response(&evil), &SEVERAL, EMPTY);
    refused(&alone(&evil), &SEVERAL, EMPTY);
}

#[test]
fn id_21_two_genuine_assertions_are_one_too_many() {
    let (genuine, _) = genuine_and_evil();
    let twice = SamlError::Part { part: "Assertion", problem: "there more than once" };
    refused(&response(&format!("{genuine}{}", made("svc:other"))), &twice, Second::Accepts("each is signed"));
}

#[test]
fn id_21_a_signed_response_is_not_a_signed_assertion() {
    let form = SamlError::SignatureForm("the element has no signature of its own");
    refused(&SIGNED_RESPONSE, &form, Second::Accepts("the response is signed, and the assertion in it is not"));
}

#[test]
fn id_21_a_signed_assertion_elsewhere_in_an_unsigned_response() {
    let (genuine, evil) = genuine_and_evil();
    let hidden = format!("<samlp:StatusDetail>{genuine}</samlp:StatusDetail></samlp:Status>");
    let document = response(&unsigned(&evil)).replace("</samlp:Status>", &hidden);
    refused(&document, &SEVERAL, VALID);
}

#[test]
fn id_21_a_signature_of_one_assertion_in_another() {
    let other = made("svc:other");
    let of = |assertion: &str| piece(assertion, "<Signature", "</Signature>").to_owned();
    let document = changed(&other, &of(&other), &of(&ASSERTION));
    let form = SamlError::SignatureForm("its reference is not the ID of the element that it is in");
    refused(&document, &form, Second::Refuses);
}

#[test]
fn id_21_without_its_signature_it_is_nothing() {
    let form = SamlError::SignatureForm("the element has no signature of its own");
    refused(&unsigned(&ASSERTION), &form, Second::Refuses);
}

#[test]
fn id_21_a_signature_where_none_belongs() {
    let signature = piece(&ASSERTION, "<Signature", "</Signature>");
    let deeper = unsigned(&ASSERTION).replace("<saml:Subject>", &format!("<saml:Subject>{signature}"));
    let none = SamlError::Shape("there is a signature where none belongs");
    refused(&deeper, &none, Second::Accepts("the enveloped signature may be anywhere within"));
}

#[test]
fn id_21_two_elements_with_one_id() {
    let id = attribute(&ASSERTION, "ID");
    let same = SamlError::Shape("two elements have the same ID");
    for name in ["ID", "Id", "id", "xml:id"] {
        let document = ASSERTION.replace("<saml:Conditions", &format!("<saml:Conditions {name}=\"{id}\""));
        refused(&document, &same, Second::Refuses);
    }
    let (genuine, _) = genuine_and_evil();
    let extensions = format!("<samlp:Extensions ID=\"{}\"/>{genuine}", attribute(&genuine, "ID"));
    refused(&response(&extensions), &same, VALID);
}

#[test]
fn id_21_what_is_around_the_assertion_is_never_believed() {
    // A response is a wrapper: whoever brings one may write it as they like, and gains nothing by it.
    let document = RESPONSE.replacen("<saml:Issuer>https://idp.example/saml<", "<saml:Issuer>https://evil.example<", 1);
    let document = document.replace("status:Success", "status:Requester");
    accepted(&document, "corp|svc:etl");
}
