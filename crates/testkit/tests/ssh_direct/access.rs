//! Who gets in, with what, and which server is believed.

use anyhow::Result;
use testkit::ssh::keys::{Authority, Certificate, Key};
use testkit::ssh::{Client, Credential, Endpoint};
use testkit::sshd::{Login, Options, Sshd};

use crate::support::ground;

/// A server that believes an authority about users, with an account `deploy` that asks for the principal `deployer`.
struct Certified {
    authority: Authority,
    key: Key,
    sshd: Sshd,
    _folder: tempfile::TempDir,
}

fn certified() -> Result<Certified> {
    let folder = tempfile::tempdir()?;
    let (authority, key) = (Authority::generate(folder.path(), "ca")?, Key::generate(folder.path(), "user")?);
    let deploy = Login { principals: vec!["deployer".to_owned()], ..Login::new("deploy") };
    let sshd = Sshd::start(&Options {
        logins: vec![Login::new("root"), deploy],
        user_authority: Some(authority.key().public()),
        host_authority: Some(Authority::generate(folder.path(), "hosts")?),
        ..Options::default()
    })?;
    Ok(Certified { authority, key, sshd, _folder: folder })
}

impl Certified {
    fn client(&self, login: &str, certificate: &Certificate<'_>) -> Result<Client> {
        let certificate = self.authority.certify_user(&self.key, certificate)?;
        Client::new(&self.sshd.endpoint(login, Credential::Certificate { key: self.key.private(), certificate })?)
    }

    fn is_let_in(&self, login: &str, certificate: &Certificate<'_>) -> Result<bool> {
        let output = self.client(login, certificate)?.exec("echo in")?;
        assert!(output.status.success() || output.stderr.contains("Permission denied (publickey)"), "{output:?}");
        Ok(output.status.success())
    }
}

#[test]
fn a_certificate_is_for_its_principals_and_its_time() -> Result<()> {
    let certified = certified()?;
    assert!(certified.is_let_in("deploy", &Certificate { serial: 42, ..Certificate::new("one", &["x", "deployer"]) })?);
    assert!(certified.is_let_in("root", &Certificate::new("two", &["root"]))?);
    assert!(!certified.is_let_in("deploy", &Certificate::new("wrong", &["deploy"]))?);
    assert!(!certified.is_let_in("root", &Certificate { validity: "-2h:-1h", ..Certificate::new("over", &["root"]) })?);
    assert!(
        !certified.is_let_in("root", &Certificate { validity: "+1h:+2h", ..Certificate::new("early", &["root"]) })?
    );
    let elsewhere = Certificate { options: &["source-address=192.0.2.1"], ..Certificate::new("far", &["root"]) };
    assert!(!certified.is_let_in("root", &elsewhere)?);
    let accepted = certified.sshd.accepted();
    let (fingerprint, ca) = (certified.key.fingerprint()?, certified.authority.key().fingerprint()?);
    let shown = format!("ED25519-CERT {fingerprint} ID one (serial 42) CA ED25519 {ca}");
    assert_eq!(accepted.len(), 2, "{accepted:?}");
    assert_eq!(accepted[0].key.as_ref(), Some(&shown));
    assert_eq!((&*accepted[0].method, &*accepted[0].login, &*accepted[1].login), ("publickey", "deploy", "root"));
    Ok(())
}

#[test]
fn a_certificate_can_force_its_line_and_forbid_forwarding() -> Result<()> {
    let certified = certified()?;
    let options = ["clear", "force-command=echo forced"];
    let client = certified.client("root", &Certificate { options: &options, ..Certificate::new("one", &["root"]) })?;
    assert_eq!(client.exec("echo asked")?.success()?, "forced\n");
    let output = client.ssh(&["-W", "127.0.0.1:1", "target"], b"")?;
    assert!(output.stderr.contains("administratively prohibited"), "{}", output.stderr);
    assert_eq!(certified.sshd.executed()?[0].request, testkit::sshd::Request::exec("echo forced"));
    Ok(())
}

#[test]
fn an_account_has_a_password_only_where_it_was_given_one() -> Result<()> {
    let deploy = Login { password: Some("open sesame".to_owned()), ..Login::new("deploy") };
    let sshd = Sshd::start(&Options { logins: vec![Login::new("root"), deploy], ..Options::default() })?;
    let client =
        |login: &str, password: &str| Client::new(&sshd.endpoint(login, Credential::Password(password.to_owned()))?);
    let right = client("deploy", "open sesame")?;
    assert_eq!(right.exec("echo $USER")?.success()?, "deploy\n");
    assert_eq!(right.prompts(), ["deploy@127.0.0.1's password: "]);
    for (login, password) in [("deploy", "open"), ("root", "open sesame"), ("root", "*"), ("nobody", "open sesame")] {
        let output = client(login, password)?.exec("echo in")?;
        assert!(
            output.status.code() == Some(255) && output.stderr.contains("Permission denied"),
            "{login}: {output:?}"
        );
    }
    assert_eq!(sshd.accepted().iter().map(|accepted| &*accepted.method).collect::<Vec<_>>(), ["password"]);
    Ok(())
}

#[test]
fn a_server_with_another_key_is_not_believed() -> Result<()> {
    let (ground, other) = (ground()?, ground()?);
    let lied = Endpoint {
        known_hosts: other.sshd.host_key().known_hosts_line("127.0.0.1", ground.sshd.port())?,
        ..ground.endpoint
    };
    let output = Client::new(&lied)?.exec("echo in")?;
    assert!(output.status.code() == Some(255) && output.stderr.contains("IDENTIFICATION HAS CHANGED"), "{output:?}");
    assert_eq!(ground.sshd.executed()?, []);
    let unknown = Endpoint { known_hosts: String::new(), ..lied };
    let output = Client::new(&unknown)?.exec("echo in")?;
    assert!(output.stderr.contains("Host key verification failed"), "{output:?}");
    Ok(())
}

#[test]
fn a_host_certificate_is_believed_for_its_authority() -> Result<()> {
    let certified = certified()?;
    let certificate = certified.authority.certify_user(&certified.key, &Certificate::new("one", &["root"]))?;
    let credential = Credential::Certificate { key: certified.key.private(), certificate };
    let endpoint = certified.sshd.endpoint("root", credential)?;
    assert!(endpoint.known_hosts.starts_with("@cert-authority "));
    assert!(Client::new(&endpoint)?.exec("true")?.status.success());
    let wrong = certified.authority.known_hosts_line("127.0.0.1", endpoint.port)?;
    let output = Client::new(&Endpoint { known_hosts: wrong, ..endpoint })?.exec("true")?;
    assert!(output.stderr.contains("Host key verification failed"), "{output:?}");
    Ok(())
}
