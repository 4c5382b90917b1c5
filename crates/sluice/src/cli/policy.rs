//! `sluice policy`: what can be said of policies before anybody is bound by them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use ::policy::PolicySet;
use gateway::revision::Checked;
use model::class::{DataClass, Transform};

use super::failure::Failure;
use super::paths::mistakes;
use super::{put, show};

mod access;
mod drafts;
mod explain;
mod proposals;
mod revisions;
mod simulate;
mod test;
mod tries;
mod unused;

/// Work on policies
#[derive(clap::Subcommand)]
#[command(after_help = "Examples:\n  sluice policy check revision\n  sluice policy test revision\n  \
    sluice policy explain --catalog shop.catalog --target shop --subject 'corp|ann' --group support 'SELECT 1'\n  \
    sluice policy simulate --since 24h candidate\n  \
    sluice policy propose candidate --reason 'INC-42: support reads orders'")]
pub(super) enum Command {
    /// Validate the policies in a directory; report every mistake at once
    #[command(after_help = "Examples:\n  sluice policy check revision\n  sluice policy check revision/policies")]
    Check {
        /// A directory of *.cedar files, or a revision with targets.toml and policies/
        dir: PathBuf,
    },
    Test(test::Args),
    Explain(Box<explain::Args>),
    Simulate(simulate::Args),
    Access(access::Args),
    Unused(unused::Args),
    Revisions(revisions::RevisionsArgs),
    Diff(revisions::DiffArgs),
    Try(tries::Args),
    Propose(proposals::ProposeArgs),
    Proposals(proposals::ListArgs),
    Proposal(proposals::ShowArgs),
    /// Agree to somebody else's proposal, as you looked at it
    Approve(proposals::DigestArgs),
    /// Put a proposal into force that others agreed to
    Apply(proposals::DigestArgs),
    /// Take your own proposal back
    Withdraw(proposals::ShowArgs),
}

pub(super) fn run(command: &Command) -> Result<(), Failure> {
    match command {
        Command::Check { dir } => check(dir),
        Command::Test(args) => test::run(args),
        Command::Explain(args) => explain::run(args),
        Command::Simulate(args) => simulate::run(args),
        Command::Access(args) => access::run(args),
        Command::Unused(args) => unused::run(args),
        Command::Revisions(args) => revisions::revisions(args),
        Command::Diff(args) => revisions::diff(args),
        Command::Try(args) => tries::run(args),
        Command::Propose(args) => proposals::propose(args),
        Command::Proposals(args) => proposals::list(args),
        Command::Proposal(args) => proposals::show(args),
        Command::Approve(args) => proposals::approve(args),
        Command::Apply(args) => proposals::apply(args),
        Command::Withdraw(args) => proposals::withdraw(args),
    }
}

/// Reads a revision.
pub(in crate::cli) fn revision(dir: &Path) -> Result<Checked, Failure> {
    gateway::revision::check(dir).map_err(|refused| {
        Failure::Failed(format!("the revision has {}\n{}", mistakes(refused.errors.len()), refused.errors.join("\n")))
    })
}

fn check(dir: &Path) -> Result<(), Failure> {
    let errors = if dir.join("targets.toml").exists() {
        gateway::revision::check(dir).err().map(|refused| refused.errors).unwrap_or_default()
    } else {
        check_policies(dir)?
    };
    if errors.is_empty() {
        return put(&format!("the policies in {} are right\n", show::safe(&dir.display().to_string())));
    }
    Err(Failure::Failed(format!("{}\n{}", mistakes(errors.len()), errors.join("\n"))))
}

fn check_policies(dir: &Path) -> Result<Vec<String>, Failure> {
    let failed = |path: &Path, error: std::io::Error| Failure::failed(format!("{}: {error}", path.display()));
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(dir).map_err(|error| failed(dir, error))? {
        let path = entry.map_err(|error| failed(dir, error))?.path();
        if path.extension().is_some_and(|extension| extension == "cedar") {
            paths.push(path);
        }
    }
    paths.sort();
    if paths.is_empty() {
        return Err(Failure::failed(format!("{}: there are no *.cedar files in it", dir.display())));
    }
    let mut files = Vec::new();
    for path in paths {
        let text = std::fs::read_to_string(&path).map_err(|error| failed(&path, error))?;
        files.push((path.display().to_string(), text));
    }
    let classes = match classes_beside(dir) {
        Ok(classes) => classes,
        Err(errors) => return Ok(errors),
    };
    Ok(PolicySet::load(&files, &classes).err().into_iter().flatten().map(|error| error.to_string()).collect())
}

/// The classes of the revision that the policies stand in, if they stand in one.
fn classes_beside(dir: &Path) -> Result<BTreeMap<DataClass, Transform>, Vec<String>> {
    let path = dir.join("../classification.toml");
    let Ok(text) = std::fs::read_to_string(&path) else { return Ok(BTreeMap::new()) };
    let parsed = store::config::parse_classification(&text, &path);
    parsed
        .map(|classification| classification.classes)
        .map_err(|errors| errors.iter().map(ToString::to_string).collect())
}
