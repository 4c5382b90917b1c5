//! What `kubectl` and other clients of Kubernetes need to go through Sluice: a kubeconfig that names clusters behind it, and a
//! credential plugin by which they get the token of whoever they run for.
//!
//! The file holds no token: a client runs `sluice connect --exec-credential` when it needs one, and again when that has ended.

use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use model::time::Timestamp;
use serde_json::{Value, json};

use crate::config::Settings;
use crate::private;
use crate::tls::CertificateFiles;
use crate::token::Token;

/// The version of the interface between clients and their plugins (client.authentication.k8s.io).
const PLUGIN: &str = "client.authentication.k8s.io/v1";

/// What the plugin is run with.
pub const EXEC_CREDENTIAL: &str = "--exec-credential";

/// Why there is no kubeconfig, or no credential.
#[derive(Debug, thiserror::Error)]
pub enum KubernetesError {
    /// A file cannot be read or written.
    #[error("{path}: {error}")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// A file that somebody else wrote stands there.
    #[error("{0}: it is there, and was not written by `sluice connect`; name another file")]
    Foreign(PathBuf),
    /// A path or name that no file of this kind can have.
    #[error("{0:?} cannot stand in a kubeconfig")]
    Unwritable(String),
}

/// A cluster behind Sluice.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Cluster {
    /// The target's name, which is also that of the context.
    pub name: String,
    /// The URL at which Sluice serves it.
    pub server: String,
}

/// What is asked for.
pub struct Wanted<'a> {
    /// The file.
    pub file: PathBuf,
    /// The clusters; the first is the one that is used unless another is said.
    pub clusters: Vec<Cluster>,
    /// The program that clients run: this one.
    pub program: PathBuf,
    /// Who goes through, and by which anchors Sluice is believed.
    pub settings: &'a Settings,
    /// The file that all of that was read from, if one was.
    pub config: Option<PathBuf>,
}

/// Writes a kubeconfig, which its owner alone may read.
///
/// # Errors
/// If it cannot be written, or stands there by somebody else's hand.
pub fn write(wanted: &Wanted<'_>) -> Result<(), KubernetesError> {
    let failed = |error| KubernetesError::File { path: wanted.file.clone(), error };
    match std::fs::read(&wanted.file) {
        Ok(text) if is_own(&text) => {}
        Ok(_) => return Err(KubernetesError::Foreign(wanted.file.clone())),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => return Err(failed(error)),
    }
    if let Some(parent) = wanted.file.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        private::directory(parent).map_err(failed)?;
    }
    // JSON is YAML too.
    let text = format!("{:#}\n", kubeconfig(wanted)?);
    private::write(&wanted.file, text.as_bytes()).map_err(failed)
}

/// Whether a kubeconfig is one of those that are written here: whoever is in it comes by this plugin.
fn is_own(text: &[u8]) -> bool {
    let Ok(config) = serde_json::from_slice::<Value>(text) else { return false };
    let users = config.get("users").and_then(Value::as_array);
    let is_ours = |user: &Value| {
        let arguments = user.pointer("/user/exec/args").and_then(Value::as_array);
        arguments.is_some_and(|arguments| arguments.iter().any(|argument| argument == EXEC_CREDENTIAL))
    };
    users.is_some_and(|users| !users.is_empty() && users.iter().all(is_ours))
}

fn kubeconfig(wanted: &Wanted<'_>) -> Result<Value, KubernetesError> {
    let ca = wanted.settings.ca_file.as_deref().map(absolute).transpose()?;
    let clusters = wanted.clusters.iter().map(|Cluster { name, server }| {
        let mut cluster = json!({ "server": server });
        if let (Some(ca), Some(members)) = (&ca, cluster.as_object_mut()) {
            members.insert("certificate-authority".to_owned(), json!(ca));
        }
        json!({ "name": name, "cluster": cluster })
    });
    let contexts = wanted
        .clusters
        .iter()
        .map(|Cluster { name, .. }| json!({ "name": name, "context": { "cluster": name, "user": "sluice" } }));
    let plugin = json!({
        "apiVersion": PLUGIN,
        "command": absolute(&wanted.program)?,
        "args": arguments(wanted)?,
        "interactiveMode": "Never",
        "provideClusterInfo": false,
    });
    Ok(json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": clusters.collect::<Vec<_>>(),
        "users": [{ "name": "sluice", "user": { "exec": plugin } }],
        "contexts": contexts.collect::<Vec<_>>(),
        "current-context": wanted.clusters.first().map(|cluster| cluster.name.as_str()).unwrap_or_default(),
    }))
}

/// What the plugin is told, so that it is whoever wrote the file. No secret stands there: those are in files and variables.
fn arguments(wanted: &Wanted<'_>) -> Result<Vec<String>, KubernetesError> {
    let (settings, identity) = (wanted.settings, &wanted.settings.identity);
    let mut out = vec!["connect".to_owned(), EXEC_CREDENTIAL.to_owned()];
    let files = [
        ("--config", &wanted.config),
        ("--certificate-file", &settings.certificate_file),
        ("--key-file", &settings.key_file),
        ("--issuer-ca-file", &identity.issuer_ca_file),
        ("--client-secret-file", &identity.client_secret_file),
        ("--private-key-file", &identity.private_key_file),
        ("--token-file", &identity.token_file),
    ];
    for (name, path) in files {
        if let Some(path) = path {
            out.extend([name.to_owned(), absolute(path)?]);
        }
    }
    let texts = [
        ("--issuer", &identity.issuer),
        ("--client-id", &identity.client_id),
        ("--key-id", &identity.key_id),
        ("--assertion-audience", &identity.assertion_audience),
        ("--token-env", &identity.token_env),
        ("--workload-api", &identity.workload_api),
        ("--scope", &identity.wanted.scope),
        ("--audience", &identity.wanted.audience),
        ("--resource", &identity.wanted.resource),
    ];
    out.extend(texts.into_iter().filter_map(|(name, text)| Some([name.to_owned(), text.clone()?])).flatten());
    let flags = [
        ("--client-secret-post", identity.client_secret_post),
        ("--pss", identity.pss),
        ("--client-certificate", identity.client_certificate),
    ];
    out.extend(flags.into_iter().filter(|(_, is_set)| *is_set).map(|(name, _)| name.to_owned()));
    Ok(out)
}

fn absolute(path: &Path) -> Result<String, KubernetesError> {
    let unwritable = || KubernetesError::Unwritable(path.display().to_string());
    let absolute = std::path::absolute(path).map_err(|_| unwritable())?;
    absolute.to_str().map(str::to_owned).ok_or_else(unwritable)
}

/// What the plugin says: the token, until when it lasts, and the certificate that it is shown with.
///
/// # Errors
/// If the certificate's files cannot be read.
pub fn exec_credential(token: &Token, certificate: Option<&CertificateFiles>) -> Result<String, KubernetesError> {
    let mut status = json!({ "token": token.expose() });
    let mut say = |name: &str, value: Value| {
        if let Some(members) = status.as_object_mut() {
            members.insert(name.to_owned(), value);
        }
    };
    if let Some(ends) = token.expires_at().and_then(moment) {
        say("expirationTimestamp", json!(ends));
    }
    if let Some(files) = certificate {
        let read = |path: &PathBuf| {
            std::fs::read_to_string(path).map_err(|error| KubernetesError::File { path: path.clone(), error })
        };
        say("clientCertificateData", json!(read(&files.certificate)?));
        say("clientKeyData", json!(read(&files.key)?));
    }
    let credential =
        json!({ "kind": "ExecCredential", "apiVersion": PLUGIN, "spec": { "interactive": false }, "status": status });
    Ok(credential.to_string())
}

fn moment(time: SystemTime) -> Option<String> {
    let millis = time.duration_since(UNIX_EPOCH).ok()?.as_millis();
    Some(Timestamp(u64::try_from(millis).ok()?).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted<'a>(file: &Path, settings: &'a Settings) -> Wanted<'a> {
        let cluster = |name: &str| Cluster { name: name.to_owned(), server: format!("https://sluice:8443/{name}") };
        Wanted {
            file: file.to_owned(),
            clusters: vec![cluster("prod"), cluster("dev")],
            program: "/usr/bin/sluice".into(),
            settings,
            config: None,
        }
    }

    #[test]
    fn a_kubeconfig_names_clusters_and_the_plugin_and_no_secret() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("kube/sluice");
        let mut settings = Settings { ca_file: Some("/etc/ca.pem".into()), ..Settings::default() };
        settings.identity.token_file = Some("/run/token".into());
        settings.identity.wanted.audience = Some("sluice".to_owned());
        write(&wanted(&file, &settings)).unwrap();
        // Again: it is our own.
        write(&wanted(&file, &settings)).unwrap();
        let config: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
        assert_eq!(config["clusters"][0]["cluster"]["server"], "https://sluice:8443/prod");
        assert_eq!(config["clusters"][1]["cluster"]["certificate-authority"], "/etc/ca.pem");
        assert_eq!(config["current-context"], "prod");
        assert_eq!(config["contexts"][1]["context"], json!({ "cluster": "dev", "user": "sluice" }));
        let plugin = &config["users"][0]["user"]["exec"];
        assert_eq!(plugin["command"], "/usr/bin/sluice");
        let arguments = ["connect", "--exec-credential", "--token-file", "/run/token", "--audience", "sluice"];
        assert_eq!(plugin["args"], json!(arguments));
        assert!(!private::is_open_to_others(&file).unwrap());
    }

    #[test]
    fn a_file_of_somebody_else_stays() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("config");
        let settings = Settings::default();
        for text in ["apiVersion: v1\n", "{}", r#"{"users":[{"name":"a","user":{"token":"t"}}]}"#] {
            std::fs::write(&file, text).unwrap();
            assert!(matches!(write(&wanted(&file, &settings)), Err(KubernetesError::Foreign(_))), "{text}");
            assert_eq!(std::fs::read_to_string(&file).unwrap(), text);
        }
    }

    #[test]
    fn a_credential_says_until_when_it_lasts() {
        let now = UNIX_EPOCH + std::time::Duration::from_secs(1_800_000_000);
        let token = Token::new("t".to_owned(), Some(std::time::Duration::from_secs(300)), now);
        let said: Value = serde_json::from_str(&exec_credential(&token, None).unwrap()).unwrap();
        assert_eq!((&said["kind"], &said["apiVersion"]), (&json!("ExecCredential"), &json!(PLUGIN)));
        assert_eq!(said["status"]["token"], "t");
        assert_eq!(said["status"]["expirationTimestamp"], "2027-01-15T08:05:00.000Z");
        let unknown = Token::new("t".to_owned(), None, now);
        let said: Value = serde_json::from_str(&exec_credential(&unknown, None).unwrap()).unwrap();
        assert_eq!(said["status"], json!({ "token": "t" }));
    }
}
