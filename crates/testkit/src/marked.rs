//! Sections of the documentation that a run writes: what stands between a line of its own and `<!-- end -->`.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result};

use crate::command::workspace_root;

const END: &str = "<!-- end -->\n";

/// One such section.
#[derive(Clone, Copy, Debug)]
pub struct Marked {
    /// The page, from the root of the workspace.
    pub page: &'static str,
    /// What writes it: the section begins after `<!-- written by … -->`.
    pub writer: &'static str,
}

impl Marked {
    /// What stands there.
    pub fn read(&self) -> Result<String> {
        Ok(self.parts()?.1)
    }

    /// Puts something else there.
    pub fn write(&self, section: &str) -> Result<()> {
        let (before, _, after) = self.parts()?;
        Ok(fs::write(self.path(), [&before, section, &after].concat())?)
    }

    fn path(&self) -> PathBuf {
        workspace_root().join(self.page)
    }

    fn parts(&self) -> Result<(String, String, String)> {
        let page = fs::read_to_string(self.path())?;
        let begin = format!("<!-- written by {} -->\n", self.writer);
        let from = page.find(&begin).with_context(|| format!("{} has no section by {}", self.page, self.writer))?;
        let (before, rest) = page.split_at(from + begin.len());
        let end = rest.find(END).with_context(|| format!("a section of {} has no end", self.page))?;
        let (section, after) = rest.split_at(end);
        Ok((before.to_owned(), section.to_owned(), after.to_owned()))
    }
}
