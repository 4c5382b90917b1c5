//! What an API server is told besides what any target is.

use effects::http::Request;
use hyper::header::{ACCEPT, ACCEPT_ENCODING, HeaderMap};
use masking::http::Plan;
use model::subject::Subject;
use store::config::KubernetesTarget;

use super::super::refusal::Refusal;
use super::{NotAcceptable, accepted, impersonation, listed};

/// Makes a caller's fields, without those that never pass, into what an API server is asked with: for an answer that can be
/// masked, and as whom.
///
/// # Errors
/// If there is no such answer, or nobody as whom it could be asked.
pub(in crate::http) fn for_api_server(
    fields: &mut HeaderMap,
    settings: &KubernetesTarget,
    subject: &Subject,
    (id, request): (&str, &Request),
    plan: &Plan,
) -> Result<(), Refusal> {
    let is_filtered = settings.filter && listed(request).is_some();
    if is_filtered {
        fields.remove(ACCEPT_ENCODING);
    }
    if plan.hides() || is_filtered {
        let kept = accepted(fields.get_all(ACCEPT).iter()).map_err(|NotAcceptable| Refusal::NotAcceptable)?;
        fields.remove(ACCEPT);
        fields.extend(kept.map(|kept| (ACCEPT, kept)));
    }
    let Some(impersonate) = &settings.impersonate else { return Ok(()) };
    let own = impersonation(impersonate, subject, id).map_err(|error| {
        tracing::warn!(subject = %subject.key, %error, "an API server cannot be told who asks");
        Refusal::NobodyThere
    })?;
    for (name, value) in own {
        fields.append(name, value);
    }
    Ok(())
}
