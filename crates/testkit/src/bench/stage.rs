//! What is measured: one server, and the routes to it.

use std::fs;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use super::machine::{Spinners, version};
use super::proxy::{Proxy, program};
use super::route::{Endpoint, Route};
use super::{bulk, haproxy, pgbouncer, relay, wide};
use crate::demo::site::{ORDER_SERVICE, Site, Tuning};
use crate::payments::{Counts, Payments};
use crate::postgres::{Authentication, Login, Options, Postgres, binaries};

/// The database, which has pgbench's tables and the wide one.
pub(super) const DATABASE: &str = "bench";

/// The role that all proxies end in.
const ROLE: &str = "bench";

/// The role of whoever comes directly.
const DIRECT_ROLE: &str = "bench_direct";

/// pgbench's scale factor: 100,000 accounts for each.
const SCALE: &str = "10";

/// What differs from the demo: reads are enough for `process` here, and the server is reached without TLS, as PgBouncer
/// reaches it.
const TARGET: &str = "tls = \"off\"\ndurability = \"process\"\ntape = \"full\"\n";

/// Everything that runs. It ends when the value is dropped.
pub(super) struct Stage {
    // In this order: clients of the server end before it does.
    pgbouncer: Proxy,
    haproxy: Proxy,
    relay: Proxy,
    site: Site,
    /// With a password in clear inside TLS, and SCRAM without.
    login: Login,
    /// With SCRAM inside TLS.
    direct: Login,
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
        let (login, direct) = fill(&postgres)?;
        let pgbouncer = pgbouncer::start(&postgres, DATABASE, &login)?;
        let (haproxy, relay) = (haproxy::start(&postgres)?, relay::start(&postgres)?);
        let bench = Payments { database: DATABASE.to_owned(), login: login.clone(), counts: Counts::of(0) };
        let tuning = Tuning {
            target: TARGET.to_owned(),
            target_address: Some(format!("{}:{}", postgres.host(), postgres.port())),
            classification: wide::CLASSIFICATION.to_owned() + &bulk::classification(),
            ..Tuning::default()
        };
        let mut site = Site::prepare(&postgres, &bench, sluice, &tuning)?;
        site.start()?;
        let spinners = Spinners::start(&site.home().join("spinners.log"))?;
        Ok(Self { pgbouncer, haproxy, relay, site, login, direct, postgres, _spinners: spinners })
    }

    /// The way in of a route, with a token that is good for the next five minutes.
    pub(super) fn endpoint(&self, route: Route) -> Result<Endpoint> {
        let server = |login: &Login, port, proxy| Endpoint {
            port,
            user: login.user.clone(),
            password: login.password.clone(),
            ca: self.postgres.ca_certificate(),
            masks: false,
            proxy,
        };
        Ok(match route {
            Route::Direct => server(&self.direct, self.postgres.port(), None),
            Route::PgBouncer => server(&self.login, self.pgbouncer.port(), Some(self.pgbouncer.pid())),
            // Whoever comes through it speaks to the server itself.
            Route::HaProxy => server(&self.direct, self.haproxy.port(), Some(self.haproxy.pid())),
            Route::Relay => server(&self.login, self.relay.port(), Some(self.relay.pid())),
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

    /// Likewise, for a client that can but show a password in clear.
    pub(super) fn endpoint_in_clear(&self, route: Route) -> Result<Endpoint> {
        let endpoint = self.endpoint(route)?;
        if route != Route::Direct {
            return Ok(endpoint);
        }
        Ok(Endpoint { user: self.login.user.clone(), password: self.login.password.clone(), ..endpoint })
    }

    /// Sets something of the target, for all sessions that begin from now on.
    pub(super) fn set_target(&self, key: &str, value: &str) -> Result<()> {
        let path = self.site().revision_file("targets.toml");
        let text = fs::read_to_string(&path)?;
        let is_it = |line: &str| line.split_once('=').is_some_and(|(name, _)| name.trim() == key);
        ensure!(text.lines().any(is_it), "the target has no {key}");
        let line = |line: &str| if is_it(line) { format!("{key} = \"{value}\"\n") } else { format!("{line}\n") };
        let set: String = text.lines().map(line).collect();
        if set != text {
            self.site().revise(|| Ok(fs::write(&path, set)?))?;
        }
        Ok(())
    }

    /// Sets something of the server, or takes it back to what it was.
    pub(super) fn set_server(&self, name: &str, value: Option<&str>) -> Result<()> {
        let change = match value {
            Some(value) => format!("ALTER SYSTEM SET {name} = {value}"),
            None => format!("ALTER SYSTEM RESET {name}"),
        };
        self.postgres.sql("postgres", &change)?;
        self.postgres.sql("postgres", "SELECT pg_reload_conf()").map(drop)
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
        let server = binaries::server()?.join("postgres");
        let programs = [self.site.binary().to_owned(), program("pgbouncer"), program("haproxy"), server];
        programs.iter().map(|program| version(program)).collect()
    }
}

/// Makes the database. The proxies' role may log in without TLS by SCRAM, and with a password inside TLS, as a client of
/// Sluice does.
fn fill(postgres: &Postgres) -> Result<(Login, Login)> {
    let login = postgres.login(ROLE, Authentication::ScramWithoutTls)?;
    let direct = postgres.login(DIRECT_ROLE, Authentication::Scram)?;
    postgres.sql("postgres", &format!("GRANT testkit_cleartext TO {ROLE}"))?;
    postgres.create_database(DATABASE, None)?;
    let mut pgbench = Command::new(binaries::server()?.join("pgbench"));
    pgbench.args(["-i", "-q", "-s", SCALE]);
    without_inherited(&mut pgbench);
    pgbench.env("PGHOST", postgres.socket_directory()).env("PGPORT", postgres.port().to_string());
    pgbench.env("PGUSER", "postgres").env("PGDATABASE", DATABASE);
    crate::command::run(pgbench, b"")?.success().context("pgbench could not make its tables")?;
    postgres.sql(DATABASE, wide::TABLE)?;
    postgres.sql(DATABASE, bulk::TABLES)?;
    let grant = format!("GRANT SELECT, INSERT, UPDATE ON ALL TABLES IN SCHEMA public TO {ROLE}, {DIRECT_ROLE}");
    postgres.sql(DATABASE, &grant)?;
    postgres.sql(DATABASE, "VACUUM ANALYZE")?;
    Ok((login, direct))
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
