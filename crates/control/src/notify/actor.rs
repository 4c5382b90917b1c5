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
use model::id::{ApprovalId, Digest};
use model::subject::{Binding, Credential, Subject, SubjectKey, SubjectKind};
use model::time::Timestamp;
use policy::AdminVerb;
use store::config::NotifyUser;

use super::about::Interest;
use super::kept::Kept;
use super::words::word;
use super::{Channel, Failure};
use crate::access::Caller;
use crate::app::App;
use crate::problem::Problem;
use crate::{approvals, journal};

/// How long whoever answers is believed to be who they are: for this answer.
const LIFE: u64 = 60_000;

/// Who answers, as it was verified.
pub(super) struct Asks {
    pub(super) channel: Arc<Channel>,
    /// What it came by: `slack`, `teams`.
    pub(super) kind: &'static str,
    /// What they are called there.
    pub(super) outside: String,
    /// Whom they stand for, if anybody.
    pub(super) user: Option<NotifyUser>,
    pub(super) source: IpAddr,
    /// Which message they pressed, where it has to be the one that Sluice sent about the approval.
    pub(super) message: Option<String>,
    /// What names this press, and until when it could come again.
    pub(super) once: (Digest, Timestamp),
}

/// Does something to its end, also if whoever asked for it hangs up meanwhile.
pub(super) async fn to_its_end<T: Send + 'static>(
    app: &App,
    work: impl Future<Output = Result<T, Problem>> + Send + 'static,
) -> Result<T, Problem> {
    app.node.tasks.spawn(work).await.unwrap_or_else(|error| {
        tracing::error!(%error, "a task of the admin API failed");
        Err(Problem::internal())
    })
}

/// Takes an answer; returns what they are to be told, or nothing if the answer came before.
pub(super) async fn answer(app: &App, asks: &Asks, id: ApprovalId, approve: bool) -> Result<Option<String>, Problem> {
    // Only what could count is remembered.
    if asks.user.is_some() {
        let ((once, until), now) = (asks.once, clock::now());
        if !app.state(move |state| state.use_once(&once, until, now)).await? {
            return Ok(None);
        }
    }
    Ok(Some(match take(app, asks, id, approve).await {
        Ok(status) => format!("Your answer counts: {id} {}.", word(status)),
        Err(reason) => {
            app.node.metrics.notify_refused.with_label_values(&[&asks.channel.config.name]).inc();
            format!("Your answer to {id} does not count: {reason}.")
        }
    }))
}

async fn take(app: &App, asks: &Asks, id: ApprovalId, approve: bool) -> Result<Status, String> {
    let (name, action) = (&asks.channel.config.name, if approve { "approval.approve" } else { "approval.deny" });
    let object = format!("{id} by {} {name}, user {}", asks.kind, asks.outside);
    let nobody = || SubjectKey { issuer: LOCAL_ISSUER.into(), id: format!("notify:{name}").into() };
    let Some(user) = &asks.user else {
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
    if !is_told_here(app, &asks.channel, id).await.map_err(|error| error.to_string())? {
        journal::refused(app, &caller, action, object);
        return Err(String::from("this channel is not told of it"));
    }
    if let Some(message) = &asks.message
        && !is_sent_about(app, &asks.channel, id, message.clone()).await
    {
        journal::refused(app, &caller, action, object);
        return Err(String::from("this is not the message that asks for it; open the link to answer"));
    }
    approvals::give(app, &caller, id, approve, None, object).await.map_err(|problem| problem.detail().to_owned())
}

/// A channel answers what it is told of, and nothing else.
async fn is_told_here(app: &App, channel: &Channel, id: ApprovalId) -> Result<bool, Failure> {
    let found = super::approval(&app.node, id).await?;
    Ok(found.is_some_and(|approval| Interest(channel.config.about.clone()).is_in(&approval.asked)))
}

/// Whether this is the message that the channel sent about it, as the channel keeps that.
async fn is_sent_about(app: &App, channel: &Channel, id: ApprovalId, message: String) -> bool {
    let path = Kept::path(&app.node, &channel.config.name);
    let kept = super::blocking(move || Kept::load(&path)).await;
    kept.inspect_err(|error| tracing::error!(%error, "nobody can tell which message was pressed"))
        .is_ok_and(|kept| kept.is_some_and(|kept| kept.is_sent(id, &message)))
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
        // As old as can be: no message comes later than a revocation. One that is of tokens of until then lapses when those
        // have ended, and then they may answer again, unless they are barred or taken out of the configuration.
        credential: Credential::default(),
    }
}

/// Notes that somebody tried.
fn refused(app: &App, subject: SubjectKey, action: &str, object: String) {
    let (action, object): (Arc<str>, Arc<str>) = (action.into(), object.into());
    app.node.recorder.note(Event::AdminAction { subject, action, object, outcome: Outcome::Deny });
}
