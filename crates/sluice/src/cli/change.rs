//! What the commands share by which somebody changes what is believed: a reason for the record, and how the answer is
//! shown.

use serde_json::Value;

use super::connect::Connect;
use super::failure::Failure;
use super::{put, put_line, show};

/// Why, and of which Sluice
#[derive(clap::Args)]
pub(super) struct ChangeArgs {
    /// Why, for the record
    #[arg(long)]
    pub(super) reason: Option<String>,
    #[command(flatten)]
    connect: Connect,
    /// For programs
    #[arg(long)]
    json: bool,
}

impl ChangeArgs {
    /// Asks for the change, and says what became of it: for people as `told` has it.
    pub(super) fn post(&self, path: &str, body: &Value, told: impl FnOnce(&Value) -> String) -> Result<(), Failure> {
        let answer = self.connect.client()?.post(path, body)?;
        if self.json { put(&show::json(&answer)) } else { put_line(&told(&answer)) }
    }
}
