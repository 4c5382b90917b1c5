//! `sluice policy explain`: what a statement does, who may, and what would be masked and why.

use std::path::PathBuf;
use std::sync::Arc;

use control::rehearsal::{self as words, Circumstances, Heard, Request, Room};
use control::time::Moment;
use effects::postgres::{Catalog, Statement, saved};
use masking::RevealAsk;
use masking::postgres::{Fate, Treated};
use model::class::DataClass;
use model::effect::ColumnName;
use model::lineage::Output;
use model::subject::{SubjectKey, SubjectKind};
use policy::Verdict;
use serde_json::{Value, json};

use super::super::connect::Connect;
use super::super::failure::Failure;
use super::super::{put, show, target};

/// Say what a statement does, whether it may, and what would be masked and why
#[derive(clap::Args)]
#[command(
    after_help = "The target's structure is read from a catalog that was saved, or through the Sluice that runs.\n\
    Nothing is sent to the target for the statement itself.\n\nExamples:\n  \
    sluice policy explain --revision revision --catalog revision/tests/shop.catalog --target shop \\\n    \
    --subject 'corp|reporting' --group readers 'SELECT number FROM cards'\n  \
    sluice policy explain --revision revision --config sluice.toml --target shop --database shop \\\n    \
    --subject 'corp|ann' --user --group support 'DELETE FROM orders'"
)]
pub(in crate::cli) struct Args {
    /// The statement
    #[arg(value_name = "SQL")]
    statement: String,
    /// Its parameters in order; any number of times
    #[arg(long = "parameter", value_name = "VALUE")]
    parameters: Vec<String>,
    /// Who asks, as alias|id
    #[arg(long, value_name = "SUBJECT", value_parser = subject_key)]
    subject: SubjectKey,
    /// A group of theirs; any number of times
    #[arg(long = "group", value_name = "GROUP")]
    groups: Vec<Arc<str>>,
    /// They are a person, not a service
    #[arg(long)]
    user: bool,
    /// On whose behalf, as alias|id
    #[arg(long, value_name = "SUBJECT", value_parser = subject_key)]
    on_behalf_of: Option<SubjectKey>,
    /// From which address
    #[arg(long, default_value = "127.0.0.1")]
    source: std::net::IpAddr,
    /// When; now unless given
    #[arg(long, value_name = "MOMENT")]
    at: Option<Moment>,
    /// For which reason
    #[arg(long)]
    reason: Option<Arc<str>>,
    /// The target's own estimate of the rows touched
    #[arg(long, value_name = "ROWS")]
    estimated_rows: Option<u64>,
    /// The target
    #[arg(long)]
    target: String,
    /// The target's database; its name unless given
    #[arg(long)]
    database: Option<String>,
    /// The schemas that unqualified names are looked up in
    #[arg(long, value_delimiter = ',', default_value = "pg_catalog,public")]
    search_path: Vec<Arc<str>>,
    /// The revision
    #[arg(long, value_name = "DIR", default_value = "revision")]
    revision: PathBuf,
    /// A catalog that `sluice target catalog` saved; asked of the running Sluice unless given
    #[arg(long, value_name = "FILE")]
    catalog: Option<PathBuf>,
    #[command(flatten)]
    connect: Connect,
    /// For programs
    #[arg(long)]
    json: bool,
}

fn subject_key(text: &str) -> Result<SubjectKey, String> {
    words::key(text).ok_or_else(|| String::from("write an issuer's alias and its id, such as corp|order-service"))
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    let checked = super::revision(&args.revision)?;
    let catalog = catalog(args)?;
    let room = Room::new(&checked, &args.target, &catalog).map_err(Failure::failed)?;
    let who = circumstances(args);
    let request = Request { text: &args.statement, parameters: &args.parameters, search_path: &args.search_path };
    let heard = room.hear(&who, request);
    let policies = checked.policies().for_subject(&who.subject);
    let (bench, context) = (room.bench(&policies), who.context());
    let why = |asked: RevealAsk<'_>| bench.reveal_policies(&context, asked);
    put(&if args.json { show::json(&as_json(&heard, &why)) } else { as_text(&heard, &why) })
}

fn catalog(args: &Args) -> Result<Catalog, Failure> {
    if let Some(path) = &args.catalog {
        return super::test::catalog(path);
    }
    let database = args.database.as_ref().unwrap_or(&args.target);
    let text = target::read_catalog(&args.connect.client()?, &args.target, database)?;
    saved::read(&text).map_err(Failure::failed)
}

fn circumstances(args: &Args) -> Circumstances {
    let kind = if args.user { SubjectKind::User } else { SubjectKind::Service };
    let mut before = words::who(words::verified(args.subject.clone(), kind, args.groups.clone()));
    before.subject.on_behalf_of.extend(args.on_behalf_of.clone());
    Circumstances {
        source: args.source,
        now: args.at.map_or(before.now, |moment| moment.0),
        reason: args.reason.clone(),
        estimated_rows: args.estimated_rows,
        ..before
    }
}

/// Which policies decide about a class.
type Why<'w> = dyn Fn(RevealAsk<'_>) -> Vec<Arc<str>> + 'w;

fn as_text(heard: &Heard, why: &Why<'_>) -> String {
    let mut out = show::facts(&[
        ("connect", in_words(&heard.connect)),
        ("decision", words::outcome(heard.outcome()).to_owned()),
        ("policies", words::policies(heard.deciding()).join(", ")),
        ("asks", words::groups(heard.deciding()).join(", ")),
        ("waived", heard.verdict.waived().iter().map(|need| &*need.policy).collect::<Vec<_>>().join(", ")),
        ("told", heard.message().unwrap_or_default()),
        ("missing", heard.deciding().denial().map(|denial| denial.missing.to_string()).unwrap_or_default()),
        ("may know", heard.deciding().lacks().map(ToString::to_string).unwrap_or_default()),
    ]);
    for (at, statement) in heard.statements.iter().enumerate() {
        let bounded = if statement.facts.bounded { "" } else { ", unbounded" };
        let kind = show::safe(&statement.facts.kind);
        out.push_str(&format!("\nstatement {}: {kind}{bounded}\n", at.saturating_add(1)));
        if let Some(reason) = &statement.facts.opaque {
            out.push_str(&format!("it is opaque: {}\n", show::safe(reason)));
        }
        let verdicts = heard.effects.get(at).map(Vec::as_slice).unwrap_or_default();
        let row = |(effect, verdict): (&model::effect::Effect, &Verdict)| {
            vec![
                effect.to_string(),
                words::outcome(verdict.outcome()).to_owned(),
                words::policies(verdict).join(", "),
                verdict.denial().map(|denial| denial.message.to_string()).unwrap_or_default(),
            ]
        };
        let rows: Vec<Vec<String>> = statement.effects.iter().zip(verdicts).map(row).collect();
        out.push_str(&show::table(&["EFFECT", "DECISION", "POLICIES", "BECAUSE"], &rows));
        out.push_str(&answer_text(statement, heard.answers.get(at).and_then(Option::as_deref), why));
    }
    out
}

fn answer_text(statement: &Statement, answer: Option<&[(Arc<str>, Fate)]>, why: &Why<'_>) -> String {
    let Some(columns) = answer else {
        return String::from(
            "\nthe shape of its answer is not known: what may hold a class that is hidden is masked whole\n",
        );
    };
    if columns.is_empty() || statement.output == Output::None && statement.copy.is_none() {
        return String::new();
    }
    let row = |(name, fate): &(Arc<str>, Fate)| {
        vec![
            name.to_string(),
            words::fate(fate),
            fate.classes.iter().map(DataClass::as_str).collect::<Vec<_>>().join(", "),
            fate.columns.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
            reasons(fate, why).join("; "),
        ]
    };
    let rows: Vec<Vec<String>> = columns.iter().map(row).collect();
    format!("\n{}", show::table(&["COLUMN", "SHOWN", "CLASSES", "FROM", "BECAUSE"], &rows))
}

/// Why a column is shown so: for each class and place, the policies that decide.
fn reasons(fate: &Fate, why: &Why<'_>) -> Vec<String> {
    if fate.classes.is_empty() {
        let searched = fate.treated == Treated::Searched;
        return searched.then(|| String::from("text in it is searched for classes")).into_iter().collect();
    }
    let one = |of: &str, policies: Vec<Arc<str>>| match policies.as_slice() {
        [] => format!("{of}: no policy permits reveal"),
        policies => format!("{of}: {}", policies.join(", ")),
    };
    fate.classes
        .iter()
        .flat_map(|class| {
            if fate.columns.is_empty() {
                return vec![one(class.as_str(), why(RevealAsk::Class(class)))];
            }
            let each = |column: &ColumnName| one(class.as_str(), why(RevealAsk::Column(column, class)));
            fate.columns.iter().map(each).collect()
        })
        .collect::<std::collections::BTreeSet<String>>()
        .into_iter()
        .collect()
}

fn in_words(verdict: &Verdict) -> String {
    match words::policies(verdict).join(", ") {
        policies if policies.is_empty() => words::outcome(verdict.outcome()).to_owned(),
        policies => format!("{} ({policies})", words::outcome(verdict.outcome())),
    }
}

fn as_json(heard: &Heard, why: &Why<'_>) -> Value {
    let statements = heard.statements.iter().enumerate().map(|(at, statement)| {
        let verdicts = heard.effects.get(at).map(Vec::as_slice).unwrap_or_default();
        let effects = statement.effects.iter().zip(verdicts).map(|(effect, verdict)| {
            json!({
                "effect": effect.to_string(),
                "decision": words::outcome(verdict.outcome()),
                "policies": words::policies(verdict),
                "because": verdict.denial().map(|denial| &denial.message),
            })
        });
        let columns = heard.answers.get(at).and_then(Option::as_ref).map(|columns| {
            let column = |(name, fate): &(Arc<str>, Fate)| {
                json!({
                    "name": name,
                    "shown": words::fate(fate),
                    "classes": fate.classes,
                    "from": fate.columns.iter().map(ToString::to_string).collect::<Vec<_>>(),
                    "because": reasons(fate, why),
                })
            };
            columns.iter().map(column).collect::<Vec<_>>()
        });
        json!({
            "kind": statement.facts.kind,
            "bounded": statement.facts.bounded,
            "opaque": statement.facts.opaque,
            "effects": effects.collect::<Vec<_>>(),
            "columns": columns,
        })
    });
    let verdict = heard.deciding();
    json!({
        "connect": words::outcome(heard.connect.outcome()),
        "decision": words::outcome(heard.outcome()),
        "policies": words::policies(verdict),
        "asks": words::groups(verdict),
        "told": heard.message(),
        "missing": verdict.denial().map(|denial| &denial.missing),
        "may_know": verdict.lacks(),
        "statements": statements.collect::<Vec<_>>(),
    })
}
