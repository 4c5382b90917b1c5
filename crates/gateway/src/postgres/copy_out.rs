//! COPY TO STDOUT: rows without a description, masked by what the statement and the catalog say of them.

use std::sync::Arc;

use effects::postgres::{CopyDirection, CopyFormat as Layout, CopyText, Statement};
use masking::postgres::{CopyFormat, CopyMasker, CsvFormat, Described, TextFormat};
use model::lineage::{Output, OutputColumn};
use wire::postgres::part::Format;

use super::end::End;
use super::session::Session;

use super::answers::withheld;

/// The text type (pg_type.dat), which COPY's columns are taken for.
const TEXT: u32 = 25;

impl Session {
    pub(super) fn begin_copy_out(&mut self, run: Option<u64>, width: u16, format: Format) -> Result<(), End> {
        let unexpected = End::Target("the target began a COPY that was not asked for");
        let number = run.ok_or_else(|| unexpected.clone())?;
        let run = self.runs.get(&number).ok_or_else(|| unexpected.clone())?;
        let judged = Arc::clone(&run.judged);
        let statement = run.analysed.statements.get(run.at).cloned().ok_or_else(|| unexpected.clone())?;
        let (output, described, layout) = copy_shape(&statement, width, format).ok_or(unexpected)?;
        let plan = self.make_plan(&output, &described, &statement.mentions, &judged);
        let most = usize::try_from(self.limits.row).unwrap_or(usize::MAX);
        if let Some(run) = self.runs.get_mut(&number) {
            run.copy = Some(CopyMasker::new(plan, layout, most));
        }
        Ok(())
    }

    pub(super) fn copy_out(&mut self, run: Option<u64>, data: &[u8]) -> Result<(), End> {
        let masker = run.and_then(|run| self.runs.get_mut(&run)).and_then(|run| run.copy.as_mut());
        let masker = masker.ok_or(End::Target("the target sent COPY data that was not asked for"))?;
        self.outbox.copy_data(masker, data).map_err(withheld)
    }

    pub(super) fn copy_out_done(&mut self, run: Option<u64>) -> Result<(), End> {
        let masker = run.and_then(|run| self.runs.get_mut(&run)).and_then(|run| run.copy.take());
        let masker = masker.ok_or(End::Target("the target ended a COPY that was not begun"))?;
        self.outbox.copy_done(&masker).map_err(withheld)
    }
}

/// What a COPY's stream looks like: the columns that the analysis says, of the width that the target says. One that was
/// not understood is as one value of which nothing is known.
fn copy_shape(statement: &Statement, width: u16, format: Format) -> Option<(Output, Vec<Described>, CopyFormat)> {
    if statement.is_opaque() && statement.copy.is_none() {
        return Some((Output::Unknown, vec![described("".into(), false)], CopyFormat::Unknown));
    }
    let copy = statement.copy.as_ref().filter(|copy| copy.direction == CopyDirection::Out)?;
    let layout = layout(&copy.format);
    if (layout == CopyFormat::Binary) != (format == Format::Binary) {
        return None;
    }
    let binary = format == Format::Binary;
    let columns = copy.columns.as_ref().filter(|columns| columns.len() == usize::from(width));
    let output = columns.map_or(Output::Unknown, |columns| {
        let column =
            |(name, origin): &(Arc<str>, _)| OutputColumn { name: Arc::clone(name), origin: Clone::clone(origin) };
        Output::Rows(columns.iter().map(column).collect())
    });
    let name = |index| columns.and_then(|columns| columns.get(index)).map(|(name, _)| Arc::clone(name));
    let described = (0..usize::from(width)).map(|index| described(name(index).unwrap_or_default(), binary));
    Some((output, described.collect(), layout))
}

fn described(name: Arc<str>, binary: bool) -> Described {
    // In binary, the type decides how a value is read: an unknown one is only ever hidden whole.
    let type_oid = if binary { 0 } else { TEXT };
    Described { name, source: None, whole_row_of: None, type_oid, binary }
}

pub(super) fn layout(format: &Layout) -> CopyFormat {
    match format {
        Layout::Binary => CopyFormat::Binary,
        Layout::Text(CopyText { delimiter, null, header, .. }) => {
            CopyFormat::Text(TextFormat { delimiter: *delimiter, null: null.clone().into_bytes(), header: *header })
        }
        Layout::Csv(CopyText { delimiter, null, quote, escape, header }) => CopyFormat::Csv(CsvFormat {
            delimiter: *delimiter,
            quote: *quote,
            escape: *escape,
            null: null.clone().into_bytes(),
            header: *header,
        }),
    }
}
