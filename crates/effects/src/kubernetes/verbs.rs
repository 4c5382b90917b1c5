//! What a request line is a request for, in Sluice's verbs.

use model::effect::Verb;

use super::info::RequestInfo;

/// The paths that say which kinds there are, and whether the server is well: what any client asks for first.
const DISCOVERY: [&str; 8] = ["/api", "/apis", "/openapi", "/version", "/healthz", "/livez", "/readyz", "/openapi/v2"];

/// The verbs of a request; the first is what it does, whatever the method, and those behind it what that leads to (K8-03).
pub(super) fn verbs(info: &RequestInfo) -> Vec<Verb> {
    let mut verbs = vec![own(info).unwrap_or_else(|| plain(&info.verb))];
    let writes = matches!(info.verb.as_str(), "create" | "update" | "patch" | "");
    if writes && is_of_rights(info) {
        match info.resource.as_str() {
            "rolebindings" | "clusterrolebindings" => verbs.push(Verb::KubernetesBind),
            "roles" | "clusterroles" => verbs.push(Verb::KubernetesEscalate),
            _ => {}
        }
    }
    verbs
}

/// Whether it is about who may what, whatever the group: an aggregated API server may hand it on to the one that counts.
pub(super) fn is_of_rights(info: &RequestInfo) -> bool {
    matches!(info.resource.as_str(), "roles" | "clusterroles" | "rolebindings" | "clusterrolebindings")
}

/// What a part of a resource does by itself.
fn own(info: &RequestInfo) -> Option<Verb> {
    if info.verb == "proxy" {
        return Some(Verb::KubernetesProxy);
    }
    let verb = match (info.group.as_str(), info.resource.as_str(), info.subresource.as_str()) {
        // Whatever the group: an aggregated API server may serve what this one does.
        (_, _, "exec") => Verb::KubernetesExec,
        (_, _, "attach") => Verb::KubernetesAttach,
        (_, _, "portforward") => Verb::KubernetesPortForward,
        (_, _, "proxy") => Verb::KubernetesProxy,
        (_, _, "ephemeralcontainers") => Verb::KubernetesDebug,
        (_, _, "eviction") => Verb::KubernetesEvict,
        (_, _, "binding") | ("", "bindings", _) => Verb::KubernetesSchedule,
        (_, "serviceaccounts", "token") => Verb::KubernetesToken,
        (_, "certificatesigningrequests", "approval" | "status") => Verb::KubernetesApprove,
        (_, "pods", "log") => Verb::KubernetesLog,
        _ => return None,
    };
    Some(verb)
}

fn plain(verb: &str) -> Verb {
    match verb {
        "get" => Verb::KubernetesGet,
        "list" => Verb::KubernetesList,
        "watch" => Verb::KubernetesWatch,
        "create" => Verb::KubernetesCreate,
        "update" => Verb::KubernetesUpdate,
        "patch" => Verb::KubernetesPatch,
        "delete" => Verb::KubernetesDelete,
        "deletecollection" => Verb::KubernetesDeleteCollection,
        _ => Verb::KubernetesOther,
    }
}

/// Whether a path that is no resource tells no more than what there is.
pub(super) fn is_discovery(method: &str, path: &str) -> bool {
    let path = path.strip_suffix('/').unwrap_or(path);
    let below = |root: &str| path.strip_prefix(root).is_some_and(|rest| rest.starts_with('/'));
    let is_known = DISCOVERY.contains(&path) || ["/api", "/apis", "/openapi/v3"].into_iter().any(below);
    matches!(method, "GET" | "HEAD") && (is_known || path == "/openapi/v3")
}
