//! Texts that were analysed, and what policy said of them: remembered per session, dropped when anything that they were
//! read under changes.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, OnceLock};

use effects::postgres::Statement;
use masking::postgres::Plan;
use model::class::Transform;
use model::event::Event;
use model::id::{Digest, RevisionId};
use model::lineage::{LiteralRole, Origin, Output};
use model::subject::SubjectKey;
use model::time::Timestamp;
use policy::Verdict;

use super::session::Place;
use super::shape::Shape;
use crate::explained;
use crate::judging::{Classified, mistrust_what_follows_a_change};

/// How many texts a session remembers; beyond it, all are forgotten and the next ones are learnt anew.
const MOST: usize = 256;

/// How long a text may be to be remembered.
const LONGEST: usize = 16 * 1024;

/// What a text was read under. As long as it is the same, so is what the text means and what policy says of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Epoch {
    /// The revision in force.
    pub(super) revision: RevisionId,
    /// The version of the catalog, counted by this session.
    pub(super) catalog: u64,
    /// The version of the followed state, counted by this session.
    pub(super) state: u64,
}

/// What a text would do.
pub(super) struct Analysed {
    /// The text without a trailing comment.
    pub(super) text: Arc<str>,
    /// Its statements; never empty.
    pub(super) statements: Vec<Statement>,
    /// The journal's name for each of them.
    pub(super) ids: Vec<Digest>,
    /// What it was read under.
    pub(super) epoch: Epoch,
    /// What the names stand for that it goes by (EXECUTE, FETCH); `None` if it goes by none. Such a text is looked at
    /// anew each time.
    pub(super) named: Option<Vec<Arc<Analysed>>>,
    /// How its plain literals were read.
    pub(super) standard_conforming_strings: bool,
    /// Whether a statement may change what a later one means, so that they have to be looked at one by one.
    pub(super) needs_order: bool,
    /// What tapes and approvers have of the text, once it was wanted. It hangs on nothing that is not in the epoch.
    pub(super) masked: OnceLock<Arc<str>>,
}

impl Analysed {
    /// Names the statements for the journal.
    pub(super) fn new(
        text: Arc<str>,
        mut statements: Vec<Statement>,
        epoch: Epoch,
        place: &Place,
        memo: &Memo,
    ) -> Self {
        let needs_order = mistrust_what_follows_a_change(&mut statements);
        let (target, database) = (&place.model.name, &place.database);
        let ids = match memo.twin(&statements) {
            Some(twin) => twin.analysed.ids.clone(),
            None => statements.iter().map(|one| statement_id(one, &shown(one, &text), target, database)).collect(),
        };
        let (named, standard_conforming_strings) = (None, true);
        let masked = OnceLock::new();
        Self { text, statements, ids, epoch, named, standard_conforming_strings, needs_order, masked }
    }

    /// The journal's entry that explains the id of statement `index`.
    pub(super) fn event(&self, index: usize, target: &Arc<str>, database: &Arc<str>) -> Option<Event> {
        let (statement, id) = (self.statements.get(index)?, self.ids.get(index)?);
        Some(Event::Statement {
            id: *id,
            target: Arc::clone(target),
            database: Arc::clone(database),
            text: shown(statement, &self.text).into_owned(),
            effects: statement.effects.clone(),
            facts: statement.facts.clone(),
            output: statement.answer().into_owned(),
        })
    }

    /// Whether it is proved of every column of an answer where it comes from.
    pub(super) fn proves_its_rows(&self) -> bool {
        self.statements.iter().all(|statement| match &statement.output {
            Output::Rows(columns) => columns.iter().all(|column| column.origin != Origin::Unknown),
            Output::None => true,
            Output::Unknown => false,
        })
    }

    /// Whether a password or a key may be in it that cannot be looked for in what the target says: a parameter, a constant
    /// with escapes, or something in a text that is not understood.
    pub(super) fn hides_secrets(&self) -> bool {
        let is_secret = |role: &LiteralRole| *role == LiteralRole::Secret;
        self.statements.iter().any(|statement| {
            statement.parameters.iter().any(is_secret)
                || (statement.is_opaque() && effects::postgres::speaks_of_secrets(&self.text))
        }) || self.secrets().any(has_escapes)
            || self.named.iter().flatten().any(|named| named.hides_secrets())
    }

    /// Whether a message of the target quotes a password or a key of the text, or a word of one.
    pub(super) fn quotes_secret(&self, message: &[u8]) -> bool {
        self.secrets().any(|constant| quotes(message, constant))
            || self.named.iter().flatten().any(|named| named.quotes_secret(message))
    }

    /// The constants that are secrets, as they are written.
    fn secrets(&self) -> impl Iterator<Item = &str> {
        let literals = self.statements.iter().flat_map(|statement| &statement.literals);
        let secret = literals.filter(|literal| literal.role == LiteralRole::Secret);
        secret.filter_map(|literal| self.text.get(literal.start..literal.end))
    }

    /// Whether what later text means, or what can be read, may be different afterwards.
    pub(super) fn changes_meaning(&self) -> bool {
        self.statements.iter().any(Statement::changes_meaning)
    }
}

/// What the record shows of a statement: its normalised text. In a text that was not read, nobody can tell constants from
/// the rest: of that, its first word and its length.
fn shown<'a>(statement: &'a Statement, text: &str) -> Cow<'a, str> {
    if !statement.normal.is_empty() || statement.facts.opaque.is_none() {
        return Cow::Borrowed(&statement.normal);
    }
    let first = text.split(|symbol: char| !symbol.is_ascii_alphabetic()).find(|word| !word.is_empty());
    let command = first.map(str::to_ascii_uppercase).filter(|word| COMMANDS.contains(&word.as_str()));
    Cow::Owned(format!("{} … ({} bytes that were not understood)", command.unwrap_or_default(), text.len()))
}

/// The words that statements begin with; any other may be part of a value.
const COMMANDS: [&str; 16] = [
    "SELECT", "INSERT", "UPDATE", "DELETE", "MERGE", "WITH", "VALUES", "COPY", "CALL", "DO", "CREATE", "ALTER", "DROP",
    "EXPLAIN", "PREPARE", "EXECUTE",
];

fn statement_id(statement: &Statement, text: &str, target: &str, database: &str) -> Digest {
    let Statement { effects, facts, .. } = statement;
    explained::statement_id((target, database), text, effects, facts, &statement.answer())
}

/// What policy says of a text, and what depends on it.
pub(super) struct Judged {
    /// The verdict on all of the text's statements together.
    pub(super) verdict: Verdict,
    /// Whether it, or what may be revealed, depends on the time.
    pub(super) timed: bool,
    /// When it was reached.
    pub(super) at: Timestamp,
    /// Whether the statement or its answer can touch a class that the subject may not see, or the text may hold a
    /// secret: then the target's messages are scrubbed.
    pub(super) hides: bool,
    /// Which, and by what mask if a policy names one.
    pub(super) hidden: BTreeMap<Classified, Option<Transform>>,
    /// Whether its answer may hold a class that the subject may see.
    pub(super) shows: bool,
    /// On whose behalf it was judged.
    pub(super) user: Option<SubjectKey>,
    /// For what reason.
    pub(super) reason: Option<Arc<str>>,
    /// How many rows the target expected, where it was asked.
    pub(super) estimated_rows: Option<u64>,
}

/// A text with all that is known of it.
#[derive(Clone)]
pub(super) struct Known {
    pub(super) analysed: Arc<Analysed>,
    pub(super) judged: Arc<Judged>,
}

/// Everything that a session remembers.
#[derive(Default)]
pub(super) struct Memo {
    epoch: Epoch,
    texts: HashMap<Box<str>, Known>,
    /// The last text of each normal form: what differs from it in its constants alone means the same to policy.
    twins: HashMap<Box<str>, Known>,
    plans: Vec<(Arc<Judged>, usize, Arc<Shape>, Plan)>,
}

impl Memo {
    /// What is known of a text under this epoch.
    pub(super) fn recall(&mut self, key: &str, epoch: Epoch) -> Option<&Known> {
        self.enter(epoch);
        self.texts.get(key)
    }

    /// Remembers a text.
    pub(super) fn learn(&mut self, key: &str, known: Known) {
        self.enter(known.analysed.epoch);
        if key.len() > LONGEST {
            return;
        }
        if self.texts.len() >= MOST {
            self.texts.clear();
        }
        // A twin that was judged anew takes the place of the one before.
        if let [only] = known.analysed.statements.as_slice()
            && self.twin(&known.analysed.statements).is_none_or(|twin| !Arc::ptr_eq(&twin.judged, &known.judged))
        {
            if self.twins.len() >= MOST {
                self.twins.clear();
            }
            self.twins.insert(only.normal.as_str().into(), known.clone());
        }
        self.texts.insert(key.into(), known);
    }

    /// What is known under this epoch of a text that does the very same, constants apart. Everything that an id, a
    /// verdict or a plan reads of a statement is compared; a statement that goes by names, or is opaque, is nobody's twin.
    pub(super) fn twin(&self, statements: &[Statement]) -> Option<&Known> {
        let [statement] = statements else { return None };
        let known = self.twins.get(statement.normal.as_str())?;
        let [other] = known.analysed.statements.as_slice() else { return None };
        let same = !statement.normal.is_empty()
            && statement.names.is_none()
            && !statement.is_opaque()
            && other.effects == statement.effects
            && other.facts == statement.facts
            && other.output == statement.output
            && other.mentions == statement.mentions
            && other.copy == statement.copy
            && other.changes == statement.changes
            // Whether the target's words are scrubbed goes by them.
            && other.parameters == statement.parameters
            && other.literals.iter().map(|literal| &literal.role).eq(statement.literals.iter().map(|literal| &literal.role));
        same.then_some(known)
    }

    /// The plan for the answer of one statement, if it was made for this very shape.
    pub(super) fn plan(&self, judged: &Arc<Judged>, index: usize, shape: &Arc<Shape>) -> Option<&Plan> {
        let found = self.plans.iter().find(|(of, at, described, _)| {
            Arc::ptr_eq(of, judged) && *at == index && (Arc::ptr_eq(described, shape) || described == shape)
        });
        found.map(|(_, _, _, plan)| plan)
    }

    /// Remembers a plan.
    pub(super) fn keep_plan(&mut self, judged: &Arc<Judged>, index: usize, shape: &Arc<Shape>, plan: Plan) {
        if self.plans.len() >= 64 {
            self.plans.clear();
        }
        self.plans.push((Arc::clone(judged), index, Arc::clone(shape), plan));
    }

    fn enter(&mut self, epoch: Epoch) {
        if self.epoch != epoch {
            self.texts.clear();
            self.twins.clear();
            self.plans.clear();
            self.epoch = epoch;
        }
    }
}

/// Whether a constant stands for other characters than it is written with: `E'…'`, `U&'…'`, a doubled quote.
fn has_escapes(constant: &str) -> bool {
    let inner = constant.strip_prefix('\'').and_then(|rest| rest.strip_suffix('\'')).unwrap_or_default();
    constant.starts_with(['e', 'E', 'u', 'U']) || constant.contains('\\') || inner.contains('\'')
}

/// What is shorter is in any message by chance, and is no secret.
const SHORTEST: usize = 3;

/// Whether this is the name of an option in a connection string (libpq, "Parameter Key Words").
fn names_option(word: &str) -> bool {
    const NAMES: [&str; 13] = [
        "host",
        "hostaddr",
        "port",
        "dbname",
        "user",
        "password",
        "passfile",
        "sslmode",
        "sslcert",
        "sslkey",
        "sslrootcert",
        "options",
        "application_name",
    ];
    NAMES.contains(&word)
}

/// Whether a message quotes all of a constant, or one of its words that is not the name of an option
/// (`host=h password=p`).
fn quotes(message: &[u8], constant: &str) -> bool {
    let quoted = |part: &str| part.len() >= SHORTEST && memchr::memmem::find(message, part.as_bytes()).is_some();
    let of_word = |symbol: char| symbol.is_alphanumeric() || symbol == '_';
    let mut rest = constant;
    while let Some(start) = rest.find(of_word) {
        let from = rest.get(start..).unwrap_or_default();
        let end = from.find(|symbol| !of_word(symbol)).unwrap_or(from.len());
        let (word, behind) = from.split_at(end);
        // What follows another `=` is a value, whatever it looks like.
        let is_value = rest.get(..start).is_some_and(|before| before.ends_with('='));
        if !(behind.starts_with('=') && !is_value && names_option(word)) && quoted(word) {
            return true;
        }
        rest = behind;
    }
    quoted(constant.trim_matches('\''))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_that_quotes_a_secret_is_told_from_one_that_does_not() {
        for (constant, message) in [
            ("'hunter2'", "invalid value \"hunter2\""),
            ("'host=h password=hunter2'", "cannot parse hunter2"),
            ("'c2VjcmV0='", "invalid salt c2VjcmV0="),
            ("'a-b-c-d'", "invalid a-b-c-d"),
            ("$$hunter2$$", "invalid hunter2"),
            ("hunter2", "invalid value for parameter: hunter2"),
            ("'key=='", "bad key== here"),
            ("'host=h password=my hunter2=x'", "invalid connection option \"hunter2\""),
            ("'host=h password=password=x'", "value password=password=x"),
        ] {
            assert!(quotes(message.as_bytes(), constant), "{constant}: {message}");
        }
        for (constant, message) in [
            ("'hunter2'", "role \"x\" already exists"),
            ("'dbname=elsewhere port=1'", "subscription dbname port already exists"),
            ("''", "anything"),
            ("'ab'", "absent"),
        ] {
            assert!(!quotes(message.as_bytes(), constant), "{constant}: {message}");
        }
        assert!(["E'a'", "U&'a'", "'it''s'", "'a\\b'"].into_iter().all(has_escapes));
        assert!(!["'a'", "$$a$$", "a", "''"].into_iter().any(has_escapes));
    }
}
