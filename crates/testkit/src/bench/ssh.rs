//! SSH: files, keys that are pressed and connections, next to no gateway and to OpenSSH's own jump host.
//!
//! A private sshd is reached by three routes: directly, through another private sshd as jump host (`ProxyJump`), and through
//! Sluice, which decides, journals and tapes everything. All take turns within each round, so that a ratio compares runs that
//! are seconds apart; figures are medians over the rounds.

use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;

use super::report::line;
use crate::command::run;
use crate::demo::site::Site;
use crate::ssh::keys::Key;
use crate::ssh::{Client, Credential, Endpoint, TARGET};
use crate::sshd::{Options, Sshd};

/// How much is measured.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// How often each route takes its turn.
    pub rounds: usize,
    /// How large the file is that is carried over, in MiB.
    pub mebibytes: usize,
    /// How many lines go there and back.
    pub lines: usize,
    /// How many connections are made, one after the other.
    pub connections: usize,
}

impl Plan {
    /// What the published figures are made with.
    pub const FULL: Self = Self { rounds: 7, mebibytes: 1024, lines: 500, connections: 20 };
    /// To see whether a change cost something.
    pub const QUICK: Self = Self { rounds: 3, mebibytes: 128, lines: 200, connections: 8 };
}

/// The routes, in the order of the table.
const ROUTES: [&str; 3] = ["directly", "jump host", "Sluice"];

/// What is measured, and whether more is better.
const WORK: [(&str, &str, bool); 7] = [
    ("scp up", "MiB/s", true),
    ("scp down", "MiB/s", true),
    ("scp -O up", "MiB/s", true),
    ("scp -O down", "MiB/s", true),
    ("sftp down", "MiB/s", true),
    ("a line there and back", "us", false),
    ("a connection that runs `true`", "ms", false),
];

struct Stage {
    clients: Vec<Client>,
    folder: TempDir,
    home: PathBuf,
    // Everything that has to live meanwhile; Sluice ends before its host.
    _site: Site,
    _hosts: [Sshd; 2],
}

/// Measures all of it and prints the table.
///
/// # Errors
/// If something does not start, or does not arrive as it was sent.
pub fn measure(sluice: PathBuf, plan: Plan) -> Result<()> {
    line("starting two sshd and Sluice");
    let stage = Stage::start(sluice)?;
    let file = stage.folder.path().join("file");
    make(&file, plan.mebibytes)?;
    std::fs::copy(&file, stage.home.join("there"))?;
    let mut found = vec![vec![Vec::new(); ROUTES.len()]; WORK.len()];
    for round in 0..plan.rounds {
        line(&format!("round {} of {}", round + 1, plan.rounds));
        for (work, found) in found.iter_mut().enumerate() {
            // Each round begins with another route.
            for route in (0..ROUTES.len()).map(|route| (route + round) % ROUTES.len()) {
                let (client, found) = stage.clients.get(route).zip(found.get_mut(route)).context("no such route")?;
                let of = || {
                    format!("{}, {}", WORK.get(work).map_or("", |(name, ..)| name), ROUTES.get(route).unwrap_or(&""))
                };
                found.push(stage.run(client, work, &file, plan).with_context(of)?);
            }
        }
    }
    print(&found, plan);
    Ok(())
}

fn print(found: &[Vec<Vec<f64>>], plan: Plan) {
    line(&format!(
        "\n| {} MiB, {} rounds | directly | jump host | Sluice | Sluice to jump host |",
        plan.mebibytes, plan.rounds
    ));
    line("|---|---|---|---|---|");
    for ((name, unit, is_rate), found) in WORK.iter().zip(found) {
        let medians: Vec<f64> = found.iter().map(|values| median(values)).collect();
        let [direct, jump, sluice] = medians.as_slice() else { continue };
        let ratio = sluice / jump;
        let sense = if *is_rate { "more is better" } else { "less is better" };
        line(&format!("| {name}, {unit} | {direct:.0} | {jump:.0} | {sluice:.0} | {ratio:.2} ({sense}) |"));
    }
}

fn median(values: &[f64]) -> f64 {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

impl Stage {
    fn start(sluice: PathBuf) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let key = Key::generate(folder.path(), "caller")?;
        let authority = folder.path().join("target_ca.pub");
        let host = |user_authority| -> Result<Sshd> {
            let authorized_keys = vec![key.public_line()?];
            Sshd::start(&Options { authorized_keys, user_authority, ..Options::default() })
        };
        let (target, jump) = (host(Some(authority.clone()))?, host(None)?);
        let site = site(sluice, &target, &key, &authority)?;
        let by_key = Credential::Key(key.private());
        let direct = target.endpoint("root", by_key.clone())?;
        let through = Client::with_settings(&direct, &[("ProxyJump", "gate")])?;
        let gate = jump.endpoint("root", by_key.clone())?;
        append(&through.known_hosts(), &gate.known_hosts)?;
        through.configure(&format!(
            "Host gate\n    HostName {}\n    Port {}\n    User root\n    IdentityFile {}\n    IdentitiesOnly yes\n    \
             UserKnownHostsFile {}\n    StrictHostKeyChecking yes",
            gate.host,
            gate.port,
            key.private().display(),
            through.known_hosts().display(),
        ))?;
        let clients = vec![Client::new(&direct)?, through, Client::new(&endpoint(&site, by_key)?)?];
        let home = target.home();
        Ok(Self { clients, folder, home, _site: site, _hosts: [target, jump] })
    }

    /// One figure of one route.
    fn run(&self, client: &Client, work: usize, file: &Path, plan: Plan) -> Result<f64> {
        let (local, back) = (file.display().to_string(), self.folder.path().join("back"));
        let (there, back_text) = (format!("{TARGET}:there"), back.display().to_string());
        let _ = std::fs::remove_file(&back);
        let carried = |arguments: &[&str]| -> Result<f64> {
            let begin = Instant::now();
            client.scp(arguments)?.success()?;
            Ok(rate(plan, begin.elapsed()))
        };
        let figure = match work {
            0 => carried(&[&local, &there])?,
            1 => carried(&[&there, &back_text])?,
            2 => carried(&["-O", &local, &there])?,
            3 => carried(&["-O", &there, &back_text])?,
            4 => {
                let begin = Instant::now();
                client.sftp(&format!("get there {back_text}\n"))?.success()?;
                rate(plan, begin.elapsed())
            }
            5 => there_and_back(client, plan.lines)?,
            _ => {
                let begin = Instant::now();
                for _ in 0..plan.connections {
                    client.exec("true")?.success()?;
                }
                millis(begin.elapsed()) / count(plan.connections)
            }
        };
        if back.exists() {
            ensure!(back.metadata()?.len() == file.metadata()?.len(), "a file came back with another length");
        }
        ensure!(
            self.home.join("there").metadata()?.len() == file.metadata()?.len(),
            "a file arrived with another length"
        );
        Ok(figure)
    }
}

/// The median time of a line that a program at the host gives back, in microseconds.
fn there_and_back(client: &Client, lines: usize) -> Result<f64> {
    let mut command = client.command("ssh");
    command.args([TARGET, "cat"]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn()?;
    let (mut input, mut output) = (child.stdin.take().context("no input")?, child.stdout.take().context("no output")?);
    let mut times = Vec::with_capacity(lines);
    let mut byte = [0; 2];
    for _ in 0..lines {
        let begin = Instant::now();
        input.write_all(b"x\n")?;
        output.read_exact(&mut byte)?;
        times.push(millis(begin.elapsed()) * 1000.0);
    }
    drop(input);
    ensure!(child.wait()?.success(), "it did not end well");
    Ok(median(&times))
}

fn rate(plan: Plan, took: Duration) -> f64 {
    count(plan.mebibytes) / took.as_secs_f64()
}

fn millis(took: Duration) -> f64 {
    took.as_secs_f64() * 1000.0
}

fn count(of: usize) -> f64 {
    f64::from(u32::try_from(of).unwrap_or(u32::MAX))
}

/// A file of bytes that nothing compresses.
fn make(file: &Path, mebibytes: usize) -> Result<()> {
    let mut random = std::fs::File::open("/dev/urandom")?.take(u64::try_from(mebibytes)? << 20);
    std::io::copy(&mut random, &mut std::fs::File::create(file)?)?;
    Ok(())
}

fn append(file: &Path, lines: &str) -> Result<()> {
    let present = std::fs::read_to_string(file)?;
    Ok(std::fs::write(file, format!("{present}{lines}\n"))?)
}

const POLICIES: &str = r#"
@id("all") permit (principal, action, resource);
@id("hidden") forbid (principal, action == Action::"reveal", resource);
"#;

/// Sluice in front of the host, with the caller's key registered, and everything permitted, decided and recorded.
fn site(sluice: PathBuf, target: &Sshd, key: &Key, authority: &Path) -> Result<Site> {
    let port = target.port();
    let host_key = target.host_key().public_line()?;
    let targets = format!(
        "[web1]\nprotocol = \"ssh\"\naddress = \"127.0.0.1:{port}\"\nlogins = [\"root\"]\nhost_keys = [\"{host_key}\"]\n\
         credential = {{ certificate = true }}\n"
    );
    let keys = format!("[[key]]\nkey = \"{}\"\nsubject = \"demo|bench\"\nkind = \"service\"\n", key.public_line()?);
    let revision = [
        ("targets.toml", targets),
        ("classification.toml", String::new()),
        ("policies/10-all.cedar", POLICIES.to_owned()),
        ("ssh_keys.toml", keys),
    ];
    let mut site = Site::with_revision(sluice, "\n[listen.ssh]\naddress = \"127.0.0.1:0\"\n", &revision)?;
    std::fs::create_dir_all(site.data())?;
    let shown = ask(&site, &["ssh", "target-ca"])?;
    std::fs::write(authority, format!("{}\n", shown.lines().next().context("no authority")?))?;
    site.start()?;
    Ok(site)
}

fn endpoint(site: &Site, credential: Credential) -> Result<Endpoint> {
    let address = site.process()?.address("ssh")?;
    let (host, port) = (address.ip().to_string(), address.port());
    let known_hosts = ask(site, &["ssh", "known-hosts", "--host", &host, "--port", &port.to_string()])?;
    Ok(Endpoint { host, port, login: "web1".to_owned(), credential, known_hosts })
}

fn ask(site: &Site, arguments: &[&str]) -> Result<String> {
    let mut command = Command::new(site.binary());
    command.args(arguments).arg("--config").arg(site.config());
    run(command, b"")?.success()
}
