//! The demo's API: a shop of Node, and the caller's side of it.

use anyhow::Result;

use super::site::Site;
use crate::api::{Api, Options};

/// The listener, for the end of `sluice.toml`.
pub(super) const LISTEN: &str = "\n[listen.http]\naddress = \"127.0.0.1:0\"\n";

/// The policies, by the file's name.
pub(super) const POLICIES: (&str, &str) = ("50-apis.cedar", include_str!("files/policies/50-apis.cedar"));

/// Starts it. It wants a token, which only Sluice has.
pub(super) fn start() -> Result<Api> {
    Api::start(Options { bearer: true, ..Options::default() })
}

/// Its table in `targets.toml`.
pub(super) fn target(api: &Api) -> String {
    format!(
        "\n[shop]\nprotocol = \"http\"\naddress = \"{}\"\ntls = \"off\"\npath_prefix = \"/shop\"\n\
         credential = {{ bearer = {{ file = \"{}\" }} }}\n\
         routes = [\"GET /v1/customers/{{id}}\", \"DELETE /v1/customers/{{id}}\", \"POST /v1/refunds\"]\n",
        api.address(),
        api.bearer_file().display()
    )
}

/// The environment in which the lines about the API work.
pub(super) fn environment(site: &Site) -> Result<[(&'static str, String); 2]> {
    let address = site.process()?.address("http")?;
    Ok([("SHOP", format!("https://localhost:{}/shop", address.port())), ("CA", site.ca().display().to_string())])
}
