//! As whom an API server is asked (K8-04): Sluice says so, and nobody else.

use hyper::header::{HeaderMap, HeaderName, HeaderValue};
use model::subject::{Subject, SubjectKey};
use store::config::Impersonate;
use wire::http::fields::normal;

/// What the names of all such fields begin with.
const PREFIX: &str = "impersonate-";

/// What the names of an API server's own users and groups begin with: nobody is one of them by what an identity provider says.
const OWN: &str = "system:";

/// The most groups that an API server is told of.
const MOST_GROUPS: usize = 100;

/// There is nobody as whom the API server could be asked.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub(in crate::http) enum NoOne {
    /// The name would be one of the cluster's own.
    #[error("the subject's name is one of the cluster's own")]
    Own,
    /// It cannot stand in a field.
    #[error("a name cannot stand in a field")]
    Field,
    /// There are too many groups.
    #[error("the subject has more than {MOST_GROUPS} groups")]
    TooManyGroups,
}

/// Whether a caller asks to be somebody else, in whatever spelling.
pub(in crate::http) fn asks_to_be_another(fields: &HeaderMap) -> bool {
    fields.keys().any(|name| normal(name.as_str()).starts_with(PREFIX))
}

/// The fields that say as whom a request is made.
///
/// # Errors
/// [`NoOne`]: then nothing is asked.
pub(in crate::http) fn impersonation(
    settings: &Impersonate,
    subject: &Subject,
    request: &str,
) -> Result<Vec<(HeaderName, HeaderValue)>, NoOne> {
    let mut fields = vec![(HeaderName::from_static("impersonate-user"), of_subject(&settings.user, subject)?)];
    let mut groups: Vec<String> = Vec::new();
    for template in &settings.groups {
        if !template.contains("{group}") {
            groups.push(template.to_string());
            continue;
        }
        let all = subject.groups.iter().map(|group| template.replace("{group}", group));
        groups.extend(all.filter(|group| !is_own(group)));
    }
    groups.sort_unstable();
    groups.dedup();
    if groups.len() > MOST_GROUPS {
        return Err(NoOne::TooManyGroups);
    }
    for group in groups {
        fields.push((HeaderName::from_static("impersonate-group"), value(&group)?));
    }
    if let Some(uid) = &settings.uid {
        fields.push((HeaderName::from_static("impersonate-uid"), of_subject(uid, subject)?));
    }
    if settings.extra {
        fields.push((HeaderName::from_static("impersonate-extra-sluice-request"), value(request)?));
        let behind = subject.on_behalf_of.iter().map(SubjectKey::to_string);
        for behind in behind {
            fields.push((HeaderName::from_static("impersonate-extra-sluice-on-behalf-of"), value(&behind)?));
        }
    }
    Ok(fields)
}

/// A template with the subject in it. What the operator wrote may be a name of the cluster's own; what it becomes by a subject may
/// not.
fn of_subject(template: &str, subject: &Subject) -> Result<HeaderValue, NoOne> {
    // One after the other would have a subject's own text take part.
    let mut out = String::new();
    let mut rest = template;
    while let Some(at) = rest.find('{') {
        let (before, from) = rest.split_at(at);
        out.push_str(before);
        let known = [
            ("{subject}", subject.key.to_string()),
            ("{issuer}", subject.key.issuer.to_string()),
            ("{id}", subject.key.id.to_string()),
        ];
        let found = known.iter().find_map(|(name, value)| Some((from.strip_prefix(name)?, value)));
        let Some((behind, value)) = found else { return Err(NoOne::Field) };
        out.push_str(value);
        rest = behind;
    }
    out.push_str(rest);
    if is_own(&out) && template.contains('{') {
        return Err(NoOne::Own);
    }
    value(&out)
}

fn is_own(name: &str) -> bool {
    name.trim().to_ascii_lowercase().starts_with(OWN)
}

fn value(text: &str) -> Result<HeaderValue, NoOne> {
    let is_plain = !text.is_empty() && text.trim() == text;
    HeaderValue::from_str(text).ok().filter(|_| is_plain).ok_or(NoOne::Field)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use model::subject::{Binding, Credential, SubjectKind};
    use model::time::Timestamp;

    use super::*;

    fn subject(id: &str, groups: &[&str]) -> Subject {
        Subject {
            key: SubjectKey { issuer: "corp".into(), id: id.into() },
            kind: SubjectKind::User,
            groups: groups.iter().map(|group| Arc::from(*group)).collect(),
            on_behalf_of: vec![SubjectKey { issuer: "corp".into(), id: "ann".into() }],
            expires_at: Timestamp(0),
            binding: Binding::Bearer,
            token_id: None,
            credential: Credential::default(),
        }
    }

    fn said(settings: &Impersonate, subject: &Subject) -> Result<Vec<String>, NoOne> {
        let fields = impersonation(settings, subject, "r1")?;
        Ok(fields.iter().map(|(name, value)| format!("{name}: {}", value.to_str().unwrap())).collect())
    }

    #[test]
    fn k8_04_the_subject_is_who_asks() {
        let eve = subject("eve", &["corp|dev", "sre"]);
        let usual = said(&Impersonate::default(), &eve).unwrap();
        assert_eq!(usual, ["impersonate-user: corp|eve", "impersonate-group: corp|dev", "impersonate-group: sre"]);
        let settings = Impersonate {
            user: "sluice:{id}@{issuer}".into(),
            groups: vec!["sluice:{group}".into(), "view".into()],
            uid: Some("{subject}".into()),
            extra: true,
        };
        let expected = [
            "impersonate-user: sluice:eve@corp",
            "impersonate-group: sluice:corp|dev",
            "impersonate-group: sluice:sre",
            "impersonate-group: view",
            "impersonate-uid: corp|eve",
            "impersonate-extra-sluice-request: r1",
            "impersonate-extra-sluice-on-behalf-of: corp|ann",
        ];
        assert_eq!(said(&settings, &eve).unwrap(), expected);
    }

    #[test]
    fn nobody_is_the_clusters_own_by_what_an_identity_provider_says() {
        let masters = subject("eve", &["system:masters", " System:masters", "dev"]);
        let groups = said(&Impersonate::default(), &masters).unwrap();
        assert_eq!(groups, ["impersonate-user: corp|eve", "impersonate-group: dev"]);
        let by_id = Impersonate { user: "{id}".into(), ..Impersonate::default() };
        assert_eq!(said(&by_id, &subject("system:admin", &[])), Err(NoOne::Own));
        assert_eq!(said(&by_id, &subject("e\nve", &[])), Err(NoOne::Field));
        assert_eq!(said(&by_id, &subject("{subject}", &[])).unwrap(), ["impersonate-user: {subject}"]);
    }

    #[test]
    fn k8_04_every_spelling_asks_to_be_another() {
        for name in
            ["impersonate-user", "Impersonate-Group", "IMPERSONATE_UID", "impersonate-extra-scopes", "impersonate.user"]
        {
            let mut fields = HeaderMap::new();
            fields.insert(HeaderName::from_bytes(name.as_bytes()).unwrap(), HeaderValue::from_static("x"));
            assert!(asks_to_be_another(&fields), "{name}");
        }
        let mut fields = HeaderMap::new();
        fields.insert("x-user", HeaderValue::from_static("x"));
        assert!(!asks_to_be_another(&fields));
    }
}
