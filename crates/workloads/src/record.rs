//! A journal, and what is entered into it for every statement.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result};
use ledger::{Journal, RealDisk, SigningKey};
use model::decision::Outcome;
use model::disclosure::Disclosure;
use model::event::{Entry, Event, Shown};
use model::id::{Digest, RevisionId, SessionId};
use model::time::Timestamp;
use tempfile::TempDir;

const START: u64 = 1_795_406_400_000;

/// A journal in a folder of its own, which goes with it.
pub struct Book {
    journal: Journal,
    folder: TempDir,
    number: u64,
}

impl Book {
    /// An empty one.
    ///
    /// # Errors
    /// If the folder or the journal cannot be made.
    pub fn new() -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("workloads-").tempdir()?;
        let key = SigningKey::from_seed("sluice.example/journal", &[7; 32])?;
        let (journal, _) = Journal::open(Arc::new(RealDisk), folder.path(), key)?;
        Ok(Self { journal, folder, number: 0 })
    }

    /// Enters a statement that was seen before: decided, with one write(2), and completed, with another.
    ///
    /// # Errors
    /// If the disk fails.
    pub fn enter(&mut self) -> Result<()> {
        self.number = self.number.wrapping_add(1);
        let at = Timestamp(START.wrapping_add(self.number));
        drop(self.journal.append(&[decided(self.number, at)])?.at_process());
        drop(self.journal.append(&[completed(self.number, at)])?.at_process());
        Ok(())
    }

    /// How many bytes each of `statements` takes, hash tiles apart, which are made when a journal is exported.
    ///
    /// # Errors
    /// If the disk fails.
    pub fn bytes_each(statements: u32) -> Result<f64> {
        let mut book = Self::new()?;
        let before = length(book.folder.path())?;
        for _ in 0..statements {
            book.enter()?;
        }
        let grown = length(book.folder.path())?.saturating_sub(before);
        Ok(f64::from(u32::try_from(grown)?) / f64::from(statements))
    }
}

fn length(folder: &Path) -> Result<u64> {
    let mut sum = 0u64;
    for file in std::fs::read_dir(folder)? {
        let file = file?;
        if file.path().extension().is_some_and(|extension| extension == "segment") {
            sum = sum.checked_add(file.metadata()?.len()).context("the journal is too long")?;
        }
    }
    Ok(sum)
}

fn decided(number: u64, at: Timestamp) -> Entry {
    let event = Event::Decided {
        request: SessionId::from_bits(0x0123_4567_89ab_cdef).request(number),
        statements: vec![Digest([17; 32])],
        values: vec![Shown::Clear("4711".into())],
        outcome: Outcome::Allow,
        policies: vec!["team-17".into()],
        revision: RevisionId(1),
        approval: None,
        denial: None,
        on_behalf_of: None,
        traceparent: None,
    };
    Entry { at, event }
}

fn completed(number: u64, at: Timestamp) -> Entry {
    let event = Event::Completed {
        request: SessionId::from_bits(0x0123_4567_89ab_cdef).request(number),
        disclosure: Disclosure { rows: 1, bytes: 73, ..Disclosure::default() },
        error: None,
        millis: 2,
    };
    Entry { at, event }
}
