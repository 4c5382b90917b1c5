//! What is to run in a container.

use std::sync::Arc;

use model::effect::{Effect, KubernetesCommand, KubernetesResource, Object, Verb};

use crate::http::Pair;
use crate::ssh;

/// What the commands of an exec do.
pub(super) struct Running {
    pub(super) effects: Vec<Effect>,
    /// The line, with secrets as marks.
    pub(super) shown: String,
    /// Why it is not understood, if it is not.
    pub(super) opaque: Option<Arc<str>>,
}

/// What a shell takes for more than a program's name.
const RESERVED: [&str; 17] = [
    "if", "then", "else", "elif", "fi", "do", "done", "case", "esac", "while", "until", "for", "in", "select",
    "function", "time", "coproc",
];

/// The words of `command=` in a query, as a line that a shell would read so; `None` if there are none.
pub fn command_line(query: &[Pair]) -> Option<String> {
    let words = query.iter().filter(|(name, _)| **name == *"command");
    let words = words.map(|(_, value)| value.as_deref().unwrap_or_default());
    let words: Vec<String> = words.enumerate().map(|(at, word)| written(at == 0, word)).collect();
    (!words.is_empty()).then(|| words.join(" "))
}

fn written(is_program: bool, word: &str) -> String {
    let is_usual = |byte: u8| byte.is_ascii_alphanumeric() || b"_@%+=:,./-".contains(&byte);
    let is_plain = !word.is_empty() && word.bytes().all(is_usual);
    // In front, a word with `=` in it would set a variable.
    let means_more = is_program && (word.contains('=') || RESERVED.contains(&word));
    if is_plain && !means_more { word.to_owned() } else { quoted(word) }
}

fn quoted(value: &str) -> String {
    format!("'{}'", value.replace('\'', r"'\''"))
}

/// Nothing is between the API server and the program: a shell reads what it is told only where the first word is one. The line
/// is read as one of SSH is, whose grammar knows programs that run others.
pub(super) fn running(at: &KubernetesResource, query: &[Pair]) -> Option<Running> {
    let line = command_line(query)?;
    let has_terminal = query
        .iter()
        .any(|(name, value)| **name == *"tty" && super::selector::is_true(value.as_deref().unwrap_or_default()));
    let Ok(read) = ssh::exec(line.as_bytes(), has_terminal) else {
        let opaque = Some("the line is too long".into());
        return Some(Running { effects: vec![unknown()], shown: "[too long]".to_owned(), opaque });
    };
    let mut effects: Vec<Effect> = Vec::new();
    for effect in read.effects {
        let effect = match effect.object {
            Object::Command(command) => {
                let command = KubernetesCommand { at: at.clone(), command: (*command).clone() };
                Effect::new(Verb::KubernetesExec, Object::KubernetesCommand(Arc::new(command)))
            }
            Object::Login => unknown(),
            object => Effect { object, ..effect },
        };
        if !effects.contains(&effect) {
            effects.push(effect);
        }
    }
    Some(Running { effects, shown: read.shown, opaque: read.facts.opaque })
}

fn unknown() -> Effect {
    Effect::new(Verb::Opaque, Object::Target)
}
