//! Which of a session's channels something passed on, and as what.

use super::Kind;

/// Bytes of a label: the channel, little-endian, and the lane.
const LABEL: usize = 5;

/// A channel of a session, and what of it: where a protocol has several at a time (RFC 4254, section 5).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Track {
    /// Which channel, counted from 1 in the order in which they were opened; 0 is the session itself.
    pub channel: u32,
    /// Which of its lanes.
    pub lane: Lane,
}

/// What passes on a track.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum Lane {
    /// Requests, as lines of JSON.
    Requests,
    /// What the caller wrote: standard input, keys that were pressed.
    Input,
    /// What it got: standard output, a terminal's screen.
    Output,
    /// What it got on standard error.
    Error,
    /// The size of its terminal, as `COLUMNSxROWS`.
    Size,
    /// How it ended, as a line of JSON.
    End,
    /// The head of a request or an answer of HTTP: its first line, and a line for each field.
    Head,
    /// What is told of a message of WebSocket, as a line of JSON; its content follows as what was written, or was got.
    Messages,
}

/// Which way something passed.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Direction {
    /// From the caller.
    FromClient,
    /// To the caller.
    ToClient,
}

impl Direction {
    pub(super) const fn kind(self) -> Kind {
        match self {
            Self::FromClient => Kind::FromClientOn,
            Self::ToClient => Kind::ToClientOn,
        }
    }
}

impl Lane {
    const ALL: [Self; 8] =
        [Self::Requests, Self::Input, Self::Output, Self::Error, Self::Size, Self::End, Self::Head, Self::Messages];

    const fn code(self) -> u8 {
        match self {
            Self::Requests => 0,
            Self::Input => 1,
            Self::Output => 2,
            Self::Error => 3,
            Self::Size => 4,
            Self::End => 5,
            Self::Head => 6,
            Self::Messages => 7,
        }
    }
}

impl Track {
    /// The label that a record begins with.
    pub(super) const fn label(self) -> [u8; LABEL] {
        let [a, b, c, d] = self.channel.to_le_bytes();
        [a, b, c, d, self.lane.code()]
    }

    /// Takes the label off the content of a record of [`Kind::FromClientOn`] or [`Kind::ToClientOn`]; `None` if it has none
    /// of those that are known.
    pub fn split(content: &[u8]) -> Option<(Self, &[u8])> {
        let (label, rest) = content.split_first_chunk::<LABEL>()?;
        let [a, b, c, d, lane] = *label;
        let lane = Lane::ALL.into_iter().find(|known| known.code() == lane)?;
        Some((Self { channel: u32::from_le_bytes([a, b, c, d]), lane }, rest))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_is_read_as_it_was_written_and_no_other_is() {
        for lane in Lane::ALL {
            let track = Track { channel: 0x0102_0304, lane };
            let content = [track.label().as_slice(), b"content"].concat();
            assert_eq!(Track::split(&content), Some((track, b"content".as_slice())));
        }
        assert_eq!(Track::split(&[0, 0, 0, 0, 99]), None);
        assert_eq!(Track::split(&[0, 0, 0, 0]), None);
    }
}
