//! A private PostgreSQL server on a socket in a temporary directory.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

const BINARIES: &str = "/usr/lib/postgresql/15/bin";

pub(crate) struct Server {
    directory: tempfile::TempDir,
    process: Child,
}

impl Server {
    pub(crate) fn start() -> Self {
        assert!(
            Path::new(BINARIES).join("postgres").exists(),
            "PostgreSQL 15 is missing at {BINARIES}: install it with `apt-get install postgresql-15`"
        );
        let directory = tempfile::tempdir().unwrap();
        // The server's own user has to reach it when the tests run as root.
        fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o777)).unwrap();
        let data = directory.path().join("data");
        let made = program("initdb", directory.path())
            .args(["--auth=trust", "--username=postgres", "--encoding=UTF8", "--locale=C", "--no-sync", "--pgdata"])
            .arg(&data)
            .output()
            .unwrap();
        assert!(made.status.success(), "initdb: {}", String::from_utf8_lossy(&made.stderr));
        let process = program("postgres", directory.path())
            .args(["-c", "listen_addresses=", "-c", "fsync=off", "-c", "max_connections=20"])
            .arg("-k")
            .arg(directory.path())
            .arg("-D")
            .arg(&data)
            .spawn()
            .unwrap();
        let server = Self { directory, process };
        server.await_socket();
        server
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.directory.path().join(".s.PGSQL.5432")
    }

    fn await_socket(&self) {
        let deadline = Instant::now() + Duration::from_secs(30);
        while !(UnixStream::connect(self.socket()).is_ok()
            && self.directory.path().join("data/postmaster.pid").exists())
        {
            assert!(Instant::now() < deadline, "the server did not start");
            sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let stop = program("pg_ctl", self.directory.path())
            .args(["stop", "--mode=immediate", "--pgdata"])
            .arg(self.directory.path().join("data"))
            .status();
        if !stop.is_ok_and(|status| status.success()) {
            let _ = self.process.kill();
        }
        let _ = self.process.wait();
    }
}

/// One of PostgreSQL's programs, which refuse to run as root.
fn program(name: &str, directory: &Path) -> Command {
    let path = Path::new(BINARIES).join(name);
    let root = fs::metadata("/proc/self").is_ok_and(|own| std::os::unix::fs::MetadataExt::uid(&own) == 0);
    let mut command = if root {
        let mut command = Command::new("setpriv");
        command.args(["--reuid=postgres", "--regid=postgres", "--clear-groups"]).arg(path);
        command
    } else {
        Command::new(path)
    };
    command.current_dir(directory).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    if name == "initdb" {
        command.stderr(Stdio::piped());
    }
    command
}
