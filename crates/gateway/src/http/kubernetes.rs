//! What is Kubernetes' own about a request: what of it reaches the API server, as whom, and how a refusal is told.

mod accept;
mod filter;
mod forward;
mod impersonate;
mod status;

use accept::{NotAcceptable, accepted};
pub(super) use filter::Filter;
use filter::listed;
pub(super) use forward::for_api_server;
pub(super) use impersonate::asks_to_be_another;
use impersonate::impersonation;
pub(super) use status::Status;

use effects::http::Request;
use model::decision::Denial;
use model::effect::Verb;

/// Why a request is refused that asks to be made as somebody else, whatever policy says of it.
pub(super) fn of_another(request: &Request) -> Option<Denial> {
    let found = request.effects.iter().find(|effect| effect.verb == Verb::KubernetesImpersonate)?;
    let message = "as whom the API server is asked is not the caller's to say (Impersonate-…)".into();
    Some(Denial { policies: Vec::new(), message, missing: found.to_string().into() })
}

/// Whether an answer goes on for as long as something happens, and may be silent in between.
pub(super) fn is_endless(request: &Request) -> bool {
    request.effects.iter().any(|effect| matches!(effect.verb, Verb::KubernetesWatch | Verb::KubernetesLog))
}

/// Whether a path is one that an API server has. Told from the path alone, so that the form of a refusal says nothing of whether
/// there is such a target.
pub(super) fn is_of_an_api_server(path: &str) -> bool {
    let has = |part: &str| path.contains(&format!("{part}/")) || path.ends_with(part);
    ["/api/v1", "/apis", "/openapi/v2", "/openapi/v3"].into_iter().any(has) || path.ends_with("/api")
}
