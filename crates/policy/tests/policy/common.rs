//! A revision to ask questions of.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use model::class::{DataClass, Labels, Marking, Transform};
use model::effect::{ColumnName, Command, Effect, Endpoint, Facts, Object, TableKind, TableName, Verb};
use model::subject::{Binding, Subject, SubjectKey, SubjectKind};
use model::target::Target;
use model::time::Timestamp;
use policy::{BASELINE, Context, PolicyError, PolicySet, Question, SubjectPolicies, Verdict, judge};

pub(crate) fn classes() -> BTreeMap<DataClass, Transform> {
    let default = |name: &str| match name {
        "card_number" => Transform::Partial { keep_last: 4 },
        "secret" => Transform::Null,
        "phone" => Transform::FormatPreserving,
        _ => Transform::Redact,
    };
    DataClass::BUILT_IN.iter().map(|name| (DataClass::new(*name), default(name))).collect()
}

pub(crate) fn load(texts: &[&str]) -> Result<PolicySet, Vec<PolicyError>> {
    let files: Vec<_> =
        texts.iter().enumerate().map(|(index, text)| (format!("{index}.cedar"), (*text).to_owned())).collect();
    PolicySet::load(&files, &classes())
}

/// The shipped baseline and the policies in `tests/policies`.
pub(crate) fn realistic() -> PolicySet {
    let mut files = vec![("baseline.cedar".to_owned(), BASELINE.to_owned())];
    let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/policies");
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        files.push((path.display().to_string(), std::fs::read_to_string(&path).unwrap()));
    }
    PolicySet::load(&files, &classes()).unwrap_or_else(|errors| panic!("{}", show(&errors)))
}

pub(crate) fn show(errors: &[PolicyError]) -> String {
    errors.iter().map(|error| format!("{error}\n")).collect()
}

pub(crate) fn subject(kind: SubjectKind, id: &str, groups: &[&str]) -> Subject {
    Subject {
        key: key(id),
        kind,
        groups: groups.iter().map(|group| (*group).into()).collect(),
        on_behalf_of: vec![],
        expires_at: Timestamp(2_000_000_000_000),
        binding: Binding::Bearer,
        token_id: None,
        credential: model::subject::Credential::default(),
    }
}

pub(crate) fn service(id: &str, groups: &[&str]) -> Subject {
    subject(SubjectKind::Service, id, groups)
}

pub(crate) fn key(id: &str) -> SubjectKey {
    SubjectKey { issuer: "corp".into(), id: id.into() }
}

pub(crate) fn target(name: &str, env: &str) -> Target {
    Target {
        name: name.into(),
        protocol: "postgres".into(),
        labels: BTreeMap::from([("env".to_owned(), env.to_owned())]),
    }
}

pub(crate) fn table(name: &str) -> TableName {
    match name.split_once('.') {
        Some((schema, name)) => TableName::new(schema, name),
        None => TableName::new("public", name),
    }
}

pub(crate) fn column(path: &str) -> ColumnName {
    let (of, name) = path.rsplit_once('.').unwrap();
    ColumnName::new(table(of), name)
}

pub(crate) fn labels() -> Labels {
    let mut labels = Labels::default();
    for (path, class) in [
        ("cards.number", "card_number"),
        ("refunds.card", "card_number"),
        ("customers.ssn", "us_ssn"),
        ("customers.email", "email"),
        ("customers.phone", "phone"),
        ("cards.pin", "secret"),
        ("orders_2026.card", "card_number"),
    ] {
        let column = column(path);
        labels.classified.entry(column.table.clone()).or_default().insert(column.clone());
        labels.columns.insert(column, Marking::Classes(BTreeSet::from([DataClass::new(class)])));
    }
    let both = column("customers.contact");
    let classes = ["email", "phone"].map(DataClass::new);
    labels.classified.entry(both.table.clone()).or_default().insert(both.clone());
    labels.columns.insert(both, Marking::Classes(BTreeSet::from(classes)));
    labels.columns.insert(column("orders.id"), Marking::Public);
    labels.parents.insert(table("orders_2026"), vec![table("orders")]);
    labels
}

pub(crate) fn on_table(verb: Verb, name: &str) -> Effect {
    let name = table(name);
    let kind = match &*name.schema {
        "pg_catalog" | "information_schema" => TableKind::System,
        "pg_temp" => TableKind::Temporary,
        _ => TableKind::Table,
    };
    Effect::new(verb, Object::Table(name, kind))
}

pub(crate) fn on_column(verb: Verb, path: &str) -> Effect {
    Effect::new(verb, Object::Column(column(path), TableKind::Table))
}

/// Everything that is done to files.
pub(crate) const FILE_VERBS: [Verb; 13] = [
    Verb::ReadFile,
    Verb::ListDirectory,
    Verb::StatFile,
    Verb::WriteFile,
    Verb::AppendFile,
    Verb::CreateFile,
    Verb::RemoveFile,
    Verb::RenameFile,
    Verb::MakeDirectory,
    Verb::Symlink,
    Verb::HardLink,
    Verb::SetAttributes,
    Verb::CopyFile,
];

pub(crate) fn file(path: &str) -> Object {
    Object::File(path.into())
}

pub(crate) fn tcp(host: &str, port: u32, address: &str) -> Object {
    Object::Endpoint(Endpoint::Tcp { host: host.into(), port, address: address.parse().ok() })
}

/// A command that is the whole line.
pub(crate) fn command(program: &str, arguments: &[&str]) -> Object {
    let line = std::iter::once(&program).chain(arguments).copied().collect::<Vec<_>>().join(" ");
    Object::Command(Arc::new(Command {
        program: program.into(),
        arguments: arguments.iter().map(|argument| (*argument).into()).collect(),
        line: line.into(),
        interactive: false,
    }))
}

pub(crate) fn bounded() -> Facts {
    Facts { kind: "TEST".into(), bounded: true, multi: false, opaque: None }
}

pub(crate) fn context() -> Context<'static> {
    Context {
        now: Timestamp(1_795_406_400_000),
        source: IpAddr::V4(Ipv4Addr::new(10, 20, 1, 2)),
        binding: Binding::Bearer,
        session_age: 10,
        on_behalf_of: None,
        reason: None,
        estimated_rows: None,
        observers: &[],
    }
}

pub(crate) fn judged(policies: &SubjectPolicies, target: &Target, effects: &[Effect]) -> Verdict {
    judged_with(policies, target, effects, &bounded(), &context())
}

pub(crate) fn judged_with(
    policies: &SubjectPolicies,
    target: &Target,
    effects: &[Effect],
    facts: &Facts,
    context: &Context<'_>,
) -> Verdict {
    let labels = labels();
    judge(policies, &Question { target, database: "shop", effects, facts, labels: &labels, context })
}
