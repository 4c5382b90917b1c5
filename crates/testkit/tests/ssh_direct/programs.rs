//! The clients that are not OpenSSH's.

use std::fs;

use anyhow::{Context, Result};
use serde_json::{Value, json};
use testkit::ssh::keys::{Authority, Certificate, Key};
use testkit::ssh::programs::{Echo, Program, ansible};
use testkit::ssh::{Client, Credential};
use testkit::sshd::{Forwarding, Login, Options, Sshd};

use crate::support::ground;

/// Of the mebibyte that each program makes.
const DIGEST: &str = "e76e4c02227083fd12207b7bc85287bb9e02a618fed3bd8eab1bc2daeda2fb53";

fn run(program: Program) -> Result<Value> {
    let (ground, echo) = (ground()?, Echo::start()?);
    let results = program.run(&ground.endpoint, &ground.sshd.home(), &echo)?;
    assert_eq!(results["exec"], json!({ "stdout": "out\n", "stderr": "err\n", "status": 3 }));
    assert_eq!(results["stdin"]["stdout"], json!(format!("{DIGEST}  -\n")));
    assert_eq!(results["environment"]["stdout"], json!("unset\n"));
    let parallel = results["parallel"].as_array().context("it is no list")?;
    for (number, result) in parallel.iter().enumerate() {
        assert_eq!((&result["stdout"], &result["status"]), (&json!(format!("in {number}\n")), &json!(number)));
    }
    assert_eq!(parallel.len(), 20);
    assert_eq!(results["terminal"], json!("xterm-256color 31 97"));
    assert_eq!(results["resize"], json!("41 101, status 5"));
    let sftp = &results["sftp"];
    assert_eq!((&sftp["content"], &sftp["size"], &sftp["link"]), (&json!("first\nsecond\n"), &json!(13), &json!("b")));
    assert_eq!(results["sftp_large"], json!(DIGEST));
    assert_eq!((&results["forward"], &results["remote_forward"]), (&json!("there and back"), &json!("from afar")));
    assert_eq!(fs::read_dir(ground.sshd.home())?.count(), 0);
    assert_eq!(ground.sshd.accepted().len(), 1);
    let direct = Forwarding::DirectTcpip("127.0.0.1".to_owned(), echo.port());
    let remote = Forwarding::TcpipForward("127.0.0.1".to_owned(), 0);
    assert_eq!(ground.sshd.forwardings(), [direct, remote]);
    Ok(results)
}

#[test]
fn paramiko_does_all_that_it_says() -> Result<()> {
    let results = run(Program::Paramiko)?;
    // It has no place for the name of a signal.
    assert_eq!(results["exec_signal"]["status"], json!(-1));
    assert_eq!(results["sftp_failure"], json!("No such file or directory"));
    Ok(())
}

#[test]
fn go_does_all_that_it_says() -> Result<()> {
    let results = run(Program::Go)?;
    assert_eq!(results["exec_signal"]["signal"], json!("TERM"));
    assert_eq!((&results["sftp_failure"], &results["environment"]["refused"]), (&json!("true"), &json!(true)));
    Ok(())
}

#[test]
fn node_does_all_that_it_says() -> Result<()> {
    let results = run(Program::Node)?;
    assert_eq!(results["exec_signal"]["signal"], json!("SIGTERM"));
    assert_eq!(results["sftp_failure"], json!("No such file"));
    Ok(())
}

#[test]
fn certificates_and_passwords_let_the_programs_in() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let (authority, key) = (Authority::generate(folder.path(), "ca")?, Key::generate(folder.path(), "user")?);
    let login = Login { password: Some("open sesame".to_owned()), ..Login::new("deploy") };
    let user_authority = Some(authority.key().public());
    let sshd = Sshd::start(&Options { logins: vec![login], user_authority, ..Options::default() })?;
    let certificate = authority.certify_user(&key, &Certificate::new("one", &["deploy"]))?;
    let certificate = sshd.endpoint("deploy", Credential::Certificate { key: key.private(), certificate })?;
    let password = sshd.endpoint("deploy", Credential::Password("open sesame".to_owned()))?;
    let echo = Echo::start()?;
    for program in [Program::Paramiko, Program::Go] {
        program.run(&certificate, &sshd.home(), &echo)?;
    }
    for program in Program::ALL {
        program.run(&password, &sshd.home(), &echo)?;
    }
    ansible(&Client::new(&password)?, &sshd.home())?.success()?;
    let accepted = sshd.accepted();
    assert_eq!(accepted.iter().filter(|one| one.method == "publickey").count(), 2, "{accepted:?}");
    assert!(accepted.iter().filter(|one| one.method == "password").count() >= 4, "{accepted:?}");
    Ok(())
}

#[test]
fn ansible_runs_a_playbook() -> Result<()> {
    let ground = ground()?;
    let output = ansible(&ground.client, &ground.sshd.home())?;
    let shown = output.success()?;
    for line in [
        "changed: [target] => (item=beta)",
        "\"again: changed=False\"",
        "\"command: name = alpha / colour = green / name = beta\"",
        "\"shell: alpha.conf beta.conf gamma.conf : noise 3\"",
        "\"stat: 0640 28 ",
        "\"absent: failed=True\"",
    ] {
        assert!(shown.contains(line), "{line} is not in {shown}");
    }
    assert!(shown.contains("unreachable=0    failed=0"), "{shown}");
    assert_eq!(
        fs::read_to_string(ground.client.directory().join("fetched/alpha.conf"))?,
        "name = alpha\ncolour = green\n"
    );
    assert!(!ground.sshd.home().join("site").exists());
    // It shares one connection.
    assert_eq!(ground.sshd.accepted().len(), 1);
    assert!(ground.sshd.executed()?.len() > 10);
    Ok(())
}
