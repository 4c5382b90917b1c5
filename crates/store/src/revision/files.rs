//! Reading the files of a revision.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use aws_lc_rs::digest::{Context, SHA256};
use model::id::Digest;

use super::{PolicyFile, RefusedRevision};
use crate::config::ConfigError;

/// The largest file, in bytes.
const MAX_FILE: u64 = 1 << 20;
/// The most policy files.
const MAX_POLICIES: usize = 1000;

/// One reading: what could be read, and why the rest could not.
#[derive(Default, PartialEq, Eq, Debug)]
pub(super) struct Contents {
    pub(super) targets: Option<PolicyFile>,
    pub(super) classification: Option<PolicyFile>,
    pub(super) policies: Vec<PolicyFile>,
    pub(super) errors: Vec<ConfigError>,
}

impl Contents {
    /// SHA-256 over each file's path and text, each preceded by its length.
    pub(super) fn digest(&self) -> Digest {
        let mut context = Context::new(&SHA256);
        for file in self.targets.iter().chain(&self.classification).chain(&self.policies) {
            let name = file.path.file_name().unwrap_or_default().as_encoded_bytes();
            for part in [name, file.text.as_bytes()] {
                context.update(&u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
                context.update(part);
            }
        }
        let mut digest = Digest::default();
        for (to, from) in digest.0.iter_mut().zip(context.finish().as_ref()) {
            *to = *from;
        }
        digest
    }
}

/// Reads until two readings in a row are the same.
pub(super) fn read_at_rest(
    readings: usize,
    mut pause: impl FnMut(),
    mut read: impl FnMut() -> Contents,
) -> Result<Contents, RefusedRevision> {
    let mut last = read();
    for _ in 1..readings {
        pause();
        let next = read();
        if next == last {
            return Ok(next);
        }
        last = next;
    }
    let error = mistake(Path::new("revision"), "its files keep changing", "finish the change; it is read again then");
    Err(RefusedRevision { digest: last.digest(), errors: vec![error] })
}

/// Reads everything once.
pub(super) fn read(dir: &Path) -> Contents {
    let mut contents = Contents::default();
    contents.targets = read_file(dir.join("targets.toml"), &mut contents.errors);
    contents.classification = read_file(dir.join("classification.toml"), &mut contents.errors);
    match policy_paths(&dir.join("policies")) {
        Ok(paths) => {
            let files = paths.into_iter().filter_map(|path| read_file(path, &mut contents.errors));
            contents.policies = files.collect();
        }
        Err(error) => contents.errors.push(error),
    }
    contents
}

fn read_file(path: PathBuf, errors: &mut Vec<ConfigError>) -> Option<PolicyFile> {
    match read_text(&path) {
        Ok(text) => Some(PolicyFile { path, text }),
        Err(error) => {
            errors.push(error);
            None
        }
    }
}

/// The `*.cedar` files right in `dir`, by name. Names that begin with a dot are editors' and Kubernetes' own.
fn policy_paths(dir: &Path) -> Result<Vec<PathBuf>, ConfigError> {
    let failed = |error: std::io::Error| {
        mistake(dir, &error.to_string(), "make this directory and put *.cedar files with policies in it")
    };
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(dir).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if name.ends_with(".cedar") && !name.starts_with('.') {
            paths.push(path);
        }
        if paths.len() > MAX_POLICIES {
            return Err(mistake(dir, &format!("it has more than {MAX_POLICIES} policy files"), "join some of them"));
        }
    }
    paths.sort();
    Ok(paths)
}

/// Reads a configuration file: regular, of bounded size, UTF-8.
pub(crate) fn read_text(path: &Path) -> Result<String, ConfigError> {
    let failed = |error: std::io::Error| mistake(path, &error.to_string(), "make it readable for Sluice");
    // Before it is opened, because opening a pipe would wait for a writer; and what was opened counts.
    let is_file = std::fs::metadata(path).map_err(failed)?.is_file();
    if !is_file {
        return Err(mistake(path, "it is not a file", ""));
    }
    let file = File::open(path).map_err(failed)?;
    let mut bytes = Vec::new();
    file.take(MAX_FILE + 1).read_to_end(&mut bytes).map_err(failed)?;
    if u64::try_from(bytes.len()).is_ok_and(|length| length > MAX_FILE) {
        return Err(mistake(path, "it is larger than 1 MiB", "split it"));
    }
    String::from_utf8(bytes).map_err(|error| {
        let valid = error.as_bytes().get(..error.utf8_error().valid_up_to()).unwrap_or_default();
        let line = valid.iter().filter(|byte| **byte == b'\n').count().saturating_add(1);
        ConfigError { line: Some(line), ..mistake(path, "it is not UTF-8", "save it as UTF-8") }
    })
}

/// A mistake about a file as a whole.
pub(super) fn mistake(file: &Path, problem: &str, advice: &str) -> ConfigError {
    ConfigError {
        file: file.to_owned(),
        line: None,
        key: String::new(),
        problem: problem.to_owned(),
        advice: advice.to_owned(),
    }
}
