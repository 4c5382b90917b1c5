//! What passed on channels, for people: line by line, and so that it is seen whose line it is.

use std::collections::BTreeMap;

use super::screen::Filter;
use crate::cli::show;

/// How much of a line without an end waits for the rest, in bytes.
const LONGEST: usize = 8 * 1024;

/// Whose line it is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Lane {
    /// The caller wrote it.
    Input,
    /// It got it.
    Output,
    /// It got it on standard error.
    Error,
}

impl Lane {
    const fn margin(self) -> &'static str {
        match self {
            Self::Input => "  < ",
            Self::Output => "    ",
            Self::Error => "  ! ",
        }
    }
}

/// The lines of several channels, each shown when it is whole.
#[derive(Default)]
pub(super) struct Streams {
    pending: BTreeMap<(Option<u32>, Lane), Pending>,
    /// The channel that was spoken of last.
    last: Option<u32>,
}

struct Pending {
    filter: Filter,
    line: String,
}

impl Streams {
    /// What there is to show after this piece.
    pub(super) fn pass(&mut self, channel: Option<u32>, lane: Lane, piece: &str) -> String {
        let new = || Pending { filter: Filter::text(), line: String::new() };
        let pending = self.pending.entry((channel, lane)).or_insert_with(new);
        let mut lines = Vec::new();
        for character in pending.filter.pass(piece).chars() {
            // A key that ends a line is a carriage return; what is shown has both.
            let ends = character == '\n' || (lane == Lane::Input && character == '\r');
            if ends || pending.line.len() >= LONGEST {
                lines.push(std::mem::take(&mut pending.line));
            }
            if !ends {
                pending.line.push(character);
            }
        }
        lines.iter().map(|line| self.line(channel, lane, line)).collect()
    }

    /// What waits of a channel of which something else is told now; of all, for what concerns the whole session.
    pub(super) fn before(&mut self, channel: Option<u32>) -> String {
        let is_meant = |of: Option<u32>| channel.is_none() || of == channel;
        let mut left = Vec::new();
        for ((of, lane), pending) in self.pending.iter_mut().filter(|((of, _), _)| is_meant(*of)) {
            if !pending.line.is_empty() {
                left.push((*of, *lane, std::mem::take(&mut pending.line)));
            }
        }
        let shown = left.iter().map(|(of, lane, line)| self.line(*of, *lane, line)).collect();
        self.last = channel;
        shown
    }

    fn line(&mut self, channel: Option<u32>, lane: Lane, line: &str) -> String {
        let heading = match channel {
            Some(number) if self.last != channel => format!("  channel {number}:\n"),
            _ => String::new(),
        };
        self.last = channel;
        format!("{heading}{}{}\n", lane.margin(), show::safe(line.strip_suffix('\r').unwrap_or(line)))
    }
}
