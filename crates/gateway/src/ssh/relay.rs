//! What passes on a channel while something runs on it: both directions at once, recorded and masked, each waiting for its
//! own reader alone.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use effects::ssh::{Carries, Request};
use ledger::tape::{Lane as TapeLane, Track};
use masking::Masked;
use masking::ssh::Stream;
use model::decision::Outcome;
use model::disclosure::Disclosure;
use russh::server;
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use super::channel::{FromClient, say};
use super::decide::Demand;
use super::end::End;
use super::flow::Queue;
use super::observed::{Observed, observed};
use super::prompt::Prompt;
use super::refusal::Refusal;
use super::session::{Changes, Session, Standing};
use super::target::{FromTarget, Leased};
use crate::deciding::{Go, groups};
use crate::gate::{ClientChannel, Gone, Lane, Released, Size, ToTarget};
use crate::measure::{Measure, Measured};

/// After how long a silence what is held back of a stream is looked at again: an interactive prompt waits no longer.
const SILENCE: Duration = Duration::from_millis(4);

/// The longest that is taken for the echo of a key.
const ECHO: usize = 32;

/// How long the target may take for what the caller wrote last.
const DRAINING: Duration = Duration::from_secs(10);

/// How much is masked, recorded and sent at a time.
const AT_A_TIME: usize = 128 * 1024;

/// A channel on which something runs.
pub(super) struct Relay {
    pub(super) session: Arc<Session>,
    pub(super) number: u32,
    pub(super) client: Arc<ClientChannel>,
    /// By which a signal is told, where something runs that can be ended by one.
    pub(super) handle: Option<server::Handle>,
    pub(super) from_client: Arc<Queue<FromClient>>,
    pub(super) gone: CancellationToken,
    pub(super) target: Leased,
    pub(super) go: Go,
    pub(super) asked: Request,
    pub(super) carries: Carries,
    /// What is asked for now.
    pub(super) prompt: Prompt,
    /// Whether the caller has pressed a key whose echo has not come yet.
    pub(super) has_typed: AtomicBool,
    /// Whether the caller's end of input went on.
    pub(super) has_no_input: AtomicBool,
}

/// How a run ended, as the tape has it.
#[derive(Clone, Debug, Default, Serialize)]
struct Ending {
    #[serde(skip_serializing_if = "Option::is_none")]
    exit_status: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    signal: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    input: Option<Measured>,
    #[serde(skip_serializing_if = "Option::is_none")]
    output: Option<Measured>,
}

/// Serves it to its end.
pub(super) async fn serve(relay: Relay) {
    let files = relay.carries == Carries::Files && !relay.records_files();
    let (mut input, mut output) = (files.then(Measure::default), files.then(Measure::default));
    let mut outward = Outward::new(&relay);
    let cut = {
        let inward = inward(&relay, &mut input);
        let outward = outward.run(&relay, &mut output);
        tokio::pin!(inward, outward);
        let mut has_input = true;
        loop {
            tokio::select! {
                biased;
                cut = &mut outward => break cut,
                () = &mut inward, if has_input => has_input = false,
                () = relay.session.over.cancelled() => break Err(Refusal::Gone),
                () = relay.gone.cancelled() => {
                    if has_input {
                        relay.drain(inward).await;
                    }
                    break Err(Refusal::Gone);
                }
            }
        }
    };
    let refused = cut.err();
    if let Some(refusal) = refused.as_ref().filter(|refusal| **refusal != Refusal::Gone) {
        relay.say(refusal).await;
    }
    let Outward { disclosure, mut ending, .. } = outward;
    (ending.input, ending.output) = (input.map(Measure::finish), output.map(Measure::finish));
    let error = match (&refused, ending.exit_status, &ending.signal) {
        (Some(Refusal::Gone), ..) => Some(relay.session.why_gone()),
        (Some(Refusal::Unobserved(_)), ..) => Some(Arc::from("nobody observed it any more")),
        (Some(_), ..) => Some(Arc::from("a new policy no longer allowed it")),
        (None, Some(0), _) => None,
        (None, Some(status), _) => Some(format!("exit status {status}").into()),
        (None, None, Some(signal)) => Some(format!("signal {signal}").into()),
        (None, None, None) if relay.handle.is_none() => None,
        (None, None, None) => Some(Arc::from("the target closed the channel")),
    };
    relay.session.tape().line_on(relay.number, TapeLane::End, &ending);
    relay.session.complete(&relay.go, disclosure, error);
    if refused.is_some() {
        // Whoever is slow to take it keeps nothing out of the record.
        let _ = relay.to_target(ToTarget::Close).await;
    }
}

impl Relay {
    /// Whether what files hold is on the tape.
    pub(super) fn records_files(&self) -> bool {
        self.session.standing().place.ssh.files == store::config::FileTape::Full
    }

    /// A stream of what the target shows, masked for the caller.
    fn stream(&self, standing: &Standing) -> Stream {
        let lens = Arc::clone(&standing.lens);
        match self.carries {
            Carries::Text | Carries::Sftp => Stream::text(lens),
            Carries::Terminal => Stream::terminal(lens),
            Carries::Files => Stream::opaque(lens),
        }
    }

    /// Whether what runs may go on under what holds now.
    pub(super) fn may_go_on(&self, standing: &Standing) -> Result<(), Refusal> {
        let (request, asked) = (self.go.request(), &self.asked);
        let demand = Demand { request, channel: self.number, asked, exact: &[], state: &[] };
        let verdict = self.session.judge(standing, demand);
        match verdict.outcome() {
            Outcome::Allow => Ok(()),
            Outcome::Ask if self.go.approval.is_some() => Ok(()),
            Outcome::Deny if !verdict.awaits().is_empty() => Err(Refusal::Unobserved(groups(verdict.awaits()).into())),
            Outcome::Ask | Outcome::Deny => Err(Refusal::Cut),
        }
    }

    /// Tells the caller why what ran was cut off.
    pub(super) async fn say(&self, refusal: &Refusal) {
        let (line, in_terminal) = (refusal.tell(self.go.request()), self.carries == Carries::Terminal);
        say(&self.session, self.number, &self.client, &line, in_terminal).await;
        self.client.exit(refusal.status()).await;
    }

    /// Takes to the target what the caller wrote before it closed the channel, as a host would (RFC 4254, section 5.3); what
    /// the target shows is nobody's any more.
    async fn drain(&self, inward: impl Future<Output = ()>) {
        let unread = async { while self.target.queue.pop().await.is_some() {} };
        tokio::select! {
            biased;
            () = self.session.over.cancelled() => {}
            () = inward => {}
            () = unread => {}
            () = tokio::time::sleep(DRAINING) => {}
        }
    }

    /// Whether the caller will write nothing more, as far as it has said so.
    fn has_no_input(&self) -> bool {
        self.has_no_input.load(Ordering::Relaxed) || self.from_client.holds(|came| matches!(came, FromClient::Eof))
    }

    async fn to_target(&self, what: ToTarget) -> Result<(), Gone> {
        self.target.channel.send(self.go.goes_on(), &self.go.receipt, what).await
    }
}

/// Notes the size of a channel's terminal from here on. A tape that failed says so with what is recorded next.
pub(super) fn note_size(session: &Session, number: u32, size: Size) {
    let text = format!("{}x{}", size.columns, size.rows);
    let _ = session.tape().note_on(Track { channel: number, lane: TapeLane::Size }, text.as_bytes());
}

/// Takes what the caller writes to the target.
async fn inward(relay: &Relay, measured: &mut Option<Measure>) {
    let input = Track { channel: relay.number, lane: TapeLane::Input };
    let mut observed = Observed::of(relay);
    while let Some(came) = relay.from_client.pop().await {
        relay.session.is_active();
        if observed.wait(relay).await.is_err() {
            return;
        }
        let sent = match came {
            FromClient::Data(bytes) => {
                match measured {
                    Some(measure) => measure.add(&bytes),
                    None => {
                        if let Some(shown) = relay.prompt.typed(&bytes)
                            && let Err(reason) = relay.session.tape().note_on(input, &shown)
                        {
                            return relay.session.end(End::Withheld(reason));
                        }
                    }
                }
                relay.has_typed.store(true, Ordering::Relaxed);
                relay.to_target(ToTarget::Data(bytes)).await
            }
            FromClient::Size(size) => {
                note_size(&relay.session, relay.number, size);
                relay.to_target(ToTarget::Size(size)).await
            }
            FromClient::Signal(signal) => relay.to_target(ToTarget::Signal(signal)).await,
            FromClient::Eof => {
                relay.has_no_input.store(true, Ordering::Relaxed);
                relay.to_target(ToTarget::Eof).await
            }
            // One channel runs one thing, and its setting is settled before (RFC 4254, section 6.5).
            FromClient::Run(_) | FromClient::Decided(..) => Ok(()),
        };
        if sent.is_err() {
            return;
        }
    }
}

/// What goes to the caller.
struct Outward {
    out: Stream,
    err: Stream,
    disclosure: Disclosure,
    ending: Ending,
    /// Whether the end of the output waits for the exit status. A client that has heard of it and has no more input closes
    /// the channel, which the library answers at once: what comes later would not arrive.
    owes_eof: bool,
}

impl Outward {
    fn new(relay: &Relay) -> Self {
        let standing = relay.session.standing();
        Self {
            out: relay.stream(&standing),
            err: match relay.carries {
                // What programs that carry files say beside them is text.
                Carries::Files => Stream::text(Arc::clone(&standing.lens)),
                _ => relay.stream(&standing),
            },
            disclosure: Disclosure::default(),
            ending: Ending::default(),
            owes_eof: false,
        }
    }

    /// Takes what the target shows to the caller, until the target closes the channel.
    async fn run(&mut self, relay: &Relay, measured: &mut Option<Measure>) -> Result<(), Refusal> {
        let mut changes = relay.session.changes();
        // What changed since it was decided.
        changes.mark_changed();
        loop {
            let holds = self.out.holds() + self.err.holds() > 0;
            tokio::select! {
                biased;
                changed = changes.changed() => {
                    drop(changed);
                    self.take_up(relay, &mut changes).await?;
                }
                came = relay.target.queue.pop() => match came {
                    Some(came) => {
                        relay.session.is_active();
                        self.take(relay, came, measured).await?;
                    }
                    None => {
                        self.finish(relay).await?;
                        return Ok(());
                    }
                },
                () = tokio::time::sleep(SILENCE), if holds => {
                    let (out, err) = (self.out.tick(), self.err.tick());
                    self.show(relay, out, Lane::Output, true).await?;
                    self.show(relay, err, Lane::Error, true).await?;
                }
            }
        }
    }

    /// A new revision, other groups, or somebody who observed and left: what runs is decided again, and what is shown
    /// masked by it.
    async fn take_up(&mut self, relay: &Relay, changes: &mut Changes) -> Result<(), Refusal> {
        let standing = observed(relay, changes).await?;
        self.out.set_lens(Arc::clone(&standing.lens));
        self.err.set_lens(Arc::clone(&standing.lens));
        Ok(())
    }

    async fn take(&mut self, relay: &Relay, came: FromTarget, measured: &mut Option<Measure>) -> Result<(), Refusal> {
        match came {
            FromTarget::Out(bytes) => {
                let bytes = gathered(&relay.target.queue, bytes);
                measured.iter_mut().for_each(|measure| measure.add(&bytes));
                let masked = self.out.push(&bytes);
                self.show(relay, masked, Lane::Output, measured.is_none()).await?;
                // Whoever types sees each letter at once, though it may begin an address.
                let is_echo = bytes.len() <= ECHO && relay.has_typed.swap(false, Ordering::Relaxed);
                if is_echo && relay.carries == Carries::Terminal {
                    let masked = self.out.tick();
                    self.show(relay, masked, Lane::Output, true).await?;
                }
                Ok(())
            }
            FromTarget::Err(bytes) => {
                let masked = self.err.push(&bytes);
                self.show(relay, masked, Lane::Error, true).await
            }
            FromTarget::Eof => {
                self.finish(relay).await?;
                self.owes_eof = relay.handle.is_some() && relay.has_no_input();
                if !self.owes_eof {
                    relay.client.eof().await;
                }
                Ok(())
            }
            FromTarget::Exit(status) => {
                self.finish(relay).await?;
                self.ending.exit_status = Some(status);
                relay.client.exit(status).await;
                self.pay_eof(relay).await;
                Ok(())
            }
            FromTarget::Signal { signal, core_dumped } => {
                self.finish(relay).await?;
                self.ending.signal = Some(format!("{signal:?}"));
                let id = relay.client.id();
                let (message, language) = (String::new(), String::new());
                if let Some(handle) = &relay.handle {
                    let _ = handle.exit_signal_request(id, signal, core_dumped, message, language).await;
                }
                self.pay_eof(relay).await;
                Ok(())
            }
            FromTarget::Success => Ok(()),
            FromTarget::Failure => Err(Refusal::Target("the target does not do this")),
        }
    }

    async fn pay_eof(&mut self, relay: &Relay) {
        if std::mem::take(&mut self.owes_eof) {
            relay.client.eof().await;
        }
    }

    /// Everything that is held back.
    async fn finish(&mut self, relay: &Relay) -> Result<(), Refusal> {
        let (out, err) = (self.out.finish(), self.err.finish());
        self.show(relay, out, Lane::Output, relay.carries != Carries::Files || relay.records_files()).await?;
        self.show(relay, err, Lane::Error, true).await
    }

    async fn show(&mut self, relay: &Relay, masked: Masked, lane: Lane, is_taped: bool) -> Result<(), Refusal> {
        if masked.bytes().is_empty() {
            return Ok(());
        }
        relay.prompt.shown(masked.bytes());
        let released = if is_taped {
            let tape_lane = if lane == Lane::Output { TapeLane::Output } else { TapeLane::Error };
            let track = Track { channel: relay.number, lane: tape_lane };
            relay.session.show(track, masked)
        } else {
            // Of files the tape has their digest.
            relay.session.tape().flush().map(|()| Released::untaped(masked))
        };
        let released = released.map_err(|reason| {
            relay.session.end(End::Withheld(reason));
            Refusal::Gone
        })?;
        let disclosure = relay.client.send(released, lane).await.map_err(|_| Refusal::Gone)?;
        self.disclosure.add(&disclosure);
        Ok(())
    }
}

/// What waits of the same stream with it, so that it is masked, recorded and sent together.
fn gathered(queue: &Queue<FromTarget>, first: Bytes) -> Bytes {
    let more = |room: usize| queue.pop_if(|next| matches!(next, FromTarget::Out(bytes) if bytes.len() <= room));
    let Some(FromTarget::Out(second)) = more(AT_A_TIME.saturating_sub(first.len())) else { return first };
    let mut all = BytesMut::with_capacity(AT_A_TIME);
    all.extend_from_slice(&first);
    all.extend_from_slice(&second);
    while let Some(FromTarget::Out(next)) = more(AT_A_TIME.saturating_sub(all.len())) {
        all.extend_from_slice(&next);
    }
    all.freeze()
}
