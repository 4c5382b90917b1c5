//! `sluice connect`: local doors to targets.

use std::ffi::OsString;
use std::io::IsTerminal;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use connect::child::{self, ChildError};
use connect::config::{Settings, TargetSettings};
use connect::keeper::Keeper;
use connect::postgres::{Door, DoorError, Gateway, GatewayError, House, Place, Sessions};
use connect::source::Source;
use connect::source::file;
use connect::{health, private};
use model::secret::Secret;
use store::config::{LogConfig, LogFormat, LogLevel};
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

The identity is the first of: what --token-file, --token-env, --private-key-file, --client-certificate or a client's \
secret say; SLUICE_TOKEN; your login (`sluice login`).

Exit codes: 0 ended by a signal, 1 failed or refused, 2 wrong usage, 3 Sluice or the issuer cannot be reached. With a \
command, that of the command (128 and the signal's number); 125 if it was not begun, 126 if it cannot be run, 127 if it \
is not there.

Examples:
  sluice connect payments --gateway sluice.corp:5432 -- psql
  sluice connect payments --listen 127.0.0.1:5432 --password-file payments.password
  sluice connect payments --socket /run/etl --token-file /var/run/secrets/tokens/sluice
  sluice connect --config connect.toml";

/// Open local ports or sockets to targets, or run one command with one
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
    let quiet = if is_command { LogLevel::Error } else { LogLevel::Info };
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
    let settings = settings(args)?;
    let address = settings.gateway.as_deref();
    let address = address.ok_or_else(|| Failure::Usage(String::from("say where Sluice is: --gateway HOST:PORT")))?;
    let trust = settings.trust().map_err(|error| Failure::Usage(error.to_string()))?;
    let gateway = Gateway::new(address, &trust).map_err(|error| gateway_failure(&error))?;
    let targets = targets(args, &settings)?;
    let keeper = Keeper::start(source(&settings)?, PATIENCE).await.map_err(|error| account::failure(&error))?;
    gateway.try_connect().await.map_err(|error| gateway_failure(&error))?;
    let house = Arc::new(House { gateway, keeper: Arc::new(keeper), sessions: Arc::new(Sessions::default()) });
    let health = match settings.health {
        Some(address) => Some(health::bind(address).await.map_err(Failure::failed)?),
        None => None,
    };
    let stop = CancellationToken::new();
    let signals = args.command.is_empty().then(|| serve::end_on_signal(stop.clone())).transpose()?;
    let mut doors = Vec::new();
    let mut opened = None;
    for (name, target) in targets {
        let (door, password) = open(&name, &target, !args.command.is_empty()).await?;
        opened =
            opened.or(door.address().zip(password).map(|(at, password)| (at, door.database().to_owned(), password)));
        doors.push(door);
    }
    let telling = health.map(|listener| {
        let _ = listener.local_addr().map(|address| put_line(&format!("health at http://{address}/healthz")));
        tokio::spawn(health::serve(listener, Arc::clone(&house), stop.clone()))
    });
    let keeping = {
        let (house, stop) = (Arc::clone(&house), stop.clone());
        tokio::spawn(async move { house.keep(stop).await })
    };
    let mut serving = tokio::task::JoinSet::new();
    for door in doors {
        if args.command.is_empty() {
            put_line(&format!("listening on {} for {}", door.place(), show::safe(door.target())))?;
        }
        serving.spawn(door.serve(Arc::clone(&house), stop.clone()));
    }
    let status = match (args.command.split_first(), opened) {
        (Some((program, arguments)), Some((address, database, password))) => {
            let environment = child::environment(address, &database, &password);
            Some(run_command(program, arguments, &environment).await)
        }
        _ => {
            while serving.join_next().await.is_some() {}
            None
        }
    };
    stop.cancel();
    keeping.abort();
    signals.into_iter().for_each(|signals| signals.abort());
    telling.into_iter().for_each(|telling| telling.abort());
    Ok(status)
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

/// The file, and what the command line says over it.
fn settings(args: &Args) -> Result<Settings, Failure> {
    let file = args.config.as_deref().map(Settings::load).transpose();
    let mut settings = file.map_err(|error| Failure::Failed(error.to_string()))?.unwrap_or_default();
    over(&mut settings.gateway, &args.gateway);
    over(&mut settings.ca_file, &args.ca_file);
    over(&mut settings.certificate_file, &args.certificate_file);
    over(&mut settings.key_file, &args.key_file);
    over(&mut settings.health, &args.health);
    let identity = &mut settings.identity;
    over(&mut identity.issuer, &args.account.issuer);
    over(&mut identity.issuer_ca_file, &args.account.issuer_ca_file);
    over(&mut identity.client_id, &args.account.client_id);
    over(&mut identity.client_secret_file, &args.account.client_secret_file);
    over(&mut identity.private_key_file, &args.proof.private_key_file);
    over(&mut identity.key_id, &args.proof.key_id);
    over(&mut identity.assertion_audience, &args.proof.assertion_audience);
    over(&mut identity.token_file, &args.proof.token_file);
    over(&mut identity.token_env, &args.proof.token_env);
    identity.client_secret_post |= args.proof.client_secret_post;
    identity.pss |= args.proof.pss;
    identity.client_certificate |= args.proof.client_certificate;
    identity.wanted = args.account.wanted(&identity.wanted);
    Ok(settings)
}

fn over<T: Clone>(setting: &mut Option<T>, said: &Option<T>) {
    if said.is_some() {
        setting.clone_from(said);
    }
}

fn source(settings: &Settings) -> Result<Source, Failure> {
    let variable = |name: &str| std::env::var(name).ok();
    let secret = variable("SLUICE_CLIENT_SECRET").filter(|secret| !secret.is_empty()).map(Secret::new);
    let source = settings.source(secret, variable).map_err(|error| Failure::Usage(error.to_string()))?;
    if let Some(source) = source {
        return Ok(source);
    }
    if let Some(token) = variable("SLUICE_TOKEN").filter(|token| !token.trim().is_empty()) {
        return Ok(Source::Value(Secret::new(token.trim().to_owned())));
    }
    let login = account::login()?;
    if login.exists() {
        return Ok(Source::Login(Arc::new(login)));
    }
    Err(Failure::Usage(String::from(
        "say who you are: `sluice login`, --token-file, or a client of an issuer (--help)",
    )))
}

/// The targets that are meant, each with how programs reach it.
fn targets(args: &Args, settings: &Settings) -> Result<Vec<(String, TargetSettings)>, Failure> {
    let named = args.targets.iter().map(|named| {
        let (name, database) = named.split_once('=').map_or((named.as_str(), None), |(name, of)| (name, Some(of)));
        let mut target = settings.targets.get(name).cloned().unwrap_or_default();
        over(&mut target.database, &database.map(str::to_owned));
        (name.to_owned(), target)
    });
    let of_file = settings.targets.iter().map(|(name, target)| (name.clone(), target.clone()));
    let mut targets: Vec<_> = if args.targets.is_empty() { of_file.collect() } else { named.collect() };
    let says_where = args.door.listen.is_some() || args.door.socket.is_some() || args.door.password_file.is_some();
    match (targets.as_slice(), args.command.is_empty()) {
        ([], _) => return Err(Failure::Usage(String::from("say which target"))),
        ([_], _) => {}
        (_, false) => return Err(Failure::Usage(String::from("a command is run with one target"))),
        (_, true) if says_where => {
            return Err(Failure::Usage(String::from("with several targets, say in the file where each is")));
        }
        (_, true) => {}
    }
    for (_, target) in &mut targets {
        if args.door.listen.is_some() || args.door.socket.is_some() {
            target.listen = args.door.listen;
            target.socket.clone_from(&args.door.socket);
        }
        over(&mut target.port, &args.door.port);
        over(&mut target.password_file, &args.door.password_file);
        target.no_password |= args.door.no_password;
    }
    Ok(targets)
}

/// Opens a door; for a command, always a port with a password of its own.
async fn open(
    name: &str,
    target: &TargetSettings,
    is_command: bool,
) -> Result<(Door, Option<Secret<String>>), Failure> {
    let database = target.database.as_deref().unwrap_or(name);
    let place = match &target.socket {
        Some(directory) if !is_command => {
            Place::Socket { directory: directory.clone(), port: target.port.unwrap_or(5432) }
        }
        _ => {
            let address = target.listen.unwrap_or_else(|| SocketAddr::from(([127, 0, 0, 1], 0)));
            Place::Tcp { address, password: password(name, target, is_command)? }
        }
    };
    let told = match &place {
        Place::Tcp { password: Some(password), .. } if is_command => Some(Secret::new(password.expose().clone())),
        _ => None,
    };
    let door = Door::open(name, database, place).await.map_err(|error| match error {
        DoorError::NotLoopback(_) => Failure::Usage(error.to_string()),
        _ => Failure::failed(error),
    })?;
    Ok((door, told))
}

/// The password of a port: nobody's but the command's, the file's, or shown to whoever sits there.
fn password(name: &str, target: &TargetSettings, is_command: bool) -> Result<Option<Secret<String>>, Failure> {
    let random = || connect::random_word().map(Secret::new).map_err(Failure::failed);
    if is_command {
        return random().map(Some);
    }
    if let Some(path) = &target.password_file {
        return kept_password(path).map(Some);
    }
    if target.no_password {
        return Ok(None);
    }
    if !std::io::stderr().is_terminal() {
        return Err(Failure::Usage(format!(
            "say how programs prove themselves at the port of {name}: --password-file FILE, --socket DIR in place of a \
             port, or --no-password"
        )));
    }
    let password = random()?;
    tell(&format!(
        "the password for {} is {} (for this run; --password-file keeps one)",
        show::safe(name),
        password.expose()
    ));
    Ok(Some(password))
}

/// The password in a file, which is made if it is not there.
fn kept_password(path: &Path) -> Result<Secret<String>, Failure> {
    let failed = |error: std::io::Error| Failure::failed(format!("{}: {error}", path.display()));
    if !path.exists() {
        let password = connect::random_word().map_err(Failure::failed)?;
        private::write(path, password.as_bytes()).map_err(failed)?;
    }
    if private::is_open_to_others(path).map_err(failed)? {
        return Err(Failure::Failed(format!("{} is open to others: run chmod 600 on it", path.display())));
    }
    file::read(path).map(Secret::new).map_err(Failure::failed)
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
