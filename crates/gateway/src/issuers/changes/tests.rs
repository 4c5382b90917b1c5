use identity::{Claims, KeySet, KeyTiming, Proven, SigningKey};
use model::secret::Secret;
use model::subject::Subject;
use prometheus::IntGauge;
use store::Sqlite;
use tempfile::TempDir;

use super::*;
use crate::clock;
use crate::revocations::Revocations;

/// Sluice's own issuer and one whose keys are in a file.
struct World {
    dir: TempDir,
    key: SigningKey,
    issuers: TrustedIssuers,
}

fn key_set(key: &SigningKey) -> KeySet {
    KeySet::from_jwks(key.jwks().as_bytes(), &model::issuer::Algorithm::ALL.into()).unwrap()
}

impl World {
    fn new() -> Self {
        let dir = TempDir::new().unwrap();
        let key = SigningKey::from_seed(&Secret::new([7; 32])).unwrap();
        std::fs::write(dir.path().join("jwks.json"), key.jwks()).unwrap();
        let gauge = IntGauge::new("revocations", "for tests").unwrap();
        let revocations = Revocations::open(Arc::new(Sqlite::open(dir.path()).unwrap()), gauge).unwrap();
        let own = (Issuer::new("sluice", "urn:sluice", "sluice"), KeySource::Fixed(Arc::new(key_set(&key))));
        let issuers = TrustedIssuers::new([own], KeyTiming::default(), Arc::new(revocations));
        Self { dir, key, issuers }
    }

    fn corp(&self, audience: &str) -> (Issuer, KeySource) {
        let source = KeySource::File(self.dir.path().join("jwks.json"));
        (Issuer::new("corp", "https://id.example.com", audience), source)
    }

    async fn log_in(&self, issuer: &str) -> Result<Subject, identity::IdentityError> {
        let (audience, subject, token_id) = ("sluice", "jane", "t-1");
        let claims = Claims { issuer, audience, subject, groups: &[], lifetime: 300, token_id };
        let token = self.key.sign(&claims, clock::now());
        self.issuers.verify(token.expose(), &Proven::NOTHING).await
    }
}

#[tokio::test]
async fn who_was_verified_stands_until_the_issuer_goes_or_is_another() {
    let world = World::new();
    assert!(world.log_in("https://id.example.com").await.is_err());
    world.issuers.replace(vec![world.corp("sluice")]);
    let (first, own) =
        (world.log_in("https://id.example.com").await.unwrap(), world.log_in("urn:sluice").await.unwrap());
    assert!(world.issuers.standing(&first).is_ok());

    // The same again changes nothing.
    assert!(world.issuers.compare(&[world.corp("sluice")]).is_empty());
    world.issuers.replace(vec![world.corp("sluice")]);
    assert!(world.issuers.standing(&first).is_ok());

    // What else is believed of it, and its keys are known already.
    let mut other = world.corp("sluice");
    other.0.max_lifetime = 301;
    let changes = world.issuers.compare(std::slice::from_ref(&other));
    assert_eq!(changes.to_string(), "changed corp");
    std::fs::remove_file(world.dir.path().join("jwks.json")).unwrap();
    world.issuers.replace(vec![other]);
    assert!(world.issuers.standing(&first).is_err());
    let second = world.log_in("https://id.example.com").await.unwrap();
    assert!(world.issuers.standing(&second).is_ok());

    let changes = world.issuers.compare(&[]);
    assert_eq!(changes.to_string(), "removed corp");
    world.issuers.replace(Vec::new());
    assert!(world.issuers.standing(&second).is_err());
    assert!(world.log_in("https://id.example.com").await.is_err());
    // One that comes back is another one.
    world.issuers.replace(vec![world.corp("sluice")]);
    assert!(world.issuers.standing(&first).is_err() && world.issuers.standing(&second).is_err());
    assert!(world.issuers.standing(&own).is_ok(), "Sluice's own issuer is in no file");
}

#[test]
fn changes_are_told_by_alias() {
    let world = World::new();
    let corp = world.corp("sluice");
    let mut lab = world.corp("sluice");
    lab.0.alias = "lab".into();
    lab.0.url = "https://lab.example.com".into();
    assert_eq!(world.issuers.compare(&[corp.clone(), lab.clone()]).to_string(), "added corp, lab");
    world.issuers.replace(vec![corp]);
    assert_eq!(world.issuers.compare(&[lab]).to_string(), "added lab; removed corp");
}
