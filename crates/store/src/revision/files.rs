//! Reading the files of a revision.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use aws_lc_rs::digest::{Context, SHA256};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use model::id::Digest;

use super::changes::{Kind, Wanted};
use super::{PolicyFile, RefusedRevision, RevisionText};
use crate::config::ConfigError;

/// The largest file, in bytes.
const MAX_FILE: u64 = 1 << 20;
/// The largest description of an interface, in bytes: those of large public APIs have 10 MiB.
const MAX_API: u64 = 16 << 20;
/// How the names of descriptor sets end, which are no text.
const DESCRIPTORS: &str = ".binpb";
/// The most descriptions of interfaces.
const MAX_APIS: usize = 100;
/// The most policy files.
const MAX_POLICIES: usize = 1000;
/// All policy files together, in bytes: some fifty thousand policies.
const MAX_ALL: usize = 8 << 20;

/// One reading: what could be read, and why the rest could not.
#[derive(Default, PartialEq, Eq, Debug)]
pub(super) struct Contents {
    pub(super) targets: Option<PolicyFile>,
    pub(super) classification: Option<PolicyFile>,
    /// It need not be there.
    pub(super) ssh_keys: Option<PolicyFile>,
    pub(super) policies: Vec<PolicyFile>,
    /// The descriptions of interfaces, of which there need not be any.
    pub(super) apis: Vec<PolicyFile>,
    pub(super) errors: Vec<ConfigError>,
}

impl Contents {
    /// SHA-256 over each file's path and text, each preceded by its length.
    pub(super) fn digest(&self) -> Digest {
        let mut context = Context::new(&SHA256);
        let alone = self.targets.iter().chain(&self.classification).chain(&self.ssh_keys);
        for file in alone.chain(&self.policies).chain(&self.apis) {
            let name = file.path.file_name().unwrap_or_default().as_encoded_bytes();
            for part in [name, file.text.as_bytes()] {
                context.update(&u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
                context.update(part);
            }
        }
        finished(context)
    }

    /// Its files as history keeps them: of what may hold where targets are, and how Sluice logs in there, only the digest.
    pub(super) fn kept(&self) -> Vec<RevisionText> {
        let one = |name: String, file: &PolicyFile, is_shown: bool| RevisionText {
            digest: digest_of(&file.text),
            text: is_shown.then(|| file.text.clone()),
            path: name,
        };
        let name = |file: &PolicyFile| file.path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let alone = [(&self.targets, false), (&self.classification, true), (&self.ssh_keys, false)];
        let alone = alone.into_iter().filter_map(|(file, is_shown)| Some((file.as_ref()?, is_shown)));
        let mut kept: Vec<RevisionText> = alone.map(|(file, is_shown)| one(name(file), file, is_shown)).collect();
        kept.extend(self.policies.iter().map(|file| one(format!("policies/{}", name(file)), file, true)));
        kept.extend(self.apis.iter().map(|file| one(format!("apis/{}", name(file)), file, false)));
        kept
    }

    /// What is read once these files are what they are to be. Files of cases are no part of it.
    pub(super) fn change(&mut self, dir: &Path, wanted: &Wanted) {
        for (file, text) in wanted {
            let path = dir.join(file.as_str());
            let too_large =
                text.as_ref().is_some_and(|text| u64::try_from(text.len()).is_ok_and(|length| length > MAX_FILE));
            if too_large {
                self.errors.push(mistake(&path, "it is larger than 1 MiB", "split it"));
            }
            let changed = text.clone().map(|text| PolicyFile { path: path.clone(), text });
            match file.kind() {
                Kind::Classification => self.classification = changed,
                Kind::Policy => {
                    self.policies.retain(|known| known.path.file_name() != path.file_name());
                    self.policies.extend(changed);
                }
                Kind::Cases => {}
            }
        }
        self.policies.sort_by(|one, other| one.path.file_name().cmp(&other.path.file_name()));
        let dir = dir.join("policies");
        if self.policies.len() > MAX_POLICIES {
            let problem = format!("it has more than {MAX_POLICIES} *.cedar files");
            self.errors.push(mistake(&dir, &problem, "join some of them"));
        }
        if self.policies.iter().map(|file| file.text.len()).sum::<usize>() > MAX_ALL {
            let problem = "its policy files have more than 8 MiB together";
            self.errors.push(mistake(&dir, problem, "join policies that say the same"));
        }
    }
}

/// The SHA-256 of a text.
pub(crate) fn digest_of(text: &str) -> Digest {
    let mut context = Context::new(&SHA256);
    context.update(text.as_bytes());
    finished(context)
}

pub(super) fn finished(context: Context) -> Digest {
    let mut digest = Digest::default();
    for (to, from) in digest.0.iter_mut().zip(context.finish().as_ref()) {
        *to = *from;
    }
    digest
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
    if real.join("ssh_keys.toml").symlink_metadata().is_ok() {
        contents.ssh_keys = read_file(&real, dir, "ssh_keys.toml", &mut contents.errors);
    }
    read_apis(&real, dir, &mut contents);
    let (real, dir) = (real.join("policies"), dir.join("policies"));
    match names(&real, &[".cedar"], MAX_POLICIES) {
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

/// The descriptions of interfaces in `apis`, where there is such a directory.
fn read_apis(real: &Path, dir: &Path, contents: &mut Contents) {
    let (real, dir) = (real.join("apis"), dir.join("apis"));
    if real.symlink_metadata().is_err() {
        return;
    }
    match names(&real, &[".json", ".yaml", ".yml", DESCRIPTORS], MAX_APIS) {
        Ok(names) => {
            for name in names {
                let path = dir.join(&name);
                let read = match name.ends_with(DESCRIPTORS) {
                    true => read_bytes(&real.join(&name), MAX_API).map(|bytes| STANDARD.encode(bytes)),
                    false => read_bounded(&real.join(&name), MAX_API),
                };
                match read {
                    Ok(text) => contents.apis.push(PolicyFile { path, text }),
                    Err(error) => contents.errors.push(ConfigError { file: path, ..error }),
                }
            }
        }
        Err(error) => contents.errors.push(ConfigError { file: dir, ..error }),
    }
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

/// The names of the files right in `dir` that end so, sorted. Names that begin with a dot are editors' and Kubernetes' own.
fn names(dir: &Path, endings: &[&str], most: usize) -> Result<Vec<String>, ConfigError> {
    let wanted = endings.iter().map(|ending| format!("*{ending}")).collect::<Vec<_>>().join(" or ");
    let failed = |error: std::io::Error| {
        mistake(dir, &error.to_string(), &format!("make this directory and put {wanted} files in it"))
    };
    let mut names = Vec::new();
    for entry in std::fs::read_dir(dir).map_err(failed)? {
        let name = entry.map_err(failed)?.file_name();
        let Ok(name) = name.into_string() else {
            return Err(mistake(dir, "it has a file whose name is not UTF-8", "rename it"));
        };
        if endings.iter().any(|ending| name.ends_with(ending)) && !name.starts_with('.') {
            names.push(name);
        }
        if names.len() > most {
            return Err(mistake(dir, &format!("it has more than {most} {wanted} files"), "join some of them"));
        }
    }
    names.sort();
    Ok(names)
}

/// Reads a configuration file: regular, of bounded size, UTF-8.
pub(crate) fn read_text(path: &Path) -> Result<String, ConfigError> {
    read_bounded(path, MAX_FILE)
}

fn read_bounded(path: &Path, most: u64) -> Result<String, ConfigError> {
    String::from_utf8(read_bytes(path, most)?).map_err(|error| {
        let valid = error.as_bytes().get(..error.utf8_error().valid_up_to()).unwrap_or_default();
        let line = valid.iter().filter(|byte| **byte == b'\n').count().saturating_add(1);
        ConfigError { line: Some(line), ..mistake(path, "it is not UTF-8", "save it as UTF-8") }
    })
}

fn read_bytes(path: &Path, most: u64) -> Result<Vec<u8>, ConfigError> {
    let failed = |error: std::io::Error| mistake(path, &error.to_string(), "make it readable for Sluice");
    // Before it is opened, because opening a pipe would wait for a writer; and what was opened counts.
    let is_file = std::fs::metadata(path).map_err(failed)?.is_file();
    if !is_file {
        return Err(mistake(path, "it is not a file", ""));
    }
    let file = File::open(path).map_err(failed)?;
    let mut bytes = Vec::new();
    file.take(most.saturating_add(1)).read_to_end(&mut bytes).map_err(failed)?;
    if u64::try_from(bytes.len()).is_ok_and(|length| length > most) {
        return Err(mistake(path, &format!("it is larger than {} MiB", most >> 20), "split it"));
    }
    Ok(bytes)
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
