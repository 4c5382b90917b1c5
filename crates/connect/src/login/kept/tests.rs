use std::os::unix::fs::PermissionsExt;

use super::*;

fn account() -> Account {
    Account {
        issuer: "http://127.0.0.1:1".into(),
        client_id: "cli".into(),
        client_secret_file: None,
        ca_file: None,
        wanted: Wanted::default(),
    }
}

fn granted(lifetime: u64, refresh_token: Option<&str>) -> Granted {
    Granted {
        token: Token::new("access".into(), Some(Duration::from_secs(lifetime)), SystemTime::now()),
        refresh_token: refresh_token.map(|token| Secret::new(token.to_owned())),
        id_token: None,
    }
}

#[tokio::test]
async fn a_login_is_its_owners_and_lasts_as_long_as_its_token() {
    let dir = tempfile::tempdir().unwrap();
    let login = KeptLogin::at(dir.path().join("sluice/login.json"));
    assert!(login.token(SystemTime::now()).await.err().unwrap().to_string().contains("sluice login"));
    login.keep(account(), &granted(300, None)).unwrap();
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(login.path()), mode(login.path().parent().unwrap())), (0o600, 0o700));
    assert_eq!(login.token(SystemTime::now()).await.unwrap().expose(), "access");
    // Due, without anything to renew it by: it serves to its end.
    let later = |seconds| SystemTime::now() + Duration::from_secs(seconds);
    assert_eq!(login.token(later(250)).await.unwrap().expose(), "access");
    let over = login.token(later(301)).await.err().unwrap();
    assert!(over.to_string().contains("again"), "{over}");
    assert!(!over.is_transient());
}

#[tokio::test]
async fn a_login_that_others_can_read_is_none() {
    let dir = tempfile::tempdir().unwrap();
    let login = KeptLogin::at(dir.path().join("login.json"));
    login.keep(account(), &granted(300, None)).unwrap();
    std::fs::set_permissions(login.path(), std::fs::Permissions::from_mode(0o640)).unwrap();
    assert!(login.token(SystemTime::now()).await.err().unwrap().to_string().contains("open to others"));
}

#[tokio::test]
async fn signing_out_removes_the_login_also_when_the_issuer_cannot_be_told() {
    let dir = tempfile::tempdir().unwrap();
    let login = KeptLogin::at(dir.path().join("login.json"));
    login.keep(account(), &granted(300, Some("refresh"))).unwrap();
    assert!(login.forget().await.unwrap().is_err());
    assert!(!login.exists());
    assert!(login.forget().await.is_err());
}

#[test]
fn where_a_login_is_kept() {
    let path = |state: Option<&str>, home: Option<&str>| {
        KeptLogin::default_path(state.map(PathBuf::from), home.map(PathBuf::from))
    };
    assert_eq!(path(Some("/s"), Some("/h")), Some("/s/sluice/login.json".into()));
    assert_eq!(path(Some("relative"), Some("/h")), Some("/h/.local/state/sluice/login.json".into()));
    assert_eq!(path(None, None), None);
}
