//! Who is believed with a client certificate: by itself, and as what a token is bound to.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tempfile::TempDir;
use testkit::issuer::{Grant, Issuer};
use testkit::spiffe::{Authority, ended};
use testkit::tls::Certificate;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::world::World;

const ADMIN: &str = "spiffe://prod.acme/admin";

/// A world whose admin API speaks TLS, and believes a trust domain and an issuer.
struct Place {
    world: World,
    root: Authority,
    issuer: Issuer,
}

impl Place {
    async fn start() -> Self {
        let (dir, root, issuer) =
            (TempDir::new().unwrap(), Authority::generate("prod.acme").unwrap(), Issuer::start().unwrap());
        let (certificate, key) = gateway::tls::development(&dir.path().join("tls")).unwrap();
        std::fs::write(dir.path().join("prod.pem"), root.certificate_pem()).unwrap();
        let more = format!(
            "tls_cert = \"{}\"\ntls_key = \"{}\"\n[[trust_domain]]\nname = \"prod.acme\"\nalias = \"prod\"\n\
             bundle_file = \"prod.pem\"\n[[issuer]]\nalias = \"corp\"\nurl = \"{}\"\naudience = \"sluice\"\nallow_http = true\n",
            certificate.display(),
            key.display(),
            issuer.url()
        );
        Self { world: World::start_in(Arc::new(dir), &more).await, root, issuer }
    }

    fn svid(&self) -> Certificate {
        self.root.svid(ADMIN, |_| ()).unwrap()
    }

    /// Status and body of `GET /v1/whoami` with these headers, on a connection with this certificate.
    async fn whoami(&self, certificate: Option<&Certificate>, headers: &[(&str, &str)]) -> (u16, String) {
        let ca = self.world.dir.path().join("tls/ca.pem");
        let tcp = TcpStream::connect(self.world.address).await.unwrap();
        let name = ServerName::try_from("localhost").unwrap();
        let mut stream = TlsConnector::from(client(&ca, certificate)).connect(name, tcp).await.unwrap();
        let headers: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        let request =
            format!("GET /v1/whoami HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n{headers}\r\n", self.world.address);
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer).await;
        let answer = String::from_utf8(answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no answer: {answer:?}"));
        (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
    }

    fn token(&self, bound_to: Option<&Certificate>) -> String {
        let mut grant = Grant::new("somebody");
        if let Some(certificate) = bound_to {
            let der = CertificateDer::from_pem_slice(certificate.certificate_pem.as_bytes()).unwrap();
            let thumbprint = URL_SAFE_NO_PAD.encode(identity::thumbprint(&der).0);
            grant = grant.claim("cnf", serde_json::json!({ "x5t#S256": thumbprint }));
        }
        format!("Bearer {}", self.issuer.issue(grant).unwrap())
    }
}

fn client(ca: &std::path::Path, certificate: Option<&Certificate>) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(ca).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let builder = builder.with_root_certificates(roots);
    let Some(certificate) = certificate else { return Arc::new(builder.with_no_client_auth()) };
    let chain = CertificateDer::pem_slice_iter(certificate.certificate_pem.as_bytes());
    let chain = chain.collect::<Result<Vec<_>, _>>().unwrap();
    let key = PrivateKeyDer::from_pem_slice(certificate.key_pem.as_bytes()).unwrap();
    Arc::new(builder.with_client_auth_cert(chain, key).unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_svid_alone_says_who_calls() {
    let place = Place::start().await;
    let (status, body) = place.whoami(Some(&place.svid()), &[]).await;
    assert_eq!(status, 200, "{body}");
    assert!(body.contains(ADMIN) && body.contains("mtls"), "{body}");
    assert_eq!(place.whoami(None, &[]).await.0, 401);
    let expired = place.root.svid(ADMIN, ended).unwrap();
    let foreign = Authority::generate("prod.acme").unwrap().svid(ADMIN, |_| ()).unwrap();
    for nobody in [&expired, &foreign] {
        assert_eq!(place.whoami(Some(nobody), &[]).await.0, 401);
    }
}

/// A certificate goes along with whatever is sent, so that it is not asked where anything else was said or a browser speaks.
#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_is_not_fallen_back_to() {
    let place = Place::start().await;
    let svid = place.svid();
    for header in [
        ("Authorization", "Bearer not.a.token"),
        ("Authorization", "Basic YTpi"),
        ("Authorization", ""),
        ("Origin", "https://evil.example"),
        ("Origin", "null"),
        ("Sec-Fetch-Site", "same-origin"),
        ("Cookie", "session=1"),
    ] {
        // 421 is what every request with a foreign `Origin` gets.
        let status = place.whoami(Some(&svid), &[header]).await.0;
        assert!(matches!(status, 401 | 403 | 421), "{header:?}: {status}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_goes_before_the_certificate_and_may_be_bound_to_it() {
    let place = Place::start().await;
    let (svid, other) = (place.svid(), Authority::generate("nobody").unwrap().svid("urn:nobody", |_| ()).unwrap());
    let (bound, bearer) = (place.token(Some(&svid)), place.token(None));
    let (status, body) = place.whoami(Some(&svid), &[("Authorization", &bound)]).await;
    assert!(status == 200 && body.contains("somebody") && body.contains("mtls"), "{status} {body}");
    let (status, body) = place.whoami(Some(&svid), &[("Authorization", &bearer)]).await;
    assert!(status == 200 && body.contains("somebody") && body.contains("bearer"), "{status} {body}");
    assert_eq!(place.whoami(Some(&other), &[("Authorization", &bound)]).await.0, 401);
    assert_eq!(place.whoami(None, &[("Authorization", &bound)]).await.0, 401);
    // A certificate that names nobody is what a token may be bound to.
    let bound = place.token(Some(&other));
    assert_eq!(place.whoami(Some(&other), &[("Authorization", &bound)]).await.0, 200);
    assert_eq!(place.whoami(Some(&other), &[]).await.0, 401);
}
