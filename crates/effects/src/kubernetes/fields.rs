//! Where values stand in answers that are secret by what the resource is (K8-10).

use std::sync::Arc;

use model::class::DataClass;
use model::http::{FieldForm, FieldPath, FieldRule, Segment};

use super::info::RequestInfo;
use crate::shown::CLASS;

/// The annotation in which `kubectl apply` keeps all of what it sent.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// The fields of an answer about this resource. They are looked for at any depth, as an object may be one of a list, of a
/// watch's event or of a table's row.
pub(super) fn of_answer(info: &RequestInfo) -> Arc<[FieldRule]> {
    let fields: &[(&str, FieldForm)] = match (info.group.as_str(), info.resource.as_str(), info.subresource.as_str()) {
        ("", "secrets", _) => {
            &[("data", FieldForm::Base64), ("stringData", FieldForm::Plain), (LAST_APPLIED, FieldForm::Document)]
        }
        (_, "serviceaccounts", "token") => &[("token", FieldForm::Plain)],
        _ => &[],
    };
    fields.iter().map(|(name, form)| secret(name, *form)).collect()
}

/// Likewise those of what is sent: a patch says the place and the value apart.
pub(super) fn of_request(info: &RequestInfo) -> Arc<[FieldRule]> {
    let mut rules = of_answer(info).to_vec();
    if !rules.is_empty() {
        rules.push(secret("value", FieldForm::Plain));
    }
    rules.into()
}

/// The classes that they are of.
pub(super) fn classes() -> impl Iterator<Item = DataClass> {
    std::iter::once(DataClass::new(CLASS))
}

fn secret(name: &str, form: FieldForm) -> FieldRule {
    let segments = vec![Segment::AnyDepth, Segment::Key(name.into())];
    FieldRule { path: FieldPath { segments }, classes: [DataClass::new(CLASS)].into(), form }
}
