//! A cell of the map in short.

use std::collections::BTreeSet;
use std::sync::Arc;

use model::class::DataClass;
use model::decision::Outcome;
use serde::Serialize;

use super::PlaceAccess;

/// What a subject may do and see at a target, in short.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Summary {
    /// The target.
    pub target: Arc<str>,
    /// Whether a session may be opened somewhere in it: allow, deny, or `depends`.
    pub connect: &'static str,
    /// The verbs that are allowed for something.
    pub allow: BTreeSet<&'static str>,
    /// Those that a human is asked about for something.
    pub ask: BTreeSet<&'static str>,
    /// Those whose answer hangs on what is not known before somebody asks.
    pub depends: BTreeSet<&'static str>,
    /// The classes of which something is seen in clear.
    pub clear: BTreeSet<DataClass>,
    /// Whether not all objects were asked about.
    pub cut: bool,
}

/// The short form of what was found in each place.
pub fn summary(target: &Arc<str>, places: &[PlaceAccess]) -> Summary {
    let answers = || places.iter().flat_map(|place| &place.may);
    let verbs = |outcome| {
        let of = answers().filter(move |one| one.outcome == outcome || one.unbounded == Some(outcome));
        of.map(|one| one.verb).collect()
    };
    let connects = places.iter().map(|place| &place.connect);
    let connect = connects.map(|one| match one.outcome {
        _ if !one.depends_on.is_empty() => "depends",
        Outcome::Allow => "allow",
        // A connection cannot wait for an approval.
        Outcome::Ask | Outcome::Deny => "deny",
    });
    let connect: BTreeSet<&str> = connect.collect();
    let connect = ["allow", "depends"].into_iter().find(|word| connect.contains(word)).unwrap_or("deny");
    let seen = places.iter().flat_map(|place| &place.sees).filter(|one| one.shown == "clear");
    Summary {
        target: Arc::clone(target),
        connect,
        allow: verbs(Outcome::Allow),
        ask: verbs(Outcome::Ask),
        depends: answers().filter(|one| !one.depends_on.is_empty()).map(|one| one.verb).collect(),
        clear: seen.map(|one| one.class.clone()).collect(),
        cut: places.iter().any(|place| place.cut),
    }
}
