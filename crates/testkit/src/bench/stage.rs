//! What is measured: one server, and three routes to it.

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use super::machine::{Spinners, version};
use super::pgbouncer::{self, PgBouncer};
use super::wide;
use crate::demo::site::{ORDER_SERVICE, Site, Tuning};
use crate::payments::{Counts, Payments};
use crate::postgres::{Authentication, Login, Options, Postgres, binaries};

/// The database, which has pgbench's tables and the wide one.
pub(super) const DATABASE: &str = "bench";

/// The role that all routes end in.
const ROLE: &str = "bench";

/// pgbench's scale factor: 100,000 accounts for each.
const SCALE: &str = "10";

/// What differs from the demo: reads are enough for `process` here, and the server is reached without TLS, as PgBouncer
/// reaches it.
const TARGET: &str = "tls = \"off\"\ndurability = \"process\"\ntape = \"full\"\n";

/// How the server is reached.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Route {
    /// Without any proxy.
    Direct,
    /// Through PgBouncer.
    PgBouncer,
    /// Through Sluice.
    Sluice,
}

impl Route {
    /// All routes; each round begins with another one.
    pub(super) fn in_turn(round: usize) -> impl Iterator<Item = Self> {
        [Self::Direct, Self::PgBouncer, Self::Sluice].into_iter().cycle().skip(round % 3).take(3)
    }
}

/// Where and as whom a client connects.
pub(super) struct Endpoint {
    pub(super) port: u16,
    pub(super) user: String,
    pub(super) password: String,
    /// What the client trusts.
    pub(super) ca: PathBuf,
    /// Whether classified values arrive masked.
    pub(super) masks: bool,
    /// The process whose CPU time counts: none without a proxy.
    pub(super) proxy: Option<u32>,
}

/// Everything that runs. It ends when the value is dropped.
pub(super) struct Stage {
    // In this order: clients of the server end before it does.
    pgbouncer: PgBouncer,
    site: Site,
    login: Login,
    postgres: Postgres,
    _spinners: Spinners,
}

impl Stage {
    pub(super) fn start(sluice: PathBuf) -> Result<Self> {
        let settings = [
            // Neither the oracle's log nor the disk is to be measured.
            ("log_statement", "none"),
            ("shared_buffers", "512MB"),
        ];
        let settings = settings.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
        let postgres = Postgres::start(Options { settings })?;
        let login = fill(&postgres)?;
        let pgbouncer = PgBouncer::start(&postgres, DATABASE, &login)?;
        let bench = Payments { database: DATABASE.to_owned(), login: login.clone(), counts: Counts::of(0) };
        let tuning = Tuning {
            target: TARGET.to_owned(),
            target_address: Some(format!("{}:{}", postgres.host(), postgres.port())),
            classification: wide::CLASSIFICATION.to_owned(),
            ..Tuning::default()
        };
        let mut site = Site::prepare(&postgres, &bench, sluice, &tuning)?;
        site.start()?;
        let spinners = Spinners::start(&site.home().join("spinners.log"))?;
        Ok(Self { pgbouncer, site, login, postgres, _spinners: spinners })
    }

    /// The way in of a route, with a token that is good for the next five minutes.
    pub(super) fn endpoint(&self, route: Route) -> Result<Endpoint> {
        let server = |port, proxy| Endpoint {
            port,
            user: self.login.user.clone(),
            password: self.login.password.clone(),
            ca: self.postgres.ca_certificate(),
            masks: false,
            proxy,
        };
        Ok(match route {
            Route::Direct => server(self.postgres.port(), None),
            Route::PgBouncer => server(self.pgbouncer.port(), Some(self.pgbouncer.pid())),
            Route::Sluice => Endpoint {
                port: self.site.process()?.address("postgres")?.port(),
                user: ORDER_SERVICE.name.to_owned(),
                password: self.site.token(&ORDER_SERVICE)?,
                ca: self.site.ca(),
                masks: true,
                proxy: Some(self.site.process()?.pid()),
            },
        })
    }

    /// Sluice, and what it is configured with.
    pub(super) const fn site(&self) -> &Site {
        &self.site
    }

    /// A counter of Sluice's, with its labels; 0 before anything was counted.
    pub(super) fn count(&self, counter: &str) -> Result<u64> {
        Ok(self.site.metric(counter)?.unwrap_or_default())
    }

    /// What is measured, in words.
    pub(super) fn versions(&self) -> Result<Vec<String>> {
        let programs = [self.site.binary().to_owned(), pgbouncer::program(), binaries::server()?.join("postgres")];
        programs.iter().map(|program| version(program)).collect()
    }
}

/// Makes the database. The role may log in with a password inside TLS, as a client of Sluice does, and without TLS by
/// SCRAM, as the proxies do.
fn fill(postgres: &Postgres) -> Result<Login> {
    let login = postgres.login(ROLE, Authentication::ScramWithoutTls)?;
    postgres.sql("postgres", &format!("GRANT testkit_cleartext TO {ROLE}"))?;
    postgres.create_database(DATABASE, None)?;
    let mut pgbench = Command::new(binaries::server()?.join("pgbench"));
    pgbench.args(["-i", "-q", "-s", SCALE]);
    without_inherited(&mut pgbench);
    pgbench.env("PGHOST", postgres.socket_directory()).env("PGPORT", postgres.port().to_string());
    pgbench.env("PGUSER", "postgres").env("PGDATABASE", DATABASE);
    crate::command::run(pgbench, b"")?.success().context("pgbench could not make its tables")?;
    postgres.sql(DATABASE, wide::TABLE)?;
    postgres.sql(DATABASE, &format!("GRANT SELECT ON ALL TABLES IN SCHEMA public TO {ROLE}"))?;
    postgres.sql(DATABASE, "VACUUM ANALYZE")?;
    Ok(login)
}

/// A client program that connects there, over TLS, with the server's name checked.
pub(super) fn client(program: &Path, endpoint: &Endpoint) -> Command {
    let mut command = Command::new(program);
    without_inherited(&mut command);
    command.env("PGHOST", Ipv4Addr::LOCALHOST.to_string()).env("PGPORT", endpoint.port.to_string());
    command.env("PGUSER", &endpoint.user).env("PGPASSWORD", &endpoint.password).env("PGDATABASE", DATABASE);
    command.env("PGSSLMODE", "verify-full").env("PGSSLROOTCERT", &endpoint.ca).env("PGGSSENCMODE", "disable");
    command
}

/// The developer's own settings make no difference.
fn without_inherited(command: &mut Command) {
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("PG") {
            command.env_remove(name);
        }
    }
}
