//! Finished tapes in object storage (`[archive]`): sent as they are on the disk, sealed, and read back before anything is
//! believed. A local file goes only once the journal has that its object is what the file was, and never because something
//! was given up: nothing is.

use std::io;
use std::path::Path;
use std::sync::Arc;

use ledger::tape::{Archived, PartFiles, WithArchive};
use ledger::{Disk, Level, RealDisk};
use model::event::Event;
use model::id::SessionId;
use store::config::ArchiveConfig;
use tokio::runtime::Handle;
use tokio::sync::{Mutex, Notify};

use crate::node::Node;
use crate::recorder::entry;

mod bucket;
mod http;
mod remote;
mod removal;
mod round;
mod turns;

pub use bucket::ArchiveError;
pub use remote::is_unreached;
pub use round::{Outcome, round, run};

use bucket::{Bucket, PIECE};
use remote::{Closed, Remote};

/// The archive of a process.
pub(crate) struct Archive {
    config: ArchiveConfig,
    open: Mutex<Open>,
    /// Held while something becomes archived, or a tape is removed: not both.
    alone: Mutex<()>,
    /// There may be something to do.
    news: Notify,
    turns: turns::Turns,
}

/// What was opened of it.
#[derive(Default)]
struct Open {
    bucket: Option<Arc<Bucket>>,
    /// Whether the journal has that its secret is used.
    is_told: bool,
}

impl Archive {
    pub(crate) fn new(config: ArchiveConfig) -> Self {
        Self {
            config,
            open: Mutex::default(),
            alone: Mutex::default(),
            news: Notify::new(),
            turns: turns::Turns::default(),
        }
    }

    /// A part may be ready.
    pub(crate) fn look(&self) {
        self.news.notify_one();
    }

    /// The bucket, with the secret as it was when the last attempt failed.
    async fn bucket(&self, node: &Arc<Node>) -> Result<Arc<Bucket>, ArchiveError> {
        let mut open = self.open.lock().await;
        if let Some(bucket) = &open.bucket {
            return Ok(Arc::clone(bucket));
        }
        let source = self.config.secret.clone();
        if !open.is_told {
            let used = Event::SecretUsed {
                session: None,
                target: format!("archive:{}", self.config.bucket).into(),
                reference: source.to_string().into(),
            };
            node.recorder.record(vec![entry(used)], Level::Process).await?;
            open.is_told = true;
        }
        let reading = Arc::clone(node);
        let read = move || store::credential::resolve(&source, &|name| reading.secret(name));
        let secret = tokio::task::spawn_blocking(read).await.map_err(|_| ArchiveError::Ended)??;
        let bucket = Arc::new(Bucket::open(&self.config, &secret, PIECE)?);
        open.bucket = Some(Arc::clone(&bucket));
        Ok(bucket)
    }

    /// Something failed: the secret may have been changed.
    async fn forget(&self) {
        self.open.lock().await.bucket = None;
    }

    /// What the file of a part is called in the archive.
    fn object(&self, files: &PartFiles) -> String {
        let form = if files.is_packed { "tapez" } else { "tape" };
        let name = format!("tapes/{}/{:05}.{form}", files.session, files.part.number());
        if self.config.prefix.is_empty() { name } else { format!("{}/{name}", self.config.prefix) }
    }
}

/// The disk that tapes are read from: with what is in the archive, where there is one. Where that cannot be opened, what is
/// here can be read all the same.
pub async fn tape_disk(node: &Arc<Node>) -> Arc<dyn Disk> {
    let local: Arc<dyn Disk> = Arc::new(RealDisk);
    let Some(archive) = &node.archive else { return local };
    match archive.bucket(node).await {
        Ok(bucket) => Arc::new(WithArchive::new(local, Arc::new(Remote { bucket, runtime: Handle::current() }))),
        Err(error) => Arc::new(WithArchive::new(local, Arc::new(Closed(error.to_string())))),
    }
}

/// Likewise without a node, for whoever verifies offline: `runtime` carries what is fetched, and this blocks.
///
/// # Errors
/// If the archive cannot be opened.
pub fn offline_disk(config: &ArchiveConfig, runtime: &Handle) -> Result<Arc<dyn Disk>, ArchiveError> {
    let secret = store::credential::resolve(&config.secret, &|_| None)?;
    let bucket = Arc::new(Bucket::open(config, &secret, PIECE)?);
    let remote = Remote { bucket, runtime: runtime.clone() };
    Ok(Arc::new(WithArchive::new(Arc::new(RealDisk), Arc::new(remote))))
}

/// Removes the files of a tape; from the archive as well, as soon as that can be reached. The journal says so already.
pub(crate) async fn remove(node: &Arc<Node>, session: SessionId) -> io::Result<()> {
    let _alone = match &node.archive {
        Some(archive) => Some(archive.alone.lock().await),
        None => None,
    };
    let removing = Arc::clone(node);
    let removed = tokio::task::spawn_blocking(move || {
        let dir = removing.layout().tapes();
        let _whole = removing.packing.claim_all(session);
        removal::note(&removing.layout().archive(), &objects(&removing, &dir, session)?, session)?;
        ledger::tape::remove(&RealDisk, &dir, session, &removing.tape_keys).map(drop)
    });
    removed.await.map_err(io::Error::other)??;
    if let Some(archive) = &node.archive {
        archive.look();
    }
    Ok(())
}

/// The objects that there may be of a session's tape: also those that an attempt left whose answer was lost.
fn objects(node: &Node, dir: &Path, session: SessionId) -> io::Result<Vec<String>> {
    let mut objects = Vec::new();
    for files in ledger::tape::parts_of_session(&RealDisk, dir, session)? {
        objects.extend(Archived::of(&RealDisk, dir, session, files.part)?.map(|archived| archived.object));
        if let (Some(archive), false) = (&node.archive, files.is_archived) {
            objects.push(archive.object(&files));
        }
    }
    Ok(objects)
}

#[cfg(test)]
mod tests;
