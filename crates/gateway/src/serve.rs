//! Running a node: its listener, its background work, and its end.

use std::sync::Arc;
use std::time::Duration;

use model::event::Event;
use tokio_util::sync::CancellationToken;

use crate::clock;
use crate::node::Node;
use crate::postgres::Listener;
use crate::sessions::Signal;
use crate::sinks::{Pace, Sinks};
use crate::witnesses::Around;

/// How often ended approvals are looked for.
const EXPIRY: Duration = Duration::from_secs(1);

/// How long sessions may take to say goodbye after the drain is over.
const GOODBYE: Duration = Duration::from_secs(5);

/// Serves until `stop` is cancelled and the sessions have ended.
pub async fn serve(node: Arc<Node>, listener: Listener, stop: CancellationToken) {
    let background = CancellationToken::new();
    let work = tokio::spawn(background_work(Arc::clone(&node), background.clone()));
    let sinks = Sinks::start(&node, Pace::default());
    listener.run(Arc::clone(&node), stop).await;
    drain(&node).await;
    node.tasks.close();
    let _ = tokio::time::timeout(GOODBYE, node.tasks.wait()).await;
    // A witness that was not asked yet keeps the end from being signed.
    let _ = tokio::time::timeout(GOODBYE, node.recorder.asked()).await;
    background.cancel();
    let _ = work.await;
    node.recorder.note(Event::Stopped);
    let recorder = Arc::clone(&node.recorder);
    // A disk that does not answer does not keep the process.
    let _ = tokio::time::timeout(GOODBYE, tokio::task::spawn_blocking(move || recorder.finish())).await;
    // The last to go, so that they may send the end as well.
    tokio::join!(sinks.finish(), node.witnesses.last(around(&node)), crate::tiles::bring(&node));
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

async fn background_work(node: Arc<Node>, stop: CancellationToken) {
    let all = async {
        tokio::join!(
            Arc::clone(&node.recorder).run(),
            node.issuers.keep_fresh(),
            Arc::clone(&node.revisions).watch(
                Arc::clone(&node.state),
                Arc::clone(&node.recorder),
                Arc::clone(&node.sessions),
                node.metrics.clone(),
            ),
            crate::indexer::run(Arc::clone(&node.state), Arc::clone(&node.recorder)),
            expire_approvals(&node),
            crate::retention::run(Arc::clone(&node)),
            crate::live_tapes::run(&node),
            crate::archive::run(Arc::clone(&node)),
            crate::vault_changes::run(&node),
            node.witnesses.run(around(&node)),
            crate::tiles::run(&node),
        );
    };
    tokio::select! {
        () = all => {}
        () = stop.cancelled() => {}
    }
}

async fn expire_approvals(node: &Node) {
    loop {
        tokio::time::sleep(EXPIRY).await;
        let state = Arc::clone(&node.state);
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
