use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use ssh_key::PublicKey;

use super::*;

/// What `ssh-keygen` writes with these arguments.
fn keygen(arguments: &[&str]) -> Secret<String> {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("key");
    let status = Command::new("ssh-keygen").args(["-q", "-f"]).arg(&file).args(arguments).status().unwrap();
    assert!(status.success(), "{arguments:?}");
    Secret::new(fs::read_to_string(&file).unwrap())
}

#[test]
fn a_key_of_ones_own_is_made_once_and_is_nobody_elses() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("keys/ssh_host");
    let made: Vec<_> = std::thread::scope(|scope| {
        let making: Vec<_> = (0..4).map(|_| scope.spawn(|| own(&path).unwrap())).collect();
        making.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    for key in &made {
        assert_eq!(key.public_key().key_data(), made[0].public_key().key_data());
    }
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(fs::read_dir(dir.path().join("keys")).unwrap().count(), 1);
    let printed = Command::new("ssh-keygen").args(["-y", "-f"]).arg(&path).output().unwrap();
    let public = PublicKey::from_openssh(std::str::from_utf8(&printed.stdout).unwrap()).unwrap();
    assert_eq!(public.key_data(), made[0].public_key().key_data());
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    assert!(own(&path).unwrap_err().to_string().contains("open to others"));
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    fs::write(&path, "no key").unwrap();
    assert!(own(&path).is_err(), "what is there is not written over");
}

#[test]
fn keys_are_read_in_the_form_that_ssh_keygen_writes() {
    let words = Secret::new("words".to_owned());
    let plain = keygen(&["-t", "ed25519", "-N", ""]);
    assert!(parse(&plain, None).is_ok() && parse(&plain, Some(&words)).is_ok());
    // The vault and files keep no newline at the end.
    assert!(parse(&Secret::new(plain.expose().trim_end().to_owned()), None).is_ok());
    assert!(parse(&keygen(&["-t", "ecdsa", "-N", ""]), None).is_ok());
    assert!(parse(&keygen(&["-t", "rsa", "-b", "2048", "-N", ""]), None).is_ok());
    let encrypted = keygen(&["-t", "ed25519", "-N", "words", "-a", "1"]);
    assert!(parse(&encrypted, Some(&words)).is_ok());
    assert_eq!(parse(&encrypted, None).unwrap_err(), KeyError::Encrypted);
    let other = Secret::new("other".to_owned());
    assert_eq!(parse(&encrypted, Some(&other)).unwrap_err(), KeyError::Passphrase);
}

#[test]
fn what_is_no_usable_key_is_refused_without_being_shown() {
    assert_eq!(parse(&keygen(&["-t", "rsa", "-b", "1024", "-N", ""]), None).unwrap_err(), KeyError::Weak);
    assert_eq!(parse(&keygen(&["-t", "rsa", "-m", "PEM", "-N", ""]), None).unwrap_err(), KeyError::Form);
    for wrong in ["hunter2", "", "-----BEGIN OPENSSH PRIVATE KEY-----\nhunter2\n-----END OPENSSH PRIVATE KEY-----\n"] {
        let error = parse(&Secret::new(wrong.to_owned()), None).unwrap_err();
        assert_eq!(error, KeyError::Form);
        assert!(!error.to_string().contains("hunter2"));
    }
}
