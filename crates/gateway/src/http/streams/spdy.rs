//! Streams of SPDY, one for each channel of a program (k8s.io/client-go, tools/remotecommand: `v2.go` to `v4.go`).

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::de::IgnoredAny;
use wire::spdy::{Frame, Reader, Writer};

use super::command::{FromCaller, FromTarget, Said};
use super::{Onward, Wrong};
use crate::gate::{Bare, Control, Wrap};

/// How much is kept of a `Status`, which is shown whole.
const MOST_OF_A_STATUS: usize = 64 * 1024;

/// What a stream is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Channel {
    Input,
    Output,
    Error,
    Status,
    Size,
}

/// One of them.
struct Stream {
    channel: Channel,
    /// Whether the caller says nothing more on it.
    has_ended: bool,
    /// Whether the target has taken it.
    is_taken: bool,
    /// Whether the target says nothing more on it.
    is_over: bool,
}

/// Those that the caller opened, by their number.
#[derive(Clone, Default)]
pub(super) struct Streams(Arc<Mutex<BTreeMap<u32, Stream>>>);

impl Streams {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<u32, Stream>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The one on which it is said how it ended.
    pub(super) fn status(&self) -> Option<u32> {
        let streams = self.lock();
        streams
            .iter()
            .find(|(_, stream)| stream.channel == Channel::Status && !stream.is_over)
            .map(|(number, _)| *number)
    }

    /// The last that was opened.
    pub(super) fn last(&self) -> u32 {
        self.lock().last_key_value().map_or(0, |(number, _)| *number)
    }
}

/// What the caller says.
pub(super) struct Caller {
    reader: Reader,
    writer: Writer,
    streams: Streams,
}

impl Caller {
    pub(super) fn new(streams: Streams) -> Self {
        Self { reader: Reader::default(), writer: Writer::default(), streams }
    }

    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.reader.push(bytes);
    }

    pub(super) fn next(&mut self) -> Result<Option<FromCaller>, Wrong> {
        let Some(frame) = self.reader.frame()? else { return Ok(None) };
        let said = self.said(&frame)?;
        let mut onward = Vec::new();
        self.writer.write(&mut onward, &frame);
        Ok(Some(FromCaller::onward(said, Onward::Bytes(onward))))
    }

    fn said(&self, frame: &Frame) -> Result<Said, Wrong> {
        let mut streams = self.streams.lock();
        match frame {
            Frame::Open { stream, is_last, fields } => {
                let [(name, value)] = fields.as_slice() else { return Err(Wrong::Open) };
                let channel = match (&**name, &**value) {
                    ("streamtype", "stdin") => Channel::Input,
                    ("streamtype", "stdout") => Channel::Output,
                    ("streamtype", "stderr") => Channel::Error,
                    ("streamtype", "error") => Channel::Status,
                    ("streamtype", "resize") => Channel::Size,
                    _ => return Err(Wrong::Open),
                };
                let is_new = streams.last_key_value().is_none_or(|(last, _)| last < stream);
                if stream.is_multiple_of(2) || !is_new || streams.values().any(|known| known.channel == channel) {
                    return Err(Wrong::Open);
                }
                let opened = Stream { channel, has_ended: *is_last, is_taken: false, is_over: false };
                streams.insert(*stream, opened);
                Ok(Said::Else)
            }
            Frame::Data { stream, is_last, content } => {
                let known = streams.get_mut(stream).ok_or(Wrong::Channel)?;
                if known.has_ended {
                    return Err(Wrong::AfterEnd);
                }
                known.has_ended = *is_last;
                match known.channel {
                    Channel::Input if content.is_empty() => Ok(Said::InputEnds),
                    Channel::Input => Ok(Said::Input(content.clone())),
                    Channel::Size if !content.is_empty() => Ok(Said::Size(content.clone())),
                    _ if content.is_empty() => Ok(Said::Else),
                    _ => Err(Wrong::Channel),
                }
            }
            Frame::Reset { stream, .. } => {
                streams.get_mut(stream).ok_or(Wrong::Channel)?.has_ended = true;
                Ok(Said::Else)
            }
            Frame::Ping(_) | Frame::Ignored => Ok(Said::Else),
            Frame::GoAway { .. } => Ok(Said::Else),
            Frame::Reply { .. } | Frame::Fields { .. } => Err(Wrong::Open),
        }
    }
}

/// What the target says.
pub(super) struct Target {
    reader: Reader,
    streams: Streams,
    status: Vec<u8>,
    /// What a frame meant beside the first.
    more: VecDeque<FromTarget>,
}

impl Target {
    pub(super) fn new(streams: Streams) -> Self {
        Self { reader: Reader::default(), streams, status: Vec::new(), more: VecDeque::new() }
    }

    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.reader.push(bytes);
    }

    pub(super) fn next(&mut self) -> Result<Option<FromTarget>, Wrong> {
        if let Some(next) = self.more.pop_front() {
            return Ok(Some(next));
        }
        let Some(frame) = self.reader.frame()? else { return Ok(None) };
        self.said(frame).map(Some)
    }

    fn said(&mut self, frame: Frame) -> Result<FromTarget, Wrong> {
        let mut streams = self.streams.lock();
        let bare = |frame| Bare::Frame { frame, is_within: false };
        match frame {
            Frame::Reply { stream, is_last, .. } => {
                let known = streams.get_mut(&stream).filter(|known| !known.is_taken).ok_or(Wrong::Open)?;
                (known.is_taken, known.is_over) = (true, is_last);
                Ok(FromTarget::Say(bare(Control::Reply { stream, is_last })))
            }
            Frame::Data { stream, is_last, content } => {
                let known = streams.get_mut(&stream).ok_or(Wrong::Channel)?;
                if known.is_over {
                    return Err(Wrong::AfterEnd);
                }
                known.is_over = is_last;
                let wrap = Wrap::Stream { number: stream, is_last: false, is_within: false };
                let said = match known.channel {
                    Channel::Output => FromTarget::Output(content, wrap),
                    Channel::Error => FromTarget::Error(content, wrap),
                    Channel::Status => {
                        self.status.extend_from_slice(&content);
                        if self.status.len() > MOST_OF_A_STATUS {
                            return Err(Wrong::TooMuch);
                        }
                        // Kubelets say no more than that, and close the connection without an end of the stream.
                        let has_more = !content.is_empty();
                        let is_whole =
                            is_last || has_more && serde_json::from_slice::<IgnoredAny>(&self.status).is_ok();
                        match is_whole && !self.status.is_empty() {
                            true => FromTarget::Status(std::mem::take(&mut self.status), wrap),
                            false => FromTarget::Nothing,
                        }
                    }
                    Channel::Input | Channel::Size if content.is_empty() => FromTarget::Nothing,
                    Channel::Input | Channel::Size => return Err(Wrong::Channel),
                };
                if is_last {
                    self.more.push_back(FromTarget::Ends(bare(Control::Last(stream))));
                }
                Ok(said)
            }
            Frame::Reset { stream, status } => {
                streams.get_mut(&stream).ok_or(Wrong::Channel)?.is_over = true;
                Ok(FromTarget::Ends(bare(Control::Reset { stream, status })))
            }
            Frame::Ping(id) => Ok(FromTarget::Say(bare(Control::Ping(id)))),
            Frame::GoAway { last, status } => Ok(FromTarget::Ends(bare(Control::GoAway { last, status }))),
            Frame::Ignored => Ok(FromTarget::Nothing),
            Frame::Open { .. } | Frame::Fields { .. } => Err(Wrong::Open),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn field(name: &str, value: &str) -> wire::spdy::Field {
        (name.into(), value.into())
    }

    fn open(stream: u32, channel: &str) -> Frame {
        Frame::Open { stream, is_last: false, fields: vec![field("streamtype", channel)] }
    }

    fn data(stream: u32, is_last: bool, content: &[u8]) -> Frame {
        Frame::Data { stream, is_last, content: content.to_vec() }
    }

    /// What comes of the last of these frames of the caller's, if all before it are taken.
    fn caller(frames: &[Frame]) -> Option<Wrong> {
        let (mut caller, mut writer, mut bytes) = (Caller::new(Streams::default()), Writer::default(), Vec::new());
        frames.iter().for_each(|frame| writer.write(&mut bytes, frame));
        caller.push(&bytes);
        frames.iter().map(|_| caller.next().err()).last().flatten()
    }

    #[test]
    fn k8_12_streams_are_opened_once_each_and_used_as_they_are_meant() {
        let all = ["error", "stdin", "stdout", "stderr", "resize"];
        let mut opened: Vec<Frame> = all.iter().zip([1, 3, 5, 7, 9]).map(|(channel, at)| open(at, channel)).collect();
        assert_eq!(caller(&opened), None);
        for (more, wrong) in [
            (open(11, "stdin"), Wrong::Open),
            (open(11, "stdx"), Wrong::Open),
            (open(10, "error"), Wrong::Open),
            (open(7, "stderr"), Wrong::Open),
            (data(5, false, b"out"), Wrong::Channel),
            (data(1, false, b"{}"), Wrong::Channel),
            (data(13, false, b"x"), Wrong::Channel),
            (Frame::Reply { stream: 1, is_last: false, fields: vec![] }, Wrong::Open),
            (Frame::Fields { stream: 1, is_last: false, fields: vec![] }, Wrong::Open),
        ] {
            opened.push(more);
            assert_eq!(caller(&opened), Some(wrong), "{:?}", opened.last());
            opened.pop();
        }
        opened.extend([data(3, false, b"in"), data(3, true, b""), data(3, false, b"more")]);
        assert_eq!(caller(&opened), Some(Wrong::AfterEnd));
        let fields = vec![field("streamtype", "stdin"), field("x", "y")];
        assert_eq!(caller(&[Frame::Open { stream: 1, is_last: false, fields }]), Some(Wrong::Open));
    }

    #[test]
    fn sm_18_a_target_speaks_on_streams_that_the_caller_opened() {
        let streams = Streams::default();
        let (mut caller, mut writer, mut bytes) = (Caller::new(streams.clone()), Writer::default(), Vec::new());
        for (at, channel) in [(1, "error"), (3, "stdin"), (5, "stdout")] {
            writer.write(&mut bytes, &open(at, channel));
        }
        caller.push(&bytes);
        (0..3).for_each(|_| drop(caller.next().unwrap()));
        for (frame, wrong) in [
            (open(2, "stdout"), Wrong::Open),
            (data(3, false, b"in"), Wrong::Channel),
            (data(7, false, b"x"), Wrong::Channel),
            (Frame::Reply { stream: 7, is_last: false, fields: vec![] }, Wrong::Open),
            (data(1, false, &[b'x'; MOST_OF_A_STATUS + 1]), Wrong::TooMuch),
        ] {
            let mut target = Target::new(streams.clone());
            let mut bytes = Vec::new();
            Writer::default().write(&mut bytes, &frame);
            target.push(&bytes);
            assert_eq!(target.next().err(), Some(wrong), "{frame:?}");
        }
        let mut target = Target::new(streams);
        let mut bytes = Vec::new();
        let mut writer = Writer::default();
        [data(5, false, b"out"), data(5, true, b""), data(5, false, b"more")]
            .iter()
            .for_each(|frame| writer.write(&mut bytes, frame));
        target.push(&bytes);
        assert!(matches!(target.next(), Ok(Some(FromTarget::Output(..)))));
        assert!(matches!(target.next(), Ok(Some(FromTarget::Output(..)))));
        assert!(matches!(target.next(), Ok(Some(FromTarget::Ends(_)))));
        assert_eq!(target.next().err(), Some(Wrong::AfterEnd));
    }

    #[test]
    fn how_a_program_ended_is_told_without_an_end_of_its_stream() {
        let streams = Streams::default();
        let status = Stream { channel: Channel::Status, has_ended: false, is_taken: true, is_over: false };
        streams.lock().insert(1, status);
        let (mut target, mut writer) = (Target::new(streams), Writer::default());
        let mut said = Vec::new();
        for piece in ["{\"status\":\"Fail", "ure\"}"] {
            let mut bytes = Vec::new();
            let frame = Frame::Data { stream: 1, is_last: false, content: piece.into() };
            writer.write(&mut bytes, &frame);
            target.push(&bytes);
            while let Some(next) = target.next().unwrap() {
                said.push(next);
            }
        }
        let [FromTarget::Nothing, FromTarget::Status(json, _)] = said.as_slice() else { panic!("something else") };
        assert_eq!(json, b"{\"status\":\"Failure\"}");
    }
}
