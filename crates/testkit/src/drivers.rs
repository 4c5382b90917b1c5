//! The pinned Python drivers (`tests/python`), run against a server, with their results as JSON.

use std::path::Path;

use anyhow::{Context, Result};
use serde_json::Value;

use crate::command::python;

/// The scripts, one for each driver. Each runs all of its scenarios.
pub const SCRIPTS: [&str; 3] = ["psycopg_client.py", "asyncpg_client.py", "sqlalchemy_client.py"];

/// Where a script connects. The server must have the payments database ([`crate::payments`]).
#[derive(Clone, Copy, Debug)]
pub struct Connection<'a> {
    /// A name or address that the server's certificate has.
    pub host: &'a str,
    /// The port.
    pub port: u16,
    /// The user.
    pub user: &'a str,
    /// The password: through Sluice, a token.
    pub password: &'a str,
    /// The database.
    pub database: &'a str,
    /// The certificate that the script trusts.
    pub ca: &'a Path,
    /// A statement that is refused to this user.
    pub denied: &'a str,
}

/// Runs a script of [`SCRIPTS`] and returns its results: an object with a member for each scenario, in order.
/// What a scenario holds is in the script; a database error is `{"sqlstate": …, "message": …}`.
pub fn run(script: &str, connection: &Connection<'_>) -> Result<Value> {
    let port = connection.port.to_string();
    let ca = connection.ca.to_str().context("the certificate's path is not UTF-8")?;
    let environment = [
        ("SLUICE_HOST", connection.host),
        ("SLUICE_PORT", &port),
        ("SLUICE_USER", connection.user),
        ("SLUICE_TOKEN", connection.password),
        ("SLUICE_DATABASE", connection.database),
        ("SLUICE_CA", ca),
        ("SLUICE_DENIED", connection.denied),
    ];
    let output = python(script, &environment)?.success().with_context(|| format!("{script} failed"))?;
    serde_json::from_str(&output).with_context(|| format!("{script} printed no JSON: {output}"))
}
