use std::path::Path;
use std::sync::Arc;

use identity::Confirmation;
use model::event::Event;
use model::id::{Digest, SessionId};
use model::revocation::{Extent, Revocation, Whose};
use model::subject::{SubjectKey, SubjectKind};
use store::config::Config;

use super::super::credential::{Login, NoTargetAuth, TargetAuth, target_auth};
use super::super::keys;
use super::*;
use crate::issued::{Kind, StandsFor, sha256};

const SLUICE: &str = "[[issuer]]\nalias = \"corp\"\nurl = \"https://id.example.com\"\naudience = \"sluice\"\n\
                      jwks_file = \"jwks.json\"\n[listen.ssh]\naddress = \"127.0.0.1:0\"\nmax_session = \"1h\"\n";

/// A node with two hosts, and a key that is registered for one of them.
struct World {
    node: Arc<Node>,
    robot: PublicKey,
    dir: tempfile::TempDir,
}

fn put(dir: &Path, name: &str, text: &str) {
    testkit::tls::write_private(&dir.join(name), text.as_bytes()).unwrap();
}

impl World {
    fn new(credential: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let robot = keys::new().unwrap().public_key().clone();
        let host = keys::new().unwrap().public_key().to_openssh().unwrap();
        let target = |name: &str| {
            format!(
                "[{name}]\nprotocol = \"ssh\"\naddress = \"127.0.0.1:22\"\nlogins = [\"backup\"]\n\
                 host_keys = [\"{host}\"]\ncredential = {credential}\n"
            )
        };
        std::fs::create_dir_all(dir.path().join("revision/policies")).unwrap();
        put(dir.path(), "jwks.json", "{\"keys\":[]}");
        put(dir.path(), "revision/targets.toml", &(target("web1") + &target("web2")));
        put(dir.path(), "revision/classification.toml", "");
        put(dir.path(), "revision/policies/baseline.cedar", policy::BASELINE);
        put(dir.path(), "sluice.toml", SLUICE);
        let registered = Self::registered(&robot, "corp|backup-robot", "");
        put(dir.path(), "revision/ssh_keys.toml", &registered);
        let node = Node::open(Config::load(&dir.path().join("sluice.toml")).unwrap()).unwrap();
        Self { node, robot, dir }
    }

    fn registered(key: &PublicKey, subject: &str, more: &str) -> String {
        let key = key.to_openssh().unwrap();
        format!(
            "[[key]]\nkey = \"{key}\"\nsubject = \"{subject}\"\nkind = \"service\"\ngroups = [\"corp|backup\"]\n\
             targets = [\"web1\"]\n{more}"
        )
    }

    /// Another revision, with these keys.
    fn register(&self, text: &str) {
        put(self.dir.path(), "revision/ssh_keys.toml", text);
        let node = &self.node;
        assert!(node.revisions.reload(node.state.as_ref(), &node.recorder, &node.metrics));
    }

    fn active(&self) -> Arc<Active> {
        self.node.revisions.current()
    }

    fn by_key(&self, at: &str) -> Result<Subject, IdentityError> {
        by_key(&self.node, &self.active(), &self.robot, at)
    }

    /// A certificate of the robot's key that stands for `corp|jane`, and its digest.
    fn certificate(&self, target: Option<&str>) -> (Certificate, Digest) {
        let now = clock::now();
        let subject = Subject {
            key: key("jane"),
            kind: SubjectKind::User,
            groups: Vec::new(),
            on_behalf_of: Vec::new(),
            expires_at: now.plus_millis(60_000),
            binding: Binding::Ssh,
            token_id: Some("t1".into()),
            credential: Credential::default(),
        };
        let (kind, made_of) = (Kind::SshCertificate, vec![Digest([5; 32])]);
        let stands_for =
            StandsFor { kind, subject, target: target.map(Arc::from), confirmation: None, issued_at: now, made_of };
        let (certificate, digest) = self.node.ssh_callers.sign(&self.robot, &stands_for, now).unwrap();
        self.node.issued.keep(digest, stands_for, now).unwrap();
        (certificate, digest)
    }

    async fn revoke(&self, whose: Whose) {
        let (extent, at) = (Extent::Issued, clock::now());
        let revocation = Revocation { whose, extent, at, until: None, by: key("admin"), reason: None };
        self.node.revoke(revocation).await.unwrap();
    }

    /// What the journal says was used.
    fn used(&self) -> Vec<String> {
        self.node.recorder.flush();
        let mut reader = self.node.recorder.journal().reader(0);
        let events = std::iter::from_fn(move || reader.next().unwrap()).map(|(_, entry)| entry.event);
        let used = events.filter_map(|event| match event {
            Event::SecretUsed { reference, .. } => Some(reference.to_string()),
            _ => None,
        });
        used.collect()
    }

    async fn login(&self) -> Result<TargetAuth, NoTargetAuth> {
        let active = self.active();
        let config = &active.targets["web1"];
        let login = Login {
            config,
            ssh: config.ssh().unwrap(),
            login: &"backup".into(),
            session: SessionId::from_bits(7),
            subject: &key("jane"),
            source: None,
            terminal: false,
            forwarding: false,
        };
        target_auth(&self.node, login).await.map(|(auth, _)| auth)
    }
}

fn key(id: &str) -> SubjectKey {
    SubjectKey { issuer: "corp".into(), id: id.into() }
}

fn here() -> IpAddr {
    "127.0.0.1".parse().unwrap()
}

const CERTIFICATE: &str = "{ certificate = true }";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_registered_key_stands_for_its_subject_where_it_is_registered() {
    let world = World::new(CERTIFICATE);
    let subject = world.by_key("web1").unwrap();
    assert_eq!((subject.key.clone(), subject.binding), (key("backup-robot"), Binding::Ssh));
    assert_eq!(subject.groups, [Arc::from("corp|backup")]);
    let left = subject.expires_at.millis_since(clock::now());
    assert!((3_590_000..=3_600_000).contains(&left), "{left}");
    assert_eq!(world.by_key("web2"), Err(IdentityError::SshKey("it is registered for other targets")));
    let other = keys::new().unwrap().public_key().clone();
    let unknown = by_key(&world.node, &world.active(), &other, "web1");
    assert_eq!(unknown, Err(IdentityError::SshKey("it is not registered")));
    assert!(world.node.issuers.standing(&subject).is_ok());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_ends_with_its_key_and_follows_its_groups() {
    let world = World::new(CERTIFICATE);
    let began = world.by_key("web1").unwrap();
    let still = || still_registered(&world.node, &world.active(), &world.robot, "web1", &began);
    assert_eq!(still().unwrap(), began);
    world
        .register(&World::registered(&world.robot, "corp|backup-robot", "").replace("corp|backup\"]", "corp|other\"]"));
    assert_eq!(still().unwrap().groups, [Arc::from("corp|other")]);
    assert_eq!(still().unwrap().expires_at, began.expires_at, "another revision prolongs nothing");
    world.register(&World::registered(&world.robot, "corp|somebody-else", ""));
    assert_eq!(still(), Err(IdentityError::SshKey("it stands for somebody else now")));
    world.register(&World::registered(&world.robot, "corp|backup-robot", "expires = 2026-01-01\n"));
    assert!(matches!(still(), Err(IdentityError::SshKey(_))));
    world.register("");
    assert_eq!(still(), Err(IdentityError::SshKey("it is not registered")));
    world.register(&World::registered(&world.robot, "gone|backup-robot", ""));
    assert!(matches!(world.by_key("web1"), Err(IdentityError::UnknownIssuer(_))));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_is_revoked_does_not_come_back_by_a_key_that_nobody_issued() {
    let world = World::new(CERTIFICATE);
    let subject = world.by_key("web1").unwrap();
    world.revoke(Whose::Subject(key("backup-robot"))).await;
    assert!(matches!(world.by_key("web1"), Err(IdentityError::Revoked(_))));
    assert!(world.node.issuers.standing(&subject).is_err());
    world.node.restore(Whose::Subject(key("backup-robot")), None).await.unwrap();
    assert!(world.by_key("web1").is_ok());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_stands_for_whom_it_was_kept_for() {
    let world = World::new(CERTIFICATE);
    let at = |certificate: &Certificate, target: &str| by_certificate(&world.node, certificate, target, here());
    let (anywhere, _) = world.certificate(None);
    let subject = at(&anywhere, "web1").unwrap();
    assert_eq!((subject.key, subject.binding), (key("jane"), Binding::Ssh));
    assert!(at(&anywhere, "web2").is_ok());
    let (one, _) = world.certificate(Some("web1"));
    assert!(at(&one, "web1").is_ok());
    let elsewhere = Err(IdentityError::SshCertificate("it is for another target".to_owned()));
    assert_eq!(at(&one, "web2"), elsewhere);
    // Signed, and never kept.
    let subject = world.by_key("web1").unwrap();
    let (kind, made_of, now) = (Kind::SshCertificate, Vec::new(), clock::now());
    let unkept = StandsFor { kind, subject, target: None, confirmation: None, issued_at: now, made_of };
    let (unkept, _) = world.node.ssh_callers.sign(&world.robot, &unkept, now).unwrap();
    assert_eq!(at(&unkept, "web1"), Err(IdentityError::SshCertificate("it is unknown".to_owned())));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_falls_with_what_it_was_issued_for_and_with_its_subject() {
    let world = World::new(CERTIFICATE);
    let (certificate, digest) = world.certificate(None);
    let find = || by_certificate(&world.node, &certificate, "web1", here());
    world.revoke(Whose::Token(Digest([5; 32]))).await;
    assert!(matches!(find(), Err(IdentityError::Revoked(_))));
    world.node.restore(Whose::Token(Digest([5; 32])), None).await.unwrap();
    assert_eq!(find().unwrap().credential.digest, Some(digest));
    assert_eq!(world.node.issued.drop_of(&key("jane")).unwrap(), 1);
    assert!(matches!(find(), Err(IdentityError::SshCertificate(_))));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_password_is_no_certificate_and_what_is_bound_elsewhere_is_no_password() {
    let world = World::new(CERTIFICATE);
    let now = clock::now();
    let subject = Subject { binding: Binding::Bearer, ..world.by_key("web1").unwrap() };
    let stands_for = |confirmation| {
        let (kind, subject, target) = (Kind::Password, subject.clone(), Some("web1".into()));
        StandsFor { kind, subject, target, confirmation, issued_at: now, made_of: Vec::new() }
    };
    let password = world.node.issued.issue_password(stands_for(None), now).unwrap();
    assert_eq!(by_token(&world.node, password.expose(), "web1").await.unwrap().key, key("backup-robot"));
    assert!(by_token(&world.node, password.expose(), "web2").await.is_err());
    let digest = sha256(password.expose().as_bytes());
    assert!(world.node.issued.find_certificate(digest, "web1", now).is_err());
    let bound = stands_for(Some(Confirmation::Certificate(Digest([1; 32]))));
    let bound = world.node.issued.issue_password(bound, now).unwrap();
    assert!(matches!(by_token(&world.node, bound.expose(), "web1").await, Err(IdentityError::Binding(_))));
    assert!(by_token(&world.node, "no token", "web1").await.is_err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_logs_in_with_a_certificate_whose_number_the_journal_has() {
    let world = World::new(CERTIFICATE);
    let TargetAuth::Certificate(signed) = world.login().await.unwrap() else { panic!("no certificate") };
    assert_eq!(signed.1.valid_principals(), ["backup"]);
    assert_eq!(world.used(), [format!("ssh-ca:{}", signed.1.serial())]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_logs_in_with_a_private_key_that_is_read_when_it_is_used() {
    let world = World::new("{ private_key = { file = \"web1.key\" } }");
    let file = world.dir.path().join("revision");
    let missing = world.login().await.err().unwrap().to_string();
    assert!(missing.contains("web1.key"), "{missing}");
    put(&file, "web1.key", "hunter2");
    let wrong = world.login().await.err().unwrap().to_string();
    assert!(wrong.contains("OpenSSH's form") && !wrong.contains("hunter2"), "{wrong}");
    let made = keys::new().unwrap();
    put(&file, "web1.key", &made.to_openssh(ssh_key::LineEnding::LF).unwrap());
    let TargetAuth::Key(found) = world.login().await.unwrap() else { panic!("no key") };
    assert_eq!(found.public_key().key_data(), made.public_key().key_data());
    let used = world.used();
    assert!(used.len() == 3 && used.iter().all(|one| one.ends_with("web1.key")), "{used:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_logs_in_with_a_password() {
    let world = World::new("{ password = { file = \"web1.password\" } }");
    put(&world.dir.path().join("revision"), "web1.password", "correct horse\n");
    let TargetAuth::Password(found) = world.login().await.unwrap() else { panic!("no password") };
    assert_eq!(found.password().expose(), "correct horse");
    assert_eq!(world.used().len(), 1);
}
