//! What one subject may see, under one revision.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use model::class::{DataClass, Transform};
use model::decision::Reveal;
use model::effect::ColumnName;

use crate::detect::Detector;
use crate::keys::Keys;
use crate::mask::{self, Mask};

/// What masking asks of policy.
#[derive(Clone, Copy, Debug)]
pub enum RevealAsk<'a> {
    /// May the subject see values of this class that come from this column?
    Column(&'a ColumnName, &'a DataClass),
    /// May the subject see values of this class wherever they come from?
    Class(&'a DataClass),
}

/// Answers [`RevealAsk`]s. Called while plans are made, never per row; it may be called again with the same question.
pub type Reveals<'a> = dyn FnMut(RevealAsk<'_>) -> Reveal + 'a;

/// What becomes of a value that has no mask of its own type (a date, a number).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum OnUnmaskable {
    /// NULL.
    #[default]
    Null,
    /// The type's zero: 0, false, the epoch, an empty string. For clients whose types know no NULL.
    TypeDefault,
    /// The answer is refused.
    Refuse,
}

/// What the revision and the target say about masking.
#[derive(Clone, Copy, Debug)]
pub struct Settings<'a> {
    /// Every class there is, with its default transform.
    pub classes: &'a BTreeMap<DataClass, Transform>,
    /// What becomes of values that cannot be masked in their type.
    pub on_unmaskable: OnUnmaskable,
}

/// What one subject may see, under one revision and at one target: how each class is masked, and which classes are
/// hidden where content shows them. Made once per session and revision; every [`crate::postgres::Plan`] holds one.
pub struct Lens {
    keys: Keys,
    classes: BTreeMap<DataClass, Mask>,
    on_unmaskable: OnUnmaskable,
    /// For each [`Detector`], in its order: its class, and the mask unless the class may be seen.
    content: [(DataClass, Option<Mask>); Detector::COUNT],
    /// For each [`Detector`]: whether its class is known of the values that are looked at and may be seen of them, so that
    /// finding it is no news.
    known: [bool; Detector::COUNT],
}

impl Lens {
    /// Asks policy about every class that content can show.
    pub fn new(keys: &Keys, settings: Settings<'_>, reveal: &mut Reveals<'_>) -> Arc<Self> {
        let default = |(class, transform): (&DataClass, &Transform)| {
            (class.clone(), Mask::new(class.clone(), transform.clone(), keys))
        };
        let mut lens = Self {
            keys: keys.clone(),
            classes: settings.classes.iter().map(default).collect(),
            on_unmaskable: settings.on_unmaskable,
            content: Detector::ALL.map(|detector| (DataClass::new(detector.class()), None)),
            known: [false; Detector::COUNT],
        };
        let content = lens.content.each_ref().map(|(class, _)| {
            let mask = match reveal(RevealAsk::Class(class)) {
                Reveal::Clear => None,
                Reveal::Masked(transform) => Some(lens.mask(class, transform)),
            };
            (class.clone(), mask)
        });
        lens.content = content;
        Arc::new(lens)
    }

    /// Whether `value` has the form of a mask or token that Sluice writes for `class`: such a value must not be
    /// written to a column of that class (RULES.md 10).
    ///
    /// A format-preserving mask can be told from data only for card numbers (it fails the Luhn check) and US social
    /// security numbers (it has an area that is never issued).
    pub fn is_mask(&self, value: &str, class: &DataClass) -> bool {
        mask::is_mask(value, class, self.classes.get(class).map(|mask| &mask.transform))
    }

    /// Whether anything is hidden by this lens that `other` shows more of, so that what was planned by `other` may not
    /// go on.
    pub fn hides_more_than(&self, other: &Self) -> bool {
        let classes = self.classes.iter().any(|(class, mask)| match other.classes.get(class) {
            Some(was) => mask.transform.strictness() > was.transform.strictness(),
            None => false,
        });
        let content = self.content.iter().zip(&other.content).any(|((_, now), (_, was))| match (now, was) {
            (None, _) => false,
            (Some(_), None) => true,
            (Some(now), Some(was)) => now.transform.strictness() > was.transform.strictness(),
        });
        classes || content || self.on_unmaskable != other.on_unmaskable
    }

    /// The mask of a class: by `transform` if policy names one, by the class's default otherwise.
    pub(crate) fn mask(&self, class: &DataClass, transform: Option<Transform>) -> Mask {
        let mut mask = self.classes.get(class).cloned();
        let mask = mask.get_or_insert_with(|| Mask::new(class.clone(), Transform::Redact, &self.keys));
        if let Some(transform) = transform {
            mask.transform = transform;
        }
        mask.clone()
    }

    /// The same lens for what may not be changed: nothing that content shows is hidden, and what is found counts as seen.
    pub(crate) fn through(&self) -> Arc<Self> {
        Arc::new(Self {
            keys: self.keys.clone(),
            classes: self.classes.clone(),
            on_unmaskable: self.on_unmaskable,
            content: self.content.each_ref().map(|(class, _)| (class.clone(), None)),
            known: self.known,
        })
    }

    /// The same lens for values that carry classes which may be seen of them.
    pub(crate) fn knowing(&self, known: &BTreeSet<DataClass>) -> Arc<Self> {
        Arc::new(Self {
            keys: self.keys.clone(),
            classes: self.classes.clone(),
            on_unmaskable: self.on_unmaskable,
            content: self.content.clone(),
            known: self.content.each_ref().map(|(class, _)| known.contains(class)),
        })
    }

    /// Whether content may show something that is hidden.
    pub(crate) fn hides_by_content(&self) -> bool {
        self.content.iter().any(|(_, mask)| mask.is_some())
    }

    /// Every class of the classification.
    pub(crate) fn classes(&self) -> impl Iterator<Item = &DataClass> {
        self.classes.keys()
    }

    pub(crate) const fn on_unmaskable(&self) -> OnUnmaskable {
        self.on_unmaskable
    }

    /// What `detector` finds: its class, and how it is masked unless it may be seen. Nothing if that is no news.
    pub(crate) fn content(&self, detector: Detector) -> Option<&(DataClass, Option<Mask>)> {
        let known = self.known.get(detector.index()).is_some_and(|known| *known);
        self.content.get(detector.index()).filter(|_| !known)
    }
}
