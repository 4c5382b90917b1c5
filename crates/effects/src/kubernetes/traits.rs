//! What a body asks for that matters beyond its kind.
//!
//! Names are looked for wherever they stand: in a pod, in the template of a workload, in a kind that nobody here knows. They
//! are compared without case, as old API servers do. So what is found may be more than there is, and never less.

use std::collections::BTreeSet;

use model::effect::KubernetesTrait as Trait;

use crate::json::Json;

/// The capabilities that a container may add without more than it has by itself (Pod Security Standards, baseline).
const USUAL_CAPABILITIES: [&str; 13] = [
    "AUDIT_WRITE",
    "CHOWN",
    "DAC_OVERRIDE",
    "FOWNER",
    "FSETID",
    "KILL",
    "MKNOD",
    "NET_BIND_SERVICE",
    "SETFCAP",
    "SETGID",
    "SETPCAP",
    "SETUID",
    "SYS_CHROOT",
];

/// What stands for a secret that a caller may not see, as it is and in base64.
const MASKS: [&str; 2] = ["[secret]", "W3NlY3JldF0="];

/// What an object, or a part of one, asks for.
pub(super) fn of_object(object: &Json) -> BTreeSet<Trait> {
    let mut out = BTreeSet::new();
    match object {
        Json::List(items) => items.iter().for_each(|item| out.extend(of_object(item))),
        Json::Object(members) => {
            // What a server says of an object asks for nothing.
            for (name, value) in members.iter().filter(|(name, _)| !name.eq_ignore_ascii_case("status")) {
                walk(name, value, &mut out);
            }
        }
        _ => {}
    }
    out
}

/// What a role or its binding gives.
pub(super) fn of_rights(object: &Json, out: &mut BTreeSet<Trait>) {
    match object {
        Json::List(items) => items.iter().for_each(|item| of_rights(item, out)),
        Json::Object(members) => {
            for (name, value) in members {
                match name.to_ascii_lowercase().as_str() {
                    "verbs" if any_text(value, is_broad_verb) => drop(out.insert(Trait::BroadRights)),
                    "resources" | "apigroups" | "nonresourceurls" if any_text(value, |text| text.contains('*')) => {
                        out.insert(Trait::BroadRights);
                    }
                    "aggregationrule" if *value != Json::Null => drop(out.insert(Trait::BroadRights)),
                    "name" if any_text(value, |text| matches!(text, "cluster-admin" | "system:masters")) => {
                        out.insert(Trait::ClusterAdmin);
                    }
                    _ => {}
                }
                of_rights(value, out);
            }
        }
        _ => {}
    }
}

fn is_broad_verb(verb: &str) -> bool {
    verb.contains('*') || ["bind", "escalate", "impersonate"].iter().any(|known| verb.eq_ignore_ascii_case(known))
}

fn walk(name: &str, value: &Json, out: &mut BTreeSet<Trait>) {
    out.extend(named(name, value));
    out.extend(any_text(value, |text| MASKS.contains(&text)).then_some(Trait::Masked));
    match value {
        Json::List(items) => items.iter().for_each(|item| {
            if let Json::Object(members) = item {
                members.iter().for_each(|(name, value)| walk(name, value, out));
            }
        }),
        Json::Object(members) => members.iter().for_each(|(name, value)| walk(name, value, out)),
        _ => {}
    }
}

/// What a member with this name asks for.
fn named(name: &str, value: &Json) -> Option<Trait> {
    let is_there = *value != Json::Null;
    let (found, is_so) = match name.to_ascii_lowercase().as_str() {
        "privileged" | "hostprocess" => (Trait::Privileged, is_true(value)),
        // A directory of the node, by itself or as a volume of its own.
        "hostpath" | "local" => (Trait::HostPath, is_object(value)),
        "hostnetwork" => (Trait::HostNetwork, is_true(value)),
        "hostport" => (Trait::HostNetwork, is_there && !is_zero(value)),
        "hostpid" => (Trait::HostPid, is_true(value)),
        "hostipc" => (Trait::HostIpc, is_true(value)),
        "capabilities" => (Trait::Capabilities, adds(value)),
        "allowprivilegeescalation" => (Trait::PrivilegeEscalation, is_true(value)),
        "seccompprofile" | "apparmorprofile" => (Trait::Unconfined, says(value, "type", "Unconfined")),
        "procmount" => (Trait::Unconfined, is_there && value.text() != Some("Default")),
        "selinuxoptions" => (Trait::Unconfined, is_object(value)),
        "sysctls" => (Trait::Unconfined, matches!(value, Json::List(items) if !items.is_empty())),
        "runasuser" => (Trait::Root, is_zero(value)),
        "serviceaccountname" | "serviceaccount" => (Trait::ServiceAccount, names_another(value)),
        // A secret that is filled with the account's token, whichever it is.
        "kubernetes.io/service-account.name" => (Trait::ServiceAccount, is_there),
        "replicas" => (Trait::ScaleToZero, is_zero(value)),
        // By annotation, as it was done before there was a field.
        name if name.starts_with("container.apparmor.security.beta.kubernetes.io/") => {
            (Trait::Unconfined, value.text() == Some("unconfined"))
        }
        _ => return None,
    };
    is_so.then_some(found)
}

const fn is_object(value: &Json) -> bool {
    matches!(value, Json::Object(_))
}

/// YAML has more words for it than one.
fn is_true(value: &Json) -> bool {
    let words = ["true", "yes", "on", "y"];
    match value {
        Json::Bool(value) => *value,
        Json::Text(text) => words.iter().any(|word| text.eq_ignore_ascii_case(word)),
        _ => false,
    }
}

fn is_zero(value: &Json) -> bool {
    match value {
        Json::Number(text) => text.parse::<f64>().is_ok_and(|number| number == 0.0),
        // In YAML, numbers have forms that JSON has not.
        Json::Text(text) => !text.is_empty() && text.bytes().all(|byte| b"0xXob_.+-".contains(&byte)),
        _ => false,
    }
}

/// Whether it adds what a container has not by itself.
fn adds(capabilities: &Json) -> bool {
    let Json::Object(members) = capabilities else { return false };
    let is_unusual = |text: &str| {
        let plain = text.to_ascii_uppercase();
        !USUAL_CAPABILITIES.contains(&plain.strip_prefix("CAP_").unwrap_or(&plain))
    };
    members.iter().any(|(name, value)| name.eq_ignore_ascii_case("add") && any_text(value, is_unusual))
}

fn says(value: &Json, member: &str, word: &str) -> bool {
    let Json::Object(members) = value else { return false };
    members.iter().any(|(name, value)| name.eq_ignore_ascii_case(member) && value.text() == Some(word))
}

fn names_another(value: &Json) -> bool {
    value.text().is_some_and(|name| !matches!(name, "" | "default"))
}

/// Whether a text, or one of a list, is so.
fn any_text(value: &Json, is_so: impl Fn(&str) -> bool + Copy) -> bool {
    match value {
        Json::Text(text) => is_so(text),
        Json::List(items) => items.iter().any(|item| any_text(item, is_so)),
        _ => false,
    }
}

#[cfg(test)]
mod tests;
