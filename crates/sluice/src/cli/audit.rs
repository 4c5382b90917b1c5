//! `sluice audit`

use serde_json::Value;

use super::connect::Connect;
use super::failure::Failure;
use super::listing::Form;
use super::{growth, listing, prove, put, reindex, repair, rotate_key, show, tiles, time, verify, witness};

/// Search the record, and verify it
#[derive(clap::Subcommand)]
#[command(after_help = "Examples:\n  sluice audit search --target payments --since 24h\n  \
    sluice audit search --subject order-service --class card_number\n  \
    sluice audit report --class card_number --since 30d\n  \
    sluice audit verify --data-dir /var/lib/sluice")]
pub(super) enum Command {
    /// Find requests: who did what, when, and what they were shown
    Search(Box<SearchArgs>),
    /// Say whether values of a class were read: how many in clear, how many masked
    Disclosed(Box<SearchArgs>),
    /// Say what each subject was shown of a class
    Report(ReportArgs),
    /// Find other events: approvals, break-glass, revisions, secrets used, administration
    Events(Box<SearchArgs>),
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
pub(super) struct SearchArgs {
    #[command(flatten)]
    connect: Connect,
    /// Since then: 24h, or 2026-11-23T02:00:00Z
    #[arg(long, value_parser = time::since)]
    since: Option<control::time::Moment>,
    /// Before then
    #[arg(long, value_parser = time::since)]
    until: Option<control::time::Moment>,
    /// By this subject: alias|id, or an id of any issuer's
    #[arg(long)]
    subject: Option<String>,
    /// On behalf of this subject
    #[arg(long)]
    on_behalf_of: Option<String>,
    /// At this target
    #[arg(long)]
    target: Option<String>,
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
    /// Of this session
    #[arg(long)]
    session: Option<String>,
    /// This request, as refusals name it
    #[arg(long)]
    request: Option<String>,
    /// Spending this approval
    #[arg(long)]
    approval: Option<String>,
    /// Of a session whose connection used this secret
    #[arg(long)]
    secret: Option<String>,
    /// Only allowed requests whose end is not known
    #[arg(long)]
    unknown_only: bool,
    /// At most so many
    #[arg(long, default_value_t = 100)]
    limit: u32,
    #[command(flatten)]
    form: Form,
}

/// Of which class, since when
#[derive(clap::Args)]
pub(super) struct ReportArgs {
    #[command(flatten)]
    connect: Connect,
    /// The class, such as card_number
    #[arg(long)]
    class: String,
    /// Since then: 24h, or 2026-11-23T02:00:00Z
    #[arg(long, value_parser = time::since)]
    since: Option<control::time::Moment>,
    #[command(flatten)]
    form: Form,
}

impl SearchArgs {
    fn query(&self) -> Vec<(&'static str, String)> {
        listing::query([
            ("limit", Some(self.limit.to_string())),
            ("subject", self.subject.clone()),
            ("on_behalf_of", self.on_behalf_of.clone()),
            ("target", self.target.clone()),
            ("table", self.table.clone()),
            ("column", self.column.clone()),
            ("verb", self.verb.clone()),
            ("outcome", self.outcome.clone()),
            ("policy", self.policy.clone()),
            ("class", self.class.clone()),
            ("statement", self.statement.clone()),
            ("trace", self.trace.clone()),
            ("text", self.text.clone()),
            ("session", self.session.clone()),
            ("request", self.request.clone()),
            ("approval", self.approval.clone()),
            ("secret", self.secret.clone()),
            ("since", self.since.map(|since| since.to_string())),
            ("until", self.until.map(|until| until.to_string())),
            ("unknown_only", self.unknown_only.then(|| String::from("true"))),
        ])
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
    let client = args.connect.client()?;
    let found = client.get("/v1/audit/search", &args.query())?;
    let headings = ["WHEN", "SUBJECT", "TARGET", "OUTCOME", "ROWS", "SHOWN", "REQUEST", "STATEMENT"];
    listing::print(&found, args.form, &headings, |request| request_row(request, args.form))?;
    if !args.form.is_table() {
        return Ok(());
    }
    if show::list(&found, "").len() >= usize::try_from(args.limit).unwrap_or(usize::MAX) {
        put(&format!("the newest {} of more; narrow the search or raise --limit\n", args.limit))?;
    }
    match &args.class {
        Some(class) => put(&summary(args, class, &client.get("/v1/audit/disclosed", &args.query())?)),
        None => Ok(()),
    }
}

fn disclosed(args: &SearchArgs) -> Result<(), Failure> {
    let Some(class) = &args.class else {
        return Err(Failure::Usage(String::from("name the class: --class card_number")));
    };
    let answer = args.connect.client()?.get("/v1/audit/disclosed", &args.query())?;
    put(&if args.form.json { show::json(&answer) } else { summary(args, class, &answer) })
}

/// `order-service read card_number: 0 in clear, 12 masked, 0 unknown`
fn summary(args: &SearchArgs, class: &str, answer: &Value) -> String {
    let who = args.subject.as_deref().unwrap_or("everybody together");
    format!(
        "{} read {}: {} in clear, {} masked, {} unknown\n",
        show::safe(who),
        show::safe(class),
        show::number(answer, "/clear"),
        show::number(answer, "/masked"),
        show::number(answer, "/unknown"),
    )
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

fn report(args: &ReportArgs) -> Result<(), Failure> {
    let query =
        listing::query([("class", Some(args.class.clone())), ("since", args.since.map(|since| since.to_string()))]);
    let found = args.connect.client()?.get("/v1/audit/report", &query)?;
    let row = |line: &Value| {
        vec![
            show::subject(line, "/subject"),
            show::text(line, "/clear"),
            show::text(line, "/masked"),
            show::text(line, "/requests"),
            show::text(line, "/unknown"),
        ]
    };
    listing::print(&found, args.form, &["SUBJECT", "IN CLEAR", "MASKED", "REQUESTS", "UNKNOWN"], row)
}

fn events(args: &SearchArgs) -> Result<(), Failure> {
    let found = args.connect.client()?.get("/v1/audit/events", &args.query())?;
    let row = |event: &Value| {
        let inner = event.pointer("/event");
        let (kind, what) = match inner.and_then(Value::as_object).and_then(|one| one.iter().next()) {
            Some((kind, fields)) => (kind.clone(), fields.to_string()),
            None => (inner.map(|kind| show::text(kind, "")).unwrap_or_default(), String::new()),
        };
        vec![show::text(event, "/position"), show::moment(event, "/at"), kind, args.form.cut(&what, 120)]
    };
    listing::print(&found, args.form, &["ENTRY", "WHEN", "WHAT", "DETAILS"], row)
}
