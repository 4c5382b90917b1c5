//! What an event can be found by, besides its time.

use model::event::Event;
use model::id::{ApprovalId, SessionId};
use model::subject::SubjectKey;

/// What an event can be found by.
#[derive(Default)]
pub(super) struct Facets<'a> {
    pub(super) session: Option<SessionId>,
    pub(super) subject: Option<&'a SubjectKey>,
    pub(super) target: Option<&'a str>,
    pub(super) approval: Option<ApprovalId>,
    pub(super) secret: Option<&'a str>,
}

impl<'a> Facets<'a> {
    /// Those of an event; none for a kind that this version does not know.
    pub(super) fn of(event: &'a Event) -> Self {
        let none = Self::default();
        match event {
            Event::SessionRefused { session, .. } | Event::SessionRenewed { session, .. } => {
                Self { session: Some(*session), ..none }
            }
            Event::ApprovalAsked { approval, asked } => Self {
                session: Some(asked.request.session),
                subject: Some(&asked.subject),
                target: Some(&asked.target),
                approval: Some(*approval),
                ..none
            },
            Event::ApprovalAnswered { approval, answer } => {
                Self { subject: Some(&answer.approver), approval: Some(*approval), ..none }
            }
            Event::ApprovalConsumed { approval, request } | Event::OutcomeUnknown { approval, request } => {
                Self { session: Some(request.session), approval: Some(*approval), ..none }
            }
            Event::ApprovalEnded { approval, .. } | Event::HoldBecameTicket { approval } => {
                Self { approval: Some(*approval), ..none }
            }
            Event::BreakGlass { request, subject, .. } => {
                Self { session: Some(request.session), subject: Some(subject), ..none }
            }
            Event::SecretUsed { session, target, reference } => {
                Self { session: *session, target: Some(target), secret: Some(reference), ..none }
            }
            Event::AdminAction { subject, .. } => Self { subject: Some(subject), ..none },
            Event::TokenIssued { subject, target, .. } => {
                Self { subject: Some(&subject.key), target: target.as_deref(), ..none }
            }
            Event::OwnStatement { session, target, .. } => Self { session: *session, target: Some(target), ..none },
            Event::Bypass { target, .. } => Self { target: Some(target), ..none },
            Event::Gap { session, .. } => Self { session: *session, ..none },
            Event::TapeCut { session, .. }
            | Event::TapePartEnded { session, .. }
            | Event::TapeArchived { session, .. } => Self { session: Some(*session), ..none },
            Event::TapeRemoved { session, by, .. } => Self { session: Some(*session), subject: by.as_ref(), ..none },
            _ => none,
        }
    }
}
