//! What the API server makes of a request line, by the rules of its `RequestInfoFactory`
//! (k8s.io/apiserver, pkg/endpoints/request/requestinfo.go).

use crate::http::Pair;

use super::selector;

/// A request line as the API server reads it. What it does not name is empty.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct RequestInfo {
    /// Whether it is about a resource, and no other path.
    pub is_resource: bool,
    /// The verb: `get`, `list`, `watch`, `create`, `update`, `patch`, `delete`, `deletecollection`, `proxy`; empty for a method
    /// that none stands for. Of another path, the method in lower case.
    pub verb: String,
    /// `api` or `apis`.
    pub prefix: String,
    /// The API group; empty for the core group.
    pub group: String,
    /// Its version.
    pub version: String,
    /// The namespace.
    pub namespace: String,
    /// The resource.
    pub resource: String,
    /// The part of it.
    pub subresource: String,
    /// The object's name.
    pub name: String,
    /// From the resource on, the names of the path.
    pub parts: Vec<String>,
}

/// What is a part of a namespace, and no resource in it.
const OF_NAMESPACES: [&str; 2] = ["status", "finalize"];

impl RequestInfo {
    /// Reads a request line: the method as it was sent, the path, whose escapes are decoded here, and the query.
    ///
    /// `None` for a path of old form that the API server cannot read: it has a verb in it and nothing behind.
    pub fn of(method: &str, path: &str, query: &[Pair]) -> Option<Self> {
        let decoded: Vec<String> = split(&decoded(path)).map(str::to_owned).collect();
        let mut parts = decoded.as_slice();
        let mut info = Self { verb: method.to_ascii_lowercase(), ..Self::default() };
        let [prefix, rest @ ..] = parts else { return Some(info) };
        if parts.len() < 3 || !matches!(prefix.as_str(), "api" | "apis") {
            return Some(info);
        }
        info.prefix.clone_from(prefix);
        parts = rest;
        if prefix == "apis" {
            let [group, rest @ ..] = parts else { return Some(info) };
            if parts.len() < 3 {
                return Some(info);
            }
            info.group.clone_from(group);
            parts = rest;
        }
        let [version, rest @ ..] = parts else { return Some(info) };
        info.is_resource = true;
        info.version.clone_from(version);
        info.verb = verb(method).to_owned();
        parts = rest;
        if let [special, rest @ ..] = parts
            && matches!(special.as_str(), "proxy" | "watch")
        {
            info.verb.clone_from(special);
            parts = rest;
            if parts.is_empty() {
                return None;
            }
        }
        info.place(parts);
        info.without_a_name(query);
        Some(info)
    }

    /// `/namespaces/{namespace}/{resource}/…`, or `/{resource}/…`.
    fn place(&mut self, parts: &[String]) {
        let mut parts = parts;
        if let [first, namespace, rest @ ..] = parts
            && first == "namespaces"
        {
            self.namespace.clone_from(namespace);
            let is_part = rest.first().is_none_or(|part| OF_NAMESPACES.contains(&part.as_str()));
            if !is_part {
                parts = rest;
            }
        }
        self.parts = parts.to_vec();
        let mut names = parts.iter();
        if let Some(resource) = names.next() {
            self.resource.clone_from(resource);
        }
        if let Some(name) = names.next() {
            self.name.clone_from(name);
        }
        if let Some(subresource) = names.next()
            && self.verb != "proxy"
        {
            self.subresource.clone_from(subresource);
        }
    }

    /// A read without a name is one of a list, and a deletion is one of all.
    fn without_a_name(&mut self, query: &[Pair]) {
        if !self.name.is_empty() {
            return;
        }
        match self.verb.as_str() {
            "get" => {
                let options = selector::options(query);
                self.verb = if options.watch { "watch" } else { "list" }.to_owned();
                self.name = options.name.unwrap_or_default();
            }
            "delete" => self.verb = "deletecollection".to_owned(),
            _ => {}
        }
    }
}

/// Methods have case.
fn verb(method: &str) -> &'static str {
    match method {
        "POST" => "create",
        "GET" | "HEAD" => "get",
        "PUT" => "update",
        "PATCH" => "patch",
        "DELETE" => "delete",
        _ => "",
    }
}

fn split(path: &str) -> impl Iterator<Item = &str> {
    let trimmed = path.trim_matches('/');
    // An empty path has no names, and not an empty one.
    trimmed.split('/').filter(move |_| !trimmed.is_empty())
}

/// A path with its escapes decoded; as it is, if they are none.
fn decoded(path: &str) -> String {
    let bytes = path.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let [first, behind @ ..] = rest {
        let escaped = match (first, behind) {
            (b'%', [high, low, ..]) => hex(*high).zip(hex(*low)).map(|(high, low)| high << 4 | low),
            (b'%', _) => None,
            (plain, _) => Some(*plain),
        };
        let Some(byte) = escaped else { return path.to_owned() };
        out.push(byte);
        rest = behind.get(if *first == b'%' { 2 } else { 0 }..).unwrap_or_default();
    }
    String::from_utf8(out).unwrap_or_else(|_| path.to_owned())
}

fn hex(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}
