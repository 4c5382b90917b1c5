//! What may be used once.

use model::id::Digest;
use model::time::Timestamp;
use rusqlite::params;

use super::Sqlite;
use super::codec::time;
use crate::Error;

/// How much is remembered at a time. With more nothing is accepted: what is forgotten could be used again.
const MOST: u32 = 100_000;

impl Sqlite {
    /// Notes a use; whether it is the first.
    pub(super) fn note_use(&self, digest: &Digest, ends_at: Timestamp, now: Timestamp) -> Result<bool, Error> {
        self.write(|tx| {
            tx.prepare_cached("DELETE FROM used_once WHERE ends_at <= ?")?.execute([time(now)])?;
            let held: u32 = tx.prepare_cached("SELECT count(*) FROM used_once")?.query_row([], |row| row.get(0))?;
            if held >= MOST {
                return Err(Error::Full("what was used once"));
            }
            let sql = "INSERT INTO used_once (digest, ends_at) VALUES (?, ?) ON CONFLICT DO NOTHING";
            Ok(tx.prepare_cached(sql)?.execute(params![digest.0, time(ends_at)])? == 1)
        })
    }
}
