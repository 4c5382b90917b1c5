//! What the library calls back about a client's connection: who it is, and what it asks for, one call for each message.
//!
//! Whatever has to wait for a human, a target or a reader is a task of its own: while a call back lasts, nothing else of the
//! connection moves.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use effects::ssh::{Environment, Request};
use model::id::SessionId;
use model::subject::Subject;
use russh::keys::ssh_key::{Certificate, PublicKey};
use russh::server::{self, Auth, ChannelOpenHandle, Msg, PublicKeyOffer, Response, VerifiedPublicKey};
use russh::{ChannelId, ChannelOpenFailure, MethodKind, MethodSet, Pty, Sig};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;
use wire::ssh::destination::Wanted;

use super::channel::{Channel, FromClient, Run};
use super::decide::Demand;
use super::end::End;
use super::flow::{Queue, TRICKLE, is_trickle, window};
use super::refusal::Refusal;
use super::session::{Credential, Session};
use super::stream::Budget;
use super::{admit, forward, identify};
use crate::deciding::Go;
use crate::gate::{ClientChannel, Size, ToTarget};
use crate::node::Node;

/// A task of a connection: whoever serves that looks after it.
pub(super) type Task = std::pin::Pin<Box<dyn Future<Output = ()> + Send>>;

/// What whoever serves a connection and the library's calls back share.
pub(super) struct Connection {
    pub(super) node: Arc<Node>,
    pub(super) id: SessionId,
    pub(super) source: IpAddr,
    /// Once somebody is logged in.
    pub(super) admitted: watch::Sender<Option<Arc<Session>>>,
    /// What it may send until then.
    pub(super) budget: Budget,
    pub(super) tasks: mpsc::UnboundedSender<Task>,
    /// Why nobody was let in so far.
    reasons: Mutex<Vec<String>>,
}

impl Connection {
    /// One on which nobody is logged in.
    pub(super) fn new(node: Arc<Node>, id: SessionId, source: IpAddr) -> (Arc<Self>, mpsc::UnboundedReceiver<Task>) {
        let (tasks, taken) = mpsc::unbounded_channel();
        let (admitted, reasons) = (watch::Sender::new(None), Mutex::default());
        let budget = Budget::before_login();
        (Arc::new(Self { node, id, source, admitted, budget, tasks, reasons }), taken)
    }

    /// Notes for the journal why somebody was not let in.
    pub(super) fn refused(&self, reason: impl Into<String>) {
        self.reasons.lock().unwrap_or_else(PoisonError::into_inner).push(reason.into());
    }

    /// All of that; the login was not tried if there is nothing.
    pub(super) fn reasons(&self) -> String {
        let reasons = self.reasons.lock().unwrap_or_else(PoisonError::into_inner);
        if reasons.is_empty() { "the client did not log in".to_owned() } else { reasons.join("; ") }
    }

    /// Has something done for as long as the connection lives.
    pub(super) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        // Nobody takes tasks any more where the connection ends.
        let _ = self.tasks.send(Box::pin(task));
    }
}

/// What is known of a channel of the client.
struct Entry {
    queue: Arc<Queue<FromClient>>,
    gone: CancellationToken,
    number: u32,
    has_terminal: bool,
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.gone.cancel();
        self.queue.close();
    }
}

/// The calls back about one connection.
pub(super) struct Handler {
    connection: Arc<Connection>,
    session: Option<Arc<Session>>,
    channels: HashMap<ChannelId, Entry>,
}

impl Handler {
    /// Those of a connection that begins.
    pub(super) fn new(connection: Arc<Connection>) -> Self {
        Self { connection, session: None, channels: HashMap::new() }
    }

    /// Lets a verified caller in where it wants to be, if it may.
    async fn admit(&mut self, user: &str, found: Result<(Subject, Credential), String>) -> Auth {
        if self.session.is_some() {
            return Auth::reject();
        }
        let admitted = match found {
            Ok((subject, credential)) => admit::admit(&self.connection, user, subject, credential).await,
            Err(reason) => Err(reason),
        };
        match admitted {
            Ok(session) => {
                // Before it is told: it sends as much as it likes at once then.
                self.connection.budget.lift();
                self.connection.admitted.send_replace(Some(Arc::clone(&session)));
                self.session = Some(session);
                Auth::Accept
            }
            Err(reason) => {
                self.connection.refused(reason);
                Auth::Reject { proceed_with_methods: Some(methods()), partial_success: false }
            }
        }
    }

    async fn by_token(&mut self, user: &str, token: &str) -> Auth {
        let found = match Wanted::parse(user) {
            // What names no target is verified all the same: whether there is one is not to be told from the time.
            Ok(wanted) => identify::by_token(&self.connection.node, token, wanted.target).await,
            Err(_) => identify::by_token(&self.connection.node, token, "").await,
        };
        let found = found.map(|subject| (subject, Credential::Issued)).map_err(|error| error.to_string());
        self.admit(user, found).await
    }

    fn entry(&self, channel: ChannelId) -> Option<&Entry> {
        self.channels.get(&channel)
    }

    /// The session, which is there once somebody is logged in: nothing else is called back before.
    fn session(&self) -> Result<Arc<Session>, Broken> {
        self.session.clone().ok_or(Broken::NotLoggedIn)
    }

    fn push(&self, channel: ChannelId, what: FromClient) -> Result<(), Broken> {
        let Some(entry) = self.entry(channel) else { return Ok(()) };
        entry.queue.push(what).map_err(|_| {
            if let Some(session) = &self.session {
                session.end(End::Violation("more was sent than the window allows"));
            }
            Broken::Overflow
        })
    }

    /// Decides something small that is asked for on a channel before anything runs on it.
    async fn decide(&self, channel: ChannelId, asked: &Request, exact: &[&str]) -> Result<Go, Refusal> {
        let session = self.session.as_ref().ok_or(Refusal::Gone)?;
        let number = self.entry(channel).map(|entry| entry.number).ok_or(Refusal::Gone)?;
        let request = session.next_request();
        session.decide(Demand { request, channel: number, asked, exact, state: &[] }).await
    }

    /// Has something run on a channel. That it is taken is said at once: whether it may run can take a human's answer, and is
    /// told by standard error and the exit status.
    fn run(&self, channel: ChannelId, run: Run, session: &mut server::Session) -> Result<(), Broken> {
        session.channel_success(channel)?;
        self.push(channel, FromClient::Run(run))
    }

    fn is_full(&self) -> bool {
        let most = self.session.as_ref().map_or(0, |session| session.standing().place.ssh.max_channels);
        self.channels.len() >= most
    }

    /// Begins to take what comes on a channel.
    fn enter(&mut self, channel: ChannelId, number: u32) -> (Arc<Queue<FromClient>>, CancellationToken) {
        let (queue, gone) = (Arc::new(Queue::new()), CancellationToken::new());
        let entry = Entry { queue: Arc::clone(&queue), gone: gone.clone(), number, has_terminal: false };
        self.channels.insert(channel, entry);
        (queue, gone)
    }

    /// A channel on which bytes pass, once the target has opened the other end.
    fn open_onward(
        &mut self,
        channel: russh::Channel<Msg>,
        reply: ChannelOpenHandle,
        to: forward::Onward,
    ) -> Result<(), Broken> {
        let session = self.session()?;
        if self.is_full() {
            return Ok(());
        }
        let number = session.next_channel();
        let (queue, gone) = self.enter(channel.id(), number);
        let client = Arc::new(ClientChannel::new(channel.split()));
        self.connection.spawn(forward::open_onward(
            forward::Opened { session, number, client, queue, gone },
            reply,
            to,
        ));
        Ok(())
    }
}

/// How a client can log in.
pub(super) fn methods() -> MethodSet {
    MethodSet::from(&[MethodKind::PublicKey, MethodKind::KeyboardInteractive, MethodKind::Password][..])
}

/// Why a connection is given up.
#[derive(Debug, thiserror::Error)]
pub(super) enum Broken {
    /// The library says so.
    #[error(transparent)]
    Library(#[from] russh::Error),
    /// Something was asked for before a login.
    #[error("something was asked for before a login")]
    NotLoggedIn,
    /// The client ignores its window.
    #[error("more was sent than the window allows")]
    Overflow,
}

impl server::Handler for Handler {
    type Error = Broken;

    async fn auth_none(&mut self, _: &str) -> Result<Auth, Broken> {
        Ok(Auth::Reject { proceed_with_methods: Some(methods()), partial_success: false })
    }

    async fn auth_password(&mut self, user: &str, password: &str) -> Result<Auth, Broken> {
        Ok(self.by_token(user, password).await)
    }

    async fn auth_keyboard_interactive<'a>(
        &'a mut self,
        user: &str,
        _: &str,
        response: Option<Response<'a>>,
    ) -> Result<Auth, Broken> {
        let Some(mut answers) = response else {
            return Ok(Auth::Partial {
                name: "".into(),
                instructions: "".into(),
                prompts: vec![("Token or short-lived password: ".into(), false)].into(),
            });
        };
        let Some(answer) = answers.next() else { return Ok(Auth::reject()) };
        match std::str::from_utf8(&answer) {
            Ok(token) => Ok(self.by_token(user, token).await),
            Err(_) => {
                self.connection.refused("the answer is not a token");
                Ok(Auth::Reject { proceed_with_methods: Some(methods()), partial_success: false })
            }
        }
    }

    async fn auth_publickey_offered(&mut self, _: &str, _: PublicKeyOffer<'_>) -> Result<Auth, Broken> {
        // Whether the key comes with a certificate is not told here. Nothing is remembered of an offer, and nobody learns
        // which keys are registered: who signs is who is asked about (CVE-2024-45337).
        Ok(Auth::Accept)
    }

    async fn auth_publickey(&mut self, user: &str, key: VerifiedPublicKey<'_>) -> Result<Auth, Broken> {
        let target = Wanted::parse(user).map_or("", |wanted| wanted.target);
        let node = Arc::clone(&self.connection.node);
        let key: PublicKey = key.public_key.clone();
        let found = identify::by_key(&node, &node.revisions.current(), &key, target);
        let found = found.map(|subject| (subject, Credential::Key(Box::new(key)))).map_err(|error| error.to_string());
        Ok(self.admit(user, found).await)
    }

    async fn auth_openssh_certificate(&mut self, user: &str, certificate: &Certificate) -> Result<Auth, Broken> {
        let target = Wanted::parse(user).map_or("", |wanted| wanted.target);
        let found = identify::by_certificate(&self.connection.node, certificate, target, self.connection.source);
        let found = found.map(|subject| (subject, Credential::Issued)).map_err(|error| error.to_string());
        Ok(self.admit(user, found).await)
    }

    async fn channel_open_session(
        &mut self,
        channel: russh::Channel<Msg>,
        reply: ChannelOpenHandle,
        handle: &mut server::Session,
    ) -> Result<(), Broken> {
        let session = self.session()?;
        if self.is_full() {
            reply.reject(ChannelOpenFailure::ResourceShortage).await;
            return Ok(());
        }
        let number = session.next_channel();
        let (queue, gone) = self.enter(channel.id(), number);
        let client = Arc::new(ClientChannel::new(channel.split()));
        let handle = handle.handle();
        let served = Channel { session, number, client, handle, queue, gone, has_terminal: false };
        self.connection.spawn(served.serve());
        reply.accept().await;
        Ok(())
    }

    async fn channel_open_direct_tcpip(
        &mut self,
        channel: russh::Channel<Msg>,
        host: &str,
        port: u32,
        from: &str,
        from_port: u32,
        reply: ChannelOpenHandle,
        _: &mut server::Session,
    ) -> Result<(), Broken> {
        let to = forward::Onward::Tcp { host: host.to_owned(), port, from: super::target::originator(from, from_port) };
        self.open_onward(channel, reply, to)
    }

    async fn channel_open_direct_streamlocal(
        &mut self,
        channel: russh::Channel<Msg>,
        path: &str,
        reply: ChannelOpenHandle,
        _: &mut server::Session,
    ) -> Result<(), Broken> {
        self.open_onward(channel, reply, forward::Onward::Socket(path.to_owned()))
    }

    async fn channel_close(&mut self, channel: ChannelId, _: &mut server::Session) -> Result<(), Broken> {
        self.channels.remove(&channel);
        Ok(())
    }

    async fn channel_eof(&mut self, channel: ChannelId, _: &mut server::Session) -> Result<(), Broken> {
        self.push(channel, FromClient::Eof)
    }

    async fn data(&mut self, channel: ChannelId, data: &[u8], _: &mut server::Session) -> Result<(), Broken> {
        self.push(channel, FromClient::Data(Bytes::copy_from_slice(data)))?;
        if is_trickle(data.len()) && self.entry(channel).is_some_and(|entry| entry.queue.is_congested()) {
            tokio::time::sleep(TRICKLE).await;
        }
        Ok(())
    }

    fn adjust_window(&mut self, _: ChannelId, _: u32) -> u32 {
        let is_congested = self.channels.values().any(|entry| entry.queue.is_congested());
        window(is_congested || self.session.as_ref().is_some_and(|session| session.is_congested()))
    }

    async fn pty_request(
        &mut self,
        channel: ChannelId,
        term: &str,
        columns: u32,
        rows: u32,
        width: u32,
        height: u32,
        modes: &[(Pty, u32)],
        session: &mut server::Session,
    ) -> Result<(), Broken> {
        let asked = effects::ssh::pty(term.as_bytes());
        match self.decide(channel, &asked, &["pty", term]).await {
            Ok(go) => {
                let modes = modes.iter().copied().filter(|(mode, _)| *mode != Pty::TTY_OP_END).collect();
                let size = Size { columns, rows, width, height };
                self.push(channel, FromClient::Decided(go, ToTarget::Terminal { name: term.to_owned(), size, modes }))?;
                self.push(channel, FromClient::Size(size))?;
                if let Some(entry) = self.channels.get_mut(&channel) {
                    entry.has_terminal = true;
                }
                session.channel_success(channel)?;
            }
            Err(_) => session.channel_failure(channel)?,
        }
        Ok(())
    }

    async fn env_request(
        &mut self,
        channel: ChannelId,
        name: &str,
        value: &str,
        session: &mut server::Session,
    ) -> Result<(), Broken> {
        let asked = match effects::ssh::environment(name.as_bytes(), value.as_bytes()) {
            Environment::Reason(reason) => {
                self.session()?.give_reason(&reason);
                session.channel_success(channel)?;
                return Ok(());
            }
            Environment::Setting(asked) => asked,
        };
        match self.decide(channel, &asked, &["env", name, value]).await {
            Ok(go) => {
                let what = ToTarget::Environment { name: name.to_owned(), value: value.to_owned() };
                self.push(channel, FromClient::Decided(go, what))?;
                session.channel_success(channel)?;
            }
            Err(_) => session.channel_failure(channel)?,
        }
        Ok(())
    }

    async fn agent_request(&mut self, channel: ChannelId, handle: &mut server::Session) -> Result<bool, Broken> {
        match self.decide(channel, &effects::ssh::agent_forward(), &["agent-forward"]).await {
            Ok(go) => {
                self.session()?.listeners.let_agent(handle.handle());
                self.push(channel, FromClient::Decided(go, ToTarget::Agent))?;
                Ok(true)
            }
            Err(_) => Ok(false),
        }
    }

    async fn x11_request(
        &mut self,
        channel: ChannelId,
        _: bool,
        _: &str,
        _: &str,
        _: u32,
        session: &mut server::Session,
    ) -> Result<(), Broken> {
        // It is decided for the record; a display is not carried (docs/protocols/ssh.md).
        let _ = self.decide(channel, &effects::ssh::x11(), &["x11"]).await;
        session.channel_failure(channel)?;
        Ok(())
    }

    async fn shell_request(&mut self, channel: ChannelId, session: &mut server::Session) -> Result<(), Broken> {
        self.run(channel, Run::Shell, session)
    }

    async fn exec_request(
        &mut self,
        channel: ChannelId,
        line: &[u8],
        session: &mut server::Session,
    ) -> Result<(), Broken> {
        self.run(channel, Run::Exec(line.to_vec()), session)
    }

    async fn subsystem_request(
        &mut self,
        channel: ChannelId,
        name: &str,
        session: &mut server::Session,
    ) -> Result<(), Broken> {
        self.run(channel, Run::Subsystem(name.to_owned()), session)
    }

    async fn window_change_request(
        &mut self,
        channel: ChannelId,
        columns: u32,
        rows: u32,
        width: u32,
        height: u32,
        session: &mut server::Session,
    ) -> Result<(), Broken> {
        if self.entry(channel).is_some_and(|entry| entry.has_terminal) {
            self.push(channel, FromClient::Size(Size { columns, rows, width, height }))?;
        }
        session.channel_success(channel)?;
        Ok(())
    }

    async fn signal(&mut self, channel: ChannelId, signal: Sig, _: &mut server::Session) -> Result<(), Broken> {
        // Those that the protocol names (RFC 4254, section 6.10), and the one that OpenSSH has besides.
        let is_known = match &signal {
            Sig::Custom(name) => matches!(name.as_str(), "USR2" | "INFO@openssh.com"),
            _ => true,
        };
        if is_known { self.push(channel, FromClient::Signal(signal)) } else { Ok(()) }
    }

    async fn tcpip_forward(
        &mut self,
        address: &str,
        port: &mut u32,
        handle: &mut server::Session,
    ) -> Result<bool, Broken> {
        let (session, client) = (self.session()?, handle.handle());
        let listens = forward::listen(&session, client, forward::At::Tcp(address.to_owned(), *port)).await;
        Ok(listens.map(|chosen| *port = chosen).is_ok())
    }

    async fn cancel_tcpip_forward(
        &mut self,
        address: &str,
        port: u32,
        _: &mut server::Session,
    ) -> Result<bool, Broken> {
        Ok(forward::listen_no_more(&*self.session()?, &forward::At::Tcp(address.to_owned(), port)).await)
    }

    async fn streamlocal_forward(&mut self, path: &str, handle: &mut server::Session) -> Result<bool, Broken> {
        let (session, client) = (self.session()?, handle.handle());
        Ok(forward::listen(&session, client, forward::At::Socket(path.to_owned())).await.is_ok())
    }

    async fn cancel_streamlocal_forward(&mut self, path: &str, _: &mut server::Session) -> Result<bool, Broken> {
        Ok(forward::listen_no_more(&*self.session()?, &forward::At::Socket(path.to_owned())).await)
    }
}
