//! Which forms of an answer an API server is asked for: those that can be masked (K8-10).

use hyper::header::HeaderValue;

/// The caller takes an answer in no form that can be masked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::http) struct NotAcceptable;

/// What of the caller's `Accept` goes to the API server: JSON, tables of it among them, and text. An API server that is asked
/// for anything answers in JSON. `None` where the caller has none.
pub(in crate::http) fn accepted<'a>(
    given: impl Iterator<Item = &'a HeaderValue>,
) -> Result<Option<HeaderValue>, NotAcceptable> {
    let mut is_given = false;
    let mut kept: Vec<&str> = Vec::new();
    for value in given {
        is_given = true;
        // In what an API server takes no comma stands in quotes.
        let parts = value.to_str().unwrap_or_default().split(',').map(str::trim);
        kept.extend(parts.filter(|part| is_read(part)));
    }
    if !is_given {
        return Ok(None);
    }
    if kept.is_empty() {
        return Err(NotAcceptable);
    }
    HeaderValue::from_str(&kept.join(", ")).map(Some).map_err(|_| NotAcceptable)
}

fn is_read(part: &str) -> bool {
    let media = part.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    matches!(media.as_str(), "application/json" | "text/plain" | "*/*" | "application/*" | "text/*")
        || media.ends_with("+json")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(value: &str) -> Result<Option<String>, NotAcceptable> {
        let value = HeaderValue::from_str(value).unwrap();
        let kept = accepted(std::iter::once(&value))?;
        Ok(kept.map(|kept| kept.to_str().unwrap().to_owned()))
    }

    /// K8-10: no other form of a secret is asked for.
    #[test]
    fn k8_10_an_answer_is_asked_for_in_json_alone() {
        for (given, kept) in [
            ("application/json", "application/json"),
            ("application/vnd.kubernetes.protobuf, application/json", "application/json"),
            ("application/cbor;q=1, application/json;q=0.5", "application/json;q=0.5"),
            (
                "application/json;as=Table;v=v1;g=meta.k8s.io,application/json",
                "application/json;as=Table;v=v1;g=meta.k8s.io, application/json",
            ),
            ("application/vnd.kubernetes.protobuf;as=Table, */*", "*/*"),
            ("APPLICATION/JSON, application/yaml", "APPLICATION/JSON"),
        ] {
            assert_eq!(of(given), Ok(Some(kept.to_owned())), "{given}");
        }
        for given in ["application/vnd.kubernetes.protobuf", "application/cbor", "application/yaml", "image/png"] {
            assert_eq!(of(given), Err(NotAcceptable), "{given}");
        }
        assert_eq!(accepted(std::iter::empty()), Ok(None));
    }
}
