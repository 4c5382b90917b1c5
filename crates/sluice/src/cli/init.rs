//! `sluice init`

use std::io::Write;
use std::path::{Path, PathBuf};

use store::config::{
    TEMPLATE_CLASSIFICATION_TOML, TEMPLATE_SLUICE_TOML, TEMPLATE_SSH_KEYS_TOML, TEMPLATE_TARGETS_TOML,
};

use super::failure::Failure;
use super::{put, show};

const ADMIN: &str = include_str!("init/admin.cedar");
const EXAMPLE: &str = include_str!("init/example.cedar");

/// Write a configuration to begin with
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  sluice init\n  sluice init /etc/sluice")]
pub(super) struct Args {
    /// Where to write it
    #[arg(default_value = ".")]
    dir: PathBuf,
}

/// What is written where.
const fn files() -> [(&'static str, &'static str); 7] {
    [
        ("sluice.toml", TEMPLATE_SLUICE_TOML),
        ("revision/targets.toml", TEMPLATE_TARGETS_TOML),
        ("revision/classification.toml", TEMPLATE_CLASSIFICATION_TOML),
        ("revision/ssh_keys.toml", TEMPLATE_SSH_KEYS_TOML),
        ("revision/policies/baseline.cedar", ::policy::BASELINE),
        ("revision/policies/admin.cedar", ADMIN),
        ("revision/policies/example.cedar", EXAMPLE),
    ]
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    let there: Vec<String> = files()
        .iter()
        .map(|(name, _)| args.dir.join(name))
        .filter(|path| path.symlink_metadata().is_ok())
        .map(|path| path.display().to_string())
        .collect();
    if !there.is_empty() {
        return Err(Failure::failed(format!(
            "nothing was written, as this would overwrite {}; choose another directory",
            there.join(", ")
        )));
    }
    for (name, text) in files() {
        write(&args.dir.join(name), text)?;
    }
    put(&next_steps(&args.dir))
}

/// Creates the file, which must not be there.
fn write(path: &Path, text: &str) -> Result<(), Failure> {
    let failed = |error: std::io::Error| Failure::failed(format!("{}: {error}", path.display()));
    if let Some(dir) = path.parent() {
        std::fs::create_dir_all(dir).map_err(failed)?;
    }
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).open(path).map_err(failed)?;
    file.write_all(text.as_bytes()).map_err(failed)
}

fn next_steps(dir: &Path) -> String {
    let config = show::safe(&dir.join("sluice.toml").display().to_string());
    let revision = show::safe(&dir.join("revision").display().to_string());
    let mut out = String::from("Written:\n");
    for (name, _) in files() {
        out.push_str(&format!("  {}\n", show::safe(&dir.join(name).display().to_string())));
    }
    out.push_str(&format!(
        "\nNext:\n\
         \x20 1. Name your issuer in {config}, and your server in {revision}/targets.toml.\n\
         \x20 2. Say who may do what in {revision}/policies/example.cedar.\n\
         \x20 3. sluice check --config {config}\n\
         \x20 4. sluice serve --config {config}\n\
         \x20 5. sluice whoami --config {config}      the first administrator: whoever can read the data directory\n"
    ));
    out
}
