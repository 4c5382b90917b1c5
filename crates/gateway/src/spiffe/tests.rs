use model::issuer::Issuer;
use testkit::tls::Authority;

use super::*;

fn domain(from: BundleSource) -> TrustDomains {
    let issuer = Arc::new(Issuer::new("prod", "spiffe://prod.acme", "sluice"));
    let domain = Arc::new(TrustDomain { name: "prod.acme".into(), issuer, certificates: true, groups: Vec::new() });
    TrustDomains::read([TrustDomainConfig { domain, bundle: from }])
}

fn authorities(domains: &TrustDomains) -> usize {
    domains.all.load()[0].state().bundle.authorities()
}

#[test]
fn a_file_that_breaks_or_goes_leaves_the_last_good_bundle() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("prod.pem");
    let domains = domain(BundleSource::File(path.clone()));
    let look = || domains.all.load()[0].take_file(&path, read(&path));
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
                domain: Arc::clone(&domains.all.load()[0].domain),
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

#[test]
fn a_changed_configuration_keeps_the_bundle_and_is_another_generation() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("prod.pem");
    std::fs::write(&path, Authority::generate("one").unwrap().certificate_pem()).unwrap();
    let domains = domain(BundleSource::File(path.clone()));
    let same = TrustDomainConfig {
        domain: Arc::clone(&domains.all.load()[0].domain),
        bundle: BundleSource::File(path.clone()),
    };
    let generation = || domains.add_to(Issuers::new()).generation("prod");
    let changes = |configured: &[TrustDomainConfig]| {
        let mut changes = IssuerChanges::default();
        domains.compare(configured, &mut changes);
        let [added, removed, changed] = [changes.added, changes.removed, changes.changed].map(|some| some.len());
        (added, removed, changed)
    };
    assert_eq!((changes(std::slice::from_ref(&same)), generation()), ((0, 0, 0), Some(0)));
    domains.replace(std::slice::from_ref(&same));
    assert_eq!((authorities(&domains), generation()), (1, Some(0)));
    let tokens_only = TrustDomain { certificates: false, ..(*same.domain).clone() };
    let changed = TrustDomainConfig { domain: Arc::new(tokens_only), ..same.clone() };
    assert_eq!(changes(std::slice::from_ref(&changed)), (0, 0, 1));
    domains.replace(&[changed]);
    assert_eq!(authorities(&domains), 1);
    assert!(generation().is_some_and(|generation| generation > 0));
    // From another place comes another bundle.
    let moved = TrustDomainConfig { bundle: BundleSource::File(dir.path().join("other.pem")), ..same };
    domains.replace(&[moved]);
    assert_eq!(authorities(&domains), 0);
    assert_eq!(changes(&[]), (0, 1, 0));
    domains.replace(&[]);
    assert_eq!((domains.all.load().len(), generation()), (0, None));
}
