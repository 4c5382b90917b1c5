//! Bodies of requests to an API server: JSON, YAML, and the four forms of patches.

use model::http::Media;

use crate::http::Body;
use crate::json::Json;

/// What a body was found to be.
#[derive(Clone, PartialEq, Debug)]
pub(super) enum Read {
    /// There is none.
    Nothing,
    /// An object, or parts that are laid over one.
    Object(Json),
    /// It could not be read so that its meaning is certain.
    Unknown,
}

const JSON_PATCH: &str = "application/json-patch+json";

/// Where a name of a path stands for any member of a list.
pub(super) const ANY: &str = "-";

/// Reads a body by what it says that it is. What says nothing is JSON, as the API server takes it, unless it is a patch.
pub(super) fn read(method: &str, media: Option<&Media>, body: Body<'_>) -> Read {
    let bytes = match body {
        Body::None => return Read::Nothing,
        Body::Unread => return Read::Unknown,
        Body::Whole([]) => return Read::Nothing,
        Body::Whole(bytes) if bytes.len() > super::MOST_OF_A_BODY => return Read::Unknown,
        Body::Whole(bytes) => bytes,
    };
    let json = |bytes| Json::parse(bytes).map_or(Read::Unknown, Read::Object);
    let Some(media) = media else {
        return if method == "PATCH" { Read::Unknown } else { json(bytes) };
    };
    if !media.is_utf8() {
        return Read::Unknown;
    }
    match media.essence() {
        JSON_PATCH => Json::parse(bytes).and_then(|patch| patched(&patch)).map_or(Read::Unknown, Read::Object),
        "application/json" | "application/merge-patch+json" | "application/strategic-merge-patch+json" => json(bytes),
        "application/vnd.kubernetes.protobuf" => super::protobuf::read(bytes).map_or(Read::Unknown, Read::Object),
        "application/yaml" | "application/apply-patch+yaml" => match Json::parse(bytes) {
            Some(object) => Read::Object(object),
            None => yaml(bytes).map_or(Read::Unknown, Read::Object),
        },
        _ => Read::Unknown,
    }
}

/// What ends a line, and so a comment, for some readers of YAML alone; and the mark of the order of bytes.
const BREAKS: [char; 4] = ['\u{85}', '\u{2028}', '\u{2029}', '\u{feff}'];

/// YAML of one document, without what readers differ in: merge keys, tags of an application's own, directives, breaks of lines.
fn yaml(bytes: &[u8]) -> Option<Json> {
    let text = std::str::from_utf8(bytes).ok()?;
    let has_odd = ["<<", "!!", "!<"].iter().any(|odd| text.contains(odd)) || text.contains(BREAKS);
    if has_odd || text.lines().any(|line| line.starts_with('%')) {
        return None;
    }
    serde_saphyr::from_str::<Json>(text).ok()
}

/// What a JSON patch (RFC 6902) puts in, each at its place. `None` if it takes anything from where it stands: what that is
/// cannot be known.
fn patched(patch: &Json) -> Option<Json> {
    let Json::List(operations) = patch else { return None };
    let mut all = Vec::new();
    for operation in operations {
        if !operation.is_plain(&["op", "path", "value", "from"]) {
            return None;
        }
        let path = operation.get("path")?.text()?;
        match operation.get("op")?.text()? {
            "remove" if is_of_list(path) => {}
            "remove" => all.push(at(path, Json::Null)?),
            "test" => {}
            "add" | "replace" => all.push(at(path, operation.get("value")?.clone())?),
            _ => return None,
        }
    }
    Some(Json::List(all))
}

/// Whether a pointer leads to a member of a list.
fn is_of_list(pointer: &str) -> bool {
    pointer.rsplit('/').next().is_some_and(is_index)
}

/// Whether a name of a pointer stands for a member of a list. API servers count from the end too, and take a sign.
fn is_index(name: &str) -> bool {
    let digits = name.strip_prefix(['+', '-']).unwrap_or(name);
    name == ANY || (!digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()))
}

/// A value with the objects around it that a pointer (RFC 6901) leads through.
fn at(pointer: &str, value: Json) -> Option<Json> {
    if pointer.is_empty() {
        return Some(value);
    }
    let mut out = value;
    for name in pointer.strip_prefix('/')?.split('/').rev() {
        let name = name.replace("~1", "/").replace("~0", "~");
        out = if is_index(&name) { Json::List(vec![out]) } else { Json::Object(vec![(name, out)]) };
    }
    Some(out)
}
