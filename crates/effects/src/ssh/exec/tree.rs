//! The walk over the tree of a text: every command of it, and every redirection.

use brush_parser::ast::{
    AndOr, AndOrList, Assignment, AssignmentName, AssignmentValue, Command, CommandPrefixOrSuffixItem, CompoundCommand,
    CompoundList, FunctionDefinition, IoFileRedirectKind, IoFileRedirectTarget, IoRedirect, Pipeline, Program,
    RedirectList, SimpleCommand, Word as Written,
};
use model::effect::{Object, Verb};

use super::super::word::{Word, read, read_document};
use super::super::{path, secrets, variables};
use super::commands::Item;
use super::{Mark, Marks, Reader};

/// One text of the line.
pub(super) struct Level {
    pub(super) depth: usize,
    pub(super) marks: Marks,
}

/// Whether the text is one command without redirections.
pub(super) fn is_simple(program: &Program) -> bool {
    let [list] = program.complete_commands.as_slice() else { return false };
    let [item] = list.0.as_slice() else { return false };
    let [Command::Simple(command)] = item.0.first.seq.as_slice() else { return false };
    let parts =
        command.prefix.iter().flat_map(|prefix| &prefix.0).chain(command.suffix.iter().flat_map(|suffix| &suffix.0));
    item.0.additional.is_empty() && !parts.into_iter().any(|part| !matches!(part, CommandPrefixOrSuffixItem::Word(_)))
}

impl Reader {
    pub(super) fn program(&mut self, program: &Program, level: &mut Level) {
        for list in &program.complete_commands {
            self.define(list);
        }
        for list in &program.complete_commands {
            self.list(list, level);
        }
    }

    /// Notes the functions that a list defines, before anything that may call them is looked at.
    fn define(&mut self, list: &CompoundList) {
        let pipelines = list.0.iter().flat_map(|item| {
            let more = item.0.additional.iter().map(|(AndOr::And(next) | AndOr::Or(next))| next);
            std::iter::once(&item.0.first).chain(more)
        });
        for command in pipelines.flat_map(|pipeline| &pipeline.seq) {
            match command {
                Command::Function(function) => {
                    self.functions.push(read(&function.fname.value).text);
                    lists_of(&function.body.0).for_each(|list| self.define(list));
                }
                Command::Compound(compound, _) => lists_of(compound).for_each(|list| self.define(list)),
                Command::Simple(_) | Command::ExtendedTest(..) => {}
            }
        }
    }

    fn list(&mut self, list: &CompoundList, level: &mut Level) {
        list.0.iter().for_each(|item| self.and_or(&item.0, level));
    }

    fn and_or(&mut self, list: &AndOrList, level: &mut Level) {
        self.pipeline(&list.first, level);
        for AndOr::And(pipeline) | AndOr::Or(pipeline) in &list.additional {
            self.pipeline(pipeline, level);
        }
    }

    fn pipeline(&mut self, pipeline: &Pipeline, level: &mut Level) {
        if pipeline.timed.is_some() {
            // A word of bash, a program of other shells.
            self.run("time");
        }
        let tells_secret = pipeline.seq.iter().any(reads_a_secret);
        for command in &pipeline.seq {
            self.command(command, tells_secret, level);
        }
    }

    fn command(&mut self, command: &Command, tells_secret: bool, level: &mut Level) {
        match command {
            Command::Simple(command) => self.simple(command, tells_secret, level),
            Command::Compound(compound, redirects) => {
                self.compound(compound, level);
                self.redirects(redirects.as_ref(), level);
            }
            Command::Function(FunctionDefinition { body, .. }) => {
                self.compound(&body.0, level);
                self.redirects(body.1.as_ref(), level);
            }
            Command::ExtendedTest(_, redirects) => {
                self.opaque("`[[`, which other shells run as a command");
                self.redirects(redirects.as_ref(), level);
            }
        }
    }

    fn compound(&mut self, compound: &CompoundCommand, level: &mut Level) {
        match compound {
            CompoundCommand::Arithmetic(_) | CompoundCommand::ArithmeticForClause(_) => {
                self.opaque("arithmetic, which other shells run as a command");
            }
            CompoundCommand::Coprocess(_) => self.opaque("a coprocess"),
            CompoundCommand::ForClause(clause) => {
                self.variable(&clause.variable_name);
                clause.values.iter().flatten().for_each(|word| drop(self.word(word, level)));
            }
            CompoundCommand::CaseClause(clause) => {
                drop(self.word(&clause.value, level));
                clause.cases.iter().flat_map(|case| &case.patterns).for_each(|word| drop(self.word(word, level)));
            }
            CompoundCommand::BraceGroup(_)
            | CompoundCommand::Subshell(_)
            | CompoundCommand::IfClause(_)
            | CompoundCommand::WhileClause(_)
            | CompoundCommand::UntilClause(_) => {}
        }
        lists_of(compound).for_each(|list| self.list(list, level));
    }

    fn simple(&mut self, command: &SimpleCommand, tells_secret: bool, level: &mut Level) {
        let mut items = Vec::new();
        let prefix = command.prefix.iter().flat_map(|prefix| &prefix.0);
        prefix.for_each(|part| self.prefix(part, tells_secret, level));
        if let Some(word) = &command.word_or_name {
            items.push(self.word(word, level));
        }
        for part in command.suffix.iter().flat_map(|suffix| &suffix.0) {
            match part {
                CommandPrefixOrSuffixItem::Word(word) => items.push(self.word(word, level)),
                CommandPrefixOrSuffixItem::AssignmentWord(assignment, word) => {
                    if matches!(assignment.value, AssignmentValue::Array(_)) {
                        self.opaque("an array");
                    }
                    items.push(self.word(word, level));
                }
                CommandPrefixOrSuffixItem::IoRedirect(redirect) => self.redirect(redirect, tells_secret, level),
                CommandPrefixOrSuffixItem::ProcessSubstitution(_, inner) => {
                    self.list(&inner.list, level);
                    items.push(Item::substituted());
                }
            }
        }
        if items.is_empty() {
            return;
        }
        self.run_items(&mut items, tells_secret, level.depth);
        for item in items {
            if let Some((at, mark)) = item.mark() {
                level.marks.insert(at, mark);
            }
        }
    }

    fn prefix(&mut self, part: &CommandPrefixOrSuffixItem, tells_secret: bool, level: &mut Level) {
        match part {
            CommandPrefixOrSuffixItem::IoRedirect(redirect) => self.redirect(redirect, tells_secret, level),
            CommandPrefixOrSuffixItem::AssignmentWord(assignment, word) => self.assignment(assignment, word, level),
            CommandPrefixOrSuffixItem::Word(_) | CommandPrefixOrSuffixItem::ProcessSubstitution(..) => {
                self.opaque("a word where an assignment is expected");
            }
        }
    }

    fn assignment(&mut self, assignment: &Assignment, word: &Written, level: &mut Level) {
        let AssignmentName::VariableName(name) = &assignment.name else {
            return self.opaque("an array");
        };
        if assignment.append || matches!(assignment.value, AssignmentValue::Array(_)) {
            return self.opaque("an assignment that other shells run as a command");
        }
        self.variable(name);
        let item = self.word(word, level);
        let masked = secrets::in_command(&[&item.word.text]).pop().flatten();
        if let (Some(at), Some(masked)) = (item.at, masked) {
            level.marks.insert(at, Mark::Masked(masked));
        }
    }

    /// A variable gets a value.
    pub(super) fn variable(&mut self, name: &str) {
        if variables::changes_meaning(name) {
            self.opaque("it sets a variable that changes what is run");
        }
    }

    /// Reads a word, and what is substituted in it.
    fn word(&mut self, written: &Written, level: &mut Level) -> Item {
        let word = read(&written.value);
        let at = written.loc.as_ref().map(|loc| loc.start.index);
        let raw = self.substitutions(&word, &written.value, level.depth);
        if let (Some(at), Some(raw)) = (at, &raw) {
            level.marks.insert(at, Mark::Masked(raw.clone()));
        }
        Item::new(word, at, raw)
    }

    /// Looks at the texts in a word; the word as it may be shown, where one of them holds a secret.
    fn substitutions(&mut self, word: &Word, raw: &str, depth: usize) -> Option<String> {
        if let Some(why) = word.unclear {
            self.opaque(why);
        }
        let mut shown = raw.to_owned();
        for inner in &word.inner {
            let masked = self.text(inner, depth.saturating_add(1)).shown;
            if masked != *inner {
                shown = shown.replace(inner.as_str(), &masked);
            }
        }
        (shown != raw).then_some(shown)
    }

    fn redirects(&mut self, redirects: Option<&RedirectList>, level: &mut Level) {
        redirects.iter().flat_map(|list| &list.0).for_each(|redirect| self.redirect(redirect, false, level));
    }

    fn redirect(&mut self, redirect: &IoRedirect, tells_secret: bool, level: &mut Level) {
        use IoFileRedirectKind as Kind;
        const WRITES: &[Verb] = &[Verb::WriteFile, Verb::CreateFile];
        const APPENDS: &[Verb] = &[Verb::AppendFile, Verb::CreateFile];
        match redirect {
            IoRedirect::File(_, kind, IoFileRedirectTarget::Filename(word)) => {
                let verbs = match kind {
                    Kind::Read | Kind::DuplicateInput => &[Verb::ReadFile][..],
                    Kind::Write | Kind::Clobber | Kind::DuplicateOutput => WRITES,
                    Kind::Append => APPENDS,
                    Kind::ReadAndWrite => &[Verb::ReadFile, Verb::WriteFile, Verb::CreateFile],
                };
                self.redirect_to(verbs, word, level);
            }
            IoRedirect::File(_, kind, IoFileRedirectTarget::Duplicate(word)) => {
                let is_number = |text: &str| text.trim_end_matches('-').bytes().all(|byte| byte.is_ascii_digit());
                match kind {
                    _ if is_number(&word.value) => {}
                    Kind::DuplicateOutput => self.redirect_to(WRITES, word, level),
                    _ => self.opaque("a redirection from what is computed"),
                }
            }
            IoRedirect::File(_, _, IoFileRedirectTarget::Fd(_)) => {}
            IoRedirect::File(_, _, IoFileRedirectTarget::ProcessSubstitution(_, inner)) => {
                self.list(&inner.list, level)
            }
            IoRedirect::HereDocument(_, document) => {
                if document.requires_expansion {
                    let word = read_document(&document.doc.value);
                    drop(self.substitutions(&word, &document.doc.value, level.depth));
                }
                self.hide(
                    &document.doc,
                    tells_secret || secrets::mask_text(&document.doc.value) != document.doc.value,
                    level,
                );
            }
            IoRedirect::HereString(_, word) => {
                drop(self.word(word, level));
                self.hide(word, tells_secret, level);
            }
            IoRedirect::OutputAndError(word, appends) => {
                self.redirect_to(if *appends { APPENDS } else { WRITES }, word, level);
            }
        }
    }

    fn hide(&mut self, word: &Written, is_secret: bool, level: &mut Level) {
        if let Some(loc) = word.loc.as_ref().filter(|_| is_secret) {
            level.marks.insert(loc.start.index, Mark::Masked(secrets::MARK.to_owned()));
        }
    }

    fn redirect_to(&mut self, verbs: &[Verb], written: &Written, level: &mut Level) {
        let item = self.word(written, level);
        self.files(verbs, &item.word);
    }

    /// Effects on the file that a word names.
    pub(super) fn files(&mut self, verbs: &[Verb], word: &Word) {
        if !word.constant {
            return self.opaque("a file whose name is computed");
        }
        let text = &word.text;
        if matches!(text.as_str(), "/dev/null" | "/dev/stdin" | "/dev/stdout" | "/dev/stderr") {
            return;
        }
        let quoted = format!("./{text}");
        let is_relative = !text.starts_with('/') && !word.home;
        // A `~` in quotes is a name like any other.
        match path::normal(if is_relative { &quoted } else { text }) {
            Some(path) if path.starts_with("/dev/tcp/") || path.starts_with("/dev/udp/") => {
                self.opaque("a connection by way of a redirection");
            }
            Some(path) => {
                self.is_relative |= is_relative;
                self.is_in_home |= word.home;
                verbs.iter().for_each(|verb| self.do_other(*verb, Object::File(path.as_str().into())));
            }
            None => self.opaque("a path that only the target knows"),
        }
    }
}

/// The lists of commands that a compound one has in it.
fn lists_of(compound: &CompoundCommand) -> std::vec::IntoIter<&CompoundList> {
    use CompoundCommand as Kind;
    let lists: Vec<&CompoundList> = match compound {
        Kind::Arithmetic(_) | Kind::Coprocess(_) => vec![],
        Kind::ArithmeticForClause(clause) => vec![&clause.body.list],
        Kind::BraceGroup(group) => vec![&group.list],
        Kind::Subshell(group) => vec![&group.list],
        Kind::ForClause(clause) => vec![&clause.body.list],
        Kind::CaseClause(clause) => clause.cases.iter().filter_map(|case| case.cmd.as_ref()).collect(),
        Kind::IfClause(clause) => {
            let elses = clause.elses.iter().flatten();
            let elses = elses.flat_map(|part| part.condition.iter().chain(std::iter::once(&part.body)));
            [&clause.condition, &clause.then].into_iter().chain(elses).collect()
        }
        Kind::WhileClause(clause) | Kind::UntilClause(clause) => vec![&clause.0, &clause.1.list],
    };
    lists.into_iter()
}

/// Whether the command is given a secret by the one before it.
fn reads_a_secret(command: &Command) -> bool {
    let Command::Simple(command) = command else { return false };
    let arguments = command.suffix.iter().flat_map(|suffix| &suffix.0).filter_map(|part| match part {
        CommandPrefixOrSuffixItem::Word(word) => Some(read(&word.value).text),
        _ => None,
    });
    let words: Vec<String> = command.word_or_name.iter().map(|word| read(&word.value).text).chain(arguments).collect();
    secrets::reads_a_secret(&words.iter().map(String::as_str).collect::<Vec<_>>())
}
