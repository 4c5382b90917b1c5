//! Lines that run: who may, and that status, signals and streams arrive as they do directly.

use std::os::unix::ffi::OsStrExt;
use std::process::Stdio;

use anyhow::{Context, Result};
use testkit::ssh::keys::Key;
use testkit::ssh::{Client, Credential};
use testkit::sshd::Request;

use crate::ground::{ENGINEER, Ground, Tuning};
use crate::support::admin;

/// A mebibyte in which a loss or an exchange shows.
pub(crate) fn mebibyte() -> Vec<u8> {
    (0..1_u32 << 20).map(|index| u8::try_from(index * 7 % 251).expect("it is below 251")).collect()
}

#[test]
fn a_token_lets_in_and_a_line_has_its_status_and_both_outputs() -> Result<()> {
    let ground = Ground::new()?;
    let client = ground.client(ENGINEER)?;
    let line = std::ffi::OsStr::from_bytes(b"printf 'out\\n'; printf 'err\\n' >&2; # \xff\n\texit 3; \xc3");
    let output = client.exec(line)?;
    assert_eq!((output.status.code(), &*output.stdout, &*output.stderr), (Some(3), "out\n", "err\n"));
    assert_eq!(client.prompts().len(), 1, "{:?}", client.prompts());
    assert_eq!(client.exec("exit 7")?.status.code(), Some(7));
    let executed: Vec<_> = ground.sshd.executed()?.into_iter().map(|one| (one.login, one.request)).collect();
    let as_root = |request| ("root".to_owned(), request);
    assert_eq!(executed, [as_root(Request::exec(line.as_bytes())), as_root(Request::exec("exit 7"))]);
    Ok(())
}

#[test]
fn a_caller_names_the_login_and_what_it_may_not_have_lets_nobody_in() -> Result<()> {
    let ground = Ground::new()?;
    let token = ground.token("erin", ENGINEER)?;
    let exec = |user: &str, token: &str| {
        Client::new(&ground.endpoint(user, Credential::Password(token.to_owned()))?)?.exec("echo $USER")
    };
    assert_eq!(exec("deploy%web1", &token)?.success()?, "deploy\n");
    let stranger = ground.token("stan", &["strangers"])?;
    let refused =
        [("nobody%web1", &*token), ("web2", &token), ("web1", &stranger), ("web1", "no token"), ("%", &token)];
    for (user, token) in refused {
        let output = exec(user, token)?;
        assert_eq!(output.status.code(), Some(255), "{user}: {output:?}");
        assert!(output.stderr.contains("Permission denied"), "{user}: {output:?}");
    }
    assert_eq!(ground.sshd.accepted().len(), 1);
    Ok(())
}

#[test]
fn a_short_lived_password_lets_in_at_its_target() -> Result<()> {
    let ground = Ground::new()?;
    let kind = [("requested_token_type", "urn:sluice:token-type:database-password"), ("audience", "web1")];
    let (status, answer) = admin::exchange(&ground.site, &ground.token("erin", ENGINEER)?, &kind)?;
    let password = answer["access_token"].as_str().with_context(|| format!("{status}: {answer}"))?.to_owned();
    for methods in ["password", "keyboard-interactive"] {
        let endpoint = ground.endpoint("web1", Credential::Password(password.clone()))?;
        let client = Client::with_settings(&endpoint, &[("PreferredAuthentications", methods)])?;
        assert_eq!(client.exec("echo in")?.success()?, "in\n", "{methods}");
    }
    assert!(!ground.site.log().contains(&password));
    Ok(())
}

#[test]
fn a_certificate_for_a_token_lets_in() -> Result<()> {
    let ground = Ground::new()?;
    let key = ground.key("erin")?;
    let public = key.public().display().to_string();
    let arguments = ["ssh", "certificate", "--key", &public, "--target", "web1"];
    ground.sluice_as("erin", ENGINEER, &arguments)?.success()?;
    let credential = Credential::Certificate { key: key.private(), certificate: key.certificate() };
    let client = Client::new(&ground.endpoint("web1", credential)?)?;
    assert_eq!(client.exec("echo in; exit 4")?.stdout, "in\n");
    // The key alone stands for nobody.
    let client = Client::new(&ground.endpoint("web1", Credential::Key(key.private()))?)?;
    std::fs::remove_file(key.certificate())?;
    assert_eq!(client.exec("echo in")?.status.code(), Some(255));
    Ok(())
}

#[test]
fn a_registered_key_lets_in() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let kinds: [(&str, &[&str]); 3] =
        [("ed25519", &["-t", "ed25519"]), ("ecdsa", &["-t", "ecdsa"]), ("rsa", &["-t", "rsa", "-b", "3072"])];
    let keys: Vec<Key> =
        kinds.iter().map(|(name, kind)| Key::generate_kind(folder.path(), name, kind)).collect::<Result<_>>()?;
    let ssh_keys = keys.iter().map(|key| registered(key, ENGINEER)).collect::<Result<String>>()?;
    let ground = Ground::tuned(Tuning { ssh_keys, ..Tuning::default() })?;
    for key in &keys {
        let client = Client::new(&ground.endpoint("web1", Credential::Key(key.private()))?)?;
        assert_eq!(client.exec("echo in")?.success()?, "in\n");
    }
    let other = ground.key("other")?;
    let output = Client::new(&ground.endpoint("web1", Credential::Key(other.private()))?)?.exec("echo in")?;
    assert!(output.stderr.contains("Permission denied"), "{output:?}");
    Ok(())
}

/// An entry of `ssh_keys.toml`.
pub(crate) fn registered(key: &Key, groups: &[&str]) -> Result<String> {
    let line = key.public_line()?;
    let subject = line.rsplit(' ').next().unwrap_or_default();
    Ok(format!("[[key]]\nkey = \"{line}\"\nsubject = \"demo|{subject}\"\nkind = \"user\"\ngroups = {groups:?}\n\n"))
}

#[test]
fn a_signal_that_ends_it_is_told() -> Result<()> {
    let ground = Ground::new()?;
    let output = ground.client(ENGINEER)?.ssh(&["-v", "target", "kill -TERM $$"], b"")?;
    assert_eq!(output.status.code(), Some(255));
    assert!(output.stderr.contains("client_input_channel_req: channel 0 rtype exit-signal"), "{}", output.stderr);
    Ok(())
}

#[test]
fn a_mebibyte_goes_in_and_comes_out_on_either_stream() -> Result<()> {
    let ground = Ground::new()?;
    let (client, sent) = (ground.client(ENGINEER)?, mebibyte());
    let output = client.exec_with(&[], "cat", &sent)?;
    assert!(output.status.success() && output.stdout == sent && output.stderr.is_empty(), "{}", output.stdout.len());
    let output = client.exec_with(&[], "cat >&2", &sent)?;
    assert!(output.status.success() && output.stderr == sent && output.stdout.is_empty());
    Ok(())
}

#[test]
fn what_ends_early_and_what_reads_to_the_end_both_end() -> Result<()> {
    let ground = Ground::new()?;
    let client = ground.client(ENGINEER)?;
    // The input is not read: the client has to end without having sent it.
    let output = client.exec_with(&[], "exit 4", &mebibyte())?;
    assert_eq!(output.status.code(), Some(4));
    // The end of the input, and nothing else, ends it.
    let output = client.exec_with(&[], "cat >/dev/null; echo over", b"x")?;
    assert_eq!(output.stdout, b"over\n");
    Ok(())
}

/// How much goes both ways at once, in MiB: more than all windows and queues hold together. `SLUICE_SSH_MIB` makes it more.
fn flood() -> usize {
    std::env::var("SLUICE_SSH_MIB").ok().and_then(|text| text.parse().ok()).unwrap_or(24)
}

#[test]
fn much_goes_both_ways_at_once_and_memory_stays_flat() -> Result<()> {
    let ground = Ground::new()?;
    let client = ground.client(ENGINEER)?;
    client.exec_with(&[], "cat", &mebibyte())?;
    let before = ground.peak()?;
    let sent = mebibyte().repeat(flood());
    let output = client.exec_with(&[], "cat", &sent)?;
    let (came, said) = (output.stdout.len(), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && output.stdout == sent, "{came} of {}: {:?} {said}", sent.len(), output.status);
    let grown = ground.peak()? - before;
    assert!(grown < 24 << 20, "{grown} bytes more");
    Ok(())
}

#[test]
fn much_that_is_not_answered_leaves_memory_flat() -> Result<()> {
    let ground = Ground::new()?;
    let client = ground.client(ENGINEER)?;
    client.exec_with(&[], "cat >/dev/null", &mebibyte())?;
    let before = ground.peak()?;
    let output = client.exec_with(&[], "cat >/dev/null; echo done", &mebibyte().repeat(2 * flood()))?;
    assert!(output.status.success() && output.stdout == b"done\n", "{output:?}");
    let grown = ground.peak()? - before;
    assert!(grown < 24 << 20, "{grown} bytes more");
    Ok(())
}

#[test]
fn a_reader_that_does_not_read_keeps_nobody_else_waiting() -> Result<()> {
    let ground = Ground::new()?;
    let client = ground.client(ENGINEER)?;
    let shared = client.share(&[])?;
    client.exec_with(&[], "cat", &mebibyte())?;
    let before = ground.peak()?;
    let mut stuck = Stuck::start(&client, "yes")?;
    // It stops when all windows are full; others go on.
    for number in 0..10 {
        assert_eq!(client.exec(format!("echo {number}"))?.success()?, format!("{number}\n"));
    }
    let sent = mebibyte();
    assert!(client.exec_with(&[], "cat", &sent)?.stdout == sent);
    let grown = ground.peak()? - before;
    assert!(grown < 24 << 20, "{grown} bytes more");
    assert!(stuck.is_running()?);
    drop(stuck);
    assert_eq!(client.exec("echo on")?.success()?, "on\n");
    shared.stop()?;
    Ok(())
}

/// An `ssh` whose output nobody reads.
struct Stuck(std::process::Child);

impl Stuck {
    fn start(client: &Client, line: &str) -> Result<Self> {
        let mut command = client.command("ssh");
        command.args(["target", line]).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        Ok(Self(command.spawn()?))
    }

    fn is_running(&mut self) -> Result<bool> {
        Ok(self.0.try_wait()?.is_none())
    }
}

impl Drop for Stuck {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
