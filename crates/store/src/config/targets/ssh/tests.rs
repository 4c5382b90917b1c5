use std::path::Path;

use super::super::super::public_key::tests::{ECDSA, ED25519};
use super::super::super::{ConfigError, Speaks, TargetConfig, parse_targets};
use super::*;

fn targets(text: &str) -> Result<Vec<TargetConfig>, Vec<ConfigError>> {
    parse_targets(text, Path::new("/r/targets.toml"))
}

/// A target of six lines, in which `from` stands as `to`.
fn web1(from: &str, to: &str) -> String {
    let text = format!(
        "[web1]\nprotocol = \"ssh\"\naddress = \"web1:22\"\nlogins = [\"deploy\", \"backup\"]\n\
         host_keys = [\"{ED25519}\"]\ncredential = {{ certificate = true }}\n"
    );
    assert!(text.contains(from), "{from}");
    text.replace(from, to)
}

fn ssh(text: &str) -> SshTarget {
    let read = targets(text).unwrap_or_else(|errors| panic!("{text}\n{errors:?}"));
    match &read[0].speaks {
        Speaks::Ssh(ssh) => (**ssh).clone(),
        Speaks::Postgres(_) | Speaks::Http(_) => panic!("{text}"),
    }
}

#[track_caller]
fn assert_mistake(text: &str, line: usize, key: &str, says: &str) {
    let errors = targets(text).unwrap_err();
    let found: Vec<_> = errors.iter().map(|error| (error.line, error.key.as_str())).collect();
    assert_eq!(found, [(Some(line), key)], "{errors:?}");
    assert!(errors[0].to_string().contains(says), "{}", errors[0]);
}

#[test]
fn a_host_is_read_as_meant() {
    let read = ssh(&web1("", ""));
    assert_eq!(read.logins, [Arc::from("deploy"), Arc::from("backup")]);
    assert_eq!((read.host_keys.len(), read.host_authorities.len()), (1, 0));
    assert_eq!(read.credential, SshCredential::Certificate { lifetime: Duration::from_secs(300) });
    assert_eq!((read.files, read.max_channels), (FileTape::Digests, 100));
    let more = format!("files = \"full\"\nmax_channels = 7\nhost_authorities = [\"{ECDSA}\"]\n");
    let read = ssh(&(web1(&format!("host_keys = [\"{ED25519}\"]\n"), "") + &more));
    assert_eq!((read.host_keys.len(), read.host_authorities.len()), (0, 1));
    assert_eq!((read.files, read.max_channels), (FileTape::Full, 7));
    let target = &targets(&web1("", "")).unwrap()[0];
    assert_eq!((&*target.target.protocol, &*target.host, target.port), ("ssh", "web1", 22));
    assert!(target.postgres().is_none() && target.password().is_none());
}

#[test]
fn every_way_to_log_in_is_read_as_meant() {
    let read = |credential: &str| ssh(&web1("{ certificate = true }", credential)).credential;
    let vault = |name: &str| CredentialSource::Vault(name.into());
    assert_eq!(
        read("{ certificate = true, lifetime = \"1m\" }"),
        SshCredential::Certificate { lifetime: Duration::from_secs(60) }
    );
    assert_eq!(
        read("{ private_key = { vault = \"web1\" } }"),
        SshCredential::PrivateKey { key: vault("web1"), passphrase: None }
    );
    assert_eq!(
        read("{ private_key = { vault = \"web1\" }, passphrase = { vault = \"words\" } }"),
        SshCredential::PrivateKey { key: vault("web1"), passphrase: Some(vault("words")) }
    );
    assert_eq!(
        read("{ password = { env = \"P\" } }"),
        SshCredential::Password(PasswordSource::Stored(CredentialSource::Env("P".into())))
    );
}

#[test]
fn mistakes_of_a_credential_are_found_and_show_no_secret() {
    for (credential, key, says) in [
        ("{ certificate = false }", "web1.credential.certificate", "only be true"),
        ("{}", "web1.credential", "no way to log in"),
        ("{ certificate = true, password = { env = \"P\" } }", "web1.credential", "several ways"),
        ("{ private_key = \"hunter2\" }", "web1.credential.private_key", "must not stand"),
        ("{ private_key = {} }", "web1.credential.private_key", "no source"),
        ("{ private_key = { env = \"P\" }, passphrase = \"hunter2\" }", "web1.credential.passphrase", "must not stand"),
        ("{ passphrase = { env = \"P\" }, certificate = true }", "web1.credential.passphrase", "no such setting"),
        ("{ password = { env = \"P\" }, lifetime = \"1m\" }", "web1.credential.lifetime", "no such setting"),
        ("{ certificate = true, lifetime = \"1d\" }", "web1.credential.lifetime", "a duration"),
        ("{ user = \"x\", certificate = true }", "web1.credential.user", "no such setting"),
    ] {
        let text = web1("{ certificate = true }", credential);
        assert_mistake(&text, 6, key, says);
        assert!(!format!("{:?}", targets(&text)).contains("hunter2"), "{credential}");
    }
    assert_mistake(&web1("credential = { certificate = true }\n", ""), 1, "web1.credential", "absent");
}

#[test]
fn a_host_that_nobody_could_tell_from_another_is_refused() {
    let keys = format!("host_keys = [\"{ED25519}\"]\n");
    assert_mistake(&web1(&keys, ""), 1, "web1.host_keys", "absent");
    assert_mistake(&web1(&keys, "host_keys = []\n"), 5, "web1.host_keys", "empty");
    assert_mistake(&web1(&keys, "host_authorities = []\n"), 5, "web1.host_authorities", "empty");
    assert_mistake(&web1(&keys, "host_keys = [\"ssh-ed25519 AAAA\"]\n"), 5, "web1.host_keys", "key 1");
    let twice = format!("host_keys = [\"{ED25519}\", \"{ED25519} again\"]\n");
    assert_mistake(&web1(&keys, &twice), 5, "web1.host_keys", "key 2 is there twice");
}

#[test]
fn mistakes_of_a_host_are_found_with_their_lines() {
    let logins = "[\"deploy\", \"backup\"]";
    for (wrong, says) in [
        ("[]", "empty"),
        ("[\"a\", \"a\"]", "twice"),
        ("[\"a%b\"]", "no name"),
        ("[\"-a\"]", "no name"),
        ("[\"a@b\"]", "no name"),
        ("[\"a b\"]", "no name"),
        ("\"a\"", "list of texts"),
    ] {
        assert_mistake(&web1(logins, wrong), 4, "web1.logins", says);
    }
    assert_mistake(&web1(&format!("logins = {logins}\n"), ""), 1, "web1.logins", "absent");
    assert_mistake(&(web1("", "") + "files = \"some\"\n"), 7, "web1.files", "digests");
    assert_mistake(&(web1("", "") + "max_channels = 0\n"), 7, "web1.max_channels", "whole number");
    assert_mistake(&(web1("", "") + "databases = [\"a\"]\n"), 7, "web1.databases", "no such setting");
    assert_mistake(&(web1("", "") + "tls = \"off\"\n"), 7, "web1.tls", "no such setting");
}

#[test]
fn the_protocol_says_which_settings_there_are() {
    assert_mistake(&web1("\"ssh\"", "\"telnet\""), 2, "web1.protocol", "\"postgres\", \"ssh\"");
    assert_mistake(&web1("protocol = \"ssh\"\n", ""), 1, "web1.protocol", "absent");
    let postgres = targets(&web1("\"ssh\"", "\"postgres\"")).unwrap_err();
    let keys: Vec<_> = postgres.iter().map(|error| error.key.as_str()).collect();
    assert!(keys.contains(&"web1.logins") && keys.contains(&"web1.databases"), "{keys:?}");
}
