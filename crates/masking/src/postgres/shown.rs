//! How a record or an approver is shown a constant or parameter.

use model::class::Labels;
use model::decision::Reveal;
use model::event::Shown;
use model::lineage::{LiteralRole, Mentions};

use crate::detect::{self, Hints};
use crate::lens::{RevealAsk, Reveals};

/// What is known about the statement that a constant or parameter belongs to.
#[derive(Clone, Copy)]
pub struct Context<'a> {
    /// The relations that it mentions.
    pub mentions: &'a Mentions,
    /// What their columns carry.
    pub labels: &'a Labels,
}

/// Shows a constant (the value, unquoted) or a parameter (`None` is NULL), for whoever `reveal` answers for: the
/// approver, or the record, which reveals nothing.
///
/// A value of unknown use is shown only where no classified relation is near, and searched by content all the same.
pub fn shown(
    value: Option<&[u8]>,
    binary: bool,
    role: &LiteralRole,
    context: Context<'_>,
    reveal: &mut Reveals<'_>,
) -> Shown {
    let Some(value) = value else { return Shown::Null };
    let length = Shown::Length(u64::try_from(value.len()).unwrap_or(u64::MAX));
    let (hints, public) = match role {
        LiteralRole::Secret => return Shown::Masked("secret".into()),
        LiteralRole::Of(column) => {
            let marking = context.labels.marking(column);
            for class in marking.classes() {
                if reveal(RevealAsk::Column(column, class)) != Reveal::Clear {
                    return Shown::Masked(class.as_str().into());
                }
            }
            (Hints::of(&column.name), *marking == model::class::Marking::Public)
        }
        LiteralRole::Plain => (Hints::default(), false),
        LiteralRole::Unknown if touches_classes(context) => return length,
        LiteralRole::Unknown => (Hints::default(), false),
    };
    let text = match std::str::from_utf8(value) {
        Ok(text) if !binary => text,
        Ok(_) | Err(_) => return length,
    };
    if !public && holds_a_password(text) {
        return Shown::Masked("secret".into());
    }
    let hidden = if public { None } else { hidden_class(text, hints, reveal) };
    hidden.map_or_else(|| Shown::Clear(cut(text).to_owned()), |class| Shown::Masked(class.into()))
}

/// Whether a text gives a password to something: a connection string, the options of a command, a statement inside a
/// function's body. It is no net for the values of columns, which are classified: only what a record shows is held back.
/// Each word of the text is looked at once.
fn holds_a_password(text: &str) -> bool {
    let bytes = text.as_bytes();
    let is_of_word = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
    let mut at = 0;
    while let Some(start) = bytes.get(at..).and_then(|rest| rest.iter().position(is_of_word)).map(|found| at + found) {
        let length = bytes.get(start..).and_then(|rest| rest.iter().position(|byte| !is_of_word(byte)));
        let end = length.map_or(bytes.len(), |length| start + length);
        let word = bytes.get(start..end).unwrap_or_default();
        if is_of_a_secret(word) && text.get(end..).is_some_and(gives_a_value) {
            return true;
        }
        at = end;
    }
    has_userinfo(text)
}

/// Whether a word has the name of a secret in it, in any case.
fn is_of_a_secret(word: &[u8]) -> bool {
    const NAMES: [&[u8]; 6] = [b"password", b"passwd", b"passphrase", b"secret", b"pwd", b"api_key"];
    NAMES.iter().any(|name| word.windows(name.len()).any(|part| part.eq_ignore_ascii_case(name)))
}

/// Whether what is behind a name gives it a value: `=`, `:`, or a quote.
fn gives_a_value(rest: &str) -> bool {
    let rest = rest.trim_start_matches(['"', '\\']).trim_start();
    let is_to = rest.get(..3).is_some_and(|word| word.eq_ignore_ascii_case("to "));
    let rest = if is_to { rest.get(3..).unwrap_or_default().trim_start() } else { rest };
    let begins = |quote: &str| rest.get(..quote.len()).is_some_and(|start| start.eq_ignore_ascii_case(quote));
    rest.starts_with(['=', ':', '\'', '$']) || ["e'", "u&'"].into_iter().any(begins)
}

/// `scheme://user:password@host`.
fn has_userinfo(text: &str) -> bool {
    text.match_indices("://").any(|(at, _)| {
        let authority = text.get(at.saturating_add(3)..).unwrap_or_default();
        let authority = authority.split(['/', '?', '#']).next().unwrap_or_default();
        authority.rsplit_once('@').is_some_and(|(user, _)| user.contains(':'))
    })
}

fn touches_classes(context: Context<'_>) -> bool {
    let mentions = context.mentions;
    mentions.anything || mentions.tables.iter().any(|table| context.labels.is_classified(table))
}

/// The class of the first thing that content shows and that may not be seen.
fn hidden_class(text: &str, hints: Hints, reveal: &mut Reveals<'_>) -> Option<&'static str> {
    let mut hidden = None;
    detect::scan(text.as_bytes(), hints, &mut |found| {
        let class = found.detector.class();
        if hidden.is_none() && reveal(RevealAsk::Class(&model::class::DataClass::new(class))) != Reveal::Clear {
            hidden = Some(class);
        }
    });
    hidden
}

/// The first 256 bytes, cut between characters.
fn cut(text: &str) -> &str {
    const LIMIT: usize = 256;
    let end = (0..=LIMIT.min(text.len())).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
    text.get(..end).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_gives_a_password_is_told_from_what_speaks_of_one() {
        for gives in [
            "host=h password=c",
            "host=h PASSWORD = 'c'",
            "{\"password\": \"c\"}",
            "PGPASSWORD=c psql",
            "postgresql://u:c@h/d",
            "BEGIN ALTER ROLE x PASSWORD 'c'; END",
            "ALTER ROLE x PASSWORD E'c'",
            "ALTER ROLE x PASSWORD $$c$$",
            "SET app.secret_key TO 'c'",
        ] {
            assert!(holds_a_password(gives), "{gives}");
        }
        let bomb = "pwd".repeat(400_000);
        for speaks in [&*bomb, "the password was reset", "https://example.com/a:b@c", "user@example.com", "secretary"] {
            assert!(!holds_a_password(speaks), "{speaks}");
        }
    }
}
