//! `application/x-www-form-urlencoded`: names and values, each member looked at when it is whole.

use std::sync::Arc;

use super::error::Unmaskable;
use super::plan::{Plan, Treatment};
use super::spelling::{Reader, Spelling, Spelt};
use super::work::Work;
use crate::detect::Hints;

/// Masks a form.
pub(super) struct Form {
    plan: Plan,
    /// The member in hand.
    member: Vec<u8>,
}

impl Form {
    pub(super) fn new(plan: &Plan) -> Self {
        Self { plan: plan.clone(), member: Vec::new() }
    }

    pub(super) fn push(&mut self, mut bytes: &[u8], work: &mut Work) -> Result<(), Unmaskable> {
        while let Some(at) = memchr::memchr(b'&', bytes) {
            let (part, rest) = bytes.split_at(at);
            self.add(part)?;
            self.end(work)?;
            work.verbatim(b"&");
            bytes = rest.get(1..).unwrap_or_default();
        }
        self.add(bytes)
    }

    fn add(&mut self, part: &[u8]) -> Result<(), Unmaskable> {
        if self.member.len().saturating_add(part.len()) > self.plan.0.limits.record {
            return Err(Unmaskable::TooLong);
        }
        self.member.extend_from_slice(part);
        Ok(())
    }

    /// The member in hand is over.
    pub(super) fn end(&mut self, work: &mut Work) -> Result<(), Unmaskable> {
        let member = std::mem::take(&mut self.member);
        let equals = memchr::memchr(b'=', &member).unwrap_or(member.len());
        let (name, value) = member.split_at(equals);
        let lens = &self.plan.0.lens;
        work.whole(Spelling::Form, Hints::default(), name, lens)?;
        let name = meant(Spelling::Form, name)?;
        if let Some(value) = value.get(1..) {
            work.verbatim(b"=");
            masked(&self.plan, Spelling::Form, &name, value, work)?;
        }
        self.member = member;
        self.member.clear();
        Ok(())
    }
}

/// Writes the value of this name as it may be seen.
pub(super) fn masked(
    plan: &Plan,
    spelling: Spelling,
    name: &str,
    value: &[u8],
    work: &mut Work,
) -> Result<(), Unmaskable> {
    match treatment(plan, name) {
        Some(treatment) if treatment.mask.is_some() => hidden(&treatment, spelling, value, work),
        treatment => {
            let lens = treatment.as_ref().map_or(&plan.0.lens, |treatment| &treatment.lens);
            work.whole(spelling, Hints::of(name), value, lens)?;
            if let Some(treatment) = treatment.filter(|_| !value.is_empty()) {
                work.count(&treatment.classes, false);
            }
            Ok(())
        }
    }
}

/// What becomes of the value of this name: of `user[card][number]` and `user.card.number` the last part counts too.
pub(super) fn treatment(plan: &Plan, name: &str) -> Option<Arc<Treatment>> {
    let last = name.trim_end_matches([']', '[']).rsplit(['[', '.']).next().unwrap_or_default();
    let paths = &plan.0.paths;
    plan.0.treatment(paths.named(name).into_iter().chain(paths.named(last)))
}

fn hidden(treatment: &Treatment, spelling: Spelling, value: &[u8], work: &mut Work) -> Result<(), Unmaskable> {
    let Some(mask) = treatment.mask.as_ref().filter(|_| !value.is_empty()) else { return Ok(()) };
    work.count(&treatment.classes, true);
    work.masked(mask, &meant(spelling, value)?, spelling);
    Ok(())
}

/// What a text means that is whole.
pub(super) fn meant(spelling: Spelling, text: &[u8]) -> Result<String, Unmaskable> {
    let (mut reader, mut meant) = (Reader::default(), Vec::new());
    reader.begin(spelling);
    reader.feed(text, true, &mut |part| {
        let (Spelt::Plain(text) | Spelt::As(_, text)) = part;
        meant.extend_from_slice(text);
    })?;
    Ok(String::from_utf8_lossy(&meant).into_owned())
}
