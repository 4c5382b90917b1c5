//! The target's side of a session: connections that are logged in with the target's own credential, one for each channel.
//!
//! The library keeps a connection waiting when one of its channels does, and gives it window that cannot be taken back: so a
//! channel has a connection of its own for as long as it lives (docs/adr/0016), and the next one takes it over.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use model::id::SessionId;
use policy::{Permit, ProtocolAct};
use russh::client::{self, Handle};
use russh::keys::{PrivateKeyWithHashAlg, PublicKeyOrCertificate};
use russh::{ChannelId, Sig};
use store::config::SshTarget;
use tokio::net::TcpStream;
use tokio::sync::OwnedSemaphorePermit;
use tokio_util::sync::CancellationToken;

use super::credential::{Login, NoTargetAuth, TargetAuth, target_auth};
use super::end::End;
use super::flow::{Measured, Queue, WINDOW};
use super::forward::Inward;
use super::session::{Place, Session};
use super::stream::Severable;
use super::{algorithms, trust};
use crate::credentials::Use;
use crate::gate::{Gone, TargetChannel, TargetConnection};
use crate::revision::Active;

/// How many connections of one session may log in at a time: more than that some hosts turn away.
const AT_A_TIME: usize = 4;

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub(super) enum ConnectError {
    /// It cannot be reached in time.
    #[error("the target cannot be reached: {0}")]
    Unreachable(String),
    /// It does not show a key that is believed.
    #[error("the target shows another host key than is configured: {0}")]
    HostKey(String),
    /// It does not let Sluice in.
    #[error("the target does not accept the credential for this login")]
    Refused,
    /// Sluice has nothing to log in with.
    #[error(transparent)]
    Credential(#[from] NoTargetAuth),
    /// It does not speak the protocol.
    #[error("the target does not speak SSH as it should: {0}")]
    Protocol(String),
}

/// What comes from the target's end of a channel.
#[derive(Debug)]
pub(super) enum FromTarget {
    /// Standard output.
    Out(Bytes),
    /// Standard error.
    Err(Bytes),
    /// It shows nothing more.
    Eof,
    /// What ran ended so.
    Exit(u32),
    /// What ran was ended by a signal.
    Signal { signal: Sig, core_dumped: bool },
    /// It takes what was asked for.
    Success,
    /// It does not.
    Failure,
}

impl Measured for FromTarget {
    fn size(&self) -> usize {
        match self {
            Self::Out(bytes) | Self::Err(bytes) => bytes.len(),
            _ => 0,
        }
    }
}

/// Where what comes from a connection's channels goes.
#[derive(Default)]
pub(super) struct Queues(Mutex<Entered>);

#[derive(Default)]
struct Entered {
    queues: HashMap<ChannelId, Arc<Queue<FromTarget>>>,
    /// The number of the newest channel: they are given in turn.
    newest: u32,
}

impl Entered {
    fn enter(&mut self, channel: ChannelId) -> Arc<Queue<FromTarget>> {
        self.newest = self.newest.max(channel.into());
        Arc::clone(self.queues.entry(channel).or_insert_with(|| Arc::new(Queue::new())))
    }
}

impl Queues {
    fn lock(&self) -> MutexGuard<'_, Entered> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The queue of a channel; `None` if it was left. What connects to speaks first at times, and so before whoever opened the
    /// channel has entered it.
    fn find(&self, channel: ChannelId) -> Option<Arc<Queue<FromTarget>>> {
        let mut entered = self.lock();
        if u32::from(channel) > entered.newest {
            return Some(entered.enter(channel));
        }
        entered.queues.get(&channel).cloned()
    }

    pub(super) fn enter(&self, channel: ChannelId) -> Arc<Queue<FromTarget>> {
        self.lock().enter(channel)
    }

    fn leave(&self, channel: ChannelId) {
        self.lock().queues.remove(&channel);
    }

    fn close_all(&self) {
        self.lock().queues.drain().for_each(|(_, queue)| queue.close());
    }
}

/// A connection that is logged in.
pub(super) struct Upstream {
    pub(super) connection: TargetConnection<Handler>,
    pub(super) queues: Arc<Queues>,
    sever: CancellationToken,
    /// A password that has to be given back when it is used no more.
    _held: Option<Use>,
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.sever.cancel();
        self.queues.close_all();
    }
}

/// The connections of a session that carry no channel now.
pub(super) struct Upstreams {
    idle: Mutex<Vec<Arc<Upstream>>>,
    turns: Arc<tokio::sync::Semaphore>,
    /// Cancelled once the first is there, which every session begins with.
    begun: CancellationToken,
}

impl Default for Upstreams {
    fn default() -> Self {
        let turns = Arc::new(tokio::sync::Semaphore::new(AT_A_TIME));
        Self { idle: Mutex::default(), turns, begun: CancellationToken::new() }
    }
}

impl Upstreams {
    fn idle(&self) -> MutexGuard<'_, Vec<Arc<Upstream>>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the first: whoever came before it was there has waited for it.
    pub(super) fn begin(&self, first: Upstream) {
        self.keep(Arc::new(first));
        self.begun.cancel();
    }

    /// Keeps one for the next channel.
    pub(super) fn keep(&self, upstream: Arc<Upstream>) {
        if !upstream.connection.is_closed() {
            self.idle().push(upstream);
        }
    }

    fn take(&self) -> Option<Arc<Upstream>> {
        let mut idle = self.idle();
        idle.retain(|upstream| !upstream.connection.is_closed());
        idle.pop()
    }

    /// Ends those that carry nothing.
    pub(super) async fn close(&self) {
        let idle = std::mem::take(&mut *self.idle());
        for upstream in idle {
            upstream.connection.close().await;
        }
    }
}

/// A channel at the target, and the connection that it has for itself.
pub(super) struct Leased {
    pub(super) channel: TargetChannel,
    pub(super) queue: Arc<Queue<FromTarget>>,
    session: Arc<Session>,
    queues: Arc<Queues>,
    /// The connection, where it is this channel's alone.
    upstream: Option<Arc<Upstream>>,
}

impl Leased {
    /// A channel on a connection that has others, which the target opened.
    pub(super) fn shared(
        session: &Arc<Session>,
        channel: TargetChannel,
        queue: Arc<Queue<FromTarget>>,
        queues: Arc<Queues>,
    ) -> Self {
        Self { channel, queue, session: Arc::clone(session), queues, upstream: None }
    }
}

impl Drop for Leased {
    fn drop(&mut self) {
        self.queues.leave(self.channel.id());
        self.queue.close();
        if let Some(upstream) = self.upstream.take() {
            self.session.upstreams.keep(upstream);
        }
    }
}

/// Where a session leads that asks for this target and login; the target's first login where it asks for none.
pub(super) fn place(active: &Active, target: &str, login: Option<&str>) -> Option<Place> {
    let target = active.targets.get(target)?;
    let ssh = target.ssh()?;
    let login = match login {
        Some(login) => ssh.logins.iter().find(|known| &***known == login)?,
        None => ssh.logins.first()?,
    };
    let model = Arc::new(target.target.clone());
    Some(Place { ssh: Arc::clone(ssh), login: Arc::clone(login), target: Arc::clone(target), model })
}

impl Session {
    /// A connection for a channel: one that carries none, or a new one.
    pub(super) async fn upstream(self: &Arc<Self>) -> Result<Arc<Upstream>, ConnectError> {
        tokio::select! {
            biased;
            () = self.over.cancelled() => return Err(ConnectError::Unreachable("the session ends".to_owned())),
            () = self.upstreams.begun.cancelled() => {}
        }
        if let Some(idle) = self.upstreams.take() {
            return Ok(idle);
        }
        // Nobody closes the semaphore.
        let turn: Option<OwnedSemaphorePermit> = Arc::clone(&self.upstreams.turns).acquire_owned().await.ok();
        if let Some(idle) = self.upstreams.take() {
            return Ok(idle);
        }
        let connected = self.connect().await;
        drop(turn);
        connected.map(Arc::new)
    }

    /// Opens a session channel, on which nothing runs yet.
    pub(super) async fn open_channel(self: &Arc<Self>) -> Result<Leased, ConnectError> {
        let upstream = self.upstream().await?;
        let permit = Permit::protocol(ProtocolAct::StartUp, self.id.request(0));
        let opened = upstream.connection.open_session(permit, &self.opened).await;
        self.leased(upstream, opened)
    }

    pub(super) fn leased(
        self: &Arc<Self>,
        upstream: Arc<Upstream>,
        opened: Result<TargetChannel, Gone>,
    ) -> Result<Leased, ConnectError> {
        let channel = opened.map_err(|error| ConnectError::Protocol(error.to_string()))?;
        let queue = upstream.queues.enter(channel.id());
        let queues = Arc::clone(&upstream.queues);
        Ok(Leased { channel, queue, session: Arc::clone(self), queues, upstream: Some(upstream) })
    }

    /// Connects and logs in.
    pub(super) async fn connect(self: &Arc<Self>) -> Result<Upstream, ConnectError> {
        let (bound, began) = (self.node.config.limits.connect_timeout, std::time::Instant::now());
        let connecting = tokio::time::timeout(bound, self.connect_and_log_in());
        let late = |_| Err(ConnectError::Unreachable("it does not answer in time".to_owned()));
        let connected = connecting.await.unwrap_or_else(late);
        let connected = self.node.contacts.note(&self.standing().place.model.name, began, connected);
        if let Err(error @ ConnectError::HostKey(_)) = &connected {
            // Somebody else may be where the target was: nothing more is said to it.
            self.end(End::Target(error.to_string()));
        }
        connected
    }

    async fn connect_and_log_in(self: &Arc<Self>) -> Result<Upstream, ConnectError> {
        let standing = self.standing();
        let Place { target, ssh, login, .. } = &standing.place;
        let unreachable = |error: std::io::Error| ConnectError::Unreachable(error.to_string());
        let tcp = TcpStream::connect((&*target.host, target.port)).await.map_err(unreachable)?;
        let _ = tcp.set_nodelay(true);
        let source = tcp.local_addr().ok().map(|local| local.ip());
        let (auth, _receipt) = target_auth(
            &self.node,
            Login {
                config: target,
                ssh,
                login,
                session: self.id,
                subject: &standing.subject.key,
                source,
                terminal: true,
                forwarding: true,
            },
        )
        .await?;
        let (sever, queues) = (CancellationToken::new(), Arc::<Queues>::default());
        let handler = Handler {
            session: Arc::downgrade(self),
            ssh: Arc::clone(ssh),
            host: Arc::clone(&target.host),
            queues: Arc::clone(&queues),
            refused: Arc::default(),
            id: self.id,
        };
        let refused = Arc::clone(&handler.refused);
        let guard = sever.clone().drop_guard();
        let stream = Severable::new(tcp, sever.clone());
        let connected = client::connect_stream(configuration(ssh), stream, handler).await;
        let mut handle = connected.map_err(|error| match refused.lock() {
            Ok(refused) if !refused.is_empty() => ConnectError::HostKey(refused.clone()),
            _ => ConnectError::Protocol(error.to_string()),
        })?;
        let held = log_in(&mut handle, login, auth).await?;
        drop(guard.disarm());
        Ok(Upstream { connection: TargetConnection::new(handle), queues, sever, _held: held })
    }
}

fn configuration(ssh: &SshTarget) -> Arc<client::Config> {
    Arc::new(client::Config {
        client_id: russh::SshId::Standard("SSH-2.0-Sluice".into()),
        window_size: WINDOW,
        maximum_packet_size: 32 * 1024,
        preferred: algorithms::with_target(!ssh.host_authorities.is_empty()),
        inactivity_timeout: None,
        keepalive_interval: Some(std::time::Duration::from_secs(30)),
        keepalive_max: 3,
        nodelay: true,
        ..client::Config::default()
    })
}

/// Shows the credential; what has to be held for as long as the connection lives.
async fn log_in(handle: &mut Handle<Handler>, login: &str, auth: TargetAuth) -> Result<Option<Use>, ConnectError> {
    let failed = |error: russh::Error| ConnectError::Protocol(error.to_string());
    let (answer, held) = match auth {
        TargetAuth::Certificate(signed) => {
            let (key, certificate) = *signed;
            (handle.authenticate_openssh_cert(login, Arc::new(key), certificate).await.map_err(failed)?, None)
        }
        TargetAuth::Key(key) => {
            let hash = handle.best_supported_rsa_hash().await.map_err(failed)?.flatten();
            let key = PrivateKeyWithHashAlg::new(Arc::new(*key), hash);
            (handle.authenticate_publickey(login, key).await.map_err(failed)?, None)
        }
        TargetAuth::Password(password) => {
            let secret = password.password().expose().to_owned();
            (handle.authenticate_password(login, secret).await.map_err(failed)?, password.lasting())
        }
    };
    if answer.success() { Ok(held) } else { Err(ConnectError::Refused) }
}

/// What the library calls back about a connection to the target.
pub(super) struct Handler {
    session: std::sync::Weak<Session>,
    ssh: Arc<SshTarget>,
    host: Arc<str>,
    queues: Arc<Queues>,
    /// Why the host's key was not believed.
    refused: Arc<Mutex<String>>,
    id: SessionId,
}

impl Handler {
    /// Puts something in a channel's queue. A connection carries one channel, so that it may wait for room.
    async fn came(&self, channel: ChannelId, what: FromTarget) -> Result<(), russh::Error> {
        let Some(queue) = self.queues.find(channel) else { return Ok(()) };
        if queue.push(what).is_err() {
            tracing::warn!(session = %self.id, "the target sends more than its window allows");
            return Err(russh::Error::Inconsistent);
        }
        queue.room().await;
        Ok(())
    }

    /// A channel that the target opens, for the session to decide about.
    fn inward(&self, channel: russh::Channel<client::Msg>, reply: client::ChannelOpenHandle, what: Inward) {
        if let Some(session) = self.session.upgrade() {
            super::forward::take_inward(session, Arc::clone(&self.queues), channel, reply, what);
        }
    }
}

impl client::Handler for Handler {
    type Error = russh::Error;

    async fn check_server_key(&mut self, shown: &PublicKeyOrCertificate) -> Result<bool, Self::Error> {
        match trust::host(&self.ssh, &self.host, shown, crate::clock::now()) {
            Ok(()) => Ok(true),
            Err(reason) => {
                tracing::error!(session = %self.id, %reason, "the target's host key is not believed");
                if let Ok(mut refused) = self.refused.lock() {
                    *refused = reason;
                }
                Ok(false)
            }
        }
    }

    async fn data(&mut self, channel: ChannelId, data: &[u8], _: &mut client::Session) -> Result<(), Self::Error> {
        self.came(channel, FromTarget::Out(Bytes::copy_from_slice(data))).await
    }

    async fn extended_data(
        &mut self,
        channel: ChannelId,
        _: u32,
        data: &[u8],
        _: &mut client::Session,
    ) -> Result<(), Self::Error> {
        self.came(channel, FromTarget::Err(Bytes::copy_from_slice(data))).await
    }

    async fn channel_eof(&mut self, channel: ChannelId, _: &mut client::Session) -> Result<(), Self::Error> {
        self.came(channel, FromTarget::Eof).await
    }

    async fn channel_close(&mut self, channel: ChannelId, _: &mut client::Session) -> Result<(), Self::Error> {
        if let Some(queue) = self.queues.find(channel) {
            queue.close();
        }
        Ok(())
    }

    async fn exit_status(&mut self, channel: ChannelId, code: u32, _: &mut client::Session) -> Result<(), Self::Error> {
        self.came(channel, FromTarget::Exit(code)).await
    }

    async fn exit_signal(
        &mut self,
        channel: ChannelId,
        signal: Sig,
        core_dumped: bool,
        // What the target says beside it is nobody's to read: it went through no mask.
        _: &str,
        _: &str,
        _: &mut client::Session,
    ) -> Result<(), Self::Error> {
        self.came(channel, FromTarget::Signal { signal: named(signal), core_dumped }).await
    }

    async fn channel_success(&mut self, channel: ChannelId, _: &mut client::Session) -> Result<(), Self::Error> {
        self.came(channel, FromTarget::Success).await
    }

    async fn channel_failure(&mut self, channel: ChannelId, _: &mut client::Session) -> Result<(), Self::Error> {
        self.came(channel, FromTarget::Failure).await
    }

    async fn server_channel_open_forwarded_tcpip(
        &mut self,
        channel: russh::Channel<client::Msg>,
        address: &str,
        port: u32,
        from: &str,
        from_port: u32,
        reply: client::ChannelOpenHandle,
        _: &mut client::Session,
    ) -> Result<(), Self::Error> {
        let what = Inward::Tcp { address: address.into(), port, from: originator(from, from_port) };
        self.inward(channel, reply, what);
        Ok(())
    }

    async fn server_channel_open_forwarded_streamlocal(
        &mut self,
        channel: russh::Channel<client::Msg>,
        path: &str,
        reply: client::ChannelOpenHandle,
        _: &mut client::Session,
    ) -> Result<(), Self::Error> {
        self.inward(channel, reply, Inward::Socket(path.into()));
        Ok(())
    }

    async fn server_channel_open_agent_forward(
        &mut self,
        channel: russh::Channel<client::Msg>,
        reply: client::ChannelOpenHandle,
        _: &mut client::Session,
    ) -> Result<(), Self::Error> {
        self.inward(channel, reply, Inward::Agent);
        Ok(())
    }

    async fn disconnected(&mut self, _: client::DisconnectReason<Self::Error>) -> Result<(), Self::Error> {
        self.queues.close_all();
        Ok(())
    }
}

impl Drop for Handler {
    fn drop(&mut self) {
        self.queues.close_all();
    }
}

/// The signal by which something ended. Of names that the protocol does not have (RFC 4254, section 6.10) the target may make
/// up any, and so say something that went through no mask: they are told as OpenSSH tells a signal without a name.
fn named(signal: Sig) -> Sig {
    match signal {
        Sig::Custom(name) if name != "USR2" => Sig::Custom("SIG@openssh.com".into()),
        signal => signal,
    }
}

/// The address of whoever a forwarded connection is from, as the other end is told it: an address, and no other words.
pub(super) fn originator(address: &str, port: u32) -> (IpAddr, u32) {
    (address.parse().unwrap_or(IpAddr::from([127, 0, 0, 1])), port)
}

#[cfg(test)]
mod tests;
