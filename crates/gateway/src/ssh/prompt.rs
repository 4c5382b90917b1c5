//! Questions for a secret: what is typed in answer to one is not put on the tape (LK-04).
//!
//! A terminal does not tell whether it echoes. So this goes by what is shown: a line that is not over, ends in a colon or a
//! question mark, and speaks of a secret. An answer ends with its line. What is asked for in other words is on the tape as it
//! was typed (docs/protocols/ssh-recording.md).

use std::sync::{Mutex, PoisonError};

/// What a question for a secret speaks of, in lower case.
const WORDS: [&[u8]; 9] =
    [b"password", b"passphrase", b"passcode", b"secret", b"token", b"pin ", b"pin:", b"verification code", b"one-time"];

/// How much of a line is kept to look for them.
const LINE: usize = 256;

/// What the tape has in place of an answer.
pub(crate) const ANSWER: &[u8] = b"[secret]";

/// What is asked on a channel now.
#[derive(Default)]
pub(crate) struct Prompt(Mutex<State>);

#[derive(Default)]
struct State {
    /// The line that is not over, in lower case and without what no reader sees.
    line: Vec<u8>,
    /// Whether a sequence of a terminal has begun, which no reader sees.
    in_sequence: bool,
    /// Whether a secret is being answered.
    answers: bool,
}

impl Prompt {
    /// Takes what is shown.
    pub(crate) fn shown(&self, bytes: &[u8]) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let start = memchr::memrchr2(b'\n', b'\r', bytes).map_or(0, |at| {
            (state.line, state.in_sequence) = (Vec::new(), false);
            at.saturating_add(1)
        });
        let rest = bytes.get(start..).unwrap_or_default();
        let rest = rest.get(rest.len().saturating_sub(LINE)..).unwrap_or_default();
        rest.iter().for_each(|byte| state.take(*byte));
        let over = state.line.len().saturating_sub(LINE);
        state.line.drain(..over);
    }

    /// What of an answer the tape may have; `None` if nothing more of it.
    pub(crate) fn typed<'a>(&self, bytes: &'a [u8]) -> Option<std::borrow::Cow<'a, [u8]>> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let begins = !state.answers && state.asks();
        if !begins && !state.answers {
            return Some(bytes.into());
        }
        let end = memchr::memchr2(b'\r', b'\n', bytes);
        state.answers = end.is_none();
        if end.is_some() {
            state.line.clear();
        }
        let mut out = if begins { ANSWER.to_vec() } else { Vec::new() };
        out.extend_from_slice(end.and_then(|end| bytes.get(end..)).unwrap_or_default());
        (!out.is_empty()).then_some(out.into())
    }
}

impl State {
    fn take(&mut self, byte: u8) {
        match byte {
            0x1b => self.in_sequence = true,
            byte if self.in_sequence => self.in_sequence = !byte.is_ascii_alphabetic(),
            byte if !byte.is_ascii_control() => self.line.push(byte.to_ascii_lowercase()),
            _ => {}
        }
    }

    fn asks(&self) -> bool {
        let line = self.line.trim_ascii_end();
        let is_question = line.ends_with(b":") || line.ends_with(b"?") || line.ends_with(b">");
        is_question && WORDS.iter().any(|word| memchr::memmem::find(line, word).is_some())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taped(prompt: &Prompt, keys: &[u8]) -> Vec<u8> {
        keys.chunks(1).filter_map(|key| prompt.typed(key)).flat_map(|shown| shown.into_owned()).collect()
    }

    #[test]
    fn lk_04_what_answers_a_question_for_a_secret_is_not_on_the_tape() {
        for question in [
            "[sudo] password for ann: ",
            "Password:",
            "Enter passphrase for key '/k': ",
            "\x1b[1mVerification code:\x1b[0m ",
        ] {
            let prompt = Prompt::default();
            prompt.shown(b"$ sudo ls\r\n");
            question.as_bytes().chunks(3).for_each(|shown| prompt.shown(shown));
            assert_eq!(taped(&prompt, b"hunter2\r"), b"[secret]\r", "{question}");
            prompt.shown(b"\r\nfiles\r\n$ ");
            assert_eq!(taped(&prompt, b"ls\r"), b"ls\r");
        }
    }

    #[test]
    fn a_secret_that_comes_at_once_with_more_behind_it_is_left_out_alone() {
        let prompt = Prompt::default();
        prompt.shown(b"Password: ");
        assert_eq!(prompt.typed(b"hunter2\nwhoami\n").unwrap().as_ref(), b"[secret]\nwhoami\n");
    }

    #[test]
    fn what_only_speaks_of_passwords_is_no_question() {
        let prompt = Prompt::default();
        prompt.shown(b"the password was changed\r\n$ ");
        assert_eq!(taped(&prompt, b"ls\r"), b"ls\r");
    }
}
