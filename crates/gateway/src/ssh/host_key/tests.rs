use std::fs;
use std::process::Command;
use std::time::Duration;

use super::*;

fn listen(host_key: Option<&Path>, host_certificate: Option<&Path>) -> SshListen {
    SshListen {
        address: "127.0.0.1:2222".parse().unwrap(),
        host_key: host_key.map(Path::to_owned),
        host_certificate: host_certificate.map(Path::to_owned),
        max_session: Duration::from_secs(60),
    }
}

fn keygen(arguments: &[&str], file: &Path) {
    assert!(Command::new("ssh-keygen").arg("-q").args(arguments).arg(file).status().unwrap().success());
}

#[test]
fn sluice_keeps_its_own_host_key() {
    let dir = tempfile::tempdir().unwrap();
    let layout = Layout::of(dir.path());
    let (first, second) = (HostKey::open(&listen(None, None), &layout), HostKey::open(&listen(None, None), &layout));
    let (first, second) = (first.unwrap(), second.unwrap());
    assert_eq!(first.key().public_key().key_data(), second.key().public_key().key_data());
    assert!(first.certificate().is_none());
    let line = first.known_hosts("sluice.example.com", 2222);
    assert!(line.starts_with("[sluice.example.com]:2222 ssh-ed25519 AAAA") && line.lines().count() == 1, "{line}");
    assert!(first.known_hosts("sluice.example.com", 22).starts_with("sluice.example.com ssh-ed25519 "));
    // As ssh itself finds it.
    let file = dir.path().join("known_hosts");
    fs::write(&file, line).unwrap();
    let found = Command::new("ssh-keygen").args(["-F", "[sluice.example.com]:2222", "-f"]).arg(&file).status();
    assert!(found.unwrap().success());
}

#[test]
fn a_certificate_is_one_of_the_host_key() {
    let dir = tempfile::tempdir().unwrap();
    let layout = Layout::of(dir.path());
    let [host, authority, other] = ["host", "authority", "other"].map(|name| dir.path().join(name));
    for file in [&host, &authority, &other] {
        keygen(&["-t", "ed25519", "-N", "", "-f"], file);
    }
    let sign = |more: &[&str], key: &str| {
        let arguments =
            [&["-s", authority.to_str().unwrap(), "-I", "sluice", "-n", "sluice.example.com"], more].concat();
        keygen(&arguments, &dir.path().join(format!("{key}.pub")));
        dir.path().join(format!("{key}-cert.pub"))
    };
    let open = |certificate: &Path| HostKey::open(&listen(Some(&host), Some(certificate)), &layout);
    let opened = open(&sign(&["-h"], "host")).unwrap();
    let lines = opened.known_hosts("sluice.example.com", 22);
    let authority_line = fs::read_to_string(dir.path().join("authority.pub")).unwrap();
    let authority_key = authority_line.split(' ').nth(1).unwrap();
    assert_eq!(lines.lines().count(), 2, "{lines}");
    assert!(lines.contains(&format!("@cert-authority sluice.example.com ssh-ed25519 {authority_key}\n")), "{lines}");
    assert!(open(&sign(&[], "host")).unwrap_err().to_string().contains("no certificate of a host"));
    assert!(open(&sign(&["-h"], "other")).unwrap_err().to_string().contains("another key"));
    assert!(open(&dir.path().join("host.pub")).unwrap_err().to_string().contains("no certificate"));
}

#[test]
fn a_host_key_that_others_can_read_is_refused() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let host = dir.path().join("host");
    keygen(&["-t", "ed25519", "-N", "", "-f"], &host);
    let open = || HostKey::open(&listen(Some(&host), None), &Layout::of(dir.path()));
    assert!(open().is_ok());
    fs::set_permissions(&host, fs::Permissions::from_mode(0o604)).unwrap();
    assert!(open().unwrap_err().to_string().contains("open to others"));
    fs::remove_file(&host).unwrap();
    assert!(open().is_err(), "a key that was named is not made");
}
