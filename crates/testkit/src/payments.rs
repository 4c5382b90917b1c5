//! The demo's database: a small shop's customers, cards, orders, payments and refunds.
//!
//! Everything in it is made up, by a fixed seed: the same number of rows gives the same rows, on every machine. The
//! card numbers pass the Luhn test and the SSNs are of a valid form, so that detectors take them for real ones.

mod people;
mod rows;

use anyhow::Result;

use crate::postgres::{Authentication, Login, Postgres};

/// The database's name in the demo.
pub const DATABASE: &str = "payments";

/// The role that Sluice logs in as: the owner of everything in the database, so that it is Sluice which refuses a DROP.
pub const ROLE: &str = "sluice_app";

/// How many rows the demo has.
pub const DEMO_ROWS: usize = 100_000;

const TABLES: &str = include_str!("payments/schema.sql");
const KEYS: &str = include_str!("payments/keys.sql");

/// How many rows each table has.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Counts {
    /// Of `customers`.
    pub customers: usize,
    /// Of `cards`.
    pub cards: usize,
    /// Of `orders`.
    pub orders: usize,
    /// Of `payments`.
    pub payments: usize,
    /// Of `refunds`.
    pub refunds: usize,
}

impl Counts {
    /// How this many rows are divided: 18% customers, 20% cards, 30% orders, 2% refunds, the rest payments. At least
    /// 50, so that no table is empty.
    pub const fn of(rows: usize) -> Self {
        let rows = if rows < 50 { 50 } else { rows };
        let (customers, cards) = (rows * 18 / 100, rows * 20 / 100);
        let (orders, refunds) = (rows * 30 / 100, rows * 2 / 100);
        Self { customers, cards, orders, payments: rows - customers - cards - orders - refunds, refunds }
    }
}

/// The loaded database.
#[derive(Clone, Debug)]
pub struct Payments {
    /// Its name.
    pub database: String,
    /// The role that owns it.
    pub login: Login,
    /// How many rows it has.
    pub counts: Counts,
}

/// Creates the database `payments` with this many rows in all: a few seconds for [`DEMO_ROWS`].
pub fn load(postgres: &Postgres, rows: usize) -> Result<Payments> {
    load_into(postgres, DATABASE, rows)
}

/// [`load`], with another name for the database: a server may have several.
pub fn load_into(postgres: &Postgres, database: &str, rows: usize) -> Result<Payments> {
    let login = postgres.login(ROLE, Authentication::Scram)?;
    let counts = Counts::of(rows);
    postgres.create_database(database, Some(ROLE))?;
    postgres.sql(database, &format!("SET ROLE {ROLE}; {TABLES}"))?;
    for table in rows::tables(counts) {
        postgres.copy_in(database, &format!("COPY {} FROM STDIN", table.name), table.rows.as_bytes())?;
    }
    // Keys after the rows: several times faster.
    postgres.sql(database, &format!("SET ROLE {ROLE}; {KEYS}"))?;
    postgres.sql(database, "VACUUM ANALYZE")?;
    Ok(Payments { database: database.to_owned(), login, counts })
}
