//! A statement heard without a target: what it would do by a catalog, what a revision says of it, and what would be
//! masked. All three are asked of what sessions ask (`gateway::judging`).

use std::net::IpAddr;
use std::sync::Arc;

use effects::postgres::{Catalog, CopyDirection, NoPrepared, Session, Statement, analyse, comment, labels};
use gateway::judging::{Bench, acts, mask_as_data, mistrust_what_follows_a_change};
use gateway::revision::Checked;
use masking::postgres::{Described, Fate};
use masking::{Keys, Lens};
use model::class::Labels;
use model::classification::Classification;
use model::decision::Outcome;
use model::lineage::{Mentions, Origin, Output, OutputColumn};
use model::subject::{Subject, SubjectKey};
use model::target::{OnUnmaskable, Target};
use model::time::Timestamp;
use policy::{Context, SubjectPolicies, Verdict};

use super::NotHeard;

/// PostgreSQL's oid of `text`.
const TEXT: u32 = 25;

/// Who asks, and in which circumstances.
#[derive(Clone, Debug)]
pub struct Circumstances {
    /// Who.
    pub subject: Subject,
    /// For whom, where the request says so.
    pub on_behalf_of: Option<SubjectKey>,
    /// From where.
    pub source: IpAddr,
    /// When.
    pub now: Timestamp,
    /// How old the session is, in seconds.
    pub session_age: u64,
    /// Why.
    pub reason: Option<Arc<str>>,
    /// The target's own estimate of the rows touched.
    pub estimated_rows: Option<u64>,
}

/// What is asked.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// The statements.
    pub text: &'a str,
    /// Their parameters in order.
    pub parameters: &'a [String],
    /// The schemas that unqualified names are looked up in.
    pub search_path: &'a [Arc<str>],
}

/// A place of a revision, and what its database looks like.
pub struct Room<'a> {
    checked: &'a Checked,
    target: &'a Target,
    on_unmaskable: OnUnmaskable,
    catalog: &'a Catalog,
    labels: Labels,
}

/// A column of an answer by its label, and what becomes of it.
pub type Shown = (Arc<str>, Fate);

/// What became of a request.
pub struct Heard {
    /// Whether the subject may open a session at all.
    pub connect: Verdict,
    /// What it does.
    pub statements: Vec<Statement>,
    /// On the statements together.
    pub verdict: Verdict,
    /// The column that one of our masks would be written to as data.
    pub mask_as_data: Option<Arc<str>>,
    /// For each statement, what becomes of the columns of its answer; `None` where the answer's shape is not known.
    pub answers: Vec<Option<Vec<Shown>>>,
    /// For each statement, the verdict on each of its effects alone.
    pub effects: Vec<Vec<Verdict>>,
}

impl Circumstances {
    /// As policies see them.
    pub fn context(&self) -> Context<'_> {
        Context {
            now: self.now,
            source: self.source,
            binding: self.subject.binding,
            session_age: self.session_age,
            on_behalf_of: self.on_behalf_of.as_ref().or(self.subject.on_behalf_of.first()),
            reason: self.reason.as_deref(),
            estimated_rows: self.estimated_rows,
            observers: &[],
        }
    }
}

impl Circumstances {
    /// When the session is opened, before anything is said in it.
    fn at_the_start(&self) -> Context<'_> {
        let on_behalf_of = self.subject.on_behalf_of.first();
        Context { on_behalf_of, reason: None, estimated_rows: None, session_age: 0, ..self.context() }
    }
}

impl<'a> Room<'a> {
    /// A target of the revision.
    ///
    /// # Errors
    /// It has no such target, or one that does not speak PostgreSQL.
    pub fn new(checked: &'a Checked, target: &str, catalog: &'a Catalog) -> Result<Self, NotHeard> {
        let Some(target) = checked.target(target) else {
            return Err(NotHeard(format!("targets.toml has no target {target:?}")));
        };
        let Some(postgres) = target.postgres() else {
            return Err(NotHeard(format!("target {:?} does not speak PostgreSQL", target.target.name)));
        };
        let labels = labels(catalog, &target.target.name, checked.classification());
        Ok(Self { checked, target: &target.target, on_unmaskable: postgres.on_unmaskable, catalog, labels })
    }

    /// One subject's policies here.
    pub fn bench<'b>(&'b self, policies: &'b SubjectPolicies) -> Bench<'b> {
        Bench { policies, target: self.target, database: self.catalog.database(), labels: &self.labels }
    }

    /// Hears a request.
    pub fn hear(&self, who: &Circumstances, request: Request<'_>) -> Heard {
        let policies = self.checked.policies().for_subject(&who.subject);
        let bench = self.bench(&policies);
        let context = who.context();
        let (text, _) = comment::split(request.text);
        let statements = self.statements(text, request.search_path);
        let lens = lens(&bench, self.checked.classification(), self.on_unmaskable, &context);
        let values = request.parameters.iter().map(|value| Some(value.as_bytes()));
        let multi = statements.len() > 1;
        let effects = statements.iter().map(|statement| {
            let facts = model::effect::Facts { multi, ..statement.facts.clone() };
            let each = statement.effects.iter();
            each.map(|effect| bench.judge(std::slice::from_ref(effect), &facts, &context)).collect()
        });
        Heard {
            connect: bench.connect(&who.at_the_start()),
            verdict: bench.verdict(acts(&statements), &context),
            mask_as_data: mask_as_data(&lens, &self.labels, &statements, values),
            answers: statements.iter().map(|statement| self.answer(&bench, &lens, statement, &context)).collect(),
            effects: effects.collect(),
            statements,
        }
    }

    /// What the text would do, as a session without prepared statements and cursors reads it.
    fn statements(&self, text: &str, search_path: &[Arc<str>]) -> Vec<Statement> {
        let reading = Session {
            catalog: self.catalog,
            search_path,
            user: "",
            standard_conforming_strings: true,
            prepared: &NoPrepared,
            parameter_types: &[],
        };
        let mut statements = analyse(text, &reading);
        mistrust_what_follows_a_change(&mut statements);
        statements
    }

    fn answer(
        &self,
        bench: &Bench<'_>,
        lens: &Arc<Lens>,
        statement: &Statement,
        context: &Context<'_>,
    ) -> Option<Vec<Shown>> {
        let output = output(statement);
        let type_of = |origin: &Origin| match origin {
            Origin::Column(column) => self.catalog.type_of(column).unwrap_or(TEXT),
            _ => TEXT,
        };
        fates(bench, lens, (&output, &statement.mentions), type_of, context)
    }
}

/// The masks that a subject's answers get. They are only spoken of here, so that any key will do.
pub(super) fn lens(
    bench: &Bench<'_>,
    classification: &Classification,
    on_unmaskable: OnUnmaskable,
    context: &Context<'_>,
) -> Arc<Lens> {
    bench.lens(&Keys::derive(&[0; 32]), classification, on_unmaskable, context)
}

/// What becomes of each column of an answer; `None` if its shape is not known.
pub(super) fn fates(
    bench: &Bench<'_>,
    lens: &Arc<Lens>,
    (output, mentions): (&Output, &Mentions),
    type_of: impl Fn(&Origin) -> u32,
    context: &Context<'_>,
) -> Option<Vec<Shown>> {
    let columns = match output {
        Output::None => return Some(Vec::new()),
        Output::Unknown => return None,
        Output::Rows(columns) => columns,
    };
    let described = columns.iter().map(|column| Described {
        name: Arc::clone(&column.name),
        source: None,
        whole_row_of: None,
        type_oid: type_of(&column.origin),
        binary: false,
    });
    let described: Vec<Described> = described.collect();
    let plan = bench.plan(lens, (output, mentions), &described, context);
    Some(described.into_iter().map(|column| column.name).zip(plan.fates()).collect())
}

/// What a statement answers with, a COPY to the client included.
fn output(statement: &Statement) -> Output {
    let Some(copy) = statement.copy.as_ref().filter(|copy| copy.direction == CopyDirection::Out) else {
        return statement.output.clone();
    };
    copy.columns.as_ref().map_or(Output::Unknown, |columns| {
        let column =
            |(name, origin): &(Arc<str>, Origin)| OutputColumn { name: Arc::clone(name), origin: origin.clone() };
        Output::Rows(columns.iter().map(column).collect())
    })
}

impl Heard {
    /// What decides: the connection first, then the statements.
    pub fn deciding(&self) -> &Verdict {
        if self.connect.outcome() == Outcome::Allow { &self.verdict } else { &self.connect }
    }

    /// Allow, deny or ask. A connection cannot wait for an approval.
    pub fn outcome(&self) -> Outcome {
        if self.connect.outcome() != Outcome::Allow || self.mask_as_data.is_some() {
            return Outcome::Deny;
        }
        self.verdict.outcome()
    }

    /// What the caller is told, where it is refused or has to wait.
    pub fn message(&self) -> Option<String> {
        if let Some(column) = self.mask_as_data.as_ref().filter(|_| self.connect.outcome() == Outcome::Allow) {
            return Some(format!("a masked value would be written to {column}"));
        }
        self.deciding().denial().map(|denial| denial.message.to_string())
    }
}
