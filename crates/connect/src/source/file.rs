//! Secrets in files.

use std::path::Path;

use crate::issuer::IssuerError;

/// The longest that a token, a secret or a key may be.
const LONGEST: u64 = 64 << 10;

/// The content of a file without the white space around it.
///
/// # Errors
/// If it cannot be read, is empty or too long.
pub fn read(path: &Path) -> Result<String, IssuerError> {
    let failed = |reason: String| IssuerError::File { path: path.display().to_string(), reason };
    let size = std::fs::metadata(path).map_err(|error| failed(error.to_string()))?.len();
    if size > LONGEST {
        return Err(failed(format!("has {size} bytes, more than any token")));
    }
    let text = std::fs::read_to_string(path).map_err(|error| failed(error.to_string()))?;
    match text.trim() {
        "" => Err(failed("is empty".to_owned())),
        text => Ok(text.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_read_anew_and_named_when_it_is_of_no_use() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("token");
        assert!(read(&path).unwrap_err().to_string().contains("token"));
        std::fs::write(&path, " \n").unwrap();
        assert!(read(&path).unwrap_err().to_string().ends_with("is empty"));
        std::fs::write(&path, "a.b.c\n").unwrap();
        assert_eq!(read(&path).unwrap(), "a.b.c");
        std::fs::write(&path, "x".repeat(65 << 10)).unwrap();
        assert!(read(&path).is_err());
    }
}
