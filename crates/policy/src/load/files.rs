//! Policy files to policies, with the places of mistakes.

use cedar_policy::Policy;
use miette::Diagnostic;

use super::PolicyError;

/// A policy and where it stands.
pub(super) struct Source<'a> {
    pub(super) path: &'a str,
    pub(super) text: &'a str,
    pub(super) policy: Policy,
}

/// Parses every file; templates are refused.
pub(super) fn parse<'a>(files: &'a [(String, String)], errors: &mut Vec<PolicyError>) -> Vec<Source<'a>> {
    let mut sources = Vec::new();
    for (path, text) in files {
        if let Some(error) = super::measure::too_intricate(path, text) {
            errors.push(error);
            continue;
        }
        match text.parse::<cedar_policy::PolicySet>() {
            Ok(set) => {
                for template in set.templates() {
                    let offset = template.as_ref().loc().map(|loc| loc.span.offset());
                    errors.push(place(path, text, offset).error(
                        "templates are not used",
                        "write the principal or resource in place of `?principal` or `?resource`",
                    ));
                }
                sources.extend(set.policies().map(|policy| Source { path, text, policy: policy.clone() }));
            }
            Err(all) => errors.extend(all.iter().map(|error| diagnosed(path, text, None, error))),
        }
    }
    sources
}

impl Source<'_> {
    /// A mistake in the policy as a whole.
    pub(super) fn error(&self, message: &str, help: &str) -> PolicyError {
        place(self.path, self.text, self.offset()).error(message, help)
    }

    /// A mistake at one of the policy's annotations.
    pub(super) fn error_at(&self, annotation: &str, message: &str, help: &str) -> PolicyError {
        let mut all = self.policy.as_ref().annotations();
        let found = all.find(|(name, _)| AsRef::<str>::as_ref(name) == annotation);
        let offset = found.and_then(|(_, value)| value.loc.as_ref()).map(|loc| loc.span.offset());
        place(self.path, self.text, offset.or_else(|| self.offset())).error(message, help)
    }

    /// A mistake that Cedar found in the policy.
    pub(super) fn diagnosed(&self, error: &(impl Diagnostic + ?Sized)) -> PolicyError {
        diagnosed(self.path, self.text, self.offset(), error)
    }

    // Cedar says where a policy stands only through this hidden conversion; nothing else depends on it.
    fn offset(&self) -> Option<usize> {
        self.policy.as_ref().loc().map(|loc| loc.span.offset())
    }
}

fn diagnosed(path: &str, text: &str, policy: Option<usize>, error: &(impl Diagnostic + ?Sized)) -> PolicyError {
    let label = error.labels().and_then(|mut labels| labels.next());
    let meant = label.as_ref().and_then(|label| text.get(label.offset()..label.offset().checked_add(label.len())?));
    let length = meant.map_or(0, |meant| meant.chars().count());
    let label = label.map(|label| label.offset());
    let help = error.help().map(|help| help.to_string());
    // Cedar speaks of "for policy `3`,": the place says it better, and the number is ours.
    let message = error.to_string();
    let message = match message.strip_prefix("for policy `").and_then(|rest| rest.split_once("`, ")) {
        Some((_, rest)) => rest.to_owned(),
        None => message,
    };
    PolicyError { message, help, length, ..place(path, text, label.or(policy)) }
}

/// An error without a message at a byte offset.
pub(crate) fn place(path: &str, text: &str, offset: Option<usize>) -> PolicyError {
    let before = offset.and_then(|offset| text.get(..offset));
    let (line, column) = before.map_or((0, 0), |before| {
        let line_start = before.rfind('\n').map_or(0, |newline| newline.saturating_add(1));
        let column = before.get(line_start..).map_or(0, |line| line.chars().count());
        (before.matches('\n').count().saturating_add(1), column.saturating_add(1))
    });
    PolicyError { path: path.to_owned(), line, column, length: 0, message: String::new(), help: None }
}

impl PolicyError {
    pub(super) fn error(self, message: &str, help: &str) -> Self {
        Self { message: message.to_owned(), help: Some(help.to_owned()), ..self }
    }
}
