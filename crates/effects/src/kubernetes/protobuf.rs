//! Objects in the protobuf of Kubernetes (k8s.io/apimachinery, pkg/runtime/serializer/protobuf), read as far as what they ask for
//! stands in them: into JSON with the names that count. The numbers are those of the `generated.proto` of k8s.io/api.

use std::collections::BTreeMap;

use crate::json::Json;

/// What there are several of.
const LISTS: [&str; 13] = [
    "volumes",
    "containers",
    "initContainers",
    "ephemeralContainers",
    "ports",
    "add",
    "sysctls",
    "verbs",
    "apiGroups",
    "resources",
    "nonResourceURLs",
    "dryRun",
    "subjects",
];

/// Likewise, of which each is looked at by itself.
const REPEATED: [&str; 4] = ["rules", "annotations", "data", "stringData"];

/// The largest number of a field (protobuf.dev, Language Guide): of a larger one the API server takes what fits.
const LAST_NUMBER: u64 = 0x1fff_ffff;

/// What such a body begins with.
const MAGIC: &[u8] = b"k8s\0";

/// How deep messages may be in each other.
const DEEPEST: usize = 32;

/// What a field holds.
#[derive(Clone, Copy)]
enum Holds {
    Flag,
    Number,
    Text,
    Message(&'static [Field]),
    /// A map from texts to texts, or to bytes.
    Map,
    /// It counts that it is there.
    Presence,
}

/// A field's number, its name, and what it holds.
type Field = (u64, &'static str, Holds);

use Holds::{Flag, Map, Message, Number, Presence, Text};

const TYPED: &[Field] = &[(1, "type", Text)];
const WINDOWS: &[Field] = &[(4, "hostProcess", Flag)];
const CAPABILITIES: &[Field] = &[(1, "add", Text)];
const CONTAINER_SECURITY: &[Field] = &[
    (1, "capabilities", Message(CAPABILITIES)),
    (2, "privileged", Flag),
    (3, "seLinuxOptions", Presence),
    (4, "runAsUser", Number),
    (7, "allowPrivilegeEscalation", Flag),
    (9, "procMount", Text),
    (10, "windowsOptions", Message(WINDOWS)),
    (11, "seccompProfile", Message(TYPED)),
    (12, "appArmorProfile", Message(TYPED)),
];
const PORT: &[Field] = &[(2, "hostPort", Number)];
const CONTAINER: &[Field] = &[(6, "ports", Message(PORT)), (15, "securityContext", Message(CONTAINER_SECURITY))];
const EPHEMERAL: &[Field] = &[(1, "container", Message(CONTAINER))];
const VOLUME_SOURCE: &[Field] = &[(1, "hostPath", Presence)];
const VOLUME: &[Field] = &[(2, "source", Message(VOLUME_SOURCE))];
const SYSCTL: &[Field] = &[(1, "name", Text)];
const POD_SECURITY: &[Field] = &[
    (1, "seLinuxOptions", Presence),
    (2, "runAsUser", Number),
    (7, "sysctls", Message(SYSCTL)),
    (8, "windowsOptions", Message(WINDOWS)),
    (10, "seccompProfile", Message(TYPED)),
    (11, "appArmorProfile", Message(TYPED)),
];
const POD_SPEC: &[Field] = &[
    (1, "volumes", Message(VOLUME)),
    (2, "containers", Message(CONTAINER)),
    (8, "serviceAccountName", Text),
    (9, "serviceAccount", Text),
    (11, "hostNetwork", Flag),
    (12, "hostPID", Flag),
    (13, "hostIPC", Flag),
    (14, "securityContext", Message(POD_SECURITY)),
    (20, "initContainers", Message(CONTAINER)),
    (34, "ephemeralContainers", Message(EPHEMERAL)),
];
const METADATA: &[Field] = &[(12, "annotations", Map)];
const POD: &[Field] = &[(1, "metadata", Message(METADATA)), (2, "spec", Message(POD_SPEC))];
const POD_TEMPLATE: &[Field] = &[(2, "template", Message(POD))];
/// Of deployments, stateful sets, replica sets and replication controllers.
const REPLICATED: &[Field] = &[(2, "spec", Message(&[(1, "replicas", Number), (3, "template", Message(POD))]))];
const DAEMON_SET: &[Field] = &[(2, "spec", Message(&[(2, "template", Message(POD))]))];
const JOB: &[Field] = &[(2, "spec", Message(JOB_SPEC))];
const JOB_SPEC: &[Field] = &[(6, "template", Message(POD))];
const CRON_JOB: &[Field] = &[(2, "spec", Message(&[(5, "jobTemplate", Message(JOB))]))];
const SCALE: &[Field] = &[(2, "spec", Message(&[(1, "replicas", Number)]))];
const RULE: &[Field] =
    &[(1, "verbs", Text), (2, "apiGroups", Text), (3, "resources", Text), (5, "nonResourceURLs", Text)];
const ROLE: &[Field] = &[(2, "rules", Message(RULE)), (3, "aggregationRule", Presence)];
const BINDING: &[Field] =
    &[(2, "subjects", Message(&[(3, "name", Text)])), (3, "roleRef", Message(&[(3, "name", Text)]))];
const SECRET: &[Field] = &[(1, "metadata", Message(METADATA)), (2, "data", Map), (4, "stringData", Map)];
const CONFIG_MAP: &[Field] = &[(2, "data", Map)];
const DELETE_OPTIONS: &[Field] = &[(5, "dryRun", Text)];

/// The fields of a kind, by its group; `None` for one that is not known.
fn fields(group: &str, kind: &str) -> Option<&'static [Field]> {
    Some(match (group, kind) {
        ("", "Pod") => POD,
        ("", "PodTemplate") => POD_TEMPLATE,
        ("", "ReplicationController") | ("apps", "Deployment" | "StatefulSet" | "ReplicaSet") => REPLICATED,
        ("apps", "DaemonSet") => DAEMON_SET,
        ("batch", "Job") => JOB,
        ("batch", "CronJob") => CRON_JOB,
        ("autoscaling", "Scale") => SCALE,
        ("rbac.authorization.k8s.io", "Role" | "ClusterRole") => ROLE,
        ("rbac.authorization.k8s.io", "RoleBinding" | "ClusterRoleBinding") => BINDING,
        ("", "Secret") => SECRET,
        ("", "ConfigMap") => CONFIG_MAP,
        (_, "DeleteOptions") => DELETE_OPTIONS,
        // They say nothing that counts.
        ("", "Namespace" | "Service" | "ServiceAccount" | "Event" | "Endpoints" | "ResourceQuota" | "LimitRange")
        | ("authorization.k8s.io", "SelfSubjectAccessReview" | "SelfSubjectRulesReview")
        | ("coordination.k8s.io", "Lease")
        | ("networking.k8s.io", "Ingress" | "NetworkPolicy")
        | ("policy", "Eviction" | "PodDisruptionBudget") => &[],
        _ => return None,
    })
}

/// Reads a body. `None` if it is none, or of a kind that is not known.
pub(super) fn read(bytes: &[u8]) -> Option<Json> {
    // runtime.Unknown: the type, the object, its content coding and media type.
    let envelope: &[Field] = &[(1, "type", Message(&[(1, "apiVersion", Text), (2, "kind", Text)]))];
    let unknown = bytes.strip_prefix(MAGIC)?;
    let head = plain(message(unknown, envelope, 0)?);
    let text = |name: &str| head.get("type")?.get(name)?.text();
    let (version, kind) = (text("apiVersion")?, text("kind")?);
    let group = version.split_once('/').map_or("", |(group, _)| group);
    let known = fields(group, kind)?;
    let mut object = None;
    for field in Fields(unknown) {
        match field? {
            (1, Value::Bytes(_)) => {}
            (2, Value::Bytes(raw)) if object.is_none() => object = Some(raw),
            // Coded, or of another kind than it says; or there twice.
            (3 | 4, Value::Bytes([])) => {}
            _ => return None,
        }
    }
    message(object?, known, 0).map(plain)
}

/// A message with those of its fields that are known, each as a list of all that stand there.
fn message(bytes: &[u8], known: &[Field], depth: usize) -> Option<Json> {
    if depth > DEEPEST {
        return None;
    }
    let mut members: BTreeMap<&str, Vec<Json>> = BTreeMap::new();
    for field in Fields(bytes) {
        let (number, value) = field?;
        let Some((_, name, holds)) = known.iter().find(|(known, ..)| *known == number) else { continue };
        let read = match (*holds, value) {
            (Flag, Value::Number(value)) => Json::Bool(value != 0),
            // Where the API server has 32 bits, it takes those.
            (Number, Value::Number(value)) if value & 0xffff_ffff == 0 => Json::Number("0".to_owned()),
            (Number, Value::Number(value)) => Json::Number(value.to_string()),
            (Text, Value::Bytes(text)) => Json::Text(std::str::from_utf8(text).ok()?.to_owned()),
            (Presence, Value::Bytes(_)) => Json::Object(Vec::new()),
            (Message(fields), Value::Bytes(inner)) => message(inner, fields, depth.saturating_add(1))?,
            (Map, Value::Bytes(entry)) => {
                let Json::Object(pair) = message(entry, &[(1, "key", Text)], depth)? else { return None };
                let pair = Json::Object(pair);
                let Some(Json::List(key)) = pair.get("key") else { continue };
                let [Json::Text(key)] = key.as_slice() else { return None };
                let key = key.clone();
                // Of several the last counts.
                let mut values = Fields(entry).flatten().filter_map(|(number, value)| match value {
                    Value::Bytes(value) if number == 2 => Some(String::from_utf8_lossy(value).into_owned()),
                    _ => None,
                });
                let value = values.by_ref().last();
                Json::Object(vec![(key, Json::Text(value.unwrap_or_default()))])
            }
            _ => return None,
        };
        let all = members.entry(name).or_default();
        // Nobody writes what there is one of twice; the API server takes the last, or lays one over the other.
        if !all.is_empty() && !LISTS.contains(name) && !REPEATED.contains(name) {
            return None;
        }
        all.push(read);
    }
    Some(Json::Object(members.into_iter().map(|(name, all)| (name.to_owned(), Json::List(all))).collect()))
}

/// As JSON has it: what is not one of several by itself.
fn plain(value: Json) -> Json {
    match value {
        Json::Object(members) => {
            let members = members.into_iter().map(|(name, value)| {
                let value = match value {
                    Json::List(items) => {
                        let mut items: Vec<Json> = items.into_iter().map(plain).collect();
                        let is_one = items.len() == 1 && !LISTS.contains(&name.as_str());
                        if is_one { items.pop().unwrap_or(Json::Null) } else { Json::List(items) }
                    }
                    other => other,
                };
                (name, value)
            });
            Json::Object(members.collect())
        }
        other => other,
    }
}

/// The value of a field on the wire.
enum Value<'a> {
    Number(u64),
    Bytes(&'a [u8]),
    /// Of a fixed length, which no field here is.
    Fixed,
}

/// The fields of a message, in their order.
struct Fields<'a>(&'a [u8]);

impl<'a> Iterator for Fields<'a> {
    /// `None` in it: it is malformed, and nothing is behind.
    type Item = Option<(u64, Value<'a>)>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let field = field(&mut self.0);
        if field.is_none() {
            self.0 = &[];
        }
        Some(field)
    }
}

fn field<'a>(rest: &mut &'a [u8]) -> Option<(u64, Value<'a>)> {
    let key = varint(rest)?;
    let value = match key & 7 {
        0 => Value::Number(varint(rest)?),
        1 => take(rest, 8).map(|_| Value::Fixed)?,
        2 => {
            let length = usize::try_from(varint(rest)?).ok()?;
            Value::Bytes(take(rest, length)?)
        }
        5 => take(rest, 4).map(|_| Value::Fixed)?,
        _ => return None,
    };
    let number = key >> 3;
    (1..=LAST_NUMBER).contains(&number).then_some((number, value))
}

fn take<'a>(rest: &mut &'a [u8], length: usize) -> Option<&'a [u8]> {
    let (taken, left) = rest.split_at_checked(length)?;
    *rest = left;
    Some(taken)
}

fn varint(rest: &mut &[u8]) -> Option<u64> {
    let mut out = 0_u64;
    for shift in (0..70).step_by(7) {
        let [byte] = take(rest, 1)? else { return None };
        out |= u64::from(byte & 0x7f).checked_shl(shift)?;
        if byte & 0x80 == 0 {
            return Some(out);
        }
    }
    None
}
