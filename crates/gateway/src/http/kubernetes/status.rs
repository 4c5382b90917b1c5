//! Refusals as a `Status` of Kubernetes' own (k8s.io/apimachinery, pkg/apis/meta/v1), which its clients show.

use hyper::StatusCode;
use model::id::ApprovalId;
use serde::Serialize;

/// What a client of Kubernetes is told when Sluice refuses.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::http) struct Status {
    kind: &'static str,
    api_version: &'static str,
    metadata: Nothing,
    status: &'static str,
    message: String,
    reason: &'static str,
    details: Details,
    code: u16,
}

#[derive(Serialize)]
struct Nothing {}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Details {
    causes: Vec<Cause>,
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_after_seconds: Option<u32>,
}

/// What to look it up by.
#[derive(Serialize)]
struct Cause {
    reason: &'static str,
    message: String,
}

impl Status {
    /// One of this status. `instance` is what it is looked up by: `request:…` or `session:…`.
    pub(in crate::http) fn new(
        status: StatusCode,
        detail: &str,
        instance: &str,
        approval: Option<ApprovalId>,
        retry_after: Option<u32>,
    ) -> Self {
        let mut causes = vec![Cause { reason: "SluiceInstance", message: instance.to_owned() }];
        causes.extend(approval.map(|id| Cause { reason: "SluiceApproval", message: id.to_string() }));
        Self {
            kind: "Status",
            api_version: "v1",
            metadata: Nothing {},
            status: "Failure",
            message: format!("{detail} ({})", instance.replace(':', " ")),
            reason: reason(status),
            details: Details { causes, retry_after_seconds: retry_after },
            code: status.as_u16(),
        }
    }

    /// Its text.
    pub(in crate::http) fn to_json(&self) -> String {
        // Texts and numbers always are JSON.
        serde_json::to_string(self).unwrap_or_default()
    }
}

/// The word that clients go by.
const fn reason(status: StatusCode) -> &'static str {
    match status.as_u16() {
        400 | 414 | 417 | 421 | 431 => "BadRequest",
        401 => "Unauthorized",
        403 => "Forbidden",
        406 => "NotAcceptable",
        408 | 504 => "Timeout",
        413 => "RequestEntityTooLarge",
        415 => "UnsupportedMediaType",
        429 => "TooManyRequests",
        501 => "MethodNotAllowed",
        503 => "ServiceUnavailable",
        _ => "InternalError",
    }
}
