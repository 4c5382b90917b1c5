//! JWT-SVIDs: believed by the keys of the trust domain that their subject names, and by no others.

use model::spiffe::{PathPattern, TrustDomain};

use super::*;
use crate::TrustBundle;

const LOADER: &str = "spiffe://prod.acme/ns/etl/sa/loader";

fn domain(name: &str, alias: &str, pair: &Pair) -> (Arc<TrustDomain>, TrustBundle) {
    let mut issuer = Issuer::new(alias, format!("spiffe://{name}"), "sluice");
    issuer.profile = Profile::JwtSvid;
    let groups = vec![(Arc::from("etl"), vec![PathPattern::parse("/ns/etl/**").unwrap()])];
    let domain = TrustDomain { name: name.into(), issuer: Arc::new(issuer), certificates: true, groups };
    let bundle = TrustBundle::default().with_keys(json!({"keys": [pair.jwk]}).to_string().as_bytes());
    (Arc::new(domain), bundle.unwrap())
}

fn svid(pair: &Pair, change: impl FnOnce(&mut Value)) -> String {
    let mut claims = json!({"sub": LOADER, "aud": ["sluice"], "iat": NOW, "exp": NOW + 300});
    change(&mut claims);
    pair.token_with(&json!({"alg": pair.algorithm, "kid": pair.kid(), "typ": "JWT"}), &claims)
}

fn check(token: &str, issuers: &Issuers) -> Result<Subject, IdentityError> {
    verify(token, issuers, &Proven::NOTHING, Timestamp::from_seconds(NOW))
}

#[test]
fn a_jwt_svid_needs_no_issuer() {
    let pair = Pair::new("ES256", "j1");
    let (prod, bundle) = domain("prod.acme", "prod", &pair);
    let issuers = Issuers::new().with_trust_domain(prod, bundle);
    let subject = check(&svid(&pair, |_| ()), &issuers).unwrap();
    assert_eq!(subject.key.to_string(), format!("prod|{LOADER}"));
    assert_eq!((subject.groups, subject.binding), (vec![Arc::from("prod|etl")], Binding::Bearer));
    // Nor does one that it has mean anything.
    let subject = check(&svid(&pair, |claims| claims["iss"] = json!("https://spire.acme")), &issuers).unwrap();
    assert_eq!(subject.key.to_string(), format!("prod|{LOADER}"));
}

#[test]
fn a_trust_domain_speaks_for_its_own_workloads_alone() {
    let (ours, theirs) = (Pair::new("ES256", "j1"), Pair::new("ES256", "j1"));
    let (prod, prod_bundle) = domain("prod.acme", "prod", &ours);
    let (other, other_bundle) = domain("other.acme", "other", &theirs);
    let issuers = Issuers::new().with_trust_domain(prod, prod_bundle).with_trust_domain(other, other_bundle);
    assert_eq!(check(&svid(&theirs, |_| ()), &issuers), Err(IdentityError::Signature));
    let foreign = |claims: &mut Value| claims["sub"] = json!("spiffe://other.acme/ns/etl/sa/loader");
    assert_eq!(check(&svid(&ours, foreign), &issuers), Err(IdentityError::Signature));
    assert_eq!(check(&svid(&theirs, foreign), &issuers).unwrap().key.issuer.as_ref(), "other");
    let named = |claims: &mut Value| claims["iss"] = json!("spiffe://other.acme");
    assert_eq!(check(&svid(&theirs, named), &issuers), Err(IdentityError::Signature));
    let acting = |claims: &mut Value| claims["act"] = json!({"sub": "spiffe://other.acme/admin"});
    assert!(matches!(check(&svid(&ours, acting), &issuers), Err(IdentityError::Delegation(_))));
    let stranger = |claims: &mut Value| claims["sub"] = json!("spiffe://nowhere.acme/x");
    assert!(matches!(check(&svid(&ours, stranger), &issuers), Err(IdentityError::UnknownIssuer(_))));
}

#[test]
fn an_issuer_of_the_same_name_is_asked_first() {
    let (ours, theirs) = (Pair::new("ES256", "j1"), Pair::new("ES256", "j1"));
    let (prod, bundle) = domain("prod.acme", "prod", &ours);
    let mut issuer = Issuer::new("oidc", URL, "sluice");
    issuer.profile = Profile::JwtSvid;
    let keys = KeySet::from_jwks(json!({"keys": [theirs.jwk]}).to_string().as_bytes(), &issuer.algorithms).unwrap();
    let issuers = Issuers::new().with_trust_domain(prod, bundle).with_keys(Arc::new(issuer), Arc::new(keys));
    let named = |claims: &mut Value| claims["iss"] = json!(URL);
    assert_eq!(check(&svid(&ours, named), &issuers), Err(IdentityError::Signature));
    assert_eq!(check(&svid(&theirs, named), &issuers).unwrap().key.issuer.as_ref(), "oidc");
}

#[test]
fn what_holds_for_tokens_holds_for_jwt_svids() {
    let pair = Pair::new("ES256", "j1");
    let (prod, bundle) = domain("prod.acme", "prod", &pair);
    let issuers = Issuers::new().with_trust_domain(prod, bundle);
    let refused = |change: fn(&mut Value)| check(&svid(&pair, change), &issuers).unwrap_err();
    assert_eq!(refused(|claims| claims["aud"] = json!(["sluice2"])), IdentityError::Audience);
    assert_eq!(refused(|claims| claims["exp"] = json!(NOW - 1)), IdentityError::Lifetime(0));
    assert!(matches!(refused(|claims| claims["sub"] = json!("spiffe://prod.acme")), IdentityError::UnknownIssuer(_)));
    assert!(matches!(
        refused(|claims| claims["sub"] = json!("spiffe://prod.acme/a/")),
        IdentityError::UnknownIssuer(_)
    ));
    let unknown = Pair::new("ES256", "j2");
    assert!(matches!(check(&svid(&unknown, |_| ()), &issuers), Err(IdentityError::UnknownKey { .. })));
    let empty = TrustBundle::default();
    let (prod, _) = domain("prod.acme", "prod", &pair);
    let issuers = Issuers::new().with_trust_domain(prod, empty);
    assert!(matches!(check(&svid(&pair, |_| ()), &issuers), Err(IdentityError::UnknownKey { .. })));
}

/// Without an audience, a trust domain is for certificates alone.
#[test]
fn a_domain_without_an_audience_takes_no_token() {
    let pair = Pair::new("ES256", "j1");
    let (prod, bundle) = domain("prod.acme", "prod", &pair);
    let mut issuer = (*prod.issuer).clone();
    issuer.audiences.clear();
    let prod = TrustDomain { issuer: Arc::new(issuer), ..(*prod).clone() };
    let issuers = Issuers::new().with_trust_domain(Arc::new(prod), bundle);
    assert_eq!(check(&svid(&pair, |_| ()), &issuers), Err(IdentityError::Audience));
    assert_eq!(check(&svid(&pair, |claims| claims["aud"] = json!([""])), &issuers), Err(IdentityError::Audience));
}
