//! Text without places: what content shows in it is masked, wherever it stands.

use std::sync::Arc;

use super::error::Unmaskable;
use super::plan::Plan;
use super::spelling::Spelling;
use super::work::Work;
use crate::detect::Hints;
use crate::lens::Lens;
use crate::masked::Masked;

/// How much is looked at together.
const PIECE: usize = 32 * 1024;

/// A whole text that stands under this name, as it may be seen: the name says of some values what they are.
///
/// # Errors
/// [`Unmaskable::Charset`] if there is a NUL in it, as in a body of text.
pub fn named(name: &str, value: &str, plan: &Plan) -> Result<Masked, Unmaskable> {
    if value.contains('\0') {
        return Err(Unmaskable::Charset);
    }
    let mut work = Work::default();
    work.whole(Spelling::Plain, Hints::of(name), value.as_bytes(), &plan.0.lens)?;
    Ok(work.finish(&plan.0))
}

/// A body of text.
pub(super) struct Text {
    lens: Arc<Lens>,
    spelling: Spelling,
    /// What becomes of the rest behind a NUL.
    at_nul: AtNul,
    begun: bool,
}

/// What a NUL says of a text.
enum AtNul {
    /// That its characters take more than a byte, so that nothing can be found in it.
    Refuse,
    /// That it is none, and nothing may be changed in it.
    Through,
    /// Nothing any more.
    Passed,
}

impl Text {
    /// What is declared to be text.
    pub(super) fn new(plan: &Plan, spelling: Spelling) -> Self {
        Self { lens: Arc::clone(&plan.0.lens), spelling, at_nul: AtNul::Refuse, begun: false }
    }

    /// What may be anything.
    pub(super) fn anything(plan: &Plan) -> Self {
        Self { at_nul: AtNul::Through, ..Self::new(plan, Spelling::Plain) }
    }

    pub(super) fn push(&mut self, bytes: &[u8], work: &mut Work) -> Result<(), Unmaskable> {
        self.begin(work);
        let nul = if let AtNul::Passed = self.at_nul { None } else { memchr::memchr(0, bytes) };
        let (text, behind) = bytes.split_at(nul.unwrap_or(bytes.len()));
        self.search(text, work)?;
        if nul.is_some() {
            self.pass_nul(work)?;
            self.search(behind, work)?;
        }
        Ok(())
    }

    pub(super) fn end(&mut self, work: &mut Work) -> Result<(), Unmaskable> {
        self.begin(work);
        work.text(&[], true, &self.lens, &mut |_| {})
    }

    /// Shows what is held back, when nothing has come for a while.
    pub(super) fn tick(&mut self, work: &mut Work) {
        self.begin(work);
        work.tick(&self.lens);
    }

    fn begin(&mut self, work: &mut Work) {
        if !self.begun {
            work.begin(self.spelling, Hints::default());
            self.begun = true;
        }
    }

    fn search(&self, text: &[u8], work: &mut Work) -> Result<(), Unmaskable> {
        text.chunks(PIECE).try_for_each(|piece| work.text(piece, false, &self.lens, &mut |_| {}))
    }

    /// What was held back is decided as if the text ended. From here on nothing is masked, and what is found counts as seen.
    fn pass_nul(&mut self, work: &mut Work) -> Result<(), Unmaskable> {
        if let AtNul::Refuse = self.at_nul {
            return Err(Unmaskable::Charset);
        }
        work.text(&[], true, &self.lens, &mut |_| {})?;
        self.lens = self.lens.through();
        self.at_nul = AtNul::Passed;
        work.begin(Spelling::Plain, Hints::default());
        Ok(())
    }
}
