//! Which Sluice, and as whom.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use gateway::node::Layout;
use model::secret::Secret;
use serde_json::Value;
use store::config::Config;

use super::account;
use super::client::{Client, Url};
use super::failure::Failure;
use super::paths::{self, ConfigArg};
use super::show;
use super::token;

/// How long the token lives that the command line makes for itself.
const LIFE: Duration = Duration::from_secs(300);

/// Which Sluice, and as whom
#[derive(clap::Args, Clone)]
#[command(next_help_heading = "Which Sluice, and as whom")]
pub(super) struct Connect {
    #[command(flatten)]
    config: ConfigArg,
    /// The admin API, such as http://127.0.0.1:7632; that of the configuration unless given
    #[arg(long, env = "SLUICE_URL", value_name = "URL")]
    url: Option<String>,
    /// Your token. Others on this machine see arguments: prefer the variable or the file
    #[arg(long, env = "SLUICE_TOKEN", hide_env_values = true, value_name = "TOKEN")]
    token: Option<String>,
    /// A file with your token. Without any, whoever can read the data directory is the first administrator, and everybody
    /// else is as whom they have signed in (`sluice login`)
    #[arg(long, env = "SLUICE_TOKEN_FILE", value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// The CA of the admin API's certificate, if not one of the system's
    #[arg(long, env = "SLUICE_CA_FILE", value_name = "FILE")]
    ca_file: Option<PathBuf>,
}

impl Connect {
    /// The configuration, for what does not ask a Sluice that runs.
    pub(super) fn config(&self) -> Result<Config, Failure> {
        self.config.load()
    }

    /// A client for the Sluice that is meant, as whoever is meant.
    pub(super) fn client(&self) -> Result<Client, Failure> {
        self.client_as(|config| self.token(config))
    }

    /// A client as nobody: for a call that brings its credential in its form.
    pub(super) fn client_as_nobody(&self) -> Result<Client, Failure> {
        self.client_as(|_| Ok(Secret::new(String::new())))
    }

    fn client_as(
        &self,
        token: impl FnOnce(Option<&Config>) -> Result<Secret<String>, Failure>,
    ) -> Result<Client, Failure> {
        let config = self.config.existing().map(|path| paths::load(&path)).transpose()?;
        let url = match (&self.url, &config) {
            (Some(url), _) => url.parse()?,
            (None, Some(config)) => url_of(config)?,
            (None, None) => {
                return Err(Failure::Usage(String::from("say which Sluice: --config FILE or --url URL")));
            }
        };
        let ca_file = self.ca_file.clone().or_else(|| development_ca(config.as_ref()?));
        Ok(Client::new(url, token(config.as_ref())?, ca_file))
    }

    fn token(&self, config: Option<&Config>) -> Result<Secret<String>, Failure> {
        if let Some(token) = &self.token {
            return Ok(Secret::new(token.trim().to_owned()));
        }
        if let Some(path) = &self.token_file {
            return read_token(path);
        }
        let layout = config.map(|config| Layout::of(&config.data_dir));
        match layout.filter(|layout| std::fs::File::open(layout.key("token.key")).is_ok()) {
            Some(layout) => token::mint(&layout, token::ADMIN, &[Arc::from(token::ADMIN_GROUP)], LIFE),
            None => of_login(),
        }
    }
}

/// The token of whoever has signed in, renewed if that is due.
fn of_login() -> Result<Secret<String>, Failure> {
    let Some(login) = account::login().ok().filter(connect::login::kept::KeptLogin::exists) else {
        return Err(Failure::Usage(String::from(
            "say who you are: `sluice login`, set SLUICE_TOKEN or SLUICE_TOKEN_FILE, or name with --config a \
             configuration whose data directory you can read",
        )));
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Failure::failed)?;
    let token = runtime.block_on(login.token(std::time::SystemTime::now()));
    token.map(|token| Secret::new(token.expose().to_owned())).map_err(|error| account::failure(&error))
}

/// The token in a file.
pub(super) fn read_token(path: &Path) -> Result<Secret<String>, Failure> {
    if store::credential::is_open_to_others(path) {
        super::tell(&format!(
            "warning: {} is open to others; run chmod 600 on it",
            show::safe(&path.display().to_string())
        ));
    }
    let text = std::fs::read_to_string(path);
    text.map(|text| Secret::new(text.trim().to_owned()))
        .map_err(|error| Failure::failed(format!("{}: {error}", path.display())))
}

/// Where the process that runs now listens, or else where the configuration says.
fn url_of(config: &Config) -> Result<Url, Failure> {
    let written = std::fs::read(Layout::of(&config.data_dir).addresses()).ok();
    let running = written.and_then(|bytes| serde_json::from_slice::<Value>(&bytes).ok());
    let running = running.and_then(|value| value.get("admin")?.as_str()?.parse().ok());
    let mut address: SocketAddr = running.unwrap_or(config.admin.address);
    if address.port() == 0 {
        return Err(Failure::Unreachable(String::from("Sluice does not run: start it with `sluice serve`")));
    }
    // Bound to every address, it is reached on this machine by the loopback one.
    match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => address.set_ip(Ipv4Addr::LOCALHOST.into()),
        IpAddr::V6(ip) if ip.is_unspecified() => address.set_ip(Ipv6Addr::LOCALHOST.into()),
        IpAddr::V4(_) | IpAddr::V6(_) => {}
    }
    let is_tls = config.admin.tls.is_some() || !config.admin.address.ip().to_canonical().is_loopback();
    format!("{}://{address}", if is_tls { "https" } else { "http" }).parse()
}

/// The CA that Sluice made for itself, if its certificate is that CA's.
fn development_ca(config: &Config) -> Option<PathBuf> {
    let ca = Layout::of(&config.data_dir).tls().join("ca.pem");
    (config.admin.tls.is_none() && ca.exists()).then_some(ca)
}
