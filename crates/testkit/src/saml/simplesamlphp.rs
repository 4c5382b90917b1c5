//! SimpleSAMLphp as identity provider, for machines: the ECP profile (SAML V2.0 Enhanced Client or Proxy), where a program
//! logs in with a password in one request. PHP's own server runs it, on a free loopback port.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use super::{AUDIENCE, ENTITY_ID, RECIPIENT, Signer};
use crate::command::development_directory;
use crate::keeper::Kept;
use crate::wait::eventually_blocking;

/// How long it may take until it listens.
const LIMIT: Duration = Duration::from_secs(30);

/// A running identity provider. It is stopped when the value is dropped or this process ends.
pub struct SimpleSamlPhp {
    _process: Kept,
    _folder: tempfile::TempDir,
    address: SocketAddr,
}

impl SimpleSamlPhp {
    /// Starts it with this key, one user (`etl`, password `s3cr3t`, groups `data-eng` and `ci`) and two recipients: Sluice,
    /// whose assertions are signed, and `urn:sluice:response`, where only the response around them is.
    pub fn start(signer: &Signer) -> Result<Self> {
        let program = development_directory().join("simplesamlphp/usr/share/simplesamlphp/www");
        ensure!(program.exists(), "{} is not there: run `./dev setup`", program.display());
        let folder = tempfile::tempdir()?;
        configure(folder.path(), signer)?;
        let log = folder.path().join("php.log");
        let mut command = Command::new("php");
        command.args(["-S", "127.0.0.1:0", "-t"]).arg(&program);
        command.env("SIMPLESAMLPHP_CONFIG_DIR", folder.path().join("config"));
        let process = Kept::spawn(&command, "KILL", None, &log)?;
        let address = eventually_blocking(LIMIT, "PHP's address", || {
            let text = fs::read_to_string(&log).unwrap_or_default();
            ensure!(process.is_running(), "php has ended: {text}");
            let address = text.split_once("(http://").and_then(|(_, rest)| rest.split_once(") started"));
            Ok(address.and_then(|(address, _)| address.parse().ok()))
        })?;
        Ok(Self { _process: process, _folder: folder, address })
    }

    /// Where its metadata is.
    pub fn metadata_url(&self) -> String {
        format!("http://{}/saml2/idp/metadata.php", self.address)
    }

    /// Its metadata.
    pub fn metadata(&self) -> Result<String> {
        self.ask("GET", "/saml2/idp/metadata.php", "", "")
    }

    /// Logs in as the user for `audience`, answering to the request `id`; returns the response in its SOAP envelope.
    pub fn log_in(&self, audience: &str, id: &str, now: &str) -> Result<String> {
        let request = format!(
            "<S:Envelope xmlns:S=\"http://schemas.xmlsoap.org/soap/envelope/\"><S:Body><samlp:AuthnRequest \
             xmlns:samlp=\"urn:oasis:names:tc:SAML:2.0:protocol\" xmlns:saml=\"urn:oasis:names:tc:SAML:2.0:assertion\" \
             ID=\"{id}\" Version=\"2.0\" IssueInstant=\"{now}\" AssertionConsumerServiceURL=\"{RECIPIENT}\" \
             ProtocolBinding=\"urn:oasis:names:tc:SAML:2.0:bindings:PAOS\"><saml:Issuer>{audience}</saml:Issuer>\
             </samlp:AuthnRequest></S:Body></S:Envelope>"
        );
        let login = format!("Authorization: Basic {}\r\nContent-Type: text/xml\r\n", STANDARD.encode("etl:s3cr3t"));
        self.ask("POST", "/saml2/idp/SSOService.php", &login, &request)
    }

    /// The same, and the response alone: what a caller brings.
    pub fn response(&self, audience: &str, id: &str, now: &str) -> Result<String> {
        let envelope = self.log_in(audience, id, now)?;
        let (_, rest) = envelope.split_once("<samlp:Response").context("no response")?;
        let (response, _) = rest.split_once("</samlp:Response>").context("no end of the response")?;
        Ok(format!("<samlp:Response{response}</samlp:Response>"))
    }

    fn ask(&self, method: &str, path: &str, headers: &str, body: &str) -> Result<String> {
        let mut stream = TcpStream::connect(self.address)?;
        stream.set_read_timeout(Some(LIMIT))?;
        let (address, length) = (self.address, body.len());
        // In one piece: PHP's server ends a connection on which a request comes too slowly.
        let request =
            format!("{method} {path} HTTP/1.0\r\nHost: {address}\r\n{headers}Content-Length: {length}\r\n\r\n{body}");
        stream.write_all(request.as_bytes())?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        let (head, body) = answer.split_once("\r\n\r\n").context("no HTTP answer")?;
        ensure!(head.split(' ').nth(1) == Some("200"), "{method} {path}: {answer}");
        Ok(body.to_owned())
    }
}

fn configure(folder: &Path, signer: &Signer) -> Result<()> {
    let below = |name: &str| -> PathBuf { folder.join(name) };
    for name in ["config", "metadata", "cert", "log", "data", "temporary"] {
        fs::create_dir(below(name))?;
    }
    fs::write(below("cert/idp.key"), &signer.key)?;
    fs::write(below("cert/idp.crt"), &signer.certificate)?;
    let config = json!({
        "baseurlpath": "/", "certdir": below("cert/"), "loggingdir": below("log/"), "datadir": below("data/"),
        "tempdir": below("temporary"), "secretsalt": "of-no-use-in-tests", "auth.adminpassword": "of-no-use-in-tests",
        "logging.handler": "errorlog", "enable.saml20-idp": true, "timezone": "UTC", "store.type": "phpsession",
        "module.enable": {"exampleauth": true, "core": true, "saml": true}, "session.cookie.secure": false,
        "metadata.sources": [{"type": "flatfile", "directory": below("metadata/")}],
    });
    write_php(&below("config/config.php"), "config", &config)?;
    let users = json!({
        "admin": ["core:AdminPassword"],
        "machines": {"0": "exampleauth:UserPass", "etl:s3cr3t": {"uid": ["svc:etl"], "groups": ["data-eng", "ci"]}},
    });
    write_php(&below("config/authsources.php"), "config", &users)?;
    let provider = json!({ENTITY_ID: {
        "host": "__DEFAULT__", "privatekey": "idp.key", "certificate": "idp.crt", "auth": "machines", "saml20.ecp": true,
        "signature.algorithm": "http://www.w3.org/2001/04/xmldsig-more#rsa-sha256", "authproc": [],
        "NameIDFormat": "urn:oasis:names:tc:SAML:2.0:nameid-format:persistent", "simplesaml.nameidattribute": "uid",
        "attributes.NameFormat": "urn:oasis:names:tc:SAML:2.0:attrname-format:basic",
    }});
    write_php(&below("metadata/saml20-idp-hosted.php"), "metadata", &provider)?;
    let recipient = |signs_assertion: bool| {
        json!({
            "AssertionConsumerService": [{
                "Binding": "urn:oasis:names:tc:SAML:2.0:bindings:PAOS", "Location": RECIPIENT, "index": 0,
                "isDefault": true,
            }],
            "saml20.sign.assertion": signs_assertion, "saml20.sign.response": !signs_assertion,
            "simplesaml.nameidattribute": "uid", "attributes": ["uid", "groups"],
        })
    };
    let recipients = json!({AUDIENCE: recipient(true), "urn:sluice:response": recipient(false)});
    write_php(&below("metadata/saml20-sp-remote.php"), "metadata", &recipients)
}

/// PHP reads JSON too: its configuration is a variable.
fn write_php(file: &Path, variable: &str, value: &serde_json::Value) -> Result<()> {
    let literal = value.to_string().replace('\\', "\\\\").replace('\'', "\\'");
    Ok(fs::write(file, format!("<?php ${variable} = json_decode('{literal}', true);\n"))?)
}
