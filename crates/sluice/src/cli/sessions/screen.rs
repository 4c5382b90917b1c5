//! What a program showed on a terminal, without all that drives more of one than its screen (RC-13).
//!
//! What is let pass moves the cursor, erases, scrolls, and sets colours and the alternate screen. Titles, the clipboard,
//! links, questions that a terminal answers by itself, modes in which it types more than its keys, and everything that is not
//! known are left out (ECMA-48, and the control sequences of xterm).

use crate::cli::show;

/// The longest control sequence that is understood; a longer one is left out.
const LONGEST: usize = 64;
/// The largest number in one: no screen has more lines or columns.
const LARGEST: u32 = 9999;
/// Private modes that concern the screen alone: reverse video, origin, wrapping, the cursor, the alternate screen.
const MODES: [u32; 9] = [5, 6, 7, 12, 25, 47, 1047, 1048, 1049];

/// Lets pass what concerns the screen. Control sequences may be split over any number of pieces.
pub(super) struct Filter {
    keeps_control: bool,
    state: State,
}

#[derive(Clone, PartialEq, Eq, Debug)]
enum State {
    Ground,
    /// After ESC, and what else came of a short sequence.
    Escape(String),
    /// After CSI.
    Control(String),
    /// In a text for the terminal itself, which ESC may just be about to end.
    Text {
        escaped: bool,
    },
}

impl Filter {
    /// For a terminal.
    pub(super) const fn screen() -> Self {
        Self { keeps_control: true, state: State::Ground }
    }

    /// For people: no control sequences at all.
    pub(super) const fn text() -> Self {
        Self { keeps_control: false, state: State::Ground }
    }

    /// What passes of a piece.
    pub(super) fn pass(&mut self, piece: &str) -> String {
        let mut out = String::with_capacity(piece.len());
        piece.chars().for_each(|character| self.push(&mut out, character));
        out
    }

    fn push(&mut self, out: &mut String, character: char) {
        self.state = match std::mem::replace(&mut self.state, State::Ground) {
            State::Ground => ground(out, character),
            State::Escape(begun) => self.escape(out, begun, character),
            State::Control(begun) => self.control(out, begun, character),
            // Whatever else follows ESC begins something of its own.
            State::Text { escaped: true } if character != '\\' => self.escape(out, String::new(), character),
            State::Text { escaped } => text(escaped, character),
        };
    }

    fn escape(&self, out: &mut String, mut begun: String, character: char) -> State {
        match (begun.as_str(), character) {
            ("", '[') => return State::Control(String::new()),
            ("", ']' | 'P' | 'X' | '^' | '_' | 'k') => return State::Text { escaped: false },
            (_, ' '..='/') if begun.len() < LONGEST => {
                begun.push(character);
                return State::Escape(begun);
            }
            ("", '7' | '8' | 'D' | 'E' | 'M' | 'c') | ("(" | ")", 'B' | '0') if self.keeps_control => {
                out.push('\u{1b}');
                out.push_str(&begun);
                out.push(character);
            }
            (_, '\0'..='\u{1f}') => return ground(out, character),
            _ => {}
        }
        State::Ground
    }

    fn control(&self, out: &mut String, mut begun: String, character: char) -> State {
        match character {
            ' '..='?' => {
                // Of one that is too long the end is waited for all the same.
                if begun.len() <= LONGEST {
                    begun.push(character);
                }
                State::Control(begun)
            }
            '@'..='~' => {
                if self.keeps_control && begun.len() <= LONGEST {
                    out.push_str(&known(&begun, character).unwrap_or_default());
                }
                State::Ground
            }
            _ => ground(out, character),
        }
    }
}

/// A character outside of any sequence.
fn ground(out: &mut String, character: char) -> State {
    match character {
        '\u{1b}' => return State::Escape(String::new()),
        '\n' | '\r' | '\t' | '\u{8}' => out.push(character),
        '\0'..='\u{1f}' | '\u{7f}' => {}
        '\u{a0}' => out.push(' '),
        character if show::is_hidden(character) => out.push(char::REPLACEMENT_CHARACTER),
        character => out.push(character),
    }
    State::Ground
}

/// A character of a text for the terminal itself: nothing of it passes.
const fn text(escaped: bool, character: char) -> State {
    match (escaped, character) {
        (true, '\\') | (_, '\u{7}' | '\u{18}' | '\u{1a}' | '\u{9c}') => State::Ground,
        (_, character) => State::Text { escaped: character == '\u{1b}' },
    }
}

/// A control sequence, if it is one that concerns the screen.
fn known(parameters: &str, end: char) -> Option<String> {
    if let (Some(modes), 'h' | 'l') = (parameters.strip_prefix('?'), end) {
        let wanted = modes.split(';').filter(|mode| mode.parse().is_ok_and(|mode| MODES.contains(&mode)));
        let wanted: Vec<&str> = wanted.collect();
        return (!wanted.is_empty()).then(|| format!("\u{1b}[?{}{end}", wanted.join(";")));
    }
    let is_small = |number: &str| number.is_empty() || number.parse().is_ok_and(|number: u32| number <= LARGEST);
    let is_plain = parameters.split([';', ':']).all(is_small);
    let is_known = match end {
        'h' | 'l' => parameters == "4",
        '@'..='M' | 'P' | 'S' | 'X' | 'Z' | '`' | 'a' | 'b' | 'd' | 'e' | 'f' | 'm' | 'r' | 's' | 'u' => is_plain,
        // With more than one number it follows the mouse.
        'T' => is_plain && !parameters.contains(';'),
        _ => false,
    };
    is_known.then(|| format!("\u{1b}[{parameters}{end}"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_draws_passes() {
        for drawn in [
            "plain\r\n\ttext\u{8}",
            "\u{1b}[1;31mred\u{1b}[0m",
            "\u{1b}[38:2:1:2:3m",
            "\u{1b}[2J\u{1b}[H\u{1b}[10;20H",
            "\u{1b}[?1049h\u{1b}[?25l\u{1b}[?25h\u{1b}[?1049l",
            "\u{1b}7\u{1b}8\u{1b}M\u{1b}(0qq\u{1b}(B",
            "\u{1b}[3L\u{1b}[2M\u{1b}[4h\u{1b}[5T",
            "größer 😀",
        ] {
            assert_eq!(Filter::screen().pass(drawn), drawn);
        }
    }

    /// RC-13: nothing of it reaches the clipboard, the title, the keyboard or the printer of whoever looks.
    #[test]
    fn rc_13_what_drives_more_than_the_screen_is_left_out() {
        for hostile in [
            "\u{1b}]52;c;ZWNobw==\u{7}",
            "\u{1b}]0;title\u{1b}\\",
            "\u{1b}]8;;https://evil.example\u{1b}\\",
            "\u{1b}P$q\"p\u{1b}\\",
            "\u{1b}_Gx\u{1b}\\\u{1b}^p\u{1b}\\\u{1b}Xs\u{1b}\\\u{1b}ktmux\u{1b}\\",
            "\u{1b}[6n\u{1b}[c\u{1b}[>c\u{1b}[?6n\u{1b}[21t\u{1b}[5i\u{1b}[?1000h\u{1b}[?2004h\u{1b}[20h",
            "\u{1b}[>4;2m\u{1b}[!p\u{1b}[1 q\u{1b}[99999999b\u{1b}[1;2;3;4;5T",
            "\u{1b}#8\u{1b}%G\u{1b}=\u{1b}>\u{1b}Z\u{1b}n",
            "\u{7}\u{5}\u{e}\u{f}\u{7f}",
        ] {
            assert_eq!(Filter::screen().pass(hostile), "", "{hostile:?}");
        }
        assert_eq!(Filter::screen().pass("\u{1b}[?25;1000;7l"), "\u{1b}[?25;7l");
        assert_eq!(Filter::screen().pass("\u{9b}2J\u{9d}0;x\u{9c}\u{202e}"), "\u{fffd}2J\u{fffd}0;x\u{fffd}\u{fffd}");
        let long = format!("\u{1b}[{}m!", "1;".repeat(10_000));
        assert_eq!(Filter::screen().pass(&long), "!");
    }

    #[test]
    fn of_a_text_no_control_sequence_is_left() {
        let shown = "\u{1b}[1;31mred\u{1b}[0m \u{1b}]0;t\u{7}\u{1b}(Band\u{1b}7 blue\r\n";
        assert_eq!(Filter::text().pass(shown), "red and blue\r\n");
    }

    proptest! {
        /// However it is cut, the same passes.
        #[test]
        fn a_sequence_may_be_cut_anywhere(text in "([a-z]|\u{1b}|\\[|\\]|;|[0-9]|\\?|h|m|\\\\|\u{7}|\n|ä)*", at in 0usize..40) {
            let at = text.char_indices().map(|(at, _)| at).nth(at).unwrap_or(text.len());
            let (first, second) = text.split_at(at);
            let mut cut = Filter::screen();
            let passed = cut.pass(first) + &cut.pass(second);
            prop_assert_eq!(passed, Filter::screen().pass(&text));
        }

        /// Whatever passed once passes again: nothing is made of the pieces of what was left out.
        #[test]
        fn what_passed_passes(text in "([a-z]|\u{1b}|\\[|\\]|;|[0-9]|\\?|h|m|n|\\\\|\u{7}|\n|P)*") {
            let once = Filter::screen().pass(&text);
            prop_assert_eq!(Filter::screen().pass(&once), once);
        }
    }
}
