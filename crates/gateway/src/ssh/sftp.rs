//! SFTP: each operation is a request of its own, on the path that the host resolves.
//!
//! A packet of the caller is parsed; a path in it is resolved by the host first (REALPATH, by Sluice, and recorded as that), the
//! operation is decided on what came of it, and forwarded with that path: what was decided is what is used. What is done to an
//! open file goes with the permit by which it was opened. Answers are matched to what was asked, and what files hold is masked
//! without moving an offset.
//!
//! Between the resolving and the use, whoever may change directories at the host can put something else in a directory's place:
//! no server of version 3 can be asked to look and open at once (docs/protocols/ssh.md).

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use masking::ssh::{Packets, Stream};
use tokio::sync::{Notify, oneshot};
use wire::ssh::sftp::response::{Answer, Expected, Message, Response, Status, StatusCode};
use wire::ssh::sftp::{Framer, Text};

use super::end::End;
use super::refusal::Refusal;
use super::relay::Relay;
use crate::deciding::Go;
use crate::gate::{Lane, ToTarget};
use files::Files;

mod answers;
mod files;
mod operations;
mod resolve;

/// How many operations a caller may have under way on a channel.
const MOST_PENDING: usize = 4096;

/// The longest packet either way, without its length word.
const LONGEST: u32 = wire::ssh::sftp::frame::LIMIT;

/// An operation that the host was asked for.
struct Pending {
    expected: Expected,
    what: Asked,
}

/// Whose it is.
enum Asked {
    /// Sluice's own.
    Own(oneshot::Sender<Answer>),
    /// What begins the protocol.
    Version,
    /// A part of something that was permitted, with nothing to note.
    Part,
    /// A request of its own.
    Request(Arc<Go>),
    /// The opening of a file or directory.
    Open(Arc<Go>, files::Opening),
    /// The reading of an open file.
    Read { handle: Bytes, offset: u64, before: u32, length: u32 },
    /// The end of an open file.
    Close { handle: Bytes },
}

/// What both directions know.
struct Shared {
    pending: Mutex<HashMap<u32, Pending>>,
    files: Mutex<Files>,
    packets: Mutex<Packets>,
    answered: Notify,
}

impl Shared {
    /// Waits until what is under way is as it is wanted. Cancel safe.
    async fn settled(&self, is_so: impl Fn(&HashMap<u32, Pending>) -> bool) {
        while !is_so(&locked(&self.pending)) {
            self.answered.notified().await;
        }
    }

    /// Takes what was under way by this number.
    fn take(&self, id: u32) -> Option<Pending> {
        let taken = locked(&self.pending).remove(&id);
        self.answered.notify_one();
        taken
    }
}

/// Why the channel ends.
enum Broken {
    /// The caller, or what may be done for it.
    Caller(Refusal),
    /// The host does not answer as it should.
    Host(&'static str),
}

impl From<Refusal> for Broken {
    fn from(refusal: Refusal) -> Self {
        Self::Caller(refusal)
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One SFTP channel.
struct Sftp {
    relay: Relay,
    shared: Shared,
}

/// Serves it to its end.
pub(super) async fn serve(relay: Relay) {
    let lens = Arc::clone(&relay.session.standing().lens);
    let shared = Shared {
        pending: Mutex::default(),
        files: Mutex::default(),
        packets: Mutex::new(Packets::new(Arc::clone(&lens))),
        answered: Notify::new(),
    };
    let sftp = Sftp { relay, shared };
    let status = {
        let (inward, outward) = (sftp.inward(), sftp.outward(Stream::text(lens)));
        tokio::pin!(inward, outward);
        let mut has_input = true;
        loop {
            tokio::select! {
                biased;
                ended = &mut outward => break ended,
                ended = &mut inward, if has_input => match ended {
                    Ok(()) => has_input = false,
                    Err(broken) => break Err(broken),
                },
                () = sftp.relay.gone.cancelled() => break Err(Broken::Caller(Refusal::Gone)),
                () = sftp.relay.session.over.cancelled() => break Err(Broken::Caller(Refusal::Gone)),
            }
        }
    };
    sftp.end(status).await;
}

impl Sftp {
    /// What the caller asks, one packet after the other.
    async fn inward(&self) -> Result<(), Broken> {
        let mut framer = Framer::new(LONGEST);
        while let Some(came) = self.relay.from_client.pop().await {
            self.relay.session.is_active();
            match came {
                super::channel::FromClient::Data(bytes) => {
                    framer.push(bytes);
                    while let Some(packet) = framer.packet().map_err(|_| malformed())? {
                        self.operation(packet).await?;
                    }
                }
                super::channel::FromClient::Eof => {
                    // OpenSSH's server leaves out what it has not answered when its input ends.
                    self.shared.settled(|pending| pending.is_empty()).await;
                    self.to_host(self.relay.go.goes_on(), &self.relay.go, ToTarget::Eof).await?;
                }
                _ => {}
            }
        }
        Ok(())
    }

    async fn to_host(&self, permit: policy::Permit, by: &Go, what: ToTarget) -> Result<(), Broken> {
        let sent = self.relay.target.channel.send(permit, &by.receipt, what).await;
        sent.map_err(|_| Broken::Host("the target closed the channel"))
    }

    /// Answers an operation that goes no further.
    async fn answer(&self, id: u32, code: StatusCode, message: &str) -> Result<(), Broken> {
        let text = |text: &str| Text::new(text.replace('\0', "").into_bytes()).unwrap_or_default();
        let message = Some(Message { text: text(message), language: text("en") });
        self.answer_with(id, Answer::Status(Status { code, message })).await
    }

    async fn answer_with(&self, id: u32, answer: Answer) -> Result<(), Broken> {
        let mut packet = Vec::new();
        Response::Answer { id, answer }.encode(&mut packet).map_err(|_| malformed())?;
        locked(&self.shared.packets).bare(&packet);
        self.show().await
    }

    /// Refuses an operation; the channel lives on.
    async fn refuse(&self, id: u32, refusal: &Refusal, request: model::id::RequestId) -> Result<(), Broken> {
        let code = match refusal {
            Refusal::NotRecorded | Refusal::Gone => StatusCode::Failure,
            _ => StatusCode::PermissionDenied,
        };
        self.answer(id, code, &refusal.tell(request)).await
    }

    /// Shows the caller the packets that wait.
    async fn show(&self) -> Result<(), Broken> {
        let masked = {
            let mut packets = locked(&self.shared.packets);
            if packets.is_empty() {
                return Ok(());
            }
            packets.finish()
        };
        let relay = &self.relay;
        let released = if relay.records_files() {
            let track = ledger::tape::Track { channel: relay.number, lane: ledger::tape::Lane::Output };
            relay.session.tape().answer_on(track, masked)
        } else {
            // Of files the tape has the operations and their digests.
            relay.session.tape().flush().map(|()| crate::gate::Released::untaped(masked))
        };
        let released = released.map_err(|reason| {
            relay.session.end(End::Withheld(reason));
            Broken::Caller(Refusal::Gone)
        })?;
        let disclosure = relay.client.send(released, Lane::Output).await;
        disclosure.map(drop).map_err(|_| Broken::Caller(Refusal::Gone))
    }

    async fn end(self, ended: Result<Option<u32>, Broken>) {
        let Self { relay, shared } = self;
        let files = std::mem::take(&mut *locked(&shared.files));
        files.end(&relay);
        let error: Option<Arc<str>> = match &ended {
            Ok(Some(0) | None) => None,
            Ok(Some(status)) => Some(format!("exit status {status}").into()),
            Err(Broken::Host(reason)) => Some((*reason).into()),
            Err(Broken::Caller(Refusal::Gone)) => Some(relay.session.why_gone()),
            Err(Broken::Caller(_)) => Some("it was cut off".into()),
        };
        if let Err(broken) = &ended {
            let refusal = match broken {
                Broken::Caller(refusal) => refusal.clone(),
                Broken::Host(reason) => Refusal::Target(reason),
            };
            if refusal != Refusal::Gone {
                relay.say(&refusal).await;
            }
        }
        relay.session.complete(&relay.go, Default::default(), error);
        if ended.is_err() {
            let close = relay.go.goes_on();
            let _ = relay.target.channel.send(close, &relay.go.receipt, ToTarget::Close).await;
        }
    }
}

fn malformed() -> Broken {
    Broken::Caller(Refusal::Unsupported("what does not follow the protocol of SFTP"))
}
