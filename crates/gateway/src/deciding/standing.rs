//! What a session is judged by at a moment.

use std::net::IpAddr;
use std::sync::Arc;

use masking::detect::Detector;
use masking::{Lens, RevealAsk};
use model::class::{DataClass, Labels};
use model::decision::Reveal;
use model::subject::Subject;
use model::target::{OnUnmaskable, Target};
use policy::{Context, Recording, SubjectPolicies};
use store::config::TargetConfig;

use super::Matter;
use crate::clock;
use crate::judging::Bench;
use crate::node::Node;
use crate::revision::Active;

/// Where a session leads.
pub(crate) trait Place {
    fn target(&self) -> &Arc<TargetConfig>;
    fn model(&self) -> &Arc<Target>;
    /// What policy and record have as the database of a target.
    fn database(&self) -> &Arc<str>;
}

/// What a session is judged by.
pub(crate) struct Standing<P> {
    pub(crate) active: Arc<Active>,
    pub(crate) place: P,
    pub(crate) policies: Arc<SubjectPolicies>,
    pub(crate) subject: Subject,
    /// What it may see.
    pub(crate) lens: Arc<Lens>,
    /// Whether an answer may hold a class in clear.
    pub(crate) shows: bool,
    /// The groups of those who observe the session.
    pub(crate) observers: Vec<Arc<str>>,
}

impl<P: Place> Standing<P> {
    /// That of a subject at a place, under a revision. Nothing at it is classified by its name.
    pub(crate) fn new(node: &Node, active: Arc<Active>, place: P, subject: Subject, source: IpAddr) -> Self {
        let policies = active.policies_for(&subject);
        let (labels, context) = (Labels::default(), Context::at_the_start(&subject, source, clock::now()));
        let bench = bench(&place, &policies, &labels);
        let lens = bench.lens(&node.mask_keys, &active.classification, OnUnmaskable::default(), &context);
        let is_shown = |detector: &Detector| {
            let class = DataClass::new(detector.class());
            bench.reveal(&context, RevealAsk::Class(&class)) == Reveal::Clear
        };
        let shows = Detector::ALL.iter().any(is_shown);
        Self { active, place, policies, subject, lens, shows, observers: Vec::new() }
    }

    /// Where the subject's questions are decided.
    pub(crate) fn bench<'a>(&'a self, labels: &'a Labels) -> Bench<'a> {
        bench(&self.place, &self.policies, labels)
    }

    /// What decides how safely a decision has to be recorded.
    pub(crate) fn recording(&self, matter: Matter<'_>) -> Recording {
        Recording { durability: self.place.target().durability, shows: matter.shows || self.shows }
    }
}

fn bench<'a>(place: &'a impl Place, policies: &'a SubjectPolicies, labels: &'a Labels) -> Bench<'a> {
    Bench { policies, target: place.model(), database: place.database(), labels }
}
