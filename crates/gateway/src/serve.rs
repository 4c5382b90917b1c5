//! Running a node: its listener, its background work, and its end.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use model::event::Event;
use tokio_util::sync::CancellationToken;

use crate::background::Background;
use crate::clock;
use crate::node::{Node, StartError};
use crate::sessions::Signal;
use crate::sinks::{Pace, Sinks};
use crate::witnesses::Around;

/// How often ended approvals are looked for.
const EXPIRY: Duration = Duration::from_secs(1);

/// How long sessions may take to say goodbye after the drain is over.
const GOODBYE: Duration = Duration::from_secs(5);

/// The bound listeners, one for each protocol that the configuration names.
#[derive(Debug)]
pub struct Listeners {
    postgres: crate::postgres::Listener,
    ssh: Option<crate::ssh::Listener>,
    http: Option<crate::http::Listener>,
}

impl Listeners {
    /// Binds where the configuration says.
    ///
    /// # Errors
    /// If an address is taken, or a certificate or host key cannot be used.
    pub async fn bind(node: &Node) -> Result<Self, StartError> {
        let postgres = crate::postgres::Listener::bind(node).await?;
        let ssh = crate::ssh::Listener::bind(node).await?;
        Ok(Self { postgres, ssh, http: crate::http::Listener::bind(node).await? })
    }

    /// Where each is bound, by its protocol.
    pub fn addresses(&self) -> Vec<(&'static str, SocketAddr)> {
        let ssh = self.ssh.as_ref().map(|ssh| ("ssh", ssh.address()));
        let http = self.http.as_ref().map(|http| ("http", http.address()));
        std::iter::once(("postgres", self.postgres.address())).chain(ssh).chain(http).collect()
    }

    async fn run(self, node: &Arc<Node>, stop: CancellationToken) {
        let ssh = async {
            if let Some(ssh) = self.ssh {
                ssh.run(Arc::clone(node), stop.clone()).await;
            }
        };
        let http = async {
            if let Some(http) = self.http {
                http.run(Arc::clone(node), stop.clone()).await;
            }
        };
        tokio::join!(self.postgres.run(Arc::clone(node), stop.clone()), ssh, http);
    }
}

impl From<crate::postgres::Listener> for Listeners {
    /// That of one protocol alone.
    fn from(postgres: crate::postgres::Listener) -> Self {
        Self { postgres, ssh: None, http: None }
    }
}

/// Serves until `stop` is cancelled and the sessions have ended.
pub async fn serve(node: Arc<Node>, listeners: impl Into<Listeners>, stop: CancellationToken) {
    let background = begin_background(&node);
    let sinks = Sinks::start(&node, Pace::default());
    listeners.into().run(&node, stop).await;
    drain(&node).await;
    end(&node, background).await;
    // The last to go, so that they may send the end as well.
    tokio::join!(sinks.finish(), node.witnesses.last(around(&node)), crate::tiles::bring(&node));
}

/// Does one piece of work with a node that serves nobody. It is recorded as all else is.
pub async fn alone<T>(node: Arc<Node>, work: impl Future<Output = T>) -> T {
    let background = begin_background(&node);
    let done = work.await;
    end(&node, background).await;
    done
}

/// Ends what is left when nobody is served any more, up to the last entry of the journal.
async fn end(node: &Arc<Node>, background: Background) {
    let _ = tokio::time::timeout(GOODBYE, node.http.close()).await;
    node.tasks.close();
    let _ = tokio::time::timeout(GOODBYE, node.tasks.wait()).await;
    node.roles.finish(node).await;
    crate::credentials::finish(node).await;
    // A witness that was not asked yet keeps the end from being signed.
    let _ = tokio::time::timeout(GOODBYE, node.recorder.asked()).await;
    background.stop().await;
    node.recorder.note(Event::Stopped);
    let recorder = Arc::clone(&node.recorder);
    // A disk that does not answer does not keep the process.
    let _ = tokio::time::timeout(GOODBYE, tokio::task::spawn_blocking(move || recorder.finish())).await;
}

fn around(node: &Node) -> Around {
    let (recorder, metrics) = (Arc::clone(&node.recorder), node.metrics.clone());
    Around { recorder, journal: node.layout().journal(), metrics }
}

/// Tells every session to end when it is at rest, and waits for all of them.
async fn drain(node: &Node) {
    node.sessions.tell_all(Signal::Drain);
    let until = tokio::time::Instant::now() + node.config.sessions.drain + GOODBYE;
    while node.sessions.count() > 0 && tokio::time::Instant::now() < until {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn begin_background(node: &Arc<Node>) -> Background {
    let mut background = Background::new(node.metrics.clone());
    let mut keep = |name, work: fn(Arc<Node>) -> Work| {
        let node = Arc::clone(node);
        background.keep(name, move || work(Arc::clone(&node)));
    };
    keep("journal", |node| Box::pin(Arc::clone(&node.recorder).run()));
    keep("issuers", |node| Box::pin(keep_issuers(node)));
    keep("trust_domains", |node| Box::pin(Arc::clone(&node.issuers).follow_trust_domains(Arc::clone(&node.sessions))));
    keep("trust", |node| Box::pin(crate::trust::run(node)));
    keep("revisions", |node| Box::pin(watch_revisions(node)));
    keep("index", |node| Box::pin(crate::indexer::run(Arc::clone(&node.state), Arc::clone(&node.recorder))));
    keep("approvals", |node| Box::pin(async move { expire_approvals(&node).await }));
    keep("retention", |node| Box::pin(crate::retention::run(node)));
    keep("live_tapes", |node| Box::pin(async move { crate::live_tapes::run(&node).await }));
    keep("archive", |node| Box::pin(crate::archive::run(node)));
    keep("vault", |node| Box::pin(async move { crate::vault_changes::run(&node).await }));
    keep("credentials", |node| Box::pin(async move { crate::credentials::run(&node).await }));
    keep("roles", |node| Box::pin(async move { node.roles.run(&node).await }));
    keep("witnesses", |node| Box::pin(async move { node.witnesses.run(around(&node)).await }));
    keep("tiles", |node| Box::pin(async move { crate::tiles::run(&node).await }));
    background
}

type Work = std::pin::Pin<Box<dyn Future<Output = ()> + Send>>;

/// Their keys, and what they say of the tokens that sessions live by.
async fn keep_issuers(node: Arc<Node>) {
    tokio::join!(node.issuers.keep_fresh(), node.issuers.keep_asking(&node.sessions));
}

async fn watch_revisions(node: Arc<Node>) {
    let (state, recorder) = (Arc::clone(&node.state), Arc::clone(&node.recorder));
    let (sessions, metrics) = (Arc::clone(&node.sessions), node.metrics.clone());
    Arc::clone(&node.revisions).watch(state, recorder, sessions, metrics).await;
}

async fn expire_approvals(node: &Node) {
    loop {
        tokio::time::sleep(EXPIRY).await;
        let (state, issued) = (Arc::clone(&node.state), Arc::clone(&node.issued));
        if let Ok(Err(error)) = tokio::task::spawn_blocking(move || issued.sweep(clock::now())).await {
            tracing::error!(%error, "what was issued and ended cannot be removed");
        }
        match tokio::task::spawn_blocking(move || state.expire(clock::now())).await {
            Ok(Ok(ended)) => ended.into_iter().for_each(|approval| {
                let (status, reason) = (model::approval::Status::Expired, "its time is over".into());
                node.recorder.note(Event::ApprovalEnded { approval, status, reason });
            }),
            Ok(Err(error)) => tracing::error!(%error, "approvals cannot be expired"),
            Err(_) => {}
        }
    }
}
