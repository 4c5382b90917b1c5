//! Connections that pass through a session: from the caller onward through the target, and from the target back to the caller
//! (RFC 4254, section 7, and OpenSSH's PROTOCOL, section 2.4).
//!
//! A name is resolved here, each of its addresses is decided, and the target is told an address: what policy looked at is where
//! the connection goes.

use std::net::IpAddr;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use effects::ssh::{Carries, Request};
use russh::server::ChannelOpenHandle;
use russh::{ChannelMsg, ChannelOpenFailure, ChannelReadHalf, client, server};
use tokio_util::sync::CancellationToken;

use super::channel::FromClient;
use super::decide::Demand;
use super::flow::Queue;
use super::prompt::Prompt;
use super::refusal::Refusal;
use super::relay::{self, Relay};
use super::session::Session;
use super::target::{Leased, Queues, Upstream};
use crate::deciding::Go;
use crate::gate::{ClientChannel, TargetChannel, Way};

/// How long a name may take to be resolved.
const RESOLVING: Duration = Duration::from_secs(5);

/// How many listeners a session may have at the target.
const MOST_LISTENERS: usize = 32;

/// Where a caller wants to be connected to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Onward {
    /// A host and port, and whose connection it is.
    Tcp { host: String, port: u32, from: (IpAddr, u32) },
    /// A socket of the target's file system.
    Socket(String),
}

/// Where a caller wants the target to listen.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum At {
    /// An address and port.
    Tcp(String, u32),
    /// A socket of its file system.
    Socket(String),
}

/// What a target opens a channel for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Inward {
    /// Somebody connected to a listener.
    Tcp { address: String, port: u32, from: (IpAddr, u32) },
    /// Somebody connected to a socket.
    Socket(String),
    /// Somebody asks the caller's agent.
    Agent,
}

/// The client's end of a channel that it wants to be opened.
pub(super) struct Opened {
    pub(super) session: Arc<Session>,
    pub(super) number: u32,
    pub(super) client: Arc<ClientChannel>,
    pub(super) queue: Arc<Queue<FromClient>>,
    pub(super) gone: CancellationToken,
}

/// What listens for a session at its target.
#[derive(Default)]
pub(super) struct Listeners {
    listening: Mutex<Vec<Listens>>,
    /// Whether the agent may be asked.
    agent: Mutex<Option<server::Handle>>,
}

struct Listens {
    at: At,
    upstream: Arc<Upstream>,
    asked: Request,
    client: server::Handle,
}

impl Listeners {
    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Listens>> {
        self.listening.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The agent of the caller may be asked from now on.
    pub(super) fn let_agent(&self, client: server::Handle) {
        *self.agent.lock().unwrap_or_else(PoisonError::into_inner) = Some(client);
    }

    /// What was permitted that lets this be opened, and where the caller is.
    fn permits(&self, what: &Inward) -> Option<(Request, server::Handle)> {
        let listening = self.lock();
        let found = |at: &At| {
            let listens = listening.iter().find(|listens| listens.at == *at)?;
            Some((listens.asked.clone(), listens.client.clone()))
        };
        match what {
            Inward::Tcp { address, port, .. } => found(&At::Tcp(address.clone(), *port)),
            Inward::Socket(path) => found(&At::Socket(path.clone())),
            Inward::Agent => {
                let agent = self.agent.lock().unwrap_or_else(PoisonError::into_inner);
                agent.clone().map(|client| (effects::ssh::agent_forward(), client))
            }
        }
    }

    /// Nothing listens any more.
    pub(super) fn close(&self) {
        self.lock().clear();
    }
}

/// Opens a connection from the target onward, if it may be, and serves it to its end.
pub(super) async fn open_onward(opened: Opened, reply: ChannelOpenHandle, to: Onward) {
    let reached = tokio::select! {
        biased;
        () = opened.session.over.cancelled() => Err(Refusal::Gone),
        reached = reach(&opened, &to) => reached,
    };
    match reached {
        Ok((go, asked, target)) => {
            reply.accept().await;
            serve(&opened, go, asked, target).await;
        }
        Err(refusal) => reply.reject(failure(&refusal)).await,
    }
    opened.queue.close();
    opened.client.close().await;
}

const fn failure(refusal: &Refusal) -> ChannelOpenFailure {
    match refusal {
        Refusal::Target(_) => ChannelOpenFailure::ConnectFailed,
        _ => ChannelOpenFailure::AdministrativelyProhibited,
    }
}

async fn reach(opened: &Opened, to: &Onward) -> Result<(Go, Request, Leased), Refusal> {
    let (asked, ways, exact) = match to {
        Onward::Tcp { host, port, from } => {
            let addresses = resolved(host, *port).await?;
            let asked = effects::ssh::direct_tcpip(host, *port, &addresses);
            let way = |address| Way::Tcp { address, port: *port, originator: *from };
            (asked, addresses.into_iter().map(way).collect(), format!("{host}:{port}"))
        }
        Onward::Socket(path) => (effects::ssh::direct_streamlocal(path), vec![Way::Socket(path.clone())], path.clone()),
    };
    let asked = Request { carries: Carries::Files, ..asked };
    let session = &opened.session;
    let demand = Demand {
        request: session.next_request(),
        channel: opened.number,
        asked: &asked,
        exact: &[&asked.facts.kind, &exact],
        state: &[],
    };
    let go = session.decide(demand).await?;
    match first(session, &go, ways).await {
        Some(target) => Ok((go, asked, target)),
        None => {
            session.complete(&go, Default::default(), Some("the target cannot connect there".into()));
            Err(Refusal::Target("the target cannot connect there"))
        }
    }
}

/// The first way that the target can go; all of them were permitted.
async fn first(session: &Arc<Session>, go: &Go, ways: Vec<Way>) -> Option<Leased> {
    for way in ways {
        let upstream = session.upstream().await.ok()?;
        let permit = go.goes_on();
        let channel = upstream.connection.open_onward(permit, &go.receipt, way).await;
        if let Ok(leased) = session.leased(Arc::clone(&upstream), channel) {
            return Some(leased);
        }
        session.upstreams.keep(upstream);
    }
    None
}

/// The addresses of a name, as Sluice resolves it.
async fn resolved(host: &str, port: u32) -> Result<Vec<IpAddr>, Refusal> {
    if let Ok(address) = host.trim_matches(['[', ']']).parse() {
        return Ok(vec![address]);
    }
    let port = u16::try_from(port).map_err(|_| Refusal::Target("there is no such port"))?;
    let looking = tokio::time::timeout(RESOLVING, tokio::net::lookup_host((host, port)));
    let found = looking.await.ok().and_then(Result::ok).ok_or(Refusal::Target("the name cannot be resolved"))?;
    let mut addresses: Vec<IpAddr> = found.map(|address| address.ip()).collect();
    addresses.dedup();
    if addresses.is_empty() { Err(Refusal::Target("the name has no address")) } else { Ok(addresses) }
}

async fn serve(opened: &Opened, go: Go, asked: Request, target: Leased) {
    relay::serve(Relay {
        session: Arc::clone(&opened.session),
        number: opened.number,
        client: Arc::clone(&opened.client),
        handle: None,
        from_client: Arc::clone(&opened.queue),
        gone: opened.gone.clone(),
        target,
        go,
        asked,
        carries: Carries::Files,
        prompt: Prompt::default(),
        has_typed: AtomicBool::default(),
        has_no_input: AtomicBool::new(false),
    })
    .await;
}

/// Has the target listen, if it may; the port that it chose.
pub(super) async fn listen(session: &Arc<Session>, client: server::Handle, at: At) -> Result<u32, Refusal> {
    if session.listeners.lock().len() >= MOST_LISTENERS {
        return Err(Refusal::Unsupported("another listener"));
    }
    let (asked, exact) = match &at {
        At::Tcp(address, port) => (effects::ssh::tcpip_forward(address, *port), format!("{address}:{port}")),
        At::Socket(path) => (effects::ssh::streamlocal_forward(path), path.clone()),
    };
    let demand = Demand {
        request: session.next_request(),
        channel: 0,
        asked: &asked,
        exact: &[&asked.facts.kind, &exact],
        state: &[],
    };
    let go = session.decide(demand).await?;
    let failed = Refusal::Target("the target does not listen there");
    let upstream = session.upstream().await.map_err(|_| failed.clone())?;
    let listens = match &at {
        At::Tcp(address, port) => {
            let chosen = upstream.connection.listen(go.goes_on(), &go.receipt, address, *port).await;
            chosen.map(|chosen| if *port == 0 { chosen } else { *port })
        }
        At::Socket(path) => upstream.connection.listen_at(go.goes_on(), &go.receipt, path).await.map(|()| 0),
    };
    let error = listens.is_err().then(|| Arc::from("the target does not listen there"));
    session.complete(&go, Default::default(), error);
    let chosen = listens.map_err(|_| failed)?;
    let at = match at {
        At::Tcp(address, _) => At::Tcp(address, chosen),
        at @ At::Socket(_) => at,
    };
    session.listeners.lock().push(Listens { at, upstream, asked, client });
    Ok(chosen)
}

/// Has the target listen no more; whether it did.
pub(super) async fn listen_no_more(session: &Session, at: &At) -> bool {
    let found = {
        let mut listening = session.listeners.lock();
        let place = listening.iter().position(|listens| listens.at == *at);
        place.map(|place| listening.remove(place))
    };
    let Some(found) = found else { return false };
    let ended = match at {
        At::Tcp(address, port) => found.upstream.connection.listen_no_more(address, *port).await,
        At::Socket(path) => found.upstream.connection.listen_no_more_at(path).await,
    };
    session.upstreams.keep(found.upstream);
    ended.is_ok()
}

/// A channel that the target opens: passed on to the caller if what it belongs to was permitted, and is so still.
pub(super) fn take_inward(
    session: Arc<Session>,
    queues: Arc<Queues>,
    channel: russh::Channel<client::Msg>,
    reply: client::ChannelOpenHandle,
    what: Inward,
) {
    let queue = queues.enter(channel.id());
    let target = TargetChannel::new(channel.split());
    let spawning = Arc::clone(&session);
    spawning.spawn(async move {
        let decided = tokio::select! {
            biased;
            () = session.over.cancelled() => Err(Refusal::Gone),
            decided = inward(&session, &what) => decided,
        };
        match decided {
            Ok((go, asked, client)) => {
                reply.accept().await;
                let target = Leased::shared(&session, target, queue, queues);
                pass(&session, go, asked, client, target).await;
            }
            Err(_) => reply.reject(ChannelOpenFailure::AdministrativelyProhibited).await,
        }
    });
}

/// Decides it, and opens the caller's end.
async fn inward(session: &Arc<Session>, what: &Inward) -> Result<(Go, Request, russh::Channel<server::Msg>), Refusal> {
    let (asked, client) = session.listeners.permits(what).ok_or(Refusal::Unsupported("an unasked connection"))?;
    let asked = Request { carries: Carries::Files, ..asked };
    let demand =
        Demand { request: session.next_request(), channel: 0, asked: &asked, exact: &[&asked.facts.kind], state: &[] };
    let go = session.decide(demand).await?;
    let opened = match what.clone() {
        Inward::Tcp { address, port, from: (from, from_port) } => {
            client.channel_open_forwarded_tcpip(address, port, from.to_string(), from_port).await
        }
        Inward::Socket(path) => client.channel_open_forwarded_streamlocal(path).await,
        Inward::Agent => client.channel_open_agent().await,
    };
    match opened {
        Ok(channel) => Ok((go, asked, channel)),
        Err(_) => {
            session.complete(&go, Default::default(), Some("the caller does not take it".into()));
            Err(Refusal::Gone)
        }
    }
}

async fn pass(session: &Arc<Session>, go: Go, asked: Request, channel: russh::Channel<server::Msg>, target: Leased) {
    let (client, read) = ClientChannel::with_reader(channel.split());
    let (client, queue, gone) = (Arc::new(client), Arc::new(Queue::new()), CancellationToken::new());
    session.watch_queue(&queue);
    session.spawn(take(read, Arc::clone(&queue), gone.clone(), Arc::clone(session)));
    let opened = Opened { session: Arc::clone(session), number: session.next_channel(), client, queue, gone };
    serve(&opened, go, asked, target).await;
    opened.queue.close();
    opened.client.close().await;
}

/// Takes what comes on a channel that Sluice opened at the caller, which the library keeps in the channel's own queue.
async fn take(
    mut read: ChannelReadHalf,
    queue: Arc<Queue<FromClient>>,
    gone: CancellationToken,
    session: Arc<Session>,
) {
    while let Some(came) = read.wait().await {
        let what = match came {
            ChannelMsg::Data { data } => FromClient::Data(data),
            ChannelMsg::Eof => FromClient::Eof,
            ChannelMsg::Close => break,
            _ => continue,
        };
        if queue.push(what).is_err() {
            session.end(super::end::End::Violation("more was sent than the window allows"));
            break;
        }
    }
    gone.cancel();
    queue.close();
}
