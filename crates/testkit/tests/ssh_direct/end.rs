//! Nothing outlives a server.

use std::path::Path;
use std::time::Duration;

use anyhow::Result;
use testkit::sshd::{Options, Sshd};
use testkit::wait::eventually_blocking;

use crate::support::{Ground, ground};

#[test]
fn with_the_server_end_its_connections_and_what_was_started_in_them() -> Result<()> {
    let Ground { sshd, client, folder: _folder, .. } = ground()?;
    let shared = client.share(&[])?;
    let daemon = client.exec("setsid sleep 1000 >/dev/null 2>&1 </dev/null & echo $!")?.success()?;
    let mut terminal = client.shell(80, 24)?;
    terminal.send("echo she''ll=$$=\n")?;
    terminal.wait_for("shell=")?;
    let shell = terminal.wait_for("=\r\n")?;
    let home = sshd.home();
    let processes = [daemon.trim().to_owned(), shell.trim_end_matches("=\r\n").to_owned()];
    assert!(processes.iter().all(|process| is_alive(process)) && sshd.is_running() && home.exists(), "{processes:?}");
    drop(sshd);
    assert!(!home.exists());
    // What was killed is gone from the table only once its parent, which may be the system's first, has seen it.
    let gone = || Ok((!processes.iter().any(|process| is_alive(process))).then_some(()));
    eventually_blocking(Duration::from_secs(30), "the end of its processes", gone)?;
    assert_eq!(terminal.wait()?.status.code(), Some(255));
    assert_ne!(shared.wait()?, 0);
    Ok(())
}

fn is_alive(process: &str) -> bool {
    let status = std::fs::read_to_string(Path::new("/proc").join(process).join("status")).unwrap_or_default();
    !status.is_empty() && !status.contains("State:\tZ")
}

#[test]
fn a_server_that_does_not_start_shows_why() {
    let settings = vec![("NoSuchSetting".to_owned(), "yes".to_owned())];
    let error = Sshd::start(&Options { settings, ..Options::default() }).err().expect("it fails");
    assert!(format!("{error:#}").contains("Bad configuration option: NoSuchSetting"), "{error:#}");
}
