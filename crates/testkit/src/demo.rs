//! The demo: the whole of Sluice in one story, told with the real `psql`, `ssh`, `rsync`, `curl` and `kubectl` and the real
//! `sluice`.
//!
//! [`run`] is what `./dev demo` does. [`site`] is a configured Sluice in front of a payments database, which the
//! end-to-end tests use too. A line that the story shows is the very line that it runs, so that a reader can paste it.

mod cluster;
mod host;
mod interface;
mod live;
pub mod site;
mod stage;
mod story;
mod terminal;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::signal::unix::{SignalKind, signal};

use self::host::Host;
use self::site::{Site, Tuning};
use self::stage::{Behind, Stage};
use self::terminal::Terminal;
use crate::api::Api;
use crate::payments::{self, DEMO_ROWS};
use crate::postgres::{Options, Postgres};

/// How often the clients' tokens are renewed while the demo stays up: well before five minutes are over.
const RENEWAL: Duration = Duration::from_secs(60);

/// How much of the demo is shown.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mode {
    /// The story, and then it ends.
    Once,
    /// The story, and then everything stays up until it is interrupted.
    Stay,
}

/// Starts everything, tells the story, and ends or stays. Nothing that it started is left running.
///
/// # Errors
/// The step that did not go as told.
pub fn run(mode: Mode, sluice: PathBuf) -> Result<()> {
    let terminal = Terminal::new();
    terminal
        .title("Sluice: an identity-aware gateway in front of a real PostgreSQL, a real sshd, an API and a cluster");
    let postgres = terminal.progress("starting a private PostgreSQL", || Postgres::start(Options::default()))?;
    let loading = format!("loading the payments database ({} rows, all made up)", thousands(DEMO_ROWS));
    let payments = terminal.progress(&loading, || payments::load(&postgres, DEMO_ROWS))?;
    let host = terminal.progress("starting a private sshd", Host::start)?;
    let api = terminal.progress("starting an API", interface::start)?;
    let cluster = terminal.progress("starting an API server of Kubernetes", Api::kubernetes)?;
    let policies =
        [host::POLICIES, interface::POLICIES, cluster::POLICIES].map(|(name, text)| (name.to_owned(), text.to_owned()));
    let tuning = Tuning {
        sluice_toml: format!("{LIMITS}{}{}", host::LISTEN, interface::LISTEN),
        target: host.target()? + &interface::target(&api) + &cluster::target(&cluster),
        policies: policies.into(),
        ..Tuning::default()
    };
    let mut site = terminal.progress("starting an issuer of tokens, and writing Sluice's configuration", || {
        Site::prepare(&postgres, &payments, sluice, &tuning)
    })?;
    terminal.progress("starting Sluice", || {
        site.start()?;
        site.keep_ports()?;
        host.introduce(&site)?;
        site.renew_tokens()?;
        cluster::introduce(&site)
    })?;
    let behind = Behind { host: host.sshd(), api: &api, cluster: &cluster };
    let mut stage = Stage::new(&terminal, &postgres, behind, &mut site);
    let told = story::tell(&mut stage);
    if let Err(error) = &told {
        terminal.failure(&format!("{error:#}"));
        terminal.plain(&format!("Sluice's log ends with:\n{}", last_lines(&site.log(), 15)));
        return told.context("the demo failed");
    }
    match mode {
        Mode::Once => terminal.title("Every step went as told."),
        Mode::Stay => stay(&terminal, &site)?,
    }
    Ok(())
}

/// The environment in which the story's lines work.
fn environment(site: &Site) -> Result<Vec<(&'static str, String)>> {
    let mut all = site.client_environment()?;
    let path = all.iter().find(|(name, _)| *name == "PATH").map(|(_, path)| path.clone()).unwrap_or_default();
    all.extend(host::environment(site));
    all.extend(interface::environment(site)?);
    all.extend(cluster::environment(site, &path));
    Ok(all)
}

/// A hundred clients at once, from one address, on a machine of any size.
const LIMITS: &str = "
[limits]
max_logins_per_source = 300
login_timeout = \"60s\"
connect_timeout = \"60s\"
";

fn stay(terminal: &Terminal, site: &Site) -> Result<()> {
    story::invite(terminal, site);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut interrupted = signal(SignalKind::interrupt())?;
        let mut terminated = signal(SignalKind::terminate())?;
        let mut renewal = tokio::time::interval(RENEWAL);
        loop {
            tokio::select! {
                _ = interrupted.recv() => return Ok(()),
                _ = terminated.recv() => return Ok(()),
                _ = renewal.tick() => site.renew_tokens()?,
            }
        }
    })
}

fn last_lines(text: &str, count: usize) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines.get(lines.len().saturating_sub(count)..).unwrap_or_default().join("\n")
}

fn thousands(number: usize) -> String {
    format!("{},{:03}", number / 1000, number % 1000)
}
