//! `sluice audit witness`: a server on another machine that remembers the checkpoints of journals, and cosigns them.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use ledger::witness::Witness;
use ledger::{RealDisk, VerifyingKey};
use store::config::{LockMemory, LogConfig, LogFormat, LogLevel};
use tokio_util::sync::CancellationToken;

use super::failure::Failure;
use super::journal::key_in;
use super::memory;
use super::serve::end_on_signal;
use super::{put_line, show};

/// Remember the checkpoints of journals, and cosign those that grew from the last one
#[derive(clap::Args)]
#[command(after_help = "Run it on another machine than Sluice, in other hands. It answers POST /add-checkpoint \
    (c2sp.org/tlog-witness), and refuses a journal that was put back to an older state or written anew. Its key is made \
    at its first start; DIR/witness.pub goes into [[witness]] of sluice.toml, and to whoever verifies. What is in DIR must \
    not be put back to an older state either.\n\nExamples:\n  \
    sluice audit witness --dir /var/lib/witness --log journal.pub --listen 127.0.0.1:7633\n  \
    sluice audit witness --dir /var/lib/witness --name witness.example/1 --log a.pub --log b.pub \\\n    \
    --listen [::]:7633 --tls-cert witness.crt --tls-key witness.key")]
pub(super) struct Args {
    /// Where it keeps its key, and what it remembers
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
    /// The public key of a journal that it watches; once for each, and for each key of a journal whose key was changed
    #[arg(long, value_name = "FILE", required = true)]
    log: Vec<PathBuf>,
    /// Where to listen; port 0 takes any free one
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:7633")]
    listen: SocketAddr,
    /// The certificate chain that it shows, PEM; without one it listens on this machine alone
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    tls_cert: Option<PathBuf>,
    /// The key of the certificate, PEM
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,
    /// The name of its key, when that is made: by convention a URL without the scheme
    #[arg(long, value_name = "NAME", default_value = "witness")]
    name: String,
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    let budget = super::log::start(&LogConfig { format: LogFormat::Text, level: LogLevel::Info })?;
    memory::leave_no_core();
    memory::lock(LockMemory::Auto)?;
    let logs = args.log.iter().map(|file| key_in(file)).collect::<Result<Vec<_>, _>>()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(Failure::failed)?;
    let served = runtime.block_on(async {
        let telling = tokio::spawn(budget.clone().tell());
        let served = serve(args, logs).await;
        telling.abort();
        served
    });
    budget.tell_now();
    served
}

/// It makes a key only when it can listen.
async fn serve(args: &Args, logs: Vec<VerifyingKey>) -> Result<(), Failure> {
    let certificate = args.tls_cert.clone().zip(args.tls_key.clone());
    let listener = control::witness::bind(args.listen, certificate).await.map_err(Failure::failed)?;
    let fresh = zeroize::Zeroizing::new(gateway::clock::random::<32>().map_err(Failure::failed)?);
    let witness = Witness::open(Arc::new(RealDisk), &args.dir, &args.name, &fresh, logs);
    let witness = Arc::new(witness.map_err(|error| Failure::failed(format!("{}: {error}", args.dir.display())))?);
    let stop = CancellationToken::new();
    let end = end_on_signal(stop.clone())?;
    put_line(&format!("witness {} listens on {}", show::safe(&witness.public().to_string()), listener.address()))?;
    control::witness::serve(witness, listener, &stop).await;
    end.abort();
    Ok(())
}
