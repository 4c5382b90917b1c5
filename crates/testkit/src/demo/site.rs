//! A configured Sluice in front of a payments database: its configuration directory, its issuer, its clients' tokens.

mod people;

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use tempfile::TempDir;

pub use self::people::{
    AUDITOR, BACKUP_ROBOT, DBA, ENGINEER, EVERYBODY, FRAUD_SERVICE, ORDER_SERVICE, OTHER_DBA, Person,
};
use crate::issuer::{Grant, Issuer};
use crate::payments::Payments;
use crate::postgres::Postgres;
use crate::postgres::binaries;
use crate::process::{Options, SluiceProcess};
use crate::tls::write_private;
use crate::wait::eventually_blocking;

/// How long a revision may take until it is in force; far more than it does.
const REVISION_LIMIT: Duration = Duration::from_secs(20);

/// How long a metric may take to change.
const METRIC_LIMIT: Duration = Duration::from_secs(30);

const SLUICE: &str = include_str!("files/sluice.toml");
const TARGETS: &str = include_str!("files/targets.toml");
const CLASSIFICATION: &str = include_str!("files/classification.toml");
const POLICIES: [(&str, &str); 5] = [
    ("00-baseline.cedar", include_str!("../../../policy/shipped/baseline.cedar")),
    ("10-access.cedar", include_str!("files/policies/10-access.cedar")),
    ("20-approvals.cedar", include_str!("files/policies/20-approvals.cedar")),
    ("30-masking.cedar", include_str!("files/policies/30-masking.cedar")),
    ("90-administration.cedar", include_str!("files/policies/90-administration.cedar")),
];

/// What differs from the demo's configuration.
#[derive(Clone, Debug, Default)]
pub struct Tuning {
    /// Lines for the end of `sluice.toml`.
    pub sluice_toml: String,
    /// Lines for the end of the target's table in `targets.toml`.
    pub target: String,
    /// Where the target is, in place of the server: for a scripted one, with `tls = "off"` in `target`.
    pub target_address: Option<String>,
    /// Rules for the end of `classification.toml`.
    pub classification: String,
    /// Further policy files, by name.
    pub policies: Vec<(String, String)>,
    /// Environment variables of Sluice.
    pub environment: Vec<(OsString, OsString)>,
}

/// The configuration, the issuer and the process. All of it goes when the value is dropped.
pub struct Site {
    // In this order: the process ends before what it needs.
    sluice: Option<SluiceProcess>,
    issuer: Issuer,
    home: TempDir,
    binary: PathBuf,
    database: String,
    environment: Vec<(OsString, OsString)>,
}

impl Site {
    /// Starts an issuer and writes the configuration; Sluice is not started yet.
    pub fn prepare(postgres: &Postgres, payments: &Payments, binary: PathBuf, tuning: &Tuning) -> Result<Self> {
        let home = tempfile::Builder::new().prefix("sluice-").tempdir()?;
        let issuer = Issuer::start()?;
        let site = Self {
            sluice: None,
            issuer,
            home,
            binary,
            database: payments.database.clone(),
            environment: tuning.environment.clone(),
        };
        site.write_configuration(postgres, payments, tuning)?;
        Ok(site)
    }

    /// A Sluice in front of other targets than the demo's: its `sluice.toml` with these lines at its end, and these files of
    /// a revision, by their paths in it. What they say of the issuer is `@ISSUER@`.
    pub fn with_revision(binary: PathBuf, sluice_toml: &str, revision: &[(&str, String)]) -> Result<Self> {
        let home = tempfile::Builder::new().prefix("sluice-").tempdir()?;
        let issuer = Issuer::start()?;
        let site = Self { sluice: None, issuer, home, binary, database: String::new(), environment: Vec::new() };
        for directory in ["clients", "revision/policies"] {
            fs::create_dir_all(site.home().join(directory))?;
        }
        fs::write(site.config(), (SLUICE.to_owned() + sluice_toml).replace("@ISSUER@", site.issuer.url()))?;
        for (name, text) in revision {
            if let Some(directory) = site.revision_file(name).parent() {
                fs::create_dir_all(directory)?;
            }
            fs::write(site.revision_file(name), text.replace("@ISSUER@", site.issuer.url()))?;
        }
        Ok(site)
    }

    /// Starts Sluice and waits until it is ready.
    pub fn start(&mut self) -> Result<()> {
        let options = Options {
            binary: self.binary.clone(),
            config: self.config(),
            data_directory: self.data(),
            environment: self.environment.clone(),
        };
        fs::create_dir_all(&options.data_directory)?;
        self.sluice = Some(SluiceProcess::start(&options)?);
        self.write_services(&[])
    }

    /// Asks Sluice to end, and waits until it has.
    pub fn stop(&mut self) -> Result<i32> {
        self.sluice.take().context("Sluice does not run")?.stop()
    }

    /// Kills Sluice: a crash.
    pub fn kill(&mut self) -> Result<()> {
        self.sluice.take().context("Sluice does not run")?.kill()
    }

    /// Makes later starts listen on the ports that this one got, so that what a reader copied stays true.
    pub fn keep_ports(&self) -> Result<()> {
        let text = fs::read_to_string(self.config())?;
        let mut text = text;
        for listener in ["postgres", "admin", "ssh", "http"] {
            let table = format!("[listen.{listener}]\naddress = ");
            if !text.contains(&table) {
                continue;
            }
            let address = self.process()?.address(listener)?;
            text = text.replace(&format!("{table}\"127.0.0.1:0\""), &format!("{table}\"{address}\""));
        }
        Ok(fs::write(self.config(), text)?)
    }

    /// The running process.
    pub fn process(&self) -> Result<&SluiceProcess> {
        self.sluice.as_ref().context("Sluice does not run")
    }

    /// Its issuer.
    pub const fn issuer(&self) -> &Issuer {
        &self.issuer
    }

    /// The `sluice` program.
    pub fn binary(&self) -> &Path {
        &self.binary
    }

    /// The name of the database.
    pub fn database(&self) -> &str {
        &self.database
    }

    /// The directory of everything.
    pub fn home(&self) -> &Path {
        self.home.path()
    }

    /// `sluice.toml`.
    pub fn config(&self) -> PathBuf {
        self.home().join("sluice.toml")
    }

    /// Sluice's data directory.
    pub fn data(&self) -> PathBuf {
        self.home().join("data")
    }

    /// The certificate authority that Sluice made for its clients.
    pub fn ca(&self) -> PathBuf {
        self.data().join("tls/ca.pem")
    }

    /// A file of the revision.
    pub fn revision_file(&self, name: &str) -> PathBuf {
        self.home().join("revision").join(name)
    }

    /// Where a person's token is.
    pub fn token_file(&self, name: &str) -> PathBuf {
        self.home().join("clients").join(format!("{name}.token"))
    }

    /// What Sluice has logged, also when it does not run.
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&fs::read(self.data().with_extension("log")).unwrap_or_default()).into_owned()
    }

    /// A token for this person.
    pub fn token(&self, person: &Person) -> Result<String> {
        self.issuer.issue(person.grant())
    }

    /// Gives every client and approver a new token, in its file.
    pub fn renew_tokens(&self) -> Result<()> {
        EVERYBODY.iter().try_for_each(|person| self.hand_out(person.name, person.grant()))
    }

    /// Writes a token where the client of this name finds it: as a file of its own, and as psql's password.
    pub fn hand_out(&self, name: &str, grant: Grant) -> Result<()> {
        let token = self.issuer.issue(grant)?;
        write_private(&self.token_file(name), token.as_bytes())?;
        let password_file = self.token_file(name).with_extension("pgpass");
        write_private(&password_file, format!("*:*:*:*:{token}\n").as_bytes())
    }

    /// Writes psql's service file: one service for each client, and for these others.
    pub fn write_services(&self, others: &[&str]) -> Result<()> {
        let address = self.process()?.address("postgres")?;
        let names = EVERYBODY.iter().map(|person| person.name).chain(others.iter().copied());
        let service = |name: &str| {
            let password = self.token_file(name).with_extension("pgpass");
            let (host, port) = (address.ip(), address.port());
            let (database, ca, password) = (&self.database, self.ca(), password.display().to_string());
            format!(
                "[{name}]\nhost={host}\nport={port}\ndbname={database}\nuser={name}\nsslmode=verify-full\n\
                 sslrootcert={}\npassfile={password}\napplication_name={name}\n\n",
                ca.display()
            )
        };
        let services: String = names.map(service).collect();
        Ok(fs::write(self.service_file(), services)?)
    }

    fn service_file(&self) -> PathBuf {
        self.home().join("clients/pg_service.conf")
    }

    /// The environment in which the lines of the demo work.
    pub fn client_environment(&self) -> Result<Vec<(&'static str, String)>> {
        let directory = |path: &Path| path.parent().unwrap_or(Path::new(".")).display().to_string();
        let (psql, sluice) = (directory(&binaries::client("psql")?), directory(&self.binary));
        let inherited = std::env::var("PATH").unwrap_or_default();
        Ok(vec![
            ("PATH", format!("{sluice}:{psql}:{inherited}")),
            ("PGSERVICEFILE", self.service_file().display().to_string()),
            ("PSQLRC", "/dev/null".to_owned()),
            ("SLUICE_CONFIG", self.config().display().to_string()),
            ("DEMO", self.home().display().to_string()),
            ("TOKENS", self.home().join("clients").display().to_string()),
        ])
    }

    /// The number of the revision in force, as Sluice reports it.
    pub fn revision(&self) -> Result<u64> {
        self.metric("sluice_revision")?.context("Sluice reports no revision")
    }

    /// A metric without labels.
    pub fn metric(&self, name: &str) -> Result<Option<u64>> {
        let (_, metrics) = self.process()?.get("/metrics")?;
        let value = metrics.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.trim().parse().ok());
        Ok(value)
    }

    /// Waits until a metric without labels has this value.
    pub fn wait_for_metric(&self, name: &str, value: u64) -> Result<()> {
        let what = format!("{name} to be {value}");
        eventually_blocking(METRIC_LIMIT, &what, || Ok((self.metric(name)? == Some(value)).then_some(())))
    }

    /// Does something to the revision's files, and waits until the next revision is in force.
    pub fn revise(&self, change: impl FnOnce() -> Result<()>) -> Result<u64> {
        let before = self.revision()?;
        change()?;
        eventually_blocking(REVISION_LIMIT, "the next revision", || {
            Ok(Some(self.revision()?).filter(|revision| *revision > before))
        })
    }

    /// Writes a policy file whole (`None` removes it), and waits until it is in force.
    pub fn write_policy(&self, name: &str, text: Option<&str>) -> Result<u64> {
        let path = self.revision_file("policies").join(name);
        self.revise(|| match text {
            Some(text) => Ok(fs::write(&path, text)?),
            None => Ok(fs::remove_file(&path)?),
        })
    }

    fn write_configuration(&self, postgres: &Postgres, payments: &Payments, tuning: &Tuning) -> Result<()> {
        for directory in ["clients", "revision/policies"] {
            fs::create_dir_all(self.home().join(directory))?;
        }
        let address = format!("{}:{}", postgres.host(), postgres.port());
        let address = tuning.target_address.as_ref().unwrap_or(&address);
        let ca = postgres.ca_certificate().display().to_string();
        let ca_line = if tuning.target_address.is_some() { "" } else { "tls = \"verify-full\"\nca_file = \"@CA@\"\n" };
        let fill = |text: &str| {
            text.replace("@TLS@\n", ca_line)
                .replace("@ADDRESS@", address)
                .replace("@CA@", &ca)
                .replace("@ISSUER@", self.issuer.url())
                .replace("@DATABASE@", &payments.database)
                .replace("@USER@", &payments.login.user)
        };
        write_private(&self.home().join("payments.password"), payments.login.password.as_bytes())?;
        fs::write(self.config(), fill(SLUICE) + &tuning.sluice_toml)?;
        fs::write(self.revision_file("targets.toml"), fill(TARGETS) + &tuning.target)?;
        fs::write(self.revision_file("classification.toml"), fill(CLASSIFICATION) + &tuning.classification)?;
        let policies = POLICIES.iter().map(|(name, text)| (*name, *text));
        let further = tuning.policies.iter().map(|(name, text)| (name.as_str(), text.as_str()));
        for (name, text) in policies.chain(further) {
            fs::write(self.revision_file("policies").join(name), fill(text))?;
        }
        Ok(())
    }
}
