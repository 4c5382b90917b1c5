//! `sluice connect`: local doors to targets, or what `ssh` or `kubectl` need to do without one.

mod doors;
mod kubernetes;
mod settings;
mod ssh;

use std::ffi::OsString;
use std::io::IsTerminal;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use connect::child::{self, ChildError};
use connect::config::{Settings, TargetSettings};
use connect::health;
use connect::keeper::Keeper;
use connect::postgres::{Gateway, GatewayError, House, Sessions};
use store::config::{LogConfig, LogFormat, LogLevel};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::account::{self, AccountArgs};
use super::failure::Failure;
use super::{log, memory, put_line, serve, show, tell};

/// How long the first token and the first connection are waited for.
const PATIENCE: Duration = Duration::from_secs(30);

/// The exit codes of a command's runner (env(1), timeout(1)).
const NOT_BEGUN: u8 = 125;
const NOT_RUNNABLE: u8 = 126;
const NOT_FOUND: u8 = 127;

const HELP: &str = "\
A program that connects to the local port or socket is whoever runs this, at Sluice. A port asks for a password, which \
is made for each run; a socket can be opened by you alone. Once it is ready, standard output says for each target:
  listening on 127.0.0.1:41237 for payments

The identity is the first of: what --token-file, --token-env, --workload-api, --private-key-file, --client-certificate or \
a client's secret say; SLUICE_TOKEN; SPIFFE_ENDPOINT_SOCKET; your login (`sluice login`).

Exit codes: 0 ended by a signal, 1 failed or refused, 2 wrong usage, 3 Sluice or the issuer cannot be reached. With a \
command, that of the command (128 and the signal's number); 125 if it was not begun, 126 if it cannot be run, 127 if it \
is not there.

Examples:
  sluice connect payments --gateway sluice.corp:5432 -- psql
  sluice connect payments --listen 127.0.0.1:5432 --password-file payments.password
  sluice connect payments --socket /run/etl --token-file /var/run/secrets/tokens/sluice
  sluice connect --config connect.toml
  sluice connect web1 web2 --ssh-config ~/.ssh/sluice --ssh sluice.corp:2222 --url https://sluice.corp:7632 \
    --known-hosts ~/.ssh/sluice_known_hosts
  sluice connect prod --kubeconfig ~/.kube/sluice --http https://sluice.corp:8443";

/// Open local ports or sockets to targets, run one command with one, keep a configuration of ssh fresh, or write a kubeconfig
#[derive(clap::Args)]
#[command(after_help = HELP)]
pub(super) struct Args {
    /// The targets, each `NAME` or `NAME=DATABASE`; those of the file unless given
    #[arg(value_name = "TARGET")]
    targets: Vec<String>,
    /// A command to run with PGHOST, PGPORT, PGUSER, PGPASSWORD and PGDATABASE of one target
    #[arg(last = true, value_name = "COMMAND")]
    command: Vec<OsString>,
    /// A file with any of this (docs/connect.md); what is said here counts for more
    #[arg(long, short, env = "SLUICE_CONNECT_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    /// Sluice's listener for PostgreSQL
    #[arg(long, env = "SLUICE_GATEWAY", value_name = "HOST:PORT")]
    gateway: Option<String>,
    /// The CA of Sluice's certificate, if not one of the system's
    #[arg(long, env = "SLUICE_CA_FILE", value_name = "FILE")]
    ca_file: Option<PathBuf>,
    /// A client certificate for Sluice, in PEM
    #[arg(long, env = "SLUICE_CERTIFICATE_FILE", value_name = "FILE")]
    certificate_file: Option<PathBuf>,
    /// Its key
    #[arg(long, env = "SLUICE_KEY_FILE", value_name = "FILE")]
    key_file: Option<PathBuf>,
    #[command(flatten)]
    door: DoorArgs,
    #[command(flatten)]
    ssh: ssh::SshArgs,
    #[command(flatten)]
    kubernetes: kubernetes::KubernetesArgs,
    /// Tell how it is at this loopback address: GET /healthz
    #[arg(long, value_name = "ADDRESS:PORT")]
    health: Option<SocketAddr>,
    /// How much to log on standard error: error, warn, info or debug
    #[arg(long, value_name = "LEVEL", value_parser = level)]
    log: Option<LogLevel>,
    #[command(flatten)]
    account: AccountArgs,
    #[command(flatten)]
    proof: ProofArgs,
}

/// Where programs connect
#[derive(clap::Args, Clone)]
#[command(next_help_heading = "Where programs connect")]
struct DoorArgs {
    /// A loopback address; port 0, which is the default, is any free one
    #[arg(long, value_name = "ADDRESS:PORT", conflicts_with = "socket")]
    listen: Option<SocketAddr>,
    /// A directory for a socket in place of a port; it is made, for you alone, if it is not there
    #[arg(long, value_name = "DIR")]
    socket: Option<PathBuf>,
    /// The number in the socket's name, .s.PGSQL.5432 unless given
    #[arg(long, value_name = "NUMBER", requires = "socket")]
    port: Option<u16>,
    /// A file with the password of the port; it is made if it is not there
    #[arg(long, value_name = "FILE", conflicts_with = "no_password")]
    password_file: Option<PathBuf>,
    /// Let everybody on this machine through the port
    #[arg(long)]
    no_password: bool,
}

/// How to prove who you are
#[derive(clap::Args, Clone)]
#[command(next_help_heading = "How to prove who you are")]
struct ProofArgs {
    /// Put the client's secret into the form in place of the header
    #[arg(long)]
    client_secret_post: bool,
    /// A private key (PKCS#8 PEM) that signs the client's assertions
    #[arg(long, env = "SLUICE_PRIVATE_KEY_FILE", value_name = "FILE")]
    private_key_file: Option<PathBuf>,
    /// The key's id at the issuer
    #[arg(long, env = "SLUICE_KEY_ID", value_name = "ID")]
    key_id: Option<String>,
    /// Sign with an RSA key by PSS
    #[arg(long)]
    pss: bool,
    /// The audience of assertions, where it is not the issuer
    #[arg(long, value_name = "URL")]
    assertion_audience: Option<String>,
    /// Prove the client to the issuer by the client certificate; tokens are then bound to it
    #[arg(long)]
    client_certificate: bool,
    /// A file with a token that somebody else keeps fresh; it is read again and again
    #[arg(long, env = "SLUICE_TOKEN_FILE", value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// The SPIFFE Workload API that gives JWT-SVIDs, such as unix:///run/spire/agent.sock
    #[arg(long, value_name = "ENDPOINT")]
    workload_api: Option<String>,
    /// The environment variable that has the token
    #[arg(long, value_name = "NAME")]
    token_env: Option<String>,
}

fn level(text: &str) -> Result<LogLevel, String> {
    match text {
        "error" => Ok(LogLevel::Error),
        "warn" => Ok(LogLevel::Warn),
        "info" => Ok(LogLevel::Info),
        "debug" => Ok(LogLevel::Debug),
        _ => Err(String::from("error, warn, info or debug")),
    }
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    let is_command = !args.command.is_empty();
    // A command's terminal is its own.
    let quiet = if is_command || args.kubernetes.exec_credential { LogLevel::Error } else { LogLevel::Info };
    let log = LogConfig { level: args.log.unwrap_or(quiet), format: LogFormat::Text };
    let budget = log::start(&log)?;
    memory::leave_no_core();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime = runtime.map_err(Failure::failed)?;
    let ended = runtime.block_on(work(args));
    runtime.shutdown_background();
    budget.tell_now();
    match ended {
        Ok(None) => Ok(()),
        Ok(Some(status)) => std::process::exit(status.into()),
        Err(failure) if is_command => {
            tell(&failure.to_string());
            std::process::exit(NOT_BEGUN.into())
        }
        Err(failure) => Err(failure),
    }
}

/// Returns the status of the command, if there is one.
async fn work(args: &Args) -> Result<Option<u8>, Failure> {
    let settings = settings::settings(args)?;
    if args.kubernetes.exec_credential {
        return kubernetes::credential(&settings).await.map(|()| None);
    }
    if let Some(file) = &args.kubernetes.kubeconfig {
        return kubernetes::run(args, &settings, file.clone()).map(|()| None);
    }
    if settings.ssh_config.is_some() {
        return ssh::run(args, settings).await.map(|()| None);
    }
    let targets = doors::targets(args, &settings)?;
    let house = Arc::new(house(&settings, &targets).await?);
    let health = match settings.health {
        Some(address) => Some(health::bind(address).await.map_err(Failure::failed)?),
        None => None,
    };
    let stop = CancellationToken::new();
    let signals = args.command.is_empty().then(|| serve::end_on_signal(stop.clone())).transpose()?;
    let (mut opened, mut of_command) = (Vec::new(), None);
    for (name, target) in targets {
        let (door, password) = doors::open(&name, &target, !args.command.is_empty()).await?;
        let way = door.address().zip(password);
        of_command =
            of_command.or(way.map(|(address, password)| child::environment(address, door.database(), &password)));
        opened.push(door);
    }
    let mut beside = JoinSet::new();
    if let Some(listener) = health {
        let address = listener.local_addr().map_err(Failure::failed)?;
        put_line(&format!("health at http://{address}/healthz"))?;
        beside.spawn(health::serve(listener, Arc::clone(&house), stop.clone()));
    }
    let keeping = (Arc::clone(&house), stop.clone());
    beside.spawn(async move { keeping.0.keep(keeping.1).await });
    let mut serving = JoinSet::new();
    for door in opened {
        if args.command.is_empty() {
            put_line(&format!("listening on {} for {}", door.place(), show::safe(door.target())))?;
        }
        serving.spawn(door.serve(Arc::clone(&house), stop.clone()));
    }
    let status = match (args.command.split_first(), of_command) {
        (Some((program, arguments)), Some(environment)) => Some(run_command(program, arguments, &environment).await),
        _ => {
            while serving.join_next().await.is_some() {}
            None
        }
    };
    stop.cancel();
    signals.into_iter().for_each(|signals| signals.abort());
    Ok(status)
}

/// Gets the first token, and asks whether Sluice is there and accepts it.
async fn house(settings: &Settings, targets: &[(String, TargetSettings)]) -> Result<House, Failure> {
    let address = settings.gateway.as_deref();
    let address = address.ok_or_else(|| Failure::Usage(String::from("say where Sluice is: --gateway HOST:PORT")))?;
    let trust = settings.trust().map_err(|error| Failure::Usage(error.to_string()))?;
    let gateway = Gateway::new(address, &trust).map_err(|error| gateway_failure(&error))?;
    let source = settings::source(settings)?;
    let keeper = Keeper::start(source, PATIENCE).await.map_err(|error| account::failure(&error))?;
    let token = Arc::clone(&keeper.watch().borrow().token);
    for (name, target) in targets {
        let database = target.database.as_deref().unwrap_or(name);
        gateway.check(database, &token).await.map_err(|error| gateway_failure(&error))?;
    }
    Ok(House { gateway, keeper: Arc::new(keeper), sessions: Arc::new(Sessions::default()) })
}

async fn run_command(program: &OsString, arguments: &[OsString], environment: &[(&'static str, String)]) -> u8 {
    match child::run(program, arguments, environment, std::io::stdin().is_terminal()).await {
        Ok(status) => status,
        Err(error) => {
            tell(&format!("error: {}", show::safe(&error.to_string())));
            match error {
                ChildError::NotFound(_) => NOT_FOUND,
                ChildError::NotRunnable { .. } => NOT_RUNNABLE,
                ChildError::Lost(_) => NOT_BEGUN,
            }
        }
    }
}

fn gateway_failure(error: &GatewayError) -> Failure {
    match error {
        GatewayError::Address(_) => Failure::Usage(error.to_string()),
        GatewayError::Connect { .. } | GatewayError::Io(_) | GatewayError::Deadline => {
            Failure::Unreachable(error.to_string())
        }
        _ => Failure::failed(error),
    }
}
