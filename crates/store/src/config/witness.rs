//! `[[witness]]` of `sluice.toml`.

use std::collections::BTreeSet;

use super::issuer::{is_alias, is_fetchable, is_loopback};
use super::{Section, WitnessConfig, WitnessKeySource};

pub(super) fn witnesses(root: &Section<'_, '_>) -> Vec<WitnessConfig> {
    let (mut names, mut witnesses) = (BTreeSet::new(), Vec::new());
    for section in root.tables("witness") {
        if let Some(witness) = witness(&section) {
            if !names.insert(witness.name.clone()) {
                section.report("name", "it is taken", "give each witness a name of its own");
            }
            witnesses.push(witness);
        }
        section.finish();
    }
    witnesses
}

/// Every setting is read before any is missed, so that all mistakes are found.
fn witness(section: &Section<'_, '_>) -> Option<WitnessConfig> {
    let name = section.parsed("name", "a short name of a-z, 0-9, - and _", |text| is_alias(text).then(|| text.into()));
    let url = section.text("url");
    let key = section.text("key").map(|key| match key.matches('+').count() {
        0 | 1 => WitnessKeySource::File(section.beside(&key)),
        _ => WitnessKeySource::Text(key),
    });
    let ca_file = section.path("ca_file");
    let allows_http = section.flag("allow_http").unwrap_or(false);
    let name = section.required("name", name, "write name = \"elsewhere\"");
    let url = section.required("url", url, "write where it listens, such as \"https://witness.example.com:7633\"");
    let key = section.required("key", key, "write the path of its witness.pub, or what is in it");
    let url = url.and_then(|url| safe(section, url, allows_http));
    Some(WitnessConfig { name: name?, url: url?, key: key?, ca_file })
}

/// Its answers are signed, so plain HTTP tells no lies; but it names the journal to whoever listens.
fn safe(section: &Section<'_, '_>, url: String, allows_http: bool) -> Option<String> {
    if is_fetchable(&url, "https://") || (allows_http && is_loopback(&url)) {
        return Some(url.trim_end_matches('/').to_owned());
    }
    let advice = "write a URL with https:// and without query or fragment; allow_http is for a witness on this machine";
    section.report("url", "checkpoints cannot be sent there safely", advice);
    None
}
