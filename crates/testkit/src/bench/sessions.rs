//! What an idle session holds in memory: thousands of them, each with a statement behind it.
//!
//! No PostgreSQL has that many connections to spare. So Sluice reaches the server through a relay here, which lets the
//! server go once a session's statement is answered and keeps the connection to Sluice open: what Sluice holds is what it
//! would hold with the server at the other end.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use super::machine::{description, settled_cpu_time};
use super::report::line;
use crate::demo::site::{ORDER_SERVICE, Site, Tuning};
use crate::payments::{Counts, Payments};
use crate::postgres::{Authentication, Options, Postgres};
use crate::scripted::{Peer, password, query, ssl_request, startup};

const DATABASE: &str = "bench";
const ROLE: &str = "bench";
/// What each session runs before it goes quiet.
const STATEMENT: &str = "SELECT balance FROM accounts WHERE id = 4711";
/// What there is before anything is counted: the catalog, the caches and the allocator's first pages are everybody's.
const WARM: usize = 200;
/// How many log in at the same time.
const AT_ONCE: usize = 16;
/// After how long a session has given back its buffers.
const QUIET: Duration = Duration::from_secs(6);
/// And what it remembers of its texts.
const LONG_QUIET: Duration = Duration::from_secs(65);
/// The files that each session has open in Sluice: a connection to each side, and its tape.
const FILES: usize = 3;
/// What else is open there.
const OTHER_FILES: usize = 200;
/// Longer than any of this takes.
const LIFETIME: Duration = Duration::from_secs(3600);

/// Holds this many idle sessions, and prints what they take.
///
/// # Errors
/// If something does not start, a session cannot be opened, or one of them has ended.
pub fn run(sluice: PathBuf, sessions: usize) -> Result<()> {
    ensure!(sessions > 0, "no sessions are none to be measured");
    allow_files((sessions + WARM) * FILES + OTHER_FILES)?;
    let settings = vec![("log_statement".into(), "none".into()), ("max_connections".into(), "500".into())];
    let postgres = Postgres::start(Options { settings })?;
    let login = postgres.login(ROLE, Authentication::ScramWithoutTls)?;
    postgres.create_database(DATABASE, None)?;
    postgres.sql(DATABASE, "CREATE TABLE accounts (id int PRIMARY KEY, balance int)")?;
    postgres.sql(DATABASE, &format!("GRANT SELECT ON accounts TO {ROLE}"))?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let relay = runtime.block_on(Relay::start((Ipv4Addr::LOCALHOST, postgres.port()).into()))?;
    let payments = Payments { database: DATABASE.to_owned(), login, counts: Counts::of(0) };
    let mut site = Site::prepare(&postgres, &payments, sluice, &tuning(relay.address, sessions))?;
    site.start()?;
    let result = runtime.block_on(measure(&site, sessions));
    runtime.shutdown_background();
    result
}

/// Lets this process, and those that it starts, have so many files open: beyond the hard limit only as root.
fn allow_files(wanted: usize) -> Result<()> {
    let wanted = u64::try_from(wanted)?;
    let limit = getrlimit(Resource::Nofile);
    if limit.current.is_none_or(|current| current >= wanted) {
        return Ok(());
    }
    let maximum = limit.maximum.map(|maximum| maximum.max(wanted));
    setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), maximum }).with_context(|| {
        format!("the sessions need {wanted} files open in one process, which is more than is allowed: see `ulimit -Hn`")
    })
}

fn tuning(target: SocketAddr, sessions: usize) -> Tuning {
    let most = sessions + WARM + 1;
    let limits = format!(
        "[limits]\nmax_sessions = {most}\nmax_per_source = {most}\nmax_sessions_per_subject = {most}\n\
         max_logins_per_source = {most}\n"
    );
    Tuning {
        sluice_toml: limits,
        target: "tls = \"off\"\ntape = \"full\"\n".to_owned(),
        target_address: Some(target.to_string()),
        ..Tuning::default()
    }
}

async fn measure(site: &Site, sessions: usize) -> Result<()> {
    line("");
    description()?.into_iter().for_each(|text| line(&format!("- {text}")));
    let pid = site.process()?.pid();
    let caller = Caller {
        address: site.process()?.address("postgres")?,
        tls: trusting(&site.ca())?,
        token: site.issuer().issue(ORDER_SERVICE.grant().lifetime(LIFETIME))?,
    };
    let mut held = open(&caller, WARM).await?;
    let before = at_rest(pid, LONG_QUIET)?;
    line("\n| idle sessions, TLS to the client | resident memory, MiB | each, KiB |\n|---|--:|--:|");
    line(&format!("| {WARM} | {:.1} | |", mebibytes(before)));
    let row = |held: usize, quiet, said: &str| {
        let now = at_rest(pid, quiet)?;
        let each = mebibytes(now.saturating_sub(before)) * 1024.0 / f64::from(u32::try_from(held - WARM)?);
        line(&format!("| {held}{said} | {:.1} | {each:.1} |", mebibytes(now)));
        anyhow::Ok(())
    };
    for part in 1..=4 {
        let wanted = WARM + sessions * part / 4;
        held.extend(open(&caller, wanted - held.len()).await?);
        row(held.len(), QUIET, "")?;
    }
    row(held.len(), LONG_QUIET, ", quiet for a minute")?;
    let left = site.metric("sluice_sessions")?.context("Sluice does not say how many sessions there are")?;
    ensure!(left == u64::try_from(held.len())?, "{left} of {} sessions are left", held.len());
    Ok(())
}

/// The resident memory once nothing is put off any more, in bytes.
fn at_rest(pid: u32, quiet: Duration) -> Result<u64> {
    std::thread::sleep(quiet);
    settled_cpu_time(pid)?;
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
    Ok(line.trim().trim_end_matches(" kB").trim().parse::<u64>()? * 1024)
}

fn mebibytes(bytes: u64) -> f64 {
    f64::from(u32::try_from(bytes / 1024).unwrap_or(u32::MAX)) / 1024.0
}

/// Who opens sessions.
#[derive(Clone)]
struct Caller {
    address: SocketAddr,
    tls: Arc<ClientConfig>,
    token: String,
}

async fn open(caller: &Caller, count: usize) -> Result<Vec<Peer>> {
    let mut opened = Vec::with_capacity(count);
    let mut opening = JoinSet::new();
    for _ in 0..count {
        if opening.len() == AT_ONCE {
            opened.extend(opening.join_next().await.transpose()?.transpose()?);
        }
        let caller = caller.clone();
        opening.spawn(async move { caller.session().await });
    }
    while let Some(session) = opening.join_next().await {
        opened.push(session??);
    }
    Ok(opened)
}

impl Caller {
    /// Logs in and runs the statement.
    async fn session(&self) -> Result<Peer> {
        let mut peer = Peer::connect(self.address).await?;
        peer.send(&ssl_request()).await?;
        ensure!(peer.read(1).await? == b"S", "Sluice offers no TLS");
        let mut peer = peer.into_tls_client(Arc::clone(&self.tls), "localhost").await?;
        peer.send(&startup(196_608, &[("user", "order-service"), ("database", DATABASE)])).await?;
        peer.read_until(b'R').await?;
        peer.send(&password(&self.token)).await?;
        peer.read_until(b'Z').await?;
        peer.send(&query(STATEMENT)).await?;
        let answer = peer.read_until(b'Z').await?;
        ensure!(answer.iter().all(|message| message.tag != b'E'), "the statement failed: {answer:?}");
        Ok(peer)
    }
}

fn trusting(ca: &Path) -> Result<Arc<ClientConfig>> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(ca)? {
        roots.add(certificate?)?;
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    Ok(Arc::new(builder.with_root_certificates(roots).with_no_client_auth()))
}

/// Stands between Sluice and the server.
struct Relay {
    address: SocketAddr,
}

impl Relay {
    async fn start(server: SocketAddr) -> Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        tokio::spawn(async move {
            // Its connections end with it.
            let mut connections = JoinSet::new();
            while let Ok((sluice, _)) = listener.accept().await {
                connections.spawn(async move { relay(sluice, server).await });
            }
        });
        Ok(Self { address })
    }
}

/// How the answer to a statement ends: ReadyForQuery, outside a transaction.
const READY: &[u8] = b"Z\0\0\0\x05I";

/// Passes everything on until the statement is answered; then the server's end is closed, and Sluice's is kept until Sluice
/// speaks or closes it. Sessions here do neither. The connection by which Sluice reads the catalog runs no such statement.
async fn relay(mut sluice: TcpStream, server: SocketAddr) -> Result<()> {
    let mut server = TcpStream::connect(server).await?;
    sluice.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let (mut asked, mut answered) = (vec![0; 16 * 1024], vec![0; 16 * 1024]);
    let mut is_run = false;
    loop {
        tokio::select! {
            count = sluice.read(&mut asked) => {
                let part = asked.get(..count?).filter(|part| !part.is_empty());
                let Some(part) = part else { return Ok(()) };
                is_run |= memchr::memmem::find(part, STATEMENT.as_bytes()).is_some();
                server.write_all(part).await?;
            }
            count = server.read(&mut answered) => {
                let part = answered.get(..count?).filter(|part| !part.is_empty());
                let Some(part) = part else { return Ok(()) };
                sluice.write_all(part).await?;
                if is_run && part.ends_with(READY) {
                    break;
                }
            }
        }
    }
    drop((server, asked, answered));
    // Idle from here on, until it ends.
    sluice.read(&mut [0]).await.map(drop)?;
    Ok(())
}
