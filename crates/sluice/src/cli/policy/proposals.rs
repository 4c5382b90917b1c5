//! `sluice policy propose`, `proposals`, `approve`, `apply`: changes of policies that two people want.

use std::path::PathBuf;

use model::id::{Digest, ProposalId};
use serde_json::{Value, json};

use super::super::connect::Connect;
use super::super::failure::Failure;
use super::super::listing::{self, Form};
use super::super::{put, put_line, show};
use super::{drafts, revisions};

/// Propose the policies, classification and cases of a directory
#[derive(clap::Args)]
#[command(
    after_help = "What DIR has and what is in force is compared: what differs is proposed, and policies that DIR does \
    not have are removed.\nA directory that DIR lacks, such as tests, stays as it is.\n\nExamples:\n  \
    sluice policy propose candidate --reason 'INC-42: support reads orders'\n  \
    sluice policy propose candidate --reason 'as discussed' --change prp-0123456789abc"
)]
pub(in crate::cli) struct ProposeArgs {
    /// A revision as it is to be
    dir: PathBuf,
    /// Why; whoever agrees reads it
    #[arg(long)]
    reason: String,
    /// Your own proposal that this takes the place of: who agreed to it has to look again
    #[arg(long, value_name = "ID")]
    change: Option<ProposalId>,
    #[command(flatten)]
    connect: Connect,
    /// For programs
    #[arg(long)]
    json: bool,
}

/// List proposals, the newest first
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  sluice policy proposals\n  sluice policy proposals --json")]
pub(in crate::cli) struct ListArgs {
    #[command(flatten)]
    connect: Connect,
    #[command(flatten)]
    form: Form,
}

/// Show all of a proposal: what it changes, its cases, who agreed
#[derive(clap::Args)]
#[command(after_help = "Example:\n  sluice policy proposal prp-0123456789abc")]
pub(in crate::cli) struct ShowArgs {
    /// The proposal, as `prp-…`
    id: ProposalId,
    #[command(flatten)]
    connect: Connect,
    /// For programs
    #[arg(long)]
    json: bool,
}

/// What was looked at
#[derive(clap::Args)]
#[command(after_help = "The digest is what `sluice policy proposal ID` shows.\n\nExample:\n  \
    sluice policy approve prp-0123456789abc --reason 'looked at with ann' \\\n    \
    --digest 5f3c9a1be0d7c24418aa6b3f5d90e7721c6e4fb8093ad5127e8f46c0b1d2a3e5\n  \
    sluice policy apply prp-0123456789abc \\\n    \
    --digest 5f3c9a1be0d7c24418aa6b3f5d90e7721c6e4fb8093ad5127e8f46c0b1d2a3e5")]
pub(in crate::cli) struct DigestArgs {
    /// The proposal, as `prp-…`
    id: ProposalId,
    /// Its digest, as you looked at it: all 64 digits, as whoever wrote it could make another that begins alike
    #[arg(long)]
    digest: Digest,
    /// Why; it is kept with the proposal
    #[arg(long)]
    reason: Option<String>,
    #[command(flatten)]
    connect: Connect,
    /// For programs
    #[arg(long)]
    json: bool,
}

pub(super) fn propose(args: &ProposeArgs) -> Result<(), Failure> {
    let client = args.connect.client()?;
    let draft = drafts::read(&client, &args.dir)?;
    let body = json!({ "files": draft.files, "reason": args.reason, "base": draft.base });
    let path = args.change.map_or(String::from("/v1/proposals"), |id| format!("/v1/proposals/{id}/change"));
    let proposed = client.post(&path, &body)?;
    put(&if args.json { show::json(&proposed) } else { described(&proposed) })
}

pub(super) fn list(args: &ListArgs) -> Result<(), Failure> {
    let found = args.connect.client()?.get("/v1/proposals", &[])?;
    listing::print(&found, args.form, &["ID", "STATUS", "BY", "CHANGED", "BASE", "AGREED", "REASON"], |one| {
        let agreed = format!("{}/{}", show::list(one, "/agreements").len(), show::number(one, "/needed"));
        vec![
            show::text(one, "/id"),
            show::text(one, "/status"),
            show::subject(one, "/author"),
            show::moment(one, "/changed_at"),
            show::text(one, "/base"),
            agreed,
            args.form.cut(&show::text(one, "/reason"), 60),
        ]
    })
}

pub(super) fn show(args: &ShowArgs) -> Result<(), Failure> {
    let found = args.connect.client()?.get(&format!("/v1/proposals/{}", args.id), &[])?;
    put(&if args.json { show::json(&found) } else { described(&found) })
}

pub(super) fn approve(args: &DigestArgs) -> Result<(), Failure> {
    let answer = send(args, "approve")?;
    if args.json {
        return put(&show::json(&answer));
    }
    let agreed = show::list(&answer, "/agreements").len();
    put_line(&format!("{agreed} of {} agreed to {}", show::number(&answer, "/needed"), args.id))
}

pub(super) fn apply(args: &DigestArgs) -> Result<(), Failure> {
    let answer = send(args, "apply")?;
    if args.json {
        return put(&show::json(&answer));
    }
    put_line(&format!("{} is in force: revision {}", args.id, show::number(&answer, "/revision")))
}

pub(super) fn withdraw(args: &ShowArgs) -> Result<(), Failure> {
    let answer = args.connect.client()?.post(&format!("/v1/proposals/{}/withdraw", args.id), &json!({}))?;
    if args.json {
        return put(&show::json(&answer));
    }
    put_line(&format!("{} is withdrawn", args.id))
}

/// Says what was looked at: Sluice looks whether the proposal is that still.
fn send(args: &DigestArgs, how: &str) -> Result<Value, Failure> {
    let digest = args.digest.to_string();
    let body = match how {
        "approve" => json!({ "digest": digest, "reason": args.reason }),
        _ => json!({ "digest": digest }),
    };
    args.connect.client()?.post(&format!("/v1/proposals/{}/{how}", args.id), &body)
}

fn described(found: &Value) -> String {
    let agreed: Vec<String> =
        show::list(found, "/proposal/agreements").iter().map(|one| show::subject(one, "/by")).collect();
    let base = show::text(found, "/proposal/base");
    let is_current = found.pointer("/proposal/is_current").and_then(Value::as_bool) == Some(true);
    let base = if is_current { base } else { format!("{base}, which is not in force") };
    let mut out = show::facts(&[
        ("proposal", show::text(found, "/proposal/id")),
        ("status", show::text(found, "/proposal/status")),
        ("by", show::subject(found, "/proposal/author")),
        ("for", show::subjects(found, "/proposal/on_behalf_of")),
        ("reason", show::text(found, "/proposal/reason")),
        ("changes", format!("revision {base}")),
        ("digest", show::text(found, "/proposal/digest")),
        ("agreed", format!("{} of {}", agreed.len(), show::number(found, "/proposal/needed"))),
        ("", agreed.join(", ")),
        ("in force as", show::text(found, "/proposal/revision")),
        ("cases", found.pointer("/examined").filter(|value| value.is_object()).map(cases).unwrap_or_default()),
    ]);
    out.push('\n');
    show::list(found, "/diffs").iter().for_each(|file| out.push_str(&revisions::file(file)));
    out
}

/// How many cases came out as they say.
pub(super) fn cases(examined: &Value) -> String {
    let (all, failed) = (show::list(examined, "/cases").len(), show::number(examined, "/failed"));
    let mistakes = show::list(examined, "/mistakes");
    match mistakes.first() {
        Some(first) => format!("not run: {} {}", show::text(first, "/file"), show::text(first, "/message")),
        None if failed == 0 => format!("{all}, all as expected"),
        None => format!("{failed} of {all} fail"),
    }
}
