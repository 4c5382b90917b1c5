//! What becomes of the bodies of one route for one subject.

use std::collections::BTreeSet;
use std::sync::Arc;

use model::class::DataClass;
use model::decision::Reveal;
use model::http::protobuf::MessageRef;
use model::http::{FieldForm, FieldRule};

use super::error::Unmaskable;
use super::path::Paths;
use crate::lens::{Lens, RevealAsk, Reveals};
use crate::mask::Mask;

/// What becomes of a body that is not read (images, archives, what nobody knows) where no place of the route is hidden, but
/// content may show something that is.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum Opaque {
    /// It is refused.
    #[default]
    Refuse,
    /// It goes out. It is masked as text up to its first NUL, which what is no text has soon; what is found from there on
    /// counts as seen in clear.
    Through,
}

/// How much of a body is read and held.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Limits {
    /// How deep JSON may be nested.
    pub depth: usize,
    /// How many bytes a part may have that is held until it is whole: an event, a row of a table, a member of a form.
    pub record: usize,
    /// How many bytes a body may have once it is decoded.
    pub decoded: u64,
    /// How many times as many it may have as came, from [`Limits::FREE`] bytes on.
    pub ratio: u32,
}

impl Limits {
    /// A body that decodes to no more is not looked at for its ratio.
    pub const FREE: u64 = 1024 * 1024;
}

impl Default for Limits {
    fn default() -> Self {
        Self { depth: 128, record: 1024 * 1024, decoded: 4 * 1024 * 1024 * 1024, ratio: 200 }
    }
}

/// What becomes of the bodies of one route for one subject, under one revision. Cheap to clone.
#[derive(Clone)]
pub struct Plan(pub(super) Arc<PlanParts>, Option<MessageRef>);

pub(super) struct PlanParts {
    pub(super) lens: Arc<Lens>,
    pub(super) paths: Paths,
    /// One for each rule.
    pub(super) fates: Vec<Fate>,
    /// Every class that a rule names.
    pub(super) classes: Vec<DataClass>,
    pub(super) opaque: Opaque,
    pub(super) limits: Limits,
}

/// What becomes of the values of one rule.
pub(super) struct Fate {
    /// The strictest of the masks of its classes; nothing if all may be seen.
    pub(super) mask: Option<Mask>,
    /// Its classes, by their places in [`PlanParts::classes`].
    pub(super) classes: BTreeSet<usize>,
    /// How its values are written.
    pub(super) form: FieldForm,
}

/// What becomes of a value, by all the rules that it is under.
pub(super) struct Treatment {
    /// The strictest of their masks; nothing if it may be seen.
    pub(super) mask: Option<Mask>,
    /// The classes that it carries.
    pub(super) classes: Vec<usize>,
    /// How it is written.
    pub(super) form: FieldForm,
    /// What content may show in it.
    pub(super) lens: Arc<Lens>,
}

impl PlanParts {
    /// What becomes of a value under these rules, if there are any.
    pub(super) fn treatment(&self, rules: impl Iterator<Item = usize>) -> Option<Arc<Treatment>> {
        let fates: Vec<&Fate> = rules.filter_map(|rule| self.fates.get(rule)).collect();
        if fates.is_empty() {
            return None;
        }
        let mask = strictest(fates.iter().filter_map(|fate| fate.mask.as_ref())).cloned();
        let classes: BTreeSet<usize> = fates.iter().flat_map(|fate| &fate.classes).copied().collect();
        let known = classes.iter().filter_map(|at| self.classes.get(*at).cloned()).collect();
        let lens = self.lens.knowing(&known);
        // Of several, the one of which least can stand.
        let form = fates.iter().map(|fate| fate.form).max().unwrap_or_default();
        Some(Arc::new(Treatment { mask, classes: classes.into_iter().collect(), form, lens }))
    }
}

impl Plan {
    /// Plans by the rules of a route. `reveal` is asked about every class that a rule names, here and never again, so a plan
    /// is good for one revision.
    pub fn new(
        lens: &Arc<Lens>,
        rules: &[FieldRule],
        opaque: Opaque,
        limits: Limits,
        reveal: &mut Reveals<'_>,
    ) -> Self {
        let classes: BTreeSet<&DataClass> = rules.iter().flat_map(|rule| &rule.classes).collect();
        let classes: Vec<DataClass> = classes.into_iter().cloned().collect();
        let masks: Vec<Option<Mask>> = classes
            .iter()
            .map(|class| match reveal(RevealAsk::Class(class)) {
                Reveal::Clear => None,
                Reveal::Masked(transform) => Some(lens.mask(class, transform)),
            })
            .collect();
        let fate = |rule: &FieldRule| {
            let carried = classes.iter().enumerate().filter(|(_, class)| rule.classes.contains(*class));
            let carried: BTreeSet<usize> = carried.map(|(at, _)| at).collect();
            let hidden = carried.iter().filter_map(|at| masks.get(*at).and_then(Option::as_ref));
            Fate { mask: strictest(hidden).cloned(), classes: carried, form: rule.form }
        };
        let fates = rules.iter().map(fate).collect();
        let paths = Paths::new(rules.iter().map(|rule| &rule.path));
        Self(Arc::new(PlanParts { lens: Arc::clone(lens), paths, fates, classes, opaque, limits }), None)
    }

    /// Likewise, where bodies of gRPC are messages of this type.
    #[must_use]
    pub fn of_messages(self, message: Option<MessageRef>) -> Self {
        Self(self.0, message)
    }

    /// What bodies of gRPC are, if that is known.
    pub(super) const fn message(&self) -> Option<&MessageRef> {
        self.1.as_ref()
    }

    /// Whether anything may have to be hidden: by its place or by its content. Where nothing has, bodies go out as they came,
    /// and what can be read of them is counted.
    pub fn hides(&self) -> bool {
        self.hides_by_place() || self.0.lens.hides_by_content()
    }

    /// Whether values are hidden by their places, so that what is not read never goes out.
    pub fn hides_by_place(&self) -> bool {
        self.0.fates.iter().any(|fate| fate.mask.is_some())
    }

    /// Whether any value of a class may be delivered in clear: such reads are journaled at level `power` before they are
    /// answered (RULES.md 26).
    pub fn delivers_clear(&self) -> bool {
        self.0.fates.iter().any(|fate| fate.mask.is_none())
    }

    /// Whether anything is hidden by this plan that `other`, of the same route, shows more of: an answer under `other` may then
    /// not go on.
    pub fn hides_more_than(&self, other: &Self) -> bool {
        let strictness = |fate: Option<&Fate>| Some(fate?.mask.as_ref()?.transform.strictness());
        let (now, was) = (&self.0.fates, &other.0.fates);
        let places = now.iter().enumerate().any(|(at, fate)| strictness(Some(fate)) > strictness(was.get(at)));
        places || self.0.paths != other.0.paths || self.0.lens.hides_more_than(&other.0.lens)
    }

    /// Whether an answer of this status can be masked.
    ///
    /// # Errors
    /// [`Unmaskable::Partial`] for 206 and 226 (RFC 9110, 15.3.7; RFC 3229) if anything may have to be hidden.
    pub fn admits(&self, status: u16) -> Result<(), Unmaskable> {
        if matches!(status, 206 | 226) && self.hides() { Err(Unmaskable::Partial) } else { Ok(()) }
    }
}

/// The one that hides most.
fn strictest<'m>(masks: impl Iterator<Item = &'m Mask>) -> Option<&'m Mask> {
    masks.reduce(|kept, next| if next.transform.strictness() > kept.transform.strictness() { next } else { kept })
}
