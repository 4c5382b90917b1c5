//! The headers of a `headers_file`: most often a token, so the file is as private as any secret.

use std::path::Path;

use hyper::HeaderMap;
use hyper::header::{HeaderName, HeaderValue};
use store::config::CredentialSource;

use super::Failure;

/// Reads the file. It is read for each batch: a token in it may have been renewed.
///
/// # Errors
/// If others can read it, or a line of it is not a header.
pub(in super::super) fn headers_in(path: &Path) -> Result<HeaderMap, Failure> {
    let text = store::credential::resolve(&CredentialSource::File(path.to_owned()), &|_| None)?;
    let mut headers = HeaderMap::new();
    for (line, number) in text.expose().lines().zip(1..) {
        if line.trim().is_empty() || line.starts_with('#') {
            continue;
        }
        let (name, mut value) = header(line).ok_or(Failure::Header(number))?;
        value.set_sensitive(true);
        headers.append(name, value);
    }
    Ok(headers)
}

fn header(line: &str) -> Option<(HeaderName, HeaderValue)> {
    let (name, value) = line.split_once(':')?;
    Some((name.trim().parse().ok()?, value.trim().parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_headers_file_is_private_and_its_mistakes_are_named_by_line() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("headers");
        let write = |text: &str, mode| {
            std::fs::write(&path, text).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            headers_in(&path)
        };
        let headers = write("# for the collector\nAuthorization: Bearer s3cret\n\nx-scope: a:b\n", 0o600).unwrap();
        assert_eq!(
            (&headers["authorization"], &headers["x-scope"]),
            (&"Bearer s3cret".parse().unwrap(), &"a:b".parse().unwrap())
        );
        let error = write("x-a: b\ns3cret\n", 0o600).unwrap_err().to_string();
        assert!(error.contains("line 2") && !error.contains("s3cret"), "{error}");
        assert!(write("x-a: b\n", 0o644).is_err());
    }
}
