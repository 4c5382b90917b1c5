//! What the driver programs of Rust share: where to connect, the statements, and the report.
//!
//! A program runs its scenarios and prints one JSON object, as tests/python/common.py says.

use std::path::PathBuf;

use anyhow::{Context, Result};
use serde_json::{Map, Value, json};

pub const CARDS: &str = "SELECT id, number, cvv, expires::text FROM cards WHERE id <= 3 ORDER BY id";
pub const CUSTOMER: &str = "SELECT id, email, ssn FROM customers WHERE id = $1";
pub const ADD_REFUND: &str = "INSERT INTO refunds (payment_id, amount, reason) VALUES (1, 1.50, 'driver test')";
pub const COUNT_REFUNDS: &str = "SELECT count(*) FROM refunds WHERE reason = 'driver test'";
pub const SERIES: &str = "SELECT g FROM generate_series(1, 1000000) AS g";
pub const ENDLESS: &str = "SELECT count(*) FROM generate_series(1, 10000000000)";

/// Where to connect.
pub struct Options {
    pub host: String,
    pub port: u16,
    pub user: String,
    pub token: String,
    pub database: String,
    pub ca: PathBuf,
    pub denied: String,
}

impl Options {
    /// Reads them from the environment.
    pub fn read() -> Result<Self> {
        let required =
            |name: &str| std::env::var(name).with_context(|| format!("the environment variable {name} is missing"));
        Ok(Self {
            host: required("SLUICE_HOST")?,
            port: required("SLUICE_PORT")?.parse()?,
            user: required("SLUICE_USER")?,
            token: required("SLUICE_TOKEN")?,
            database: required("SLUICE_DATABASE")?,
            ca: required("SLUICE_CA")?.into(),
            denied: required("SLUICE_DENIED")?,
        })
    }
}

/// Results by scenario.
#[derive(Default)]
pub struct Report(Map<String, Value>);

impl Report {
    pub fn add(&mut self, scenario: &str, result: impl Into<Value>) {
        assert!(self.0.insert(scenario.to_owned(), result.into()).is_none(), "{scenario} was reported before");
    }

    pub fn unsupported(&mut self, why: &str, scenarios: &[&str]) {
        scenarios.iter().for_each(|scenario| self.add(scenario, json!({ "unsupported": why })));
    }

    pub fn print(self) {
        println!("{}", Value::Object(self.0));
    }
}

/// The version of a package that the program is built of.
pub fn version(package: &str) -> &'static str {
    let lock = include_str!("../Cargo.lock");
    let found = lock.split_once(&format!("name = \"{package}\"\nversion = \""));
    found.and_then(|(_, rest)| rest.split_once('"')).map_or("unknown", |(version, _)| version)
}
