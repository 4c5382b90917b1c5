//! One command: what it is, and what it runs besides.

use std::sync::Arc;

use model::effect::{Object, Verb};

use super::super::request::Carries;
use super::super::word::Word;
use super::super::wrappers::{self, Kind, Wrapper};
use super::super::{secrets, servers};
use super::{Done, Mark, Reader};

/// A word of a command.
pub(super) struct Item {
    pub(super) word: Word,
    /// Where in its text it begins; `None` for what has no place of its own there.
    pub(super) at: Option<usize>,
    /// How its raw text is shown, if it holds a secret.
    raw: Option<String>,
    /// How the word is shown, if it holds a secret.
    masked: Option<String>,
    is_program: bool,
}

impl Item {
    pub(super) const fn new(word: Word, at: Option<usize>, raw: Option<String>) -> Self {
        Self { word, at, raw, masked: None, is_program: false }
    }

    /// What stands for `<(…)`.
    pub(super) fn substituted() -> Self {
        Self::new(Word { text: "<(…)".to_owned(), ..Word::default() }, None, None)
    }

    fn text(&self) -> &str {
        &self.word.text
    }

    fn shown(&self) -> &str {
        self.masked.as_deref().or(self.raw.as_deref()).unwrap_or(&self.word.text)
    }

    pub(super) fn mark(&self) -> Option<(usize, Mark)> {
        let masked = self.masked.as_ref().or(self.raw.as_ref()).map(|shown| Mark::Masked(quoted(shown)));
        Some((self.at?, masked.or_else(|| self.is_program.then_some(Mark::Program))?))
    }
}

/// A masked word in the quotes that it needs to be one.
fn quoted(shown: &str) -> String {
    if shown.contains(|character: char| character.is_whitespace() || "'\"();|&<>".contains(character))
        && !shown.contains('$')
    {
        format!("'{}'", shown.replace('\'', r"'\''"))
    } else {
        shown.to_owned()
    }
}

impl Reader {
    /// A program without arguments.
    pub(super) fn run(&mut self, program: &str) {
        self.done.push(Done::Run { program: program.into(), arguments: Vec::new() });
    }

    /// The command that these words are.
    pub(super) fn run_items(&mut self, items: &mut [Item], tells_secret: bool, depth: usize) {
        self.run_command(items, Given { more: false, tells_secret }, depth);
    }

    fn run_command(&mut self, items: &mut [Item], given: Given, depth: usize) {
        let Some(program) = items.first_mut() else { return };
        if !program.word.names_a_program() {
            self.mask(items, given.tells_secret);
            return self.opaque("a program whose name is computed");
        }
        program.is_program = true;
        let program: Arc<str> = program.text().into();
        if self.functions.iter().any(|function| **function == *program) {
            self.opaque("a function that the line defines");
        }
        if depth.saturating_add(items.len()) > 100_000 || self.done.len() > super::MOST_EFFECTS {
            return self.opaque("it does too much");
        }
        let slot = self.done.len();
        self.run(&program);
        self.mask(items, given.tells_secret);
        self.what_it_runs(&program, items, given, depth);
        let arguments = items.iter().skip(1).map(|item| item.shown().into()).collect();
        if let Some(done) = self.done.get_mut(slot) {
            *done = Done::Run { program, arguments };
        }
    }

    /// Masks the words that are secrets where they stand.
    fn mask(&self, items: &mut [Item], tells_secret: bool) {
        let words: Vec<&str> = items.iter().map(Item::text).collect();
        let says = words
            .first()
            .is_some_and(|program| matches!(program.rsplit('/').next(), Some("echo" | "printf" | "print")));
        let masks = secrets::in_command(&words);
        for (index, (item, mask)) in items.iter_mut().zip(masks).enumerate() {
            let is_told = says && tells_secret && index > 0;
            let mask = if is_told { Some(secrets::MARK.to_owned()) } else { mask };
            item.masked = item.masked.take().or(mask);
        }
    }

    fn what_it_runs(&mut self, program: &str, items: &mut [Item], given: Given, depth: usize) {
        let name = program.rsplit('/').next().unwrap_or(program);
        let Some((_, arguments)) = items.split_first_mut() else { return };
        if self.serves(name, arguments) {
            return;
        }
        let texts: Vec<&str> = arguments.iter().map(Item::text).collect();
        match wrappers::kind(name, &texts) {
            Kind::Plain => {}
            Kind::Opaque(why) => self.opaque(why),
            Kind::OpaqueWith(these) => {
                let may_run = |item: &Item| !item.word.constant || wrappers::is_one_of(these, item.text());
                let bundled =
                    wrappers::bundles(name) && texts.first().is_some_and(|first| wrappers::has_letter_of(these, first));
                if bundled || arguments.iter().any(may_run) {
                    self.opaque("an option that may run something");
                }
            }
            Kind::Moves => self.moves = true,
            Kind::Variables => self.variables(arguments),
            Kind::Command(wrapper) => self.wrapped(wrapper, arguments, given, depth),
            Kind::Xargs => self.wrapped(wrappers::xargs(), arguments, Given { more: true, ..given }, depth),
            Kind::Shell => self.shell(arguments, depth),
            Kind::Joined => self.joined(name, arguments, depth),
            Kind::Su => self.su(arguments, depth),
            Kind::Find => self.find(arguments, given, depth),
            Kind::Ssh => self.opaque("what another host is told"),
        }
    }

    /// Whether it is one of the commands that clients have run to move files.
    fn serves(&mut self, name: &str, arguments: &[Item]) -> bool {
        let texts: Vec<Option<&str>> =
            arguments.iter().map(|item| Some(item.text()).filter(|_| item.word.constant)).collect();
        let Some(server) = servers::recognise(name, &texts) else { return false };
        if let Some(why) = server.unclear {
            self.opaque(why);
        }
        if server.is_sftp {
            self.carries = Carries::Sftp;
            self.do_other(Verb::Sftp, Object::Login);
        } else if self.carries == Carries::Text {
            self.carries = Carries::Files;
        }
        let is_home = |path: &str| {
            // git expands a `~` itself.
            let expanded = name.starts_with("git") && path.starts_with('~');
            expanded || arguments.iter().any(|item| item.word.home && item.text() == path)
        };
        for (verb, path) in server.files {
            let word = Word { constant: true, home: is_home(&path), text: path, ..Word::default() };
            self.files(&[verb], &word);
        }
        true
    }

    fn variables(&mut self, arguments: &[Item]) {
        for item in arguments {
            let name = item.text().split('=').next().unwrap_or_default();
            let is_name = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
            if is_name && (item.word.constant || item.text().contains('=')) {
                self.variable(name);
            } else if !matches!(item.text(), "-r" | "-s" | "-p" | "-x") {
                self.opaque("a variable whose name is not a name");
            }
        }
    }

    fn wrapped(&mut self, wrapper: &Wrapper, arguments: &mut [Item], given: Given, depth: usize) {
        let seen: Vec<(&str, bool)> =
            arguments.iter().map(|item| (item.text(), item.word.constant && !item.word.home)).collect();
        let Some(mut at) = wrapper.options(&seen) else {
            return self.opaque("an option whose command is not certain");
        };
        at = at.saturating_add(wrapper.skip);
        while wrapper.assigns && arguments.get(at).is_some_and(|item| item.text().contains('=')) {
            let name = arguments.get(at).and_then(|item| item.text().split('=').next()).unwrap_or_default().to_owned();
            self.variable(&name);
            at = at.saturating_add(1);
        }
        self.changes_home |= wrapper.bare_runs;
        let is_file = |done: &Done| matches!(done, Done::Other(other) if matches!(other.object, Object::File(_)));
        let before = self.done.iter().filter(|done| is_file(done)).count();
        match arguments.get_mut(at..) {
            Some(inner) if !inner.is_empty() => self.run_command(inner, given, depth),
            _ if wrapper.bare_runs || (given.more && !std::ptr::eq(wrapper, wrappers::xargs())) => {
                self.opaque("it runs what is not in the line");
            }
            _ => {}
        }
        if wrapper.moves && self.done.iter().filter(|done| is_file(done)).count() > before {
            self.opaque("a path below another root");
        }
    }

    /// `sh -c TEXT`; a script or standard input is not in the line.
    fn shell(&mut self, arguments: &mut [Item], depth: usize) {
        let mut runs_text = false;
        let mut at = 0_usize;
        while let Some(item) = arguments.get(at) {
            let Some(letters) = item.text().strip_prefix(['-', '+']).filter(|_| item.word.constant) else { break };
            at = at.saturating_add(1);
            match letters {
                "-" | "" => break,
                "-norc" | "-noprofile" | "-posix" => {}
                _ if letters.chars().all(|letter| "abcefhklmnpuvxBCEP".contains(letter)) => {
                    runs_text |= letters.contains('c') && item.text().starts_with('-');
                }
                "o" if arguments.get(at).is_some_and(|next| next.word.constant) => at = at.saturating_add(1),
                _ => return self.opaque("an option of a shell that is not known"),
            }
        }
        match arguments.get_mut(at) {
            Some(item) if runs_text && item.word.constant => self.inner_text(item, depth),
            _ => self.opaque("a shell that runs what is not in the line"),
        }
    }

    /// A word that is a text to run.
    fn inner_text(&mut self, item: &mut Item, depth: usize) {
        let text = item.text().to_owned();
        let shown = self.text(&text, depth.saturating_add(1)).shown;
        item.masked = if shown == text { None } else { Some(shown) };
    }

    /// `eval` and `watch`: the words joined by spaces are a text.
    fn joined(&mut self, name: &str, arguments: &mut [Item], depth: usize) {
        let options = if name == "watch" { leading_options(arguments, "bcdegtx", "nq") } else { Some(0) };
        let Some(words) = options.and_then(|at| arguments.get_mut(at..)) else {
            return self.opaque("an option whose command is not certain");
        };
        if !words.iter().all(|item| item.word.constant && !item.word.home) {
            return self.opaque("a text that is computed");
        }
        let text = words.iter().map(Item::text).collect::<Vec<_>>().join(" ");
        if self.text(&text, depth.saturating_add(1)).shown != text {
            words.iter_mut().for_each(|item| item.masked = Some(secrets::MARK.to_owned()));
        }
    }

    /// `su [-] [user] -c TEXT`.
    fn su(&mut self, arguments: &mut [Item], depth: usize) {
        (self.changes_home, self.moves) = (true, true);
        let mut text = None;
        for (index, item) in arguments.iter().enumerate() {
            match item.text() {
                _ if !item.word.constant && text != Some(index) => return self.opaque("an argument that is computed"),
                "-c" | "--command" if text.is_none() => text = Some(index.saturating_add(1)),
                "-" | "-l" | "--login" | "-m" | "-p" | "--preserve-environment" => {}
                option if option.starts_with('-') && text != Some(index) => return self.opaque("an option of su"),
                _ => {}
            }
        }
        match text.and_then(|at| arguments.get_mut(at)) {
            Some(item) if item.word.constant => self.inner_text(item, depth),
            _ => self.opaque("a shell that runs what is not in the line"),
        }
    }

    /// `find`: where it looks, and what it does with what it finds.
    fn find(&mut self, arguments: &mut [Item], given: Given, depth: usize) {
        if !arguments.iter().all(|item| item.word.constant) {
            return self.opaque("an argument of find that is computed");
        }
        let is_start = |item: &Item| !item.text().starts_with(['-', '(', '!', ',']);
        let options = arguments.iter().take_while(|item| matches!(item.text(), "-H" | "-L" | "-P")).count();
        let starts: Vec<Word> =
            arguments.iter().skip(options).take_while(|item| is_start(item)).map(|item| item.word.clone()).collect();
        let mut at = options.saturating_add(starts.len());
        while let Some(item) = arguments.get(at) {
            let action = item.text().to_owned();
            at = at.saturating_add(1);
            match action.as_str() {
                "-delete" => self.delete(&starts),
                "-fprint" | "-fprint0" | "-fls" | "-fprintf" => match arguments.get(at).map(|item| item.word.clone()) {
                    Some(word) => self.files(&[Verb::WriteFile, Verb::CreateFile], &word),
                    None => self.opaque("find without a file"),
                },
                "-exec" | "-execdir" | "-ok" | "-okdir" => at = self.executed(arguments, at, given, depth),
                "-files0-from" => self.opaque("find with starting points that are not in the line"),
                _ => {}
            }
        }
    }

    fn delete(&mut self, starts: &[Word]) {
        if starts.is_empty() {
            self.files(&[Verb::RemoveFile], &Word { text: ".".to_owned(), constant: true, ..Word::default() });
        }
        starts.iter().for_each(|start| self.files(&[Verb::RemoveFile], start));
    }

    /// The command from `at` to the `;` or `+` that ends it; where the next argument is.
    fn executed(&mut self, arguments: &mut [Item], at: usize, given: Given, depth: usize) -> usize {
        let rest = arguments.get(at..).unwrap_or_default();
        let is_end = |(index, item): (usize, &Item)| match item.text() {
            ";" => true,
            "+" => index.checked_sub(1).and_then(|before| rest.get(before)).is_some_and(|item| item.text() == "{}"),
            _ => false,
        };
        let Some(length) = rest.iter().enumerate().position(is_end) else {
            self.opaque("find with a command that does not end");
            return arguments.len();
        };
        let end = at.saturating_add(length);
        let Some(command) = arguments.get_mut(at..end) else { return arguments.len() };
        // What is found may be called anything.
        for item in command.iter_mut().filter(|item| item.text().contains("{}")) {
            item.word.constant = false;
        }
        if command.is_empty() {
            self.opaque("find with a command that does not end");
        }
        self.run_command(command, given, depth);
        end.saturating_add(1)
    }
}

/// What a command is given besides its words.
#[derive(Clone, Copy)]
struct Given {
    /// Arguments that are not in the line.
    more: bool,
    /// A secret, to tell the next command of the pipe.
    tells_secret: bool,
}

/// How many words are options; `None` where one is not known.
fn leading_options(arguments: &[Item], flags: &str, valued: &str) -> Option<usize> {
    let mut at = 0_usize;
    while let Some(option) = arguments.get(at).and_then(|item| item.text().strip_prefix('-')) {
        at = at.saturating_add(1);
        let first = option.chars().next()?;
        if valued.contains(first) {
            at = at.saturating_add(usize::from(option.len() == 1));
        } else if !option.chars().all(|letter| flags.contains(letter)) {
            return None;
        }
    }
    Some(at)
}
