//! `xmlsec1`: another implementation of XML signatures, in C, over libxml2.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

use super::Signer;
use crate::command::run;

/// The elements that have an `ID` attribute: without a schema, `xmlsec1` has to be told.
const WITH_ID: [&str; 3] = [
    "urn:oasis:names:tc:SAML:2.0:assertion:Assertion",
    "urn:oasis:names:tc:SAML:2.0:protocol:Response",
    "urn:oasis:names:tc:SAML:2.0:metadata:EntityDescriptor",
];

/// What [`sign`] makes a signature of that covers the element of this ID, in which it has to stand.
pub fn template(id: &str) -> String {
    format!(
        "<ds:Signature xmlns:ds=\"http://www.w3.org/2000/09/xmldsig#\"><ds:SignedInfo>\
         <ds:CanonicalizationMethod Algorithm=\"http://www.w3.org/2001/10/xml-exc-c14n#\"/>\
         <ds:SignatureMethod Algorithm=\"http://www.w3.org/2001/04/xmldsig-more#rsa-sha256\"/>\
         <ds:Reference URI=\"#{id}\"><ds:Transforms>\
         <ds:Transform Algorithm=\"http://www.w3.org/2000/09/xmldsig#enveloped-signature\"/>\
         <ds:Transform Algorithm=\"http://www.w3.org/2001/10/xml-exc-c14n#\"/></ds:Transforms>\
         <ds:DigestMethod Algorithm=\"http://www.w3.org/2001/04/xmlenc#sha256\"/><ds:DigestValue/></ds:Reference>\
         </ds:SignedInfo><ds:SignatureValue/></ds:Signature>"
    )
}

/// Whether the first signature of the document is by the key of this certificate. What it covers, nobody asks.
pub fn verifies(document: &str, signer: &Signer) -> Result<bool> {
    with_files(&[("document.xml", document), ("certificate.pem", &signer.certificate)], |folder| {
        let mut command = command(folder, "--verify");
        command.args(["--pubkey-cert-pem", "certificate.pem", "--enabled-key-data", "raw-x509-cert", "document.xml"]);
        Ok(run(command, b"")?.status.success())
    })
}

/// Makes the signature that the template in the document describes, with the private key.
pub fn sign(template: &str, signer: &Signer) -> Result<String> {
    with_files(&[("document.xml", template), ("key.pem", &signer.key)], |folder| {
        let mut command = command(folder, "--sign");
        command.args(["--privkey-pem", "key.pem", "document.xml"]);
        run(command, b"")?.success()
    })
}

/// Likewise an HMAC, with any bytes as its secret.
pub fn sign_by_hmac(template: &str, secret: &str) -> Result<String> {
    with_files(&[("document.xml", template), ("secret", secret)], |folder| {
        let mut command = command(folder, "--sign");
        command.args(["--hmackey", "secret", "document.xml"]);
        run(command, b"")?.success()
    })
}

fn command(folder: &Path, action: &str) -> Command {
    let mut command = Command::new("xmlsec1");
    command.arg(action).current_dir(folder);
    for element in WITH_ID {
        command.arg("--id-attr:ID").arg(element);
    }
    command
}

fn with_files<T>(files: &[(&str, &str)], action: impl FnOnce(&Path) -> Result<T>) -> Result<T> {
    let folder = tempfile::tempdir()?;
    for (name, content) in files {
        std::fs::write(folder.path().join(name), content)?;
    }
    action(folder.path()).context("xmlsec1: `./dev setup` installs it")
}
