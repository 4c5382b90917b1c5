//! What the suite runs on: a server of its own, and for one of the routes Sluice in front of it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::Result;
use tempfile::TempDir;

use crate::issuer::{Grant, Issuer};
use crate::postgres::{Login, Options, Postgres};
use crate::process::{self, SluiceProcess};
use crate::random;
use crate::tls::write_private;

/// The role that the suite runs as, on both routes: the one that owns what `initdb` made, as the suite expects.
const ROLE: &str = "postgres";

/// How long the token is good for: longer than any run.
const LIFETIME: Duration = Duration::from_secs(6 * 3600);

/// What the suite's own temporary servers differ in (PostgreSQL's pg_regress.c, main), and what no run depends on.
const SETTINGS: [(&str, &str); 3] =
    [("max_prepared_transactions", "2"), ("log_statement", "none"), ("shared_buffers", "128MB")];

/// How the server is reached.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Route {
    /// Without Sluice.
    Direct,
    /// Through it.
    Sluice,
}

impl Route {
    /// Both; each round begins with the other one.
    pub(super) fn in_turn(round: usize) -> impl Iterator<Item = Self> {
        [Self::Direct, Self::Sluice].into_iter().cycle().skip(round % 2).take(2)
    }

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Direct => "direct",
            Self::Sluice => "sluice",
        }
    }
}

/// The server of one run, and Sluice. Both end when it is dropped.
pub(super) struct Stage {
    // In this order: Sluice ends before what it needs.
    sluice: Option<Gateway>,
    login: Login,
    postgres: Postgres,
}

struct Gateway {
    process: SluiceProcess,
    token: String,
    home: TempDir,
    _issuer: Issuer,
}

impl Stage {
    pub(super) fn start(route: Route, sluice: &Path) -> Result<Self> {
        let settings = SETTINGS.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
        let postgres = Postgres::start(Options { settings })?;
        let password = random::word()?;
        postgres.sql("postgres", &format!("ALTER ROLE {ROLE} PASSWORD '{password}'; GRANT testkit_scram TO {ROLE}"))?;
        let login = Login { user: ROLE.to_owned(), password, certificate: None };
        let sluice = match route {
            Route::Direct => None,
            Route::Sluice => Some(Gateway::start(&postgres, &login, sluice)?),
        };
        Ok(Self { sluice, login, postgres })
    }

    /// Makes a program's connections go this way, over TLS with the name checked on both routes.
    pub(super) fn connect(&self, command: &mut Command) -> Result<()> {
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("PG") {
                command.env_remove(name);
            }
        }
        let (password, ca) = match &self.sluice {
            None => (&self.login.password, self.postgres.ca_certificate()),
            Some(gateway) => (&gateway.token, gateway.home.path().join("data/tls/ca.pem")),
        };
        command.env("PGPASSWORD", password).env("PGSSLROOTCERT", ca);
        command.env("PGSSLMODE", "verify-full").env("PGGSSENCMODE", "disable");
        command.arg(format!("--host={}", self.postgres.host())).arg(format!("--port={}", self.port()?));
        command.arg(format!("--user={}", self.login.user));
        Ok(())
    }

    fn port(&self) -> Result<u16> {
        match &self.sluice {
            None => Ok(self.postgres.port()),
            Some(gateway) => Ok(gateway.process.address("postgres")?.port()),
        }
    }

    /// What the server and Sluice have logged.
    pub(super) fn logs(&self) -> Result<[(&'static str, String); 2]> {
        let server = fs::read(self.postgres.socket_directory().with_file_name("log").join("server.log"))?;
        let sluice = self.sluice.as_ref().map(|gateway| gateway.process.log()).unwrap_or_default();
        Ok([("server.log", String::from_utf8_lossy(&server).into_owned()), ("sluice.log", sluice)])
    }
}

impl Gateway {
    fn start(postgres: &Postgres, login: &Login, binary: &Path) -> Result<Self> {
        let issuer = Issuer::start()?;
        let home = tempfile::Builder::new().prefix("sluice-conformance-").tempdir()?;
        configure(home.path(), postgres, login, &issuer)?;
        let data_directory = home.path().join("data");
        fs::create_dir_all(&data_directory)?;
        let process = SluiceProcess::start(&process::Options {
            binary: binary.to_owned(),
            config: home.path().join("sluice.toml"),
            data_directory,
            environment: Vec::new(),
        })?;
        let token = issuer.issue(Grant::new("suite").lifetime(LIFETIME))?;
        Ok(Self { process, token, home, _issuer: issuer })
    }
}

fn configure(home: &Path, postgres: &Postgres, login: &Login, issuer: &Issuer) -> Result<()> {
    let address = format!("{}:{}", postgres.host(), postgres.port());
    let ca = postgres.ca_certificate().display().to_string();
    let fill = |text: &str| {
        text.replace("@ISSUER@", issuer.url())
            .replace("@ADDRESS@", &address)
            .replace("@USER@", &login.user)
            .replace("@CA@", &ca)
    };
    let files = [
        ("sluice.toml", include_str!("files/sluice.toml")),
        ("revision/targets.toml", include_str!("files/targets.toml")),
        ("revision/classification.toml", include_str!("files/classification.toml")),
        ("revision/policies/permit-all.cedar", include_str!("files/policies/permit-all.cedar")),
    ];
    fs::create_dir_all(home.join("revision/policies"))?;
    write_private(&home.join("suite.password"), login.password.as_bytes())?;
    files.iter().try_for_each(|(name, text)| Ok(fs::write(home.join(name), fill(text))?))
}

/// Where the server's own modules are, some of which the suite loads.
pub(super) fn module_directory() -> Result<PathBuf> {
    ask_configuration("--pkglibdir")
}

/// `pg_regress`, which comes with the server.
pub(super) fn regress_program() -> Result<PathBuf> {
    // `--pgxs` is …/pgxs/src/makefiles/pgxs.mk.
    Ok(ask_configuration("--pgxs")?.with_file_name("../test/regress/pg_regress"))
}

fn ask_configuration(option: &str) -> Result<PathBuf> {
    let mut command = Command::new(crate::postgres::binaries::server()?.join("pg_config"));
    command.arg(option);
    Ok(PathBuf::from(crate::command::run(command, b"")?.success()?.trim_end()))
}
