//! Sluice's plain relay: the program `relay`, which is built beside this one.

use std::net::SocketAddr;
use std::process::Command;

use anyhow::{Result, ensure};

use super::proxy::Proxy;
use crate::postgres::Postgres;

/// Starts it on a free port, with TLS to its clients and none to the server, as Sluice is set up here.
pub(super) fn start(postgres: &Postgres) -> Result<Proxy> {
    let program = std::env::current_exe()?.with_file_name("relay");
    ensure!(program.exists(), "{} is not built: run `./dev bench`", program.display());
    let directory = tempfile::Builder::new().prefix("sluice-relay-").tempdir()?.keep();
    let certificate = postgres.authority().server(&["localhost", "127.0.0.1"])?.write(&directory, "server")?;
    let mut command = Command::new(program);
    command.arg(format!("{}:{}", postgres.host(), postgres.port()));
    command.arg(&certificate.certificate).arg(&certificate.key);
    let port = |said: &str| said.lines().next()?.parse().ok().map(|address: SocketAddr| address.port());
    Proxy::start("the relay", &command, &directory, port)
}
