//! Follows the issuers of `sluice.toml` while Sluice runs, and forgets revocations whose time is over.
//!
//! Of all settings of the process these alone are read again: whom Sluice believes must not wait for a restart. The file
//! is taken or refused whole, as a revision is.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use ledger::Level;
use model::decision::Outcome;
use model::event::Event;
use model::subject::SubjectKey;
use store::config::Config;

use crate::clock;
use crate::node::{LOCAL_ISSUER, Node, configured};
use crate::recorder::{Clocks, entry};
use crate::sessions::Signal;

/// How often the file is looked at.
const LOOK: Duration = Duration::from_millis(100);
/// How often it is read even if nothing seems to have changed: for file systems whose times are coarse.
const READ_ANYWAY: Duration = Duration::from_secs(5);
/// How often what is over is forgotten.
const SWEEP: Duration = Duration::from_secs(60);
/// The most of a file's mistakes that the journal is told.
const MOST_MISTAKES: usize = 20;

/// What of the file shows that it may have changed.
type Signature = Option<(u64, Option<SystemTime>)>;

/// For as long as it is polled.
pub(crate) async fn run(node: Arc<Node>) {
    let (mut before, mut seen) = (None, None);
    let (mut read_at, mut swept_at) = (Instant::now(), Instant::now());
    let mut refused = Vec::new();
    let clocks = Clocks::new(clock::now());
    loop {
        tokio::time::sleep(LOOK).await;
        if clocks.moved(clock::now()).is_some() {
            // Credentials may have ended that a timer will end later: each session sets its own anew.
            node.sessions.tell_all(Signal::Trust);
        }
        if swept_at.elapsed() >= SWEEP {
            swept_at = Instant::now();
            sweep(&node).await;
        }
        let looked = signature(&node.config.file).await;
        // A file that is written in place is empty at first: what still changes is not read.
        let rests = before.replace(looked).is_some_and(|before| before == looked);
        if !rests || (seen == Some(looked) && read_at.elapsed() < READ_ANYWAY) {
            continue;
        }
        (seen, read_at) = (Some(looked), Instant::now());
        reload(&node, &mut refused).await;
    }
}

async fn signature(file: &Path) -> Signature {
    let metadata = tokio::fs::metadata(file).await.ok()?;
    Some((metadata.len(), metadata.modified().ok()))
}

async fn sweep(node: &Arc<Node>) {
    let revocations = Arc::clone(&node.revocations);
    match tokio::task::spawn_blocking(move || revocations.sweep(clock::now())).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::error!(%error, "revocations whose time is over cannot be forgotten"),
        Err(error) => tracing::error!(%error, "revocations were not looked through"),
    }
}

/// Reads the file and believes the issuers in it, if they are others and all of it is right. `refused` has the mistakes
/// that were told of already.
async fn reload(node: &Node, refused: &mut Vec<String>) {
    // One that is away for a moment, while it is replaced, changes nothing.
    let Ok(text) = tokio::fs::read_to_string(&node.config.file).await else { return };
    let config = match Config::parse(&text, &node.config.file) {
        Ok(config) => config,
        Err(errors) => {
            let errors: Vec<String> = errors.iter().map(ToString::to_string).collect();
            if *refused != errors {
                tell_refused(node, &errors);
                *refused = errors;
            }
            return;
        }
    };
    refused.clear();
    let issuers: Vec<_> = configured(&config.issuers).collect();
    let asked = node.asked(&config.issuers);
    let mut changes = node.issuers.compare(&issuers);
    node.issuers.compare_trust_domains(&config.trust_domains, &mut changes);
    let asked_otherwise = node.issuers.compare_asked(&asked).into_iter();
    changes.changed.extend(asked_otherwise.filter(|alias| !changes.has(alias)).collect::<Vec<_>>());
    if changes.is_empty() {
        return;
    }
    let recorded = node.recorder.record(vec![entry(changed(changes.to_string(), Outcome::Allow))], Level::Power).await;
    if let Err(error) = recorded {
        // It is read again in a moment.
        tracing::error!(%error, %changes, "the issuers have changed, which cannot be recorded: those before stay");
        return;
    }
    tracing::info!(%changes, "the issuers have changed");
    node.issuers.ask(asked);
    node.issuers.replace_trust_domains(&config.trust_domains);
    node.issuers.replace(issuers);
    node.sessions.tell_all(Signal::Trust);
}

fn tell_refused(node: &Node, errors: &[String]) {
    for error in errors {
        tracing::error!(%error, "the configuration is refused; the running issuers stay");
    }
    let mistakes = errors.iter().take(MOST_MISTAKES).map(String::as_str).collect::<Vec<_>>().join("; ");
    node.recorder.note(changed(mistakes, Outcome::Deny));
}

fn changed(object: String, outcome: Outcome) -> Event {
    let subject = SubjectKey { issuer: LOCAL_ISSUER.into(), id: "configuration".into() };
    Event::AdminAction { subject, action: "issuers.change".into(), object: object.into(), outcome }
}
