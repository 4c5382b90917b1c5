//! The demo's cluster: an API server of Kubernetes in memory, and the caller's side of it.

use std::process::Command;

use anyhow::Result;

use super::site::{ENGINEER, Site};
use crate::api::Api;
use crate::command::{development_directory, run};

/// The policies, by the file's name.
pub(super) const POLICIES: (&str, &str) = ("60-cluster.cedar", include_str!("files/policies/60-cluster.cedar"));

/// Its table in `targets.toml`. It takes the token that only Sluice has.
pub(super) fn target(api: &Api) -> String {
    format!(
        "\n[prod]\nprotocol = \"kubernetes\"\naddress = \"{}\"\ntls = \"off\"\npath_prefix = \"/prod\"\nhold = \"1m\"\n\
         credential = {{ bearer = {{ file = \"{}\" }} }}\n",
        api.address(),
        api.bearer_file().display()
    )
}

/// Has `sluice connect` write a kubeconfig, which holds no token.
pub(super) fn introduce(site: &Site) -> Result<()> {
    let server = format!("https://localhost:{}", site.process()?.address("http")?.port());
    let mut command = Command::new(site.binary());
    command.args(["connect", "prod", "--http", &server, "--kubeconfig"]).arg(kubeconfig(site));
    command.arg("--ca-file").arg(site.ca()).arg("--token-file").arg(site.token_file(ENGINEER.name));
    run(command, b"")?.success().map(drop)
}

/// The environment in which the lines with kubectl work.
pub(super) fn environment(site: &Site, path: &str) -> [(&'static str, String); 4] {
    let kubectl = development_directory().join("kubernetes/bin");
    [
        ("KUBECONFIG", kubeconfig(site).display().to_string()),
        ("KUBECACHEDIR", site.home().join("clients/kubectl").display().to_string()),
        ("NO_PROXY", "localhost".to_owned()),
        ("PATH", format!("{}:{path}", kubectl.display())),
    ]
}

fn kubeconfig(site: &Site) -> std::path::PathBuf {
    site.home().join("clients/kubeconfig")
}
