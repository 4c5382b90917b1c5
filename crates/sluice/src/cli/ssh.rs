//! `sluice ssh`: what callers and hosts need to believe each other through Sluice.

use gateway::node::Layout;
use gateway::ssh::{HostKey, target_authority};

use super::failure::Failure;
use super::paths::{ConfigArg, DataDirArg};
use super::put;

mod certificate;

/// Certificates, and the keys that callers and hosts have to know
#[derive(clap::Subcommand)]
#[command(after_help = "Examples:\n  \
    sluice ssh target-ca --config sluice.toml                     what a host has to trust\n  \
    sluice ssh known-hosts --host sluice.example.com >> ~/.ssh/known_hosts\n  \
    sluice ssh certificate --url https://sluice.example.com:7632  a certificate for your token")]
pub(super) enum Command {
    /// Get a short-lived certificate of your SSH key for the token that you have
    Certificate(certificate::Args),
    /// Print the lines of known_hosts by which clients know this Sluice
    KnownHosts(KnownHosts),
    /// Print the authority that hosts have to trust, and how they do
    TargetCa(TargetCa),
}

/// Print the lines of known_hosts by which clients know this Sluice
#[derive(clap::Args)]
#[command(
    after_help = "Whoever adds them to ~/.ssh/known_hosts is not asked whether to believe who answers. Where Sluice shows a \
    certificate, the second line is the authority that signed it.\n\nExamples:\n  \
    sluice ssh known-hosts --config sluice.toml --host sluice.example.com\n  \
    sluice ssh known-hosts --host sluice.example.com >> /etc/ssh/ssh_known_hosts"
)]
pub(super) struct KnownHosts {
    #[command(flatten)]
    config: ConfigArg,
    /// The name by which clients reach Sluice; the address of its listener unless given
    #[arg(long, value_name = "NAME")]
    host: Option<String>,
    /// The port by which they reach it; that of its listener unless given
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    port: Option<u16>,
}

/// Print the authority that hosts have to trust, and how they do
#[derive(clap::Args)]
#[command(
    after_help = "It is made if there is none yet. Hosts that trust it let in whoever Sluice lets in, and need no other key.\n\n\
    Example:\n  sluice ssh target-ca --config sluice.toml"
)]
pub(super) struct TargetCa {
    #[command(flatten)]
    data_dir: DataDirArg,
}

pub(super) fn run(command: &Command) -> Result<(), Failure> {
    match command {
        Command::Certificate(args) => certificate::run(args),
        Command::KnownHosts(args) => known_hosts(args),
        Command::TargetCa(args) => target_ca(args),
    }
}

fn known_hosts(args: &KnownHosts) -> Result<(), Failure> {
    let config = args.config.load()?;
    let listen = config.ssh.as_ref().ok_or_else(|| {
        Failure::failed("Sluice does not listen for SSH: write [listen.ssh] with address into the configuration")
    })?;
    let ip = listen.address.ip();
    let host = match &args.host {
        Some(host) if is_host(host) => host.clone(),
        Some(_) => return Err(Failure::Usage(String::from("--host is the name or address of one host"))),
        None if ip.is_unspecified() => {
            let advice = "Sluice listens on every address: say with --host by which name clients reach it";
            return Err(Failure::Usage(advice.to_owned()));
        }
        None => ip.to_string(),
    };
    let port = args.port.unwrap_or_else(|| listen.address.port());
    if port == 0 {
        return Err(Failure::Usage(String::from("Sluice takes any free port: say with --port which clients reach")));
    }
    let key = HostKey::open(listen, &Layout::of(&config.data_dir)).map_err(Failure::failed)?;
    put(&key.known_hosts(&host, port))
}

/// What a line of known_hosts takes for one host: neither a list nor a pattern, nor what a line could be broken by.
fn is_host(host: &str) -> bool {
    !host.is_empty()
        && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_' | b':'))
}

fn target_ca(args: &TargetCa) -> Result<(), Failure> {
    let key = target_authority(&Layout::of(&args.data_dir.path()?)).map_err(Failure::failed)?;
    let key = key.to_openssh().map_err(Failure::failed)?;
    put(&format!(
        "{key}\n\n\
         # On each host, put the line above into /etc/ssh/sluice_target_ca.pub, and these into /etc/ssh/sshd_config:\n\
         #\n\
         #   TrustedUserCAKeys /etc/ssh/sluice_target_ca.pub\n\
         #   AuthorizedKeysFile none    (once everybody comes through Sluice: then no other key opens the host)\n\
         #\n\
         # Then run: sshd -t && systemctl reload ssh\n"
    ))
}
