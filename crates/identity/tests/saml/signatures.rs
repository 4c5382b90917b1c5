//! Signatures that are valid, and of a form or by an algorithm that Sluice does not take. `xmlsec1` makes those that no
//! identity provider does.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{RSA_PKCS1_SHA256, RsaKeyPair};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use identity::saml::SamlError;
use serde_json::json;
use testkit::saml::xmlsec1;

use crate::support::{
    ASSERTION, SIGNER, STRANGER, Second, attribute, changed, one, piece, refused, unknown_key, unsigned, with,
};

const EXCLUSIVE: &str = "http://www.w3.org/2001/10/xml-exc-c14n#";
const ENVELOPED: &str = "http://www.w3.org/2000/09/xmldsig#enveloped-signature";
const RSA_SHA256: &str = "http://www.w3.org/2001/04/xmldsig-more#rsa-sha256";
const SHA256: &str = "http://www.w3.org/2001/04/xmlenc#sha256";

/// What `xmlsec1` is to make a signature of.
pub(crate) struct Template {
    pub(crate) canonicalization: &'static str,
    pub(crate) signature: &'static str,
    pub(crate) digest: &'static str,
    /// The content of exclusive canonicalisations.
    pub(crate) prefixes: &'static str,
    /// Between the two usual transforms.
    pub(crate) transforms: &'static str,
    /// The last transform.
    pub(crate) last: &'static str,
    /// `None` for the ID of the assertion.
    pub(crate) uri: Option<&'static str>,
    /// After the reference.
    pub(crate) more: &'static str,
}

impl Default for Template {
    fn default() -> Self {
        Self {
            canonicalization: EXCLUSIVE,
            signature: RSA_SHA256,
            digest: SHA256,
            prefixes: "",
            transforms: "",
            last: EXCLUSIVE,
            uri: None,
            more: "",
        }
    }
}

impl Template {
    /// The assertion with the template in place of its signature.
    pub(crate) fn over(&self, assertion: &str) -> String {
        let template = self.text(attribute(assertion, "ID"));
        changed(&unsigned(assertion), "</saml:Issuer>", &format!("</saml:Issuer>{template}"))
    }

    /// The template, for an element of this ID.
    pub(crate) fn text(&self, id: &str) -> String {
        let Self { canonicalization, signature, digest, prefixes, transforms, last, uri, more } = self;
        let uri = uri.map_or_else(|| format!("#{id}"), str::to_owned);
        format!(
            "<ds:Signature xmlns:ds=\"http://www.w3.org/2000/09/xmldsig#\"><ds:SignedInfo>\
             <ds:CanonicalizationMethod Algorithm=\"{canonicalization}\">{prefixes}</ds:CanonicalizationMethod>\
             <ds:SignatureMethod Algorithm=\"{signature}\"/><ds:Reference URI=\"{uri}\"><ds:Transforms>\
             <ds:Transform Algorithm=\"{ENVELOPED}\"/>{transforms}<ds:Transform Algorithm=\"{last}\">{prefixes}\
             </ds:Transform></ds:Transforms><ds:DigestMethod Algorithm=\"{digest}\"/><ds:DigestValue/></ds:Reference>{more}\
             </ds:SignedInfo><ds:SignatureValue/></ds:Signature>"
        )
    }

    fn signed(&self) -> String {
        xmlsec1::sign(&self.over(&ASSERTION), &SIGNER).unwrap()
    }
}

fn algorithm(what: &'static str, name: &str) -> SamlError {
    SamlError::Algorithm { what, name: format!("`{name}`") }
}

#[test]
fn id_21_sha_1_is_refused_in_signature_and_digest() {
    const STILL: Second = Second::Accepts("xmlsec1 still takes SHA-1");
    let signature = algorithm("signature algorithm", "http://www.w3.org/2000/09/xmldsig#rsa-sha1");
    refused(&with(&json!({"signatureAlgorithm": "rsa-sha1"})), &signature, STILL);
    let digest = algorithm("digest", "http://www.w3.org/2000/09/xmldsig#sha1");
    refused(&with(&json!({"digestAlgorithm": "sha1"})), &digest, STILL);
}

#[test]
fn id_21_hmac_with_the_public_key_as_its_secret_is_refused() {
    let name = "http://www.w3.org/2001/04/xmldsig-more#hmac-sha256";
    let template = Template { signature: name, ..Template::default() }.over(&ASSERTION);
    for secret in [&SIGNER.public_key, &SIGNER.certificate] {
        let document = xmlsec1::sign_by_hmac(&template, secret).unwrap();
        refused(&document, &algorithm("signature algorithm", name), Second::Refuses);
    }
}

#[test]
fn id_21_the_algorithm_has_to_go_with_the_key() {
    for name in ["ecdsa-sha256", "ecdsa-sha384", "ecdsa-sha512", "rsa-sha512"] {
        let name = format!("http://www.w3.org/2001/04/xmldsig-more#{name}");
        refused(&changed(&ASSERTION, RSA_SHA256, &name), &unknown_key(), Second::Refuses);
    }
}

#[test]
fn id_21_a_certificate_in_the_signature_is_never_a_key() {
    let mut options = STRANGER.options("svc:admin", &["admin"]);
    options["issuer"] = json!(testkit::saml::ENTITY_ID);
    refused(&one(options.clone()), &unknown_key(), Second::Refuses);
    // Nor is the provider's own certificate beside a stranger's signature.
    options["cert"] = json!(SIGNER.certificate);
    refused(&one(options), &unknown_key(), Second::Refuses);
}

#[test]
fn id_21_transforms_that_choose_what_is_signed_are_refused() {
    const CHOSEN: Second = Second::Accepts("the signature is valid, over what the transform left");
    let xpath = "<ds:Transform Algorithm=\"http://www.w3.org/TR/1999/REC-xpath-19991116\">\
                 <ds:XPath>not(ancestor-or-self::*[local-name()='Subject'])</ds:XPath></ds:Transform>";
    let document = Template { transforms: xpath, ..Template::default() }.signed();
    let document = changed(&document, ">svc:etl<", ">svc:admin<");
    refused(&document, &algorithm("transform", "http://www.w3.org/TR/1999/REC-xpath-19991116"), CHOSEN);
    let xslt = "<ds:Transform Algorithm=\"http://www.w3.org/TR/1999/REC-xslt-19991116\">\
                <xsl:stylesheet xmlns:xsl=\"http://www.w3.org/1999/XSL/Transform\" version=\"1.0\">\
                <xsl:template match=\"/\"><nothing/></xsl:template></xsl:stylesheet></ds:Transform>";
    let document = Template { transforms: xslt, ..Template::default() }.signed();
    let document = changed(&document, ">svc:etl<", ">svc:admin<");
    refused(&document, &algorithm("transform", "http://www.w3.org/TR/1999/REC-xslt-19991116"), CHOSEN);
}

#[test]
fn id_21_other_canonical_forms_are_refused() {
    const OTHER: Second = Second::Accepts("it is valid in that canonical form");
    for name in [
        "http://www.w3.org/TR/2001/REC-xml-c14n-20010315",
        "http://www.w3.org/TR/2001/REC-xml-c14n-20010315#WithComments",
        "http://www.w3.org/2006/12/xml-c14n11",
        "http://www.w3.org/2001/10/xml-exc-c14n#WithComments",
    ] {
        let document = Template { canonicalization: name, ..Template::default() }.signed();
        refused(&document, &algorithm("canonicalisation", name), OTHER);
        let document = Template { last: name, ..Template::default() }.signed();
        refused(&document, &algorithm("transform", name), OTHER);
    }
}

#[test]
fn id_21_the_two_transforms_are_there_once_and_in_order() {
    let form = SamlError::SignatureForm("the transforms are not enveloped-signature and exclusive canonicalisation");
    let twice = "<ds:Transform Algorithm=\"http://www.w3.org/2001/10/xml-exc-c14n#\"/>";
    let document = Template { transforms: twice, ..Template::default() }.signed();
    refused(&document, &form, Second::Accepts("canonicalised twice, it is the same"));
    let document = Template { last: ENVELOPED, ..Template::default() }.signed();
    refused(
        &document,
        &algorithm("transform", ENVELOPED),
        Second::Accepts("without one, canonicalisation is inclusive"),
    );
}

#[test]
fn id_21_there_is_one_reference_and_it_names_the_assertion() {
    let several = SamlError::SignatureForm("SignedInfo is not one reference with its transforms and digest");
    let more = "<ds:Reference URI=\"\"><ds:Transforms><ds:Transform \
                Algorithm=\"http://www.w3.org/2000/09/xmldsig#enveloped-signature\"/></ds:Transforms>\
                <ds:DigestMethod Algorithm=\"http://www.w3.org/2001/04/xmlenc#sha256\"/><ds:DigestValue/></ds:Reference>";
    let document = Template { more, ..Template::default() }.signed();
    refused(&document, &several, Second::Accepts("both references are valid"));
    let unnamed = SamlError::SignatureForm("its reference does not name an ID in this document");
    let document = Template { uri: Some(""), ..Template::default() }.signed();
    refused(&document, &unnamed, Second::Accepts("it covers the whole document"));
    let document = Template { uri: Some("#xpointer(/)"), ..Template::default() }.signed();
    let other = SamlError::SignatureForm("its reference is not the ID of the element that it is in");
    refused(&document, &other, Second::Accepts("it covers the whole document"));
}

/// An RSA signature by the provider's key over these bytes.
fn signature_over(message: &[u8]) -> String {
    let pem: String = SIGNER.key.lines().filter(|line| !line.starts_with("-----")).collect();
    let key = RsaKeyPair::from_pkcs8(&STANDARD.decode(pem).unwrap()).unwrap();
    let mut signature = vec![0; key.public_modulus_len()];
    key.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), message, &mut signature).unwrap();
    STANDARD.encode(signature)
}

/// A canonicalisation that fails and whose result is used all the same: what was signed is then the empty text, or what
/// is compared is its digest. libxml2 fails so for a namespace with a relative name.
#[test]
fn id_21_void_canonicalisation_is_refused() {
    let value = piece(&ASSERTION, "<SignatureValue>", "</SignatureValue>");
    let empty = format!("<SignatureValue>{}</SignatureValue>", signature_over(b""));
    let evil = changed(&ASSERTION, ">svc:etl<", ">svc:admin<");
    for namespace in ["", " xmlns:n=\"1\""] {
        let document = evil.replace("<SignedInfo>", &format!("<SignedInfo{namespace}>"));
        refused(&document.replace(value, &empty), &unknown_key(), Second::Refuses);
    }
    // The provider signed the digest of nothing; nothing is what a void canonicalisation of the assertion gives.
    let digest = piece(&evil, "<DigestValue>", "</DigestValue>");
    let of_nothing = "<DigestValue>47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=</DigestValue>";
    let document = changed(&evil, digest, of_nothing).replace("<saml:Subject>", "<saml:Subject xmlns:n=\"1\">");
    let signed_info = piece(&document, "<SignedInfo", "</SignedInfo>");
    let canonical = canonical_signed_info(signed_info);
    let signed = format!("<SignatureValue>{}</SignatureValue>", signature_over(canonical.as_bytes()));
    refused(&document.replace(value, &signed), &SamlError::Digest, Second::Refuses);
}

/// The npm package writes `SignedInfo` in canonical form but for its namespace and its empty elements.
fn canonical_signed_info(text: &str) -> String {
    let text = text.replace("<SignedInfo>", "<SignedInfo xmlns=\"http://www.w3.org/2000/09/xmldsig#\">");
    let mut canonical = String::new();
    for (count, part) in text.split("/>").enumerate() {
        if count > 0 {
            let last = canonical.rfind('<').unwrap();
            let name = canonical[last + 1..].split(' ').next().unwrap().to_owned();
            canonical.push_str(&format!("></{name}>"));
        }
        canonical.push_str(part);
    }
    canonical
}

#[test]
fn id_21_other_parts_of_a_signature_are_refused() {
    let form = SamlError::SignatureForm("it has other parts than SignedInfo, SignatureValue and KeyInfo");
    let document = ASSERTION.replace("</Signature>", "<Object/></Signature>");
    refused(&document, &form, Second::Accepts("an object is not signed"));
    let order = SamlError::SignatureForm("its parts are not in order");
    let (info, value) = (
        piece(&ASSERTION, "<SignedInfo>", "</SignedInfo>"),
        piece(&ASSERTION, "<SignatureValue>", "</SignatureValue>"),
    );
    let document = changed(&ASSERTION, &format!("{info}{value}"), &format!("{value}{info}"));
    refused(&document, &order, Second::Refuses);
}
