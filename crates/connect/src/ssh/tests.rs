use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use ssh_key::PublicKey;
use ssh_key::certificate::{Builder, CertType};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::*;
use crate::source::Source;

fn wanted(dir: &Path, endpoint: String) -> Wanted {
    let known_hosts = dir.join("known_hosts");
    std::fs::write(&known_hosts, "").unwrap();
    Wanted {
        dir: dir.join("ssh"),
        host: "sluice.example.com".to_owned(),
        port: 2222,
        known_hosts,
        targets: vec!["web1".to_owned(), "web2".to_owned()],
        endpoint,
        trust: Trust::default(),
    }
}

fn certificate(of: &PublicKey) -> String {
    let authority = new_key().unwrap();
    let mut builder = Builder::new([1; 16], of.key_data().clone(), 0, u64::MAX).unwrap();
    builder.cert_type(CertType::User).unwrap().valid_principal("sluice:caller").unwrap();
    builder.sign(&authority).unwrap().to_openssh().unwrap()
}

/// A token endpoint that gives a certificate, which lasts so long, of what `whose` makes of the key that it is asked for.
async fn endpoint(lasts: u64, whose: fn(PublicKey) -> PublicKey) -> (String, tokio::task::JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/token", listener.local_addr().unwrap());
    let serving = tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut asked = Vec::new();
            let body = loop {
                assert_ne!(stream.read_buf(&mut asked).await.unwrap(), 0);
                let text = String::from_utf8(asked.clone()).unwrap();
                let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
                let length = head.to_ascii_lowercase().lines().find_map(|line| {
                    line.strip_prefix("content-length: ").map(|length| length.parse::<usize>().unwrap())
                });
                if body.len() >= length.unwrap() {
                    break body.to_owned();
                }
            };
            let fields: Vec<(String, String)> = form_urlencoded::parse(body.as_bytes()).into_owned().collect();
            let key = fields.iter().find(|(name, _)| name == "public_key").unwrap();
            let line = certificate(&whose(PublicKey::from_openssh(&key.1).unwrap()));
            let body = format!("{{\"access_token\":\"{line}\",\"expires_in\":{lasts}}}");
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
            stream.write_all(format!("{head}{body}").as_bytes()).await.unwrap();
        }
    });
    (url, serving)
}

async fn keeper() -> Keeper {
    Keeper::start(Source::Value(Secret::new("a.b.c".to_owned())), Duration::from_secs(1)).await.unwrap()
}

/// What ssh would do for this host, by this configuration.
fn resolved(config: &Path, host: &str) -> String {
    let output = Command::new("ssh").arg("-G").arg("-F").arg(config).arg(host).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[tokio::test]
async fn ssh_itself_reads_what_is_written() {
    let dir = tempfile::tempdir().unwrap();
    let (url, serving) = endpoint(600, |key| key).await;
    let keeper = keeper().await;
    let written = Written::begin(wanted(dir.path(), url), &keeper).await.unwrap();
    let text = resolved(&written.config(), "web1");
    let ssh = dir.path().join("ssh");
    for line in [
        "hostname sluice.example.com".to_owned(),
        "port 2222".to_owned(),
        "user web1".to_owned(),
        "identitiesonly yes".to_owned(),
        "stricthostkeychecking true".to_owned(),
        format!("identityfile {}", ssh.join("key").display()),
        format!("certificatefile {}", ssh.join("key-cert.pub").display()),
        format!("userknownhostsfile {}", dir.path().join("known_hosts").display()),
    ] {
        assert!(text.lines().any(|found| found == line), "{line}\n{text}");
    }
    assert!(resolved(&written.config(), "elsewhere").contains("hostname elsewhere"));
    for name in ["key", "key-cert.pub", "config"] {
        assert_eq!(std::fs::metadata(ssh.join(name)).unwrap().permissions().mode() & 0o777, 0o600, "{name}");
    }
    assert_eq!(std::fs::metadata(&ssh).unwrap().permissions().mode() & 0o777, 0o700);
    let listed = Command::new("ssh-keygen").args(["-L", "-f"]).arg(ssh.join("key-cert.pub")).output().unwrap();
    let public = Command::new("ssh-keygen").args(["-l", "-f"]).arg(ssh.join("key")).output().unwrap();
    let public = String::from_utf8(public.stdout).unwrap();
    let fingerprint = public.split(' ').nth(1).unwrap();
    assert!(String::from_utf8_lossy(&listed.stdout).contains(fingerprint), "the certificate is of the key: {public}");
    serving.abort();
}

#[tokio::test]
async fn a_certificate_is_renewed_before_it_ends_and_nothing_stays_behind() {
    let dir = tempfile::tempdir().unwrap();
    let (url, serving) = endpoint(2, |key| key).await;
    let keeper = keeper().await;
    let written = Written::begin(wanted(dir.path(), url), &keeper).await.unwrap();
    let file = dir.path().join("ssh/key-cert.pub");
    let first = std::fs::read(&file).unwrap();
    let stop = CancellationToken::new();
    let changes = async {
        let until = tokio::time::Instant::now() + Duration::from_secs(20);
        while std::fs::read(&file).unwrap() == first {
            assert!(tokio::time::Instant::now() < until, "it is not renewed");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        stop.cancel();
    };
    tokio::join!(written.keep(&keeper, stop.clone()), changes);
    assert!(!file.exists() && !dir.path().join("ssh/key").exists());
    serving.abort();
}

#[tokio::test]
async fn what_is_no_certificate_of_this_key_is_not_written() {
    let dir = tempfile::tempdir().unwrap();
    let (url, serving) = endpoint(600, |_| new_key().unwrap().public_key().clone()).await;
    let failed = Written::begin(wanted(dir.path(), url), &keeper().await).await.err().unwrap();
    assert!(matches!(failed, SshError::Answer(_)), "{failed}");
    assert!(!dir.path().join("ssh/key-cert.pub").exists() && !dir.path().join("ssh/config").exists());
    serving.abort();
}

#[test]
fn nothing_is_written_that_ssh_would_read_otherwise() {
    let dir = tempfile::tempdir().unwrap();
    let with = |change: &dyn Fn(&mut Wanted)| {
        let mut wanted = wanted(dir.path(), String::new());
        change(&mut wanted);
        config(&wanted)
    };
    assert!(with(&|_| {}).is_ok());
    for target in ["*", "a b", "!web1", "-F", "", "web1\nProxyCommand id", "we?1", "a,b", "deploy%web1"] {
        assert!(
            matches!(with(&|wanted| wanted.targets.push(target.to_owned())), Err(SshError::Unwritable(_))),
            "{target}"
        );
    }
    assert!(with(&|wanted| wanted.host = "h\nProxyCommand id".to_owned()).is_err());
    for path in ["/a\"b", "/a%hb", "/a${HOME}", "/a\nb"] {
        assert!(with(&|wanted| wanted.known_hosts = path.into()).is_err(), "{path}");
    }
    assert!(with(&|wanted| wanted.known_hosts = "/a b/known hosts".into()).is_ok());
}
