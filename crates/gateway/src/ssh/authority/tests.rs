use std::io::Write;
use std::process::{Command, Stdio};

use ssh_key::HashAlg;

use super::*;

const NOW: Timestamp = Timestamp(1_795_406_400_000);

fn subject(id: &str) -> SubjectKey {
    SubjectKey { issuer: "corp".into(), id: id.into() }
}

fn wanted(subject: &SubjectKey) -> ForSession<'_> {
    ForSession {
        login: "backup",
        session: SessionId::from_bits(7),
        subject,
        source: None,
        lifetime: Duration::from_secs(300),
        terminal: false,
        forwarding: false,
    }
}

/// What `ssh-keygen -L` says of a certificate.
fn listed(certificate: &Certificate) -> String {
    let mut keygen = Command::new("ssh-keygen");
    let mut child =
        keygen.args(["-L", "-f", "-"]).env("TZ", "UTC").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
    let child = child.as_mut().unwrap();
    child.stdin.take().unwrap().write_all(certificate.to_openssh().unwrap().as_bytes()).unwrap();
    let mut listed = String::new();
    std::io::Read::read_to_string(child.stdout.as_mut().unwrap(), &mut listed).unwrap();
    assert!(child.wait().unwrap().success());
    listed
}

#[test]
fn a_session_has_a_certificate_for_one_login_and_for_minutes() {
    let authority = TargetAuthority(keys::new().unwrap());
    let subject = subject("backup-robot");
    let (key, certificate) = authority.for_session(&wanted(&subject), NOW).unwrap();
    assert_eq!(certificate.public_key(), key.public_key().key_data());
    assert_eq!(certificate.valid_principals(), ["backup"]);
    assert_eq!(certificate.valid_after(), NOW.seconds() - 60);
    assert_eq!(certificate.valid_before(), NOW.seconds() + 300);
    assert!(certificate.extensions().is_empty() && certificate.critical_options().is_empty());
    let own = authority.public_key().fingerprint(HashAlg::Sha256);
    assert!(certificate.validate_at(NOW.seconds(), &[own]).is_ok());
    let (other, again) = authority.for_session(&wanted(&subject), NOW).unwrap();
    assert_ne!(other.public_key(), key.public_key(), "no session has the key of another");
    assert_ne!(again.serial(), certificate.serial());
}

#[test]
fn openssh_reads_what_was_signed_and_no_more_is_permitted_than_was_asked_for() {
    let authority = TargetAuthority(keys::new().unwrap());
    let subject = subject("backup-robot");
    let all = ForSession {
        source: Some("::ffff:10.0.0.7".parse().unwrap()),
        terminal: true,
        forwarding: true,
        ..wanted(&subject)
    };
    let (_, certificate) = authority.for_session(&all, NOW).unwrap();
    let text = listed(&certificate);
    let after = |heading: &str| {
        let lines = text.lines().skip_while(|line| !line.contains(heading)).skip(1);
        let deeper = lines.take_while(|line| line.starts_with("                "));
        deeper.map(str::trim).collect::<Vec<_>>().join(", ")
    };
    assert!(text.contains("ssh-ed25519-cert-v01@openssh.com user certificate"), "{text}");
    let id = format!("Key ID: \"sluice session {} of corp|backup-robot\"", SessionId::from_bits(7));
    assert!(text.contains(&id), "{text}");
    assert!(text.contains(&format!("Serial: {}", certificate.serial())), "{text}");
    assert_eq!(after("Principals:"), "backup");
    assert_eq!(after("Critical Options:"), "source-address 10.0.0.7");
    assert_eq!(after("Extensions:"), "permit-agent-forwarding, permit-port-forwarding, permit-pty");
}

#[test]
fn a_name_forges_no_line_of_a_hosts_log() {
    let subject = subject("a\nAccepted publickey for root \u{202e}x\u{7f}");
    let id = key_id(&wanted(&subject));
    assert!(id.chars().all(|c| !c.is_control()) && !id.contains('\u{202e}'), "{id:?}");
    assert!(id.ends_with("of corp|a?Accepted?publickey?for?root??x?"), "{id}");
    assert!(key_id(&wanted(&super::tests::subject(&"x".repeat(5000)))).len() < 300);
}
