//! A policy's annotations: a closed set, so that a misspelt obligation is an error and not a permission.

use std::sync::Arc;
use std::time::Duration;

use cedar_policy::Effect;
use model::class::Transform;

use super::PolicyError;
use super::files::Source;
use super::reads::Reads;
use crate::digest;
use crate::rule::{Approval, Rule};
use crate::verdict::DEFAULT_APPROVAL_TTL;

/// The longest time for which an approval may wait and be used.
const MAX_TTL: Duration = Duration::from_secs(24 * 60 * 60);

const KNOWN: [&str; 11] = [
    "id",
    "doc",
    "message",
    "require_approval",
    "approvals",
    "approval_ttl",
    "require_observer",
    "mask",
    "mask_args",
    "break_glass",
    "read_only",
];

/// Those that stand on a forbid alone.
const OBLIGATIONS: [&str; 7] =
    ["require_approval", "approvals", "approval_ttl", "require_observer", "mask", "mask_args", "break_glass"];

/// What the annotations of a policy mean; mistakes are added to `errors`.
pub(super) fn read(source: &Source<'_>, errors: &mut Vec<PolicyError>) -> Rule {
    let mut reader = Reader { source, errors };
    reader.refuse_unknown();
    let permit = source.policy.effect() == Effect::Permit;
    if permit {
        reader.refuse_obligations();
    } else if reader.text("read_only").is_some() {
        reader.wrong(
            "read_only",
            "@read_only on a forbid has no effect",
            "it says of a permit that nothing is written by it",
        );
    }
    let text = source.policy.to_cedar().unwrap_or_else(|| source.policy.to_string());
    Rule {
        id: reader.id(),
        digest: digest::of_text(&text),
        message: reader.text("message").map(Arc::from),
        approval: reader.approval(),
        observers: reader.observers(),
        mask: reader.mask(),
        break_glass: reader.groups("break_glass").unwrap_or_default(),
        read_only: reader.text("read_only").is_some(),
        reads: Reads::of(&source.policy),
    }
}

struct Reader<'a, 'b> {
    source: &'a Source<'a>,
    errors: &'b mut Vec<PolicyError>,
}

impl<'a> Reader<'a, '_> {
    fn wrong(&mut self, annotation: &str, message: &str, help: &str) {
        self.errors.push(self.source.error_at(annotation, message, help));
    }

    fn text(&self, annotation: &str) -> Option<&'a str> {
        self.source.policy.annotation(annotation)
    }

    fn refuse_unknown(&mut self) {
        for (name, _) in self.source.policy.annotations() {
            if !KNOWN.contains(&name) {
                let known = KNOWN.map(|name| format!("@{name}")).join(", ");
                self.wrong(name, &format!("unknown annotation @{name}"), &format!("known are {known}"));
            }
        }
    }

    /// On a permit an obligation would be waived by any other permit that matches too (FINDINGS 1.4).
    fn refuse_obligations(&mut self) {
        for name in OBLIGATIONS {
            if self.text(name).is_some() {
                let message = format!("@{name} on a permit: any other permit that matches would waive it");
                self.wrong(name, &message, "write a `forbid … unless { … }` with this annotation");
            }
        }
    }

    fn id(&mut self) -> Arc<str> {
        let id = self.text("id").unwrap_or_default();
        let allowed = |c: char| c.is_ascii_alphanumeric() || "-_.:/".contains(c);
        if id.is_empty() {
            self.errors.push(self.source.error("the policy has no @id", "write @id(\"a-name-of-its-own\") before it"));
        } else if id.len() > 100 || !id.chars().all(allowed) {
            self.wrong("id", "this @id cannot be shown safely", "use at most 100 letters, digits and - _ . : /");
        }
        Arc::from(id)
    }

    /// A comma-separated list of groups; `None` if the annotation is absent.
    fn groups(&mut self, annotation: &str) -> Option<Vec<Arc<str>>> {
        let text = self.text(annotation)?;
        let mut groups: Vec<Arc<str>> = text.split(',').map(|group| Arc::from(group.trim())).collect();
        if groups.iter().any(|group| group.is_empty()) {
            let message = format!("@{annotation} names an empty group");
            self.wrong(annotation, &message, "list groups, separated by commas");
        }
        groups.sort();
        groups.dedup();
        Some(groups)
    }

    fn approval(&mut self) -> Option<Approval> {
        let groups = self.groups("require_approval");
        let quorum = self.quorum();
        let ttl = self.ttl();
        if groups.is_none() {
            for name in ["approvals", "approval_ttl"] {
                if self.text(name).is_some() {
                    let message = format!("@{name} without @require_approval");
                    self.wrong(name, &message, "say whose approval with @require_approval(\"group\")");
                }
            }
        }
        groups.map(|groups| Approval { groups, quorum, ttl })
    }

    fn observers(&mut self) -> Option<Vec<Arc<str>>> {
        let groups = self.groups("require_observer")?;
        if self.text("require_approval").is_some() {
            let help = "write two policies, one with each";
            self.wrong("require_observer", "@require_observer beside @require_approval", help);
        }
        Some(groups)
    }

    fn quorum(&mut self) -> u8 {
        let Some(text) = self.text("approvals") else {
            return 1;
        };
        match text.parse() {
            Ok(quorum @ 1..=20) => quorum,
            _ => {
                self.wrong("approvals", "@approvals is not a number of people", "write a number from 1 to 20");
                1
            }
        }
    }

    fn ttl(&mut self) -> Duration {
        let Some(text) = self.text("approval_ttl") else {
            return DEFAULT_APPROVAL_TTL;
        };
        match duration(text) {
            Some(ttl) if !ttl.is_zero() && ttl <= MAX_TTL => ttl,
            _ => {
                let help = "write a whole number of seconds, minutes or hours up to 24h, such as \"15m\"";
                self.wrong("approval_ttl", "@approval_ttl is not a time", help);
                DEFAULT_APPROVAL_TTL
            }
        }
    }

    fn mask(&mut self) -> Option<Transform> {
        let Some(name) = self.text("mask") else {
            if self.text("mask_args").is_some() {
                self.wrong("mask_args", "@mask_args without @mask", "write @mask(\"partial\") as well");
            }
            return None;
        };
        let args = self.text("mask_args");
        let mask = match name {
            "null" => Transform::Null,
            "redact" => Transform::Redact,
            "token" => Transform::Token,
            "format_preserving" => Transform::FormatPreserving,
            "partial" => return self.partial(args),
            _ => {
                let help = "write one of redact, null, token, partial, format_preserving";
                self.wrong("mask", &format!("unknown mask `{name}`"), help);
                return None;
            }
        };
        if args.is_some() {
            let message = format!("the mask `{name}` takes no arguments");
            self.wrong("mask_args", &message, "remove @mask_args, or use @mask(\"partial\")");
        }
        Some(mask)
    }

    fn partial(&mut self, args: Option<&str>) -> Option<Transform> {
        let keep_last = match args {
            None => Some(4),
            Some(args) => args.strip_prefix("keep_last=").and_then(|count| count.parse().ok()),
        };
        match keep_last {
            Some(keep_last) => Some(Transform::Partial { keep_last }),
            None => {
                self.wrong("mask_args", "not arguments of the mask `partial`", "write @mask_args(\"keep_last=4\")");
                None
            }
        }
    }
}

fn duration(text: &str) -> Option<Duration> {
    let (count, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let seconds: u64 = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 60 * 60,
        _ => return None,
    };
    count.parse::<u64>().ok()?.checked_mul(seconds).map(Duration::from_secs)
}
