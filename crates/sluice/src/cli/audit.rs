//! `sluice audit`

use control::Question;
use serde_json::Value;

use super::connect::Connect;
use super::failure::Failure;
use super::listing::{Form, Span};
use super::records::{JournalsArgs, NowArgs, Records};
use super::{growth, listing, prove, put, reindex, repair, rotate_key, show, tiles, time, verify, witness};

/// Search the record, and verify it
#[derive(clap::Subcommand)]
#[command(after_help = "Examples:\n  sluice audit search --target payments --since 24h\n  \
    sluice audit search --subject order-service --class card_number\n  \
    sluice audit report --class card_number --since 30d\n  \
    sluice audit report --class card_number --now\n  \
    sluice audit search --class email --data-dir /srv/east --data-dir /srv/west\n  \
    sluice audit verify --data-dir /var/lib/sluice")]
pub(super) enum Command {
    /// Find requests: who did what, when, and what they were shown
    Search(Box<SearchArgs>),
    /// Say whether values of a class were read: how many in clear, how many masked
    Disclosed(Box<SearchArgs>),
    /// Say what each subject was shown of a class
    Report(ReportArgs),
    /// Find other events: approvals, break-glass, revisions, secrets used, administration
    Events(EventsArgs),
    /// Verify a journal offline, from its files and the public key; name the first damaged entry
    Verify(verify::Args),
    /// Prove that an entry is in the journal, for somebody who has the public key alone
    Prove(prove::Args),
    /// Check such a proof, and show the entry
    CheckProof(prove::CheckArgs),
    /// Prove that the journal of one checkpoint grew from that of an older one
    ProveGrowth(growth::Args),
    /// Check such a proof
    CheckGrowth(growth::CheckArgs),
    /// Make the index of searches anew from the journal, while Sluice is stopped
    Reindex(reindex::Args),
    /// Write the journal as static files that other tools read
    Tiles(tiles::Args),
    /// Set aside damaged bytes at the journal's end that are not signed yet, while Sluice is stopped
    Repair(repair::Args),
    /// Change the key that signs the journal, while Sluice is stopped
    RotateKey(rotate_key::Args),
    /// Remember the checkpoints of journals on another machine, and cosign them
    Witness(witness::Args),
}

/// What to find; everything that is given narrows the search
#[derive(clap::Args)]
#[command(
    after_help = "By class, what is found was of that class when it was delivered. With --now it is by what is of the class \
    now: exact where a column was classified then too, and by rows, at most, where it was not.\n\nExamples:\n  \
    sluice audit search --subject order-service --class card_number\n  \
    sluice audit search --class card_number --now --since 90d\n  \
    sluice audit search --secret vault:payments --csv\n  \
    sluice audit search --subject ada --data-dir /srv/east --data-dir /srv/west\n  \
    sluice audit search --class email --now --revision ./revision --data-dir /srv/east --json"
)]
pub(super) struct SearchArgs {
    #[command(flatten)]
    of: Narrowed,
    /// On behalf of this subject
    #[arg(long)]
    on_behalf_of: Option<String>,
    /// Touching this relation: schema.name, or a name in any schema
    #[arg(long)]
    table: Option<String>,
    /// Touching this column: schema.table.column
    #[arg(long)]
    column: Option<String>,
    /// With this verb among the effects, such as select or delete
    #[arg(long)]
    verb: Option<String>,
    /// Decided so
    #[arg(long, value_parser = ["allow", "deny", "ask"])]
    outcome: Option<String>,
    /// Decided by the policy with this @id
    #[arg(long)]
    policy: Option<String>,
    /// Shown a value of this class, in clear or masked
    #[arg(long)]
    class: Option<String>,
    /// Running this statement, by the digest that the record has of it
    #[arg(long, value_name = "DIGEST")]
    statement: Option<String>,
    /// Belonging to this trace (W3C Trace Context), as in 4bf92f3577b34da6a3ce929d0e0e4736
    #[arg(long, value_name = "ID")]
    trace: Option<String>,
    /// Running a statement with this in its text
    #[arg(long)]
    text: Option<String>,
    /// This request, as refusals name it
    #[arg(long)]
    request: Option<String>,
    /// Only allowed requests whose end is not known
    #[arg(long)]
    unknown_only: bool,
    #[command(flatten)]
    asked: Asked,
    #[command(flatten)]
    now: NowArgs,
}

/// What narrows every search
#[derive(clap::Args)]
struct Narrowed {
    #[command(flatten)]
    span: Span,
    /// Of this session
    #[arg(long)]
    session: Option<String>,
    /// About or spending this approval
    #[arg(long)]
    approval: Option<String>,
    /// About this secret, or of a session whose connection used it
    #[arg(long)]
    secret: Option<String>,
}

/// Who is asked, and how the answer is shown
#[derive(clap::Args)]
struct Asked {
    #[command(flatten)]
    form: Form,
    #[command(flatten)]
    connect: Connect,
    #[command(flatten)]
    journals: JournalsArgs,
}

/// What else to find; everything that is given narrows it
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  sluice audit events --since 7d\n  sluice audit events --secret vault:payments --csv\n  \
    sluice audit events --since 30d --data-dir /srv/east --data-dir /srv/west"
)]
pub(super) struct EventsArgs {
    #[command(flatten)]
    of: Narrowed,
    #[command(flatten)]
    asked: Asked,
}

/// Of which class, since when
#[derive(clap::Args)]
#[command(
    after_help = "By class, what is counted was of that class when it was delivered. With --now it is by what is of the class \
    now: exact where a column was classified then too, and by rows, at most, where it was not.\n\nExamples:\n  \
    sluice audit report --class card_number --since 30d\n  sluice audit report --class card_number --now\n  \
    sluice audit report --class email --now --revision ./revision --data-dir /srv/east --data-dir /srv/west --csv"
)]
pub(super) struct ReportArgs {
    /// The class, such as card_number
    #[arg(long)]
    class: String,
    /// Since then: 24h, or 2026-11-23T02:00:00Z
    #[arg(long, value_parser = time::since)]
    since: Option<control::time::Moment>,
    #[command(flatten)]
    asked: Asked,
    #[command(flatten)]
    now: NowArgs,
}

impl SearchArgs {
    const fn shown(&self) -> &'static str {
        if self.now.now { "NOW SHOWN" } else { "SHOWN" }
    }

    fn query(&self) -> Vec<(&'static str, String)> {
        let own = listing::query([
            ("on_behalf_of", self.on_behalf_of.clone()),
            ("table", self.table.clone()),
            ("column", self.column.clone()),
            ("verb", self.verb.clone()),
            ("outcome", self.outcome.clone()),
            ("policy", self.policy.clone()),
            ("class", self.class.clone()),
            ("statement", self.statement.clone()),
            ("trace", self.trace.clone()),
            ("text", self.text.clone()),
            ("request", self.request.clone()),
            ("unknown_only", self.unknown_only.then(|| String::from("true"))),
            ("now", self.now.now.then(|| String::from("true"))),
        ]);
        [self.of.query(), own].concat()
    }
}

impl Narrowed {
    fn query(&self) -> Vec<(&'static str, String)> {
        let own = listing::query([
            ("session", self.session.clone()),
            ("approval", self.approval.clone()),
            ("secret", self.secret.clone()),
        ]);
        [self.span.query(), own].concat()
    }
}

impl Asked {
    fn open(&self, now: Option<&NowArgs>) -> Result<Records, Failure> {
        self.journals.open(&self.connect, now)
    }

    /// Prints a list, with the journal in front where there are several.
    fn print(&self, found: &Value, headings: &[&str], row: impl Fn(&Value) -> Vec<String>) -> Result<(), Failure> {
        if !self.journals.are_several() {
            return listing::print(found, self.form, headings, row);
        }
        let with_journal = |line: &Value| [vec![show::text(line, "/journal")], row(line)].concat();
        listing::print(found, self.form, &[&["JOURNAL"], headings].concat(), with_journal)
    }
}

pub(super) fn run(command: Command) -> Result<(), Failure> {
    match command {
        Command::Search(args) => search(&args),
        Command::Disclosed(args) => disclosed(&args),
        Command::Report(args) => report(&args),
        Command::Events(args) => events(&args),
        Command::Verify(args) => verify::run(&args),
        Command::Prove(args) => prove::run(&args),
        Command::CheckProof(args) => prove::check(&args),
        Command::ProveGrowth(args) => growth::run(&args),
        Command::CheckGrowth(args) => growth::check(&args),
        Command::Reindex(args) => reindex::run(&args),
        Command::Tiles(args) => tiles::run(&args),
        Command::Repair(args) => repair::run(&args),
        Command::RotateKey(args) => rotate_key::run(&args),
        Command::Witness(args) => witness::run(&args),
    }
}

fn search(args: &SearchArgs) -> Result<(), Failure> {
    let records = args.asked.open(Some(&args.now))?;
    let found = records.ask(Question::Search, &args.query())?;
    let headings = ["WHEN", "SUBJECT", "TARGET", "OUTCOME", "ROWS", args.shown(), "REQUEST", "STATEMENT"];
    let row = |request: &Value| request_row(request, args.asked.form);
    args.asked.print(&found, &headings, row)?;
    if !args.asked.form.is_table() {
        return Ok(());
    }
    if show::list(&found, "").len() >= usize::try_from(args.of.span.limit).unwrap_or(usize::MAX) {
        put(&format!("the newest {} of more; narrow the search or raise --limit\n", args.of.span.limit))?;
    }
    match &args.class {
        Some(class) => put(&summary(args, class, &records.ask(Question::Disclosed, &args.query())?)),
        None => Ok(()),
    }
}

fn disclosed(args: &SearchArgs) -> Result<(), Failure> {
    let Some(class) = &args.class else {
        return Err(Failure::Usage(String::from("name the class: --class card_number")));
    };
    let answer = args.asked.open(Some(&args.now))?.ask(Question::Disclosed, &args.query())?;
    if args.asked.form.json {
        return put(&show::json(&answer));
    }
    if args.asked.form.is_table() {
        return put(&summary(args, class, &answer));
    }
    let lines = match show::list(&answer, "/journals") {
        [] => Value::Array(vec![answer.clone()]),
        journals => Value::Array(journals.to_vec()),
    };
    let row = |line: &Value| counts_row(line, args.now.now);
    args.asked.print(&lines, counts_headings(args.now.now), row)
}

/// `order-service read card_number: 0 in clear, 12 masked, 0 unknown`, and so for each journal where there are several.
fn summary(args: &SearchArgs, class: &str, answer: &Value) -> String {
    let who = args.of.span.subject.as_deref().unwrap_or("everybody together");
    let line = |counts: &Value| {
        let number = |name: &str| show::number(counts, name);
        let clear = match args.now.now {
            true => format!("{} in clear counted, at most {}", number("/clear"), number("/clear_at_most")),
            false => format!("{} in clear", number("/clear")),
        };
        let now = if args.now.now { " as it is now" } else { "" };
        let (who, class) = (show::safe(who), show::safe(class));
        format!("{who} read {class}{now}: {clear}, {} masked, {} unknown\n", number("/masked"), number("/unknown"))
    };
    let one = |counts: &Value| format!("{}: {}", show::text(counts, "/journal"), line(counts));
    show::list(answer, "/journals").iter().map(one).chain([line(answer)]).collect()
}

fn request_row(request: &Value, form: Form) -> Vec<String> {
    let texts: Vec<String> = show::list(request, "/statements")
        .iter()
        .map(|statement| match show::text(statement, "/text") {
            text if text.is_empty() => format!("({})", show::text(statement, "/id")),
            text => text,
        })
        .collect();
    let outcome = match (show::text(request, "/outcome"), request.pointer("/was_asked").and_then(Value::as_bool)) {
        (outcome, Some(true)) => format!("{outcome}, asked"),
        (outcome, _) => outcome,
    };
    let error = show::text(request, "/completion/error");
    vec![
        show::moment(request, "/at"),
        show::subject(request, "/subject"),
        show::text(request, "/target"),
        if error.is_empty() { outcome } else { format!("{outcome}, {error}") },
        show::text(request, "/completion/rows"),
        shown(request),
        show::text(request, "/request"),
        form.cut(&texts.join("; "), 80),
    ]
}

/// `card_number 0+12`: in clear and masked.
fn shown(request: &Value) -> String {
    if let Some(now) = request.pointer("/now") {
        return given_now(now);
    }
    let is_unknown = show::text(request, "/outcome") == "allow" && show::text(request, "/completion").is_empty();
    if is_unknown {
        return String::from("unknown");
    }
    let classes = request.pointer("/completion/classes").and_then(Value::as_object);
    let one = |(class, counts): (&String, &Value)| {
        format!("{class} {} clear {} masked", show::number(counts, "/clear"), show::number(counts, "/masked"))
    };
    classes.into_iter().flatten().map(one).collect::<Vec<_>>().join(", ")
}

/// `at most 5 clear 0 masked of public.people.nick`.
fn given_now(now: &Value) -> String {
    let (clear, most) = (show::number(now, "/clear"), show::number(now, "/clear_at_most"));
    let clear = if clear == most { clear.to_string() } else { format!("at most {most}") };
    let columns: Vec<String> = show::list(now, "/columns").iter().map(|column| show::text(column, "")).collect();
    let of = if columns.is_empty() { String::new() } else { format!(" of {}", columns.join(", ")) };
    let unknown = now.pointer("/unknown").and_then(Value::as_bool) == Some(true);
    let more = if unknown { "unknown, " } else { "" };
    format!("{more}{clear} clear {} masked{of}", show::number(now, "/masked"))
}

const fn counts_headings(now: bool) -> &'static [&'static str] {
    match now {
        true => &["NOW IN CLEAR", "NOW IN CLEAR AT MOST", "NOW MASKED", "REQUESTS", "UNKNOWN"],
        false => &["IN CLEAR", "MASKED", "REQUESTS", "UNKNOWN"],
    }
}

fn counts_row(line: &Value, now: bool) -> Vec<String> {
    let names: &[&str] = match now {
        true => &["/clear", "/clear_at_most", "/masked", "/requests", "/unknown"],
        false => &["/clear", "/masked", "/requests", "/unknown"],
    };
    names.iter().map(|name| show::text(line, name)).collect()
}

fn report(args: &ReportArgs) -> Result<(), Failure> {
    let now = args.now.now;
    let query = listing::query([
        ("class", Some(args.class.clone())),
        ("since", args.since.map(|since| since.to_string())),
        ("now", now.then(|| String::from("true"))),
    ]);
    let found = args.asked.open(Some(&args.now))?.ask(Question::Report, &query)?;
    let row = |line: &Value| [vec![show::subject(line, "/subject")], counts_row(line, now)].concat();
    args.asked.print(&found, &[&["SUBJECT"], counts_headings(now)].concat(), row)
}

fn events(args: &EventsArgs) -> Result<(), Failure> {
    let found = args.asked.open(None)?.ask(Question::Events, &args.of.query())?;
    let row = |event: &Value| {
        let inner = event.pointer("/event");
        let (kind, what) = match inner.and_then(Value::as_object).and_then(|one| one.iter().next()) {
            Some((kind, fields)) => (kind.clone(), fields.to_string()),
            None => (inner.map(|kind| show::text(kind, "")).unwrap_or_default(), String::new()),
        };
        vec![show::text(event, "/position"), show::moment(event, "/at"), kind, args.asked.form.cut(&what, 120)]
    };
    args.asked.print(&found, &["ENTRY", "WHEN", "WHAT", "DETAILS"], row)
}
