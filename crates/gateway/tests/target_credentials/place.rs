//! What the tests of credentials have in common: a world, its target as it is to be logged in at, and what was recorded.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Stdio};
use std::sync::Arc;
use std::time::Duration;

use ledger::{Reader, RealDisk};
use model::event::Event;
use testkit::canary::leak;
use testkit::openbao::OpenBao;
use testkit::wait::eventually_blocking;

use crate::world::World;

/// Far longer than anything takes.
pub(crate) const LIMIT: Duration = Duration::from_secs(30);

/// Writes a file that only its owner can read.
pub(crate) fn private(world: &World, name: &str, text: &str) -> PathBuf {
    write(world, name, text, 0o600)
}

/// Writes a program.
pub(crate) fn program(world: &World, name: &str, text: &str) -> PathBuf {
    write(world, name, text, 0o700)
}

fn write(world: &World, name: &str, text: &str, mode: u32) -> PathBuf {
    let path = world.dir.path().join(name);
    let _ = std::fs::remove_file(&path);
    let mut file = std::fs::OpenOptions::new().create_new(true).write(true).mode(mode).open(&path).unwrap();
    file.write_all(text.as_bytes()).unwrap();
    file.set_permissions(std::fs::Permissions::from_mode(mode)).unwrap();
    path
}

/// `targets.toml` with this credential, after these further tables.
pub(crate) fn targets(world: &World, before: &str, credential: &str) -> String {
    format!(
        "{before}\n[payments]\nprotocol = \"postgres\"\naddress = \"{}:{}\"\ndatabases = [\"payments\"]\n\
         labels = {{ env = \"prod\" }}\nca_file = \"{}\"\ncredential = {{ {credential} }}\n",
        world.server.host(),
        world.server.port(),
        world.server.ca_certificate().display(),
    )
}

/// Brings a revision into force.
pub(crate) fn apply(world: &World, text: &str) {
    let before = world.node.revisions.current().id;
    std::fs::write(world.dir.path().join("revision/targets.toml"), text).unwrap();
    let changed = || Ok((world.node.revisions.current().id != before).then_some(()));
    eventually_blocking(LIMIT, "the revision", changed).unwrap();
}

/// `[[openbao]]`, logged in at by AppRole.
pub(crate) fn app_role(world: &World, bao: &OpenBao, ttl: &str, max_ttl: &str) -> String {
    let (role_id, secret_id) = bao.app_role(ttl, max_ttl).unwrap();
    let file = private(world, "secret-id", &secret_id);
    format!(
        "[[openbao]]\nname = \"corp\"\nurl = \"{}\"\ntimeout = \"2s\"\n\
         auth = {{ approle = \"{role_id}\", secret_id = {{ file = \"{}\" }} }}\n",
        bao.url(),
        file.display()
    )
}

/// What psql is told when the target cannot be reached, by a new session.
#[track_caller]
pub(crate) fn is_refused(world: &World) {
    let output = world.psql(&world.reader(), &["-X", "-c", "SELECT 1"]);
    assert!(!output.status.success() && output.stderr.contains("the target cannot be reached"), "{output:?}");
}

/// A new session is served, by this user of the target.
#[track_caller]
pub(crate) fn served_by(world: &World) -> String {
    let token = world.token("migrator", &["apps", "readers", "migrations", "cleared"]);
    world.rows(&token, "SELECT current_user").trim().to_owned()
}

/// A session that stays.
pub(crate) struct Live {
    psql: Child,
    out: BufReader<ChildStdout>,
}

impl Live {
    pub(crate) fn open(world: &World) -> Self {
        let token = world.token("migrator", &["apps", "readers", "migrations", "cleared"]);
        let mut psql = testkit::command::client_command("psql").unwrap();
        psql.args(["-X", "-A", "-t"]).envs(world.environment(&token));
        let mut psql = psql.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let out = BufReader::new(psql.stdout.take().unwrap());
        let mut live = Self { psql, out };
        live.ask("SELECT 1");
        live
    }

    pub(crate) fn ask(&mut self, sql: &str) -> String {
        writeln!(self.psql.stdin.as_mut().unwrap(), "{sql};").unwrap();
        let mut line = String::new();
        self.out.read_line(&mut line).unwrap();
        line.trim().to_owned()
    }

    pub(crate) fn close(mut self) {
        drop(self.psql.stdin.take());
        self.psql.wait().unwrap();
    }
}

/// Every event of the journal so far.
pub(crate) fn events(world: &World) -> Vec<Event> {
    world.node.recorder.flush();
    let mut reader = Reader::open(Arc::new(RealDisk), &world.node.layout().journal(), 0);
    let mut events = Vec::new();
    while let Some((_, entry)) = reader.next().unwrap() {
        events.push(entry.event);
    }
    events
}

/// Whether the use of a secret with this reference is in the journal.
pub(crate) fn is_recorded(world: &World, wanted: &str) -> bool {
    events(world).iter().any(|event| matches!(event, Event::SecretUsed { reference, .. } if **reference == *wanted))
}

/// A secret is in no file of the data directory, in nothing that is logged at the target, and in no metric.
#[track_caller]
pub(crate) fn is_nowhere(world: &World, secret: &str) {
    let mut left = vec![world.node.layout().journal(), world.node.layout().tapes()];
    left.push(world.dir.path().join("data"));
    let mut looked = 0;
    while let Some(path) = left.pop() {
        if path.is_dir() {
            left.extend(std::fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        } else {
            looked += 1;
            assert_eq!(leak(&std::fs::read(&path).unwrap_or_default(), secret), None, "{}", path.display());
        }
    }
    assert!(looked > 3, "there are files to look into");
    assert_eq!(leak(world.node.metrics_text().as_bytes(), secret), None);
}
