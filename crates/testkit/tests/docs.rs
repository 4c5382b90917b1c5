//! The documentation against the code: links lead somewhere, and what can be listed is listed.
//!
//! Nothing here judges whether a sentence is true; it finds what was renamed, added or removed without a word.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use testkit::command::workspace_root;
use testkit::process::{binary, sluice};

/// A text of the workspace.
fn text(path: &str) -> Result<String> {
    fs::read_to_string(workspace_root().join(path)).with_context(|| path.to_owned())
}

/// Every file below `dir` with this extension.
fn files(dir: &Path, extension: &str) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).with_context(|| dir.display().to_string())? {
        let path = entry?.path();
        let is_hidden = path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
        if path.is_dir() && !is_hidden && !path.ends_with("target") {
            found.extend(files(&path, extension)?);
        } else if path.extension().is_some_and(|found| found == extension) {
            found.push(path);
        }
    }
    Ok(found)
}

/// Every page: those in the root, and those in `docs`.
fn pages() -> Result<Vec<PathBuf>> {
    let root = workspace_root();
    let mut pages = files(&root.join("docs"), "md")?;
    for entry in fs::read_dir(&root)? {
        let path = entry?.path();
        pages.extend(path.extension().is_some_and(|extension| extension == "md").then_some(path));
    }
    Ok(pages)
}

/// The lines of a page that are not in a code block.
fn prose(page: &str) -> impl Iterator<Item = &str> {
    let mut is_code = false;
    page.lines().filter(move |line| {
        let is_fence = line.starts_with("```");
        is_code ^= is_fence;
        !is_code && !is_fence
    })
}

/// What the links of a page lead to: the `x` of every `](x)`.
fn links(page: &str) -> Vec<&str> {
    let after = |line| str::split(line, "](").skip(1);
    prose(page).flat_map(after).filter_map(|rest| rest.split_once(')')).map(|(target, _)| target).collect()
}

/// The anchors of a page's headings, as they are usually made: in lower case, without punctuation, `-` for a blank.
fn anchors(page: &str) -> BTreeSet<String> {
    let headings = prose(page).filter(|line| line.starts_with('#')).map(|line| line.trim_start_matches('#').trim());
    let kept = |c: &char| c.is_alphanumeric() || *c == ' ' || *c == '-' || *c == '_';
    headings.map(|heading| heading.to_lowercase().chars().filter(kept).collect::<String>().replace(' ', "-")).collect()
}

/// The names in back quotes.
fn quoted(page: &str) -> BTreeSet<&str> {
    page.split('`').skip(1).step_by(2).collect()
}

/// The texts between double quotes that `is_wanted`.
fn strings(source: &str, is_wanted: impl Fn(&str) -> bool) -> BTreeSet<&str> {
    source.split('"').skip(1).step_by(2).filter(|text| is_wanted(text)).collect()
}

#[test]
fn every_link_leads_somewhere() -> Result<()> {
    let mut broken = Vec::new();
    for page in pages()? {
        let content = fs::read_to_string(&page)?;
        let dir = page.parent().context("a page is in a directory")?;
        for link in links(&content).into_iter().filter(|link| !link.starts_with("http")) {
            let (path, anchor) = link.split_once('#').unwrap_or((link, ""));
            let target = if path.is_empty() { page.clone() } else { dir.join(path) };
            let leads =
                target.exists() && (anchor.is_empty() || anchors(&fs::read_to_string(&target)?).contains(anchor));
            if !leads {
                broken.push(format!("{}: {link}", page.display()));
            }
        }
    }
    ensure!(broken.is_empty(), "these links lead nowhere:\n{}", broken.join("\n"));
    Ok(())
}

#[test]
fn every_metric_is_documented() -> Result<()> {
    let source = text("crates/gateway/src/metrics.rs")?;
    let page = text("docs/operating.md")?;
    let is_name = |text: &str| text.contains('_') && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
    let names = strings(&source, is_name).into_iter().chain(["sessions", "revision"]);
    let missing: Vec<&str> = names.filter(|name| !page.contains(&format!("sluice_{name}"))).collect();
    ensure!(missing.is_empty(), "docs/operating.md does not explain {missing:?}");
    Ok(())
}

#[test]
fn every_route_is_documented() -> Result<()> {
    let source = text("crates/control/src/routes.rs")?;
    let page = text("docs/operating.md")?;
    let documented = quoted(&page);
    let mut missing = Vec::new();
    for (call, method) in [("reads(\"", "GET"), ("changes(\"", "POST")] {
        let paths = source.split(call).skip(1).filter_map(|rest| rest.split('"').next());
        let routes = paths.map(|path| format!("{method} {path}"));
        missing.extend(routes.filter(|route| !documented.contains(route.as_str())));
    }
    ensure!(missing.is_empty(), "docs/operating.md does not list {missing:?}");
    Ok(())
}

#[test]
fn every_setting_is_documented() -> Result<()> {
    let page = text("docs/configuration.md")?;
    let documented = quoted(&page);
    let mut missing = Vec::new();
    for template in ["sluice.toml", "targets.toml", "classification.toml"] {
        let source = text(&format!("crates/store/src/config/templates/{template}"))?;
        for line in source.lines() {
            let line = line.trim_start_matches(['#', ' ']);
            let setting = line.split_once(" = ").map_or("", |(name, _)| name);
            let is_name = !setting.is_empty() && setting.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
            if is_name && !documented.contains(setting) {
                missing.push(format!("{template}: {setting}"));
            }
        }
    }
    ensure!(missing.is_empty(), "docs/configuration.md does not explain {missing:?}");
    Ok(())
}

#[test]
fn every_event_is_documented() -> Result<()> {
    let source = text("crates/model/src/event.rs")?;
    let page = text("docs/operating.md")?;
    let documented = quoted(&page);
    let (_, body) = source.split_once("pub enum Event {").context("there are events")?;
    let body = body.split("\n}").next().unwrap_or_default();
    let variants =
        body.lines().filter_map(|line| line.strip_prefix("    ")).filter_map(|line| line.split([' ', ',']).next());
    let is_variant = |name: &&str| name.starts_with(|first: char| first.is_ascii_uppercase());
    let missing: Vec<&str> = variants.filter(is_variant).filter(|name| !documented.contains(name)).collect();
    ensure!(missing.is_empty(), "docs/operating.md does not explain {missing:?}");
    Ok(())
}

#[test]
fn every_test_that_is_named_exists() -> Result<()> {
    let mut defined = BTreeSet::new();
    for file in files(&workspace_root().join("crates"), "rs")? {
        let source = fs::read_to_string(file)?;
        let names = source.split("fn ").skip(1).filter_map(|rest| rest.split('(').next());
        defined.extend(names.map(str::to_owned));
    }
    let pages = ["docs/known-attacks.md", "docs/operating/durability.md", "THREAT_MODEL.md"];
    let pages = pages.map(text).into_iter().collect::<Result<Vec<_>>>()?;
    let is_part = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    let is_test = |name: &&str| name.len() > 15 && name.bytes().all(is_part);
    // Tests stand in the last column of a table.
    let rows = pages.iter().flat_map(|page| page.lines()).filter(|line| line.starts_with('|'));
    let cells = rows.filter_map(|row| row.rsplit('|').nth(1));
    let named: BTreeSet<&str> = cells.flat_map(quoted).filter(is_test).collect();
    ensure!(named.len() > 50, "the tables of tests were not found");
    let missing: Vec<&&str> = named.iter().filter(|name| !defined.contains(**name)).collect();
    ensure!(missing.is_empty(), "these pages name tests that do not exist: {missing:?}");
    Ok(())
}

#[test]
fn every_decision_record_is_listed() -> Result<()> {
    let page = text("ARCHITECTURE.md")?;
    for record in files(&workspace_root().join("docs/adr"), "md")? {
        let name = record.file_name().and_then(|name| name.to_str()).context("a record has a name")?;
        ensure!(page.contains(name), "ARCHITECTURE.md does not list {name}");
    }
    Ok(())
}

/// Every example loads beside the baseline, all of them together.
#[test]
fn the_example_policies_load() -> Result<()> {
    let examples: String = [text("docs/policies.md")?, text("docs/identity.md")?, text("docs/identity/issuers.md")?]
        .iter()
        .flat_map(|page| page.split("```cedar\n").skip(1).filter_map(|rest| rest.split("```").next()))
        .collect::<Vec<_>>()
        .join("\n");
    ensure!(examples.contains("permit"), "there are no examples");
    let dir = tempfile::tempdir()?;
    fs::write(dir.path().join("baseline.cedar"), text("crates/policy/shipped/baseline.cedar")?)?;
    fs::write(dir.path().join("examples.cedar"), examples)?;
    let dir = dir.path().to_str().context("the directory's name is text")?;
    sluice(&binary()?, &["policy", "check", dir], &[])?.success()?;
    Ok(())
}
