//! Policies as they were written: where each stands in its file.

use std::ops::Range;
use std::sync::Arc;

use crate::load::files::place;

/// Where a policy stands.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PolicyText {
    /// Its `@id`.
    pub id: Arc<str>,
    /// The file, by its place among those that were asked about.
    pub file: usize,
    /// The line on which it begins, from 1.
    pub line: usize,
    /// Its bytes in the file, from its first annotation to its semicolon.
    pub range: Range<usize>,
    /// Whether it permits.
    pub permits: bool,
}

/// Every policy of the files, which were loaded before, in their order. Of a file that is none there is nothing.
pub fn policy_texts<'f>(files: impl IntoIterator<Item = &'f str>) -> Vec<PolicyText> {
    // As deep as where they were loaded.
    stacker::grow(crate::load::STACK, || {
        files.into_iter().enumerate().flat_map(|(file, text)| of_file(file, text)).collect()
    })
}

fn of_file(file: usize, text: &str) -> Vec<PolicyText> {
    if crate::load::measure::too_intricate("", text).is_some() {
        return Vec::new();
    }
    let Ok(set) = text.parse::<cedar_policy::PolicySet>() else { return Vec::new() };
    let one = |policy: &cedar_policy::Policy| {
        let loc = policy.as_ref().loc()?;
        let range = loc.span.offset()..loc.span.offset().checked_add(loc.span.len())?;
        let line = place("", text, Some(range.start)).line;
        let permits = policy.effect() == cedar_policy::Effect::Permit;
        Some(PolicyText { id: policy.annotation("id")?.into(), file, line, range, permits })
    };
    let mut found: Vec<PolicyText> = set.policies().filter_map(one).collect();
    found.sort_by_key(|policy| policy.range.start);
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_stands_from_its_first_annotation_to_its_semicolon() {
        let first = "@id(\"b\")\n@doc(\"one; of // two\")\npermit (principal, action, resource); ";
        let second = "// about a\n@id(\"a\") forbid (principal, action, resource) when { context.reason == \";\" };";
        let text = format!("// a file\n\n{first}\n// a;\n{second} // after\n");
        let found = policy_texts(["", &text, "no policy"]);
        let cut: Vec<(&str, usize, usize, &str)> =
            found.iter().map(|one| (&*one.id, one.file, one.line, &text[one.range.clone()])).collect();
        let second = second.strip_prefix("// about a\n").unwrap();
        assert_eq!(cut, [("b", 1, 3, first.trim_end()), ("a", 1, 8, second)]);
        assert!(found[0].permits && !found[1].permits);
    }
}
