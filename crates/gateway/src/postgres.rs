//! PostgreSQL: from an accepted connection to the end of its session.
//!
//! `listener` accepts, `login` says who it is and where it leads, `upstream` connects to the target, `session` runs, turn by
//! turn: `staging` is what goes out in one, `waiting` what comes between two, `closing` the end. In a session, `client` takes
//! what the client sends (with `extended`, `script` and `own_settings`), `query` says what it would do and whether it may,
//! `hold` asks a human, and `answers` masks what the target sends (with `copy_out` and `ends`). `names`, `follow`, `own` and
//! `catalogs` keep what text means.

mod analysed;
mod answers;
mod catalogs;
mod client;
mod closing;
mod copy_in;
mod copy_out;
mod credential;
mod doctor;
mod end;
mod ends;
mod extended;
mod fastpath;
mod follow;
mod hold;
mod listener;
mod login;
mod names;
mod opening;
mod own;
mod own_settings;
mod query;
mod record;
mod refusal;
mod renewal;
mod rest;
mod revise;
mod roles;
mod rotate;
mod run;
mod say;
mod scan;
mod script;
mod server;
mod session;
mod shape;
mod staging;
mod standing;
mod tape;
mod upstream;
mod waiting;
mod wall;

pub(crate) use catalogs::Catalogs;
pub use catalogs::{ExportError, Structure, export as export_catalog, structure};
pub use doctor::{Advised, Report, examine};
pub use listener::Listener;
pub(crate) use own_settings::goes_on;
pub(crate) use roles::Roles;
pub use scan::{
    Contradiction, MOST_SCAN_ROWS, Proposed, SCAN_ROWS, ScanError, ScanProgress, ScanReport, Unsampled, scan, scanned,
};
