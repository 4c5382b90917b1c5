//! `sluice connect --kubeconfig`: a kubeconfig for clients of Kubernetes, and the credential plugin that it names.

use std::path::PathBuf;
use std::time::SystemTime;

use connect::config::Settings;
use connect::kubernetes::{Cluster, KubernetesError, Wanted, exec_credential, write};
use connect::tls::CertificateFiles;

use super::super::account;
use super::super::failure::Failure;
use super::super::{put_line, show};
use super::{Args, settings};

/// A kubeconfig, in place of doors
#[derive(clap::Args, Clone)]
#[command(next_help_heading = "A kubeconfig, in place of doors")]
pub(super) struct KubernetesArgs {
    /// Write a kubeconfig for the targets, each `NAME` or `NAME=URL`, and end: kubectl then gets tokens by itself
    #[arg(long, value_name = "FILE", conflicts_with_all = ["listen", "socket", "command", "health", "ssh_config"])]
    pub(super) kubeconfig: Option<PathBuf>,
    /// Sluice's listener for HTTP, such as `https://sluice.example.com:8443`: a target is below its name there, unless its URL is
    /// given
    #[arg(long, env = "SLUICE_HTTP", value_name = "URL")]
    pub(super) http: Option<String>,
    /// Print a credential as plugins of Kubernetes' clients do (client.authentication.k8s.io/v1), and end
    #[arg(long, conflicts_with_all = ["kubeconfig", "listen", "socket", "command", "health", "ssh_config"])]
    pub(super) exec_credential: bool,
}

/// Writes the kubeconfig.
pub(super) fn run(args: &Args, settings: &Settings, file: PathBuf) -> Result<(), Failure> {
    let clusters = clusters(args, settings)?;
    let program = std::env::current_exe().map_err(Failure::failed)?;
    let wanted = Wanted { file, clusters, program, settings, config: args.config.clone() };
    write(&wanted).map_err(|error| failure(&error))?;
    put_line(&format!("kubectl goes by {}", show::safe(&wanted.file.display().to_string())))
}

/// Prints a credential.
pub(super) async fn credential(settings: &Settings) -> Result<(), Failure> {
    let source = settings::source(settings)?;
    let token = source.token(SystemTime::now()).await.map_err(|error| account::failure(&error))?;
    let certificate = settings.certificate_file.clone().zip(settings.key_file.clone());
    let certificate = certificate.map(|(certificate, key)| CertificateFiles { certificate, key });
    let text = exec_credential(&token, certificate.as_ref()).map_err(|error| failure(&error))?;
    put_line(&text)
}

fn clusters(args: &Args, settings: &Settings) -> Result<Vec<Cluster>, Failure> {
    let named: Vec<String> =
        if args.targets.is_empty() { settings.targets.keys().cloned().collect() } else { args.targets.clone() };
    if named.is_empty() {
        return Err(Failure::Usage(String::from("say which targets")));
    }
    named.iter().map(|target| cluster(target, args.kubernetes.http.as_deref())).collect()
}

fn cluster(target: &str, http: Option<&str>) -> Result<Cluster, Failure> {
    let (name, server) = match (target.split_once('='), http) {
        (Some((name, url)), _) => (name, url.to_owned()),
        (None, Some(http)) => (target, format!("{}/{target}", http.trim_end_matches('/'))),
        (None, None) => {
            let advice = "say where Sluice listens for HTTP: --http URL, or NAME=URL for each target";
            return Err(Failure::Usage(advice.to_owned()));
        }
    };
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
    if name.is_empty() || !name.bytes().all(is_name) {
        return Err(Failure::Usage(format!("{} is no name of a target", show::safe(name))));
    }
    let is_plain = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'@' | b'?' | b'#' | b'\\');
    let host = server.strip_prefix("https://").filter(|rest| !rest.starts_with('/') && rest.bytes().all(is_plain));
    if host.is_none_or(str::is_empty) {
        return Err(Failure::Usage(format!("{} is no URL of https", show::safe(&server))));
    }
    Ok(Cluster { name: name.to_owned(), server })
}

fn failure(error: &KubernetesError) -> Failure {
    match error {
        KubernetesError::Foreign(_) | KubernetesError::Unwritable(_) => Failure::Usage(error.to_string()),
        KubernetesError::File { .. } => Failure::failed(error),
    }
}
