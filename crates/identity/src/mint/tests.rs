use super::*;
use crate::{Issuer, Issuers, KeySet, Proven, verify};
use model::issuer::{Algorithm, ClaimPath};

const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);

fn claims(groups: &[Arc<str>]) -> Claims<'_> {
    Claims {
        issuer: "https://sluice.example",
        audience: "sluice",
        subject: "admin",
        groups,
        lifetime: 300,
        token_id: "t1",
    }
}

#[test]
fn a_minted_token_verifies_until_it_ends() {
    let key = SigningKey::from_seed(&Secret::new([1; 32])).unwrap();
    let keys = KeySet::from_jwks(key.jwks().as_bytes(), &[Algorithm::EdDsa].into()).unwrap();
    let issuer = Issuer {
        groups_claim: ClaimPath::new(["groups"]),
        ..Issuer::new("sluice", "https://sluice.example", "sluice")
    };
    let issuers = Issuers::new().with_keys(Arc::new(issuer), Arc::new(keys));
    let groups = ["admins".into()];
    let token = key.sign(&claims(&groups), NOW);
    let subject = verify(token.expose(), &issuers, &Proven::NOTHING, NOW).unwrap();
    assert_eq!(subject.key.to_string(), "sluice|admin");
    assert_eq!(subject.groups, ["sluice|admins".into()]);
    assert_eq!(subject.token_id.as_deref(), Some("t1"));
    assert!(verify(token.expose(), &issuers, &Proven::NOTHING, NOW.plus_millis(300_000)).is_err());
}

#[test]
fn a_key_survives_its_file() {
    let key = SigningKey::from_seed(&Secret::new([1; 32])).unwrap();
    let read = SigningKey::from_pkcs8(key.to_pkcs8().unwrap().expose()).unwrap();
    assert_eq!((read.id(), read.jwks()), (key.id(), key.jwks()));
    assert_eq!(read.sign(&claims(&[]), NOW).expose(), key.sign(&claims(&[]), NOW).expose());
    assert!(!key.jwks().contains(r#""d""#));
    for bytes in [&[][..], b"-----BEGIN PRIVATE KEY-----", &[0x30; 48]] {
        assert!(SigningKey::from_pkcs8(bytes).is_err());
    }
}
