//! What the options of a list say that decides what it is: whether it is watched, and whether it is one object alone
//! (k8s.io/apimachinery, pkg/fields/selector.go and pkg/runtime/conversion.go).

use crate::http::Pair;

/// What a list is.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Options {
    pub(super) watch: bool,
    /// The one object that is selected by its name.
    pub(super) name: Option<String>,
}

/// Reads them as the API server does: of several values of a name the first counts, and where one cannot be read only that it
/// is watched does.
pub(super) fn options(query: &[Pair]) -> Options {
    let first = |name: &str| {
        let found = query.iter().find(|(known, _)| **known == *name);
        found.map(|(_, value)| value.as_deref().unwrap_or_default())
    };
    let watch = first("watch").is_some_and(is_true);
    let is_number = |name: &str| first(name).is_none_or(|value| value.parse::<i64>().is_ok());
    let is_read = first("labelSelector").is_none_or(is_plain_selector);
    if !is_read || !["limit", "timeoutSeconds"].into_iter().all(is_number) {
        return Options { watch, name: None };
    }
    let Some(selector) = first("fieldSelector") else { return Options { watch, name: None } };
    Options { watch, name: name(selector).filter(|name| is_segment(name)) }
}

/// Whether the API server can read a selector of labels for certain: of one that it cannot it takes no name.
fn is_plain_selector(selector: &str) -> bool {
    let is_plain = |text: &str| text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-/".contains(&byte));
    let is_term = |term: &str| {
        let (key, value) = term.split_once('=').unwrap_or((term, ""));
        let (key, value) = (key.strip_suffix('!').unwrap_or(key), value.strip_prefix('=').unwrap_or(value));
        let begins = |text: &str| text.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric());
        is_plain(key) && begins(key) && is_plain(value) && (value.is_empty() || begins(value))
    };
    selector.is_empty() || selector.split(',').all(is_term)
}

/// Whether a flag of a query is set: it is, unless it says that it is not (k8s.io/apimachinery, pkg/runtime: the conversion of
/// texts to booleans).
pub fn is_true(value: &str) -> bool {
    !(value.eq_ignore_ascii_case("false") || value == "0")
}

/// The name that a field selector asks for, if it asks for one and can be read.
fn name(selector: &str) -> Option<String> {
    let mut terms = terms(selector);
    terms.sort_unstable();
    let mut found = None;
    for term in terms.into_iter().filter(|term| !term.is_empty()) {
        let (field, is_equal, value) = operator(term)?;
        let value = unescaped(value)?;
        if is_equal && field == "metadata.name" {
            found = found.or(Some(value));
        }
    }
    found
}

/// A `\` takes its meaning from the `,` behind it.
fn terms(selector: &str) -> Vec<&str> {
    let (mut out, mut begin, mut escaped) = (Vec::new(), 0_usize, false);
    for (at, byte) in selector.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b',' => {
                out.extend(selector.get(begin..at));
                begin = at.saturating_add(1);
            }
            _ => {}
        }
    }
    out.extend(selector.get(begin..));
    out
}

fn operator(term: &str) -> Option<(&str, bool, &str)> {
    let at = term.find('=')?;
    let (before, rest) = term.split_at_checked(at)?;
    // `!=` begins before its `=`.
    if let Some(field) = before.strip_suffix('!') {
        return Some((field, false, rest.strip_prefix('=')?));
    }
    let value = rest.strip_prefix("==").or_else(|| rest.strip_prefix('='))?;
    Some((before, true, value))
}

fn unescaped(value: &str) -> Option<String> {
    let (mut out, mut characters) = (String::new(), value.chars());
    while let Some(character) = characters.next() {
        match character {
            '\\' => match characters.next()? {
                plain @ ('\\' | ',' | '=') => out.push(plain),
                _ => return None,
            },
            ',' | '=' => return None,
            plain => out.push(plain),
        }
    }
    Some(out)
}

/// Whether it could stand in a path: what could not is no name.
fn is_segment(name: &str) -> bool {
    !matches!(name, "." | "..") && !name.contains(['/', '%'])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_beside_labels_that_may_not_be_read_is_none() {
        let pair = |name: &str, value: &str| (name.into(), Some(value.into()));
        for (labels, found) in [("app=web,tier!=db,x", Some("a")), ("", Some("a")), ("==", None), ("a in (b)", None)] {
            let query = [pair("fieldSelector", "metadata.name=a"), pair("labelSelector", labels)];
            assert_eq!(options(&query).name.as_deref(), found, "{labels}");
        }
    }

    #[test]
    fn the_name_that_a_selector_asks_for() {
        for (selector, found) in [
            ("metadata.name=a", Some("a")),
            ("metadata.name==a", Some("a")),
            ("status.phase!=Failed,metadata.name=a", Some("a")),
            ("metadata.name=b,metadata.name=a", Some("a")),
            (r"metadata.name=a\,b", Some("a,b")),
            ("metadata.name=", Some("")),
            ("metadata.name!=a", None),
            ("metadata.name=a,x", None),
            ("metadata.name=a=b", None),
            (r"metadata.name=a\b", None),
            ("spec.nodeName=a", None),
            ("", None),
        ] {
            assert_eq!(name(selector).as_deref(), found, "{selector}");
        }
    }
}
