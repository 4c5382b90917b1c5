//! Masking of what PostgreSQL answers: DataRow, CopyData, errors and notices, notifications, parameters.
//!
//! [`plan`] says once per described result what becomes of each column; [`Outbox`] applies it to every row and is the
//! only way for bytes to a client. Message layouts: PostgreSQL documentation, "Message Formats".

mod array;
mod copy;
mod copy_in;
mod given;
mod json;
mod notice;
mod outbox;
mod plan;
mod record;
mod row;
mod shown;
mod sqlstate;
mod text;
mod types;
mod value;
mod zero;

pub use copy::{CopyFormat, CopyMasker, CsvFormat, TextFormat};
pub use copy_in::CopyReader;
pub use given::holds_mask;
pub use outbox::{Outbox, Touched};
pub use plan::{Described, Fate, Plan, Treated, plan};
pub use shown::{Context, shown};

#[cfg(test)]
pub(crate) mod tests;
