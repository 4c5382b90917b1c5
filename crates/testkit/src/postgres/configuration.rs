//! What a server is told: `postgresql.conf`, `pg_hba.conf` and its certificates.

use std::fs;
use std::path::Path;

use anyhow::Result;

use super::{Options, accounts, binaries, template};
use crate::tls::Authority;

/// Writes the authority's certificate, the server's own, and their keys.
pub(super) fn write_certificates(directory: &Path, authority: &Authority) -> Result<()> {
    let tls = directory.join("tls");
    fs::write(tls.join("ca.crt"), authority.certificate_pem())?;
    authority.server(&["localhost", "127.0.0.1"])?.write(&tls, "server")?;
    template::give_to_server(&tls)
}

/// Writes `postgresql.conf` (whole: no default of the distribution remains) and `pg_hba.conf`.
pub(super) fn write_settings(directory: &Path, port: u16, options: &Options) -> Result<()> {
    let port = port.to_string();
    let socket = directory.join("socket").display().to_string();
    let log = directory.join("log").display().to_string();
    let tls = |name: &str| directory.join("tls").join(name).display().to_string();
    let (ca, certificate, key) = (tls("ca.crt"), tls("server.crt"), tls("server.key"));
    let has_json_log = binaries::major()? >= binaries::OLDEST_WITH_JSON_LOG;
    let log_destination = if has_json_log { "stderr,jsonlog" } else { "stderr" };
    let settings = [
        ("listen_addresses", "127.0.0.1"),
        ("port", &port),
        ("unix_socket_directories", &socket),
        ("max_connections", "300"),
        ("password_encryption", "scram-sha-256"),
        ("ssl", "on"),
        ("ssl_ca_file", &ca),
        ("ssl_cert_file", &certificate),
        ("ssl_key_file", &key),
        // A crash of the machine may take the data: they are made anew for each start.
        ("fsync", "off"),
        ("full_page_writes", "off"),
        ("shared_buffers", "64MB"),
        // The oracle: everything that is executed, before it is executed.
        ("logging_collector", "on"),
        ("log_destination", log_destination),
        ("log_directory", &log),
        ("log_filename", "server.log"),
        ("log_file_mode", "0600"),
        ("log_rotation_age", "0"),
        ("log_rotation_size", "0"),
        ("log_line_prefix", "%m [%p] user=%u db=%d app=%a "),
        ("log_statement", "all"),
        ("log_min_messages", "warning"),
        ("log_min_error_statement", "error"),
        ("log_timezone", "UTC"),
        ("timezone", "UTC"),
    ];
    let own = options.settings.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    let lines: String = settings
        .into_iter()
        .chain(own)
        .map(|(name, value)| format!("{name} = '{}'\n", value.replace('\'', "''")))
        .collect();
    let data = directory.join("data");
    fs::write(data.join("postgresql.conf"), lines)?;
    fs::write(data.join("pg_hba.conf"), accounts::HOST_BASED_AUTHENTICATION)?;
    Ok(())
}
