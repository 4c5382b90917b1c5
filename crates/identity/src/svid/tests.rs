//! One certificate that is right, and for each rule one that is right but for it.

use std::sync::Arc;
use std::time::Duration;

use model::issuer::{Issuer, Profile};
use model::spiffe::PathPattern;
use rcgen::string::Ia5String;
use rcgen::{
    BasicConstraints, CertificateParams, CustomExtension, DnType, ExtendedKeyUsagePurpose, GeneralSubtree, IsCa,
    KeyPair, KeyUsagePurpose, NameConstraints, SanType, date_time_ymd,
};

use super::*;
use crate::bundle::{BundleError, TrustBundle};

/// Noon of the day on which these certificates are looked at.
const NOON: Timestamp = Timestamp::from_seconds(1_800_014_400);
const HOUR: u64 = 3_600;
const LOADER: &str = "spiffe://prod.acme/ns/etl/sa/loader";

struct Authority {
    issuer: rcgen::Issuer<'static, KeyPair>,
    der: CertificateDer<'static>,
}

fn hours_from_noon(params: &mut CertificateParams, begins: u64, ends: u64) {
    let noon = date_time_ymd(2027, 1, 15) + Duration::from_secs(12 * HOUR);
    params.not_before = noon - Duration::from_secs(begins * HOUR);
    params.not_after = noon + Duration::from_secs(ends * HOUR);
}

fn authority_params(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.distinguished_name.push(DnType::CommonName, name);
    hours_from_noon(&mut params, 24, 240);
    params
}

impl Authority {
    fn new(change: impl FnOnce(&mut CertificateParams)) -> Self {
        let (mut params, key) = (authority_params("prod.acme"), KeyPair::generate().unwrap());
        change(&mut params);
        let der = params.self_signed(&key).unwrap().der().clone();
        Self { issuer: rcgen::Issuer::new(params, key), der }
    }

    fn below(&self, change: impl FnOnce(&mut CertificateParams)) -> Self {
        let (mut params, key) = (authority_params("intermediate"), KeyPair::generate().unwrap());
        change(&mut params);
        let der = params.signed_by(&key, &self.issuer).unwrap().der().clone();
        Self { issuer: rcgen::Issuer::new(params, key), der }
    }

    fn svid(&self, change: impl FnOnce(&mut CertificateParams)) -> CertificateDer<'static> {
        let mut params = CertificateParams::default();
        params.subject_alt_names = vec![uri(LOADER)];
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        hours_from_noon(&mut params, 1, 1);
        change(&mut params);
        params.signed_by(&KeyPair::generate().unwrap(), &self.issuer).unwrap().der().clone()
    }
}

fn uri(text: &str) -> SanType {
    SanType::URI(Ia5String::try_from(text).unwrap())
}

fn domain(name: &str, alias: &str) -> TrustDomain {
    let mut issuer = Issuer::new(alias, format!("spiffe://{name}"), "sluice");
    issuer.profile = Profile::JwtSvid;
    let groups = vec![(Arc::from("etl"), vec![PathPattern::parse("/ns/etl/**").unwrap()])];
    TrustDomain { name: name.into(), issuer: Arc::new(issuer), certificates: true, groups }
}

fn trusting(authorities: &[&Authority]) -> Issuers {
    let ders = authorities.iter().map(|authority| authority.der.clone());
    let bundle = TrustBundle::default().with_authorities(ders).unwrap();
    Issuers::new().with_trust_domain(Arc::new(domain("prod.acme", "prod")), bundle)
}

#[track_caller]
fn refused(chain: &[CertificateDer<'_>], issuers: &Issuers) -> SvidError {
    match verify_certificate(chain, issuers, NOON) {
        Err(IdentityError::Certificate(error)) => error,
        other => panic!("{other:?}"),
    }
}

/// That no path leads to an authority, and why.
#[track_caller]
fn no_path(chain: &[CertificateDer<'_>], issuers: &Issuers, wanted: &str) {
    match refused(chain, issuers) {
        SvidError::Path { reason, .. } => assert!(reason.contains(wanted), "{reason}"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_svid_says_who_the_caller_is() {
    let root = Authority::new(|_| ());
    let svid = root.svid(|_| ());
    let subject = verify_certificate(std::slice::from_ref(&svid), &trusting(&[&root]), NOON).unwrap();
    assert_eq!(subject.key.to_string(), format!("prod|{LOADER}"));
    assert_eq!((subject.kind, subject.binding), (SubjectKind::Service, Binding::Mtls));
    assert_eq!(subject.groups, [Arc::from("prod|etl")]);
    assert_eq!(subject.expires_at, Timestamp::from_seconds(NOON.seconds() + HOUR));
    assert!(crate::TokenDigest::of_subject(&subject).is_none(), "it is taken for an opaque token");
    assert_eq!(subject.token_id.as_deref(), Some(format!("x509-sha256:{}", thumbprint(&svid)).as_str()));
}

#[test]
fn an_intermediate_ca_is_followed_and_the_first_end_of_the_path_counts() {
    let root = Authority::new(|_| ());
    let middle = root.below(|params| hours_from_noon(params, 2, 2));
    let svid = middle.svid(|params| hours_from_noon(params, 1, 5));
    let subject = verify_certificate(&[svid.clone(), middle.der.clone()], &trusting(&[&root]), NOON).unwrap();
    assert_eq!(subject.expires_at, Timestamp::from_seconds(NOON.seconds() + 2 * HOUR));
    no_path(std::slice::from_ref(&svid), &trusting(&[&root]), "UnknownIssuer");
    // The root's own end is one of them.
    let short = Authority::new(|params| hours_from_noon(params, 2, 3));
    let svid = short.svid(|params| hours_from_noon(params, 1, 5));
    let subject = verify_certificate(&[svid], &trusting(&[&short]), NOON).unwrap();
    assert_eq!(subject.expires_at, Timestamp::from_seconds(NOON.seconds() + 3 * HOUR));
}

#[test]
fn an_expired_svid_or_one_of_tomorrow_names_nobody() {
    let root = Authority::new(|_| ());
    let svid = root.svid(|params| hours_from_noon(params, 2, 0));
    let at = |now| verify_certificate(std::slice::from_ref(&svid), &trusting(&[&root]), now);
    assert!(at(Timestamp(NOON.0 - 1)).is_ok());
    assert!(at(NOON).is_err() && at(Timestamp::from_seconds(NOON.seconds() + 1)).is_err());
    let tomorrow = root.svid(|params| {
        hours_from_noon(params, 0, 48);
        params.not_before += Duration::from_secs(24 * HOUR);
    });
    no_path(&[tomorrow], &trusting(&[&root]), "NotValidYet");
}

#[test]
fn an_expired_authority_vouches_for_nobody() {
    let root = Authority::new(|_| ());
    let chain = [root.svid(|params| hours_from_noon(params, 1, 24_000))];
    let later = Timestamp::from_seconds(NOON.seconds() + 240 * HOUR);
    assert!(verify_certificate(&chain, &trusting(&[&root]), NOON).is_ok());
    assert!(matches!(
        verify_certificate(&chain, &trusting(&[&root]), later),
        Err(IdentityError::Certificate(SvidError::Path { .. }))
    ));
}

#[test]
fn another_trust_domain_is_not_believed() {
    let root = Authority::new(|_| ());
    let issuers = trusting(&[&root]);
    let foreign = root.svid(|params| params.subject_alt_names = vec![uri("spiffe://other.acme/ns/etl/sa/loader")]);
    assert!(matches!(refused(&[foreign], &issuers), SvidError::UnknownTrustDomain(_)));
    // Nor where both are configured: each by its own authorities alone.
    let other = Authority::new(|_| ());
    let bundle = TrustBundle::default().with_authorities([other.der.clone()]).unwrap();
    let issuers = issuers.with_trust_domain(Arc::new(domain("other.acme", "other")), bundle);
    let foreign = root.svid(|params| params.subject_alt_names = vec![uri("spiffe://other.acme/ns/etl/sa/loader")]);
    no_path(&[foreign], &issuers, "");
    let own = other.svid(|params| params.subject_alt_names = vec![uri("spiffe://other.acme/ns/etl/sa/loader")]);
    let subject = verify_certificate(&[own], &issuers, NOON).unwrap();
    assert_eq!(subject.key.to_string(), "other|spiffe://other.acme/ns/etl/sa/loader");
}

#[test]
fn a_foreign_bundle_with_the_same_trust_domain_name_is_not_believed() {
    let (root, impostor) = (Authority::new(|_| ()), Authority::new(|_| ()));
    no_path(&[impostor.svid(|_| ())], &trusting(&[&root]), "");
    no_path(&[impostor.svid(|_| ()), impostor.der.clone()], &trusting(&[&root]), "");
}

#[test]
fn two_uri_names_or_none_are_refused() {
    let root = Authority::new(|_| ());
    let named = |names: Vec<SanType>| [root.svid(|params| params.subject_alt_names = names)];
    let issuers = trusting(&[&root]);
    let twice = named(vec![uri(LOADER), uri("spiffe://prod.acme/admin")]);
    assert_eq!(refused(&twice, &issuers), SvidError::Names(2));
    assert_eq!(refused(&named(vec![uri(LOADER), uri("https://x")]), &issuers), SvidError::Names(2));
    assert_eq!(
        refused(&named(vec![SanType::DnsName(Ia5String::try_from("a").unwrap())]), &issuers),
        SvidError::Names(0)
    );
    assert_eq!(refused(&named(Vec::new()), &issuers), SvidError::Names(0));
    // A DNS name beside it is allowed.
    let both = named(vec![SanType::DnsName(Ia5String::try_from("loader.acme").unwrap()), uri(LOADER)]);
    assert!(verify_certificate(&both, &issuers, NOON).is_ok());
}

#[test]
fn a_name_that_is_no_workload_is_refused() {
    let root = Authority::new(|_| ());
    let long = format!("spiffe://prod.acme/{}", "x".repeat(255));
    for wrong in
        ["spiffe://prod.acme", "spiffe://prod.acme/a/../b", "SPIFFE://prod.acme/a", "https://prod.acme/a", &long]
    {
        let svid = root.svid(|params| params.subject_alt_names = vec![uri(wrong)]);
        assert!(matches!(refused(&[svid], &trusting(&[&root])), SvidError::NotSpiffe(_)), "{wrong}");
    }
}

#[test]
fn a_ca_as_leaf_is_refused() {
    let root = Authority::new(|_| ());
    let ca = root.svid(|params| params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained));
    assert_eq!(refused(&[ca], &trusting(&[&root])), SvidError::Authority);
}

#[test]
fn a_wrong_key_usage_is_refused() {
    use KeyUsagePurpose::{CrlSign, DigitalSignature, KeyCertSign, KeyEncipherment};
    let root = Authority::new(|_| ());
    let issuers = trusting(&[&root]);
    for wrong in [vec![], vec![KeyEncipherment], vec![DigitalSignature, KeyCertSign], vec![DigitalSignature, CrlSign]] {
        let svid = root.svid(|params| params.key_usages = wrong.clone());
        assert_eq!(refused(&[svid], &issuers), SvidError::Usage, "{wrong:?}");
    }
    let svid = root.svid(|params| params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth]);
    no_path(&[svid], &issuers, "RequiredEkuNotFound");
    let svid = root.svid(|params| params.key_usages = vec![DigitalSignature, KeyEncipherment]);
    assert!(verify_certificate(&[svid], &issuers, NOON).is_ok());
}

#[test]
fn a_workload_cannot_sign_for_others() {
    let root = Authority::new(|_| ());
    let workload = root.below(|params| {
        params.is_ca = IsCa::NoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    });
    no_path(&[workload.svid(|_| ()), workload.der.clone()], &trusting(&[&root]), "");
    let without_usage = root.below(|params| params.key_usages = vec![KeyUsagePurpose::DigitalSignature]);
    no_path(&[without_usage.svid(|_| ()), without_usage.der.clone()], &trusting(&[&root]), "not for signing");
    // And is no authority in a bundle.
    let refused = TrustBundle::default().with_authorities([root.der.clone(), workload.der.clone()]).unwrap_err();
    assert_eq!(refused, BundleError::Authority(2, "is not a certification authority's"));
}

#[test]
fn a_path_may_be_no_longer_than_its_authorities_allow() {
    let root = Authority::new(|params| params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0)));
    let middle = root.below(|_| ());
    no_path(&[middle.svid(|_| ()), middle.der.clone()], &trusting(&[&root]), "longer than its authority");
    let root = Authority::new(|_| ());
    let upper = root.below(|params| {
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.distinguished_name.push(DnType::CommonName, "upper");
    });
    let lower = upper.below(|_| ());
    let chain = [lower.svid(|_| ()), lower.der.clone(), upper.der.clone()];
    no_path(&chain, &trusting(&[&root]), "PathLenConstraintViolated");
    let chain = vec![root.svid(|_| ()); MAX_CHAIN + 1];
    assert_eq!(refused(&chain, &trusting(&[&root])), SvidError::Length);
    assert_eq!(refused(&[], &trusting(&[&root])), SvidError::Length);
}

/// A constraint that cannot be checked refuses, rather than being passed over.
#[test]
fn name_constraints_hold_and_those_on_uris_refuse() {
    let dns = |text: &str| GeneralSubtree::DnsName(text.into());
    let constrained = |permitted: Vec<GeneralSubtree>, excluded: Vec<GeneralSubtree>| {
        Authority::new(|params| {
            params.name_constraints =
                Some(NameConstraints { permitted_subtrees: permitted, excluded_subtrees: excluded });
        })
    };
    let root = constrained(vec![dns("acme")], vec![]);
    let named = |root: &Authority, name: &str| {
        let names = vec![SanType::DnsName(Ia5String::try_from(name).unwrap()), uri(LOADER)];
        [root.svid(|params| params.subject_alt_names = names)]
    };
    assert!(verify_certificate(&named(&root, "loader.acme"), &trusting(&[&root]), NOON).is_ok());
    no_path(&named(&root, "loader.evil"), &trusting(&[&root]), "NameConstraintViolation");
    // permittedSubtrees with one uniformResourceIdentifier, `acme`: RFC 5280, section 4.2.1.10.
    let on_uris = [0x30, 0x0a, 0xa0, 0x08, 0x30, 0x06, 0x86, 0x04, b'a', b'c', b'm', b'e'];
    let root = Authority::new(|params| {
        let mut extension = CustomExtension::from_oid_content(&[2, 5, 29, 30], on_uris.to_vec());
        extension.set_criticality(true);
        params.custom_extensions.push(extension);
    });
    no_path(&[root.svid(|_| ())], &trusting(&[&root]), "NameConstraintViolation");
}

#[test]
fn an_unknown_critical_extension_refuses() {
    let root = Authority::new(|_| ());
    let svid = root.svid(|params| {
        let mut extension = CustomExtension::from_oid_content(&[1, 3, 6, 1, 4, 1, 99_999, 1], vec![5, 0]);
        extension.set_criticality(true);
        params.custom_extensions.push(extension);
    });
    assert_eq!(refused(&[svid], &trusting(&[&root])), SvidError::Malformed);
}

#[test]
fn an_altered_or_prolonged_certificate_names_nobody() {
    let root = Authority::new(|_| ());
    let svid = root.svid(|_| ());
    let issuers = trusting(&[&root]);
    let mut trailing = svid.to_vec();
    trailing.push(0);
    assert_eq!(refused(&[trailing.into()], &issuers), SvidError::Malformed);
    for position in 0..svid.len() {
        let mut altered = svid.to_vec();
        altered[position] ^= 1;
        assert!(verify_certificate(&[altered.into()], &issuers, NOON).is_err(), "byte {position}");
    }
}

#[test]
fn a_domain_that_is_not_for_certificates_takes_none() {
    let root = Authority::new(|_| ());
    let bundle = TrustBundle::default().with_authorities([root.der.clone()]).unwrap();
    let tokens_only = TrustDomain { certificates: false, ..domain("prod.acme", "prod") };
    let issuers = Issuers::new().with_trust_domain(Arc::new(tokens_only), bundle);
    assert!(matches!(refused(&[root.svid(|_| ())], &issuers), SvidError::UnknownTrustDomain(_)));
    assert!(matches!(refused(&[root.svid(|_| ())], &Issuers::new()), SvidError::UnknownTrustDomain(_)));
}

#[test]
fn nothing_is_trusted_by_an_empty_bundle() {
    let root = Authority::new(|_| ());
    no_path(&[root.svid(|_| ())], &trusting(&[]), "none that is valid");
}
