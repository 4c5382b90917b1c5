//! PgBouncer: what Sluice is compared with.

use std::net::{TcpListener, TcpStream};

use anyhow::Result;

use super::proxy::{Proxy, program};
use crate::postgres::{Login, Postgres, binaries, give_to_server};
use crate::tls::write_private;

/// Starts it on a free port, in session mode, with TLS to its clients and none to the server, as Sluice is set up here.
pub(super) fn start(postgres: &Postgres, database: &str, login: &Login) -> Result<Proxy> {
    let directory = tempfile::Builder::new().prefix("sluice-pgbouncer-").tempdir()?.keep();
    let port = TcpListener::bind((postgres.host(), 0))?.local_addr()?.port();
    let certificate = postgres.authority().server(&["localhost", "127.0.0.1"])?.write(&directory, "server")?;
    let users = directory.join("users.txt");
    write_private(&users, format!("\"{}\" \"{}\"\n", login.user, login.password).as_bytes())?;
    let settings = directory.join("pgbouncer.ini");
    let text = format!(
        "[databases]\n{database} = host={host} port={server} dbname={database}\n\
         [pgbouncer]\nlisten_addr = {host}\nlisten_port = {port}\nunix_socket_dir =\nlogfile = {log}\n\
         auth_type = plain\nauth_file = {users}\nstats_users = {user}\npool_mode = session\ndefault_pool_size = 100\n\
         max_client_conn = 200\nignore_startup_parameters = extra_float_digits\nlog_connections = 0\n\
         log_disconnections = 0\nserver_tls_sslmode = disable\nclient_tls_sslmode = require\n\
         client_tls_cert_file = {cert}\nclient_tls_key_file = {key}\n",
        host = postgres.host(),
        server = postgres.port(),
        log = directory.join("pgbouncer.log").display(),
        users = users.display(),
        user = login.user,
        cert = certificate.certificate.display(),
        key = certificate.key.display(),
    );
    write_private(&settings, text.as_bytes())?;
    // It refuses to run as root.
    give_to_server(&directory)?;
    let mut command = binaries::server_command(&program("pgbouncer"))?;
    command.arg("--quiet").arg(&settings).current_dir(&directory);
    Proxy::start("PgBouncer", &command, &directory, |_| {
        TcpStream::connect((postgres.host(), port)).is_ok().then_some(port)
    })
}
