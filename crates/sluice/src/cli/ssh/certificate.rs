//! `sluice ssh certificate`: a certificate of one's SSH key for the token that one has.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::cli::connect::Connect;
use crate::cli::failure::Failure;
use crate::cli::{put, show, tell};

const GRANT: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";
const CERTIFICATE: &str = "urn:sluice:token-type:ssh-certificate";

/// Get a short-lived certificate of your SSH key for the token that you have
#[derive(clap::Args)]
#[command(
    after_help = "It stands for the same subject as your token, and ends no later. It is written beside the key, as \
    FILE-cert.pub, where ssh looks for it. It opens Sluice, and no host.\n\nExamples:\n  \
    sluice ssh certificate --url https://sluice.example.com:7632\n  \
    sluice ssh certificate --key ~/.ssh/backup.pub --target web1 --token-file corp.token"
)]
pub(in crate::cli) struct Args {
    #[command(flatten)]
    connect: Connect,
    /// The public key; the first of ~/.ssh/id_ed25519.pub, id_ecdsa.pub and id_rsa.pub unless given
    #[arg(long, value_name = "FILE.pub")]
    key: Option<PathBuf>,
    /// The only target at which it is to be good
    #[arg(long, value_name = "NAME")]
    target: Option<String>,
    /// All of the answer, for programs; nothing is written to a file
    #[arg(long)]
    json: bool,
}

pub(in crate::cli) fn run(args: &Args) -> Result<(), Failure> {
    let path = args.key.clone().map_or_else(first_key, Ok)?;
    let shown = |path: &Path| show::safe(&path.display().to_string());
    let beside = certificate_file(&path)
        .ok_or_else(|| Failure::Usage(format!("{} is not called FILE.pub, as public keys are", shown(&path))))?;
    let failed = |path: &Path, error: std::io::Error| Failure::failed(format!("{}: {error}", shown(path)));
    let key = std::fs::read_to_string(&path).map_err(|error| failed(&path, error))?;
    // A private key is not to be sent anywhere.
    let key =
        gateway::ssh::caller_key(&key).map_err(|problem| Failure::failed(format!("{}: {problem}", shown(&path))))?;
    let answer = exchange(args, &key.to_openssh().map_err(Failure::failed)?)?;
    if args.json {
        return put(&show::json(&answer));
    }
    let certificate = answer.get("access_token").and_then(Value::as_str).filter(|text| !text.contains('\n'));
    let certificate =
        certificate.ok_or_else(|| Failure::failed("what answers there is not Sluice's token endpoint"))?;
    connect::private::write(&beside, format!("{certificate}\n").as_bytes()).map_err(|error| failed(&beside, error))?;
    let seconds = answer.get("expires_in").and_then(Value::as_u64).unwrap_or_default();
    tell(&format!("{} is good for {seconds} s", shown(&beside)));
    Ok(())
}

fn exchange(args: &Args, key: &str) -> Result<Value, Failure> {
    let client = args.connect.client()?;
    let mut fields = vec![
        ("grant_type", GRANT),
        ("subject_token", client.token()),
        ("subject_token_type", ACCESS_TOKEN),
        ("requested_token_type", CERTIFICATE),
        ("public_key", key),
    ];
    fields.extend(args.target.as_deref().map(|target| ("audience", target)));
    client.form("/token", &fields)
}

/// Where ssh looks for the certificate of a key (`ssh_config(5)`, `CertificateFile`).
fn certificate_file(key: &Path) -> Option<PathBuf> {
    let name = key.file_name()?.to_str()?.strip_suffix(".pub").filter(|name| !name.is_empty())?;
    Some(key.with_file_name(format!("{name}-cert.pub")))
}

fn first_key() -> Result<PathBuf, Failure> {
    let none = || Failure::Usage(String::from("there is no key in ~/.ssh: say which with --key, or run ssh-keygen"));
    let home = std::env::var_os("HOME").filter(|home| !home.is_empty()).ok_or_else(none)?;
    let files = ["id_ed25519.pub", "id_ecdsa.pub", "id_rsa.pub"];
    let files = files.map(|name| Path::new(&home).join(".ssh").join(name));
    files.into_iter().find(|path| path.is_file()).ok_or_else(none)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_is_where_ssh_looks_for_it() {
        let beside = |key: &str| certificate_file(Path::new(key));
        assert_eq!(beside("/h/.ssh/id_ed25519.pub"), Some("/h/.ssh/id_ed25519-cert.pub".into()));
        assert_eq!(beside("k.pub"), Some("k-cert.pub".into()));
        assert_eq!((beside("/h/.ssh/id_ed25519"), beside(".pub"), beside("/")), (None, None, None));
    }
}
