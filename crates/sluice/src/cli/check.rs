//! `sluice check`

use std::path::Path;

use store::config::{CertificateFiles, Config, KeySource};

use super::failure::Failure;
use super::paths::{ConfigArg, mistakes};
use super::{put, show};

/// Check the configuration and the revision
#[derive(clap::Args)]
#[command(
    after_help = "It prints the digest of the revision's files, by which the journal says what was in force when \
    (`sluice audit events`).\n\nExample:\n  sluice check --config /etc/sluice/sluice.toml"
)]
pub(super) struct Args {
    #[command(flatten)]
    config: ConfigArg,
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    let path = args.config.path();
    let mut errors = Vec::new();
    let revision_dir = match Config::load(&path) {
        Ok(config) => {
            check_files(&config, &mut errors);
            config.revision_dir
        }
        Err(mistakes) => {
            errors.extend(mistakes.iter().map(ToString::to_string));
            // The revision is most likely where it is by default; its mistakes are worth telling at the same time.
            path.parent().unwrap_or(Path::new(".")).join("revision")
        }
    };
    let is_revision = errors.is_empty() || revision_dir.exists();
    match gateway::revision::check(&revision_dir) {
        Ok(checked) if errors.is_empty() => {
            let (path, digest) = (show::safe(&path.display().to_string()), checked.digest());
            return put(&format!("{path} and its revision are right\nrevision {digest}\n"));
        }
        Err(refused) if is_revision => errors.extend(refused.errors),
        Ok(_) | Err(_) => {}
    }
    Err(Failure::Failed(format!("{}\n{}", mistakes(errors.len()), errors.join("\n"))))
}

/// What can only be seen when the files that are named are opened.
fn check_files(config: &Config, errors: &mut Vec<String>) {
    for (name, listen) in [("listen.postgres", &config.postgres.listen), ("listen.admin", &config.admin)] {
        if let Some(CertificateFiles { cert, key }) = &listen.tls
            && let Err(error) = gateway::tls::server(cert, key)
        {
            errors.push(format!("{name}: {error}; name a PEM chain and its key, readable by Sluice"));
        }
    }
    if let Err(error) = gateway::witnesses::Witnesses::open(&config.witnesses) {
        errors.push(error.to_string());
    }
    for issuer in &config.issuers {
        let file = match &issuer.keys {
            KeySource::File(path) => Some(path),
            KeySource::Discovery { ca_file } => ca_file.as_ref(),
        };
        if let Some(path) = file
            && let Err(error) = std::fs::File::open(path)
        {
            errors.push(format!("issuer {}: {}: {error}", issuer.issuer.alias, path.display()));
        }
    }
    errors.extend(config.saml.iter().filter_map(|provider| gateway::saml::check(provider, gateway::clock::now())));
    errors.extend(config.trust_domains.iter().filter_map(gateway::spiffe::check));
    for sink in &config.sinks {
        errors.extend(gateway::sinks::check(sink));
    }
    errors.extend(config.notify.iter().flat_map(control::check_notify));
}
