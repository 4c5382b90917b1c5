//! Finding and reading the configuration.

use std::path::{Path, PathBuf};

use store::config::{Config, ConfigError};

use super::failure::Failure;

/// Where a configuration is looked for when nobody says where it is.
pub(super) const DEFAULT_CONFIG: &str = "sluice.toml";

/// Where the configuration is.
#[derive(clap::Args, Clone)]
pub(super) struct ConfigArg {
    /// The configuration file; ./sluice.toml unless given
    #[arg(long, short, env = "SLUICE_CONFIG", value_name = "FILE")]
    pub(super) config: Option<PathBuf>,
}

impl ConfigArg {
    /// The file that was named, or the one in this directory.
    pub(super) fn path(&self) -> PathBuf {
        self.config.clone().unwrap_or_else(|| PathBuf::from(DEFAULT_CONFIG))
    }

    /// The file that was named, or the one in this directory if there is one.
    pub(super) fn existing(&self) -> Option<PathBuf> {
        let default = || Some(PathBuf::from(DEFAULT_CONFIG)).filter(|path| path.exists());
        self.config.clone().or_else(default)
    }

    /// Reads it.
    pub(super) fn load(&self) -> Result<Config, Failure> {
        load(&self.path())
    }
}

/// Which data directory.
#[derive(clap::Args)]
pub(super) struct DataDirArg {
    #[command(flatten)]
    config: ConfigArg,
    /// The data directory
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
}

impl DataDirArg {
    /// The one that was named, or that the configuration names.
    pub(super) fn path(&self) -> Result<PathBuf, Failure> {
        match &self.data_dir {
            Some(dir) => Ok(dir.clone()),
            None => Ok(self.config.load()?.data_dir),
        }
    }
}

/// Reads a configuration.
pub(super) fn load(path: &Path) -> Result<Config, Failure> {
    Config::load(path).map_err(|errors| Failure::Failed(lines(&errors)))
}

/// Every mistake on a line of its own.
pub(super) fn lines(errors: &[ConfigError]) -> String {
    let shown: Vec<String> = errors.iter().map(ToString::to_string).collect();
    format!("the configuration has {}\n{}", mistakes(shown.len()), shown.join("\n"))
}

/// `1 mistake`, `2 mistakes`.
pub(super) fn mistakes(count: usize) -> String {
    format!("{count} mistake{}", if count == 1 { "" } else { "s" })
}
