//! What masks the texts of a body, one after another, and gathers what goes out.

use std::collections::VecDeque;

use model::disclosure::{Counts, Disclosure};

use super::error::Unmaskable;
use super::plan::PlanParts;
use super::spelling::{Reader, Spelling, Spelt};
use crate::detect::{self, Detector, Hints};
use crate::keys::wipe_stack;
use crate::lens::Lens;
use crate::mask::Mask;
use crate::masked::Masked;
use crate::stream::{Account, Paint, Shown, Window, stars};

/// Gathers what goes out of a body.
#[derive(Default)]
pub(super) struct Work {
    speech: Speech,
    window: Window,
    reader: Reader,
    /// How many bytes of the text in hand were read.
    read: u64,
    account: Account,
    /// For each class of the plan.
    counts: Vec<Counts>,
    rows: u64,
}

impl Work {
    /// Writes what needs no mask.
    pub(super) fn verbatim(&mut self, bytes: &[u8]) {
        self.speech.out.extend_from_slice(bytes);
    }

    /// What waits to go out.
    pub(super) const fn out(&mut self) -> &mut Vec<u8> {
        &mut self.speech.out
    }

    /// Counts a value of these classes.
    pub(super) fn count(&mut self, classes: &[usize], masked: bool) {
        let counts = Counts { clear: u64::from(!masked), masked: u64::from(masked) };
        for class in classes {
            if self.counts.len() <= *class {
                self.counts.resize(class.saturating_add(1), Counts::default());
            }
            self.counts.get_mut(*class).into_iter().for_each(|count| count.add(counts));
        }
    }

    /// Counts a value that content showed.
    pub(super) fn count_found(&mut self, detector: Detector, masked: bool) {
        self.account.count(detector, masked);
    }

    /// Counts an event, a line or a row.
    pub(super) const fn count_row(&mut self) {
        self.rows = self.rows.saturating_add(1);
    }

    /// Begins a text in which values are looked for.
    pub(super) fn begin(&mut self, spelling: Spelling, hints: Hints) {
        self.reader.begin(spelling);
        self.window.begin(hints);
        self.speech.begin(spelling);
        self.read = 0;
    }

    /// Takes up more of the text, and writes what is decided of it; `meant` takes what it means.
    pub(super) fn text(
        &mut self,
        bytes: &[u8],
        last: bool,
        lens: &Lens,
        meant: &mut dyn FnMut(&[u8]),
    ) -> Result<(), Unmaskable> {
        let Self { speech, window, reader, read, account, .. } = self;
        reader.feed(bytes, last, &mut |part| {
            let text = match part {
                Spelt::Plain(text) => text,
                Spelt::As(raw, text) => {
                    speech.spelt(*read, text.len(), raw);
                    text
                }
            };
            *read = read.saturating_add(u64::try_from(text.len()).unwrap_or(u64::MAX));
            window.text.extend_from_slice(text);
            meant(text);
        })?;
        window.advance(lens, last, account, speech);
        Ok(())
    }

    /// Shows what is held back of the text, as stars where it may not be seen.
    pub(super) fn tick(&mut self, lens: &Lens) {
        self.window.tick(lens, &mut self.speech);
    }

    /// A whole text, spelt as it is written.
    pub(super) fn whole(
        &mut self,
        spelling: Spelling,
        hints: Hints,
        text: &[u8],
        lens: &Lens,
    ) -> Result<(), Unmaskable> {
        self.begin(spelling, hints);
        self.text(text, true, lens, &mut |_| {})
    }

    /// Writes what stands for a value, spelt so; says whether anything does, or only NULL.
    pub(super) fn masked(&mut self, mask: &Mask, value: &str, spelling: Spelling) -> bool {
        self.speech.has_masked = true;
        self.speech.scratch.clear();
        let shown = mask.text(value, &mut self.speech.scratch);
        spelling.write(&self.speech.scratch, &mut self.speech.out);
        shown
    }

    /// Writes the name of a value's class alone.
    pub(super) fn redacted(&mut self, mask: &Mask, spelling: Spelling) -> bool {
        spelling.write(mask.label(), &mut self.speech.out);
        true
    }

    /// What counts so far, so that it can be taken back.
    pub(super) fn state(&self) -> State {
        State {
            out: self.speech.out.len(),
            account: self.account.clone(),
            counts: self.counts.clone(),
            rows: self.rows,
        }
    }

    /// Takes back what was written and counted since.
    pub(super) fn restore(&mut self, state: State) {
        self.speech.out.truncate(state.out);
        (self.account, self.counts, self.rows) = (state.account, state.counts, state.rows);
    }

    /// What may go out, and what it gives away.
    pub(super) fn finish(&mut self, plan: &PlanParts) -> Masked {
        if std::mem::take(&mut self.speech.has_masked) {
            wipe_stack();
        }
        let bytes = std::mem::take(&mut self.speech.out);
        let mut disclosure = self.account.take(&plan.lens, bytes.len());
        disclosure.rows = std::mem::take(&mut self.rows);
        self.add_counts(plan, &mut disclosure);
        Masked::new(bytes, disclosure)
    }

    fn add_counts(&mut self, plan: &PlanParts, disclosure: &mut Disclosure) {
        for (class, counts) in plan.classes.iter().zip(std::mem::take(&mut self.counts)) {
            if counts != Counts::default() {
                disclosure.classes.entry(class.clone()).or_default().add(counts);
            }
        }
    }
}

/// What was written and counted at some time.
pub(super) struct State {
    pub(super) out: usize,
    account: Account,
    counts: Vec<Counts>,
    rows: u64,
}

/// Whether a text has anything in it that the lens hides or counts, as it stands: without a reader around it.
pub(super) fn is_telling(text: &[u8], hints: Hints) -> bool {
    let mut found = false;
    detect::scan_bounded(text, 0, 0, hints, &mut |matched| {
        found = true;
        matched.end
    });
    found
}

/// Writes a text as it was spelt, and masks as they have to be spelt there.
#[derive(Default)]
struct Speech {
    out: Vec<u8>,
    scratch: String,
    spelling: Spelling,
    /// How many bytes of the text went out, in whatever form.
    painted: u64,
    /// What is to come and is not spelt as it is meant.
    marks: VecDeque<Mark>,
    raw: VecDeque<u8>,
    /// Whether anything was masked since the stack was wiped.
    has_masked: bool,
}

struct Mark {
    /// Where in the text, how many bytes of it, and how many of `raw`.
    at: u64,
    text: usize,
    raw: usize,
}

impl Speech {
    fn begin(&mut self, spelling: Spelling) {
        self.spelling = spelling;
        self.painted = 0;
        self.marks.clear();
        self.raw.clear();
    }

    fn spelt(&mut self, at: u64, text: usize, raw: &[u8]) {
        self.raw.extend(raw);
        self.marks.push_back(Mark { at, text, raw: raw.len() });
    }

    /// Goes past text, which is written as it was spelt or not at all.
    fn pass(&mut self, mut text: &[u8], write: bool) {
        while !text.is_empty() {
            let ahead = self.marks.front().map(|mark| mark.at.saturating_sub(self.painted));
            let ahead = ahead.and_then(|ahead| usize::try_from(ahead).ok()).unwrap_or(usize::MAX);
            let (plain, rest) = text.split_at(ahead.min(text.len()));
            if write {
                self.out.extend_from_slice(plain);
            }
            let marked = if rest.is_empty() { 0 } else { self.pass_mark(rest.len(), write) };
            let passed = plain.len().saturating_add(marked);
            self.painted = self.painted.saturating_add(u64::try_from(passed).unwrap_or(u64::MAX));
            text = text.get(passed..).unwrap_or_default();
        }
    }

    /// Goes past what is spelt in another way, of which so much text is at hand. Where only a part of it is, all goes with
    /// that part.
    fn pass_mark(&mut self, text: usize, write: bool) -> usize {
        let Some(mark) = self.marks.front_mut() else { return text };
        let raw = self.raw.drain(..mark.raw);
        if write {
            self.out.extend(raw);
        } else {
            drop(raw);
        }
        let passed = mark.text.min(text);
        mark.at = mark.at.saturating_add(u64::try_from(passed).unwrap_or(u64::MAX));
        (mark.text, mark.raw) = (mark.text.saturating_sub(passed), 0);
        if mark.text == 0 {
            self.marks.pop_front();
        }
        passed
    }
}

impl Paint for Speech {
    fn plain(&mut self, text: &[u8]) {
        if self.marks.is_empty() {
            self.painted = self.painted.saturating_add(u64::try_from(text.len()).unwrap_or(u64::MAX));
            self.out.extend_from_slice(text);
        } else {
            self.pass(text, true);
        }
    }

    fn stars(&mut self, text: &[u8]) {
        stars(text, &mut self.out);
        self.pass(text, false);
    }

    fn masked(&mut self, mask: &Mask, value: &[u8]) {
        self.scratch.clear();
        let shown = mask.text(&String::from_utf8_lossy(value), &mut self.scratch);
        let mask = if shown { self.scratch.as_str() } else { mask.label() };
        self.spelling.write(mask, &mut self.out);
        self.pass(value, false);
        self.has_masked = true;
    }

    fn redacted(&mut self, mask: &Mask, value: &[u8]) {
        self.spelling.write(mask.label(), &mut self.out);
        self.pass(value, false);
    }

    fn goes_on(&self) -> Shown {
        Shown::Nothing
    }

    fn nothing(&mut self, text: &[u8]) {
        self.pass(text, false);
    }
}
