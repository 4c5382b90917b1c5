//! A piece of a stream: what is not decided yet, and a little of what went before it.

use super::Paint;
use super::account::Account;
use super::run::{Run, Shown};
use crate::detect::{self, Detector, HOLD, Hints, Match};
use crate::lens::Lens;

/// How much that is decided stays: the words near a number, and the bracket before it.
const CONTEXT: usize = 32;

/// What is not decided yet, with [`CONTEXT`] before it. Of the text, `floor <= from <= shown`: the last match ended at
/// `floor` (or before the window), nothing that begins before `from` is undecided, and all before `shown` is out.
#[derive(Default)]
pub(crate) struct Window {
    pub(crate) text: Vec<u8>,
    floor: usize,
    from: usize,
    shown: usize,
    /// A value of no bound that goes on.
    run: Option<Run>,
    found: Vec<Match>,
    /// What a name says of all the text.
    hints: Hints,
}

/// What of a window is decided.
struct Decided {
    /// Before it all is.
    until: usize,
    /// Where what is not begins.
    open: usize,
    /// Where the last match before it ended.
    floor: usize,
}

impl Window {
    /// Begins anew, in text that has nothing to do with what went before.
    pub(crate) fn begin(&mut self, hints: Hints) {
        self.text.clear();
        self.run = None;
        (self.floor, self.from, self.shown, self.hints) = (0, 0, 0, hints);
    }

    /// How many bytes are held back.
    pub(crate) fn holds(&self) -> usize {
        self.text.len().saturating_sub(self.shown)
    }

    /// Takes up a lens that may hide more.
    pub(crate) fn set_lens(&mut self, lens: &Lens) {
        if let Some(run) = &mut self.run {
            run.set_lens(lens);
        }
    }

    /// Shows what is decided; at the `last` all is.
    pub(crate) fn advance(&mut self, lens: &Lens, last: bool, account: &mut Account, painter: &mut impl Paint) {
        let end = if last { self.text.len() } else { whole_characters(&self.text) };
        self.go_on(end, painter);
        let goes_on = self.search(end);
        let decided = if last { Decided { until: end, open: end, floor: end } } else { self.decided(end) };
        let release = released(lens, &decided, end);
        let mut found = std::mem::take(&mut self.found);
        let certain = found.iter().take_while(|matched| matched.end <= decided.until);
        let mut last_one = None;
        for matched in certain {
            self.show(*matched, lens, account, painter);
            last_one = Some(*matched);
        }
        self.show_until(release, painter);
        found.clear();
        self.found = found;
        (self.from, self.floor) = (decided.until, decided.floor);
        if let Some(matched) = last_one.filter(|matched| matched.end == end) {
            let value = self.text.get(matched.start..end).unwrap_or_default();
            self.run = Run::of(matched.detector, value, goes_on, shown(lens, matched.detector, painter));
        }
        self.forget();
    }

    /// What a value of no bound takes of the text.
    fn go_on(&mut self, end: usize, painter: &mut impl Paint) {
        let Some(run) = &mut self.run else { return };
        let rest = self.text.get(self.from..end).unwrap_or_default();
        let taken = run.take(rest);
        let value = rest.get(..taken.unwrap_or(rest.len())).unwrap_or_default();
        painter.run(run.shown, value);
        self.from = self.from.saturating_add(value.len());
        (self.floor, self.shown) = (self.from, self.from.max(self.shown));
        if taken.is_some() {
            self.run = None;
        }
    }

    /// Finds all that is in the text if it ends here; returns the private key that goes on behind it.
    fn search(&mut self, end: usize) -> Option<Run> {
        self.found.clear();
        if self.run.is_some() {
            return None;
        }
        let text = self.text.get(..end).unwrap_or_default();
        let (found, mut goes_on) = (&mut self.found, None);
        detect::scan_bounded(text, self.from, self.floor, self.hints, &mut |mut matched| {
            if matched.detector == Detector::PrivateKey {
                let mut key = Run::key();
                let behind = matched.start.saturating_add(detect::BEGIN.len());
                let taken = key.take(text.get(behind..).unwrap_or_default());
                matched.end = taken.map_or(end, |taken| behind.saturating_add(taken));
                goes_on = taken.is_none().then_some(key);
            }
            found.push(matched);
            matched.end
        });
        goes_on
    }

    /// Walks over the places near the end where something may begin, past what was found.
    fn decided(&self, end: usize) -> Decided {
        let text = self.text.get(..end).unwrap_or_default();
        if self.run.is_some() {
            return Decided { until: end, open: end, floor: end };
        }
        let (mut at, mut floor) = (self.from.max(end.saturating_sub(HOLD)), self.floor);
        let mut found = self.found.iter().peekable();
        while at < end {
            if let Some(passed) = found.next_if(|matched| matched.end <= at || anchor(text, matched) < at) {
                (floor, at) = (passed.end, at.max(passed.end));
                continue;
            }
            let here = found.peek().filter(|matched| anchor(text, matched) == at);
            let card = here.is_some_and(|matched| matched.detector == Detector::CardNumber);
            if detect::is_open(text, floor, at, card) {
                break;
            }
            at = at.saturating_add(1);
        }
        at = at.min(end);
        Decided { until: detect::begins_by(text, floor, at), open: at, floor }
    }

    /// Shows what is before a match, and the match as it may be seen.
    fn show(&mut self, matched: Match, lens: &Lens, account: &mut Account, painter: &mut impl Paint) {
        self.show_until(matched.start, painter);
        let Some((_, mask)) = lens.content(matched.detector) else { return };
        account.count(matched.detector, mask.is_some());
        let Some(mask) = mask else { return self.show_until(matched.end, painter) };
        let value = self.text.get(self.shown.max(matched.start)..matched.end).unwrap_or_default();
        if self.shown > matched.start {
            // A part of it went out when the stream was silent.
            painter.stars(value);
        } else if value.len() >= HOLD || matched.detector == Detector::PrivateKey {
            painter.redacted(mask, value);
        } else {
            painter.masked(mask, value);
        }
        self.shown = self.shown.max(matched.end);
    }

    fn show_until(&mut self, until: usize, painter: &mut impl Paint) {
        painter.plain(self.text.get(self.shown..until).unwrap_or_default());
        self.shown = self.shown.max(until);
    }

    /// Shows all that is held back: what would be a match if nothing followed, and what may become one and is too long to
    /// be shown in part, as stars. Nothing is decided by that, and nothing counted.
    pub(crate) fn tick(&mut self, lens: &Lens, painter: &mut impl Paint) {
        let end = whole_characters(&self.text);
        if self.run.is_some() || self.shown >= end {
            return;
        }
        self.search(end);
        let exposed = self.exposed(lens, end);
        let found = std::mem::take(&mut self.found);
        let hidden = |matched: &&Match| lens.content(matched.detector).is_some_and(|(_, mask)| mask.is_some());
        for matched in found.iter().filter(hidden) {
            self.show_until(matched.start.min(exposed), painter);
            painter.stars(self.text.get(self.shown.max(matched.start)..matched.end.min(exposed)).unwrap_or_default());
            self.shown = self.shown.max(matched.end.min(exposed));
        }
        self.show_until(exposed, painter);
        let value = self.text.get(self.shown..end).unwrap_or_default();
        // A blank behind a number says nothing, and may be what a prompt ends in.
        let blanks = value.iter().rev().take_while(|byte| **byte == b' ').count();
        painter.stars(value.get(..value.len().saturating_sub(blanks)).unwrap_or_default());
        self.shown = end.saturating_sub(blanks);
        self.show_until(end, painter);
        self.found = found;
    }

    /// From where on nothing may be shown, as it may be of a hidden value that has come so far.
    fn exposed(&self, lens: &Lens, end: usize) -> usize {
        let text = self.text.get(..end).unwrap_or_default();
        let hidden = |detector| lens.content(detector).is_some_and(|(_, mask)| mask.is_some());
        let open = (self.from..end).filter(|at| detect::is_open(text, self.floor, *at, false));
        open.filter_map(|at| detect::hidden_from(text, at, &hidden)).min().unwrap_or(end)
    }

    /// Drops what is decided and shown, but for the context.
    fn forget(&mut self) {
        let gone = self.from.saturating_sub(CONTEXT);
        self.text.drain(..gone.min(self.text.len()));
        self.from = self.from.saturating_sub(gone);
        self.floor = self.floor.saturating_sub(gone);
        self.shown = self.shown.saturating_sub(gone);
    }
}

/// How much may be shown: nothing waits for what may be seen anyway.
fn released(lens: &Lens, decided: &Decided, end: usize) -> usize {
    if !lens.hides_by_content() {
        return end;
    }
    let addresses = lens.content(Detector::Email).is_some_and(|(_, mask)| mask.is_some());
    if addresses || decided.open < end { decided.until } else { end }
}

fn shown(lens: &Lens, detector: Detector, painter: &impl Paint) -> Shown {
    match lens.content(detector) {
        Some((_, Some(_))) => painter.goes_on(),
        Some((_, None)) | None => Shown::Clear,
    }
}

/// Where it was that a match was found: the `@` of an address, the first digit of a number in a bracket.
fn anchor(text: &[u8], matched: &Match) -> usize {
    let value = text.get(matched.start..matched.end).unwrap_or_default();
    let behind = match matched.detector {
        Detector::Email => memchr::memchr(b'@', value).unwrap_or(0),
        Detector::Phone => usize::from(value.first() == Some(&b'(')),
        _ => 0,
    };
    matched.start.saturating_add(behind)
}

/// How much of a text is whole characters, if it is UTF-8: not the first bytes of a last one whose rest is to come.
fn whole_characters(text: &[u8]) -> usize {
    let last = text.iter().rev().take(3).position(|byte| byte & 0xc0 != 0x80);
    let begun = last.and_then(|back| text.len().checked_sub(back.checked_add(1)?));
    let cut = begun.and_then(|at| text.get(at..)).is_some_and(|rest| {
        let wanted = match rest.first() {
            Some(0xc2..=0xdf) => 2,
            Some(0xe0..=0xef) => 3,
            Some(0xf0..=0xf4) => 4,
            _ => 1,
        };
        rest.len() < wanted
    });
    begun.filter(|_| cut).unwrap_or(text.len())
}
