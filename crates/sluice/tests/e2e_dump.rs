//! pg_dump and pg_restore through Sluice: what is dumped is what a direct dump has, byte for byte, and it can be put back.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests fail so")]

mod support;

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use testkit::command::{Output, client};
use testkit::demo::site::{ORDER_SERVICE, Person, Site, Tuning};

use support::{database, postgres, prepare};

/// Somebody who may do everything at the server, and see all of it in clear.
const KEEPER: Person = Person { name: "keeper", groups: &["keepers"], is_human: false };

/// Somebody who may do everything too, and see nothing that is classified but what pg_dump works with: the options of foreign
/// servers.
const BLIND: Person = Person { name: "blind", groups: &["blind"], is_human: false };

const POLICIES: &str = r#"
@id("keepers")
permit (principal in Group::"keepers", action, resource);

@id("blind")
permit (principal in Group::"blind", action, resource)
unless { action == Action::"reveal" };

@id("blind-but-for-options-of-servers")
permit (principal in Group::"blind", action == Action::"reveal", resource in DataClass::"secret");
"#;

/// One of each kind of thing that a role without special rights can own, with values that are easily lost.
const OBJECTS: &str = include_str!("e2e_dump/objects.sql");

/// How a program reaches the server: its variables without PGDATABASE.
struct Route(Vec<(&'static str, String)>);

impl Route {
    fn direct(database_name: &str) -> Result<Self> {
        let (server, login) = (postgres()?, database(database_name)?.login);
        let ca = server.ca_certificate().display().to_string();
        Ok(Self::new(server.host().into(), server.port(), login.user, login.password, ca))
    }

    fn through(site: &Site, token: String) -> Result<Self> {
        let address = site.process()?.address("postgres")?;
        Ok(Self::new(
            address.ip().to_string(),
            address.port(),
            "anybody".into(),
            token,
            site.ca().display().to_string(),
        ))
    }

    fn new(host: String, port: u16, user: String, password: String, ca: String) -> Self {
        Self(vec![
            ("PGHOST", host),
            ("PGPORT", port.to_string()),
            ("PGUSER", user),
            ("PGPASSWORD", password),
            ("PGSSLMODE", "verify-full".into()),
            ("PGSSLROOTCERT", ca),
        ])
    }

    fn run(&self, program: &str, database: &str, arguments: &[&str]) -> Result<Output> {
        let environment: Vec<(&str, &str)> =
            self.0.iter().map(|(name, value)| (*name, &**value)).chain([("PGDATABASE", database)]).collect();
        client(program, arguments, &environment, b"")
    }

    fn must(&self, program: &str, database: &str, arguments: &[&str]) -> Result<String> {
        self.run(program, database, arguments)?.success().with_context(|| format!("{program} {arguments:?}"))
    }

    /// A dump as a script, without the lines in which current versions put a word of their own.
    fn script(&self, database: &str) -> Result<String> {
        let script = self.must("pg_dump", database, &["--no-sync"])?;
        let lines =
            script.lines().filter(|line| !line.starts_with("\\restrict ") && !line.starts_with("\\unrestrict "));
        Ok(lines.collect::<Vec<_>>().join("\n"))
    }
}

/// The demo's database with more in it, and a Sluice before all databases of the server.
fn stage(name: &str) -> Result<(Site, Route, Route)> {
    let mut tuning = Tuning::default();
    tuning.policies.push(("50-dumps.cedar".into(), POLICIES.into()));
    let mut site = prepare(name, tuning)?;
    let targets = site.revision_file("targets.toml");
    let text = fs::read_to_string(&targets)?;
    // In production the demo's policies forbid changes of the schema.
    let every =
        text.replace(&format!("databases = [\"{name}\"]"), "databases = [\"*\"]").replace("\"prod\"", "\"test\"");
    ensure!(every != text, "{text}");
    fs::write(&targets, every)?;
    site.start()?;
    let role = database(name)?.login.user;
    postgres()?.sql(name, &format!("SET ROLE {role}; {OBJECTS}"))?;
    let through = Route::through(&site, site.token(&KEEPER)?)?;
    Ok((site, Route::direct(name)?, through))
}

/// An empty database of the same owner.
fn empty(name: &str, owned_as: &str) -> Result<()> {
    postgres()?.create_database(name, Some(&database(owned_as)?.login.user))
}

/// Not compared by `assert_eq`, which would print both.
fn assert_same(expected: &str, found: &str, what: &str) {
    let different = expected.lines().zip(found.lines()).find(|(expected, found)| expected != found);
    assert!(different.is_none(), "{what}: {different:?}");
    assert_eq!(expected.len(), found.len(), "{what}");
}

fn path(folder: &tempfile::TempDir, name: &str) -> String {
    folder.path().join(name).display().to_string()
}

fn files(folder: &Path) -> Result<Vec<(String, Vec<u8>)>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        files.push((entry.file_name().to_string_lossy().into_owned(), fs::read(entry.path())?));
    }
    files.sort();
    Ok(files)
}

#[test]
fn a_dump_is_the_same_byte_for_byte() -> Result<()> {
    let (_site, direct, through) = stage("dumped")?;
    let script = direct.script("dumped")?;
    assert!(script.contains("COPY public.cards ") && script.contains("CREATE TABLE odd.measured_2024"), "{script}");
    assert_same(&script, &through.script("dumped")?, "as a script");
    let folder = tempfile::tempdir()?;
    for (route, name) in [(&direct, "direct"), (&through, "through")] {
        route.must("pg_dump", "dumped", &["-Fd", "-j", "2", "-Z", "0", "-f", &path(&folder, name)])?;
        let inserts =
            ["--inserts", "--rows-per-insert=7", "-t", "orders", "-f", &path(&folder, &format!("{name}.sql"))];
        route.must("pg_dump", "dumped", &inserts)?;
    }
    let data = |name: &str| -> Result<Vec<_>> {
        // The table of contents has the time in it.
        Ok(files(&folder.path().join(name))?.into_iter().filter(|(name, _)| name != "toc.dat").collect())
    };
    let (direct, through) = (data("direct")?, data("through")?);
    assert!(direct.len() > 5);
    assert!(direct == through, "the files of a directory dump differ");
    Ok(())
}

#[test]
fn a_dump_can_be_put_back() -> Result<()> {
    let (_site, direct, through) = stage("kept")?;
    let expected = direct.script("kept")?;
    let folder = tempfile::tempdir()?;
    let (custom, directory, script) = (path(&folder, "custom"), path(&folder, "directory"), path(&folder, "script"));
    through.must("pg_dump", "kept", &["-Fc", "-f", &custom])?;
    through.must("pg_dump", "kept", &["-Fd", "-j", "2", "-f", &directory])?;
    through.must("pg_dump", "kept", &["-f", &script])?;
    let stop = ["-v", "ON_ERROR_STOP=1"];
    let ways: [(&str, &str, &[&str]); 4] = [
        ("kept_custom", "pg_restore", &["-d", "kept_custom", "--exit-on-error", &custom]),
        ("kept_jobs", "pg_restore", &["-d", "kept_jobs", "-j", "2", "--exit-on-error", &directory]),
        ("kept_single", "pg_restore", &["-d", "kept_single", "-1", "--exit-on-error", &custom]),
        ("kept_script", "psql", &["-X", "-q", stop[0], stop[1], "-f", &script]),
    ];
    for (name, program, arguments) in ways {
        empty(name, "kept")?;
        through.must(program, name, arguments)?;
        assert_same(&expected, &direct.script(name)?, name);
    }
    let again = ["-d", "kept_custom", "--clean", "--if-exists", "-1", "--exit-on-error", &custom];
    through.must("pg_restore", "kept_custom", &again)?;
    assert_same(&expected, &direct.script("kept_custom")?, "what was there is replaced");
    Ok(())
}

#[test]
fn whoever_may_not_see_everything_gets_a_masked_dump() -> Result<()> {
    let (site, direct, _) = stage("hidden")?;
    // To read the catalogs and lock the tables is more than the baseline permits.
    let refused = Route::through(&site, site.token(&ORDER_SERVICE)?)?.run("pg_dump", "hidden", &[])?;
    assert!(!refused.status.success() && refused.stderr.contains("no policy permits it"), "{}", refused.stderr);
    assert_eq!(refused.stdout, "");
    let blind = Route::through(&site, site.token(&BLIND)?)?;
    let script = blind.script("hidden")?;
    let full = direct.script("hidden")?;
    assert_eq!(script.lines().count(), full.lines().count(), "a masked dump has every row");
    assert!(script.contains("[us_ssn]"));
    let hidden = "SELECT number FROM cards UNION ALL SELECT email FROM customers UNION ALL SELECT ssn FROM customers";
    for value in postgres()?.sql("hidden", hidden)?.lines() {
        assert!(full.contains(value) && !script.contains(value), "{value} is in the dump");
    }
    Ok(())
}

#[test]
fn large_objects() -> Result<()> {
    let (_site, direct, through) = stage("large")?;
    let role = database("large")?.login.user;
    postgres()?.sql(
        "large",
        &format!("SET ROLE {role}; SELECT lo_from_bytea(12345, convert_to(repeat('some bytes ', 1000), 'UTF8'))"),
    )?;
    assert_same(&direct.script("large")?, &through.script("large")?, "as a script");
    let folder = tempfile::tempdir()?;
    let custom = path(&folder, "custom");
    through.must("pg_dump", "large", &["-Fc", "-f", &custom])?;
    empty("large_back", "large")?;
    through.must("pg_restore", "large_back", &["-d", "large_back", "--exit-on-error", &custom])?;
    assert_same(&direct.script("large")?, &direct.script("large_back")?, "put back");
    Ok(())
}
