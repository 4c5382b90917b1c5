//! Masking of what PostgreSQL answers: DataRow, CopyData, errors and notices, notifications, parameters.
//!
//! [`plan`] says once per described result what becomes of each column; [`Outbox`] applies it to every row and is the
//! only way for bytes to a client. Message layouts: PostgreSQL documentation, "Message Formats".

mod copy;
mod outbox;
mod plan;
mod shown;
mod types;
mod value;

pub use copy::{CopyFormat, CopyMasker, CsvFormat, TextFormat};
pub use outbox::{Outbox, Touched};
pub use plan::{Described, Plan, plan};
pub use shown::{Context, shown};
