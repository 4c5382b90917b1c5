//! What a caller is told when Sluice refuses: what happened, what to do, and the request id to look up.
//!
//! Nothing here knows the target, the policy's text or another subject: what a caller may not know cannot be said.

use std::sync::Arc;

use hyper::StatusCode;
use model::decision::Denial;
use model::id::ApprovalId;

use super::kubernetes::Status;
use super::problem::Problem;
use crate::deciding::{Refused, denied};

/// How long a caller should wait before it asks again whether somebody has agreed, in seconds.
const ASK_AGAIN: u32 = 15;

/// How long it should wait for what fails now and may not a moment later, in seconds.
const TRY_AGAIN: u32 = 5;

/// Why Sluice refuses a request.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Refusal {
    /// The request is not of a form that has one meaning.
    Malformed(StatusCode, String),
    /// Nor has it one end: nothing more is read on its connection.
    Misframed(StatusCode, String),
    /// `TRACE`, or `CONNECT` where that leads nowhere.
    Method,
    /// A protocol is asked for that is not spoken here.
    Upgrade,
    /// It is asked for from a page that may not.
    Origin,
    /// Nobody is known by what was shown.
    Unauthenticated,
    /// Likewise, of what was shown to a proxy.
    ProxyUnauthenticated,
    /// The proof lacks a nonce that is fresh: here is one (RFC 9449, section 9).
    Nonce(String),
    /// No target, or no permission to use it: which is not told.
    NotAllowed,
    /// The subject has as many sessions as it may have.
    TooManySessions(usize),
    /// Policy says no; and what the caller lacks, if policy lets it know.
    Denied(Denial, Option<Arc<str>>),
    /// A human has to agree first; the same request sent again afterwards goes through.
    Ticket(ApprovalId, Arc<str>),
    /// A human said no.
    ApprovalDenied(ApprovalId),
    /// Nobody answered in time; the approval is still open.
    HoldOver(ApprovalId),
    /// The approval store cannot be used.
    ApprovalsUnavailable,
    /// Too many approvals wait already for this subject.
    TooManyPending,
    /// The journal cannot be written.
    NotRecorded,
    /// What the journal would hold of it is longer than one entry may be.
    TooLongToRecord,
    /// The body is larger than the target takes.
    TooLarge(u64),
    /// The body is larger than is looked into.
    TooLargeToInspect(usize),
    /// The body did not come in time.
    Slow,
    /// The body broke off.
    Broken,
    /// A revision came in that denies it, or the session ends.
    Gone,
    /// The target cannot be reached.
    Unreachable,
    /// Sluice cannot prove itself to it: why is for the journal alone.
    Unproven(Arc<str>),
    /// It did not answer in time.
    NoAnswer,
    /// It does not answer as it should.
    BadAnswer(&'static str),
    /// Its answer cannot be masked.
    Unmaskable(&'static str),
    /// The caller takes its answer in no form that can be masked.
    NotAcceptable,
    /// The target cannot be told who asks.
    NobodyThere,
    /// A defect of Sluice.
    Internal,
}

/// In which form a refusal is told.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Form {
    /// `application/problem+json`.
    Problem,
    /// A `Status` of Kubernetes.
    Status,
}

impl Form {
    /// That of what an API server has, or of all else.
    pub(super) const fn of(is_kubernetes: bool) -> Self {
        if is_kubernetes { Self::Status } else { Self::Problem }
    }
}

impl Refusal {
    /// The status that it is answered with.
    pub(super) const fn status(&self) -> StatusCode {
        match self {
            Self::Malformed(status, _) | Self::Misframed(status, _) => *status,
            Self::Method | Self::Upgrade => StatusCode::NOT_IMPLEMENTED,
            Self::Unauthenticated | Self::Nonce(_) => StatusCode::UNAUTHORIZED,
            Self::ProxyUnauthenticated => StatusCode::PROXY_AUTHENTICATION_REQUIRED,
            Self::Origin
            | Self::NotAllowed
            | Self::Denied(..)
            | Self::Ticket(..)
            | Self::ApprovalDenied(_)
            | Self::HoldOver(_)
            | Self::NobodyThere => StatusCode::FORBIDDEN,
            Self::NotAcceptable => StatusCode::NOT_ACCEPTABLE,
            Self::TooManySessions(_) | Self::TooManyPending => StatusCode::TOO_MANY_REQUESTS,
            Self::ApprovalsUnavailable | Self::NotRecorded | Self::Gone => StatusCode::SERVICE_UNAVAILABLE,
            Self::TooLongToRecord | Self::TooLarge(_) | Self::TooLargeToInspect(_) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Slow => StatusCode::REQUEST_TIMEOUT,
            Self::Broken => StatusCode::BAD_REQUEST,
            Self::Unreachable | Self::Unproven(_) | Self::BadAnswer(_) | Self::Unmaskable(_) => StatusCode::BAD_GATEWAY,
            Self::NoAnswer => StatusCode::GATEWAY_TIMEOUT,
            Self::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// The approval that it is about.
    const fn approval(&self) -> Option<ApprovalId> {
        match self {
            Self::Ticket(approval, _) | Self::ApprovalDenied(approval) | Self::HoldOver(approval) => Some(*approval),
            _ => None,
        }
    }

    /// Seconds after which it may be otherwise.
    const fn retry_after(&self) -> Option<u32> {
        match self {
            Self::Ticket(..) | Self::HoldOver(_) => Some(ASK_AGAIN),
            Self::ApprovalsUnavailable | Self::NotRecorded | Self::Gone | Self::TooManySessions(_) => Some(TRY_AGAIN),
            _ => None,
        }
    }

    /// Whether nothing more is read on the connection.
    pub(super) const fn ends_connection(&self) -> bool {
        matches!(self, Self::Misframed(..) | Self::Slow | Self::Broken)
    }

    /// What the journal has of it, where that is more than its status.
    pub(super) fn recorded(&self) -> Option<Arc<str>> {
        match self {
            Self::Unproven(reason) => Some(Arc::clone(reason)),
            _ => None,
        }
    }

    /// The fields of the answer, and its body. `instance` is what it is looked up by: `request:…` or `session:…`.
    pub(super) fn answer(&self, instance: &str, form: Form) -> (Vec<(&'static str, String)>, String) {
        let (status, told, approval) = (self.status(), self.told(), self.approval());
        let (media, body) = match form {
            Form::Problem => ("application/problem+json", Problem::new(status, told, instance, approval).to_json()),
            Form::Status => {
                let told = Status::new(status, &told, instance, approval, self.retry_after());
                ("application/json", told.to_json())
            }
        };
        let mut fields = vec![
            ("content-type", media.to_owned()),
            ("content-length", body.len().to_string()),
            ("cache-control", "no-store".to_owned()),
        ];
        match self {
            Self::Unauthenticated => {
                fields.push(("www-authenticate", "Bearer realm=\"sluice\", error=\"invalid_token\"".to_owned()));
                fields.push(("www-authenticate", "DPoP realm=\"sluice\"".to_owned()));
            }
            Self::ProxyUnauthenticated => {
                fields.push(("proxy-authenticate", "Bearer realm=\"sluice\"".to_owned()));
                fields.push(("proxy-authenticate", "Basic realm=\"sluice\", charset=\"UTF-8\"".to_owned()));
            }
            Self::Nonce(nonce) => {
                fields.push(("www-authenticate", "DPoP realm=\"sluice\", error=\"use_dpop_nonce\"".to_owned()));
                fields.push(("dpop-nonce", nonce.clone()));
            }
            _ => {}
        }
        fields.extend(self.retry_after().map(|seconds| ("retry-after", seconds.to_string())));
        (fields, body)
    }

    fn told(&self) -> String {
        match self {
            Self::Malformed(_, reason) | Self::Misframed(_, reason) => format!("{reason}."),
            Self::Method => "This method is not available through Sluice.".to_owned(),
            Self::Upgrade => "Of other protocols WebSocket is available here, by HTTP/1.1.".to_owned(),
            Self::Origin => {
                "A page of this origin may not ask for it. Your operator can name origins that may.".to_owned()
            }
            Self::Unauthenticated => {
                "Send a token that is good here: `Authorization: Bearer …`. Your operator can look this up.".to_owned()
            }
            Self::ProxyUnauthenticated => {
                "Send a token that is good here, as the password for the proxy or as `Proxy-Authorization: Bearer …`. \
                 Your operator can look this up."
                    .to_owned()
            }
            Self::Nonce(_) => "Put the DPoP-Nonce of this answer into the proof, and send it again.".to_owned(),
            Self::NotAllowed => "This is not allowed. Check the host, the path and your permission to use the target; \
                                 your operator can look this up."
                .to_owned(),
            Self::TooManySessions(most) => format!("You have {most} sessions already, which is the most there may be."),
            Self::Denied(denial, lacks) => capital(&denied(denial, lacks.as_deref())),
            Self::Ticket(approval, groups) => {
                format!("Approval {approval} was asked for, of {groups}. Send the same again once it is approved.")
            }
            Self::ApprovalDenied(approval) => format!("Approval {approval} was denied."),
            Self::HoldOver(approval) => format!(
                "Approval {approval} was not given in time. It stays open for a while: send the same again once it is \
                 approved."
            ),
            Self::ApprovalsUnavailable => {
                "Approvals cannot be checked now. If it lasts, tell your operator.".to_owned()
            }
            Self::TooManyPending => {
                "Too many of your requests wait for approval. Wait for answers, or withdraw some.".to_owned()
            }
            Self::NotRecorded => {
                "This cannot be recorded, so it was not done. If it lasts, tell your operator.".to_owned()
            }
            Self::TooLongToRecord => "This is longer than can be recorded, so it was not done.".to_owned(),
            Self::TooLarge(most) => format!("The body is larger than {most} bytes."),
            Self::TooLargeToInspect(most) => {
                format!("The body has to be looked into, and is larger than the {most} bytes that are.")
            }
            Self::Slow => "The body did not come in time.".to_owned(),
            Self::Broken => "The body broke off.".to_owned(),
            Self::Gone => "The session ends, or a new policy came in. Send it again.".to_owned(),
            Self::Unreachable | Self::Unproven(_) => {
                "The target cannot be reached. Try again in a moment; if it lasts, tell your operator.".to_owned()
            }
            Self::NoAnswer => {
                "The target did not answer in time. Whether it did what was asked is not known.".to_owned()
            }
            Self::BadAnswer(reason) | Self::Unmaskable(reason) => format!("{}.", capital(reason)),
            Self::NotAcceptable => "Accept JSON: what this is asked in cannot be masked.".to_owned(),
            Self::NobodyThere => "The target cannot be told who you are. Tell your operator.".to_owned(),
            Self::Internal => "Sluice failed. Tell your operator.".to_owned(),
        }
    }
}

impl From<Refused> for Refusal {
    fn from(why: Refused) -> Self {
        match why {
            Refused::Denied(denial, lacks) => Self::Denied(denial, lacks),
            Refused::Ticket(approval, groups) => Self::Ticket(approval, groups),
            Refused::ApprovalDenied(approval) => Self::ApprovalDenied(approval),
            Refused::HoldOver(approval) => Self::HoldOver(approval),
            Refused::ApprovalsUnavailable => Self::ApprovalsUnavailable,
            Refused::TooManyPending => Self::TooManyPending,
            Refused::NotRecorded => Self::NotRecorded,
            Refused::TooLongToRecord => Self::TooLongToRecord,
            Refused::Gone => Self::Gone,
        }
    }
}

fn capital(text: &str) -> String {
    let mut characters = text.chars();
    let first = characters.next().map(|first| first.to_uppercase().to_string()).unwrap_or_default();
    first + characters.as_str()
}
