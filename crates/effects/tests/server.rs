//! Against a real PostgreSQL: the catalog's queries run, and the server's own view of which columns a query reads is
//! never more than ours. `FIXTURE=write` writes the catalog fixture that the other tests load.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use effects::postgres::queries;
use model::effect::Object;

/// A server of our own in a folder of our own, reached by its socket alone.
struct Server {
    folder: tempfile::TempDir,
    programs: PathBuf,
}

fn programs() -> PathBuf {
    let versions = std::fs::read_dir("/usr/lib/postgresql").expect("PostgreSQL is installed");
    let mut found: Vec<PathBuf> = versions.map(|entry| entry.unwrap().path().join("bin")).collect();
    found.sort();
    found.pop().expect("PostgreSQL is installed")
}

/// PostgreSQL refuses to run as root.
fn command(program: &Path) -> Command {
    let output = Command::new("id").arg("-u").output().unwrap();
    if output.stdout.trim_ascii() == b"0" {
        let mut command = Command::new("setpriv");
        command.args(["--reuid=postgres", "--regid=postgres", "--clear-groups"]).arg(program);
        return command;
    }
    Command::new(program)
}

fn check(command: &mut Command) -> String {
    let output = command.stdin(Stdio::null()).output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

impl Server {
    fn start() -> Self {
        let folder = tempfile::Builder::new().prefix("sluice-effects").tempdir_in("/tmp").unwrap();
        check(Command::new("chmod").arg("777").arg(folder.path()));
        let server = Self { folder, programs: programs() };
        let data = server.folder.path().join("data");
        let mut initdb = command(&server.programs.join("initdb"));
        check(initdb.arg("-D").arg(&data).args(["-A", "trust", "-U", "postgres", "-E", "UTF8", "--no-sync"]));
        let options = format!("-k {} -c listen_addresses= -c fsync=off", server.folder.path().display());
        let mut start = command(&server.programs.join("pg_ctl"));
        start
            .arg("-D")
            .arg(&data)
            .args(["-o", &options, "-w", "-l"])
            .arg(server.folder.path().join("log"))
            .arg("start");
        let status = start.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap();
        assert!(status.success());
        server.psql("postgres", "CREATE DATABASE payments");
        let schema = std::fs::read_to_string(common::folder("fixture").join("schema.sql")).unwrap();
        server.psql("payments", &schema);
        server
    }

    fn try_psql(&self, database: &str, sql: &str) -> Result<String, String> {
        let mut command = Command::new(self.programs.join("psql"));
        command.arg("-h").arg(self.folder.path()).args(["-U", "postgres", "-d", database]);
        command.args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-c", sql]);
        let output = command.stdin(Stdio::null()).output().unwrap();
        if output.status.success() {
            Ok(String::from_utf8(output.stdout).unwrap())
        } else {
            Err(String::from_utf8_lossy(&output.stderr).into_owned())
        }
    }

    fn psql(&self, database: &str, sql: &str) -> String {
        self.try_psql(database, sql).unwrap()
    }

    /// All rows of all queries, as the fixture has them.
    fn rows(&self, queries: &[queries::Query]) -> String {
        let mut out = String::new();
        for query in queries {
            // As a role that may do nothing.
            let sql = format!("SET ROLE nobody_special; COPY ({}) TO STDOUT", query.text());
            for line in self.psql("payments", &sql).lines() {
                out.push_str(&format!("{}\t{line}\n", query.name));
            }
        }
        out
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let mut stop = command(&self.programs.join("pg_ctl"));
        stop.arg("-D").arg(self.folder.path().join("data")).args(["-m", "immediate", "stop"]);
        let _ = stop.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
    }
}

/// The columns that the server says a query reads, as `schema.table.column`; `None` if it is no query of a view.
fn server_columns(server: &Server, query: &str) -> Option<BTreeSet<String>> {
    let sql = format!(
        "CREATE TEMP VIEW oracle AS {query};
         SELECT n.nspname || '.' || c.relname || '.' || a.attname
         FROM pg_rewrite r JOIN pg_depend d ON d.classid = 'pg_rewrite'::regclass AND d.objid = r.oid
         JOIN pg_class c ON d.refclassid = 'pg_class'::regclass AND c.oid = d.refobjid
         JOIN pg_namespace n ON n.oid = c.relnamespace
         JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = d.refobjsubid AND a.attnum > 0
         WHERE r.ev_class = 'oracle'::regclass AND c.oid <> 'oracle'::regclass"
    );
    Some(server.try_psql("payments", &sql).ok()?.lines().map(str::to_owned).collect())
}

/// Columns that stand in a query and are neither delivered nor used by anything that is: the server lists them all the
/// same.
const NOT_EVALUATED: &[&str] = &[
    "SELECT (ROW(id, number)).f2 FROM cards",
    // The columns of a function's row type; where its values come from is unknown, which stands for everything.
    "SELECT * FROM all_cards()",
    "SELECT number FROM all_cards()",
    "SELECT last_value FROM order_ids",
    "SELECT nextval('order_ids'), currval('order_ids'), last_value FROM order_ids",
    // A field of a composite value is a column of its type's table, of which no row is read.
    "SELECT (owner).ssn FROM notes",
    "SELECT (n.owner).ssn, (n).owner FROM notes n",
];

#[test]
fn the_server_agrees() {
    let server = Server::start();
    server.psql("payments", "CREATE ROLE nobody_special");
    let (system, user) = (server.rows(queries::SYSTEM), server.rows(&queries::user_with_views()));
    if std::env::var_os("FIXTURE").is_some_and(|value| value == "write") {
        std::fs::write(common::shipped(), &system).unwrap();
        std::fs::write(common::folder("fixture").join("user.tsv"), &user).unwrap();
    }
    let catalog = effects::postgres::Catalog::new(
        common::part(queries::SYSTEM, &system).into(),
        common::part(&queries::user_with_views(), &user),
    );
    assert_eq!(catalog.database(), "payments");
    assert!(catalog.version() >= 130_000);

    let mut compared = 0;
    let mut wrong = Vec::new();
    for entry in std::fs::read_dir(common::folder("golden")).unwrap() {
        let text = std::fs::read_to_string(entry.unwrap().path()).unwrap();
        for query in text.lines().filter_map(|line| line.strip_prefix("> ")) {
            let word = query.trim_start_matches('(').to_ascii_lowercase();
            if !["select", "with", "values", "table"].iter().any(|start| word.starts_with(start)) {
                continue;
            }
            let Some(columns) = server_columns(&server, query) else { continue };
            compared += 1;
            let statement = common::run(query).remove(0);
            if statement.is_opaque() {
                continue;
            }
            let ours: BTreeSet<String> = statement
                .effects
                .iter()
                .filter_map(|effect| match &effect.object {
                    Object::Column(name, _) => Some(name.to_string()),
                    _ => None,
                })
                .collect();
            let missing: Vec<&String> = columns.difference(&ours).collect();
            if !missing.is_empty() && !NOT_EVALUATED.contains(&query) {
                wrong.push(format!("{query}\n  the server also reads {missing:?}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(compared > 80, "{compared}");
}
