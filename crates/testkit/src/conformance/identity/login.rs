//! Logging in through Sluice with psql.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

use crate::command::{Output, psql};
use crate::demo::site::{Site, Tuning};
use crate::payments;
use crate::postgres::Postgres;
use crate::wait::eventually_blocking;

/// What is asked: it counts what everybody may see.
const QUERY: &str = "SELECT count(*) FROM orders WHERE id <= 3";

/// A Sluice in front of a payments database, and nobody else's.
pub(super) struct Stage {
    site: Site,
    _server: &'static Postgres,
}

impl Stage {
    /// Starts it with these lines in `sluice.toml`.
    pub(super) fn start(sluice: &Path, database: &str, sluice_toml: String) -> Result<Self> {
        let server = Postgres::shared()?;
        let payments = payments::load_into(server, database, 10)?;
        let tuning = Tuning { sluice_toml, ..Tuning::default() };
        let mut site = Site::prepare(server, &payments, sluice.to_owned(), &tuning)?;
        site.start()?;
        Ok(Self { site, _server: server })
    }

    pub(super) fn is_let_in(&self, token: &str) -> Result<()> {
        let output = self.attempt(token)?;
        ensure!(output.status.success(), "it was not let in: {}", output.stderr);
        ensure!(output.stdout.trim() == "3", "it got {:?}", output.stdout);
        Ok(())
    }

    pub(super) fn is_refused(&self, token: &str) -> Result<()> {
        let output = self.attempt(token)?;
        ensure!(!output.status.success(), "it was let in");
        let told = output.stderr.contains("the connection is not allowed");
        ensure!(told, "a refused identity gets one answer, not {}", output.stderr);
        Ok(())
    }

    /// Waits until it is let in; an unknown key is looked for once a minute.
    pub(super) fn is_let_in_within(&self, limit: Duration, token: &str) -> Result<()> {
        eventually_blocking(limit, "to be let in", || Ok(self.is_let_in(token).ok()))
    }

    /// Says which check `sluice token inspect` tells that a token fails.
    pub(super) fn failed_check(&self, token: &str) -> Result<String> {
        let file = self.site.home().join("inspected.token");
        std::fs::write(&file, token)?;
        let config = self.site.config().display().to_string();
        let file = file.display().to_string();
        let arguments = ["token", "inspect", "--json", &file];
        let output = crate::process::sluice(self.site.binary(), &arguments, &[("SLUICE_CONFIG", &config)])?;
        let found: serde_json::Value = serde_json::from_str(&output.stdout)?;
        let checks = found.pointer("/checks").and_then(serde_json::Value::as_array).context("no checks")?;
        match checks.iter().find(|check| check.pointer("/outcome").is_some_and(|how| how == "failed")) {
            Some(check) => Ok(check.pointer("/check").and_then(|name| name.as_str()).unwrap_or_default().to_owned()),
            None => bail!("it fails none"),
        }
    }

    fn attempt(&self, token: &str) -> Result<Output> {
        let address = self.site.process()?.address("postgres")?;
        let (host, port, ca) =
            (address.ip().to_string(), address.port().to_string(), self.site.ca().display().to_string());
        let environment = [
            ("PGHOST", host.as_str()),
            ("PGPORT", &port),
            ("PGUSER", "anybody"),
            ("PGDATABASE", self.site.database()),
            ("PGPASSWORD", token),
            ("PGSSLMODE", "verify-full"),
            ("PGSSLROOTCERT", &ca),
        ];
        psql(&["-A", "-t", "-q", "-c", QUERY], &environment)
    }
}
