//! What differs between two states of the files of a revision, as people read it.

use std::collections::BTreeMap;
use std::time::Duration;

use model::id::Digest;
use similar::{Algorithm, ChangeTag, TextDiff};
use store::revision::{Change, RevisionText};

use crate::shape::FileDiff;

/// How long one file may take: what is not found by then is shown as replaced.
const PATIENCE: Duration = Duration::from_millis(500);
/// How many lines are shown around what differs.
const AROUND: usize = 3;

/// A file before and after.
type Sides<'f> = (Option<&'f RevisionText>, Option<&'f RevisionText>);

/// What a proposal changes.
pub(crate) fn of_changes(changes: &[Change]) -> Vec<FileDiff> {
    let one = |change: &Change| of_file(change.file.as_str(), change.before.as_deref(), change.after.as_deref());
    changes.iter().map(one).collect()
}

/// What differs between two revisions, in the order of the names.
pub(crate) fn of_revisions(before: &[RevisionText], after: &[RevisionText]) -> Vec<FileDiff> {
    let mut files: BTreeMap<&str, Sides<'_>> = BTreeMap::new();
    before.iter().for_each(|file| files.entry(&file.path).or_default().0 = Some(file));
    after.iter().for_each(|file| files.entry(&file.path).or_default().1 = Some(file));
    let digest = |file: Option<&RevisionText>| file.map(|file| file.digest);
    let differ = files.into_iter().filter(|(_, (before, after))| digest(*before) != digest(*after));
    let one = |(path, (before, after)): (&str, Sides<'_>)| {
        let is_shown = before.into_iter().chain(after).all(|file| file.text.is_some());
        let text = |file: Option<&RevisionText>| file.and_then(|file| file.text.clone());
        match is_shown {
            true => of_file(path, text(before).as_deref(), text(after).as_deref()),
            false => hidden(path, digest(before), digest(after)),
        }
    };
    differ.map(one).collect()
}

fn word<T>(before: Option<T>, after: Option<T>) -> String {
    let word = match (before, after) {
        (None, _) => "added",
        (_, None) => "removed",
        (Some(_), Some(_)) => "changed",
    };
    word.to_owned()
}

/// A file whose text is not shown.
fn hidden(path: &str, before: Option<Digest>, after: Option<Digest>) -> FileDiff {
    FileDiff { path: path.to_owned(), what: word(before, after), diff: None, added: 0, removed: 0 }
}

fn of_file(path: &str, before: Option<&str>, after: Option<&str>) -> FileDiff {
    let (old, new) = (before.unwrap_or_default(), after.unwrap_or_default());
    let diff = TextDiff::configure().algorithm(Algorithm::Myers).timeout(PATIENCE).diff_lines(old, new);
    let count = |tag: ChangeTag| diff.iter_all_changes().filter(|change| change.tag() == tag).count();
    let name = |side: &str, text: Option<&str>| text.map_or("/dev/null".to_owned(), |_| format!("{side}/{path}"));
    let (old_name, new_name) = (name("a", before), name("b", after));
    FileDiff {
        path: path.to_owned(),
        what: word(before, after),
        added: count(ChangeTag::Insert),
        removed: count(ChangeTag::Delete),
        diff: Some(diff.unified_diff().context_radius(AROUND).header(&old_name, &new_name).to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str, text: Option<&str>, digest: u8) -> RevisionText {
        RevisionText { path: path.into(), digest: Digest([digest; 32]), text: text.map(str::to_owned) }
    }

    #[test]
    fn what_differs_is_shown_and_what_is_secret_is_only_named() {
        let before = [
            file("policies/a.cedar", Some("one\ntwo\n"), 1),
            file("policies/gone.cedar", Some("x\n"), 2),
            file("policies/same.cedar", Some("y\n"), 3),
            file("targets.toml", None, 4),
        ];
        let after = [
            file("policies/a.cedar", Some("one\nthree\nfour\n"), 5),
            file("policies/new.cedar", Some("z"), 6),
            file("policies/same.cedar", Some("y\n"), 3),
            file("targets.toml", None, 7),
        ];
        let found = of_revisions(&before, &after);
        let shown: Vec<(&str, &str, usize, usize)> =
            found.iter().map(|file| (&*file.path, &*file.what, file.added, file.removed)).collect();
        assert_eq!(
            shown,
            [
                ("policies/a.cedar", "changed", 2, 1),
                ("policies/gone.cedar", "removed", 0, 1),
                ("policies/new.cedar", "added", 1, 0),
                ("targets.toml", "changed", 0, 0),
            ]
        );
        let text = found[0].diff.as_deref().unwrap();
        assert!(text.starts_with("--- a/policies/a.cedar\n+++ b/policies/a.cedar\n@@"), "{text}");
        assert!(text.contains("\n one\n-two\n+three\n+four\n"), "{text}");
        assert!(found[1].diff.as_deref().unwrap().contains("+++ /dev/null"));
        assert_eq!(found[3].diff, None);
        assert!(of_revisions(&after, &after).is_empty());
    }

    #[test]
    fn a_diff_ends_whatever_it_is_of() {
        let text =
            |odd: usize| (0..60_000).map(|at| format!("{}\n", (at * 7919 + odd * 104_729) % 9973)).collect::<String>();
        let found = of_file("policies/a.cedar", Some(&text(0)), Some(&text(1)));
        assert!(found.diff.is_some_and(|diff| !diff.is_empty()));
    }
}
