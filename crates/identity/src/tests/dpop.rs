//! ID-19: proofs of possession, whatever is wrong with them.

use aws_lc_rs::digest::{SHA256, digest};
use model::subject::SubjectKey;

use super::*;
use crate::dpop::{self, MAX_AGE, MAX_AHEAD, Nonces, Proof, ProofError, ReplayError, Replays, Request};

const HTU: &str = "https://sluice.example:7632/v1/whoami";
const TOKEN: &str = "a.b.c";

fn at(seconds: u64) -> Timestamp {
    Timestamp::from_seconds(seconds)
}

fn nonces() -> Nonces {
    Nonces::new(&model::secret::Secret::new([7; 32]))
}

fn header(pair: &Pair) -> Value {
    json!({"typ": "dpop+jwt", "alg": pair.algorithm, "jwk": pair.jwk})
}

fn good() -> Value {
    json!({"jti": "j-1", "htm": "GET", "htu": HTU, "iat": NOW, "ath": b64(digest(&SHA256, TOKEN.as_bytes())),
           "nonce": nonces().issue(at(NOW))})
}

fn with(name: &str, value: Value) -> Value {
    let mut claims = good();
    match value {
        Value::Null => claims.as_object_mut().unwrap().remove(name),
        value => claims.as_object_mut().unwrap().insert(name.to_owned(), value),
    };
    claims
}

fn check(proof: &str) -> Result<Proof, ProofError> {
    dpop::verify(proof, &Request { method: "GET", uri: HTU, token: Some(TOKEN) }, &nonces(), at(NOW))
}

fn check_claims(claims: &Value) -> Result<Proof, ProofError> {
    let pair = Pair::new("ES256", "k");
    check(&pair.token_with(&header(&pair), claims))
}

fn check_header(pair: &Pair, header: &Value) -> Result<Proof, ProofError> {
    check(&pair.token_with(header, &good()))
}

#[test]
fn a_good_proof_shows_its_key_for_every_asymmetric_algorithm() {
    for algorithm in Algorithm::ALL.map(Algorithm::name) {
        let pair = Pair::new(algorithm, "k");
        let jwk = crate::json::parse_object(pair.jwk.to_string().as_bytes()).unwrap();
        let proof = check_header(&pair, &header(&pair)).unwrap();
        assert_eq!(proof.key, crate::keys::thumbprint(&jwk).unwrap(), "{algorithm}");
    }
}

#[test]
fn id_19_the_proof_of_the_standard_is_understood_and_is_for_its_own_moment_alone() {
    // RFC 9449, section 4.2, figure 2: it has no nonce, and is of 2019.
    let proof = "eyJ0eXAiOiJkcG9wK2p3dCIsImFsZyI6IkVTMjU2IiwiandrIjp7Imt0eSI6IkVDIiwieCI6Imw4dEZyaHgtMzR0VjNoUklDUkRZOXpDa0RscEJoRjQyVVFVZldWQVdCRnMiLCJ5IjoiOVZFNGpmX09rX282NHpiVFRsY3VOSmFqSG10NnY5VERWclUwQ2R2R1JEQSIsImNydiI6IlAtMjU2In19.eyJqdGkiOiItQndDM0VTYzZhY2MybFRjIiwiaHRtIjoiUE9TVCIsImh0dSI6Imh0dHBzOi8vc2VydmVyLmV4YW1wbGUuY29tL3Rva2VuIiwiaWF0IjoxNTYyMjYyNjE2fQ.2-GxA6T8lP4vfrg8v-FdWP0A0zdrj8igiMLvqRMUvwnQg4PtFLbdLXiOSsX0x7NVY-FNyJK70nfbV37xRZT3Lg";
    let request = Request { method: "POST", uri: "https://server.example.com/token", token: None };
    let made = 1_562_262_616;
    assert_eq!(dpop::verify(proof, &request, &nonces(), at(made)), Err(ProofError::Nonce));
    assert_eq!(dpop::verify(proof, &request, &nonces(), at(NOW)), Err(ProofError::Time));
}

#[test]
fn id_19_a_proof_of_another_kind_is_refused() {
    let pair = Pair::new("ES256", "k");
    for typ in [json!("at+jwt"), json!("JWT"), json!("dpop"), Value::Null] {
        let mut header = header(&pair);
        header["typ"] = typ.clone();
        if typ.is_null() {
            header.as_object_mut().unwrap().remove("typ");
        }
        assert_eq!(check_header(&pair, &header), Err(ProofError::Kind), "{typ}");
    }
    for wrong in ["", "x", "a.b", "a.b.c.d.e"] {
        assert!(matches!(check(wrong), Err(ProofError::Form(_))), "{wrong}");
    }
    assert_eq!(check(&"a".repeat(dpop::MAX_PROOF + 1)), Err(ProofError::TooLong));
}

#[test]
fn id_19_symmetric_and_absent_algorithms_are_refused() {
    let pair = Pair::new("ES256", "k");
    for alg in ["none", "None", "HS256", "hs256", "", "ES256K"] {
        let mut header = header(&pair);
        header["alg"] = json!(alg);
        assert!(matches!(check_header(&pair, &header), Err(ProofError::Form(_))), "{alg}");
    }
    let mut symmetric = header(&pair);
    symmetric["jwk"] = json!({"kty": "oct", "k": b64("secret")});
    assert!(matches!(check_header(&pair, &symmetric), Err(ProofError::Key(_))));
}

#[test]
fn id_19_a_private_absent_weak_or_other_key_is_refused() {
    let pair = Pair::new("ES256", "k");
    for (name, value) in [("d", json!(b64([1; 32]))), ("x", json!("")), ("crv", json!("P-384")), ("use", json!("enc"))]
    {
        let mut header = header(&pair);
        header["jwk"][name] = value;
        assert!(matches!(check_header(&pair, &header), Err(ProofError::Key(_))), "{name}");
    }
    for jwk in [json!(null), json!("x"), json!({}), json!([pair.jwk.clone()])] {
        let mut header = header(&pair);
        header["jwk"] = jwk;
        assert!(matches!(check_header(&pair, &header), Err(ProofError::Key(_))), "{header}");
    }
    let mut other = header(&pair);
    other["jwk"] = Pair::new("ES256", "k").jwk;
    assert_eq!(check_header(&pair, &other), Err(ProofError::Signature));
    // A key of another algorithm than the proof says.
    let mut confused = header(&pair);
    confused["jwk"] = Pair::new("EdDSA", "k").jwk;
    assert!(matches!(check_header(&pair, &confused), Err(ProofError::Key(_))));
}

#[test]
fn id_19_another_method_or_url_is_refused() {
    for htm in ["POST", "get", "Get", " GET", ""] {
        assert_eq!(check_claims(&with("htm", json!(htm))), Err(ProofError::Method), "{htm}");
    }
    for htu in [
        "https://sluice.example:7632/v1/whoami?x=1",
        "https://sluice.example:7632/v1/whoami#x",
        "https://sluice.example:7633/v1/whoami",
        "https://sluice.example/v1/whoami",
        "http://sluice.example:7632/v1/whoami",
        "https://sluice.example.evil:7632/v1/whoami",
        "https://evil@sluice.example:7632/v1/whoami",
        "https://sluice.example:7632/v1/Whoami",
        "https://sluice.example:7632/v1/whoami/",
        "https://sluice.example:7632//v1/whoami",
        "https://sluice.example:7632/v1%2Fwhoami",
        "https://sluice.example:7632/v1/whoami/../sessions",
        "/v1/whoami",
        "",
    ] {
        assert_eq!(check_claims(&with("htu", json!(htu))), Err(ProofError::Uri), "{htu}");
    }
    // What RFC 3986 says is the same URL is the same.
    for htu in ["HTTPS://SLUICE.example:7632/v1/whoami", "https://sluice.example:7632/v1/./who%61mi"] {
        assert!(check_claims(&with("htu", json!(htu))).is_ok(), "{htu}");
    }
}

#[test]
fn id_19_a_proof_is_of_now() {
    for iat in [NOW - MAX_AGE - 1, NOW + MAX_AHEAD + 1, 0, u64::MAX] {
        assert_eq!(check_claims(&with("iat", json!(iat))), Err(ProofError::Time), "{iat}");
    }
    for iat in [NOW - MAX_AGE, NOW + MAX_AHEAD] {
        assert!(check_claims(&with("iat", json!(iat))).is_ok(), "{iat}");
    }
    for iat in [json!(null), json!("1800000000"), json!(1.8e9), json!(-1)] {
        assert_eq!(check_claims(&with("iat", iat)), Err(ProofError::Claim("iat")));
    }
}

#[test]
fn id_19_a_missing_or_stale_nonce_is_refused_and_a_fresh_one_is_offered() {
    let forged = Nonces::new(&model::secret::Secret::new([8; 32])).issue(at(NOW));
    let stale = nonces().issue(at(NOW - dpop::NONCE_LIFETIME));
    for nonce in [json!(null), json!(""), json!(7), json!(forged), json!(stale)] {
        assert_eq!(check_claims(&with("nonce", nonce)), Err(ProofError::Nonce));
    }
    // Nobody is offered one for a proof that is wrong anyway.
    let mut wrong = with("nonce", json!(null));
    wrong["htm"] = json!("POST");
    assert_eq!(check_claims(&wrong), Err(ProofError::Method));
}

#[test]
fn id_19_a_proof_for_another_token_or_none_is_refused() {
    assert_eq!(check_claims(&with("ath", json!(null))), Err(ProofError::Claim("ath")));
    for ath in [b64(digest(&SHA256, b"a.b.d")), String::new(), TOKEN.to_owned()] {
        assert_eq!(check_claims(&with("ath", json!(ath))), Err(ProofError::Token), "{ath}");
    }
}

#[test]
fn id_19_a_jti_counts_once_for_its_key() {
    let pair = Pair::new("ES256", "k");
    let proof = |pair: &Pair, claims: &Value| check(&pair.token_with(&header(pair), claims)).unwrap();
    let (mut replays, app) = (Replays::new(100, 100), SubjectKey { issuer: "corp".into(), id: "app".into() });
    let mut used = |proof: &Proof| replays.use_once(proof, &app, at(NOW));
    assert_eq!(used(&proof(&pair, &good())), Ok(()));
    assert_eq!(used(&proof(&pair, &good())), Err(ReplayError::Used));
    // Made anew, of another second: the same `jti` all the same.
    assert_eq!(used(&proof(&pair, &with("iat", json!(NOW - 1)))), Err(ReplayError::Used));
    assert_eq!(used(&proof(&pair, &with("jti", json!("j-2")))), Ok(()));
    // Nobody can use up what another's proofs are called.
    assert_eq!(used(&proof(&Pair::new("ES256", "k"), &good())), Ok(()));
    for jti in [json!(null), json!(""), json!(7), json!("x".repeat(256))] {
        assert_eq!(check_claims(&with("jti", jti)), Err(ProofError::Claim("jti")));
    }
}

#[test]
fn id_19_a_token_bound_to_a_key_counts_with_a_proof_of_that_key_alone() {
    let world = World::new(issuer());
    let pair = Pair::new("ES256", "k");
    let proof = check_header(&pair, &header(&pair)).unwrap();
    let bound = world.pair.token(&claims_with("cnf", json!({"jkt": b64(proof.key.0)})));
    let with = |proof_key| {
        let proven = Proven { proof_key, ..Proven::NOTHING };
        verify(&bound, &world.issuers, &proven, at(NOW)).map(|subject| subject.binding)
    };
    assert_eq!(with(Some(proof.key)), Ok(Binding::Dpop));
    assert!(matches!(with(None), Err(IdentityError::Binding(_))));
    assert!(matches!(with(Some(Digest([1; 32]))), Err(IdentityError::Binding(_))));
    // Two confirmations, or an unknown one, are none that was proven.
    for cnf in [json!({"jkt": b64(proof.key.0), "x5t#S256": b64([1; 32])}), json!({"jwk": pair.jwk}), json!({})] {
        let token = world.pair.token(&claims_with("cnf", cnf));
        let proven = Proven { proof_key: Some(proof.key), ..Proven::NOTHING };
        assert!(matches!(verify(&token, &world.issuers, &proven, at(NOW)), Err(IdentityError::Binding(_))));
    }
}

#[test]
fn id_19_a_proof_is_no_token() {
    let world = World::new(issuer());
    let mut claims = claims();
    claims["htm"] = json!("GET");
    assert!(matches!(world.verify(&claims), Err(IdentityError::Kind(_))));
    let header = json!({"typ": "dpop+jwt", "alg": "EdDSA", "kid": "k1", "jwk": world.pair.jwk});
    assert!(matches!(world.verify_header(header), Err(IdentityError::Kind(_))));
    // Nor is a key in its own header ever looked at.
    let stranger = Pair::new("EdDSA", "k1");
    let header = json!({"typ": "at+jwt", "alg": "EdDSA", "kid": "k1", "jwk": stranger.jwk});
    let token = stranger.token_with(&header, &super::claims());
    assert_eq!(world.verify_token(&token), Err(IdentityError::Signature));
}
