//! A session channel: what is asked for on it, one decision each, and what runs (RFC 4254, section 6).

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use bytes::Bytes;
use effects::ssh::{Carries, Request};
use model::disclosure::Disclosure;
use russh::{Sig, server};
use tokio_util::sync::CancellationToken;

use super::decide::Demand;
use super::flow::{Measured, Queue};
use super::prompt::Prompt;
use super::refusal::{FAILED, Refusal};
use super::relay::{self, Relay};
use super::session::Session;
use crate::deciding::{Go, Waits};
use crate::gate::{ClientChannel, Lane, Size, ToTarget};

/// What runs on a channel.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Run {
    /// A line.
    Exec(Vec<u8>),
    /// A shell.
    Shell,
    /// A subsystem.
    Subsystem(String),
}

/// What comes from the client's end of a channel.
pub(super) enum FromClient {
    /// What was asked for and decided already.
    Decided(Go, ToTarget),
    /// What is to run.
    Run(Run),
    /// Standard input.
    Data(Bytes),
    /// Its terminal has this size.
    Size(Size),
    /// A signal for what runs.
    Signal(Sig),
    /// It writes nothing more.
    Eof,
}

impl Measured for FromClient {
    fn size(&self) -> usize {
        match self {
            Self::Data(bytes) => bytes.len(),
            Self::Run(Run::Exec(line)) => line.len(),
            _ => 0,
        }
    }
}

/// What was settled about a channel before anything runs on it.
#[derive(Clone, Default)]
pub(super) struct Setting {
    /// The terminal's name, if it has one.
    pub(super) terminal: Option<String>,
    /// The environment that goes on, in order.
    pub(super) environment: Vec<(String, String)>,
}

/// The client's end of a session channel, as its task has it.
pub(super) struct Channel {
    pub(super) session: Arc<Session>,
    /// Its number on the tape.
    pub(super) number: u32,
    pub(super) client: Arc<ClientChannel>,
    pub(super) handle: server::Handle,
    pub(super) queue: Arc<Queue<FromClient>>,
    /// Cancelled when the client closes the channel or goes away.
    pub(super) gone: CancellationToken,
    /// Whether it has a terminal, in which a line has to begin by itself.
    pub(super) has_terminal: bool,
}

/// Everything that was decided before something runs.
#[derive(Default)]
struct Before {
    sent: Vec<(Go, ToTarget)>,
    setting: Setting,
    size: Option<Size>,
}

impl Channel {
    /// Serves it to its end.
    pub(super) async fn serve(mut self) {
        self.run().await;
        self.queue.close();
        // Where the session ends, its end says why; a client with a closed channel would be gone before it heard.
        if !self.session.is_over() {
            self.client.close().await;
        }
    }

    async fn run(&mut self) {
        let Some((run, before)) = self.wait_for_run().await else { return };
        self.has_terminal = before.setting.terminal.is_some();
        let request = self.session.next_request();
        let asked = match understood(&run, self.has_terminal) {
            Ok(asked) => asked,
            Err(refusal) => return self.refuse(&refusal, request).await,
        };
        let terminal = before.setting.terminal.as_deref().map(|terminal| ("terminal", terminal));
        // A variable that is named twice has its last value: so in order, and apart from the terminal.
        let variables = before.setting.environment.iter().map(|(name, value)| (format!("${name}"), value.as_str()));
        let variables: Vec<(String, &str)> = variables.collect();
        let environment = variables.iter().map(|(name, value)| (name.as_str(), *value));
        let state: Vec<(&str, &str)> = terminal.into_iter().chain(environment).collect();
        let line = exact(&run);
        let demand =
            Demand { request, channel: self.number, asked: &asked, exact: &[&asked.facts.kind, &line], state: &state };
        let session = Arc::clone(&self.session);
        match session.decide_patiently(demand, self).await {
            Ok(go) => self.carry_out(go, run, before, &asked).await,
            Err(refusal) => self.refuse(&refusal, request).await,
        }
    }

    /// Everything up to what is to run; `None` if nothing is.
    async fn wait_for_run(&mut self) -> Option<(Run, Before)> {
        let mut before = Before::default();
        loop {
            let came = tokio::select! {
                biased;
                () = self.session.over.cancelled() => None,
                came = self.queue.pop() => came,
            };
            match came? {
                FromClient::Decided(go, what) => {
                    match &what {
                        ToTarget::Terminal { name, .. } => before.setting.terminal = Some(name.clone()),
                        ToTarget::Environment { name, value } => {
                            before.setting.environment.push((name.clone(), value.clone()));
                        }
                        _ => {}
                    }
                    before.sent.push((go, what));
                }
                FromClient::Run(run) => return Some((run, before)),
                FromClient::Size(size) => before.size = Some(size),
                // There is nothing yet that could read it or be told.
                FromClient::Data(_) | FromClient::Signal(_) => {}
                FromClient::Eof => return None,
            }
        }
    }

    async fn carry_out(&mut self, go: Go, run: Run, before: Before, asked: &Request) {
        let failed = Refusal::Target("the target cannot be reached");
        let target = match self.session.open_channel().await {
            Ok(target) => target,
            Err(error) => {
                tracing::warn!(session = %self.session.id, %error, "no channel at the target");
                self.session.complete(&go, Disclosure::default(), Some(error.to_string().into()));
                return self.refuse(&failed, go.request()).await;
            }
        };
        let mut sent = Ok(());
        for (before, what) in before.sent {
            sent = sent.and(target.channel.send(before.goes_on(), &before.receipt, what).await);
            self.session.complete(&before, Disclosure::default(), None);
        }
        if let Some(size) = before.size {
            relay::note_size(&self.session, self.number, size);
            sent = sent.and(target.channel.send(go.goes_on(), &go.receipt, ToTarget::Size(size)).await);
        }
        let begun = match run {
            Run::Exec(line) => ToTarget::Exec(line),
            Run::Shell => ToTarget::Shell,
            Run::Subsystem(name) => ToTarget::Subsystem(name),
        };
        let (receipt, going_on) = (&go.receipt, go.goes_on());
        sent = sent.and(target.channel.send(going_on, receipt, begun).await);
        if let Err(error) = sent {
            tracing::error!(session = %self.session.id, %error, "a request could not be forwarded");
            self.session.complete(&go, Disclosure::default(), Some("it was not forwarded".into()));
            return self.refuse(&failed, go.request()).await;
        }
        let carries = carried(asked.carries, self.has_terminal);
        let relay = Relay {
            session: Arc::clone(&self.session),
            number: self.number,
            client: Arc::clone(&self.client),
            handle: Some(self.handle.clone()),
            from_client: Arc::clone(&self.queue),
            gone: self.gone.clone(),
            target,
            go,
            asked: asked.clone(),
            carries,
            prompt: Prompt::default(),
            has_typed: AtomicBool::default(),
            has_no_input: AtomicBool::new(false),
        };
        match carries {
            Carries::Sftp => super::sftp::serve(relay).await,
            Carries::Text | Carries::Terminal | Carries::Files => relay::serve(relay).await,
        }
    }

    /// Tells the caller why, by standard error and the exit status.
    async fn refuse(&self, refusal: &Refusal, request: model::id::RequestId) {
        self.say(&refusal.tell(request)).await;
        let status = if matches!(refusal, Refusal::Gone) { FAILED } else { refusal.status() };
        self.client.exit(status).await;
        self.client.eof().await;
    }

    /// Says something of Sluice's own on standard error.
    async fn say(&self, line: &str) {
        say(&self.session, self.number, &self.client, line, self.has_terminal).await;
    }
}

/// Says something of Sluice's own on standard error of a channel.
pub(super) async fn say(session: &Session, number: u32, client: &ClientChannel, line: &str, in_terminal: bool) {
    let end = if in_terminal { "\r\n" } else { "\n" };
    let masked = masking::ssh::own(&format!("{line}{end}"));
    let track = ledger::tape::Track { channel: number, lane: ledger::tape::Lane::Error };
    let released = session.show(track, masked);
    match released {
        Ok(released) => drop(client.send(released, Lane::Error).await),
        Err(reason) => session.end(super::end::End::Withheld(reason)),
    }
}

impl Waits for Channel {
    fn patience(&self) -> Duration {
        // However long anybody may be kept waiting.
        Duration::MAX
    }

    async fn tell(&mut self, line: String) {
        self.say(&line).await;
    }

    fn gone(&mut self) -> impl Future<Output = ()> + Send {
        self.gone.cancelled()
    }
}

/// What running it would do.
fn understood(run: &Run, has_terminal: bool) -> Result<Request, Refusal> {
    match run {
        Run::Exec(line) => effects::ssh::exec(line, has_terminal).map_err(|_| Refusal::TooLong),
        Run::Shell => Ok(effects::ssh::shell(has_terminal)),
        Run::Subsystem(name) => Ok(effects::ssh::subsystem(name.as_bytes())),
    }
}

/// What an approval is bound to, byte for byte.
fn exact(run: &Run) -> String {
    match run {
        // What is not UTF-8 is told apart by its bytes.
        Run::Exec(line) => std::str::from_utf8(line).map_or_else(|_| format!("{line:?}"), str::to_owned),
        Run::Shell => String::new(),
        Run::Subsystem(name) => name.clone(),
    }
}

const fn carried(carries: Carries, has_terminal: bool) -> Carries {
    match carries {
        Carries::Text if has_terminal => Carries::Terminal,
        carries => carries,
    }
}
