//! The tape of a session that lives, as it grows: read a piece at a time, for as long as whoever watches may.
//!
//! Whoever moderates is an observer of the session for as long as that: no longer than pieces are taken.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use axum::response::Response;
use gateway::node::Node;
use gateway::observers::Observing;
use gateway::sessions::Signals;
use model::decision::Outcome;
use model::event::Event;
use model::id::SessionId;
use model::subject::Subject;
use policy::AdminVerb;
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::access::Caller;
use crate::replay::Tape;
use crate::stream::{self, AHEAD, PIECE, STALLED};

/// How long to wait before looking again: what is seen late by it is seen within a second.
const LOOK: Duration = Duration::from_millis(150);
/// After how long a silence an empty line says that it goes on.
const QUIET: Duration = Duration::from_secs(10);
/// The same where a session runs only while somebody observes it: whoever is gone without a word is missed within
/// [`MODERATING_STALLED`] of it, as the kernel gives up what is not acknowledged.
const MODERATING_QUIET: Duration = Duration::from_secs(1);
/// How long whoever moderates may take nothing.
const MODERATING_STALLED: Duration = Duration::from_secs(5);
/// How long a session that has ended may take to end its tape.
const ENDING: Duration = Duration::from_secs(5);

/// Somebody who observes a session; dropped, they do no more.
pub(crate) struct Moderating {
    node: Arc<Node>,
    subject: Arc<Subject>,
    session: SessionId,
    observing: Observing,
}

impl Moderating {
    /// The caller begins; that is in the journal.
    pub(crate) fn begin(node: &Arc<Node>, caller: &Caller, session: SessionId, signals: &Arc<Signals>) -> Self {
        let subject = Arc::clone(&caller.subject);
        let observing = Observing::begin(signals, &subject.groups);
        Self { node: Arc::clone(node), subject, session, observing }
    }
}

impl Drop for Moderating {
    fn drop(&mut self) {
        self.node.recorder.note(Event::AdminAction {
            subject: self.subject.key.clone(),
            action: "session.moderate.end".into(),
            object: self.session.to_string().into(),
            outcome: Outcome::Allow,
        });
    }
}

/// Somebody who watches a session.
struct Watch<Goes, Lives> {
    sender: mpsc::Sender<Bytes>,
    /// How long a silence may be, and how long nothing may be taken.
    quiet: Duration,
    stalled: Duration,
    /// Whether whoever watches still may.
    may_go_on: Goes,
    /// Whether the session still lives.
    is_live: Lives,
}

/// The lines of a tape from its beginning on, one JSON object each, until it ends or `caller` may no longer see it.
pub(crate) fn lines(
    node: Arc<Node>,
    caller: Caller,
    session: SessionId,
    tape: Tape,
    moderating: Option<Moderating>,
) -> Response {
    let (sender, receiver) = mpsc::channel(AHEAD);
    let (quiet, stalled) = if moderating.is_some() { (MODERATING_QUIET, MODERATING_STALLED) } else { (QUIET, STALLED) };
    let whom = caller.clone();
    let (of_caller, of_session) = (Arc::clone(&node), Arc::clone(&node));
    let watch = Watch {
        sender,
        quiet,
        stalled,
        may_go_on: move || may_go_on(&of_caller, &caller, moderating.as_ref()),
        is_live: move || of_session.sessions.find(session).is_some(),
    };
    node.tasks.spawn(watch.follow(tape));
    stream::response(node, whom, receiver)
}

/// Whether the caller is believed, and policy lets it: by what holds now.
fn may_go_on(node: &Node, caller: &Caller, moderating: Option<&Moderating>) -> bool {
    let Some(subject) = caller.standing(node) else { return false };
    if let Some(moderating) = moderating {
        moderating.observing.is_now(&subject.groups);
    }
    caller.may_as(node, subject, AdminVerb::Replay)
}

impl<Goes: Fn() -> bool, Lives: Fn() -> bool> Watch<Goes, Lives> {
    async fn follow(self, mut tape: Tape) {
        let mut said_at = Instant::now();
        let mut gone_at = None;
        while (self.may_go_on)() {
            if !(self.is_live)() {
                gone_at.get_or_insert_with(Instant::now);
            }
            let is_last = gone_at.is_some_and(|gone_at| gone_at.elapsed() > ENDING);
            let read = tokio::task::spawn_blocking(move || (piece(&mut tape, is_last), tape)).await;
            let Ok((piece, same)) = read else { return };
            tape = same;
            let is_all = piece.len() < PIECE;
            if let Some(piece) = to_say(piece, said_at.elapsed(), self.quiet) {
                if !self.send(piece).await {
                    return;
                }
                said_at = Instant::now();
            }
            if tape.is_over() || (is_all && self.is_left_alone().await) {
                return;
            }
        }
    }

    /// Hands on a piece; false if nobody takes it any more.
    async fn send(&self, piece: Vec<u8>) -> bool {
        tokio::time::timeout(self.stalled, self.sender.send(piece.into())).await.is_ok_and(|sent| sent.is_ok())
    }

    /// Waits until it is time to look again; true if nobody watches any more.
    async fn is_left_alone(&self) -> bool {
        tokio::time::timeout(LOOK, self.sender.closed()).await.is_ok()
    }
}

/// A piece, if there is anything to say.
fn to_say(piece: Vec<u8>, silence: Duration, quiet: Duration) -> Option<Vec<u8>> {
    match piece.is_empty() {
        true => (silence > quiet).then(|| b"\n".to_vec()),
        false => Some(piece),
    }
}

/// What there is to send now of a tape; with its end, if nothing more is waited for. Blocks.
fn piece(tape: &mut Tape, is_last: bool) -> Vec<u8> {
    let mut piece = Vec::new();
    while piece.len() < PIECE {
        let lines = if is_last { tape.next_lines() } else { tape.next_so_far() };
        if lines.is_empty() {
            break;
        }
        lines.iter().for_each(|line| stream::put(&mut piece, line));
    }
    piece
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use ledger::tape::{Direction, KeyStore, Lane, Track};
    use ledger::{Disk, RealDisk};
    use model::secret::Secret;
    use model::time::Timestamp;
    use serde_json::Value;
    use tempfile::TempDir;

    use super::*;
    use crate::replay;

    const SESSION: SessionId = SessionId::from_bits(77);

    /// A tape that is written, and somebody who follows it.
    struct Watched {
        dir: TempDir,
        tape: Option<ledger::tape::Tape>,
        receiver: mpsc::Receiver<Bytes>,
        may: Arc<AtomicBool>,
        lives: Arc<AtomicBool>,
        pending: Vec<u8>,
    }

    impl Watched {
        fn begin() -> Self {
            let dir = TempDir::new().unwrap();
            let disk: Arc<dyn Disk> = Arc::new(RealDisk);
            let keys = KeyStore::new(&dir.path().join("keys"), &Secret::new([7; 32])).unwrap();
            let drawn = ledger::tape::Drawn { key: Secret::new([8; 32]), nonce: [8; 12] };
            let tape =
                ledger::tape::Tape::create(&disk, dir.path(), SESSION, Timestamp(0), Some((&keys, &drawn))).unwrap();
            let followed = replay::open(disk, dir.path(), SESSION, &keys).map_err(|_| "no tape").unwrap();
            let (sender, receiver) = mpsc::channel(AHEAD);
            let (may, lives) = (Arc::new(AtomicBool::new(true)), Arc::new(AtomicBool::new(true)));
            let (may_go_on, is_live) = (Arc::clone(&may), Arc::clone(&lives));
            let watch = Watch {
                sender,
                quiet: QUIET,
                stalled: STALLED,
                may_go_on: move || may_go_on.load(Ordering::Relaxed),
                is_live: move || is_live.load(Ordering::Relaxed),
            };
            tokio::spawn(watch.follow(followed));
            Self { dir, tape: Some(tape), receiver, may, lives, pending: Vec::new() }
        }

        fn record(&mut self, text: &str) {
            let track = Track { channel: 1, lane: Lane::Output };
            let tape = self.tape.as_mut().unwrap();
            let _ = tape.record_on(Direction::ToClient, track, Timestamp(1), &[text.as_bytes()]).unwrap();
        }

        /// The next line that comes; `None` when it is over.
        async fn line(&mut self) -> Option<Value> {
            loop {
                if let Some(end) = self.pending.iter().position(|byte| *byte == b'\n') {
                    let line: Vec<u8> = self.pending.drain(..=end).collect();
                    return Some(serde_json::from_slice(&line).unwrap());
                }
                self.pending.extend_from_slice(&self.receiver.recv().await?);
            }
        }
    }

    /// Issue 7: what passes is seen within a second, and the end as well.
    #[tokio::test]
    async fn what_is_recorded_is_seen_within_a_second() {
        let mut watched = Watched::begin();
        for number in 0..5 {
            watched.record(&format!("line {number}"));
            let seen = tokio::time::timeout(Duration::from_secs(1), watched.line()).await.unwrap().unwrap();
            assert_eq!((&seen["kind"], &seen["channel"]), (&"output".into(), &1.into()));
            assert_eq!(seen["data"], format!("line {number}"));
        }
        watched.tape.take().unwrap().finish(Timestamp(2)).unwrap();
        let end = tokio::time::timeout(Duration::from_secs(1), watched.line()).await.unwrap().unwrap();
        assert_eq!((&end["kind"], &end["complete"]), (&"end".into(), &true.into()));
        assert_eq!(watched.line().await, None);
        assert!(watched.dir.path().exists());
    }

    #[tokio::test]
    async fn who_may_watch_no_longer_sees_no_more() {
        let mut watched = Watched::begin();
        watched.record("before");
        assert_eq!(watched.line().await.unwrap()["data"], "before");
        watched.may.store(false, Ordering::Relaxed);
        tokio::time::timeout(Duration::from_secs(1), async { assert_eq!(watched.line().await, None) }).await.unwrap();
    }

    /// A session whose process cannot end its tape is followed to what is there.
    #[tokio::test]
    async fn a_tape_that_is_never_ended_ends_with_its_session() {
        let mut watched = Watched::begin();
        watched.record("all");
        assert_eq!(watched.line().await.unwrap()["data"], "all");
        watched.lives.store(false, Ordering::Relaxed);
        let end = watched.line().await.unwrap();
        assert_eq!((&end["kind"], &end["complete"]), (&"end".into(), &false.into()));
        assert_eq!(watched.line().await, None);
    }

    /// What is written while it is read is no damage.
    #[tokio::test]
    async fn a_tape_is_followed_at_full_speed() {
        let mut watched = Watched::begin();
        let mut tape = watched.tape.take().unwrap();
        let writing = std::thread::spawn(move || {
            let track = Track { channel: 1, lane: Lane::Output };
            for number in 0..20_000u32 {
                let text = format!("{number}\n");
                let _ = tape.record_on(Direction::ToClient, track, Timestamp(1), &[text.as_bytes()]).unwrap();
            }
            tape.finish(Timestamp(2)).unwrap();
        });
        let mut numbers = Vec::new();
        while let Some(line) = watched.line().await {
            match line["kind"].as_str().unwrap() {
                "output" => numbers.push(line["data"].as_str().unwrap().trim().parse::<u32>().unwrap()),
                kind => assert_eq!((kind, &line["complete"]), ("end", &true.into()), "{line}"),
            }
        }
        writing.join().unwrap();
        assert_eq!(numbers, (0..20_000).collect::<Vec<_>>());
    }

    #[test]
    fn silence_is_broken_now_and_then() {
        assert_eq!(to_say(Vec::new(), Duration::from_secs(1), QUIET), None);
        assert_eq!(to_say(Vec::new(), QUIET * 2, QUIET), Some(b"\n".to_vec()));
        assert_eq!(to_say(b"x".to_vec(), Duration::ZERO, QUIET), Some(b"x".to_vec()));
    }
}
