//! What `analyse` answers with.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::Arc;

use model::effect::{ColumnName, Effect, Facts, FunctionClass, Object, Verb};
use model::lineage::{Literal, LiteralRole, Mentions, Origin, Output, OutputColumn};

/// Everything that Sluice knows of one statement before it runs.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Statement {
    /// The bytes of the analysed text that this statement is.
    pub range: Range<usize>,
    /// The statement with comments removed, blanks folded and every constant replaced by `$n`, numbered after its real
    /// parameters in the order of [`Self::literals`]. An opaque text that could not be read token by token is empty here.
    pub normal: String,
    /// What it does, without repetition; never empty.
    pub effects: Vec<Effect>,
    /// Facts that policies may ask about.
    pub facts: Facts,
    /// What it answers with, COPY apart: see [`Self::answer`].
    pub output: Output,
    /// What an unknown origin stands for.
    pub mentions: Mentions,
    /// Every constant of the text, in order; byte offsets count from the start of the analysed text, not of this
    /// statement.
    pub literals: Vec<Literal>,
    /// Which constants and parameters may get into which columns.
    pub flows: Vec<Flow>,
    /// What each real parameter is used as: `parameters[0]` is `$1`.
    pub parameters: Vec<LiteralRole>,
    /// What may be different in the session afterwards.
    pub changes: Changes,
    /// What it does to prepared statements and cursors.
    pub names: Option<NameUse>,
    /// What it does to the transaction.
    pub transaction: Option<TransactionStep>,
    /// A request to Sluice itself, which is never forwarded.
    pub own: Option<Own>,
    /// The data stream that follows, for COPY to or from the client.
    pub copy: Option<Copy>,
}

impl Statement {
    /// Whether the statement is not fully understood.
    pub fn is_opaque(&self) -> bool {
        self.effects.iter().any(|effect| effect.verb == Verb::Opaque)
    }

    /// Whether it ends a transaction, or a part of one: what was done in it may be undone, or dropped.
    pub const fn ends_transaction(&self) -> bool {
        use TransactionStep as Step;
        match &self.transaction {
            Some(Step::Begin | Step::Savepoint(_) | Step::Release(_)) | None => false,
            Some(
                Step::Commit { .. }
                | Step::Rollback { .. }
                | Step::RollbackTo(_)
                | Step::Prepare(_)
                | Step::CommitPrepared(_)
                | Step::RollbackPrepared(_),
            ) => true,
        }
    }

    /// Whether what a later text means, or what can be read, may be different afterwards.
    pub const fn changes_meaning(&self) -> bool {
        let changes = &self.changes;
        let changed = changes.state || changes.catalog || changes.temporary;
        changed || self.names.is_some() || self.ends_transaction()
    }

    /// What the statement names and the catalog does not have, where that is why it is opaque: the server would refuse it
    /// for the same reason.
    pub fn missing(&self) -> Option<Missing> {
        let why = self.facts.opaque.as_deref()?;
        Missing::ALL.into_iter().find(|missing| why == missing.reason())
    }

    /// What it sends to the client: the rows that it answers with, or the columns of a COPY to the client.
    pub fn answer(&self) -> Cow<'_, Output> {
        match &self.copy {
            Some(Copy { direction: CopyDirection::Out, columns, .. }) if self.output == Output::None => {
                let column = |(name, origin): &(Arc<str>, Origin)| OutputColumn {
                    name: Arc::clone(name),
                    origin: origin.clone(),
                };
                let rows = |columns: &Vec<_>| Output::Rows(columns.iter().map(column).collect());
                Cow::Owned(columns.as_ref().map_or(Output::Unknown, rows))
            }
            _ => Cow::Borrowed(&self.output),
        }
    }

    /// Makes the statement opaque: what it means cannot be known when it is looked at.
    pub fn become_opaque(&mut self, why: &str) {
        if !self.is_opaque() {
            self.effects.push(Effect::new(Verb::Opaque, Object::Database));
        }
        self.facts.opaque = Some(why.into());
        self.output = Output::Unknown;
        self.mentions.anything = true;
        self.changes = Changes { state: true, local: true, catalog: true, temporary: true, read_write: true };
        self.names = None;
        // Whatever it means: the client's next messages are its data.
        self.copy = self.copy.take().filter(|copy| copy.direction == CopyDirection::In);
    }

    /// Whether a read-only transaction refuses what the caller may do all the same: temporary objects, the next number of a
    /// sequence.
    pub fn needs_read_write(&self) -> bool {
        self.effects.iter().any(|effect| match (&effect.verb, &effect.object) {
            (Verb::Ddl | Verb::Maintain | Verb::Truncate, _) => true,
            (Verb::Execute, Object::Function(_, class)) => *class == FunctionClass::Sequence,
            _ => false,
        })
    }

    /// Whether anything at the target may change.
    pub fn writes(&self) -> bool {
        self.effects.iter().any(|effect| effect.verb.writes())
    }
}

/// What of a statement itself may get into a column that it writes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Flow {
    /// The column; under a view's, one of the tables' too.
    pub column: ColumnName,
    /// What gets into it.
    pub given: Given,
}

/// Constants and parameters of a statement.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Given {
    /// Constants, as the server reads them.
    pub constants: Vec<Arc<str>>,
    /// Parameters, counted from 0.
    pub parameters: Vec<usize>,
}

/// A kind of thing that a statement names and the catalog does not have.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Missing {
    /// A table, view or sequence.
    Relation,
    /// A column.
    Column,
    /// A function.
    Function,
    /// An operator.
    Operator,
    /// A type.
    Type,
}

impl Missing {
    const ALL: [Self; 5] = [Self::Relation, Self::Column, Self::Function, Self::Operator, Self::Type];

    /// Why the statement is opaque, for the operator.
    pub(crate) const fn reason(self) -> &'static str {
        match self {
            Self::Relation => "it names a relation that is not in the catalog",
            Self::Column => "it names a column that is not in the catalog",
            Self::Function => "it calls a function that is not in the catalog",
            Self::Operator => "it uses an operator that is not in the catalog",
            Self::Type => "it names a type that is not in the catalog",
        }
    }
}

/// What of the session or the database may be different after a statement.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Changes {
    /// `search_path`, role, session authorization or lexing may have changed: read them again. True for every opaque
    /// statement and every call of a function that is not in a list.
    pub state: bool,
    /// The change ends with the transaction (SET LOCAL): read the state again at its end too.
    pub local: bool,
    /// The catalog changes: DDL, or something opaque.
    pub catalog: bool,
    /// Temporary objects are made or dropped.
    pub temporary: bool,
    /// Transactions that were read-only may write: SET TRANSACTION READ WRITE and its like.
    pub read_write: bool,
}

/// What a statement does to prepared statements and cursors.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum NameUse {
    /// PREPARE: from now on the name stands for `inner`.
    Prepare {
        /// The name, folded.
        name: Arc<str>,
        /// What EXECUTE will run.
        inner: Arc<Statement>,
    },
    /// EXECUTE, also inside EXPLAIN ANALYZE and CREATE TABLE AS. Effects and output are the inner statement's.
    Execute {
        /// The name, folded.
        name: Arc<str>,
        /// The inner statement, if the name is known; the statement is opaque if not.
        inner: Option<Arc<Statement>>,
    },
    /// DEALLOCATE of one name, or of all.
    Deallocate(Option<Arc<str>>),
    /// DECLARE: from now on the cursor runs `inner`.
    Declare {
        /// The cursor's name, folded.
        name: Arc<str>,
        /// What it runs.
        inner: Arc<Statement>,
        /// Whether FETCH answers in binary, also in the simple protocol.
        binary: bool,
        /// WITH HOLD: it outlives the transaction.
        hold: bool,
    },
    /// FETCH; the output is the cursor's.
    Fetch(Arc<str>),
    /// CLOSE of one cursor, or of all.
    Close(Option<Arc<str>>),
    /// DISCARD ALL: no name is left, temporary tables are gone, settings are as at the start.
    DiscardAll,
}

/// What a statement does to the transaction.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum TransactionStep {
    /// BEGIN or START TRANSACTION.
    Begin,
    /// COMMIT; whether another one begins at once.
    Commit {
        /// AND CHAIN.
        chain: bool,
    },
    /// ROLLBACK; whether another one begins at once.
    Rollback {
        /// AND CHAIN.
        chain: bool,
    },
    /// SAVEPOINT.
    Savepoint(Arc<str>),
    /// ROLLBACK TO SAVEPOINT.
    RollbackTo(Arc<str>),
    /// RELEASE SAVEPOINT.
    Release(Arc<str>),
    /// PREPARE TRANSACTION.
    Prepare(Arc<str>),
    /// COMMIT PREPARED.
    CommitPrepared(Arc<str>),
    /// ROLLBACK PREPARED.
    RollbackPrepared(Arc<str>),
}

/// Something that the caller says to Sluice in the target's own language. The gateway carries it out.
#[derive(Clone, PartialEq, Eq)]
pub enum Own {
    /// `SET [LOCAL] sluice.… = '…'`.
    Set {
        /// Which setting.
        setting: OwnSetting,
        /// The value. For a token it is a credential: wipe it after use.
        value: String,
        /// SET LOCAL: until the end of the transaction.
        local: bool,
    },
    /// `RESET sluice.…`.
    Reset(OwnSetting),
    /// `SHOW sluice.…`.
    Show(OwnSetting),
}

impl std::fmt::Debug for Own {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Set { setting, local, .. } => {
                out.debug_struct("Set").field("setting", setting).field("local", local).finish_non_exhaustive()
            }
            Self::Reset(setting) => out.debug_tuple("Reset").field(setting).finish(),
            Self::Show(setting) => out.debug_tuple("Show").field(setting).finish(),
        }
    }
}

/// Sluice's own settings.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum OwnSetting {
    /// `sluice.token`: renews the session.
    Token,
    /// `sluice.user_token`: on whose behalf the next statements are.
    UserToken,
    /// `sluice.reason`: why, for the approver.
    Reason,
}

/// A COPY between the client and the server.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Copy {
    /// Which way.
    pub direction: CopyDirection,
    /// The stream's columns in order: for COPY OUT where each value comes from, for COPY IN the column it goes to (as
    /// [`Origin::Column`]). `None` when they are not known: then nothing of the stream may pass unmasked.
    pub columns: Option<Vec<(Arc<str>, Origin)>>,
    /// How the stream is written.
    pub format: CopyFormat,
}

/// Which way a COPY goes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CopyDirection {
    /// FROM STDIN.
    In,
    /// TO STDOUT.
    Out,
}

/// How a COPY stream is written.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum CopyFormat {
    /// PostgreSQL's text format.
    Text(CopyText),
    /// CSV.
    Csv(CopyText),
    /// PostgreSQL's binary format.
    Binary,
}

/// The details of a COPY stream of text.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CopyText {
    /// Between columns; one byte.
    pub delimiter: u8,
    /// What stands for NULL.
    pub null: String,
    /// CSV's quote; one byte.
    pub quote: u8,
    /// CSV's escape; one byte.
    pub escape: u8,
    /// Whether the first line names the columns.
    pub header: bool,
}
