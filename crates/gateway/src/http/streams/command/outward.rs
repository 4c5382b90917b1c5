//! What a program says to the caller: masked, on the tape, and then shown; and how it ended.

use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use effects::ssh::Carries;
use ledger::tape::{Lane as TapeLane, Track};
use masking::ssh::Stream;
use masking::{Lens, Masked, http as masks};
use model::disclosure::Disclosure;
use tokio::io::AsyncReadExt;
use tokio::sync::mpsc;
use wire::websocket::Message;

use super::super::super::socket::Over;
use super::{AT_A_TIME, FromTarget, Stage, Target};
use crate::gate::{Bare, ClientStream, Gone, Reads, Released, Wrap};

/// After how long a silence what is held back is looked at again: an interactive prompt waits no longer.
const SILENCE: Duration = Duration::from_millis(4);

/// What goes to the caller.
pub(super) struct Outward {
    out: Stream,
    err: Stream,
    /// In what the last of each went out.
    wraps: (Wrap, Wrap),
    carries: Carries,
    pub(super) disclosure: Disclosure,
    pub(super) exit_status: Option<u32>,
    pub(super) has_status: bool,
}

impl Outward {
    pub(super) fn new(carries: Carries, lens: &Arc<Lens>) -> Self {
        let lens = || Arc::clone(lens);
        let (out, err) = match carries {
            Carries::Terminal => (Stream::terminal(lens()), Stream::terminal(lens())),
            // What programs that carry files say beside them is text.
            Carries::Files | Carries::Sftp => (Stream::opaque(lens()), Stream::text(lens())),
            Carries::Text => (Stream::text(lens()), Stream::text(lens())),
        };
        Self {
            out,
            err,
            wraps: (Wrap::Channel(1), Wrap::Channel(2)),
            carries,
            disclosure: Disclosure::default(),
            exit_status: None,
            has_status: false,
        }
    }

    /// Takes what the target says to the caller, until it is over.
    pub(super) async fn run(
        &mut self,
        stage: &Stage<'_>,
        (mut target, mut reads): (Target, Reads),
        caller: &mut ClientStream,
        mut back: mpsc::Receiver<Bare>,
        forth: mpsc::Sender<Message>,
    ) -> Over {
        let mut piece = BytesMut::with_capacity(AT_A_TIME);
        let mut has_back = true;
        loop {
            loop {
                match target.next() {
                    Ok(Some(FromTarget::Over(bare))) => {
                        let _ = self.flush(stage, caller).await;
                        let _ = caller.say(bare).await;
                        return Over::Closed;
                    }
                    // Of more than wait the target hears no more of.
                    Ok(Some(FromTarget::Answer(answer))) => drop(forth.try_send(answer)),
                    Ok(Some(came)) => {
                        if let Err(over) = self.take(stage, came, caller).await {
                            return over;
                        }
                    }
                    Ok(None) => break,
                    Err(wrong) => return Over::Wrong(false, wrong),
                }
            }
            let holds = self.out.holds() + self.err.holds() > 0;
            piece.clear();
            tokio::select! {
                biased;
                bare = back.recv(), if has_back => match bare {
                    Some(bare) => if caller.say(bare).await.is_err() { return Over::CallerGone },
                    None => has_back = false,
                },
                read = reads.read_buf(&mut piece) => match read {
                    Ok(0) | Err(_) => {
                        let shown = self.flush(stage, caller).await;
                        // Of SPDY's peers none says more than this.
                        return match shown {
                            Ok(()) if self.has_status => Over::Closed,
                            Ok(()) => Over::TargetGone,
                            Err(over) => over,
                        };
                    }
                    Ok(_) => {
                        stage.idle.is_over();
                        target.push(&piece);
                    }
                },
                () = tokio::time::sleep(SILENCE), if holds => {
                    let (out, err) = (self.out.tick(), self.err.tick());
                    let (to_out, to_err) = self.wraps;
                    if let Err(over) = self.show(stage, out, TapeLane::Output, to_out, caller).await {
                        return over;
                    }
                    if let Err(over) = self.show(stage, err, TapeLane::Error, to_err, caller).await {
                        return over;
                    }
                }
            }
        }
    }

    async fn take(&mut self, stage: &Stage<'_>, came: FromTarget, caller: &mut ClientStream) -> Result<(), Over> {
        match came {
            FromTarget::Output(bytes, wrap) if bytes.is_empty() => self.empty(wrap, caller).await,
            FromTarget::Output(bytes, wrap) => {
                self.wraps.0 = wrap;
                let masked = self.out.push(&bytes);
                self.show(stage, masked, TapeLane::Output, wrap, caller).await
            }
            FromTarget::Error(bytes, wrap) => {
                self.wraps.1 = wrap;
                let masked = self.err.push(&bytes);
                self.show(stage, masked, TapeLane::Error, wrap, caller).await
            }
            FromTarget::Status(json, wrap) if json.is_empty() => self.empty(wrap, caller).await,
            FromTarget::Status(json, wrap) => {
                self.flush(stage, caller).await?;
                self.has_status = true;
                self.exit_status = exit_status(&json);
                let mut stream = Stream::text(Arc::clone(&stage.socket.session.standing().lens));
                let (begun, rest) = (stream.push(&json), stream.finish());
                for masked in [begun, rest] {
                    if !masked.bytes().is_empty() {
                        let released = stage.socket.session.tape().leave_out(masked).map_err(Over::NotRecorded)?;
                        self.send(released, wrap, caller).await?;
                    }
                }
                Ok(())
            }
            FromTarget::Say(bare) => caller.say(bare).await.map_err(|_| Over::CallerGone),
            FromTarget::Ends(bare) => {
                self.flush(stage, caller).await?;
                caller.say(bare).await.map_err(|_| Over::CallerGone)
            }
            FromTarget::Answer(_) | FromTarget::Over(_) | FromTarget::Nothing => Ok(()),
        }
    }

    /// By which the target says no more than that it is there.
    async fn empty(&mut self, wrap: Wrap, caller: &mut ClientStream) -> Result<(), Over> {
        self.send(Released::untaped(masks::own("")), wrap, caller).await
    }

    /// Everything that is held back.
    async fn flush(&mut self, stage: &Stage<'_>, caller: &mut ClientStream) -> Result<(), Over> {
        let (out, err) = (self.out.finish(), self.err.finish());
        let (to_out, to_err) = self.wraps;
        self.show(stage, out, TapeLane::Output, to_out, caller).await?;
        self.show(stage, err, TapeLane::Error, to_err, caller).await
    }

    async fn show(
        &mut self,
        stage: &Stage<'_>,
        masked: Masked,
        lane: TapeLane,
        wrap: Wrap,
        caller: &mut ClientStream,
    ) -> Result<(), Over> {
        if masked.bytes().is_empty() {
            return Ok(());
        }
        stage.prompt.shown(masked.bytes());
        let track = Track { channel: stage.number, lane };
        let is_file = self.carries == Carries::Files && lane == TapeLane::Output;
        let released = stage.socket.taped.streamed(track, masked, !is_file).map_err(Over::NotRecorded)?;
        self.send(released, wrap, caller).await
    }

    async fn send(&mut self, released: Released, wrap: Wrap, caller: &mut ClientStream) -> Result<(), Over> {
        match caller.send(released, wrap).await {
            Ok(disclosed) => {
                self.disclosure.add(&disclosed);
                Ok(())
            }
            Err(Gone::Gate(_)) => Err(Over::Internal),
            Err(Gone::Closed | Gone::NotOpened) => Err(Over::CallerGone),
        }
    }
}

/// How a program ended, as a `Status` says it (k8s.io/apimachinery, pkg/util/remotecommand: `ExitCodeCauseType`).
fn exit_status(json: &[u8]) -> Option<u32> {
    let status: serde_json::Value = serde_json::from_slice(json).ok()?;
    if status.get("status")?.as_str()? == "Success" {
        return Some(0);
    }
    let causes = status.get("details")?.get("causes")?.as_array()?;
    let cause =
        causes.iter().find(|cause| cause.get("reason").and_then(serde_json::Value::as_str) == Some("ExitCode"))?;
    cause.get("message")?.as_str()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_a_program_ended_is_read_of_its_status() {
        assert_eq!(exit_status(br#"{"metadata":{},"status":"Success"}"#), Some(0));
        let failed = br#"{"status":"Failure","reason":"NonZeroExitCode","details":{"causes":[{"reason":"ExitCode","message":"7"}]}}"#;
        assert_eq!(exit_status(failed), Some(7));
        assert_eq!(exit_status(br#"{"status":"Failure","message":"no such container"}"#), None);
        assert_eq!(exit_status(b"exit 7"), None);
    }
}
