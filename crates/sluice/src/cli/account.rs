//! Which issuer, and as which of its clients: what `connect` and `login` both ask for.

use std::path::PathBuf;

use connect::issuer::{IssuerError, Wanted};
use connect::login::kept::KeptLogin;

use super::failure::Failure;

/// The issuer
#[derive(clap::Args, Clone)]
#[command(next_help_heading = "The issuer")]
pub(super) struct AccountArgs {
    /// The issuer's URL, exactly as it calls itself
    #[arg(long, env = "SLUICE_ISSUER", value_name = "URL")]
    pub(super) issuer: Option<String>,
    /// The CA of the issuer's certificate, if not one of the system's
    #[arg(long, env = "SLUICE_ISSUER_CA_FILE", value_name = "FILE")]
    pub(super) issuer_ca_file: Option<PathBuf>,
    /// The client's id at the issuer
    #[arg(long, env = "SLUICE_CLIENT_ID", value_name = "ID")]
    pub(super) client_id: Option<String>,
    /// A file with the client's secret
    #[arg(long, env = "SLUICE_CLIENT_SECRET_FILE", value_name = "FILE")]
    pub(super) client_secret_file: Option<PathBuf>,
    /// The scope to ask for, separated by spaces
    #[arg(long, env = "SLUICE_SCOPE", value_name = "SCOPE")]
    scope: Option<String>,
    /// The audience to ask for, where the issuer goes by that name
    #[arg(long, env = "SLUICE_AUDIENCE", value_name = "NAME")]
    audience: Option<String>,
    /// The resource to ask for (RFC 8707)
    #[arg(long, env = "SLUICE_RESOURCE", value_name = "URI")]
    resource: Option<String>,
}

impl AccountArgs {
    /// What to ask for; what is not said here is as it was.
    pub(super) fn wanted(&self, otherwise: &Wanted) -> Wanted {
        let or = |said: &Option<String>, otherwise: &Option<String>| said.clone().or_else(|| otherwise.clone());
        Wanted {
            scope: or(&self.scope, &otherwise.scope),
            audience: or(&self.audience, &otherwise.audience),
            resource: or(&self.resource, &otherwise.resource),
        }
    }
}

/// Where the login of this user is kept.
pub(super) fn login() -> Result<KeptLogin, Failure> {
    let variable = |name| std::env::var_os(name).map(PathBuf::from);
    let path = KeptLogin::default_path(variable("XDG_STATE_HOME"), variable("HOME"));
    let path = path.ok_or_else(|| Failure::Usage(String::from("there is no HOME to keep a login in")))?;
    Ok(KeptLogin::at(path))
}

/// Whoever does not answer may be asked again, and whoever refuses may not.
pub(super) fn failure(error: &IssuerError) -> Failure {
    match error {
        IssuerError::Http { error: cause, .. } if cause.is_transient() => Failure::Unreachable(error.to_string()),
        _ => Failure::failed(error),
    }
}
