//! What people are told. Sluice's own words stand at the margin; whatever others wrote stands behind a bar, whole, with each
//! hidden character as its name (AP-07).

use std::time::Duration;

use model::approval::{Answer, Mode, Status};
use model::id::ApprovalId;
use model::subject::SubjectKey;
use model::time::Timestamp;
use store::approval::Approval;

use crate::shown::{foreign_letters, plain, quoted};

/// One approval, as it is told.
#[derive(Clone, Debug)]
pub(super) struct Notice {
    pub(super) approval: Approval,
    /// Where it is opened, if there is a console.
    pub(super) link: Option<String>,
    /// For how long nobody has answered, where the channel is told only then.
    pub(super) after: Option<Duration>,
    pub(super) now: Timestamp,
}

impl Notice {
    pub(super) fn id(&self) -> ApprovalId {
        self.approval.id
    }

    /// Whether it can be answered.
    pub(super) fn is_open(&self) -> bool {
        self.approval.status == Status::Pending
    }

    /// In one line of Sluice's own words.
    pub(super) fn title(&self) -> String {
        let late = match self.after {
            Some(after) if self.is_open() => format!(": nobody has answered for {}", span(after.as_millis())),
            Some(_) | None => String::new(),
        };
        format!("{} {}{late}", self.id(), word(self.approval.status))
    }

    /// All of it, as a text of lines.
    pub(super) fn sheet(&self) -> String {
        let asked = &self.approval.asked;
        let mut out = self.facts();
        section(&mut out, "what would run", &quoted(&asked.statement));
        let parameters = asked.parameters.iter().enumerate();
        let parameter =
            |(at, value): (usize, &String)| quoted(&format!("${} = {}", at.saturating_add(1), plain(value)));
        section(&mut out, "parameters", &parameters.map(parameter).collect::<String>());
        section(&mut out, "what it does", &asked.effects.iter().map(|effect| quoted(effect)).collect::<String>());
        let reason = asked.reason.as_deref().map(quoted).unwrap_or_default();
        section(&mut out, "why, in the requester's words", &reason);
        let said = asked.parameters.iter().chain([&asked.statement]).cloned().collect::<String>();
        section(&mut out, &foreign_letters(&said).unwrap_or_default(), "\n");
        section(&mut out, "answers", &self.approval.answers.iter().map(answer).collect::<String>());
        let ended = self.approval.ended.as_ref().map(|ended| quoted(&ended.reason)).unwrap_or_default();
        section(&mut out, "how it ended", &ended);
        out
    }

    fn facts(&self) -> String {
        let asked = &self.approval.asked;
        let needs = self.approval.agreed().map(|(need, agreed)| {
            let groups = need.groups.iter().map(|group| plain(group)).collect::<Vec<_>>().join(", ");
            format!("{agreed} of {} agreed, any of {groups} (policy {})", need.quorum.max(1), plain(&need.policy))
        });
        let left = asked.expires_at.millis_since(self.now);
        let until = match self.is_open() {
            true => format!("{}, {} left when this was written", asked.expires_at, span(left.into())),
            false => asked.expires_at.to_string(),
        };
        let facts = [
            ("status", word(self.approval.status).to_owned()),
            ("asked by", subject(&asked.subject)),
            ("on behalf of", asked.on_behalf_of.iter().map(subject).collect::<Vec<_>>().join(", ")),
            ("at", format!("{} / {}", plain(&asked.target), plain(&asked.database))),
            ("needs", needs.collect::<Vec<_>>().join("; ")),
            ("until", until),
            ("waits as", mode(asked.mode).to_owned()),
            ("rows touched", asked.estimated_rows.map(|rows| format!("about {rows}")).unwrap_or_default()),
            ("digest", asked.digest.to_string()),
        ];
        let told = facts.into_iter().filter(|(_, fact)| !fact.is_empty());
        told.map(|(name, fact)| format!("{name:<13} {fact}\n")).collect()
    }
}

/// What stands for approvals that got no message of their own.
pub(super) fn digest(waiting: &[Approval], beyond: u64) -> (String, String) {
    let mut by: std::collections::BTreeMap<(String, String), usize> = std::collections::BTreeMap::new();
    for approval in waiting {
        let place = (subject(&approval.asked.subject), plain(&approval.asked.target));
        let count = by.entry(place).or_default();
        *count = count.saturating_add(1);
    }
    let mut most: Vec<(usize, (String, String))> = by.into_iter().map(|(place, count)| (count, place)).collect();
    most.sort_by(|one, other| other.0.cmp(&one.0).then_with(|| one.1.cmp(&other.1)));
    let line = |(count, (who, target)): &(usize, (String, String))| format!("{count} by {who} at {target}\n");
    let mut text: String = most.iter().take(TOLD_APART).map(line).collect();
    let others: usize = most.iter().skip(TOLD_APART).map(|(count, _)| count).sum();
    if others > 0 {
        text.push_str(&format!("{others} by others\n"));
    }
    if beyond > 0 {
        text.push_str(&format!("and up to {beyond} that were too many to follow\n"));
    }
    (format!("{} more approvals wait for an answer", waiting.len()), text)
}

/// How many requesters a digest names.
const TOLD_APART: usize = 10;

/// How an approval stands, in words.
pub(super) const fn word(status: Status) -> &'static str {
    match status {
        Status::Pending => "waits for an answer",
        Status::Approved => "is approved",
        Status::Denied => "is denied",
        Status::Withdrawn => "was withdrawn",
        Status::Expired => "has expired",
        Status::Consumed => "was approved and is used",
    }
}

const fn mode(mode: Mode) -> &'static str {
    match mode {
        Mode::Hold => "hold: the connection waits",
        Mode::Ticket => "ticket: the same request counts when it is made again",
        Mode::Window => "window",
    }
}

fn subject(key: &SubjectKey) -> String {
    plain(&key.to_string())
}

fn answer(answer: &Answer) -> String {
    let word = if answer.approve { "agreed" } else { "refused" };
    let reason = answer.reason.as_deref().map(|reason| format!(": {reason}")).unwrap_or_default();
    quoted(&format!("{} {} {word}{}", answer.at, answer.approver, plain(&reason)))
}

fn section(out: &mut String, title: &str, content: &str) {
    if !content.is_empty() && !title.is_empty() {
        out.push_str(&format!("\n{title}\n{}", content.trim_start_matches('\n')));
    }
}

fn span(milliseconds: u128) -> String {
    let seconds = milliseconds / 1000;
    match (seconds / 3600, seconds / 60, seconds) {
        (0, 0, seconds) => format!("{seconds} s"),
        (0, minutes, _) => format!("{minutes} min"),
        (hours, minutes, _) => format!("{hours} h {} min", minutes % 60),
    }
}
