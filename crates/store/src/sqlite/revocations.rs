//! Who is no longer believed, and which security events were taken.

use model::revocation::{Revocation, Whose};
use model::time::Timestamp;
use rusqlite::params;

use super::Sqlite;
use super::codec::{from_json, time, to_json};
use crate::Error;

impl Sqlite {
    pub(super) fn store_revocation(&self, revocation: &Revocation) -> Result<(), Error> {
        let (whose, whole) = (key(&revocation.whose)?, to_json(revocation, "a revocation")?);
        self.write(|tx| {
            tx.execute(
                "INSERT INTO revocations (whose, kind, until, revocation) VALUES (?1, ?2, ?3, ?4)
                 ON CONFLICT (whose, kind) DO UPDATE SET until = excluded.until, revocation = excluded.revocation",
                params![whose, revocation.extent.kind(), revocation.until.map(time), whole],
            )?;
            Ok(())
        })
    }

    pub(super) fn delete_revocations(&self, whose: &Whose, kind: Option<&str>) -> Result<(), Error> {
        let whose = key(whose)?;
        self.write(|tx| {
            tx.execute("DELETE FROM revocations WHERE whose = ?1 AND kind = coalesce(?2, kind)", params![whose, kind])?;
            Ok(())
        })
    }

    pub(super) fn list_revocations(&self) -> Result<Vec<Revocation>, Error> {
        self.write(|tx| {
            let mut statement = tx.prepare("SELECT revocation FROM revocations")?;
            let mut found = statement.query([])?;
            let mut revocations = Vec::new();
            while let Some(row) = found.next()? {
                revocations.push(from_json(&row.get::<_, String>(0)?, "a revocation")?);
            }
            Ok(revocations)
        })
    }

    pub(super) fn knows_security_event(&self, issuer: &str, id: &str) -> Result<bool, Error> {
        self.write(|tx| {
            let sql = "SELECT EXISTS (SELECT 1 FROM security_events WHERE issuer = ? AND id = ?)";
            Ok(tx.query_row(sql, [issuer, id], |row| row.get(0))?)
        })
    }

    pub(super) fn note_security_event(&self, issuer: &str, id: &str, until: Timestamp) -> Result<bool, Error> {
        self.write(|tx| {
            let sql = "INSERT OR IGNORE INTO security_events (issuer, id, until) VALUES (?, ?, ?)";
            Ok(tx.execute(sql, params![issuer, id, time(until)])? > 0)
        })
    }

    pub(super) fn forget_what_is_over(&self, now: Timestamp) -> Result<(), Error> {
        self.write(|tx| {
            tx.execute("DELETE FROM revocations WHERE until <= ?", [time(now)])?;
            tx.execute("DELETE FROM security_events WHERE until <= ?", [time(now)])?;
            Ok(())
        })
    }
}

/// What it is found by: the same text for the same credentials.
fn key(whose: &Whose) -> Result<String, Error> {
    to_json(whose, "whose credentials")
}
