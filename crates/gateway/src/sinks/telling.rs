//! What one event says: the journal's entry, and what it refers to.

use std::sync::Arc;

use model::bypass;
use model::decision::Outcome;
use model::event::{Entry, Event};
use model::id::Digest;
use model::subject::SubjectKey;
use model::time::Timestamp;
use serde::Serialize;
use store::audit::FoundStatement;

use super::known::{Known, Who};

/// How much text of statements goes with one event; digests stand for the rest.
const MOST_TEXT: usize = 64 * 1024;

/// An entry, who is behind it, and what it runs. Its JSON is the one form that events have wherever Sluice shows them,
/// with the fields of a found request beside it.
#[derive(Debug, Serialize)]
pub(super) struct Telling<'a> {
    /// The index of the entry in the journal: the same event always has the same.
    pub(super) position: u64,
    pub(super) at: Timestamp,
    pub(super) event: &'a Event,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub(super) who: Option<Arc<Who>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) statements: Vec<Arc<FoundStatement>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) traceparent: Option<Arc<str>>,
}

/// How much an event asks for attention.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Severity {
    Info,
    Notice,
    Warning,
    Error,
}

impl<'a> Telling<'a> {
    /// Tells an entry, and remembers of it what later ones refer to.
    pub(super) fn new(position: u64, entry: &'a Entry, known: &mut Known) -> Self {
        known.learn(&entry.event);
        let event = &entry.event;
        let session = match event {
            // It never became a session, so nobody knows who it was.
            Event::SessionRefused { .. } => None,
            other => other.session(),
        };
        let (digests, traceparent) = match event {
            Event::Decided { statements, traceparent, .. } => (statements.clone(), traceparent.clone()),
            Event::Prepared { statements, .. } => (statements.clone(), None),
            Event::Completed { request, .. } => known
                .ran(*request)
                .map_or_else(Default::default, |ran| (ran.statements.clone(), ran.traceparent.clone())),
            _ => Default::default(),
        };
        Self {
            position,
            at: entry.at,
            event,
            who: session.and_then(|session| known.who(session)),
            statements: statements(&digests, known),
            traceparent,
        }
    }

    /// How much it asks for attention.
    pub(super) const fn severity(&self) -> Severity {
        match self.event {
            Event::Decided { outcome, .. } | Event::AdminAction { outcome, .. } => match outcome {
                Outcome::Allow => Severity::Info,
                Outcome::Ask => Severity::Notice,
                Outcome::Deny => Severity::Warning,
            },
            Event::Bypass { findings, .. } => match findings.as_slice() {
                [first, ..] => match first.severity {
                    bypass::Severity::Note => Severity::Notice,
                    bypass::Severity::Warning => Severity::Warning,
                    bypass::Severity::Serious => Severity::Error,
                },
                [] => Severity::Info,
            },
            Event::Gap { .. } | Event::OutcomeUnknown { .. } => Severity::Error,
            Event::SessionRefused { .. }
            | Event::TokenRefused { .. }
            | Event::BreakGlass { .. }
            | Event::RevisionRefused { .. }
            | Event::ClockMoved { .. }
            | Event::TapeCut { .. } => Severity::Warning,
            Event::ApprovalAsked { .. }
            | Event::ApprovalAnswered { .. }
            | Event::ApprovalConsumed { .. }
            | Event::ApprovalEnded { .. }
            | Event::HoldBecameTicket { .. }
            | Event::RevisionApplied { .. }
            | Event::TapeRemoved { .. }
            | Event::Started { .. }
            | Event::Stopped => Severity::Notice,
            _ => Severity::Info,
        }
    }

    /// Who is behind it, the nearest first: the user that a request named for itself, then the session's chain.
    pub(super) fn on_behalf_of(&self) -> impl Iterator<Item = &SubjectKey> {
        let own = match self.event {
            Event::Decided { on_behalf_of, .. } => on_behalf_of.as_ref(),
            _ => None,
        };
        own.into_iter().chain(self.who.iter().flat_map(|who| &who.on_behalf_of))
    }

    /// The texts of its statements, as far as they are known.
    pub(super) fn text(&self) -> Option<String> {
        let texts: Vec<&str> = self.statements.iter().filter_map(|statement| statement.text.as_deref()).collect();
        (!texts.is_empty()).then(|| texts.join("; "))
    }

    /// Its JSON. There is no event that has none (a test of `ledger` sees to it).
    pub(super) fn json(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }
}

fn statements(digests: &[Digest], known: &mut Known) -> Vec<Arc<FoundStatement>> {
    let mut left = MOST_TEXT;
    let told = digests.iter().map(|id| {
        let statement = known.statement(*id);
        let length = statement.text.as_ref().map_or(0, String::len);
        match left.checked_sub(length) {
            Some(rest) => {
                left = rest;
                statement
            }
            None => Arc::new(FoundStatement { id: *id, text: None, effects: Vec::new() }),
        }
    });
    told.collect()
}
