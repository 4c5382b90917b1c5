//! A line that a login's shell would run.

mod commands;
mod tree;

use std::collections::BTreeMap;
use std::sync::Arc;

use brush_parser::Token;
use model::effect::{Command, Effect, Facts, Object, Verb};
use thiserror::Error;

use super::grammar;
use super::request::{Carries, Request};
use super::secrets;
use crate::shown::{Room, cut};

/// The longest line, in bytes. One that is longer is refused, not understood otherwise.
pub const MOST_OF_A_LINE: usize = 64 * 1024;
/// How many effects one line may have.
const MOST_EFFECTS: usize = 256;
/// How much all of them may hold, in bytes, so that an entry of the journal (65,535) has room for them.
const MOST_RECORDED: usize = 40 * 1024;
/// How deeply texts may be in each other: substitutions, `sh -c`.
const DEEPEST: usize = 8;

/// A line that is too long to look at: the caller refuses the request.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
#[error("the line has {length} bytes, more than {MOST_OF_A_LINE}")]
pub struct TooLong {
    /// How long it is, in bytes.
    pub length: usize,
}

/// What a line would do (RFC 4254, section 6.5), read by the grammar of POSIX shells and bash.
///
/// There is one effect for each command of the line: in lists, pipes, loops, functions, substitutions, and behind programs
/// that run another (`sudo`, `env`, `sh -c`, `xargs`, …). Redirections and the commands of `scp`, `rsync` and `git` are
/// effects on files too. What is not understood is [`Verb::Opaque`] on the login, beside what was. What a program does
/// once it runs is nobody's to know from its line.
///
/// # Errors
/// The line is too long.
pub fn exec(line: &[u8], interactive: bool) -> Result<Request, TooLong> {
    if line.len() > MOST_OF_A_LINE {
        return Err(TooLong { length: line.len() });
    }
    let Ok(text) = std::str::from_utf8(line) else {
        return Ok(not_understood(&String::from_utf8_lossy(line), "it is not UTF-8", interactive));
    };
    let mut reader = Reader::default();
    let reading = reader.text(text, 0);
    let Some(parsed) = reading.parsed else {
        let why = reader.opaque.unwrap_or_else(|| "it does not parse".into());
        return Ok(not_understood(text, &why, interactive));
    };
    reader.settle();
    let recorded = reader.done.iter().map(|done| done.size(reading.shown.len()));
    if reader.done.len() > MOST_EFFECTS || recorded.fold(0, usize::saturating_add) > MOST_RECORDED {
        return Ok(not_understood(text, "it does more than an entry of the journal has room for", interactive));
    }
    let (statement, values) = normalised(&parsed.tokens, &parsed.marks);
    let multi = reader.done.iter().filter(|done| matches!(done, Done::Run { .. })).count() > 1;
    let facts = Facts { kind: "exec".into(), bounded: true, multi, opaque: reader.opaque.clone() };
    let carries = if interactive && reader.carries == Carries::Text { Carries::Terminal } else { reader.carries };
    let effects = reader.effects(&reading.shown.as_str().into(), interactive);
    Ok(Request { effects, facts, statement, values, shown: reading.shown, carries })
}

fn not_understood(line: &str, why: &str, interactive: bool) -> Request {
    let shown = secrets::mask_text(line);
    let effects = vec![Effect::new(Verb::Opaque, Object::Login)];
    let facts = Facts { kind: "exec".into(), bounded: true, multi: false, opaque: Some(why.into()) };
    let values = vec![Room::default().clear(&shown)];
    let carries = if interactive { Carries::Terminal } else { Carries::Text };
    Request { effects, facts, statement: "$1".to_owned(), values, shown, carries }
}

/// Something that a line does.
enum Done {
    /// A command; its words are put in once all that it runs is known.
    Run {
        program: Arc<str>,
        arguments: Vec<Arc<str>>,
    },
    Other(Effect),
}

impl Done {
    fn size(&self, line: usize) -> usize {
        match self {
            Self::Run { program, arguments } => {
                let arguments = arguments.iter().map(|argument| argument.len().saturating_add(2));
                arguments.fold(program.len().saturating_add(line), usize::saturating_add)
            }
            Self::Other(Effect { object: Object::File(path), .. }) => path.len().saturating_add(8),
            Self::Other(_) => 8,
        }
    }
}

/// What a word of the text is, by where it begins.
enum Mark {
    /// The program of a command: it stays in the normalised text.
    Program,
    /// It holds a secret, and is shown as this.
    Masked(String),
}

type Marks = BTreeMap<usize, Mark>;

/// A text that was read.
struct Reading {
    /// The text with secrets masked.
    shown: String,
    parsed: Option<Parsed>,
}

struct Parsed {
    tokens: Vec<Token>,
    marks: Marks,
}

/// What was found so far, in the line and in all texts that are in it.
#[derive(Default)]
struct Reader {
    done: Vec<Done>,
    opaque: Option<Arc<str>>,
    /// The names of functions that the line defines.
    functions: Vec<String>,
    /// Whether anything may change where relative paths begin, and whether there are any.
    moves: bool,
    is_relative: bool,
    /// The same of paths below `~`.
    changes_home: bool,
    is_in_home: bool,
    /// Whether any text of the line is more than one command without redirections.
    is_compound: bool,
    carries: Carries,
}

impl Reader {
    /// Reads a text that the line is, or has in it.
    fn text(&mut self, text: &str, depth: usize) -> Reading {
        let parsed = if depth > DEEPEST { Err("texts are nested too deeply") } else { grammar::parse(text) };
        let parsed = match parsed {
            Ok(parsed) if self.done.len() <= MOST_EFFECTS => parsed,
            Ok(_) => return Reading { shown: secrets::mask_text(text), parsed: None },
            Err(why) => {
                self.opaque(why);
                return Reading { shown: secrets::mask_text(text), parsed: None };
            }
        };
        let mut level = tree::Level { depth, marks: Marks::new() };
        self.program(&parsed.program, &mut level);
        self.is_compound |= !tree::is_simple(&parsed.program);
        let shown = masked(text, &parsed.tokens, &level.marks);
        Reading { shown, parsed: Some(Parsed { tokens: parsed.tokens, marks: level.marks }) }
    }

    fn opaque(&mut self, why: &str) {
        self.opaque.get_or_insert_with(|| why.into());
    }

    fn do_other(&mut self, verb: Verb, object: Object) {
        let effect = Effect::new(verb, object);
        let known = |done: &Done| matches!(done, Done::Other(other) if *other == effect);
        if !self.done.iter().any(known) {
            self.done.push(Done::Other(effect));
        }
    }

    /// What only the whole line tells.
    fn settle(&mut self) {
        if (self.moves && self.is_relative) || (self.changes_home && self.is_in_home) {
            self.opaque("a relative path where the directory may be another");
        }
        if self.carries == Carries::Sftp && self.is_compound {
            self.opaque("an SFTP server among other commands");
        }
        if self.opaque.is_some() {
            self.do_other(Verb::Opaque, Object::Login);
        }
        if self.done.is_empty() {
            // It sets a variable or says nothing: the shell's own command that does nothing.
            self.done.push(Done::Run { program: ":".into(), arguments: Vec::new() });
        }
    }

    fn effects(self, line: &Arc<str>, interactive: bool) -> Vec<Effect> {
        let effect = |done| match done {
            Done::Other(effect) => effect,
            Done::Run { program, arguments } => {
                let command = Command { program, arguments, line: Arc::clone(line), interactive };
                Effect::new(Verb::Exec, Object::Command(Arc::new(command)))
            }
        };
        let mut effects: Vec<Effect> = self.done.into_iter().map(effect).collect();
        let mut seen = std::collections::BTreeSet::new();
        effects.retain(|effect| seen.insert(effect.clone()));
        effects
    }
}

/// The text with the words that hold secrets replaced.
fn masked(text: &str, tokens: &[Token], marks: &Marks) -> String {
    if !marks.values().any(|mark| matches!(mark, Mark::Masked(_))) {
        return text.to_owned();
    }
    let characters: Vec<char> = text.chars().collect();
    let mut out = String::with_capacity(text.len());
    let mut at = 0_usize;
    for token in tokens {
        let (start, end) = (token.location().start.index, token.location().end.index);
        let Some(Mark::Masked(shown)) = marks.get(&start) else { continue };
        let is_there = characters.get(start..end).is_some_and(|there| there.iter().copied().eq(token.to_str().chars()));
        let Some(before) = characters.get(at..start).filter(|_| is_there) else {
            // The place of the word is not certain: then as much is hidden as may hold it.
            return secrets::mask_text(text);
        };
        out.extend(before);
        out.push_str(shown);
        at = end;
    }
    out.extend(characters.get(at..).unwrap_or_default());
    out
}

/// The text with everything but operators, the shell's own words and the programs as `$n`, and what stood there.
fn normalised(tokens: &[Token], marks: &Marks) -> (String, Vec<model::event::Shown>) {
    let (mut text, mut values, mut room) = (String::new(), Vec::new(), Room::default());
    for (index, token) in tokens.iter().enumerate() {
        let written = token.to_str();
        let is_number = || {
            let next = tokens.get(index.saturating_add(1));
            let touches = |next: &Token| next.location().start.index == token.location().end.index;
            written.bytes().all(|byte| byte.is_ascii_digit())
                && next.is_some_and(|next| matches!(next, Token::Operator(..)) && touches(next))
        };
        let stays = match (token, marks.get(&token.location().start.index)) {
            (Token::Operator(..), _) | (_, Some(Mark::Program)) => true,
            (_, Some(Mark::Masked(_))) => false,
            (_, None) => is_reserved(written) || is_number(),
        };
        if !text.is_empty() {
            text.push(' ');
        }
        if stays {
            text.push_str(if written == "\n" { ";" } else { written });
        } else {
            values.push(match marks.get(&token.location().start.index) {
                Some(Mark::Masked(shown)) if *shown == secrets::MARK => Room::secret(),
                Some(Mark::Masked(shown)) => room.clear(shown),
                Some(Mark::Program) | None => room.clear(written),
            });
            text.push_str(&format!("${}", values.len()));
        }
    }
    (cut(&text, MOST_RECORDED / 2).to_owned(), values)
}

/// The shell's own words (POSIX, XCU 2.4).
fn is_reserved(word: &str) -> bool {
    matches!(
        word,
        "!" | "{"
            | "}"
            | "case"
            | "do"
            | "done"
            | "elif"
            | "else"
            | "esac"
            | "fi"
            | "for"
            | "if"
            | "in"
            | "then"
            | "until"
            | "while"
            | "[["
            | "]]"
            | "function"
            | "time"
    )
}
