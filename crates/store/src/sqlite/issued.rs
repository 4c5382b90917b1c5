//! What was issued, as far as it is kept: never itself. The table is called after passwords, which were the first.

use model::time::Timestamp;
use rusqlite::params;

use super::Sqlite;
use super::codec::{digest, moment, time};
use crate::Error;
use crate::issued::KeptCredential;

impl Sqlite {
    /// Keeps one.
    pub(super) fn insert_credential(&self, issued: &KeptCredential) -> Result<(), Error> {
        self.write(|tx| {
            let sql = "INSERT INTO passwords (digest, stands_for, expires_at) VALUES (?, ?, ?)";
            tx.execute(sql, params![issued.digest.0, issued.stands_for, time(issued.expires_at)])?;
            Ok(())
        })
    }

    /// Lists what has not ended.
    pub(super) fn list_credentials(&self, now: Timestamp) -> Result<Vec<KeptCredential>, Error> {
        let connection = super::locked(&self.state);
        let sql = "SELECT digest, stands_for, expires_at FROM passwords WHERE expires_at > ?";
        let mut statement = connection.prepare_cached(sql)?;
        let mut rows = statement.query([time(now)])?;
        let mut found = Vec::new();
        while let Some(row) = rows.next()? {
            let (of, stands_for, expires_at): (Vec<u8>, String, i64) = (row.get(0)?, row.get(1)?, row.get(2)?);
            found.push(KeptCredential { digest: digest(&of)?, stands_for, expires_at: moment(expires_at) });
        }
        Ok(found)
    }

    /// Removes some.
    pub(super) fn delete_credentials(&self, digests: &[model::id::Digest]) -> Result<(), Error> {
        self.write(|tx| {
            let mut statement = tx.prepare_cached("DELETE FROM passwords WHERE digest = ?")?;
            for digest in digests {
                statement.execute([digest.0])?;
            }
            Ok(())
        })
    }

    /// Removes what has ended.
    pub(super) fn sweep_credentials(&self, now: Timestamp) -> Result<(), Error> {
        self.write(|tx| {
            tx.execute("DELETE FROM passwords WHERE expires_at <= ?", [time(now)])?;
            Ok(())
        })
    }
}
