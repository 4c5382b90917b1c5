//! The files of revisions, and proposed changes of them.

use model::id::{ProposalId, RevisionId};
use model::time::Timestamp;
use rusqlite::{OptionalExtension, Row, Transaction, params};

use super::Sqlite;
use super::codec::{count, digest, from_json, moment, number, time, to_json};
use crate::Error;
use crate::history::{KeptRevision, MOST_REVISIONS};
use crate::proposal::{MOST_OPEN, MOST_OPEN_OF_ONE, Proposal, ProposalStatus};
use crate::revision::RevisionText;

/// How many proposals are kept that have ended.
const MOST_ENDED: u32 = 200;
/// How many one list shows.
const MOST_LISTED: u32 = 400;

impl Sqlite {
    /// Keeps the files of a revision, and forgets those of the oldest.
    pub(super) fn put_revision_files(&self, revision: RevisionId, files: &[RevisionText]) -> Result<(), Error> {
        let key = count(revision.0);
        self.write(|tx| {
            tx.execute("DELETE FROM revision_files WHERE number = ?", [key])?;
            for file in files {
                if let Some(text) = &file.text {
                    let sql = "INSERT INTO revision_texts (digest, text) VALUES (?, ?) ON CONFLICT DO NOTHING";
                    tx.prepare_cached(sql)?.execute(params![file.digest.0, text])?;
                }
                let sql = "INSERT INTO revision_files (number, path, digest, shown) VALUES (?, ?, ?, ?)";
                let shown = file.text.is_some();
                tx.prepare_cached(sql)?.execute(params![key, file.path, file.digest.0, shown])?;
            }
            let oldest = key.saturating_sub(i64::from(MOST_REVISIONS));
            tx.execute("DELETE FROM revision_files WHERE number <= ?", [oldest])?;
            let unused = "DELETE FROM revision_texts WHERE digest NOT IN (SELECT digest FROM revision_files)";
            tx.execute(unused, [])?;
            Ok(())
        })
    }

    pub(super) fn list_revisions(&self) -> Result<Vec<KeptRevision>, Error> {
        self.write(|tx| {
            let mut statement = tx.prepare_cached(
                "SELECT r.number, r.digest, r.at, p.proposal,
                        EXISTS (SELECT 1 FROM revision_files f WHERE f.number = r.number)
                 FROM revisions r LEFT JOIN proposals p ON p.revision = r.number
                 ORDER BY r.number DESC LIMIT ?",
            )?;
            let mut found = statement.query([MOST_REVISIONS])?;
            let mut revisions = Vec::new();
            while let Some(row) = found.next()? {
                let proposal = row.get::<_, Option<String>>(3)?;
                let proposal = proposal.map(|text| from_json::<Proposal>(&text, "a proposal")).transpose()?;
                revisions.push(KeptRevision {
                    revision: RevisionId(number(row.get(0)?)),
                    digest: digest(&row.get::<_, Vec<u8>>(1)?)?,
                    at: moment(row.get(2)?),
                    proposal: proposal.as_ref().map(|proposal| proposal.id),
                    by: proposal.and_then(|proposal| proposal.ended).map(|ended| ended.by),
                    has_files: row.get(4)?,
                });
            }
            Ok(revisions)
        })
    }

    pub(super) fn files_of_revision(&self, revision: RevisionId) -> Result<Option<Vec<RevisionText>>, Error> {
        self.write(|tx| {
            let mut statement = tx.prepare_cached(
                "SELECT f.path, f.digest, CASE WHEN f.shown THEN t.text END
                 FROM revision_files f LEFT JOIN revision_texts t ON t.digest = f.digest
                 WHERE f.number = ? ORDER BY f.path",
            )?;
            let mut found = statement.query([count(revision.0)])?;
            let mut files = Vec::new();
            while let Some(row) = found.next()? {
                let digest = digest(&row.get::<_, Vec<u8>>(1)?)?;
                files.push(RevisionText { path: row.get(0)?, digest, text: row.get(2)? });
            }
            Ok(Some(files).filter(|files| !files.is_empty()))
        })
    }

    pub(super) fn insert_proposal(&self, proposal: &Proposal, now: Timestamp) -> Result<bool, Error> {
        self.write(|tx| {
            let open = open_proposals(tx)?;
            let is_open = |other: &&Proposal| other.status_at(now) == ProposalStatus::Open;
            let of_one = open.iter().filter(is_open).filter(|other| other.author == proposal.author).count();
            if open.iter().filter(is_open).count() >= MOST_OPEN || of_one >= MOST_OPEN_OF_ONE {
                return Ok(false);
            }
            let sql = "INSERT INTO proposals (id, version, status, author, changed_at, revision, proposal, changes)
                       VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";
            let id = proposal.id.bits().cast_signed();
            let changes = to_json(&proposal.changes, "changes")?;
            tx.execute(
                sql,
                params![
                    id,
                    count(proposal.version),
                    status_word(proposal.status),
                    proposal.author.to_string(),
                    time(proposal.changed_at),
                    revision(proposal),
                    to_json(proposal, "a proposal")?,
                    changes
                ],
            )?;
            let ended =
                "DELETE FROM proposals WHERE id IN (SELECT id FROM proposals WHERE status <> 'open' OR changed_at < ?1
                         ORDER BY changed_at DESC LIMIT -1 OFFSET ?2)";
            // What nobody wanted in time is among those that have ended.
            let over = time(Timestamp(now.0.saturating_sub(crate::proposal::LIFE)));
            tx.execute(ended, params![over, MOST_ENDED])?;
            Ok(true)
        })
    }

    pub(super) fn find_proposal(&self, id: ProposalId) -> Result<Option<Proposal>, Error> {
        self.write(|tx| {
            let sql = "SELECT proposal, changes FROM proposals WHERE id = ?";
            let found = tx.query_row(sql, [id.bits().cast_signed()], texts).optional()?;
            found.map(|(proposal, changes)| whole(&proposal, &changes)).transpose()
        })
    }

    pub(super) fn list_proposals(&self) -> Result<Vec<Proposal>, Error> {
        self.write(|tx| {
            let mut statement =
                tx.prepare_cached("SELECT proposal FROM proposals ORDER BY changed_at DESC, id LIMIT ?")?;
            let mut found = statement.query([MOST_LISTED])?;
            let mut proposals = Vec::new();
            while let Some(row) = found.next()? {
                proposals.push(from_json(&row.get::<_, String>(0)?, "a proposal")?);
            }
            Ok(proposals)
        })
    }

    pub(super) fn replace_proposal(&self, proposal: &Proposal) -> Result<bool, Error> {
        let next = Proposal { version: proposal.version.saturating_add(1), ..proposal.clone() };
        self.write(|tx| {
            let sql = "UPDATE proposals SET version = ?2, status = ?3, changed_at = ?4, revision = ?5, proposal = ?6,
                              changes = ?7
                       WHERE id = ?1 AND version = ?8 AND status = 'open'";
            let id = next.id.bits().cast_signed();
            let changed = tx.execute(
                sql,
                params![
                    id,
                    count(next.version),
                    status_word(next.status),
                    time(next.changed_at),
                    revision(&next),
                    to_json(&next, "a proposal")?,
                    to_json(&next.changes, "changes")?,
                    count(proposal.version)
                ],
            )?;
            Ok(changed == 1)
        })
    }
}

fn open_proposals(tx: &Transaction<'_>) -> Result<Vec<Proposal>, Error> {
    let mut statement = tx.prepare_cached("SELECT proposal FROM proposals WHERE status = 'open'")?;
    let mut found = statement.query([])?;
    let mut proposals = Vec::new();
    while let Some(row) = found.next()? {
        proposals.push(from_json(&row.get::<_, String>(0)?, "a proposal")?);
    }
    Ok(proposals)
}

fn texts(row: &Row<'_>) -> rusqlite::Result<(String, String)> {
    Ok((row.get(0)?, row.get(1)?))
}

fn whole(proposal: &str, changes: &str) -> Result<Proposal, Error> {
    let changes = from_json(changes, "changes")?;
    Ok(Proposal { changes, ..from_json(proposal, "a proposal")? })
}

fn revision(proposal: &Proposal) -> Option<i64> {
    Some(count(proposal.ended.as_ref()?.revision?.0))
}

/// An expired one is open in the table: its time says that it is not.
const fn status_word(status: ProposalStatus) -> &'static str {
    match status {
        ProposalStatus::Open | ProposalStatus::Expired => "open",
        ProposalStatus::Applied => "applied",
        ProposalStatus::Withdrawn => "withdrawn",
    }
}
