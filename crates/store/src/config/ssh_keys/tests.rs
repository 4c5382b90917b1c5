use super::super::parse_targets;
use super::super::public_key::tests::{ECDSA, ED25519};
use super::*;

fn keys(text: &str) -> Result<RegisteredKeys, Vec<ConfigError>> {
    parse_ssh_keys(text, Path::new("/r/ssh_keys.toml"), None)
}

/// A key of four lines, in which `from` stands as `to`.
fn robot(from: &str, to: &str) -> String {
    let text = format!("[[key]]\nkey = \"{ED25519}\"\nsubject = \"corp|backup-robot\"\nkind = \"service\"\n");
    assert!(text.contains(from), "{from}");
    text.replace(from, to)
}

#[track_caller]
fn assert_mistake<T: std::fmt::Debug>(read: Result<T, Vec<ConfigError>>, line: usize, key: &str, says: &str) {
    let errors = read.unwrap_err();
    let found: Vec<_> = errors.iter().map(|error| (error.line, error.key.as_str())).collect();
    assert_eq!(found, [(Some(line), key)], "{errors:?}");
    assert!(errors[0].to_string().contains(says), "{}", errors[0]);
}

#[test]
fn a_key_is_read_as_meant() {
    let more = "groups = [\"corp|backup\", \"night\"]\ntargets = [\"web1\"]\nexpires = 2027-01-31\n";
    let read = keys(&(robot("", "") + more)).unwrap();
    let found = read.find(&PublicKey::from_openssh(&format!("{ED25519} elsewhere")).unwrap()).unwrap();
    assert_eq!((found.subject.to_string().as_str(), found.kind), ("corp|backup-robot", SubjectKind::Service));
    assert_eq!(found.groups, [Arc::from("corp|backup"), Arc::from("night")]);
    assert!(found.is_for("web1") && !found.is_for("web2"));
    assert_eq!(found.expires.unwrap().to_string(), "2027-01-31T00:00:00.000Z");
    assert!(read.find(&PublicKey::from_openssh(ECDSA).unwrap()).is_none());
    let read = keys(&robot("service", "user")).unwrap();
    let found = read.iter().next().unwrap();
    assert!(found.is_for("any") && found.groups.is_empty() && found.expires.is_none());
    assert_eq!(found.kind, SubjectKind::User);
    assert_eq!(keys("").unwrap(), RegisteredKeys::default());
}

#[test]
fn mistakes_are_found_with_their_lines() {
    let lines = [
        (robot(&format!("key = \"{ED25519}\"\n"), ""), 1, "key.key", "absent"),
        (robot(ED25519, "ssh-ed25519 AAAA"), 2, "key.key", "no public key"),
        (robot(ED25519, "-----BEGIN OPENSSH PRIVATE KEY-----"), 2, "key.key", "must not be here"),
        (robot("subject = \"corp|backup-robot\"\n", ""), 1, "key.subject", "absent"),
        (robot("corp|backup-robot", "backup-robot"), 3, "key.subject", "not understood"),
        (robot("corp|backup-robot", "Corp|backup-robot"), 3, "key.subject", "not understood"),
        (robot("corp|backup-robot", "corp|"), 3, "key.subject", "not understood"),
        (robot("kind = \"service\"\n", ""), 1, "key.kind", "absent"),
        (robot("service", "robot"), 4, "key.kind", "service"),
        (robot("", "") + "targets = []\n", 5, "key.targets", "empty"),
        (robot("", "") + "expires = \"2027-01-31\"\n", 5, "key.expires", "without quotes"),
        (robot("", "") + "expires = 2027-01-31T18:00:00\n", 5, "key.expires", "not a moment"),
        (robot("", "") + "expires = 18:00:00\n", 5, "key.expires", "not a moment"),
        (robot("", "") + "login = \"root\"\n", 5, "key.login", "no such setting"),
        (robot("", "") + &robot("corp|backup-robot", "corp|other"), 6, "key.key", "registered already"),
    ];
    for (text, line, key, says) in lines {
        assert_mistake(keys(&text), line, key, says);
    }
    for right in ["2027-01-31T18:00:00Z", "2027-01-31 18:00:00+01:00"] {
        assert!(keys(&(robot("", "") + &format!("expires = {right}\n"))).is_ok(), "{right}");
    }
}

#[test]
fn a_key_is_for_targets_that_speak_ssh() {
    let text = format!(
        "[web1]\nprotocol = \"ssh\"\naddress = \"w:22\"\nlogins = [\"a\"]\nhost_keys = [\"{ECDSA}\"]\n\
         credential = {{ certificate = true }}\n[db]\nprotocol = \"postgres\"\naddress = \"d:1\"\ndatabases = [\"d\"]\n\
         credential = {{ user = \"u\", password = {{ env = \"P\" }} }}\n"
    );
    let targets = parse_targets(&text, Path::new("/r/targets.toml")).unwrap();
    let read = |names: &str| {
        parse_ssh_keys(&(robot("", "") + &format!("targets = {names}\n")), Path::new("k.toml"), Some(&targets))
    };
    assert!(read("[\"web1\"]").is_ok());
    assert_mistake(read("[\"web1\", \"db\"]"), 5, "key.targets", "no target \"db\" that speaks SSH");
    assert_mistake(read("[\"web2\"]"), 5, "key.targets", "no target \"web2\"");
}
