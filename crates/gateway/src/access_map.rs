//! What a subject may do and see at a target, before it asks.
//!
//! Every cell is an answer of the engine that sessions are judged by ([`Bench`]), asked about one verb on one object at this
//! moment, from this machine, without a reason, an approval or somebody on whose behalf. What an answer hangs on beyond that is
//! said with it and never guessed. What a statement does besides, such as calling functions or looking at columns, is
//! asked when it is run: `sluice policy explain` tells of one.
//!
//! What a session cannot be opened for is not asked any further: nothing of it can be had.
//!
//! Start with [`look`].

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use masking::RevealAsk;
use model::class::{DataClass, Labels, Transform};
use model::decision::{Outcome, Reveal};
use model::effect::Facts;
use model::subject::Subject;
use model::time::Timestamp;
use policy::{Circumstances, Considered, Context, Question, SubjectPolicies, Verdict, considered};
use serde::Serialize;
use store::config::TargetConfig;

use crate::judging::Bench;
use crate::revision::Active;

mod questions;
mod summary;

pub use questions::{Known, Place, places};
pub use summary::{Summary, summary};

use questions::Asked;

/// What may be done with one object.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Answer {
    /// The verb.
    pub verb: &'static str,
    /// To what, in words.
    pub object: String,
    /// As asked now: allow, ask or deny.
    pub outcome: Outcome,
    /// What it is for a statement that nothing bounds, where that differs.
    pub unbounded: Option<Outcome>,
    /// What the answer hangs on that is not known before somebody asks.
    pub depends_on: Vec<&'static str>,
    /// The policies that decide.
    pub policies: Vec<Arc<str>>,
    /// The groups that would be asked, or that have to observe.
    pub asks: Vec<Arc<str>>,
    /// What the caller would be told where it is refused.
    pub told: Option<String>,
    /// Permits whose scope fits and whose condition does not: what is missing for them is in their text.
    pub near: Vec<Arc<str>>,
}

/// What is seen of a class.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Sees {
    /// The class.
    pub class: DataClass,
    /// Of which column; `None` for what is found by its content, wherever it is.
    pub column: Option<String>,
    /// `clear`, or how it is masked.
    pub shown: &'static str,
    /// What the answer hangs on.
    pub depends_on: Vec<&'static str>,
    /// The policies that decide; none if nothing permits it.
    pub policies: Vec<Arc<str>>,
}

/// What a subject may do and see in one place.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct PlaceAccess {
    /// The database, login or host.
    pub place: Arc<str>,
    /// Whether a session may be opened.
    pub connect: Answer,
    /// What may be done in it; empty if it may not be opened.
    pub may: Vec<Answer>,
    /// What may be seen there; likewise.
    pub sees: Vec<Sees>,
    /// Where the objects are known from, and what is not known, in words.
    pub known: &'static str,
    /// Whether there are more objects than were asked about.
    pub cut: bool,
}

/// One subject before one target.
pub struct Asker<'a> {
    policies: &'a SubjectPolicies,
    active: &'a Active,
    config: &'a TargetConfig,
    subject: &'a Subject,
    now: Timestamp,
}

impl std::fmt::Debug for Asker<'_> {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Asker").field("subject", &self.subject.key).finish_non_exhaustive()
    }
}

/// What the subject may do and see in each place of the target, as far as `goes_on` lets it be asked.
pub fn look(asker: &Asker<'_>, known: &[Known], goes_on: &dyn Fn() -> bool) -> Vec<PlaceAccess> {
    known.iter().map_while(|known| goes_on().then(|| asker.place(known, goes_on))).collect()
}

impl<'a> Asker<'a> {
    /// The subject's policies have to be of the same revision.
    pub const fn new(
        active: &'a Active,
        config: &'a TargetConfig,
        subject: &'a Subject,
        policies: &'a SubjectPolicies,
        now: Timestamp,
    ) -> Self {
        Self { policies, active, config, subject, now }
    }

    fn place(&self, known: &Known, goes_on: &dyn Fn() -> bool) -> PlaceAccess {
        let labels = known.labels();
        let connect = self.answer(known, &questions::connect(self.config));
        let mut access = PlaceAccess {
            place: Arc::clone(&known.place.name),
            connect,
            may: Vec::new(),
            sees: Vec::new(),
            known: known.from,
            cut: known.cut,
        };
        // A connection cannot wait for an approval. One that depends may be had.
        if access.connect.outcome != Outcome::Allow && access.connect.depends_on.is_empty() {
            return access;
        }
        let asked = questions::of(self.active, self.config, known);
        access.may = asked.iter().map_while(|asked| goes_on().then(|| self.answer(known, asked))).collect();
        access.sees = self.sees(known, labels);
        access
    }

    fn bench<'b>(&'b self, known: &'b Known) -> Bench<'b> {
        let (target, database) = (&self.config.target, &*known.place.database);
        Bench { policies: self.policies, target, database, labels: known.labels() }
    }

    /// The moment, this machine, and nothing else.
    fn context(&self) -> Context<'_> {
        Context::at_the_start(self.subject, IpAddr::V4(Ipv4Addr::LOCALHOST), self.now)
    }

    fn answer(&self, known: &Known, asked: &Asked) -> Answer {
        let (bench, context) = (self.bench(known), self.context());
        let verdict = bench.judge(&asked.effects, &asked.facts, &context);
        let facts = Facts { bounded: false, ..asked.facts.clone() };
        let unbounded = asked.may_be_bounded.then(|| bench.judge(&asked.effects, &facts, &context));
        let considered = self.considered(&bench, asked, &context);
        let hangs_on = hangs_on(&verdict, &considered);
        let decides = |id: &Arc<str>| verdict.policies().contains(id);
        let near = considered.iter().filter(|one| one.permits && !decides(&one.id)).map(|one| Arc::clone(&one.id));
        let is_denied = verdict.outcome() == Outcome::Deny;
        Answer {
            verb: asked.verb,
            object: asked.words.clone(),
            outcome: verdict.outcome(),
            unbounded: unbounded.map(|verdict| verdict.outcome()).filter(|outcome| *outcome != verdict.outcome()),
            // Whether it is bounded is answered by the two.
            depends_on: words(Circumstances { statement: hangs_on.statement && !asked.may_be_bounded, ..hangs_on }),
            policies: deciding(&verdict),
            asks: groups(&verdict),
            told: verdict.denial().map(|denial| denial.message.to_string()),
            near: near.filter(|_| is_denied).collect(),
        }
    }

    fn considered(&self, bench: &Bench<'_>, asked: &Asked, context: &Context<'_>) -> Vec<Considered> {
        let question = Question {
            target: bench.target,
            database: bench.database,
            effects: &asked.effects,
            facts: &asked.facts,
            labels: bench.labels,
            context,
        };
        considered(self.policies, &question, asked.of_many)
    }

    /// What is classified there, column by column, and each class wherever it is found.
    fn sees(&self, known: &Known, labels: &Labels) -> Vec<Sees> {
        let columns = labels.classified.values().flatten();
        let columns = columns.flat_map(|column| {
            let classes = labels.marking(column).classes();
            classes
                .map(move |class| self.seen(known, RevealAsk::Column(column, class), class, Some(column.to_string())))
        });
        let classes = self.active.classification.classes.keys();
        let classes = classes.map(|class| self.seen(known, RevealAsk::Class(class), class, None));
        columns.take(questions::MOST_OBJECTS).chain(classes).collect()
    }

    fn seen(&self, known: &Known, asked: RevealAsk<'_>, class: &DataClass, column: Option<String>) -> Sees {
        let (bench, context) = (self.bench(known), self.context());
        let reveal = bench.reveal(&context, asked);
        let shown = match &reveal {
            Reveal::Clear => "clear",
            Reveal::Masked(Some(transform)) => transform.as_str(),
            Reveal::Masked(None) => self.active.classification.classes.get(class).map_or("null", Transform::as_str),
        };
        let validity = self.policies.reveal_validity();
        let hangs_on = Circumstances {
            time: validity.timed,
            reason: validity.reason,
            on_behalf_of: validity.on_behalf_of,
            session: self.policies.reveal_reads_session(),
            ..Circumstances::default()
        };
        Sees {
            class: class.clone(),
            column,
            shown,
            depends_on: words(hangs_on),
            policies: bench.reveal_policies(&context, asked),
        }
    }
}

/// What an answer hangs on: only what could make it another one. A permit or a forbid that hangs on nothing settles it.
fn hangs_on(verdict: &Verdict, considered: &[Considered]) -> Circumstances {
    let decides = |one: &&Considered| verdict.policies().contains(&one.id);
    let all = |some: &mut dyn Iterator<Item = &Considered>| {
        some.fold(Circumstances::default(), |all, one| all.and(one.hangs_on))
    };
    // One of these that hangs on nothing holds whatever the others do.
    let any = |some: Vec<&Considered>| {
        if some.iter().any(|one| one.hangs_on.is_none()) {
            Circumstances::default()
        } else {
            all(&mut some.into_iter())
        }
    };
    let permits = || considered.iter().filter(|one| one.permits);
    let forbids = || considered.iter().filter(|one| !one.permits);
    match verdict.outcome() {
        Outcome::Allow => any(permits().filter(decides).collect()).and(all(&mut forbids())),
        Outcome::Ask => any(permits().collect()).and(all(&mut forbids())),
        // By forbids, or because nothing permits it.
        Outcome::Deny if forbids().any(|one| decides(&one)) => any(forbids().filter(decides).collect()),
        Outcome::Deny => all(&mut permits()),
    }
}

fn words(of: Circumstances) -> Vec<&'static str> {
    let all = [
        (of.time, "time"),
        (of.session, "session"),
        (of.reason, "reason"),
        (of.on_behalf_of, "on_behalf_of"),
        (of.estimated_rows, "estimated_rows"),
        (of.statement, "statement"),
        (of.object, "object"),
    ];
    all.into_iter().filter_map(|(hangs, word)| hangs.then_some(word)).collect()
}

/// The policies that decide, the waived ones among them.
fn deciding(verdict: &Verdict) -> Vec<Arc<str>> {
    let waived = verdict.waived().iter().map(|need| &need.policy);
    let mut ids: Vec<Arc<str>> = verdict.policies().iter().chain(waived).cloned().collect();
    ids.sort();
    ids.dedup();
    ids
}

fn groups(verdict: &Verdict) -> Vec<Arc<str>> {
    let needs = verdict.needs().iter().chain(verdict.awaits());
    let mut groups: Vec<Arc<str>> = needs.flat_map(|need| &need.groups).cloned().collect();
    groups.sort();
    groups.dedup();
    groups
}
