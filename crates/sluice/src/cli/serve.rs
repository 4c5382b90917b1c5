//! `sluice serve`

use std::io::Write;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use control::Stopping;
use gateway::node::Node;
use tokio::runtime::{Builder, Handle};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::failure::Failure;
use super::files;
use super::log::{self, Budget};
use super::memory;
use super::paths::ConfigArg;

/// How long what still waits for a disk may take when all else has ended.
const LAST: Duration = Duration::from_secs(2);

/// Run the gateway
#[derive(clap::Args)]
#[command(after_help = "SIGTERM and SIGINT end it in order: running requests may finish (sessions.drain), new ones \
    are turned away.\nWhere it listens is in DATA_DIR/addresses.json.\n\n\
    Example:\n  sluice serve --config /etc/sluice/sluice.toml")]
pub(super) struct Args {
    #[command(flatten)]
    config: ConfigArg,
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    let config = args.config.load()?;
    let budget = log::start(&config.log)?;
    files::take_all();
    memory::leave_no_core();
    memory::lock(config.lock_memory)?;
    let opened = Node::open(config);
    let node = opened.map_err(|error| Failure::Failed(start_error(&error)))?;
    // Two at least: when one is kept waiting by a disk, another one tells the callers.
    let threads = std::thread::available_parallelism().map_or(2, |count| count.get().max(2));
    let runtime = Builder::new_multi_thread().worker_threads(threads).enable_all().build();
    let runtime = runtime.map_err(Failure::failed)?;
    // With a thread of its own, so that whoever asks how it is gets an answer while every session waits for a disk.
    let admin = Builder::new_multi_thread().worker_threads(1).thread_name("admin").enable_all().build();
    let admin = admin.map_err(Failure::failed)?;
    let served = runtime.block_on(serve(node, admin.handle(), budget.clone()));
    // A disk that does not answer does not keep the process.
    runtime.shutdown_timeout(LAST);
    admin.shutdown_timeout(LAST);
    budget.tell_now();
    served
}

/// The mistakes of a revision, each on a line of its own, belong to the reason.
pub(super) fn start_error(error: &gateway::node::StartError) -> String {
    match error {
        gateway::node::StartError::Revision(refused) => format!("{error}\n{}", refused.errors.join("\n")),
        other => other.to_string(),
    }
}

async fn serve(node: Arc<Node>, admins: &Handle, budget: Budget) -> Result<(), Failure> {
    let listeners = gateway::Listeners::bind(&node).await.map_err(Failure::failed)?;
    let binding = Arc::clone(&node);
    let admin = admins.spawn(async move { control::Listener::bind(&binding).await });
    let admin = admin.await.map_err(Failure::failed)?.map_err(Failure::failed)?;
    let addresses = node.layout().addresses();
    let mut bound = listeners.addresses();
    bound.push(("admin", admin.address()));
    write_addresses(&addresses, &bound)?;
    for (listener, address) in &bound {
        tracing::info!(listener, %address, "listening");
    }
    let stopping = Stopping::default();
    let end = end_on_signal(stopping.draining.clone())?;
    let telling = tokio::spawn(budget.tell());
    let api = admins.spawn(control::serve(Arc::clone(&node), admin, stopping.clone()));
    gateway::serve(node, listeners, stopping.draining).await;
    // The last to go: until here it could be asked how the drain goes on.
    stopping.stop.cancel();
    let _ = api.await;
    end.abort();
    telling.abort();
    // Nobody listens there any more.
    let _ = std::fs::remove_file(&addresses);
    tracing::info!("stopped");
    Ok(())
}

/// Begins the end at the first SIGTERM or SIGINT.
pub(super) fn end_on_signal(draining: CancellationToken) -> Result<tokio::task::JoinHandle<()>, Failure> {
    let mut terminate = signal(SignalKind::terminate()).map_err(Failure::failed)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(Failure::failed)?;
    Ok(tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        tracing::info!("ending: what runs may finish");
        draining.cancel();
    }))
}

/// Whoever reads the file sees all of it or none.
fn write_addresses(path: &Path, bound: &[(&str, SocketAddr)]) -> Result<(), Failure> {
    let failed = |error: std::io::Error| Failure::failed(format!("{}: {error}", path.display()));
    let named = bound.iter().map(|(name, address)| ((*name).to_owned(), address.to_string().into()));
    let text = serde_json::Value::Object(named.collect());
    let temporary = path.with_extension("new");
    let mut file = std::fs::File::create(&temporary).map_err(failed)?;
    file.write_all(format!("{text}\n").as_bytes()).and_then(|()| file.sync_all()).map_err(failed)?;
    std::fs::rename(&temporary, path).map_err(failed)
}
