//! Bodies of several parts: each is masked as what it says that it is, and a field of a form by its name.

use model::http::multipart::{self, Malformed, PartHead, Piece, Splitter};

use super::body::Kind;
use super::error::Unmaskable;
use super::form;
use super::plan::Plan;
use super::spelling::Spelling;
use super::work::Work;
use crate::detect::Hints;

/// Fields of a part's head that would not hold of what is masked.
const UNTRUE: [&str; 3] = ["content-length", "content-md5", "digest"];

/// Masks one part after another.
pub(super) struct Multipart {
    splitter: Splitter,
    parts: Parts,
}

struct Parts {
    plan: Plan,
    /// The part in hand.
    part: Part,
}

enum Part {
    /// There is none.
    None,
    /// The value of this name, which is masked when it is whole.
    Value(Box<str>, Vec<u8>),
    /// What says by itself what it is.
    Body(Box<Kind>),
}

impl From<Malformed> for Unmaskable {
    fn from(_: Malformed) -> Self {
        Self::Malformed
    }
}

impl Multipart {
    /// For a body with this `Content-Type`.
    pub(super) fn new(plan: &Plan, content_type: &str) -> Result<Self, Unmaskable> {
        let media = model::http::Media::parse(content_type).map_err(|_| Unmaskable::MediaType)?;
        let splitter = Splitter::new(&multipart::delimiter(&media).map_err(|_| Unmaskable::MediaType)?);
        Ok(Self { splitter, parts: Parts { plan: plan.clone(), part: Part::None } })
    }

    pub(super) fn push(&mut self, bytes: &[u8], work: &mut Work) -> Result<(), Unmaskable> {
        let Self { splitter, parts } = self;
        splitter.push(bytes, &mut |piece| match piece {
            Piece::Written(written) => {
                work.verbatim(written);
                Ok(())
            }
            Piece::Head(head) => parts.begin(head, work),
            Piece::Content(content) => parts.push(content, work),
            Piece::End => parts.end(work),
        })
    }

    /// The body is over.
    pub(super) fn end(&self) -> Result<(), Unmaskable> {
        Ok(self.splitter.end()?)
    }
}

impl Parts {
    fn begin(&mut self, head: &[u8], work: &mut Work) -> Result<(), Unmaskable> {
        let PartHead { name, media } = PartHead::read(head)?;
        self.part = match (name, media) {
            (Some(name), media) if media.is_none() || self.is_hidden(&name) => Part::Value(name, Vec::new()),
            // Its places are not those of the body.
            _ if self.plan.hides_by_place() => return Err(Unmaskable::MediaType),
            (_, media) => {
                let media = media.map_or_else(|| "text/plain".to_owned(), |media| media.to_string());
                Part::Body(Box::new(Kind::of_part(&media, &self.plan)?))
            }
        };
        self.write(head, work)
    }

    fn is_hidden(&self, name: &str) -> bool {
        form::treatment(&self.plan, name).is_some_and(|treatment| treatment.mask.is_some())
    }

    /// The head, whose names are searched too.
    fn write(&self, head: &[u8], work: &mut Work) -> Result<(), Unmaskable> {
        let head = std::str::from_utf8(head).map_err(|_| Unmaskable::Malformed)?;
        let is_true = |line: &&str| {
            let name = line.split(':').next().unwrap_or_default();
            !UNTRUE.iter().any(|known| known.eq_ignore_ascii_case(name))
        };
        let lines = head.split("\r\n").filter(is_true).collect::<Vec<_>>().join("\r\n");
        // A head that had lines has one: without any it would be over a line earlier (RFC 2046, section 5.1).
        let lines = if lines.is_empty() && !head.is_empty() { "Content-Type: text/plain" } else { &lines };
        work.whole(Spelling::Plain, Hints::default(), lines.as_bytes(), &self.plan.0.lens)
    }

    fn push(&mut self, content: &[u8], work: &mut Work) -> Result<(), Unmaskable> {
        match &mut self.part {
            Part::Value(_, held) if held.len().saturating_add(content.len()) > self.plan.0.limits.record => {
                Err(Unmaskable::TooLong)
            }
            Part::Value(_, held) => {
                held.extend_from_slice(content);
                Ok(())
            }
            Part::Body(body) => body.push(content, work),
            Part::None => Err(Unmaskable::Malformed),
        }
    }

    fn end(&mut self, work: &mut Work) -> Result<(), Unmaskable> {
        work.count_row();
        match std::mem::replace(&mut self.part, Part::None) {
            Part::Value(name, value) => form::masked(&self.plan, Spelling::Plain, &name, &value, work),
            Part::Body(mut body) => body.end(work),
            Part::None => Err(Unmaskable::Malformed),
        }
    }
}
