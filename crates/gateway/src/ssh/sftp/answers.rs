//! What the host answers: matched to what was asked, masked, shown.

use std::sync::Arc;

use bytes::{BufMut, Bytes};
use masking::ssh::Stream;
use wire::ssh::sftp::extension::{Limits, name};
use wire::ssh::sftp::part::Pairs;
use wire::ssh::sftp::response::{Answer, Expected, Message, Response, Status, StatusCode};
use wire::ssh::sftp::{Data, Framer, Hello, Packet, Text};

use super::super::refusal::Refusal;
use super::super::target::FromTarget;
use super::operations::MOST_READ;
use super::{Asked, Broken, LONGEST, Pending, Sftp, locked};
use crate::gate::Lane;

/// The extensions that Sluice knows what they do.
const KNOWN: [&str; 10] = [
    name::POSIX_RENAME,
    name::STATVFS,
    name::FSTATVFS,
    name::HARDLINK,
    name::FSYNC,
    name::LSETSTAT,
    name::LIMITS,
    name::EXPAND_PATH,
    name::COPY_DATA,
    name::HOME_DIRECTORY,
];

/// How much is gathered before it is shown.
const AT_A_TIME: usize = 256 * 1024;

impl Sftp {
    /// What the host answers, one packet after the other; the exit status of its server.
    pub(super) async fn outward(&self, mut err: Stream) -> Result<Option<u32>, Broken> {
        let (mut framer, mut status) = (Framer::new(LONGEST), None);
        let mut changes = self.relay.session.changes();
        // What changed since it was decided.
        changes.mark_changed();
        loop {
            tokio::select! {
                biased;
                changed = changes.changed() => {
                    drop(changed);
                    let standing = self.relay.session.standing();
                    self.relay.may_go_on(&standing)?;
                    locked(&self.shared.packets).set_lens(Arc::clone(&standing.lens));
                    err.set_lens(Arc::clone(&standing.lens));
                }
                came = self.relay.target.queue.pop() => {
                    let Some(came) = came else { return Ok(status) };
                    self.relay.session.is_active();
                    match came {
                        FromTarget::Out(bytes) => self.take(&mut framer, bytes).await?,
                        FromTarget::Err(bytes) => self.say(err.push(&bytes)).await?,
                        // The end is told with the status: behind it, a client that has no more input takes nothing.
                        FromTarget::Eof => self.say(err.finish()).await?,
                        FromTarget::Exit(code) => {
                            status = Some(code);
                            self.relay.client.exit(code).await;
                            self.relay.client.eof().await;
                        }
                        FromTarget::Failure => return Err(Broken::Host("the target has no SFTP")),
                        FromTarget::Signal { .. } | FromTarget::Success => {}
                    }
                }
            }
        }
    }

    /// Takes bytes of the host, and with them what else waits.
    async fn take(&self, framer: &mut Framer, bytes: Bytes) -> Result<(), Broken> {
        framer.push(bytes);
        let mut more = true;
        while more {
            while let Some(packet) = framer.packet().map_err(|_| Broken::Host("the target breaks the protocol"))? {
                self.answered(packet).await?;
            }
            let next = self.relay.target.queue.pop_if(|next| matches!(next, FromTarget::Out(_)));
            more = false;
            if locked(&self.shared.packets).len() >= AT_A_TIME {
                self.show().await?;
            }
            if let Some(FromTarget::Out(bytes)) = next {
                framer.push(bytes);
                more = true;
            }
        }
        self.show().await
    }

    async fn answered(&self, packet: Packet) -> Result<(), Broken> {
        let broken = || Broken::Host("the target answers what was not asked");
        let response = Response::parse(&packet).map_err(|_| Broken::Host("the target breaks the protocol"))?;
        match response {
            Response::Version(hello) => {
                let was_asked = self.shared.take(0);
                if !matches!(was_asked, Some(Pending { what: Asked::Version, .. })) {
                    return Err(broken());
                }
                self.version(&hello)
            }
            Response::Answer { id, answer } => {
                let pending = self.shared.take(id).ok_or_else(broken)?;
                if matches!(pending.what, Asked::Version) || !answer.fits(pending.expected) {
                    return Err(broken());
                }
                let answer = if pending.expected == Expected::Limits { limited(answer) } else { answer };
                self.match_up(id, answer, pending.what, &packet)
            }
        }
    }

    fn version(&self, hello: &Hello) -> Result<(), Broken> {
        let is_known = |(name, _): &&(Text, Data)| KNOWN.iter().any(|known| name.bytes() == known.as_bytes());
        let known: Vec<_> = hello.extensions.iter().filter(is_known).cloned().collect();
        let mut packet = Vec::new();
        let version = Response::Version(Hello::new(Pairs::from(known)));
        version.encode(&mut packet).map_err(|_| Broken::Host("the target breaks the protocol"))?;
        locked(&self.shared.packets).bare(&packet);
        Ok(())
    }

    fn match_up(&self, id: u32, answer: Answer, what: Asked, packet: &Packet) -> Result<(), Broken> {
        let session = &self.relay.session;
        match what {
            // Whoever asked may have gone.
            Asked::Own(waits) => drop(waits.send(answer)),
            Asked::Version | Asked::Part => self.pass(id, answer, packet)?,
            Asked::Request(go) => {
                session.complete(&go, Default::default(), error(&answer));
                self.pass(id, answer, packet)?;
            }
            Asked::Open(go, opening) => {
                match &answer {
                    Answer::Handle(handle) => {
                        let handle = Bytes::copy_from_slice(handle.bytes());
                        locked(&self.shared.files).open(handle, go, opening);
                    }
                    answer => session.complete(&go, Default::default(), error(answer)),
                }
                self.pass(id, answer, packet)?;
            }
            Asked::Close { handle } => {
                locked(&self.shared.files).close(&handle, &self.relay, error(&answer));
                self.pass(id, answer, packet)?;
            }
            Asked::Read { handle, offset, before, length } => match &answer {
                Answer::Data(data) => self.content(id, &handle, offset, (before, length), data)?,
                _ => self.pass(id, answer, packet)?,
            },
        }
        Ok(())
    }

    /// Shows what carries no content. What a host says beside a code is nobody's to read: it went through no mask.
    fn pass(&self, id: u32, answer: Answer, packet: &Packet) -> Result<(), Broken> {
        let mut packets = locked(&self.shared.packets);
        let code = match answer {
            Answer::Status(Status { code, .. }) => code,
            // What Sluice may have changed is written anew.
            Answer::Extended(_) => {
                let mut out = Vec::new();
                let answer = Response::Answer { id, answer };
                answer.encode(&mut out).map_err(|_| Broken::Host("the target breaks the protocol"))?;
                packets.bare(&out);
                return Ok(());
            }
            _ => {
                packets.bare(packet.bytes());
                return Ok(());
            }
        };
        let text = |text: &str| Text::new(text.to_owned().into_bytes()).unwrap_or_default();
        let message = Some(Message { text: text(words(code)), language: text("") });
        let mut out = Vec::new();
        let answer = Response::Answer { id, answer: Answer::Status(Status { code, message }) };
        answer.encode(&mut out).map_err(|_| Broken::Host("the target breaks the protocol"))?;
        packets.bare(&out);
        Ok(())
    }

    /// Shows a part of a file.
    fn content(
        &self,
        id: u32,
        handle: &Bytes,
        offset: u64,
        (before, length): (u32, u32),
        data: &Data,
    ) -> Result<(), Broken> {
        let size = |size: u32| usize::try_from(size).unwrap_or(usize::MAX);
        let block = data.bytes();
        let start = size(before).min(block.len());
        let end = start.saturating_add(size(length)).min(block.len());
        let shown = end.saturating_sub(start);
        if shown == 0 {
            // What there is of the file is all in front of what was asked for.
            let status = Answer::Status(Status { code: StatusCode::EndOfFile, message: None });
            let mut out = Vec::new();
            let answer = Response::Answer { id, answer: status };
            answer.encode(&mut out).map_err(|_| Broken::Host("the target breaks the protocol"))?;
            locked(&self.shared.packets).bare(&out);
            return Ok(());
        }
        let head = head(id, shown).ok_or(Broken::Host("the target breaks the protocol"))?;
        let mut packets = locked(&self.shared.packets);
        let disclosed = packets.content(&head, block, start..end);
        locked(&self.shared.files).read(handle, offset, packets.last(shown), &disclosed);
        Ok(())
    }

    async fn say(&self, masked: masking::Masked) -> Result<(), Broken> {
        if masked.bytes().is_empty() {
            return Ok(());
        }
        let track = ledger::tape::Track { channel: self.relay.number, lane: ledger::tape::Lane::Error };
        let released = self.relay.session.tape().answer_on(track, masked);
        let released = released.map_err(|reason| {
            self.relay.session.end(super::End::Withheld(reason));
            Broken::Caller(Refusal::Gone)
        })?;
        let sent = self.relay.client.send(released, Lane::Error).await;
        sent.map(drop).map_err(|_| Broken::Caller(Refusal::Gone))
    }
}

/// A host's limits, with no longer reads than fit into an answer with what stands around them in the file.
fn limited(answer: Answer) -> Answer {
    let Answer::Extended(data) = &answer else { return answer };
    match Limits::parse(data) {
        Ok(limits) => {
            let most = u64::from(MOST_READ);
            let read = if limits.read == 0 { most } else { limits.read.min(most) };
            Answer::Extended(Limits { read, ..limits }.data())
        }
        Err(_) => answer,
    }
}

/// The beginning of a DATA packet (section 7): its length, type, number, and the length of what follows.
fn head(id: u32, content: usize) -> Option<[u8; 13]> {
    let content = u32::try_from(content).ok()?;
    let mut head = Vec::with_capacity(13);
    head.put_u32(content.checked_add(9)?);
    head.put_u8(103);
    head.put_u32(id);
    head.put_u32(content);
    head.try_into().ok()
}

fn error(answer: &Answer) -> Option<Arc<str>> {
    match answer {
        Answer::Status(Status { code: StatusCode::Ok, .. }) => None,
        Answer::Status(Status { code, .. }) => Some(words(*code).into()),
        _ => None,
    }
}

/// What a code says (section 7).
pub(super) const fn words(code: StatusCode) -> &'static str {
    match code {
        StatusCode::Ok => "Success",
        StatusCode::EndOfFile => "End of file",
        StatusCode::NoSuchFile => "No such file",
        StatusCode::PermissionDenied => "Permission denied",
        StatusCode::BadMessage => "Bad message",
        StatusCode::NoConnection => "No connection",
        StatusCode::ConnectionLost => "Connection lost",
        StatusCode::OperationUnsupported => "Operation unsupported",
        StatusCode::Failure | StatusCode::Other(_) => "Failure",
    }
}
