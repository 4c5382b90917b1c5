//! One body, as it comes.

use super::coding::{self, Coding};
use super::error::Unmaskable;
use super::events::Events;
use super::form::Form;
use super::grpc::Grpc;
use super::json::{self, Json};
use super::media::{self, Media};
use super::multipart::Multipart;
use super::plan::{Opaque, Plan};
use super::spelling::Spelling;
use super::table::Table;
use super::text::Text;
use super::work::Work;
use crate::masked::Masked;

/// What becomes of a body's bytes.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Change {
    /// They go out as they came.
    Same,
    /// Others may go out, without a content coding: what a field says of the bytes does not hold.
    Rewritten,
}

/// The body of one message.
pub struct Body {
    plan: Plan,
    codings: Vec<Coding>,
    kind: Kind,
    work: Work,
    /// Whether the bytes go out as they came, and are read to be counted alone.
    same: bool,
    failed: Option<Unmaskable>,
}

/// How a body is read.
pub(super) enum Kind {
    Json(Box<Json>),
    Events(Box<Events>),
    Table(Box<Table>),
    Form(Box<Form>),
    Text(Text),
    Grpc(Box<Grpc>),
    Multipart(Box<Multipart>),
    /// It is not.
    Unread,
}

impl Kind {
    fn of(content_types: &[&[u8]], plan: &Plan) -> Result<Self, Unmaskable> {
        let (by_place, hides) = (plan.hides_by_place(), plan.hides());
        let json = |kind| Ok(Self::Json(Box::new(Json::new(plan, kind))));
        match Media::read(content_types)? {
            // A body that nobody says anything of has to be what has places.
            None if by_place => json(json::Kind::Values),
            Some(Media::Json) => json(json::Kind::Values),
            Some(Media::JsonSequence) => json(json::Kind::Sequence),
            Some(Media::Events) => Ok(Self::Events(Box::new(Events::new(plan)))),
            Some(Media::Table { header, delimiter }) => Ok(Self::Table(Box::new(Table::new(plan, header, delimiter)?))),
            Some(Media::Form) => Ok(Self::Form(Box::new(Form::new(plan)))),
            Some(Media::Grpc) if let Some(message) = plan.message() => {
                Ok(Self::Grpc(Box::new(Grpc::new(plan, message))))
            }
            // What passes though it is not read may be what no reader of parts takes.
            Some(Media::Multipart) if by_place || plan.0.opaque == Opaque::Refuse => {
                let field = content_types.first().and_then(|field| std::str::from_utf8(field).ok());
                let field = field.ok_or(Unmaskable::MediaType)?;
                Ok(Self::Multipart(Box::new(Multipart::new(plan, field)?)))
            }
            Some(_) if by_place => Err(Unmaskable::MediaType),
            Some(Media::Markup) => Ok(Self::Text(Text::new(plan, Spelling::Markup))),
            None | Some(Media::Text) => Ok(Self::Text(Text::new(plan, Spelling::Plain))),
            Some(Media::Opaque | Media::Framed | Media::Grpc) if plan.0.opaque == Opaque::Refuse && hides => {
                Err(Unmaskable::MediaType)
            }
            Some(Media::Opaque | Media::Framed | Media::Grpc | Media::Multipart) => {
                Ok(Self::Text(Text::anything(plan)))
            }
        }
    }

    /// How a part of a body is read that says it is this; it has no parts itself.
    pub(super) fn of_part(content_type: &str, plan: &Plan) -> Result<Self, Unmaskable> {
        match Self::of(&[content_type.as_bytes()], plan)? {
            Self::Multipart(_) => Err(Unmaskable::MediaType),
            kind => Ok(kind),
        }
    }

    pub(super) fn push(&mut self, bytes: &[u8], work: &mut Work) -> Result<(), Unmaskable> {
        match self {
            Self::Json(json) => json.push(bytes, work),
            Self::Events(events) => events.push(bytes, work),
            Self::Table(table) => table.push(bytes, work),
            Self::Form(form) => form.push(bytes, work),
            Self::Text(text) => text.push(bytes, work),
            Self::Grpc(grpc) => grpc.push(bytes, work),
            Self::Multipart(parts) => parts.push(bytes, work),
            Self::Unread => Ok(()),
        }
    }

    pub(super) fn end(&mut self, work: &mut Work) -> Result<(), Unmaskable> {
        match self {
            Self::Json(json) => json.end(work),
            Self::Events(events) => events.end(work),
            Self::Table(table) => table.end(work),
            Self::Form(form) => form.end(work),
            Self::Text(text) => text.end(work),
            Self::Grpc(grpc) => grpc.end(),
            Self::Multipart(parts) => parts.end(),
            Self::Unread => Ok(()),
        }
    }
}

impl Body {
    /// Takes up a body with these `Content-Type` and `Content-Encoding` fields, each as often as it stands.
    ///
    /// # Errors
    /// If the plan hides anything and what the body is, is not read.
    pub fn new(content_types: &[&[u8]], content_encodings: &[&[u8]], plan: &Plan) -> Result<Self, Unmaskable> {
        let same = !plan.hides();
        let codings = media::codings(content_encodings, plan.0.limits.decoded);
        let (codings, kind) = match codings.and_then(|codings| Ok((codings, Kind::of(content_types, plan)?))) {
            Ok(read) => read,
            Err(_) if same => (Vec::new(), Kind::Unread),
            Err(error) => return Err(error),
        };
        Ok(Self { plan: plan.clone(), codings, kind, work: Work::default(), same, failed: None })
    }

    /// What becomes of its bytes.
    pub const fn change(&self) -> Change {
        if self.same { Change::Same } else { Change::Rewritten }
    }

    /// Takes up what came, and gives what may go out. A decoded piece is up to [`super::Limits::ratio`] times as long, so that
    /// pieces should be as short as a socket's. Once it failed it always fails.
    ///
    /// The rows that are disclosed are values of JSON one after another, events, and rows of tables.
    ///
    /// # Errors
    /// [`Unmaskable`]: nothing further may go out.
    pub fn push(&mut self, bytes: &[u8]) -> Result<Masked, Unmaskable> {
        self.advance(bytes, false)
    }

    /// Gives all that is left: the body is over.
    ///
    /// # Errors
    /// As [`Body::push`], and if it is not whole.
    pub fn end(&mut self) -> Result<Masked, Unmaskable> {
        self.advance(&[], true)
    }

    /// Gives what is held back of a text, as stars where it may not be seen: for when nothing came for some time, and somebody
    /// waits for what there is ([`crate::ssh::Stream::tick`]). Of all else nothing is held back but what is not whole, which
    /// stays so.
    pub fn tick(&mut self) -> Masked {
        if let (Kind::Text(text), None, false) = (&mut self.kind, self.failed, self.same) {
            text.tick(&mut self.work);
        }
        self.work.finish(&self.plan.0)
    }

    fn advance(&mut self, bytes: &[u8], last: bool) -> Result<Masked, Unmaskable> {
        if let Some(error) = self.failed {
            return Err(error);
        }
        match self.take_up(bytes, last) {
            Ok(()) => {}
            // It is not read any further, and so not counted.
            Err(_) if self.same => (self.kind, self.codings) = (Kind::Unread, Vec::new()),
            Err(error) => {
                (self.failed, self.work) = (Some(error), Work::default());
                return Err(error);
            }
        }
        if self.same {
            self.work.out().clear();
            self.work.verbatim(bytes);
        }
        Ok(self.work.finish(&self.plan.0))
    }

    fn take_up(&mut self, bytes: &[u8], last: bool) -> Result<(), Unmaskable> {
        let Self { plan, codings, kind, work, same, .. } = self;
        coding::decode(codings, bytes, &plan.0.limits, &mut |piece| {
            kind.push(piece, work)?;
            if *same {
                work.out().clear();
            }
            Ok(())
        })?;
        if last && !coding::are_complete(codings) {
            return Err(Unmaskable::Damaged);
        }
        if last { kind.end(work) } else { Ok(()) }
    }
}
