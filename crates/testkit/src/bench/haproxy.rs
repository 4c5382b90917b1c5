//! HAProxy, which passes bytes on: TLS is the server's own, so that what it takes is without that.

use std::fs;
use std::net::{TcpListener, TcpStream};

use anyhow::Result;

use super::proxy::{Proxy, program};
use crate::postgres::{Postgres, binaries, give_to_server};

/// Starts it on a free port, in TCP mode, with as many threads as it takes by itself.
pub(super) fn start(postgres: &Postgres) -> Result<Proxy> {
    let directory = tempfile::Builder::new().prefix("sluice-haproxy-").tempdir()?.keep();
    let port = TcpListener::bind((postgres.host(), 0))?.local_addr()?.port();
    let settings = directory.join("haproxy.cfg");
    let text = format!(
        "global\n    maxconn 500\ndefaults\n    mode tcp\n    timeout connect 10s\n    timeout client 1h\n    \
         timeout server 1h\nlisten postgres\n    bind {host}:{port}\n    server target {host}:{server}\n",
        host = postgres.host(),
        server = postgres.port(),
    );
    fs::write(&settings, text)?;
    give_to_server(&directory)?;
    let mut command = binaries::server_command(&program("haproxy"))?;
    // In the foreground: what is stopped is the process that was started.
    command.args(["-db", "-f"]).arg(&settings).current_dir(&directory);
    Proxy::start("HAProxy", &command, &directory, |_| {
        TcpStream::connect((postgres.host(), port)).is_ok().then_some(port)
    })
}
