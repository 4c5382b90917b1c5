//! From what statements do to what policy says of them: where effects, classification and policies meet.
//!
//! Sessions decide by this, and so do `sluice policy test`, `explain` and `simulate`: what they say of a statement is what
//! would happen to it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use effects::postgres::{Flow, Statement};
use masking::postgres::{Described, Plan, holds_mask, plan};
use masking::{Lens, OnUnmaskable, RevealAsk, Settings};
use model::class::{DataClass, Labels, Transform};
use model::classification::Classification;
use model::decision::Reveal;
use model::effect::{ColumnName, Effect, Facts, Object, Verb};
use model::lineage::{Mentions, Output};
use model::target::Target;
use policy::{Context, Question, RevealQuestion, SubjectPolicies, Verdict, judge, reveal};

/// A class of a column, or of anything.
pub type Classified = (Option<ColumnName>, DataClass);

/// One subject's policies at one place.
#[derive(Clone, Copy)]
pub struct Bench<'a> {
    /// The policies that can apply to the subject.
    pub policies: &'a SubjectPolicies,
    /// Where.
    pub target: &'a Target,
    /// In which of its databases.
    pub database: &'a str,
    /// What is classified there.
    pub labels: &'a Labels,
}

/// What of the classified data statements touch.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Touched {
    /// What the subject may not see of it, with the mask that a policy named.
    pub hidden: BTreeMap<Classified, Option<Transform>>,
    /// Whether the answer may hold something of it that the subject may see.
    pub shows: bool,
}

impl Bench<'_> {
    /// The verdict on statements that come in one request: all of them are allowed, asked about or denied together.
    pub fn verdict<'s, I>(&self, statements: I, context: &Context<'_>) -> Verdict
    where
        I: ExactSizeIterator<Item = (&'s [Effect], &'s Facts)>,
    {
        let multi = statements.len() > 1;
        let verdicts = statements.map(|(effects, facts)| {
            let facts = Facts { multi, ..facts.clone() };
            self.judge(effects, &facts, context)
        });
        Verdict::of_all(verdicts.collect())
    }

    /// The verdict on these effects of one statement.
    pub fn judge(&self, effects: &[Effect], facts: &Facts, context: &Context<'_>) -> Verdict {
        let Self { policies, target, database, labels } = *self;
        judge(policies, &Question { target, database, effects, facts, labels, context })
    }

    /// Whether the subject may open a session here.
    pub fn connect(&self, context: &Context<'_>) -> Verdict {
        self.opening(&[Effect::new(Verb::Connect, Object::Database)], context)
    }

    /// The verdict on what a session does when it is opened.
    pub fn opening(&self, effects: &[Effect], context: &Context<'_>) -> Verdict {
        let facts = Facts { kind: "CONNECT".into(), bounded: true, ..Facts::default() };
        self.judge(effects, &facts, context)
    }

    /// Whether the subject may see values of a class, from a column or wherever they come from.
    pub fn reveal(&self, context: &Context<'_>, asked: RevealAsk<'_>) -> Reveal {
        reveal(self.policies, self.target, self.database, question(asked), self.labels, context)
    }

    /// The `@id`s of the policies behind [`Bench::reveal`].
    pub fn reveal_policies(&self, context: &Context<'_>, asked: RevealAsk<'_>) -> Vec<Arc<str>> {
        policy::reveal_policies(self.policies, self.target, self.database, question(asked), self.labels, context)
    }

    /// What the subject may see here, for the masks of its answers.
    pub fn lens(
        &self,
        keys: &masking::Keys,
        classification: &Classification,
        on_unmaskable: model::target::OnUnmaskable,
        context: &Context<'_>,
    ) -> Arc<Lens> {
        let on_unmaskable = match on_unmaskable {
            model::target::OnUnmaskable::Null => OnUnmaskable::Null,
            model::target::OnUnmaskable::TypeDefault => OnUnmaskable::TypeDefault,
            model::target::OnUnmaskable::Refuse => OnUnmaskable::Refuse,
        };
        let settings = Settings { classes: &classification.classes, on_unmaskable };
        Lens::new(keys, settings, &mut |asked| self.reveal(context, asked))
    }

    /// The masks for one answer.
    pub fn plan(
        &self,
        lens: &Arc<Lens>,
        answer: (&Output, &Mentions),
        described: &[Described],
        context: &Context<'_>,
    ) -> Plan {
        let (output, mentions) = answer;
        plan(lens, output, described, mentions, self.labels, &mut |asked| self.reveal(context, asked))
    }

    /// What is classified that the statements touch.
    pub fn touched(&self, statements: &[Statement], classification: &Classification, context: &Context<'_>) -> Touched {
        let mut touched = BTreeSet::new();
        for statement in statements {
            let anything = statement.mentions.anything;
            let all = classification.classes.keys().filter(|_| anything).map(|class| (None, class.clone()));
            let columns =
                statement.mentions.tables.iter().filter_map(|table| self.labels.classified.get(table)).flatten();
            let named = columns.flat_map(|column| {
                self.labels.marking(column).classes().map(move |class| (Some(column.clone()), class.clone()))
            });
            touched.extend(all.chain(named).map(|classified| (classified, *statement.answer() != Output::None)));
        }
        let mut found = Touched::default();
        for (classified, answers) in touched {
            let asked = match &classified {
                (Some(column), class) => RevealAsk::Column(column, class),
                (None, class) => RevealAsk::Class(class),
            };
            match self.reveal(context, asked) {
                Reveal::Clear => found.shows |= answers,
                Reveal::Masked(mask) => drop(found.hidden.insert(classified, mask)),
            }
        }
        found
    }
}

const fn question(asked: RevealAsk<'_>) -> RevealQuestion<'_> {
    match asked {
        RevealAsk::Column(column, class) => RevealQuestion::Column(column, class),
        RevealAsk::Class(class) => RevealQuestion::Class(class),
    }
}

/// The column to which statements would write one of our masks as data (RULES.md 10): from one of their constants, or of
/// the parameters.
pub fn mask_as_data<'v>(
    lens: &Lens,
    labels: &Labels,
    statements: &[Statement],
    parameters: impl Iterator<Item = Option<&'v [u8]>> + Clone,
) -> Option<Arc<str>> {
    let flows = statements.iter().flat_map(|statement| &statement.flows);
    let masks = |flow: &&Flow| {
        let classes = labels.marking(&flow.column).classes();
        if classes.clone().next().is_none() {
            return false;
        }
        let mut constants = flow.given.constants.iter().map(|constant| constant.as_bytes());
        let bound = |at: &usize| parameters.clone().nth(*at).flatten();
        let mut bound = flow.given.parameters.iter().filter_map(bound);
        let is_mask = |value: &[u8]| holds_mask(lens, value, classes.clone());
        constants.any(is_mask) || bound.any(is_mask)
    };
    flows.filter(masks).map(|flow| flow.column.to_string().into()).next()
}

/// A constant without its quotes, near enough for showing and for recognising a mask.
pub(crate) fn unquoted(text: &str) -> std::borrow::Cow<'_, str> {
    let inner = text.strip_prefix('\'').and_then(|rest| rest.strip_suffix('\''));
    match inner {
        Some(inner) if inner.contains("''") => inner.replace("''", "'").into(),
        Some(inner) => inner.into(),
        None => text.into(),
    }
}

/// What each statement of a request does, as [`Bench::verdict`] takes it.
pub fn acts(statements: &[Statement]) -> impl ExactSizeIterator<Item = (&[Effect], &Facts)> {
    statements.iter().map(|statement| (statement.effects.as_slice(), &statement.facts))
}

/// In one text, what comes after a statement that may change what names or text mean cannot be read beforehand. Says
/// whether there is such a statement.
pub fn mistrust_what_follows_a_change(statements: &mut [Statement]) -> bool {
    let (mut changed, mut mistrusted) = (false, false);
    for statement in statements.iter_mut() {
        if changed && statement.transaction.is_none() && statement.own.is_none() {
            statement.become_opaque("an earlier statement of the same text may change what it means");
            mistrusted = true;
        }
        changed |= statement.changes_meaning();
    }
    mistrusted
}
