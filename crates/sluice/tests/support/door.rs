//! `sluice connect` in front of a site.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use testkit::command::{Output, run};
use testkit::demo::site::Site;
use testkit::issuer::Client;
use testkit::process::Running;

/// A client of the site's issuer, and where its `sluice connect` keeps things.
pub struct Caller {
    pub client: Client,
    pub home: tempfile::TempDir,
}

impl Caller {
    /// Registers a client in these groups, whose tokens last so long.
    pub fn register(site: &Site, id: &str, groups: &[&str], lifetime: Duration) -> Result<Self> {
        let client = Client { lifetime, ..site.issuer().register(id, groups)? };
        site.issuer().register_client(client.clone());
        Ok(Self { client, home: tempfile::tempdir()? })
    }

    /// Somebody whom the issuer does not know as a client.
    pub fn nobody() -> Result<Self> {
        let client = Client { id: String::new(), secret: String::new(), groups: Vec::new(), lifetime: Duration::ZERO };
        Ok(Self { client, home: tempfile::tempdir()? })
    }

    /// `sluice connect` as this client, with its secret in the environment.
    pub fn connect(&self, site: &Site, arguments: &[&str]) -> Result<Command> {
        let mut command = self.anybody(site, arguments)?;
        command.env("SLUICE_CLIENT_ID", &self.client.id).env("SLUICE_CLIENT_SECRET", &self.client.secret);
        Ok(command)
    }

    /// `sluice connect` that has not been told who it is.
    pub fn anybody(&self, site: &Site, arguments: &[&str]) -> Result<Command> {
        let mut command = Command::new(site.binary());
        command.arg("connect").args(arguments).current_dir(self.home.path());
        command.env("SLUICE_GATEWAY", site.process()?.address("postgres")?.to_string());
        command.env("SLUICE_CA_FILE", site.ca()).env("SLUICE_ISSUER", site.issuer().url());
        command.env("PATH", testkit::command::path_with_clients()?);
        command
            .env("XDG_STATE_HOME", self.home.path())
            .env_remove("SLUICE_TOKEN")
            .env_remove("SLUICE_TOKEN_FILE")
            .env_remove("SPIFFE_ENDPOINT_SOCKET");
        Ok(command)
    }

    /// Runs one command through it.
    pub fn run(&self, site: &Site, command: &[&str]) -> Result<Output> {
        run(self.connect(site, &[&[site.database(), "--"], command].concat())?, b"")
    }

    /// Opens doors and waits until they are open.
    pub fn open(&self, site: &Site, arguments: &[&str]) -> Result<Open> {
        Open::start(&self.connect(site, &[&[site.database()], arguments].concat())?, self.log())
    }

    /// Where the next one logs.
    pub fn log(&self) -> PathBuf {
        let logs = (0..).map(|number| self.home.path().join(format!("connect-{number}.log")));
        logs.into_iter().find(|path| !path.exists()).expect("numbers do not end")
    }
}

/// A `sluice connect` that runs.
pub struct Open {
    pub running: Running,
    /// Where the first door is.
    pub place: String,
}

impl Open {
    pub fn start(command: &Command, log: PathBuf) -> Result<Self> {
        let running = Running::start(command, &log)?;
        let line = running.wait_for("listening on ", 1)?;
        let place = line.strip_prefix("listening on ").and_then(|rest| rest.rsplit_once(" for "));
        let place = place.with_context(|| format!("no place in {line:?}"))?.0.to_owned();
        Ok(Self { running, place })
    }

    /// The port of the first door.
    pub fn address(&self) -> Result<SocketAddr> {
        Ok(self.place.parse()?)
    }

    /// Waits until sessions were renewed this often.
    pub fn renewed(&self, times: usize) -> Result<()> {
        self.running.wait_for("sessions renewed", times).map(drop)
    }
}
