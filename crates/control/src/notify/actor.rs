//! An answer that somebody gave elsewhere: whom they stand for, and whether it counts.
//!
//! The operator's configuration says whom a user stands for, and in which groups. From there on it is any other answer: policy
//! says whether they may answer at all, and `store`, in its transaction, whether they may answer this.

use std::net::IpAddr;
use std::sync::Arc;

use gateway::clock;
use gateway::node::LOCAL_ISSUER;
use model::approval::Status;
use model::decision::Outcome;
use model::event::Event;
use model::id::ApprovalId;
use model::subject::{Binding, Credential, Subject, SubjectKey, SubjectKind};
use policy::AdminVerb;
use store::config::NotifyUser;

use super::about::Interest;
use super::words::word;
use super::{Channel, Failure};
use crate::access::Caller;
use crate::app::App;
use crate::{approvals, journal};

/// How long whoever answers is believed to be who they are: for this answer.
const LIFE: u64 = 60_000;

/// Who answers, as it was verified.
pub(super) struct Asks<'a> {
    pub(super) channel: &'a Channel,
    /// What it came by: `slack`, `teams`.
    pub(super) kind: &'static str,
    /// What they are called there.
    pub(super) outside: &'a str,
    /// Whom they stand for, if anybody.
    pub(super) user: Option<&'a NotifyUser>,
    pub(super) source: IpAddr,
}

/// Takes an answer; returns what they are to be told.
pub(super) async fn answer(app: &App, asks: Asks<'_>, id: ApprovalId, approve: bool) -> String {
    match take(app, &asks, id, approve).await {
        Ok(status) => format!("Your answer counts: {id} {}.", word(status)),
        Err(reason) => {
            app.node.metrics.notify_refused.with_label_values(&[&asks.channel.config.name]).inc();
            format!("Your answer to {id} does not count: {reason}.")
        }
    }
}

async fn take(app: &App, asks: &Asks<'_>, id: ApprovalId, approve: bool) -> Result<Status, String> {
    let (name, action) = (&asks.channel.config.name, if approve { "approval.approve" } else { "approval.deny" });
    let object = format!("{id} by {} {name}, user {}", asks.kind, asks.outside);
    let nobody = || SubjectKey { issuer: LOCAL_ISSUER.into(), id: format!("notify:{name}").into() };
    let Some(user) = asks.user else {
        refused(app, nobody(), action, object);
        return Err(format!("Sluice does not know whom {} stands for", asks.outside));
    };
    let caller = Caller::vouched(app, subject(user), asks.source).map_err(|error| {
        tracing::info!(channel = %name, subject = %user.subject, reason = %error, "whoever answers is not believed");
        refused(app, user.subject.clone(), action, object.clone());
        String::from("you are not believed any more")
    })?;
    if let Err(denial) = caller.may(AdminVerb::Approve) {
        journal::refused(app, &caller, action, object);
        return Err(format!("{}: you need `{}`", denial.message, AdminVerb::Approve.as_str()));
    }
    if !is_told_here(app, asks.channel, id).await.map_err(|error| error.to_string())? {
        journal::refused(app, &caller, action, object);
        return Err(String::from("this channel is not told of it"));
    }
    approvals::give(app, &caller, id, approve, None, object).await.map_err(|problem| problem.detail().to_owned())
}

/// A channel answers what it is told of, and nothing else.
async fn is_told_here(app: &App, channel: &Channel, id: ApprovalId) -> Result<bool, Failure> {
    let found = super::approval(&app.node, id).await?;
    Ok(found.is_some_and(|approval| Interest(channel.config.about.clone()).is_in(&approval.asked)))
}

fn subject(user: &NotifyUser) -> Subject {
    Subject {
        key: user.subject.clone(),
        kind: SubjectKind::User,
        groups: user.groups.clone(),
        on_behalf_of: Vec::new(),
        expires_at: clock::now().plus_millis(LIFE),
        binding: Binding::Bearer,
        token_id: None,
        // As old as can be: whoever is revoked does not come back by a message.
        credential: Credential::default(),
    }
}

/// Notes that somebody tried.
fn refused(app: &App, subject: SubjectKey, action: &str, object: String) {
    let (action, object): (Arc<str>, Arc<str>) = (action.into(), object.into());
    app.node.recorder.note(Event::AdminAction { subject, action, object, outcome: Outcome::Deny });
}
