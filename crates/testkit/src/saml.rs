//! SAML 2.0 identity providers that share nothing with Sluice's own code, and a second verifier of XML signatures.
//!
//! [`assertions`] are those of the npm package `saml`; [`SimpleSamlPhp`] is the identity provider of that name, as Debian
//! has it; [`xmlsec1`] verifies and signs with the program of that name. `./dev` installs all three.

use std::process::Command;

use anyhow::{Context, Result};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rcgen::{CertificateParams, KeyPair, PKCS_RSA_SHA256, RsaKeySize};
use serde_json::{Value, json};

use crate::command::{run, workspace_root};

mod simplesamlphp;
pub mod xmlsec1;

pub use simplesamlphp::SimpleSamlPhp;

/// Who the providers of [`metadata`] and [`SimpleSamlPhp`] are.
pub const ENTITY_ID: &str = "https://idp.example/saml";
/// For whom their assertions are.
pub const AUDIENCE: &str = "urn:sluice";
/// Where their assertions are to be brought.
pub const RECIPIENT: &str = "https://sluice.example/token";

/// An RSA key and a certificate of it.
#[derive(Clone, Debug)]
pub struct Signer {
    /// The private key in PEM.
    pub key: String,
    /// The certificate in PEM.
    pub certificate: String,
    /// The certificate in DER.
    pub certificate_der: Vec<u8>,
    /// The public key alone, in PEM: what an attacker would use as the secret of an HMAC.
    pub public_key: String,
}

impl Signer {
    /// Draws a key of 2,048 bits.
    pub fn generate() -> Result<Self> {
        let key = KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048)?;
        let certificate = CertificateParams::new(vec![String::from("idp.example")])?.self_signed(&key)?;
        Ok(Self {
            key: key.serialize_pem(),
            certificate: certificate.pem(),
            certificate_der: certificate.der().to_vec(),
            public_key: key.public_key_pem(),
        })
    }

    /// What the npm package takes, for an assertion that is in order and valid for five minutes.
    pub fn options(&self, name: &str, groups: &[&str]) -> Value {
        json!({
            "key": self.key, "cert": self.certificate, "issuer": ENTITY_ID, "audiences": AUDIENCE,
            "recipient": RECIPIENT, "lifetimeInSeconds": 300, "nameIdentifier": name,
            "nameIdentifierFormat": "urn:oasis:names:tc:SAML:2.0:nameid-format:persistent",
            "attributes": {"groups": groups, "mail": "etl@example.com"},
            "signatureAlgorithm": "rsa-sha256", "digestAlgorithm": "sha256",
        })
    }
}

/// A certificate, in DER, of an RSA key of 1,024 bits: `openssl` still makes them.
pub fn weak_certificate() -> Result<Vec<u8>> {
    let mut command = Command::new("openssl");
    command.args(["req", "-x509", "-newkey", "rsa:1024", "-nodes", "-keyout", "/dev/null", "-subj", "/CN=weak"]);
    let pem = run(command, b"")?.success()?;
    let body: String = pem.lines().filter(|line| !line.starts_with("-----")).collect();
    Ok(STANDARD.decode(body)?)
}

/// Lets the npm package make an assertion of each of these options.
pub fn assertions(options: &[Value]) -> Result<Vec<String>> {
    let mut command = Command::new("node");
    command.arg("saml.mjs").current_dir(workspace_root().join("tests/node"));
    let made = run(command, serde_json::to_string(options)?.as_bytes())?.success()?;
    serde_json::from_str(&made).context("not a list of assertions")
}

/// The metadata of a provider of this entity id that signs with these, with the attributes of its outermost element.
pub fn metadata(entity_id: &str, signers: &[&Signer], attributes: &str) -> String {
    let keys: String = signers
        .iter()
        .map(|signer| {
            let certificate: String =
                signer.certificate.lines().filter(|line| !line.starts_with("-----")).collect::<Vec<_>>().join("\n");
            format!(
                "<md:KeyDescriptor use=\"signing\"><ds:KeyInfo><ds:X509Data><ds:X509Certificate>{certificate}\
                 </ds:X509Certificate></ds:X509Data></ds:KeyInfo></md:KeyDescriptor>"
            )
        })
        .collect();
    format!(
        "<md:EntityDescriptor xmlns:md=\"urn:oasis:names:tc:SAML:2.0:metadata\" \
         xmlns:ds=\"http://www.w3.org/2000/09/xmldsig#\" entityID=\"{entity_id}\" {attributes}>\
         <md:IDPSSODescriptor protocolSupportEnumeration=\"urn:oasis:names:tc:SAML:2.0:protocol\">{keys}\
         <md:SingleSignOnService Binding=\"urn:oasis:names:tc:SAML:2.0:bindings:SOAP\" \
         Location=\"https://idp.example/sso\"/></md:IDPSSODescriptor></md:EntityDescriptor>"
    )
}
