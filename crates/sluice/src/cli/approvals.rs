//! `sluice approvals`: what an approver sees is complete and cannot deceive (AP-07).

use model::id::ApprovalId;
use serde_json::{Value, json};

use super::connect::Connect;
use super::failure::Failure;
use super::listing::Form;
use super::{listing, put, put_line, show, time};

/// See and answer what waits for a human
#[derive(clap::Subcommand)]
#[command(after_help = "Examples:\n  sluice approvals list --pending\n  sluice approvals show apr-0123456789abc\n  \
    sluice approvals approve apr-0123456789abc --reason 'INC-42, checked with payments'\n  \
    sluice approvals deny apr-0123456789abc --reason 'use the refund API'")]
pub(super) enum Command {
    /// List approvals, the newest first
    List(ListArgs),
    /// Show all of what is asked
    Show {
        /// The approval, as `apr-…`
        id: ApprovalId,
        #[command(flatten)]
        connect: Connect,
        /// For programs
        #[arg(long)]
        json: bool,
    },
    /// Agree, as a member of a group that is asked
    Approve(AnswerArgs),
    /// Refuse, as a member of a group that is asked
    Deny(AnswerArgs),
    /// Take your own request back
    Withdraw(AnswerArgs),
}

/// Which to list
#[derive(clap::Args)]
pub(super) struct ListArgs {
    #[command(flatten)]
    connect: Connect,
    /// Only those that wait for answers
    #[arg(long, conflicts_with = "status")]
    pending: bool,
    /// Only those that stand so
    #[arg(long, value_parser = ["pending", "approved", "denied", "withdrawn", "expired", "consumed"])]
    status: Option<String>,
    /// Only those that this subject asked for, as alias|id
    #[arg(long)]
    subject: Option<String>,
    /// Only those at this target
    #[arg(long)]
    target: Option<String>,
    /// Only those since then: 24h, or 2026-11-23T02:00:00Z
    #[arg(long, value_parser = time::since)]
    since: Option<control::time::Moment>,
    /// At most so many
    #[arg(long, default_value_t = 100)]
    limit: u32,
    #[command(flatten)]
    form: Form,
}

/// An answer
#[derive(clap::Args)]
pub(super) struct AnswerArgs {
    /// The approval, as `apr-…`
    id: ApprovalId,
    /// Why; it goes into the record
    #[arg(long)]
    reason: Option<String>,
    #[command(flatten)]
    connect: Connect,
    /// For programs
    #[arg(long)]
    json: bool,
}

pub(super) fn run(command: Command) -> Result<(), Failure> {
    match command {
        Command::List(args) => list(args),
        Command::Show { id, connect, json } => {
            let approval = connect.client()?.get(&format!("/v1/approvals/{id}"), &[])?;
            put(&if json { show::json(&approval) } else { described(&approval) })
        }
        Command::Approve(args) => answer(&args, "answer", &json!({ "approve": true, "reason": args.reason })),
        Command::Deny(args) => answer(&args, "answer", &json!({ "approve": false, "reason": args.reason })),
        Command::Withdraw(args) => answer(&args, "withdraw", &json!({ "reason": args.reason })),
    }
}

fn answer(args: &AnswerArgs, how: &str, body: &Value) -> Result<(), Failure> {
    let client = args.connect.client()?;
    let path = format!("/v1/approvals/{}", args.id);
    let answer = client.post(&format!("{path}/{how}"), body)?;
    if args.json {
        return put(&show::json(&answer));
    }
    let status = show::text(&answer, "/status");
    put_line(&format!("{} is {}", args.id, show::safe(&status)))?;
    if status == "pending" {
        put(&progress(&client.get(&path, &[])?))?;
    }
    Ok(())
}

fn list(args: ListArgs) -> Result<(), Failure> {
    let status = if args.pending { Some(String::from("pending")) } else { args.status };
    let query = listing::query([
        ("limit", Some(args.limit.to_string())),
        ("status", status),
        ("subject", args.subject),
        ("target", args.target),
        ("since", args.since.map(|since| since.to_string())),
    ]);
    let found = args.connect.client()?.get("/v1/approvals", &query)?;
    listing::print(&found, args.form, &["ID", "STATUS", "ASKED", "BY", "AT", "NEEDS", "WHAT"], |approval| {
        row(approval, args.form)
    })
}

fn row(approval: &Value, form: Form) -> Vec<String> {
    let needs: Vec<String> = show::list(approval, "/progress")
        .iter()
        .map(|need| {
            let (agreed, quorum) = (show::number(need, "/agreed"), show::number(need, "/quorum"));
            format!("{} {agreed}/{quorum}", show::joined(need, "/groups"))
        })
        .collect();
    vec![
        show::text(approval, "/id"),
        show::text(approval, "/status"),
        show::moment(approval, "/asked/asked_at"),
        show::subject(approval, "/asked/subject"),
        show::text(approval, "/asked/target"),
        needs.join("; "),
        form.cut(&show::text(approval, "/asked/statement"), 60),
    ]
}

/// All of what is asked. Sluice's own words stand at the margin; what the requester wrote stands behind a bar.
fn described(approval: &Value) -> String {
    let statement = show::text(approval, "/asked/statement");
    let mut out = show::facts(&[
        ("approval", show::text(approval, "/id")),
        ("status", show::text(approval, "/status")),
        ("asked by", show::subject(approval, "/asked/subject")),
        ("on behalf of", show::subjects(approval, "/asked/on_behalf_of")),
        ("at", format!("{} / {}", show::text(approval, "/asked/target"), show::text(approval, "/asked/database"))),
        ("asked", show::moment(approval, "/asked/asked_at")),
        ("until", show::moment(approval, "/asked/expires_at")),
        ("waits as", show::text(approval, "/asked/mode")),
        ("request", show::text(approval, "/asked/request")),
        ("revision", show::text(approval, "/asked/revision")),
        ("rows touched", estimate(approval)),
        ("digest", show::text(approval, "/asked/digest")),
    ]);
    section(&mut out, "what would run", &show::quoted(&statement));
    let parameters = show::list(approval, "/asked/parameters");
    let numbered = parameters.iter().enumerate();
    section(&mut out, "parameters", &numbered.map(|(at, value)| parameter(at, value)).collect::<String>());
    section(&mut out, "what it does", &lines(show::list(approval, "/asked/effects")));
    let reason = show::text(approval, "/asked/reason");
    section(&mut out, "why, in the requester's words", &if reason.is_empty() { reason } else { show::quoted(&reason) });
    if let Some(warning) = show::foreign_letters(&statement) {
        out.push_str(&format!("\n{warning}\n"));
    }
    out.push_str(&format!("\nwhat has to be agreed to\n{}", progress(approval)));
    section(&mut out, "answers", &show::list(approval, "/answers").iter().map(given).collect::<String>());
    section(&mut out, "used by", &show::list(approval, "/uses").iter().map(used).collect::<String>());
    section(&mut out, "how it ended", &ended(approval));
    out
}

fn section(out: &mut String, title: &str, content: &str) {
    if !content.is_empty() {
        out.push_str(&format!("\n{title}\n{content}"));
    }
}

fn estimate(approval: &Value) -> String {
    match show::text(approval, "/asked/estimated_rows") {
        rows if rows.is_empty() => rows,
        rows => format!("about {rows}, as the target estimates"),
    }
}

fn parameter(at: usize, value: &Value) -> String {
    format!("  ${} = {}\n", at.saturating_add(1), show::safe(&show::text(value, "")))
}

fn lines(items: &[Value]) -> String {
    items.iter().map(|item| format!("  {}\n", show::safe(&show::text(item, "")))).collect()
}

fn progress(approval: &Value) -> String {
    let need = |need: &Value| {
        let (agreed, quorum) = (show::number(need, "/agreed"), show::number(need, "/quorum"));
        let (groups, policy) = (show::joined(need, "/groups"), show::text(need, "/policy"));
        format!("  {agreed} of {quorum} agreed, any of {} (policy {})\n", show::safe(&groups), show::safe(&policy))
    };
    show::list(approval, "/progress").iter().map(need).collect()
}

fn given(answer: &Value) -> String {
    let word = if answer.pointer("/approve").and_then(Value::as_bool) == Some(true) { "agreed" } else { "refused" };
    let (who, when) = (show::subject(answer, "/approver"), show::moment(answer, "/at"));
    let reason = show::text(answer, "/reason");
    let reason = if reason.is_empty() { reason } else { format!(": {}", show::safe(&reason)) };
    format!("  {when}  {} {word}{reason}\n", show::safe(&who))
}

fn used(usage: &Value) -> String {
    let end = if usage.pointer("/completed").and_then(Value::as_bool) == Some(true) {
        "ended"
    } else {
        "not known to have ended"
    };
    format!("  {}  request {} ({end})\n", show::moment(usage, "/at"), show::safe(&show::text(usage, "/request")))
}

fn ended(approval: &Value) -> String {
    match show::text(approval, "/ended/reason") {
        reason if reason.is_empty() => reason,
        reason => format!("  {}  {}\n", show::moment(approval, "/ended/at"), show::safe(&reason)),
    }
}

#[cfg(test)]
mod tests;
