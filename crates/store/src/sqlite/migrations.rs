//! The schemas, as numbered steps. A step that was released is never changed: what comes later is a new step.

use rusqlite::{Connection, params};

use crate::Error;

/// One step: its name and its statements. Its number is its place in the list, from 1.
pub(crate) type Step = (&'static str, &'static str);

/// The steps of `state.db`.
pub(crate) const STATE: &[Step] = &[
    ("approvals, vault, revisions", include_str!("state_1.sql")),
    ("changes of the vault", include_str!("state_2.sql")),
    ("passwords", include_str!("state_passwords.sql")),
    ("revocations", include_str!("state_revocations.sql")),
    ("what was used once", include_str!("state_used_once.sql")),
    ("files of revisions, proposals", include_str!("state_policy.sql")),
];

/// The steps of `index.db`.
pub(crate) const INDEX: &[Step] = &[
    ("index over the journal", include_str!("index_1.sql")),
    ("requests by trace", include_str!("index_2.sql")),
    ("what answers are made of", include_str!("index_3.sql")),
    ("runs of requests", include_str!("index_4.sql")),
    ("who subjects were", include_str!("index_5.sql")),
];

/// Applies every step that the file lacks, each in a transaction of its own.
pub(crate) fn apply(connection: &mut Connection, file: &'static str, steps: &[Step]) -> Result<(), Error> {
    connection.execute_batch(
        "CREATE TABLE IF NOT EXISTS migrations (number INTEGER PRIMARY KEY, name TEXT NOT NULL) STRICT",
    )?;
    for (number, (name, statements)) in (1u32..).zip(steps) {
        super::transact(connection, |transaction| {
            // Read inside the transaction: another process may be applying the same step.
            if applied(transaction)? < number {
                transaction.execute_batch(statements)?;
                transaction.execute("INSERT INTO migrations (number, name) VALUES (?, ?)", params![number, name])?;
            }
            Ok::<_, Error>(())
        })?;
    }
    let (found, known) = (applied(connection)?, u32::try_from(steps.len()).unwrap_or(u32::MAX));
    if found > known { Err(Error::NewerSchema { file, found, known }) } else { Ok(()) }
}

/// Whether a file that is only read has every step, and no other.
pub(crate) fn expect(connection: &Connection, file: &'static str, steps: &[Step]) -> Result<(), Error> {
    let (found, known) = (applied(connection)?, u32::try_from(steps.len()).unwrap_or(u32::MAX));
    match found.cmp(&known) {
        std::cmp::Ordering::Less => Err(Error::OlderSchema { file, found, known }),
        std::cmp::Ordering::Equal => Ok(()),
        std::cmp::Ordering::Greater => Err(Error::NewerSchema { file, found, known }),
    }
}

fn applied(connection: &Connection) -> Result<u32, Error> {
    Ok(connection.query_row("SELECT coalesce(max(number), 0) FROM migrations", [], |row| row.get(0))?)
}
