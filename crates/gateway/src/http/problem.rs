//! Refusals as `application/problem+json` (RFC 9457).

use hyper::StatusCode;
use model::id::ApprovalId;
use serde::Serialize;

/// What a caller is told when Sluice refuses.
#[derive(Serialize)]
pub(super) struct Problem {
    /// Always `about:blank`: the status says what kind it is.
    #[serde(rename = "type")]
    kind: &'static str,
    title: &'static str,
    status: u16,
    detail: String,
    /// What to look it up by: the request, or the session where there is no request yet.
    instance: String,
    /// The approval that it needs, or that was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    approval: Option<ApprovalId>,
}

impl Problem {
    /// One of this status.
    pub(super) fn new(status: StatusCode, detail: String, instance: &str, approval: Option<ApprovalId>) -> Self {
        let title = status.canonical_reason().unwrap_or("Error");
        let instance = format!("urn:sluice:{instance}");
        Self { kind: "about:blank", title, status: status.as_u16(), detail, instance, approval }
    }

    /// Its text.
    pub(super) fn to_json(&self) -> String {
        // Texts and numbers always are JSON.
        serde_json::to_string(self).unwrap_or_default()
    }
}
