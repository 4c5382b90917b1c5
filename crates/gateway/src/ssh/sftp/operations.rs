//! What the caller asks for: resolved, decided, forwarded.

use std::sync::Arc;

use bytes::Bytes;
use effects::ssh::{Attributes as Changes, FileOperation, Opening as How};
use masking::ssh::{BEFORE, BEHIND};
use wire::ssh::sftp::request::OpenFlags;
use wire::ssh::sftp::response::{Answer, Expected, Name, Status, StatusCode};
use wire::ssh::sftp::{Attributes, Extension, Handle, Hello, Operation, Packet, Path, Request, Text};

use super::super::decide::Demand;
use super::super::refusal::Refusal;
use super::files::Opening;
use super::resolve::Resolved;
use super::{Asked, Broken, LONGEST, MOST_PENDING, Pending, Sftp, locked, malformed};
use crate::deciding::Go;
use crate::gate::ToTarget;

/// The most that a host is asked for at a time: with what stands around it, an answer stays within its bounds.
pub(super) const MOST_READ: u32 = LONGEST - 1024 - BEFORE - BEHIND;

/// What became of a path that was asked about.
type Found = Result<Path, Status>;

/// The path, or the host's refusal passed on.
macro_rules! found {
    ($self:expr, $id:expr, $resolved:expr) => {
        match Sftp::found($resolved) {
            Ok(path) => path,
            Err(status) => return $self.pass_on($id, status.code).await,
        }
    };
}

impl Sftp {
    /// Takes one packet of the caller.
    pub(super) async fn operation(&self, packet: Packet) -> Result<(), Broken> {
        let request = match Request::parse(&packet) {
            Ok(request) => request,
            Err(error) => {
                let id = packet.id().ok_or_else(malformed)?;
                return self.answer(id, error.status(), "sluice: what was sent does not follow the protocol").await;
            }
        };
        match request {
            Request::Init(hello) => self.init(hello).await,
            Request::Operation { id, operation } => {
                let is_free = {
                    let pending = locked(&self.shared.pending);
                    if pending.len() >= MOST_PENDING {
                        return Err(Broken::Caller(Refusal::Unsupported("so many operations at a time")));
                    }
                    !pending.contains_key(&id)
                };
                if !is_free {
                    return Err(malformed());
                }
                self.carry_out(id, operation, packet).await
            }
        }
    }

    async fn init(&self, _: Hello) -> Result<(), Broken> {
        let mut packet = Vec::new();
        Request::Init(Hello::new(Default::default())).encode(&mut packet).map_err(|_| malformed())?;
        // It has no number; nothing else can be under way.
        let is_first = {
            let mut pending = locked(&self.shared.pending);
            let asked = Pending { expected: Expected::Unknown, what: Asked::Version };
            pending.is_empty() && pending.insert(0, asked).is_none()
        };
        if !is_first {
            return Err(malformed());
        }
        let go = &self.relay.go;
        self.to_host(go.goes_on(), go, ToTarget::Data(packet.into())).await
    }

    async fn carry_out(&self, id: u32, operation: Operation, packet: Packet) -> Result<(), Broken> {
        match operation {
            Operation::Read { handle, offset, length } => self.read(id, handle, offset, length).await,
            Operation::Write { ref handle, offset, ref data } => {
                let Some(go) = self.opened(handle, |opening| opening.writes) else { return self.no_handle(id).await };
                locked(&self.shared.files).write(handle.bytes(), offset, data.bytes());
                self.forward(id, &go, operation.expects(), Asked::Part, packet.into_bytes()).await
            }
            Operation::Close { ref handle } => {
                let Some(go) = self.opened(handle, |_| true) else { return self.no_handle(id).await };
                let what = Asked::Close { handle: copied(handle.bytes()) };
                self.forward(id, &go, operation.expects(), what, packet.into_bytes()).await
            }
            Operation::Readdir { ref handle } => {
                let Some(go) = self.opened(handle, |opening| opening.is_directory) else {
                    return self.no_handle(id).await;
                };
                self.forward(id, &go, operation.expects(), Asked::Part, packet.into_bytes()).await
            }
            Operation::Fstat { ref handle }
            | Operation::Extended(Extension::Fstatvfs { ref handle } | Extension::Fsync { ref handle }) => {
                let Some(go) = self.opened(handle, |_| true) else { return self.no_handle(id).await };
                self.forward(id, &go, operation.expects(), Asked::Part, packet.into_bytes()).await
            }
            Operation::Fsetstat { ref handle, ref attributes } => {
                let Some(path) = self.path_of(handle) else { return self.no_handle(id).await };
                let what = FileOperation::SetAttributes { path: &path, what: changes(attributes) };
                self.request(id, &what, operation.clone()).await
            }
            Operation::Extended(Extension::CopyData { ref from, ref to, .. }) => {
                let (Some(from), Some(to)) = (self.path_of(from), self.path_of(to)) else {
                    return self.no_handle(id).await;
                };
                self.request(id, &FileOperation::Copy { from: &from, to: &to }, operation.clone()).await
            }
            Operation::Extended(Extension::Limits) => {
                self.forward(id, &self.relay.go, operation.expects(), Asked::Part, packet.into_bytes()).await
            }
            operation => self.on_paths(id, operation).await,
        }
    }

    /// What is done to a path, or to two.
    async fn on_paths(&self, id: u32, operation: Operation) -> Result<(), Broken> {
        match operation {
            Operation::Open { path, flags, attributes } => self.open(id, path, flags, attributes).await,
            Operation::Opendir { path } => {
                let path = found!(self, id, self.resolve(&path).await?);
                let opening = Opening { path: shared(&path), reads: false, writes: false, is_directory: true };
                self.request_to_open(
                    id,
                    &FileOperation::List { path: path.bytes() },
                    Operation::Opendir { path: path.clone() },
                    opening,
                )
                .await
            }
            Operation::Stat { path } => {
                let path = found!(self, id, self.resolve(&path).await?);
                self.request(id, &FileOperation::Stat { path: path.bytes() }, Operation::Stat { path: path.clone() })
                    .await
            }
            Operation::Lstat { path } => {
                let path = found!(self, id, self.resolve_name(&path).await?);
                self.request(id, &FileOperation::Stat { path: path.bytes() }, Operation::Lstat { path: path.clone() })
                    .await
            }
            Operation::Setstat { path, attributes } => {
                let path = found!(self, id, self.resolve(&path).await?);
                let what = FileOperation::SetAttributes { path: path.bytes(), what: changes(&attributes) };
                self.request(id, &what, Operation::Setstat { path: path.clone(), attributes }).await
            }
            Operation::Remove { path } => {
                let path = found!(self, id, self.resolve_name(&path).await?);
                self.request(
                    id,
                    &FileOperation::Remove { path: path.bytes() },
                    Operation::Remove { path: path.clone() },
                )
                .await
            }
            Operation::Rmdir { path } => {
                let path = found!(self, id, self.resolve_name(&path).await?);
                let what = FileOperation::RemoveDirectory { path: path.bytes() };
                self.request(id, &what, Operation::Rmdir { path: path.clone() }).await
            }
            Operation::Mkdir { path, attributes } => {
                let path = found!(self, id, self.resolve_name(&path).await?);
                let what = FileOperation::MakeDirectory { path: path.bytes() };
                self.request(id, &what, Operation::Mkdir { path: path.clone(), attributes }).await
            }
            Operation::Readlink { path } => {
                let path = found!(self, id, self.resolve_name(&path).await?);
                self.request(
                    id,
                    &FileOperation::ReadLink { path: path.bytes() },
                    Operation::Readlink { path: path.clone() },
                )
                .await
            }
            Operation::Rename { from, to } => {
                let (from, to) = (
                    found!(self, id, self.resolve_name(&from).await?),
                    found!(self, id, self.resolve_name(&to).await?),
                );
                let what = FileOperation::Rename { from: from.bytes(), to: to.bytes(), overwrite: false };
                self.request(id, &what, Operation::Rename { from: from.clone(), to: to.clone() }).await
            }
            Operation::Symlink { target, link } => self.symlink(id, target, link).await,
            Operation::Realpath { path } => {
                let resolved = self.resolve(&path).await?;
                self.tell_path(id, resolved).await
            }
            Operation::Extended(extension) => self.extended(id, extension).await,
            // Those on handles were taken before.
            _ => Err(malformed()),
        }
    }

    async fn extended(&self, id: u32, extension: Extension) -> Result<(), Broken> {
        match extension {
            Extension::PosixRename { from, to } => {
                let (from, to) = (
                    found!(self, id, self.resolve_name(&from).await?),
                    found!(self, id, self.resolve_name(&to).await?),
                );
                let what = FileOperation::Rename { from: from.bytes(), to: to.bytes(), overwrite: true };
                let operation = Extension::PosixRename { from: from.clone(), to: to.clone() };
                self.request(id, &what, Operation::Extended(operation)).await
            }
            Extension::Hardlink { existing, link } => {
                let (existing, link) = (
                    found!(self, id, self.resolve_name(&existing).await?),
                    found!(self, id, self.resolve_name(&link).await?),
                );
                let what = FileOperation::HardLink { from: existing.bytes(), to: link.bytes() };
                let operation = Extension::Hardlink { existing: existing.clone(), link: link.clone() };
                self.request(id, &what, Operation::Extended(operation)).await
            }
            Extension::Lsetstat { path, attributes } => {
                let path = found!(self, id, self.resolve_name(&path).await?);
                let what = FileOperation::SetAttributes { path: path.bytes(), what: changes(&attributes) };
                let operation = Extension::Lsetstat { path: path.clone(), attributes };
                self.request(id, &what, Operation::Extended(operation)).await
            }
            Extension::Statvfs { path } => {
                let path = found!(self, id, self.resolve(&path).await?);
                let operation = Operation::Extended(Extension::Statvfs { path: path.clone() });
                self.request(id, &FileOperation::StatFilesystem { path: path.bytes() }, operation).await
            }
            Extension::ExpandPath { path } => {
                let resolved = self.expand(&path).await?;
                self.tell_path(id, resolved).await
            }
            Extension::HomeDirectory { user } => {
                let resolved = self.home(&user).await?;
                self.tell_path(id, resolved).await
            }
            _ => {
                self.answer(id, StatusCode::OperationUnsupported, "sluice: this is not available through Sluice").await
            }
        }
    }

    async fn open(&self, id: u32, path: Path, flags: OpenFlags, attributes: Attributes) -> Result<(), Broken> {
        if !locked(&self.shared.files).has_room() {
            return self.answer(id, StatusCode::Failure, "sluice: too many files are open").await;
        }
        let path = found!(self, id, self.resolve(&path).await?);
        let how = How {
            read: flags.has(OpenFlags::READ),
            write: flags.has(OpenFlags::WRITE),
            append: flags.has(OpenFlags::APPEND),
            create: flags.has(OpenFlags::CREATE),
            truncate: flags.has(OpenFlags::TRUNCATE),
            exclusive: flags.has(OpenFlags::EXCLUSIVE),
        };
        let writes = flags.has(OpenFlags::WRITE) || flags.has(OpenFlags::APPEND);
        let opening = Opening { path: shared(&path), reads: flags.reads(), writes, is_directory: false };
        let what = FileOperation::Open { path: path.bytes(), how };
        self.request_to_open(id, &what, Operation::Open { path: path.clone(), flags, attributes }, opening).await
    }

    /// A link may lead anywhere, also where nothing is yet: where it says it leads is decided as the host would read it.
    async fn symlink(&self, id: u32, target: Path, link: Path) -> Result<(), Broken> {
        let link = found!(self, id, self.resolve_name(&link).await?);
        let directory = directory_of(link.bytes());
        let whole = if target.bytes().starts_with(b"/") {
            target.clone()
        } else {
            Path::new([directory, b"/", target.bytes()].concat()).map_err(|_| malformed())?
        };
        let leads = match self.resolve(&whole).await? {
            Ok(leads) => leads,
            // To nothing that is there: what it says, without anything that could be read otherwise.
            Err(_) => lexical(whole.bytes()),
        };
        let what = FileOperation::Symlink { link: link.bytes(), target: &leads };
        self.request(id, &what, Operation::Symlink { target, link: link.clone() }).await
    }

    /// Reads a part of a file, with what stands around it if anything may have to be hidden.
    async fn read(&self, id: u32, handle: Handle, offset: u64, length: u32) -> Result<(), Broken> {
        let Some(go) = self.opened(&handle, |opening| opening.reads) else { return self.no_handle(id).await };
        let length = length.min(MOST_READ);
        let hides = locked(&self.shared.packets).hides();
        let before = if hides { u32::try_from(offset).unwrap_or(BEFORE).min(BEFORE) } else { 0 };
        let behind = if hides { BEHIND } else { 0 };
        let asked = Operation::Read {
            handle: handle.clone(),
            offset: offset.saturating_sub(before.into()),
            length: before.saturating_add(length).saturating_add(behind),
        };
        let what = Asked::Read { handle: copied(handle.bytes()), offset, before, length };
        let expected = asked.expects();
        let mut packet = Vec::new();
        Request::Operation { id, operation: asked }.encode(&mut packet).map_err(|_| malformed())?;
        self.forward(id, &go, expected, what, packet.into()).await
    }

    /// Tells the caller a path that the host resolved, if it may know what is there.
    async fn tell_path(&self, id: u32, resolved: Resolved) -> Result<(), Broken> {
        let path = found!(self, id, resolved);
        match self.decide(&FileOperation::Stat { path: path.bytes() }).await {
            Ok(go) => {
                self.relay.session.complete(&go, Default::default(), None);
                let listing = Text::new(path.bytes().clone()).map_err(|_| malformed())?;
                let name = Name { path, listing, attributes: Attributes::default() };
                self.answer_with(id, Answer::Names(vec![name])).await
            }
            Err((refusal, request)) => self.refuse(id, &refusal, request).await,
        }
    }

    /// Decides an operation and forwards it.
    async fn request(&self, id: u32, what: &FileOperation<'_>, operation: Operation) -> Result<(), Broken> {
        match self.decide(what).await {
            Ok(go) => self.forward_request(id, go, operation, Asked::Request).await,
            Err((refusal, request)) => self.refuse(id, &refusal, request).await,
        }
    }

    async fn request_to_open(
        &self,
        id: u32,
        what: &FileOperation<'_>,
        operation: Operation,
        opening: Opening,
    ) -> Result<(), Broken> {
        match self.decide(what).await {
            Ok(go) => self.forward_request(id, go, operation, |go| Asked::Open(go, opening)).await,
            Err((refusal, request)) => self.refuse(id, &refusal, request).await,
        }
    }

    async fn decide(&self, what: &FileOperation<'_>) -> Result<Go, (Refusal, model::id::RequestId)> {
        let asked = effects::ssh::file(what);
        let session = &self.relay.session;
        let request = session.next_request();
        let exact = format!("{what:?}");
        let demand = Demand {
            request,
            channel: self.relay.number,
            asked: &asked,
            exact: &[&asked.facts.kind, &exact],
            state: &[],
        };
        session.decide(demand).await.map_err(|refusal| (refusal, request))
    }

    async fn forward_request(
        &self,
        id: u32,
        go: Go,
        operation: Operation,
        what: impl FnOnce(Arc<Go>) -> Asked,
    ) -> Result<(), Broken> {
        let expected = operation.expects();
        let mut packet = Vec::new();
        Request::Operation { id, operation }.encode(&mut packet).map_err(|_| malformed())?;
        let go = Arc::new(go);
        locked(&self.shared.pending).insert(id, Pending { expected, what: what(Arc::clone(&go)) });
        self.to_host(go.goes_on(), &go, ToTarget::Data(packet.into())).await
    }

    async fn forward(&self, id: u32, go: &Go, expected: Expected, what: Asked, packet: Bytes) -> Result<(), Broken> {
        locked(&self.shared.pending).insert(id, Pending { expected, what });
        self.to_host(go.goes_on(), go, ToTarget::Data(packet)).await
    }

    /// By what a file was opened, if it may be used so.
    fn opened(&self, handle: &Handle, may: impl FnOnce(&Opening) -> bool) -> Option<Arc<Go>> {
        let files = locked(&self.shared.files);
        let open = files.find(handle.bytes())?;
        may(&open.opening).then(|| Arc::clone(&open.go))
    }

    fn path_of(&self, handle: &Handle) -> Option<Arc<[u8]>> {
        locked(&self.shared.files).find(handle.bytes()).map(|open| Arc::clone(&open.opening.path))
    }

    async fn no_handle(&self, id: u32) -> Result<(), Broken> {
        self.answer(id, StatusCode::Failure, "sluice: there is no such open file").await
    }

    /// The path that the host resolved, or its answer for the caller.
    pub(super) fn found(resolved: Resolved) -> Found {
        resolved.and_then(|path| Path::new(path).map_err(|_| Status { code: StatusCode::Failure, message: None }))
    }
}

impl Sftp {
    /// Says what the host said, in Sluice's words.
    async fn pass_on(&self, id: u32, code: StatusCode) -> Result<(), Broken> {
        self.answer(id, code, super::answers::words(code)).await
    }
}

fn changes(attributes: &Attributes) -> Changes {
    Changes {
        size: attributes.size.is_some(),
        permissions: attributes.permissions.is_some(),
        owner: attributes.owner.is_some(),
        times: attributes.times.is_some(),
    }
}

fn shared(path: &Path) -> Arc<[u8]> {
    path.bytes().as_ref().into()
}

/// Without the packet that it came in.
fn copied(bytes: &Bytes) -> Bytes {
    Bytes::copy_from_slice(bytes)
}

fn directory_of(path: &[u8]) -> &[u8] {
    let at = memchr::memrchr(b'/', path).unwrap_or(0);
    path.get(..at).unwrap_or_default()
}

/// A path without `.`, `..` and empty parts.
fn lexical(path: &[u8]) -> Bytes {
    let mut parts: Vec<&[u8]> = Vec::new();
    for part in path.split(|byte| *byte == b'/') {
        match part {
            b"" | b"." => {}
            b".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    let mut out = vec![b'/'];
    out.extend_from_slice(&parts.join(&b'/'));
    out.into()
}
