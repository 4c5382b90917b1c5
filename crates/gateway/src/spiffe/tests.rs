use model::issuer::Issuer;
use testkit::tls::Authority;

use super::*;

fn domain(from: BundleSource) -> TrustDomains {
    let issuer = Arc::new(Issuer::new("prod", "spiffe://prod.acme", "sluice"));
    let domain = Arc::new(TrustDomain { name: "prod.acme".into(), issuer, certificates: true, groups: Vec::new() });
    TrustDomains::read([TrustDomainConfig { domain, bundle: from }])
}

fn authorities(domains: &TrustDomains) -> usize {
    domains.0[0].state().bundle.authorities()
}

#[test]
fn a_file_that_breaks_or_goes_leaves_the_last_good_bundle() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("prod.pem");
    let domains = domain(BundleSource::File(path.clone()));
    let look = || domains.0[0].take_file(&path, read(&path));
    assert_eq!((authorities(&domains), look()), (0, false));
    let pem = |name: &str| Authority::generate(name).unwrap().certificate_pem().to_owned();
    let (first, second) = (pem("one"), pem("two"));
    std::fs::write(&path, &first).unwrap();
    assert_eq!((look(), look(), authorities(&domains)), (true, false, 1));
    std::fs::write(&path, format!("{first}{second}")).unwrap();
    assert_eq!((look(), authorities(&domains)), (true, 2));
    for broken in ["", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "{\"keys\": []}"] {
        std::fs::write(&path, broken).unwrap();
        assert_eq!((look(), look(), authorities(&domains)), (false, false, 2), "{broken}");
        assert!(
            check(&TrustDomainConfig {
                domain: Arc::clone(&domains.0[0].domain),
                bundle: BundleSource::File(path.clone())
            })
            .is_some()
        );
    }
    std::fs::remove_file(&path).unwrap();
    assert_eq!((look(), authorities(&domains)), (false, 2));
    std::fs::write(&path, &second).unwrap();
    assert_eq!((look(), authorities(&domains)), (true, 1));
}

#[tokio::test]
async fn a_socket_that_is_not_there_is_tried_again_and_trusts_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let domains = domain(BundleSource::WorkloadApi(dir.path().join("none.sock")));
    let following =
        tokio::time::timeout(Duration::from_millis(100), domains.follow(Arc::new(|| panic!("nothing came"))));
    assert!(following.await.is_err());
    assert_eq!(authorities(&domains), 0);
}
