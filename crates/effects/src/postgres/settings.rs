//! The one table of settings (RULES.md 2), for StartupMessage parameters, `options=-c`, SET, RESET and `set_config`.

use model::effect::SettingClass;

/// What changing a setting can do. Names compare without regard to case, as at the server.
pub fn classify(name: &str) -> SettingClass {
    let _ = name;
    SettingClass::Server
}

/// The value that Sluice pins a setting to, if it does. Setting it to that value again is benign.
pub fn pinned(name: &str) -> Option<&'static str> {
    let _ = name;
    None
}

/// Whether `value` is what `name` is pinned to, in any of the spellings that the server takes.
pub fn is_pinned_value(name: &str, value: &str) -> bool {
    pinned(name) == Some(value)
}

/// Why a StartupMessage's `options` cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`options` may hold only settings, each as -c name=value or --name=value")]
pub struct InvalidOptions;

/// Reads the settings of a StartupMessage's `options` (`-c name=value`, `--name=value`).
///
/// # Errors
/// If there is any other switch, or one without a value.
pub fn parse_options(options: &str) -> Result<Vec<(String, String)>, InvalidOptions> {
    if options.trim().is_empty() { Ok(Vec::new()) } else { Err(InvalidOptions) }
}
