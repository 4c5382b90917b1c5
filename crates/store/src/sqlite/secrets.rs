//! Sealed secrets and the numbers of revisions.

use model::id::{Digest, RevisionId};
use model::time::Timestamp;
use rusqlite::{OptionalExtension, Transaction, params};

use super::Sqlite;
use super::codec::{count, moment, number, time};
use crate::Error;
use crate::vault::{SealedSecret, SecretInfo, VaultChange};

impl Sqlite {
    /// Stores a sealed secret.
    pub(super) fn store_sealed(
        &self,
        name: &str,
        sealed: &SealedSecret,
        by: &str,
        now: Timestamp,
    ) -> Result<(), Error> {
        self.write(|tx| {
            tx.execute(
                "INSERT INTO secrets (name, sealed, created_at, updated_at) VALUES (?1, ?2, ?3, ?3)
                 ON CONFLICT (name) DO UPDATE SET sealed = excluded.sealed, updated_at = excluded.updated_at",
                params![name, sealed.0, time(now)],
            )?;
            note_change(tx, "secret.set", name, by, now)
        })
    }

    /// Reads a sealed secret.
    pub(super) fn load_sealed(&self, name: &str) -> Result<Option<SealedSecret>, Error> {
        self.write(|tx| {
            let sql = "SELECT sealed FROM secrets WHERE name = ?";
            Ok(tx.query_row(sql, [name], |row| row.get(0).map(SealedSecret)).optional()?)
        })
    }

    /// Lists secrets.
    pub(super) fn list_secrets(&self) -> Result<Vec<SecretInfo>, Error> {
        self.write(|tx| {
            let mut statement = tx.prepare("SELECT name, created_at, updated_at FROM secrets ORDER BY name")?;
            let found = statement.query_map([], |row| {
                Ok(SecretInfo { name: row.get(0)?, created_at: moment(row.get(1)?), updated_at: moment(row.get(2)?) })
            })?;
            Ok(found.collect::<Result<_, _>>()?)
        })
    }

    /// Removes a secret.
    pub(super) fn delete_sealed(&self, name: &str, by: &str, now: Timestamp) -> Result<bool, Error> {
        self.write(|tx| {
            let was_there = tx.execute("DELETE FROM secrets WHERE name = ?", [name])? > 0;
            if was_there {
                note_change(tx, "secret.remove", name, by, now)?;
            }
            Ok(was_there)
        })
    }

    /// Changes of the vault that are not recorded.
    pub(super) fn list_vault_changes(&self) -> Result<Vec<VaultChange>, Error> {
        // Asked each second: without a transaction, which would keep writers waiting.
        let connection = super::locked(&self.state);
        let sql = "SELECT number, action, name, by, at FROM vault_changes ORDER BY number LIMIT 100";
        let mut statement = connection.prepare_cached(sql)?;
        let found = statement.query_map([], |row| {
            let (action, name, by) = (row.get(1)?, row.get(2)?, row.get(3)?);
            Ok(VaultChange { number: number(row.get(0)?), action, name, by, at: moment(row.get(4)?) })
        })?;
        Ok(found.collect::<Result<_, _>>()?)
    }

    /// Forgets changes that are recorded.
    pub(super) fn forget_vault_changes(&self, last: u64) -> Result<(), Error> {
        self.write(|tx| {
            tx.execute("DELETE FROM vault_changes WHERE number <= ?", [count(last)])?;
            Ok(())
        })
    }

    /// The vault's check value.
    pub(super) fn check_value(&self, first: &SealedSecret, by: &str, now: Timestamp) -> Result<SealedSecret, Error> {
        self.write(|tx| {
            if tx.execute("INSERT OR IGNORE INTO vault_check (one, sealed) VALUES (1, ?)", [&first.0])? > 0 {
                note_change(tx, "vault.make", "", by, now)?;
            }
            Ok(tx.query_row("SELECT sealed FROM vault_check", [], |row| row.get(0).map(SealedSecret))?)
        })
    }

    /// The number of a revision.
    pub(super) fn number_of_revision(&self, digest: Digest, now: Timestamp) -> Result<RevisionId, Error> {
        self.write(|tx| {
            let latest = "SELECT number, digest FROM revisions ORDER BY number DESC LIMIT 1";
            let latest: Option<(i64, Vec<u8>)> =
                tx.query_row(latest, [], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
            let latest_number = latest.as_ref().map_or(0, |(stored, _)| number(*stored));
            if latest.is_some_and(|(_, stored)| stored == digest.0) {
                return Ok(RevisionId(latest_number));
            }
            let next = latest_number.saturating_add(1);
            let sql = "INSERT INTO revisions (number, digest, at) VALUES (?, ?, ?)";
            tx.execute(sql, params![count(next), digest.0, time(now)])?;
            Ok(RevisionId(next))
        })
    }
}

fn note_change(tx: &Transaction<'_>, action: &str, name: &str, by: &str, now: Timestamp) -> Result<(), Error> {
    let sql = "INSERT INTO vault_changes (action, name, by, at) VALUES (?, ?, ?, ?)";
    tx.execute(sql, params![action, name, by, time(now)])?;
    Ok(())
}
