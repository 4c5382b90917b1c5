//! SPIFFE for tests: an authority that makes SVIDs of every kind, and a Workload API by other people's code
//! (`tests/spiffe/workload_api.py`), which `./dev` installs.

pub mod clients;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result, ensure};
use rcgen::string::Ia5String;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair, KeyUsagePurpose, SanType,
};
use serde_json::{Value, json};

use crate::command::{development_directory, run, workspace_root};
use crate::keeper::Kept;
use crate::tls::Certificate;
use crate::wait::eventually_blocking;

/// How long the Workload API may take to start.
const LIMIT: Duration = Duration::from_secs(60);

/// A certificate that signs SVIDs: a trust domain's own, or one below it.
pub struct Authority {
    issuer: rcgen::Issuer<'static, KeyPair>,
    certificate_pem: String,
    /// The certificates between it and the trust domain's own, its own first.
    above: String,
}

impl Authority {
    /// A trust domain's own.
    pub fn generate(name: &str) -> Result<Self> {
        let (params, key) = (authority(name)?, KeyPair::generate()?);
        let certificate_pem = params.self_signed(&key)?.pem();
        Ok(Self { issuer: rcgen::Issuer::new(params, key), certificate_pem, above: String::new() })
    }

    /// One below this one.
    pub fn below(&self, name: &str) -> Result<Self> {
        let (params, key) = (authority(name)?, KeyPair::generate()?);
        let certificate_pem = params.signed_by(&key, &self.issuer)?.pem();
        let above = format!("{certificate_pem}{}", self.above);
        Ok(Self { issuer: rcgen::Issuer::new(params, key), certificate_pem, above })
    }

    /// Its certificate, PEM: a bundle, if it is a trust domain's own.
    pub fn certificate_pem(&self) -> &str {
        &self.certificate_pem
    }

    /// An SVID of this SPIFFE id for an hour, with what a test changes in it, and the certificates that it needs.
    pub fn svid(&self, id: &str, change: impl FnOnce(&mut CertificateParams)) -> Result<Certificate> {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, "workload");
        params.subject_alt_names = vec![uri(id)?];
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth, ExtendedKeyUsagePurpose::ServerAuth];
        ends_in(&mut params, 3600);
        change(&mut params);
        let key = KeyPair::generate()?;
        let certificate_pem = format!("{}{}", params.signed_by(&key, &self.issuer)?.pem(), self.above);
        Ok(Certificate { certificate_pem, key_pem: key.serialize_pem() })
    }
}

/// Gives a certificate this end, in seconds from now, and a beginning two hours ago.
pub fn ends_in(params: &mut CertificateParams, seconds: u64) {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let now = rcgen::date_time_ymd(1970, 1, 1) + now;
    params.not_before = now - Duration::from_secs(7200);
    params.not_after = now + Duration::from_secs(seconds);
}

/// Makes a certificate one that ended an hour ago.
pub fn ended(params: &mut CertificateParams) {
    ends_in(params, 0);
    params.not_after -= Duration::from_secs(3600);
}

/// A URI as a subject alternative name.
pub fn uri(text: &str) -> Result<SanType> {
    Ok(SanType::URI(Ia5String::try_from(text)?))
}

fn authority(name: &str) -> Result<CertificateParams> {
    let mut params = CertificateParams::new(Vec::new())?;
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.distinguished_name.push(DnType::CommonName, name);
    Ok(params)
}

/// A Workload API, whose trust domain is `prod.acme` and whose workload `spiffe://prod.acme/ns/etl/sa/loader`.
pub struct WorkloadApi {
    process: Option<Kept>,
    directory: tempfile::TempDir,
}

/// What a workload got from it.
#[derive(Clone, Debug)]
pub struct Fetched {
    /// The chain, PEM.
    pub certificate: PathBuf,
    /// The private key, PEM.
    pub key: PathBuf,
    /// A JWT-SVID.
    pub token: String,
}

impl WorkloadApi {
    /// Starts one with its first authority.
    pub fn start() -> Result<Self> {
        let mut api = Self { process: None, directory: tempfile::Builder::new().prefix("spiffe-").tempdir()? };
        api.publish(1, &[], &json!({}))?;
        api.begin()?;
        Ok(api)
    }

    /// Starts it again after [`Self::end`]; its authorities are new ones.
    pub fn begin(&mut self) -> Result<()> {
        let _ = std::fs::remove_file(self.socket());
        let log = self.directory.path().join("log");
        let mut command = Self::program()?;
        command.arg("serve").arg(self.directory.path());
        self.process = Some(Kept::spawn(&command, "KILL", None, &log)?);
        let listens = || Ok(std::os::unix::net::UnixStream::connect(self.socket()).is_ok().then_some(()));
        let started = eventually_blocking(LIMIT, "the Workload API", listens);
        started.with_context(|| std::fs::read_to_string(&log).unwrap_or_default())
    }

    /// Ends it: an agent that is away.
    pub fn end(&mut self) {
        self.process = None;
    }

    fn program() -> Result<Command> {
        let python = development_directory().join("spiffe/bin/python");
        ensure!(python.exists(), "{} is missing: run ./dev setup", python.display());
        let mut command = Command::new(python);
        command.arg(workspace_root().join("tests/spiffe/workload_api.py"));
        Ok(command)
    }

    /// Where it listens.
    pub fn socket(&self) -> PathBuf {
        self.directory.path().join("api.sock")
    }

    /// Where files of federated trust domains are looked for.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// Issues by the authority of this generation from now on, and has in its bundle also those of the `kept` ones, and
    /// the bundles of `federated` trust domains: `{"other.acme": ["AUTHORITIES.pem", "KEYS.jwks"]}`.
    pub fn publish(&self, generation: u32, kept: &[u32], federated: &Value) -> Result<()> {
        let state = json!({ "generation": generation, "kept": kept, "federated": federated });
        let (path, new) = (self.directory.path().join("state.json"), self.directory.path().join("state.new"));
        std::fs::write(&new, state.to_string())?;
        Ok(std::fs::rename(new, path)?)
    }

    /// Gets what a workload gets, by a client of other people's code.
    pub fn fetch(&self, name: &str, audience: &str) -> Result<Fetched> {
        let mut command = Self::program()?;
        command.arg("fetch").arg(self.directory.path()).args([name, audience]);
        run(command, b"")?.success()?;
        let file = |extension: &str| self.directory.path().join(name).with_extension(extension);
        let token = std::fs::read_to_string(file("jwt"))?;
        Ok(Fetched { certificate: file("crt"), key: file("key"), token })
    }
}
