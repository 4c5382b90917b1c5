//! What a target adds that is a Kubernetes API server. It is spoken to by HTTP, and so has what HTTP targets have.

use std::sync::Arc;

use super::super::Section;
use super::super::credential::Servers;
use super::super::sluice::MIB;
use super::http::{self, HttpTarget};

/// A Kubernetes API server behind a target.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct KubernetesTarget {
    /// As whom the API server is asked; `None` means as whom Sluice's credential names.
    pub impersonate: Option<Impersonate>,
    /// Whether lists and watches leave out what the caller may not get.
    pub filter: bool,
}

/// As whom an API server is asked.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Impersonate {
    /// The user, in which `{subject}`, `{issuer}` and `{id}` stand for the subject's.
    pub user: Arc<str>,
    /// The groups; one with `{group}` in it is one for each of the subject's.
    pub groups: Vec<Arc<str>>,
    /// The user's UID, likewise; `None` means none.
    pub uid: Option<Arc<str>>,
    /// Whether the cluster's audit log is told of the request's id and of whoever it is on behalf of.
    pub extra: bool,
}

impl Default for Impersonate {
    fn default() -> Self {
        Self { user: "{subject}".into(), groups: vec!["{group}".into()], uid: None, extra: false }
    }
}

/// What only such a target has.
pub(super) const SETTINGS: [&str; 2] = ["impersonate", "filter"];

/// What describes the interface of other HTTP targets; every API server has the same.
const OTHERS: [&str; 9] =
    ["encoded_slash", "semicolon", "openapi", "routes", "graphql", "json_rpc", "mcp", "grpc", "form_method_override"];

/// The largest body that is looked into, unless it is said: what an API server takes.
const MAX_INSPECTED_BODY: u64 = 3 * MIB;

/// Every setting is read before any is missed, so that all mistakes are found.
pub(super) fn kubernetes(section: &Section<'_, '_>, servers: &Servers) -> Option<HttpTarget> {
    let mut is_right = true;
    for other in OTHERS {
        if section.holds(other) {
            section.report(other, "an API server's interface is known", "leave it out");
            is_right = false;
        }
    }
    if section.holds("tunnel") {
        section.report("tunnel", "what is asked of an API server is always looked at", "leave it out");
        is_right = false;
    }
    let has_size = section.holds("max_inspected_body");
    let impersonate = impersonate(section);
    let filter = section.flag("filter").unwrap_or(false);
    let mut target = http::http(section, servers)?;
    if !has_size {
        target.max_inspected_body = usize::try_from(MAX_INSPECTED_BODY).unwrap_or(usize::MAX);
    }
    target.kubernetes = Some(KubernetesTarget { impersonate: impersonate?, filter });
    is_right.then_some(target)
}

/// `None` after a mistake.
fn impersonate(section: &Section<'_, '_>) -> Option<Option<Impersonate>> {
    let Some(setting) = section.take("impersonate") else { return Some(None) };
    match setting.value.as_bool() {
        Some(wanted) => Some(wanted.then(Impersonate::default)),
        None => settings(setting.section()?).map(Some),
    }
}

fn settings(section: Section<'_, '_>) -> Option<Impersonate> {
    let expected = "a name in which {subject}, {issuer} and {id} stand for the subject's";
    let template = |text: &str| is_template(text, &["{subject}", "{issuer}", "{id}"]).then(|| Arc::from(text));
    let user = section.parsed("user", expected, template);
    let uid = section.parsed("uid", expected, template);
    let groups = section.texts("groups");
    let extra = section.flag("extra").unwrap_or(false);
    if let Some(wrong) = groups.iter().flatten().find(|group| !is_template(group, &["{group}"])) {
        let problem = format!("{wrong:?} is no group");
        section.report("groups", &problem, "write groups = [\"sluice:{group}\"], or names of groups of the cluster");
    }
    let is_right = !section.has_mistake();
    section.finish();
    if !is_right {
        return None;
    }
    let usual = Impersonate::default();
    let groups = groups.map(|groups| groups.into_iter().map(Into::into).collect());
    Some(Impersonate { user: user.unwrap_or(usual.user), groups: groups.unwrap_or(usual.groups), uid, extra })
}

/// Whether nothing in it is in braces but these.
fn is_template(text: &str, known: &[&str]) -> bool {
    let plain = known.iter().fold(text.to_owned(), |text, one| text.replace(one, "x"));
    !plain.is_empty() && !plain.contains(['{', '}']) && !plain.chars().any(char::is_control)
}

#[cfg(test)]
mod tests;
