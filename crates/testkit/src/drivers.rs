//! Drivers as people use them (`tests/{python,node,go,java,rust}`), run against a server, with their results as JSON.
//!
//! A program runs all of its scenarios against one server and prints an object with a member for each. The same program
//! runs directly and through Sluice, and its results are compared. See `tests/python/common.py` for what a result is.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::command::{development_directory, run as run_command, workspace_root};

/// What every driver shows, or says why it cannot: the scenarios whose names begin so, and what they are.
pub const CHECKS: [(&str, &str); 13] = [
    ("simple", "queries"),
    ("prepared", "prepared, 7 times"),
    ("pipeline", "pipeline or batch"),
    ("types", "types"),
    ("copy_out", "COPY out"),
    ("copy_in", "COPY in"),
    ("cursor", "cursor"),
    ("stream", "1,000,000 rows"),
    ("timeout", "statement timeout"),
    ("cancel", "cancel"),
    ("notify", "LISTEN, NOTIFY"),
    ("transaction", "error and denial in a transaction"),
    ("pool", "pool"),
];

/// What a program is run with.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Toolchain {
    /// The virtual environment in the development directory.
    Python,
    /// Node, with the modules in `tests/node/node_modules`.
    Node,
    /// A program that `./dev` built.
    Go,
    /// Classes and jars in the development directory.
    Java,
    /// A program that `./dev` built, as which it needs nothing that Sluice does not need.
    Rust,
}

impl Toolchain {
    /// Its name, as in `SLUICE_WITHOUT`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Python => "python",
            Self::Node => "node",
            Self::Go => "go",
            Self::Java => "java",
            Self::Rust => "rust",
        }
    }

    /// Whether `./dev` said (in `SLUICE_WITHOUT`) that this machine does not have it. `./dev test` says so loudly, and
    /// `./dev conformance drivers` does not go without.
    pub fn is_left_out(self) -> bool {
        let without = std::env::var("SLUICE_WITHOUT").unwrap_or_default();
        without.split_whitespace().any(|name| name == self.name())
    }
}

/// One driver.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Driver {
    /// What it is called.
    pub name: &'static str,
    /// What its program is run with.
    pub toolchain: Toolchain,
    /// The program: a file in `tests`, or what it is built to.
    pub program: &'static str,
}

const fn driver(name: &'static str, toolchain: Toolchain, program: &'static str) -> Driver {
    Driver { name, toolchain, program }
}

/// All of them.
pub const ALL: [Driver; 11] = [
    driver("psycopg", Toolchain::Python, "psycopg_client.py"),
    driver("SQLAlchemy", Toolchain::Python, "sqlalchemy_client.py"),
    driver("asyncpg", Toolchain::Python, "asyncpg_client.py"),
    driver("pg8000", Toolchain::Python, "pg8000_client.py"),
    driver("node-postgres", Toolchain::Node, "node_postgres.mjs"),
    driver("Drizzle", Toolchain::Node, "drizzle.mjs"),
    driver("pgjdbc", Toolchain::Java, "Pgjdbc"),
    driver("pgx", Toolchain::Go, "pgx"),
    driver("database/sql", Toolchain::Go, "databasesql"),
    driver("tokio-postgres", Toolchain::Rust, "tokio_postgres_client"),
    driver("sqlx", Toolchain::Rust, "sqlx_client"),
];

/// pgx once more, with a token that it sends by `OAUTHBEARER`: one read, and none of [`CHECKS`].
pub const OAUTH: Driver = driver("pgx with OAUTHBEARER", Toolchain::Go, "oauth");

/// Where a program connects. The server must have the payments database ([`crate::payments`]).
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
    /// The certificate that the program trusts.
    pub ca: &'a Path,
    /// A statement that is refused to this user.
    pub denied: &'a str,
}

impl Driver {
    /// Runs the program and returns its results: an object with a member for each scenario, in order. A database error is
    /// `{"sqlstate": …, "message": …}`, and what the driver does not offer `{"unsupported": "why"}`.
    ///
    /// # Errors
    /// The program is not there or fails, or one of [`CHECKS`] is missing in what it prints.
    pub fn run(&self, connection: &Connection<'_>) -> Result<Value> {
        let results = self.results(connection)?;
        for (check, _) in CHECKS {
            ensure!(scenarios(&results, check).next().is_some(), "{} reports nothing of {check}", self.name);
        }
        Ok(results)
    }

    /// Runs a program that shows less than [`CHECKS`], and returns its results.
    ///
    /// # Errors
    /// The program is not there, fails, or prints no JSON.
    pub fn results(&self, connection: &Connection<'_>) -> Result<Value> {
        let mut command = self.command()?;
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("PG") {
                command.env_remove(name);
            }
        }
        let port = connection.port.to_string();
        let environment = [
            ("SLUICE_HOST", connection.host),
            ("SLUICE_PORT", &port),
            ("SLUICE_USER", connection.user),
            ("SLUICE_TOKEN", connection.password),
            ("SLUICE_DATABASE", connection.database),
            ("SLUICE_DENIED", connection.denied),
        ];
        command.envs(environment).env("SLUICE_CA", connection.ca);
        let output = run_command(command, b"")?.success().with_context(|| format!("{} failed", self.name))?;
        serde_json::from_str(&output).with_context(|| format!("{} printed no JSON: {output}", self.name))
    }

    fn command(&self) -> Result<Command> {
        let (tests, installed) = (workspace_root().join("tests"), development_directory());
        let (program, arguments, folder) = match self.toolchain {
            Toolchain::Python => {
                let script = tests.join("python").join(self.program);
                (installed.join("venv/bin/python"), vec![script.into_os_string()], tests.join("python"))
            }
            Toolchain::Node => (PathBuf::from("node"), vec![self.program.into()], tests.join("node")),
            Toolchain::Go => (installed.join("go").join(self.program), Vec::new(), installed),
            Toolchain::Rust => (installed.join("rust").join(self.program), Vec::new(), installed),
            Toolchain::Java => {
                let java = installed.join("java");
                let path = format!("{}:{}/*", java.join("classes").display(), java.join("lib").display());
                (PathBuf::from("java"), vec!["-cp".into(), path.into(), self.program.into()], java)
            }
        };
        let found = program.exists() || program.components().count() == 1;
        ensure!(found, "{} is not there: run `./dev setup`", program.display());
        let mut command = Command::new(program);
        command.args(arguments).current_dir(folder);
        Ok(command)
    }
}

/// The results of the scenarios that belong to a check.
pub fn scenarios<'r>(results: &'r Value, check: &str) -> impl Iterator<Item = (&'r str, &'r Value)> {
    let members = results.as_object().into_iter().flatten();
    members
        .map(|(name, result)| (name.as_str(), result))
        .filter(move |(name, _)| name.strip_prefix(check).is_some_and(|rest| rest.is_empty() || rest.starts_with('_')))
}
