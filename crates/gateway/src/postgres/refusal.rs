//! What a caller is told when Sluice refuses: an SQLSTATE, what happened, what to do, and the request id to look up.
//!
//! Nothing here knows the target, the policy's text or another subject: what a caller may not know cannot be said.

use std::sync::Arc;

use effects::postgres::Missing;
use model::decision::Denial;
use model::id::{ApprovalId, RequestId};

use super::query::MOST_STATEMENTS;
use crate::recorder::NotRecorded;

/// Why Sluice refuses a request, or ends a session.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Refusal {
    /// Policy says no; and what the caller lacks, if policy lets it know.
    Denied(Denial, Option<Arc<str>>),
    /// The statement names something that the target does not have.
    Missing(Missing, Denial),
    /// A human has to agree first; the same request retried afterwards goes through.
    Ticket(ApprovalId, Arc<str>),
    /// A human said no.
    ApprovalDenied(ApprovalId),
    /// Nobody answered in time; the approval is still open.
    HoldOver(ApprovalId),
    /// The approval store cannot be used.
    ApprovalsUnavailable,
    /// Too many approvals wait already for this subject.
    TooManyPending,
    /// The text is not UTF-8.
    NotUtf8,
    /// The journal cannot be written.
    NotRecorded,
    /// What the journal would hold of it is longer than one entry may be.
    TooLongToRecord,
    /// The transaction has failed, as the server itself would say.
    TransactionAborted,
    /// No such prepared statement.
    UnknownStatement,
    /// No such portal.
    UnknownPortal,
    /// A text has more statements than can be recorded as one request.
    TooManyStatements(usize),
    /// The session already holds as many prepared statements and portals as it may.
    TooManyNames,
    /// The client cancelled it.
    Cancelled,
    /// The new token was not accepted.
    TokenRefused,
    /// A value that is one of Sluice's masks would be written as data.
    MaskAsData(Arc<str>),
    /// A call of a function that does not exist, or that cannot be called so.
    UnknownFunction(u32),
    /// It would let a session write whose subject may not write.
    ReadOnly,
    /// It makes something temporary in a read-only transaction in which something was run before.
    TooLate,
    /// A part of the protocol that Sluice does not let through.
    Unsupported(&'static str),
    /// A name that Sluice keeps for itself.
    ReservedName,
    /// The target's structure cannot be read, so nothing can be resolved.
    CatalogUnavailable,
    /// A revision came in that denies what runs, or masks more of it.
    Cut,
}

/// An error as a PostgreSQL client sees it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Told {
    pub(crate) sqlstate: &'static str,
    pub(crate) message: String,
    pub(crate) detail: Option<String>,
    pub(crate) hint: Option<String>,
}

fn told(sqlstate: &'static str, message: impl Into<String>, hint: &str) -> Told {
    let hint = (!hint.is_empty()).then(|| hint.to_owned());
    Told { sqlstate, message: message.into(), detail: None, hint }
}

impl Refusal {
    /// What the caller is told, the request id included where it is Sluice that refuses.
    pub(crate) fn tell(&self, request: RequestId) -> Told {
        let mut told = self.told();
        if self.is_the_servers() {
            return told;
        }
        let id = format!("Request {request}.");
        told.detail = Some(match told.detail.take() {
            Some(detail) => format!("{detail} {id}"),
            None => id,
        });
        told
    }

    /// Whether the server would have said the same, in the same words.
    const fn is_the_servers(&self) -> bool {
        matches!(self, Self::TransactionAborted | Self::Cancelled)
    }

    fn told(&self) -> Told {
        match self {
            Self::Denied(denial, lacks) => denied(denial, lacks.as_deref()),
            Self::Missing(missing, _) => absent(*missing),
            Self::Ticket(approval, message) => Told {
                detail: Some(format!("Approval {approval} was asked for.")),
                ..told("42501", format!("approval needed: {message}"), "Run the same again once it is approved.")
            },
            Self::ApprovalDenied(approval) => told("42501", format!("approval {approval} was denied"), ""),
            Self::HoldOver(approval) => told(
                "42501",
                format!("approval {approval} was not given in time"),
                "It stays open for a while: run the same again once it is approved.",
            ),
            Self::ApprovalsUnavailable => {
                told("58030", "approvals cannot be checked now", "Try again; if it lasts, tell your operator.")
            }
            Self::TooManyPending => {
                told("53400", "too many of your requests wait for approval", "Wait for answers, or withdraw some.")
            }
            Self::NotUtf8 => told("22021", "statement is not valid UTF-8", "Sluice speaks client_encoding UTF8 only."),
            Self::NotRecorded => told(
                "58030",
                "the request cannot be recorded, so it was not run",
                "Try again; if it lasts, tell your operator.",
            ),
            Self::TooLongToRecord => told(
                "54000",
                format!("what is to be recorded of the request is longer than {} bytes", ledger::MAX_PAYLOAD),
                "Send it in parts, with fewer or shorter values.",
            ),
            Self::TransactionAborted => {
                told("25P02", "current transaction is aborted, commands ignored until end of transaction block", "")
            }
            Self::UnknownStatement => told("26000", "prepared statement does not exist", ""),
            Self::UnknownPortal => told("34000", "portal does not exist", ""),
            Self::TooManyStatements(count) => told(
                "54001",
                format!("a text of {count} statements is more than can be decided at once"),
                &format!("Send at most {MOST_STATEMENTS} of them in one message."),
            ),
            Self::TooManyNames => {
                told("53400", "too many prepared statements or portals in this session", "Close some first.")
            }
            Self::Cancelled => told("57014", "canceling statement due to user request", ""),
            Self::TokenRefused => told("28000", "the token was not accepted", "Get a new token from your issuer."),
            Self::MaskAsData(column) => told(
                "42501",
                format!("a masked value would be written to {column}"),
                "Leave the column out of the statement: what was read was masked.",
            ),
            Self::UnknownFunction(oid) => {
                told("42883", format!("function with OID {oid} does not exist, or is none that can be called"), "")
            }
            Self::ReadOnly => told("42501", super::wall::MESSAGE, super::wall::HINT),
            Self::TooLate => told(
                "25006",
                "a read-only transaction can make temporary objects only before anything else is run in it",
                "Make them first, or outside of the transaction.",
            ),
            Self::Unsupported(what) => told("0A000", format!("{what} is not available through Sluice"), ""),
            Self::ReservedName => told("42939", "names that begin with `sluice$` are reserved", "Use another name."),
            Self::CatalogUnavailable => told(
                "57P03",
                "the target's structure cannot be read now, so the statement was not run",
                "Try again; if it lasts, tell your operator.",
            ),
            Self::Cut => told("42501", "a new policy no longer allows this", ""),
        }
    }
}

impl From<NotRecorded> for Refusal {
    fn from(why: NotRecorded) -> Self {
        match why {
            NotRecorded::Unwritable => Self::NotRecorded,
            NotRecorded::TooLong => Self::TooLongToRecord,
        }
    }
}

/// The server's own SQLSTATEs for what does not exist (errcodes.txt).
fn absent(missing: Missing) -> Told {
    let (sqlstate, what) = match missing {
        Missing::Relation => ("42P01", "relation"),
        Missing::Column => ("42703", "column"),
        Missing::Function => ("42883", "function"),
        Missing::Operator => ("42883", "operator"),
        Missing::Type => ("42704", "type"),
    };
    let hint = "Check the names and the search_path. If it was created a moment ago, try again.";
    told(sqlstate, format!("a {what} that the statement names does not exist"), hint)
}

fn denied(denial: &Denial, lacks: Option<&str>) -> Told {
    let by = match denial.policies.as_slice() {
        [] => "nothing permits it".to_owned(),
        policies => format!("policy {}", policies.iter().map(|id| &**id).collect::<Vec<_>>().join(", ")),
    };
    Told {
        detail: lacks.map(|lacks| format!("missing: {lacks}.")),
        ..told("42501", format!("{} ({by})", denial.message), "Ask your operator, giving the request id.")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::id::SessionId;

    #[test]
    fn a_denial_names_the_policy_and_the_request_and_what_is_missing_to_those_who_may_know() {
        let denial = Denial {
            policies: vec!["prod-delete".into()],
            message: "DELETE is not allowed".into(),
            missing: "delete table public.orders".into(),
        };
        let request = SessionId::from_bits(1).request(7);
        let told = Refusal::Denied(denial.clone(), None).tell(request);
        assert_eq!(told.sqlstate, "42501");
        assert_eq!(told.message, "DELETE is not allowed (policy prod-delete)");
        assert_eq!(told.detail.as_deref(), Some(&*format!("Request {request}.")));
        let told = Refusal::Denied(denial, Some("delete on shop.public.orders".into())).tell(request);
        let detail = format!("missing: delete on shop.public.orders. Request {request}.");
        assert_eq!(told.detail, Some(detail));
    }
}
