//! `sluice connect --ssh-config`: a configuration for `ssh`, and a certificate that is kept fresh beside it.

use std::path::PathBuf;

use connect::config::Settings;
use connect::keeper::Keeper;
use connect::ssh::{SshError, Wanted, Written};
use tokio_util::sync::CancellationToken;

use super::super::account;
use super::super::failure::Failure;
use super::super::{put_line, serve, show};
use super::{Args, PATIENCE, settings};

/// A configuration of ssh, in place of doors
#[derive(clap::Args, Clone)]
#[command(next_help_heading = "A configuration of ssh, in place of doors")]
pub(super) struct SshArgs {
    /// A directory for it and for the key of this run; put `Include DIR/config` into ~/.ssh/config
    #[arg(long, value_name = "DIR", conflicts_with_all = ["listen", "socket", "command", "health"])]
    pub(super) ssh_config: Option<PathBuf>,
    /// Sluice's listener for SSH
    #[arg(long, env = "SLUICE_SSH", value_name = "HOST:PORT")]
    pub(super) ssh: Option<String>,
    /// Sluice's admin API, such as `https://sluice.example.com:7632`: certificates are had there
    #[arg(long, env = "SLUICE_URL", value_name = "URL")]
    pub(super) url: Option<String>,
    /// The file with the lines by which ssh knows Sluice (`sluice ssh known-hosts`)
    #[arg(long, value_name = "FILE")]
    pub(super) known_hosts: Option<PathBuf>,
}

/// Writes the configuration, and keeps the certificate fresh until a signal.
pub(super) async fn run(args: &Args, settings: Settings) -> Result<(), Failure> {
    let wanted = wanted(args, &settings)?;
    let source = settings::source(&settings)?;
    let keeper = Keeper::start(source, PATIENCE).await.map_err(|error| account::failure(&error))?;
    let written = Written::begin(wanted, &keeper).await.map_err(|error| failure(&error))?;
    put_line(&format!("ssh goes by {}", show::safe(&written.config().display().to_string())))?;
    let stop = CancellationToken::new();
    let signals = serve::end_on_signal(stop.clone())?;
    tokio::join!(keeper.run(stop.clone()), written.keep(&keeper, stop.clone()));
    signals.abort();
    Ok(())
}

fn wanted(args: &Args, settings: &Settings) -> Result<Wanted, Failure> {
    let missing = |what: &str| Failure::Usage(format!("say {what}"));
    let dir = settings.ssh_config.clone().ok_or_else(|| missing("where to: --ssh-config DIR"))?;
    let place = settings.ssh.as_deref().ok_or_else(|| missing("where Sluice listens for SSH: --ssh HOST:PORT"))?;
    let (host, port) = host_and_port(place).ok_or_else(|| missing("--ssh as HOST:PORT"))?;
    let url = settings.url.as_deref().ok_or_else(|| missing("where certificates are had: --url URL"))?;
    let known_hosts = settings.known_hosts.clone();
    let known_hosts = known_hosts.ok_or_else(|| missing("by what ssh knows Sluice: --known-hosts FILE"))?;
    let targets: Vec<String> =
        if args.targets.is_empty() { settings.targets.keys().cloned().collect() } else { args.targets.clone() };
    if targets.is_empty() {
        return Err(missing("which targets"));
    }
    let trust = settings.trust().map_err(|error| Failure::Usage(error.to_string()))?;
    let endpoint = format!("{}/token", url.trim_end_matches('/'));
    Ok(Wanted { dir, host: host.to_owned(), port, known_hosts, targets, endpoint, trust })
}

fn host_and_port(place: &str) -> Option<(&str, u16)> {
    let (host, port) = place.rsplit_once(':')?;
    let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    Some((host, port.parse().ok().filter(|port| *port != 0)?))
}

fn failure(error: &SshError) -> Failure {
    match error {
        SshError::Http { error: cause, .. } if cause.is_transient() => Failure::Unreachable(error.to_string()),
        SshError::Unwritable(_) => Failure::Usage(error.to_string()),
        _ => Failure::failed(error),
    }
}
