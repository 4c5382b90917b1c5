use super::*;
use crate::Sqlite;

const NOW: Timestamp = Timestamp(1_795_406_400_000);

fn secret(text: &str) -> Secret<String> {
    Secret::new(text.to_owned())
}

fn key(byte: u8) -> VaultKey {
    VaultKey(Secret::new([byte; 32]))
}

fn error<T>(result: Result<T, VaultError>) -> VaultError {
    result.map(|_| ()).unwrap_err()
}

#[test]
fn what_is_sealed_opens_again_also_after_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let vault = Vault::open(Arc::new(Sqlite::open(directory.path()).unwrap()), &key(1), "uid:7", NOW).unwrap();
    vault.set("payments", &secret("hunter2-canary-3f9a"), NOW).unwrap();
    vault.set("empty", &secret(""), NOW).unwrap();
    drop(vault);
    for file in std::fs::read_dir(directory.path()).unwrap() {
        let bytes = std::fs::read(file.unwrap().path()).unwrap();
        assert!(!bytes.windows(19).any(|window| window == b"hunter2-canary-3f9a"));
    }
    let vault = Vault::open(Arc::new(Sqlite::open(directory.path()).unwrap()), &key(1), "uid:7", NOW).unwrap();
    assert_eq!(vault.secret("payments").unwrap().expose(), "hunter2-canary-3f9a");
    assert_eq!(vault.secret("empty").unwrap().expose(), "");
    let later = NOW.plus_millis(5);
    vault.set("payments", &secret("new"), later).unwrap();
    assert_eq!(vault.secret("payments").unwrap().expose(), "new");
    let listed = vault.list().unwrap();
    assert_eq!(listed[1], SecretInfo { name: String::from("payments"), created_at: NOW, updated_at: later });
    assert!(vault.remove("payments", NOW).unwrap());
    assert!(!vault.remove("payments", NOW).unwrap());
    assert!(matches!(error(vault.secret("payments")), VaultError::NotFound(_)));
}

#[test]
fn equal_secrets_are_sealed_differently() {
    let directory = tempfile::tempdir().unwrap();
    let state: Arc<dyn State> = Arc::new(Sqlite::open(directory.path()).unwrap());
    let vault = Vault::open(Arc::clone(&state), &key(1), "uid:7", NOW).unwrap();
    vault.set("a", &secret("same"), NOW).unwrap();
    let first = state.sealed("a").unwrap();
    vault.set("a", &secret("same"), NOW).unwrap();
    assert_ne!(first, state.sealed("a").unwrap());
}

#[test]
fn another_key_is_told_at_once() {
    let directory = tempfile::tempdir().unwrap();
    let state: Arc<dyn State> = Arc::new(Sqlite::open(directory.path()).unwrap());
    Vault::open(Arc::clone(&state), &key(1), "uid:7", NOW).unwrap().set("a", &secret("x"), NOW).unwrap();
    assert!(matches!(error(Vault::open(Arc::clone(&state), &key(2), "uid:7", NOW)), VaultError::WrongKey));
    assert!(Vault::open(state, &key(1), "uid:7", NOW).is_ok());
}

#[test]
fn a_changed_moved_or_cut_row_does_not_open() {
    let directory = tempfile::tempdir().unwrap();
    let state: Arc<dyn State> = Arc::new(Sqlite::open(directory.path()).unwrap());
    let vault = Vault::open(Arc::clone(&state), &key(1), "uid:7", NOW).unwrap();
    vault.set("a", &secret("value of a"), NOW).unwrap();
    let sealed = state.sealed("a").unwrap().unwrap();
    let mut wrong: Vec<SealedSecret> = (0..sealed.0.len())
        .map(|index| {
            let mut changed = sealed.clone();
            changed.0[index] ^= 1;
            changed
        })
        .collect();
    wrong.extend((0..sealed.0.len()).map(|length| SealedSecret(sealed.0[..length].to_vec())));
    for row in wrong {
        state.put_sealed("a", &row, "uid:7", NOW).unwrap();
        assert!(matches!(error(vault.secret("a")), VaultError::Damaged(_)));
    }
    state.put_sealed("b", &sealed, "uid:7", NOW).unwrap();
    assert!(matches!(error(vault.secret("b")), VaultError::Damaged(_)));
}

#[test]
fn keys_are_read_from_hexadecimal_and_base_64() {
    let hex = "00112233445566778899aabbccddeeff00112233445566778899AABBCCDDEEFF";
    let base64 = "ABEiM0RVZneImaq7zN3u/wARIjNEVWZ3iJmqu8zd7v8=";
    let text = |text: &str| VaultKey::parse(text).unwrap().to_base64().expose().clone();
    assert_eq!([text(hex), text(&format!(" {base64}\n"))], [base64, base64]);
    let generated = VaultKey::generate().unwrap().to_base64();
    assert_eq!(text(generated.expose()), *generated.expose());
    for wrong in ["", "00", &hex[1..], &format!("{hex}0"), &hex.replace('0', "g"), "ABEiM0RVZneImaq7zN3u/w=="] {
        assert!(matches!(error(VaultKey::parse(wrong)), VaultError::InvalidKey), "{wrong}");
    }
}

#[test]
fn names_are_bounded() {
    let directory = tempfile::tempdir().unwrap();
    let vault = Vault::open(Arc::new(Sqlite::open(directory.path()).unwrap()), &key(1), "uid:7", NOW).unwrap();
    for name in ["", "a\nb", &"x".repeat(201)] {
        assert!(matches!(error(vault.set(name, &secret("x"), NOW)), VaultError::InvalidName));
    }
}

#[test]
fn every_change_is_noted_with_it_until_it_is_recorded() {
    let directory = tempfile::tempdir().unwrap();
    let state: Arc<dyn State> = Arc::new(Sqlite::open(directory.path()).unwrap());
    let vault = Vault::open(Arc::clone(&state), &key(1), "uid:7", NOW).unwrap();
    vault.set("a", &secret("x"), NOW).unwrap();
    vault.set("a", &secret("y"), NOW).unwrap();
    assert!(vault.set("", &secret("y"), NOW).is_err());
    assert!(vault.remove("a", NOW).unwrap() && !vault.remove("a", NOW).unwrap());
    let changes = state.vault_changes().unwrap();
    let told: Vec<_> = changes.iter().map(|change| (&*change.action, &*change.name)).collect();
    assert_eq!(told, [("vault.make", ""), ("secret.set", "a"), ("secret.set", "a"), ("secret.remove", "a")]);
    assert!(changes.iter().all(|change| change.by == "uid:7" && change.at == NOW));
    state.vault_changes_recorded(changes[1].number).unwrap();
    assert_eq!(state.vault_changes().unwrap(), changes[2..]);
    state.vault_changes_recorded(changes[3].number).unwrap();
    // A number is never given twice: what was recorded is not taken for what comes.
    vault.set("a", &secret("z"), NOW).unwrap();
    assert_eq!(state.vault_changes().unwrap()[0].number, changes[3].number + 1);
}
