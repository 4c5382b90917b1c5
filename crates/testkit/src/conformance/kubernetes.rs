//! `./dev conformance kubernetes`: a real cluster behind Sluice, with kubectl and the client of Python in front of it; and the
//! audit log of the API server beside the journal.

#[expect(clippy::indexing_slicing, reason = "what a JSON value has not is null")]
mod audit;
mod trial;

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Result, ensure};

use self::trial::Trial;
use super::report::line;
use crate::cluster::{Cluster, Programs};
use crate::command::{Output, development_directory, run as run_command};
use crate::demo::site::Site;
use crate::issuer::Grant;
use crate::tls::CertificateFiles;

/// What is in the cluster before anybody comes.
const OBJECTS: &str = include_str!("kubernetes/objects.yaml");
const POLICIES: &str = include_str!("kubernetes/policies.cedar");
const BASELINE: &str = include_str!("../../../policy/shipped/baseline.cedar");
const CLASSIFICATION: &str = "[classes.card_number]\nmask = \"partial\"\nkeep_last = 4\n";

/// Starts a cluster from what is installed there, and the `sluice` program in front of it, and tries all of it.
///
/// # Errors
/// Something does not start, or does otherwise than it must.
pub fn run(installed: &Path, sluice: &Path) -> Result<()> {
    let kubectl = development_directory().join("kubernetes/bin/kubectl");
    let programs = Programs { directory: installed.to_owned(), kubectl };
    let mut cluster = Cluster::start(&programs)?;
    cluster.start_node(&installed.join("image.tar"))?;
    cluster.apply(OBJECTS)?;
    cluster.direct(&["wait", "-n", "dev", "pod/web", "--for=condition=Ready", "--timeout=120s"])?;
    line("a cluster of one node runs, and a pod on it");
    let front = Front::new(cluster, programs, sluice)?;
    Trial(&front).run()?;
    audit::compare(&front)
}

/// A cluster, and a Sluice in front of it.
struct Front {
    // In this order: Sluice ends before its target.
    site: Site,
    cluster: Cluster,
    programs: Programs,
}

impl Front {
    fn new(cluster: Cluster, programs: Programs, sluice: &Path) -> Result<Self> {
        let CertificateFiles { certificate, key } = cluster.member("sluice", "sluice")?;
        let ca = certificate.with_file_name("authority.crt");
        let target = format!(
            "[prod]\nprotocol = \"kubernetes\"\naddress = \"127.0.0.1:{}\"\nca_file = \"{}\"\nclient_cert = \"{}\"\n\
             client_key = \"{}\"\ncredential = {{ none = true }}\npath_prefix = \"/prod\"\nhold = \"30s\"\n\
             impersonate = {{ user = \"sluice:{{id}}\", groups = [\"{{group}}\"], extra = true }}\n",
            cluster.port(),
            ca.display(),
            certificate.display(),
            key.display(),
        );
        let revision = [
            ("targets.toml", target),
            ("classification.toml", CLASSIFICATION.to_owned()),
            ("policies/00-baseline.cedar", BASELINE.to_owned()),
            ("policies/10-prod.cedar", POLICIES.to_owned()),
        ];
        let listen = "\n[listen.http]\naddress = \"127.0.0.1:0\"\n";
        let mut site = Site::with_revision(sluice.to_owned(), listen, &revision)?;
        site.start()?;
        let front = Self { site, cluster, programs };
        for (name, groups) in [("erin", &["developers"][..]), ("olga", &["operators"])] {
            front.site.hand_out(name, Grant::new(name).groups(groups.iter().copied()))?;
            front.write_kubeconfig(name)?;
        }
        Ok(front)
    }

    /// Where the kubeconfig of somebody is.
    fn kubeconfig(&self, name: &str) -> PathBuf {
        self.site.home().join(format!("{name}.kubeconfig"))
    }

    /// As users write theirs.
    fn write_kubeconfig(&self, name: &str) -> Result<()> {
        let port = self.site.process()?.address("http")?.port();
        let mut command = Command::new(self.site.binary());
        command.args(["connect", "prod", "--http", &format!("https://localhost:{port}")]);
        command.arg("--kubeconfig").arg(self.kubeconfig(name)).arg("--ca-file").arg(self.site.ca());
        command.arg("--token-file").arg(self.site.token_file(name));
        run_command(command, b"")?.success().map(drop)
    }

    /// Runs kubectl as somebody, through Sluice.
    fn kubectl(&self, name: &str, arguments: &[&str]) -> Result<Output> {
        self.kubectl_with(name, arguments, &[], b"")
    }

    fn kubectl_with(
        &self,
        name: &str,
        arguments: &[&str],
        environment: &[(&str, &str)],
        input: &[u8],
    ) -> Result<Output> {
        let mut command = self.command(name);
        command.args(arguments).envs(environment.iter().copied());
        run_command(command, input)
    }

    fn command(&self, name: &str) -> Command {
        let mut command = Command::new(&self.programs.kubectl);
        command.env("KUBECONFIG", self.kubeconfig(name)).env("HOME", self.site.home()).env("NO_PROXY", "*");
        command.args(["--context", "prod", "-n", "dev"]);
        command
    }

    /// The same command directly and through Sluice gives the same.
    fn is_same(&self, name: &str, arguments: &[&str]) -> Result<Output> {
        let direct = self.cluster.kubectl(&[&["-n", "dev"], arguments].concat())?;
        let through = self.kubectl(name, arguments)?;
        let is_same = (direct.status.code(), &direct.stdout) == (through.status.code(), &through.stdout);
        ensure!(is_same, "{arguments:?} differs: directly {direct:?}, through Sluice {through:?}");
        Ok(through)
    }
}

/// Says that something was shown.
fn shown(what: &str) {
    line(&format!("  shown: {what}"));
}
