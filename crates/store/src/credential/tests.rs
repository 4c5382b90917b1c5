use std::fs;
use std::path::PathBuf;

use super::*;

fn nothing(_: &str) -> Option<Secret<String>> {
    None
}

fn file(text: impl AsRef<[u8]>, mode: u32) -> (tempfile::TempDir, CredentialSource) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("password");
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
    (dir, CredentialSource::File(path))
}

fn read(source: &CredentialSource) -> Result<String, CredentialError> {
    resolve(source, &nothing).map(|secret| secret.expose().clone())
}

#[test]
fn a_file_is_read_without_its_last_newline() {
    for (text, expected) in [("hunter2\n", "hunter2"), ("hunter2\r\n", "hunter2"), ("a b\n\n", "a b\n"), ("x", "x")] {
        for mode in [0o600, 0o400, 0o640] {
            let (_dir, source) = file(text, mode);
            assert_eq!(read(&source).unwrap(), expected);
        }
    }
}

#[test]
fn a_file_that_others_can_read_is_refused() {
    for mode in [0o644, 0o604, 0o620, 0o660, 0o601, 0o666] {
        let (_dir, source) = file("hunter2", mode);
        let error = read(&source).unwrap_err();
        assert_eq!(error, CredentialError::TooOpen(source));
        assert!(!error.to_string().contains("hunter2") && error.to_string().contains("chmod 600"));
    }
}

#[test]
fn what_cannot_be_a_secret_is_refused() {
    for bytes in [&b""[..], b"\n", b"\r\n", b"a\0b", b"\xff\xfe", &[b'x'; MAX_SECRET + 1], &[b'x'; MAX_SECRET + 9]] {
        let (_dir, source) = file(bytes, 0o600);
        assert_eq!(read(&source).unwrap_err(), CredentialError::Unusable(source));
    }
    let (_dir, longest) = file([&[b'x'; MAX_SECRET][..], b"\r\n"].concat(), 0o600);
    assert_eq!(read(&longest).unwrap().len(), MAX_SECRET);
    for path in ["/nonexistent/password", "/", "/dev/null"] {
        let source = CredentialSource::File(PathBuf::from(path));
        assert!(matches!(read(&source), Err(CredentialError::Unreadable { .. })), "{path}");
    }
}

#[test]
fn the_environment_and_the_vault_are_asked_by_name() {
    // Cargo sets it for every test.
    assert_eq!(read(&CredentialSource::Env("CARGO_PKG_NAME".into())).unwrap(), "store");
    let unset = CredentialSource::Env("SLUICE_TEST_NOT_SET".into());
    assert_eq!(read(&unset).unwrap_err(), CredentialError::NotSet(unset));
    let source = CredentialSource::Vault("payments".into());
    let vault = |name: &str| (name == "payments").then(|| Secret::new(String::from("hunter2")));
    assert_eq!(resolve(&source, &vault).unwrap().expose(), "hunter2");
    assert_eq!(read(&source).unwrap_err(), CredentialError::NotInVault(source.clone()));
    assert_eq!(source.to_string(), "vault:payments");
}
