//! OpenAPI documents, 3.0 and 3.1, in JSON or YAML: their paths, operations and the schemas of their answers.

use std::sync::Arc;

use serde_json::{Map, Value};

use super::api::{ApiError, Operation, Speaks};
use super::schema::Walk;

/// The members of a path item that are operations.
const METHODS: [&str; 8] = ["get", "put", "post", "delete", "options", "head", "patch", "trace"];

/// How many references may lead to one thing.
const MOST_HOPS: usize = 16;

/// What is spoken on an operation, if it says so.
const SPEAKS: &str = "x-sluice-speaks";

/// One operation of a document.
pub(super) struct Found {
    /// Where it stands.
    pub(super) at: String,
    pub(super) template: String,
    pub(super) method: String,
    pub(super) operation: Operation,
}

/// A document, read.
pub(super) struct Document(Value);

/// Reads all operations of a document.
pub(super) fn read(text: &str) -> Result<Vec<Found>, Vec<ApiError>> {
    let document = Document::parse(text).map_err(|error| vec![error])?;
    let (mut found, mut errors) = (Vec::new(), Vec::new());
    let paths = document.0.get("paths").and_then(Value::as_object);
    for (template, item) in paths.into_iter().flatten().filter(|(template, _)| !template.starts_with("x-")) {
        let at = format!("#/paths/{}", escaped(template));
        match document.target(item) {
            Some(item) => document.item(&at, template, item, &mut found, &mut errors),
            None => errors.push(ApiError::new(at, "a reference leads nowhere in the document")),
        }
    }
    if errors.is_empty() { Ok(found) } else { Err(errors) }
}

impl Document {
    fn parse(text: &str) -> Result<Self, ApiError> {
        let wrong = |problem: String| ApiError::new("#", problem);
        let value: Value = match text.trim_start().starts_with('{') {
            true => serde_json::from_str(text).map_err(|error| wrong(format!("it is no JSON: {error}")))?,
            false => serde_saphyr::from_str(text).map_err(|error| wrong(format!("it is no YAML: {error}")))?,
        };
        match value.get("openapi").and_then(Value::as_str) {
            Some(version) if version.starts_with("3.0.") || version.starts_with("3.1.") => Ok(Self(value)),
            _ => Err(wrong("it is not of OpenAPI 3.0 or 3.1".to_owned())),
        }
    }

    /// What a reference within the document leads to.
    pub(super) fn resolve(&self, reference: &str) -> Option<&Value> {
        let pointer = reference.strip_prefix('#')?;
        // A pointer is part of a URI, in which a template's braces may be escaped.
        let pointer = pointer.replace("%7B", "{").replace("%7D", "}").replace("%7b", "{").replace("%7d", "}");
        self.0.pointer(&pointer)
    }

    /// The thing itself, behind its references.
    fn target<'d>(&'d self, mut value: &'d Value) -> Option<&'d Value> {
        for _ in 0..MOST_HOPS {
            match value.get("$ref").and_then(Value::as_str) {
                Some(reference) => value = self.resolve(reference)?,
                None => return Some(value),
            }
        }
        None
    }

    fn item(&self, at: &str, template: &str, item: &Value, found: &mut Vec<Found>, errors: &mut Vec<ApiError>) {
        for method in METHODS {
            let Some(operation) = item.get(method).and_then(Value::as_object) else { continue };
            let at = format!("{at}/{method}");
            let read = self.operation(&at, operation);
            let prefixes = self.prefixes(&at, &[operation.get("servers"), item.get("servers"), self.0.get("servers")]);
            match (read, prefixes) {
                (Ok(operation), Ok(prefixes)) => found.extend(prefixes.into_iter().map(|prefix| Found {
                    at: at.clone(),
                    template: format!("{prefix}{template}"),
                    method: method.to_ascii_uppercase(),
                    operation: operation.clone(),
                })),
                (read, prefixes) => errors.extend(read.err().into_iter().chain(prefixes.err())),
            }
        }
    }

    fn operation(&self, at: &str, operation: &Map<String, Value>) -> Result<Operation, ApiError> {
        let name = operation.get("operationId").and_then(Value::as_str).unwrap_or_default();
        let speaks = match operation.get(SPEAKS).map(Value::as_str) {
            None => Speaks::Http,
            Some(word) => {
                let known = Speaks::WORDS.into_iter().find(|(known, _)| Some(*known) == word);
                known.map(|(_, speaks)| speaks).ok_or_else(|| {
                    let words: Vec<&str> = Speaks::WORDS.iter().map(|(word, _)| *word).collect();
                    ApiError::new(at, format!("{SPEAKS} is one of {}", words.join(", ")))
                })?
            }
        };
        let mut walk = Walk::new(self);
        for (status, answer) in operation.get("responses").and_then(Value::as_object).into_iter().flatten() {
            let at = format!("{at}/responses/{status}");
            let answer =
                self.target(answer).ok_or_else(|| ApiError::new(&at, "a reference leads nowhere in the document"))?;
            // Every kind of body has the same members, so far as they can be told.
            for content in answer.get("content").and_then(Value::as_object).into_iter().flat_map(|all| all.values()) {
                if let Some(schema) = self.target(content).and_then(|content| content.get("schema")) {
                    walk.schema(schema, &at, &[]);
                }
            }
        }
        Ok(Operation { name: name.into(), speaks, fields: Arc::from(walk.finish()?) })
    }

    /// The paths of the servers, of which the innermost that are given count; none is the root.
    fn prefixes(&self, at: &str, servers: &[Option<&Value>]) -> Result<Vec<String>, ApiError> {
        let servers = servers.iter().flatten().find_map(|servers| servers.as_array().filter(|all| !all.is_empty()));
        let mut prefixes =
            servers.into_iter().flatten().map(prefix).collect::<Option<Vec<String>>>().ok_or_else(|| {
                ApiError::new(at, "a server of it has no url, or one with a variable that has no default")
            })?;
        if prefixes.is_empty() {
            prefixes.push(String::new());
        }
        prefixes.sort_unstable();
        prefixes.dedup();
        Ok(prefixes)
    }
}

/// The path of a server's URL, without a `/` at its end, its variables standing for their defaults.
fn prefix(server: &Value) -> Option<String> {
    let mut url = server.get("url")?.as_str()?.to_owned();
    for (name, variable) in server.get("variables").and_then(Value::as_object).into_iter().flatten() {
        url = url.replace(&format!("{{{name}}}"), variable.get("default")?.as_str()?);
    }
    let behind = url.split_once("://").map(|(_, behind)| behind).or_else(|| url.strip_prefix("//"));
    let path = match behind {
        Some(behind) => behind.find('/').and_then(|at| behind.get(at..)).unwrap_or_default(),
        None => url.as_str(),
    };
    let path = path.split(['?', '#']).next().unwrap_or_default().trim_end_matches('/');
    match path.contains('{') {
        true => None,
        false if path.is_empty() || path.starts_with('/') => Some(path.to_owned()),
        false => Some(format!("/{path}")),
    }
}

/// A name as a JSON pointer has it (RFC 6901).
fn escaped(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}

#[cfg(test)]
mod tests;
