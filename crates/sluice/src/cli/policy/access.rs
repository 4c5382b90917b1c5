//! `sluice policy access`: who may do and see what, and why.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::super::client::Client;
use super::super::connect::Connect;
use super::super::failure::Failure;
use super::super::{put, show, tell};

/// How many subjects are asked for at once.
const PAGE: u32 = 50;

/// Say who may do and see what, and why
#[derive(clap::Args)]
#[command(
    after_help = "It asks the Sluice that runs: subjects are those that opened sessions, with the groups that they last were in, and\n\
    answers are those of the policies in force at this moment. A subject and a target give one cell with all its answers.\n\n\
    Examples:\n  sluice policy access\n  sluice policy access --target payments\n  \
    sluice policy access --subject 'corp|order-service' --target payments --why\n  \
    sluice policy access --subject 'corp|new' --group billing --target payments"
)]
pub(in crate::cli) struct Args {
    #[command(flatten)]
    connect: Connect,
    /// Subjects with this in their name; with --target, the one subject, as alias|id
    #[arg(long, value_name = "SUBJECT")]
    subject: Option<String>,
    /// Think of the subject in these groups; any number of times. Those that it last was in unless given
    #[arg(long = "group", value_name = "GROUP", requires = "subject", requires = "target")]
    groups: Vec<String>,
    /// Think of the subject as a person (user) or a program (service); without --group, in no group
    #[arg(long, value_parser = ["user", "service"], requires = "subject", requires = "target")]
    kind: Option<String>,
    /// This target alone
    #[arg(long)]
    target: Option<String>,
    /// With the policies behind each answer, by file and line, and their text
    #[arg(long, requires = "subject", requires = "target")]
    why: bool,
    /// For programs
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    let client = args.connect.client()?;
    match (&args.subject, &args.target) {
        (Some(subject), Some(target)) if subject.contains('|') => cell(args, &client, subject, target),
        (Some(_), Some(_)) if args.why || args.kind.is_some() || !args.groups.is_empty() => {
            Err(Failure::Usage(String::from("name the subject as alias|id, such as corp|order-service")))
        }
        _ => map(args, &client),
    }
}

fn map(args: &Args, client: &Client) -> Result<(), Failure> {
    let mut asked: Vec<(&str, String)> = vec![("limit", PAGE.to_string())];
    asked.extend(args.subject.iter().map(|subject| ("subject", subject.clone())));
    asked.extend(args.target.iter().map(|target| ("target", target.clone())));
    let mut all: Vec<Value> = Vec::new();
    let mut is_complete = true;
    let mut page = client.get("/v1/access", &asked)?;
    loop {
        all.extend(show::list(&page, "/subjects").iter().cloned());
        is_complete &= page.get("is_complete") == Some(&Value::Bool(true));
        let next = show::text(&page, "/next");
        if next.is_empty() {
            break;
        }
        let more: Vec<_> = asked.iter().cloned().chain([("after", next)]).collect();
        page = client.get("/v1/access", &more)?;
    }
    if args.json {
        return put(&show::json(&json!({
            "revision": page.get("revision"),
            "targets": page.get("targets"),
            "subjects": all,
            "is_complete": is_complete,
        })));
    }
    let rows: Vec<Vec<String>> = all.iter().flat_map(row).collect();
    put(&show::table(&["SUBJECT", "TARGET", "CONNECT", "MAY", "ASKS", "DEPENDS", "IN CLEAR"], &rows))?;
    if !is_complete {
        tell("not everything was asked in time: ask about one target with --target");
    }
    let unknown = all.iter().filter(|one| one.get("groups").is_none_or(Value::is_null)).count();
    if unknown > 0 {
        tell(&format!("the groups of {unknown} subjects are not known: sluice audit reindex makes the index anew"));
    }
    Ok(())
}

/// A line for each target that a session may be opened at, or one that says that there is none.
fn row(subject: &Value) -> Vec<Vec<String>> {
    let name = show::subject(subject, "/subject");
    let of = |one: &Value| {
        let cut = if one.get("cut") == Some(&Value::Bool(true)) { ", …" } else { "" };
        vec![
            name.clone(),
            show::text(one, "/target"),
            show::text(one, "/connect"),
            format!("{}{cut}", show::joined(one, "/allow")),
            show::joined(one, "/ask"),
            show::joined(one, "/depends"),
            show::joined(one, "/clear"),
        ]
    };
    let open = show::list(subject, "/targets").iter().filter(|one| show::text(one, "/connect") != "deny");
    let rows: Vec<Vec<String>> = open.map(of).collect();
    match (rows.is_empty(), subject.get("groups").is_none_or(Value::is_null)) {
        (false, _) => rows,
        (true, false) => vec![vec![name, String::from("(none)"), String::from("deny")]],
        (true, true) => vec![vec![name, String::from("(not known)")]],
    }
}

fn cell(args: &Args, client: &Client, subject: &str, target: &str) -> Result<(), Failure> {
    let mut asked = vec![("subject", subject.to_owned()), ("target", target.to_owned())];
    if args.kind.is_some() || !args.groups.is_empty() {
        if let Some(group) = args.groups.iter().find(|group| group.contains(',')) {
            return Err(Failure::Usage(format!("a group has no comma in its name: {group}")));
        }
        asked.push(("groups", args.groups.join(",")));
        // Whoever thinks of groups thinks of a program, unless they say otherwise.
        asked.push(("kind", args.kind.clone().unwrap_or_else(|| String::from("service"))));
    }
    let cell = client.get("/v1/access/cell", &asked)?;
    if args.json {
        return put(&show::json(&cell));
    }
    let mut out = show::facts(&[
        ("subject", show::subject(&cell, "/subject")),
        ("kind", show::text(&cell, "/kind")),
        ("groups", show::joined(&cell, "/groups")),
        ("target", format!("{} ({})", show::text(&cell, "/target"), show::text(&cell, "/protocol"))),
    ]);
    for place in show::list(&cell, "/places") {
        out.push_str(&of_place(place));
    }
    if cell.get("is_complete") != Some(&Value::Bool(true)) {
        out.push_str("\nnot everything was asked in time: ask again\n");
    }
    if args.why {
        out.push_str(&texts(&cell));
    }
    put(&out)
}

fn of_place(place: &Value) -> String {
    let name = show::safe(&show::text(place, "/place"));
    let known = show::safe(&show::text(place, "/known"));
    let mut out = format!("\n{name}, by {known}:\n");
    if place.get("cut") == Some(&Value::Bool(true)) {
        out.push_str("there are more objects than were asked about\n");
    }
    let connect = place.get("connect").cloned().unwrap_or_default();
    let answers = [&connect].into_iter().chain(show::list(place, "/may"));
    let rows: Vec<Vec<String>> = answers.map(answer).collect();
    out.push_str(&show::table(&["VERB", "ON", "OUTCOME", "DEPENDS ON", "ASKS", "POLICIES"], &rows));
    let seen: Vec<Vec<String>> = show::list(place, "/sees").iter().map(sees).collect();
    if !seen.is_empty() {
        out.push_str(&format!("\n{}", show::table(&["CLASS", "COLUMN", "SHOWN", "DEPENDS ON", "POLICIES"], &seen)));
    }
    out
}

fn answer(one: &Value) -> Vec<String> {
    let unbounded = show::text(one, "/unbounded");
    let outcome = show::text(one, "/outcome");
    let decided = show::joined(one, "/policies");
    let near = show::joined(one, "/near");
    let because = match (decided.is_empty(), near.is_empty()) {
        (false, _) => decided,
        (true, false) => format!("none permits it; conditions do not hold: {near}"),
        (true, true) => String::from("none permits it"),
    };
    vec![
        show::text(one, "/verb"),
        show::text(one, "/object"),
        if unbounded.is_empty() { outcome } else { format!("{outcome}; unbounded: {unbounded}") },
        show::joined(one, "/depends_on"),
        show::joined(one, "/asks"),
        because,
    ]
}

fn sees(one: &Value) -> Vec<String> {
    let column = show::text(one, "/column");
    let policies = show::joined(one, "/policies");
    vec![
        show::text(one, "/class"),
        if column.is_empty() { String::from("(anywhere)") } else { column },
        show::text(one, "/shown"),
        show::joined(one, "/depends_on"),
        if policies.is_empty() { String::from("none permits it") } else { policies },
    ]
}

/// Each policy that is named, once, as it was written.
fn texts(cell: &Value) -> String {
    let policies = show::list(cell, "/policies").iter();
    let by_place: BTreeMap<(String, u64), &Value> =
        policies.map(|one| ((show::text(one, "/file"), show::number(one, "/line")), one)).collect();
    let mut out = String::new();
    for ((file, line), one) in by_place {
        let id = show::safe(&show::text(one, "/id"));
        out.push_str(&format!("\n{id} ({}:{line})\n{}", show::safe(&file), show::quoted(&show::text(one, "/text"))));
    }
    out
}
