//! HTTP: small answers of JSON, next to no gateway, to nginx as a reverse proxy and to HAProxy.
//!
//! A private nginx answers; callers speak TLS to it directly, to another nginx, to HAProxy and to Sluice, each of which asks it
//! in clear on connections that are kept. Sluice knows who asks, decides, journals at level `process` and tapes each request; once
//! for somebody who sees everything, and once with what JSON shows masked. All take turns within each round, so that a ratio
//! compares runs that are seconds apart; figures are medians over the rounds.

use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use tempfile::TempDir;

use super::proxy::program;
use super::report::line;
use crate::command::run;
use crate::demo::site::Site;
use crate::issuer::Grant;
use crate::keeper::Kept;
use crate::tls::{Authority, CertificateFiles};
use crate::wait::eventually_blocking;

/// How much is measured.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// How often each route takes its turn.
    pub rounds: usize,
    /// How long it is asked each time, in seconds.
    pub seconds: u32,
}

impl Plan {
    /// What the published figures are made with.
    pub const FULL: Self = Self { rounds: 7, seconds: 5 };
    /// To see whether a change cost something.
    pub const QUICK: Self = Self { rounds: 3, seconds: 2 };
}

/// The routes, in the order of the table.
const ROUTES: [&str; 5] = ["directly", "nginx", "HAProxy", "Sluice", "Sluice, masking"];

/// What is measured: the version of HTTP, the connections, and the requests at a time on each.
const WORK: [(&str, Work); 4] = [
    ("HTTP/1.1, 32 connections", Work { two: false, connections: 32, streams: 1 }),
    ("HTTP/1.1, 1 connection", Work { two: false, connections: 1, streams: 1 }),
    ("HTTP/2, 8 connections of 8", Work { two: true, connections: 8, streams: 8 }),
    ("HTTP/2, 1 connection of 32", Work { two: true, connections: 1, streams: 32 }),
];

#[derive(Clone, Copy)]
struct Work {
    two: bool,
    connections: usize,
    streams: usize,
}

const BODY: &str =
    r#"{"id":7,"name":"Ada","email":"ada@example.com","card":"4111111111111111","balance":12345,"active":true}"#;

/// How long a server may take to start.
const LIMIT: Duration = Duration::from_secs(30);

/// Where a route is, and what is shown there.
struct Route {
    address: SocketAddr,
    token: Option<String>,
}

struct Stage {
    routes: Vec<Route>,
    // Everything that has to live meanwhile; what asks ends before what answers.
    _site: Site,
    _proxies: [Kept; 2],
    _backend: Kept,
    _home: TempDir,
}

/// Measures all of it and prints the table.
///
/// # Errors
/// If something does not start, or answers anything but what it is asked for.
pub fn measure(sluice: PathBuf, plan: Plan) -> Result<()> {
    line("starting nginx, nginx in front of it, HAProxy and Sluice");
    let stage = Stage::start(sluice)?;
    let mut found = vec![vec![Vec::new(); ROUTES.len()]; WORK.len()];
    for round in 0..plan.rounds {
        line(&format!("round {} of {}", round + 1, plan.rounds));
        for ((name, work), found) in WORK.iter().zip(&mut found) {
            // Each round begins with another route.
            for route in (0..ROUTES.len()).map(|route| (route + round) % ROUTES.len()) {
                let (route, found) = stage.routes.get(route).zip(found.get_mut(route)).context("no such route")?;
                found.push(rate(route, *work, plan).with_context(|| format!("{name}, {}", route.address))?);
            }
        }
    }
    print(&found, plan);
    Ok(())
}

fn print(found: &[Vec<Vec<f64>>], plan: Plan) {
    line(&format!(
        "\n| requests/s, {} rounds of {} s | {} | Sluice / nginx | masking / nginx |",
        plan.rounds,
        plan.seconds,
        ROUTES.join(" | ")
    ));
    line("|---|--:|--:|--:|--:|--:|--:|--:|");
    for ((name, _), found) in WORK.iter().zip(found) {
        let medians: Vec<f64> = found.iter().map(|values| median(values)).collect();
        let [direct, nginx, haproxy, sluice, masking] = medians.as_slice() else { continue };
        let (ratio, masked) = (sluice / nginx, masking / nginx);
        line(&format!(
            "| {name} | {direct:.0} | {nginx:.0} | {haproxy:.0} | {sluice:.0} | {masking:.0} | {ratio:.2} | {masked:.2} |"
        ));
    }
}

fn median(values: &[f64]) -> f64 {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// Requests a second of one route.
fn rate(route: &Route, work: Work, plan: Plan) -> Result<f64> {
    let url = format!("https://{}/v1/customers/7", route.address);
    let bearer = route.token.as_ref().map(|token| format!("Authorization: Bearer {token}"));
    let (connections, seconds) = (work.connections.to_string(), plan.seconds.to_string());
    let mut command = Command::new(if work.two { "h2load" } else { "wrk" });
    if work.two {
        command.args(["-D", &seconds, "-c", &connections, "-m", &work.streams.to_string(), "-t", "1"]);
    } else {
        command.args(["-d", &format!("{seconds}s"), "-c", &connections, "-t", "1"]);
    }
    command.args(bearer.iter().flat_map(|bearer| ["-H", bearer.as_str()])).arg(url);
    let said = run(command, b"")?.success()?;
    if work.two { h2load(&said) } else { wrk(&said) }
}

/// What wrk says: a line of its own for answers that are none of 200 or 300.
fn wrk(said: &str) -> Result<f64> {
    ensure!(!said.contains("Non-2xx") && !said.contains("Socket errors"), "{said}");
    let rate = said.lines().find_map(|line| line.strip_prefix("Requests/sec:")).context("wrk says no rate")?;
    Ok(rate.trim().parse()?)
}

/// What h2load says: `finished in 2.00s, 1234.56 req/s, …`, and how many answers had which status.
fn h2load(said: &str) -> Result<f64> {
    let statuses =
        said.lines().find_map(|line| line.strip_prefix("status codes: ")).context("h2load says no status")?;
    ensure!(statuses.contains(" 0 3xx, 0 4xx, 0 5xx"), "{said}");
    let finished = said.lines().find_map(|line| line.strip_prefix("finished in ")).context("h2load says no rate")?;
    let rate = finished.split(", ").nth(1).and_then(|rate| rate.strip_suffix(" req/s"));
    Ok(rate.context("h2load says no rate")?.parse()?)
}

impl Stage {
    fn start(sluice: PathBuf) -> Result<Self> {
        let home = tempfile::Builder::new().prefix("bench-http-").tempdir()?;
        let authority = Authority::generate("bench CA")?;
        let files = authority.server(&["localhost", "127.0.0.1"])?.write(home.path(), "server")?;
        let (plain, direct) = (free()?, free()?);
        let listen = format!("listen {plain}; listen {direct} ssl http2; {}", certificate(&files));
        let answers = format!("location / {{ default_type application/json; return 200 '{BODY}'; }}");
        let backend = nginx(home.path(), "backend", 1, "", &format!("{listen} {answers}"), plain)?;
        let proxy = free()?;
        let upstream = format!("upstream target {{ server {plain}; keepalive 256; keepalive_requests 1000000; }}");
        let passes =
            "location / { proxy_pass http://target; proxy_http_version 1.1; proxy_set_header Connection \"\"; }";
        let listen = format!("listen {proxy} ssl http2; {}", certificate(&files));
        let nginx = nginx(home.path(), "proxy", 2, &upstream, &format!("{listen} {passes}"), proxy)?;
        let (haproxy_at, haproxy) = haproxy(home.path(), &files, plain)?;
        let site = site(sluice, plain)?;
        let sluice = SocketAddr::from((Ipv4Addr::LOCALHOST, site.process()?.address("http")?.port()));
        let token = |groups: &[&str]| site.issuer().issue(Grant::new("bench").groups(groups.iter().copied()));
        let plainly = |address| Route { address, token: None };
        let routes = vec![
            plainly(direct),
            plainly(proxy),
            plainly(haproxy_at),
            Route { address: sluice, token: Some(token(&["callers", "cleared"])?) },
            Route { address: sluice, token: Some(token(&["callers"])?) },
        ];
        Ok(Self { routes, _site: site, _proxies: [nginx, haproxy], _backend: backend, _home: home })
    }
}

/// A port that is free now.
fn free() -> Result<SocketAddr> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?)
}

fn certificate(files: &CertificateFiles) -> String {
    format!(
        "ssl_certificate {}; ssl_certificate_key {}; ssl_session_tickets off;",
        files.certificate.display(),
        files.key.display()
    )
}

fn nginx(home: &Path, name: &str, workers: u32, http: &str, server: &str, at: SocketAddr) -> Result<Kept> {
    let directory = home.join(name);
    std::fs::create_dir_all(&directory)?;
    let temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
    let temporary: String =
        temporary.iter().map(|kind| format!("{kind}_temp_path {}/{kind};\n", directory.display())).collect();
    let config = format!(
        "daemon off;\nworker_processes {workers};\npid pid;\nerror_log error;\nevents {{ worker_connections 1024; }}\n\
         http {{\n{temporary}access_log off;\nkeepalive_requests 1000000;\n{http}\nserver {{ {server} }}\n}}\n"
    );
    std::fs::write(directory.join("nginx.conf"), config)?;
    let mut command = Command::new(program("nginx"));
    command.arg("-p").arg(&directory).args(["-e", "error", "-c", "nginx.conf"]);
    started(&command, &directory, at)
}

fn haproxy(home: &Path, files: &CertificateFiles, backend: SocketAddr) -> Result<(SocketAddr, Kept)> {
    let (directory, at) = (home.join("haproxy"), free()?);
    std::fs::create_dir_all(&directory)?;
    let both = std::fs::read_to_string(&files.certificate)? + &std::fs::read_to_string(&files.key)?;
    let pem = directory.join("both.pem");
    std::fs::write(&pem, both)?;
    let config = format!(
        "global\n    maxconn 2000\ndefaults\n    mode http\n    timeout connect 10s\n    timeout client 1m\n    \
         timeout server 1m\n    http-reuse always\nfrontend front\n    bind {at} ssl crt {} alpn h2,http/1.1\n    \
         default_backend back\nbackend back\n    server target {backend}\n",
        pem.display()
    );
    std::fs::write(directory.join("haproxy.cfg"), config)?;
    let mut command = Command::new(program("haproxy"));
    command.args(["-db", "-f"]).arg(directory.join("haproxy.cfg"));
    Ok((at, started(&command, &directory, at)?))
}

fn started(command: &Command, directory: &Path, at: SocketAddr) -> Result<Kept> {
    let log = directory.join("log");
    let process = Kept::spawn(command, "TERM", None, &log)?;
    eventually_blocking(LIMIT, "a server to listen", || {
        if !process.is_running() {
            let error = std::fs::read_to_string(directory.join("error")).unwrap_or_default();
            bail!("it has ended:\n{}{error}", std::fs::read_to_string(&log).unwrap_or_default());
        }
        Ok(TcpStream::connect(at).is_ok().then_some(()))
    })?;
    Ok(process)
}

const POLICIES: &str = r#"
@id("callers") permit (principal in Group::"callers", action, resource);
@id("hidden") forbid (principal, action == Action::"reveal", resource) unless { principal in Group::"cleared" };
"#;

fn site(sluice: PathBuf, backend: SocketAddr) -> Result<Site> {
    let targets = format!(
        "[shop]\nprotocol = \"http\"\naddress = \"{backend}\"\ntls = \"off\"\nhosts = [\"127.0.0.1\"]\n\
         durability = \"process\"\ncredential = {{ none = true }}\nroutes = [\"GET /v1/customers/{{id}}\"]\n"
    );
    let revision = [
        ("targets.toml", targets),
        ("classification.toml", String::new()),
        ("policies/10-bench.cedar", POLICIES.to_owned()),
    ];
    let listen = "\n[listen.http]\naddress = \"127.0.0.1:0\"\n";
    let mut site = Site::with_revision(sluice, listen, &revision)?;
    site.start()?;
    Ok(site)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_tools_say_is_read_and_refusals_are_no_figures() {
        let said = "Running 2s test\n  1 threads\n\n  100 requests in 2.00s, 1.00MB read\nRequests/sec:   1234.50\nTransfer/sec: 1MB\n";
        assert_eq!(wrk(said).ok(), Some(1234.5));
        assert!(wrk(&format!("{said}  Non-2xx or 3xx responses: 3\n")).is_err());
        let said =
            "finished in 2.00s, 987.65 req/s, 1.2MB/s\nrequests: 10 total\nstatus codes: 10 2xx, 0 3xx, 0 4xx, 0 5xx\n";
        assert_eq!(h2load(said).ok(), Some(987.65));
        assert!(h2load(&said.replace("0 4xx", "1 4xx")).is_err());
    }
}
