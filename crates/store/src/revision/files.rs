//! Reading the files of a revision.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use aws_lc_rs::digest::{Context, SHA256};
use model::id::Digest;

use super::{PolicyFile, RefusedRevision};
use crate::config::ConfigError;

/// The largest file, in bytes.
const MAX_FILE: u64 = 1 << 20;
/// The most policy files.
const MAX_POLICIES: usize = 1000;
/// All policy files together, in bytes: some fifty thousand policies.
const MAX_ALL: usize = 8 << 20;

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

/// Reads everything once. A symbolic link to the directory is followed once, so that a reading never mixes what it led
/// to before and after; messages name the files as the operator knows them.
pub(super) fn read(dir: &Path) -> Contents {
    let real = std::fs::canonicalize(dir).unwrap_or_else(|_| dir.to_owned());
    let mut contents = Contents::default();
    contents.targets = read_file(&real, dir, "targets.toml", &mut contents.errors);
    contents.classification = read_file(&real, dir, "classification.toml", &mut contents.errors);
    let (real, dir) = (real.join("policies"), dir.join("policies"));
    match policy_names(&real) {
        Ok(names) => {
            let mut all = 0_usize;
            for file in names.iter().filter_map(|name| read_file(&real, &dir, name, &mut contents.errors)) {
                all = all.saturating_add(file.text.len());
                if all > MAX_ALL {
                    contents.errors.push(mistake(
                        &dir,
                        "its policy files have more than 8 MiB together",
                        "join policies that say the same",
                    ));
                    break;
                }
                contents.policies.push(file);
            }
        }
        Err(error) => contents.errors.push(ConfigError { file: dir, ..error }),
    }
    contents
}

fn read_file(real: &Path, shown: &Path, name: &str, errors: &mut Vec<ConfigError>) -> Option<PolicyFile> {
    let path = shown.join(name);
    match read_text(&real.join(name)) {
        Ok(text) => Some(PolicyFile { path, text }),
        Err(error) => {
            errors.push(ConfigError { file: path, ..error });
            None
        }
    }
}

/// The names of the `*.cedar` files right in `dir`, sorted. Names that begin with a dot are editors' and Kubernetes' own.
fn policy_names(dir: &Path) -> Result<Vec<String>, ConfigError> {
    let failed = |error: std::io::Error| {
        mistake(dir, &error.to_string(), "make this directory and put *.cedar files with policies in it")
    };
    let mut names = Vec::new();
    for entry in std::fs::read_dir(dir).map_err(failed)? {
        let name = entry.map_err(failed)?.file_name();
        let Ok(name) = name.into_string() else {
            return Err(mistake(dir, "it has a file whose name is not UTF-8", "rename it"));
        };
        if name.ends_with(".cedar") && !name.starts_with('.') {
            names.push(name);
        }
        if names.len() > MAX_POLICIES {
            return Err(mistake(dir, &format!("it has more than {MAX_POLICIES} policy files"), "join some of them"));
        }
    }
    names.sort();
    Ok(names)
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
