//! The clients that are not OpenSSH's: the same directly and through Sluice.

use std::fs;

use anyhow::Result;
use serde_json::Value;
use testkit::ssh::programs::{Echo, Program, ansible};
use testkit::ssh::{Client, Credential};
use testkit::sshd::{Options, Sshd};

use crate::ground::{FORWARDER, Ground};

fn compare(program: Program) -> Result<()> {
    let (ground, echo) = (Ground::new()?, Echo::start()?);
    let key = ground.key("direct")?;
    let sshd = Sshd::start(&Options { authorized_keys: vec![key.public_line()?], ..Options::default() })?;
    let directly = program.run(&sshd.endpoint("root", Credential::Key(key.private()))?, &sshd.home(), &echo)?;
    let through = program.run(&ground.by_token(FORWARDER)?, &ground.sshd.home(), &echo)?;
    let (directly, through) = (as_object(directly), as_object(through));
    for (scenario, result) in &directly {
        assert_eq!(Some(result), through.get(scenario), "{scenario}");
    }
    assert_eq!(fs::read_dir(ground.sshd.home())?.count(), 0);
    Ok(())
}

fn as_object(results: Value) -> serde_json::Map<String, Value> {
    match results {
        Value::Object(results) => results,
        other => panic!("{other} is no object"),
    }
}

#[test]
fn paramiko_does_all_that_it_does_directly() -> Result<()> {
    compare(Program::Paramiko)
}

#[test]
fn go_does_all_that_it_does_directly() -> Result<()> {
    compare(Program::Go)
}

#[test]
fn node_does_all_that_it_does_directly() -> Result<()> {
    compare(Program::Node)
}

#[test]
fn ansible_runs_a_playbook() -> Result<()> {
    let ground = Ground::new()?;
    let client = ground.client(FORWARDER)?;
    let key = ground.key("direct")?;
    let sshd = Sshd::start(&Options { authorized_keys: vec![key.public_line()?], ..Options::default() })?;
    let direct = Client::new(&sshd.endpoint("root", Credential::Key(key.private()))?)?;
    // The two hosts differ in their folder alone.
    let told = |client: &Client, sshd: &Sshd| -> Result<String> {
        let home = sshd.home();
        Ok(ansible(client, &home)?.success()?.replace(&*home.to_string_lossy(), "~"))
    };
    assert_eq!(told(&direct, &sshd)?, told(&client, &ground.sshd)?);
    assert!(!ground.sshd.home().join("site").exists());
    Ok(())
}
