//! COPY FROM STDIN: data that is a mask does not get into a column of its class (RULES.md 10).

use std::sync::Arc;

use bytes::Bytes;
use effects::postgres::{Copy, CopyDirection};
use masking::postgres::{CopyReader, holds_mask};
use model::effect::ColumnName;
use model::lineage::Origin;
use wire::postgres::frame::{Frame, FrontendTag, HEADER};
use wire::postgres::frontend::Frontend;
use wire::postgres::pipeline::Sent;

use super::copy_out::layout;
use super::refusal::Refusal;
use super::say;
use super::session::Session;

/// One COPY that comes in.
pub(super) struct CopyIn {
    /// Which of the request's statements it is.
    at: usize,
    /// Where each field goes.
    columns: Vec<Option<ColumnName>>,
    /// `None` if no field goes into a classified column: then nothing is looked at.
    reader: Option<CopyReader>,
}

impl Session {
    /// Looks at a message of a COPY's data. What goes to the target: the message, the end of the COPY in its place if it
    /// brings a mask, and nothing of what comes after that.
    pub(super) fn looked_at(
        &mut self,
        run: Option<u64>,
        end: Option<Sent>,
        bytes: &Bytes,
    ) -> Option<(Option<Sent>, Bytes)> {
        let run = run?;
        if self.runs.get(&run)?.refused.is_some() {
            return None;
        }
        match self.mask_in_copy(run, bytes) {
            Some(column) => {
                self.runs.get_mut(&run)?.refused = Some(Refusal::MaskAsData(column));
                Some((Some(Sent::CopyFail), say::copy_fail("refused by sluice")))
            }
            None => Some((end, bytes.clone())),
        }
    }

    /// The column to which a mask would be written by what has come in so far.
    fn mask_in_copy(&mut self, run: u64, bytes: &Bytes) -> Option<Arc<str>> {
        let (labels, lens) = (self.labels(), Arc::clone(&self.lens));
        let run = self.runs.get_mut(&run)?;
        if run.copy_in.as_ref().is_none_or(|copy| copy.at != run.at) {
            let copy = run.analysed.statements.get(run.at)?.copy.as_ref()?;
            let classified = |column: &ColumnName| labels.marking(column).classes().next().is_some();
            run.copy_in = CopyIn::of(copy, run.at, classified);
        }
        let CopyIn { columns, reader, .. } = run.copy_in.as_mut()?;
        let reader = reader.as_mut()?;
        let column = |at: usize| columns.get(at).and_then(Option::as_ref);
        let mut find = |at: usize, value: &[u8]| {
            column(at).is_some_and(|column| holds_mask(&lens, value, labels.marking(column).classes()))
        };
        let tag = bytes.first().copied().and_then(FrontendTag::from_byte)?;
        let frame = Frame { tag, body: bytes.get(HEADER..)?, bytes };
        let found = match Frontend::parse(&frame) {
            Ok(Frontend::CopyData(data)) => reader.feed(data.get(), &mut find),
            Ok(Frontend::CopyDone) => reader.end(&mut find),
            _ => None,
        };
        Some(column(found?)?.to_string().into())
    }
}

impl CopyIn {
    fn of(copy: &Copy, at: usize, classified: impl Fn(&ColumnName) -> bool) -> Option<Self> {
        if copy.direction != CopyDirection::In {
            return None;
        }
        let name = |origin: &Origin| match origin {
            Origin::Column(column) => Some(column.clone()),
            _ => None,
        };
        let columns: Vec<_> = copy.columns.as_ref()?.iter().map(|(_, origin)| name(origin)).collect();
        let watched: Vec<bool> = columns.iter().map(|column| column.as_ref().is_some_and(&classified)).collect();
        let reader = watched.contains(&true).then(|| CopyReader::new(layout(&copy.format), watched));
        Some(Self { at, columns, reader })
    }
}
