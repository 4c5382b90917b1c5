//! One value: masked in its own type and format, or NULL.

use model::disclosure::Counts;

use super::plan::{Column, Part, Treatment};
use crate::error::MaskError;
use crate::lens::Lens;

/// What a value was written as.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Written {
    Value,
    Null,
}

/// Where counts go while values are written.
pub(crate) struct Sink<'a> {
    pub(crate) lens: &'a Lens,
    pub(crate) counts: &'a mut [Counts],
}

/// Appends to `out` what is shown in place of `raw`.
pub(crate) fn write(
    column: &Column,
    raw: &[u8],
    _sink: &mut Sink<'_>,
    out: &mut Vec<u8>,
) -> Result<Written, MaskError> {
    match &column.part {
        Part::Leaf(leaf) if matches!(leaf.treatment, Treatment::Pass) => {
            out.extend_from_slice(raw);
            Ok(Written::Value)
        }
        Part::Leaf(_) | Part::Members(_) => Ok(Written::Null),
    }
}
