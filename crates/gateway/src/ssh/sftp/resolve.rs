//! What a path is at the host: asked by Sluice itself, and recorded as that.

use bytes::Bytes;
use ledger::{Level, Receipt};
use model::event::Event;
use policy::{OwnStatement, Permit};
use tokio::sync::oneshot;
use wire::ssh::sftp::response::{Answer, Status};
use wire::ssh::sftp::{Extension, Operation, Path, Request, Text};

use super::super::refusal::Refusal;
use super::{Asked, Broken, Pending, Sftp, locked};
use crate::deciding::Refused;
use crate::gate::ToTarget;
use crate::recorder::entry;

/// A path as the host resolves it, or what the host says instead.
pub(super) type Resolved = Result<Bytes, Status>;

impl Sftp {
    /// Where a path leads, symbolic links followed to their end.
    pub(super) async fn resolve(&self, path: &Path) -> Result<Resolved, Broken> {
        self.ask_for_path(Operation::Realpath { path: path.clone() }).await
    }

    /// Where the name of a path is: its directory resolved, and the name as it is, for what does not follow a symbolic link
    /// at the end.
    pub(super) async fn resolve_name(&self, path: &Path) -> Result<Resolved, Broken> {
        let bytes = path.bytes();
        let trimmed = trim_slashes(bytes);
        let at = memchr::memrchr(b'/', trimmed).map_or(0, |at| at.saturating_add(1));
        let (directory, name) = trimmed.split_at_checked(at).unwrap_or((&[], trimmed));
        if matches!(name, b"" | b"." | b"..") {
            return self.resolve(path).await;
        }
        let directory = if directory.is_empty() { Bytes::from_static(b".") } else { Bytes::copy_from_slice(directory) };
        let directory = Path::new(directory).map_err(|_| super::malformed())?;
        Ok(self.resolve(&directory).await?.map(|directory| {
            let mut resolved = directory.to_vec();
            if !resolved.ends_with(b"/") {
                resolved.push(b'/');
            }
            resolved.extend_from_slice(name);
            resolved.into()
        }))
    }

    /// Where a path leads that may begin with a home directory.
    pub(super) async fn expand(&self, path: &Path) -> Result<Resolved, Broken> {
        self.ask_for_path(Operation::Extended(Extension::ExpandPath { path: path.clone() })).await
    }

    /// Where the home of a user is.
    pub(super) async fn home(&self, user: &Text) -> Result<Resolved, Broken> {
        self.ask_for_path(Operation::Extended(Extension::HomeDirectory { user: user.clone() })).await
    }

    async fn ask_for_path(&self, operation: Operation) -> Result<Resolved, Broken> {
        match self.ask(operation).await? {
            // That it is one was looked at when it came.
            Answer::Names(names) => match names.into_iter().next() {
                // What is kept is not the packet.
                Some(name) => Ok(Ok(Bytes::copy_from_slice(name.path.bytes()))),
                None => Err(Broken::Host("the target resolved no path")),
            },
            Answer::Status(status) => Ok(Err(status)),
            _ => Err(Broken::Host("the target answered something else than it was asked")),
        }
    }

    /// Asks the host something of Sluice's own, and waits for the answer.
    async fn ask(&self, operation: Operation) -> Result<Answer, Broken> {
        let receipt = self.record_own().await?;
        let (answer, answered) = oneshot::channel();
        let id = {
            let mut pending = locked(&self.shared.pending);
            // There are fewer under way than there are numbers.
            let id = (0..=u32::MAX).rev().find(|id| !pending.contains_key(id)).unwrap_or_default();
            pending.insert(id, Pending { expected: operation.expects(), what: Asked::Own(answer) });
            id
        };
        let mut packet = Vec::new();
        let encoded = Request::Operation { id, operation }.encode(&mut packet);
        encoded.map_err(|_| super::malformed())?;
        let permit = Permit::own(OwnStatement::Resolve, self.relay.session.id.request(0));
        let sent = self.relay.target.channel.send(permit, &receipt, ToTarget::Data(packet.into())).await;
        sent.map_err(|_| Broken::Host("the target closed the channel"))?;
        answered.await.map_err(|_| Broken::Host("the target closed the channel"))
    }

    async fn record_own(&self) -> Result<Receipt, Broken> {
        let standing = self.relay.session.standing();
        let event = Event::OwnStatement {
            session: Some(self.relay.session.id),
            target: standing.place.model.name.clone(),
            database: standing.place.login.clone(),
            name: OwnStatement::Resolve.as_str().into(),
        };
        let recorded = self.relay.session.node.recorder.record(vec![entry(event)], Level::Process).await;
        let receipts = recorded.map_err(|why| Refusal::from(Refused::from(why)))?;
        receipts.into_iter().next().ok_or(Broken::Caller(Refusal::NotRecorded))
    }
}

fn trim_slashes(path: &[u8]) -> &[u8] {
    let mut path = path;
    while let [rest @ .., b'/'] = path
        && !rest.is_empty()
    {
        path = rest;
    }
    path
}
