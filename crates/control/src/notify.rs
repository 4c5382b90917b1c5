//! How do approvers learn that something waits for them?
//!
//! Each `[[notify]]` is a task of its own that reads the journal by itself, and keeps in the data directory how far it got
//! and what it has told. So a slow or dead channel holds up nothing, and after a restart nothing is lost. What is told is
//! what the journal has, in which classified values are masked: it is the same for every reader (LK-06).
//!
//! What it must never do: hold up an approval or the journal, let a link, a preview or a repeated call answer anything, or
//! show a secret or a URL in a log.
//!
//! Start with [`Channels`], then `notify/hook.rs`.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use gateway::node::Node;
use gateway::recorder::entry;
use gateway::sinks::Pace;
use ledger::Level;
use model::event::Event;
use model::id::ApprovalId;
use model::secret::Secret;
use store::approval::Approval;
use store::config::{CredentialSource, NotifyConfig, NotifyKind, SlackAnswers, TeamsBot};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::console::Console;

mod about;
mod actor;
pub(crate) mod api;
mod email;
mod failure;
mod feed;
mod hook;
mod kept;
mod people;
pub(crate) mod slack;
pub(crate) mod teams;
mod words;

use about::Interest;
use email::Email;
use failure::Failure;
use hook::Hook;
use slack::Slack;
use teams::Teams;
use words::Notice;

/// How long after a panic a channel is begun again.
const AGAIN: Duration = Duration::from_secs(1);

/// How many of those who answered are told at a time what came of it.
const TELLING: usize = 16;

/// Where people open an approval: the console, if there is one.
#[derive(Clone, Debug)]
pub(crate) struct Links(Option<Arc<str>>);

impl Links {
    /// Those of this console.
    pub(crate) fn of(console: Option<&Arc<Console>>) -> Self {
        Self(console.map(|console| console.origin.as_str().into()))
    }

    /// To all that wait.
    fn inbox(&self) -> Option<String> {
        self.0.as_ref().map(|origin| format!("{origin}/approvals"))
    }

    /// To one approval. The page shows it to whoever is signed in; nothing is answered by opening it.
    fn to(&self, approval: ApprovalId) -> Option<String> {
        self.0.as_ref().map(|origin| format!("{origin}/approvals/{approval}"))
    }
}

/// What metrics and the log say of one channel.
#[derive(Clone)]
struct Gauges {
    node: Arc<Node>,
    name: Arc<str>,
}

impl Gauges {
    fn running(&self, is_running: bool) {
        self.node.metrics.notify_running.with_label_values(&[&self.name]).set(i64::from(is_running));
    }

    fn waiting(&self, count: u64) {
        let count = i64::try_from(count).unwrap_or(i64::MAX);
        self.node.metrics.notify_waiting.with_label_values(&[&self.name]).set(count);
    }

    fn sent(&self) {
        self.node.metrics.notify_sent.with_label_values(&[&self.name]).inc();
    }

    fn failed(&self, error: &dyn std::fmt::Display) {
        self.node.metrics.notify_failures.with_label_values(&[&self.name]).inc();
        tracing::error!(channel = %self.name, %error, "approvers cannot be told by this channel; it is tried again");
    }

    fn stopped(&self, error: &dyn std::fmt::Display) {
        self.running(false);
        tracing::error!(channel = %self.name, %error, "the channel has STOPPED: it cannot tell where to go on");
    }
}

/// One `[[notify]]`, for whoever asks how it is, or has it send a test.
pub(crate) struct Channel {
    pub(crate) config: NotifyConfig,
    medium: Medium,
    links: Links,
}

/// What a message goes out by.
#[derive(Clone)]
enum Medium {
    Hook(Hook),
    People(People),
}

/// By what people are told.
#[derive(Clone)]
enum People {
    Slack(Slack),
    Teams(Teams),
    Email(Email),
}

impl People {
    /// Tells of an approval; returns what names the message.
    async fn post(&self, notice: &Notice) -> Result<String, Failure> {
        match self {
            Self::Slack(slack) => slack.post(notice).await,
            Self::Teams(teams) => teams.post(notice).await,
            Self::Email(email) => email.post(notice).await,
        }
    }

    /// Tells what became of an approval, where that message was.
    async fn follow(&self, reference: &str, notice: &Notice) -> Result<(), Failure> {
        match self {
            Self::Slack(slack) => slack.update(reference, notice).await,
            Self::Teams(teams) => teams.follow(reference, notice).await,
            Self::Email(email) => email.follow(reference, notice).await,
        }
    }

    /// Tells what is about no single approval.
    async fn say(&self, title: &str, text: &str, link: Option<&str>) -> Result<(), Failure> {
        match self {
            Self::Slack(slack) => slack.say(title, text, link).await,
            Self::Teams(teams) => teams.say(title, text, link).await,
            Self::Email(email) => email.say(title, text, link).await,
        }
    }

    /// Whether a message can be changed, so that each answer is shown in it; if not, another one tells what came of it.
    const fn edits(&self) -> bool {
        match self {
            Self::Slack(_) => true,
            Self::Teams(teams) => teams.bot().is_some(),
            Self::Email(_) => false,
        }
    }
}

impl Channel {
    fn of(config: &NotifyConfig, node: &Arc<Node>, links: &Links) -> Self {
        let medium = match &config.kind {
            NotifyKind::Slack(slack) => {
                Medium::People(People::Slack(Slack { node: Arc::clone(node), config: slack.clone() }))
            }
            NotifyKind::Teams(teams) => Medium::People(People::Teams(Teams::new(Arc::clone(node), teams.clone()))),
            NotifyKind::Email(email) => {
                let (node, name) = (Arc::clone(node), Arc::clone(&config.name));
                Medium::People(People::Email(Email { node, name, config: email.clone() }))
            }
            NotifyKind::Webhook { receiver, secret } => Medium::Hook(Hook {
                node: Arc::clone(node),
                receiver: receiver.clone(),
                secret: secret.clone(),
                links: links.clone(),
            }),
        };
        Self { config: config.clone(), medium, links: links.clone() }
    }

    /// The channel in Slack that it is, where answers come from it.
    pub(crate) fn slack(&self) -> Option<(&Slack, &SlackAnswers)> {
        match &self.medium {
            Medium::People(People::Slack(slack)) => Some((slack, slack.config.answers.as_ref()?)),
            Medium::People(People::Teams(_) | People::Email(_)) | Medium::Hook(_) => None,
        }
    }

    /// The channel in Teams that it is, where answers come from it.
    pub(crate) fn teams(&self) -> Option<(&Teams, &TeamsBot)> {
        match &self.medium {
            Medium::People(People::Teams(teams)) => Some((teams, teams.bot()?)),
            Medium::People(People::Slack(_) | People::Email(_)) | Medium::Hook(_) => None,
        }
    }

    /// Sends a message that says that it is a test.
    async fn test(&self) -> Result<(), Failure> {
        let deadline = Pace::default().deadline;
        match &self.medium {
            Medium::Hook(hook) => {
                let id = gateway::clock::random_bits().map_err(|_| Failure::Secret("no randomness".into()))?;
                let data = serde_json::json!({ "channel": self.config.name });
                hook.post(&format!("test-{id:016x}"), "test", &data, deadline).await
            }
            Medium::People(people) => {
                let text = "This is a test. Nobody has to do anything.\n";
                people.say("Sluice tells of approvals here", text, self.links.inbox().as_deref()).await
            }
        }
    }
}

/// Every channel of the configuration.
#[derive(Clone)]
pub(crate) struct Channels {
    all: Arc<Vec<Arc<Channel>>>,
    /// What is said to those who answered.
    telling: TaskTracker,
    places: Arc<Semaphore>,
}

impl Channels {
    /// Those of this node.
    pub(crate) fn of(node: &Arc<Node>, links: &Links) -> Self {
        let channels = node.config.notify.iter().map(|config| Arc::new(Channel::of(config, node, links)));
        Self {
            all: Arc::new(channels.collect()),
            telling: TaskTracker::new(),
            places: Arc::new(Semaphore::new(TELLING)),
        }
    }

    /// All of them, in the order of the configuration.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Arc<Channel>> {
        self.all.iter()
    }

    /// The one of this name.
    pub(crate) fn find(&self, name: &str) -> Option<&Arc<Channel>> {
        self.all.iter().find(|channel| &*channel.config.name == name)
    }

    /// Says something to whoever answered, beside the answer to the call that brought it; not if too much is said already.
    pub(crate) fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        if let Ok(place) = Arc::clone(&self.places).try_acquire_owned() {
            self.telling.spawn(async move {
                work.await;
                drop(place);
            });
        }
    }

    /// Waits until all of them have ended and those who answered are told, for a short time: what was not told yet is for the
    /// next start.
    pub(crate) async fn finish(&self, mut tasks: JoinSet<()>) {
        self.telling.close();
        let all = async {
            while tasks.join_next().await.is_some() {}
            self.telling.wait().await;
        };
        let _ = tokio::time::timeout(Pace::default().goodbye, all).await;
        tasks.shutdown().await;
    }

    /// Sets all of them to work, until `stop`.
    pub(crate) fn start(&self, node: &Arc<Node>, stop: &CancellationToken) -> JoinSet<()> {
        let mut tasks = JoinSet::new();
        for channel in self.iter() {
            let (node, channel, stop) = (Arc::clone(node), Arc::clone(channel), stop.clone());
            tasks.spawn(async move { keep(&node, &channel, &stop).await });
        }
        tasks
    }
}

/// Has a channel work, again after a panic.
async fn keep(node: &Arc<Node>, channel: &Arc<Channel>, stop: &CancellationToken) {
    let gauges = Gauges { node: Arc::clone(node), name: Arc::clone(&channel.config.name) };
    gauges.running(true);
    if !record_use(node, channel, stop).await {
        return;
    }
    loop {
        let (work, name) =
            (run(Arc::clone(node), Arc::clone(channel), gauges.clone(), stop.clone()), &*channel.config.name);
        // Where this task is ended, that one is too.
        let mut working = JoinSet::new();
        working.spawn(work);
        match working.join_next().await {
            Some(Err(error)) if error.is_panic() => {
                node.metrics.background_panics.with_label_values(&["notify"]).inc();
                tracing::error!(channel = name, "a channel panicked, and is begun again");
            }
            Some(_) | None => return,
        }
        if tokio::time::timeout(AGAIN, stop.cancelled()).await.is_ok() {
            return;
        }
    }
}

async fn run(node: Arc<Node>, channel: Arc<Channel>, gauges: Gauges, stop: CancellationToken) {
    let name = &channel.config.name;
    let (interest, pace) = (Interest(channel.config.about.clone()), Pace::default());
    match channel.medium.clone() {
        Medium::Hook(hook) => {
            let path = node.layout().notify().join(format!("{name}.position"));
            hook::Task { hook, interest, gauges, pace, stop, path }.run().await;
        }
        Medium::People(people) => {
            let (path, limits) = (kept::Kept::path(&node, name), channel.config.pace.clone());
            let links = channel.links.clone();
            people::run(people::Setup { node, people, links, interest, limits, gauges, pace, stop, path }).await;
        }
    }
}

/// Has it in the journal that its secrets are used, before they are. `false`: Sluice stops first.
async fn record_use(node: &Arc<Node>, channel: &Channel, stop: &CancellationToken) -> bool {
    let used = channel.config.kind.secrets().into_iter().map(|source| {
        let (target, reference) = (format!("notify:{}", channel.config.name).into(), source.to_string().into());
        entry(Event::SecretUsed { session: None, target, reference })
    });
    let used: Vec<_> = used.collect();
    while !used.is_empty() && node.recorder.record(used.clone(), Level::Process).await.is_err() {
        if stop.is_cancelled() {
            return false;
        }
    }
    true
}

/// What can only be seen when the files that a channel names are opened: its mistakes.
pub fn check(channel: &NotifyConfig) -> Vec<String> {
    let mut mistakes = Vec::new();
    let ca_file = match &channel.kind {
        NotifyKind::Slack(slack) => slack.ca_file.as_deref(),
        NotifyKind::Teams(teams) => teams.ca_file.as_deref(),
        NotifyKind::Email(email) => email.ca_file.as_deref(),
        NotifyKind::Webhook { receiver, .. } => receiver.ca_file.as_deref(),
    };
    mistakes.extend(ca_mistake(ca_file));
    let signing = match &channel.kind {
        NotifyKind::Slack(slack) => slack.answers.as_ref().map(|answers| &answers.signing_secret),
        NotifyKind::Teams(_) | NotifyKind::Email(_) | NotifyKind::Webhook { .. } => None,
    };
    for source in channel.kind.secrets() {
        // A variable or a vault may be there for the service alone.
        let CredentialSource::File(_) = source else { continue };
        match store::credential::resolve(source, &|_| None) {
            Ok(secret) if signing == Some(source) => {
                mistakes.extend(slack::callback::key(secret.expose()).err().map(|error| error.to_string()));
            }
            Ok(_) => {}
            Err(error) => mistakes.push(error.to_string()),
        }
    }
    mistakes.into_iter().map(|mistake| format!("notify {}: {mistake}", channel.name)).collect()
}

fn ca_mistake(file: Option<&Path>) -> Option<String> {
    let file = file?;
    gateway::tls::check_ca(file).err().map(|error| error.to_string())
}

/// Reads a secret. It is read for each message: it may have been changed.
async fn secret(node: &Arc<Node>, source: &CredentialSource) -> Result<Secret<String>, Failure> {
    let (node, source) = (Arc::clone(node), source.clone());
    Ok(blocking(move || store::credential::resolve(&source, &|name| node.secret(name))).await?)
}

/// An approval as it stands now: its time may be over before anybody has noted that.
async fn approval(node: &Arc<Node>, id: ApprovalId) -> Result<Option<Approval>, Failure> {
    let state = Arc::clone(&node.state);
    let found = blocking(move || state.approval(id)).await?;
    Ok(found.map(crate::approvals::as_of_now))
}

/// Runs what blocks beside the runtime's own threads. A panic in it is this task's.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(value) => value,
        Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
        // The runtime ends, and this task with it.
        Err(_) => std::future::pending().await,
    }
}
