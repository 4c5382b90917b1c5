//! Writes a run into `docs/performance.md`, and its plot beside it.

use std::fs;
use std::process::Command;

use anyhow::{Context, Result};

use super::Plan;
use super::measure::Results;
use super::plot;
use super::report::line;
use crate::command::{run, workspace_root};

/// The section that a run replaces, up to the next one.
const SECTION: &str = "\n## A run\n";

/// Replaces the section by this page.
pub(super) fn publish(plan: &Plan, results: &Results, page: &str) -> Result<()> {
    let docs = workspace_root().join("docs");
    let (document, drawing) = (docs.join("performance.md"), docs.join("performance.svg"));
    let text = replaced(&fs::read_to_string(&document)?, &section(plan, &today()?, page))?;
    fs::write(&document, text)?;
    fs::write(&drawing, plot::cpu(results))?;
    line(&format!("written: {} and {}", document.display(), drawing.display()));
    Ok(())
}

fn section(plan: &Plan, day: &str, page: &str) -> String {
    let command = if *plan == Plan::QUICK { "./dev bench --quick" } else { "./dev bench" };
    format!(
        "\n`{command} --write` on {day}, medians of {} rounds:\n{page}\n![CPU time of a statement, by route](performance.svg)\n",
        plan.rounds
    )
}

fn replaced(document: &str, section: &str) -> Result<String> {
    let (before, rest) = document.split_once(SECTION).context("docs/performance.md has no section for a run")?;
    let after = rest.find("\n## ").and_then(|at| rest.get(at..)).unwrap_or_default();
    Ok([before, SECTION, section, after].concat())
}

fn today() -> Result<String> {
    let mut date = Command::new("date");
    date.args(["-u", "+%-d %B %Y"]).env("LC_ALL", "C");
    Ok(run(date, b"")?.success()?.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_its_own_section_is_replaced() {
        let document = "# P\n\n## How\n\nso\n\n## A run\n\nold\n\n### table\n\nold\n\n## Next\n\nkept\n";
        let text = replaced(document, "\nnew\n").unwrap();
        assert_eq!(text, "# P\n\n## How\n\nso\n\n## A run\n\nnew\n\n## Next\n\nkept\n");
        assert_eq!(replaced("## A run\n", "new").ok(), None);
        assert!(replaced(&text, "\nnew\n").is_ok_and(|again| again == text));
    }
}
