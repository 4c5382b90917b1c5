//! Files as they are to be: those of a directory that differ from those in force.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Value, json};
use store::revision::ChangeableFile;

use super::super::client::Client;
use super::super::failure::Failure;
use super::super::show;

/// What differs, for a call of the admin API, and the number of the revision in force.
pub(super) struct Draft {
    pub(super) files: Value,
    pub(super) base: u64,
}

/// Compares a directory with what is in force. What it has no directory for stays as it is.
pub(super) fn read(client: &Client, dir: &Path) -> Result<Draft, Failure> {
    let present = client.get("/v1/revision/files", &[])?;
    let named = |file: &Value| (show::text(file, "/name"), show::text(file, "/text"));
    let before: BTreeMap<String, String> = show::list(&present, "/files").iter().map(named).collect();
    let mut after = before.clone();
    for (directory, ending) in [("policies", ".cedar"), ("tests", ".toml")] {
        if let Some(found) = directory_of(dir, directory, ending)? {
            after.retain(|name, _| !name.starts_with(&format!("{directory}/")));
            after.extend(found);
        }
    }
    let classification = dir.join("classification.toml");
    if classification.exists() {
        after.insert(String::from("classification.toml"), text(&classification)?);
    }
    let mut files = serde_json::Map::new();
    for name in before.keys().filter(|name| !after.contains_key(*name)) {
        files.insert(name.clone(), Value::Null);
    }
    for (name, text) in after.into_iter().filter(|(name, text)| before.get(name) != Some(text)) {
        files.insert(name, json!(text));
    }
    if files.is_empty() {
        return Err(Failure::failed(format!("{}: it says what is in force; nothing would change", dir.display())));
    }
    Ok(Draft { files: files.into(), base: show::number(&present, "/revision") })
}

/// `None` where there is no such directory.
fn directory_of(dir: &Path, directory: &str, ending: &str) -> Result<Option<Vec<(String, String)>>, Failure> {
    let path = dir.join(directory);
    let entries = match std::fs::read_dir(&path) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Failure::failed(format!("{}: {error}", path.display()))),
    };
    let mut files = Vec::new();
    for entry in entries {
        let entry = entry.map_err(|error| Failure::failed(format!("{}: {error}", path.display())))?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.ends_with(ending) && !name.starts_with('.') {
            let name = format!("{directory}/{name}");
            name.parse::<ChangeableFile>().map_err(Failure::failed)?;
            files.push((name, text(&entry.path())?));
        }
    }
    Ok(Some(files))
}

fn text(path: &Path) -> Result<String, Failure> {
    std::fs::read_to_string(path).map_err(|error| Failure::failed(format!("{}: {error}", path.display())))
}
