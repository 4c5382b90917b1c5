//! What the command line says over the file.

use std::sync::Arc;

use connect::config::Settings;
use connect::source::Source;
use model::secret::Secret;

use super::super::account;
use super::super::failure::Failure;
use super::Args;

/// The file, and what the command line says over it.
pub(super) fn settings(args: &Args) -> Result<Settings, Failure> {
    let file = args.config.as_deref().map(Settings::load).transpose();
    let mut settings = file.map_err(|error| Failure::Failed(error.to_string()))?.unwrap_or_default();
    over(&mut settings.gateway, &args.gateway);
    over(&mut settings.ssh, &args.ssh.ssh);
    over(&mut settings.url, &args.ssh.url);
    over(&mut settings.known_hosts, &args.ssh.known_hosts);
    over(&mut settings.ssh_config, &args.ssh.ssh_config);
    over(&mut settings.ca_file, &args.ca_file);
    over(&mut settings.certificate_file, &args.certificate_file);
    over(&mut settings.key_file, &args.key_file);
    over(&mut settings.health, &args.health);
    let identity = &mut settings.identity;
    over(&mut identity.issuer, &args.account.issuer);
    over(&mut identity.issuer_ca_file, &args.account.issuer_ca_file);
    over(&mut identity.client_id, &args.account.client_id);
    over(&mut identity.client_secret_file, &args.account.client_secret_file);
    over(&mut identity.private_key_file, &args.proof.private_key_file);
    over(&mut identity.key_id, &args.proof.key_id);
    over(&mut identity.assertion_audience, &args.proof.assertion_audience);
    over(&mut identity.token_file, &args.proof.token_file);
    over(&mut identity.workload_api, &args.proof.workload_api);
    over(&mut identity.token_env, &args.proof.token_env);
    identity.client_secret_post |= args.proof.client_secret_post;
    identity.pss |= args.proof.pss;
    identity.client_certificate |= args.proof.client_certificate;
    identity.wanted = args.account.wanted(&identity.wanted);
    Ok(settings)
}

pub(super) fn over<T: Clone>(setting: &mut Option<T>, said: &Option<T>) {
    if said.is_some() {
        setting.clone_from(said);
    }
}

/// Where tokens come from.
pub(super) fn source(settings: &Settings) -> Result<Source, Failure> {
    let variable = |name: &str| std::env::var(name).ok();
    let secret = variable("SLUICE_CLIENT_SECRET").filter(|secret| !secret.is_empty()).map(Secret::new);
    let source = settings.source(secret, variable).map_err(|error| Failure::Usage(error.to_string()))?;
    if let Some(source) = source {
        return Ok(source);
    }
    if let Some(token) = variable("SLUICE_TOKEN").filter(|token| !token.trim().is_empty()) {
        return Ok(Source::Value(Secret::new(token.trim().to_owned())));
    }
    if let Some(endpoint) = variable("SPIFFE_ENDPOINT_SOCKET").filter(|endpoint| !endpoint.is_empty()) {
        return Ok(settings.workload(endpoint));
    }
    let login = account::login()?;
    if login.exists() {
        return Ok(Source::Login(Arc::new(login)));
    }
    Err(Failure::Usage(String::from(
        "say who you are: `sluice login`, --token-file, or a client of an issuer (--help)",
    )))
}
