//! Connecting to a target as Sluice: TLS, then the target's own login with the credential that no caller sees.

use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use ledger::Receipt;
use model::event::{Entry, Event};
use model::id::SessionId;
use model::secret::Secret;
use policy::{OwnStatement, Permit, ProtocolAct};
use postgres_protocol::authentication::md5_hash;
use postgres_protocol::authentication::sasl::{ChannelBinding, SCRAM_SHA_256, SCRAM_SHA_256_PLUS, ScramSha256};
use rustls_pki_types::ServerName;
use store::config::TlsMode;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use wire::postgres::backend::{Authentication, Backend, ReportFields, TransactionStatus};
use wire::postgres::encode;
use wire::postgres::frame::{Limits, Phase, backend};
use wire::postgres::startup::Version;

use super::roles::MadeRole;
use super::server::Server;
use super::session::Place;
use crate::backends::OwnBackend;
use crate::clock;
use crate::credentials::{self, Use};
use crate::gate::{Leg, Moved, Stream, TargetSide};
use crate::node::Node;
use crate::recorder::entry;
use crate::tls::{self, ALPN_POSTGRES, Verify};

/// Settings that Sluice pins for every session (RULES.md 3): text means one thing, and what it means is known.
const PINNED: [(&str, &str); 1] = [("client_encoding", "UTF8")];

/// The same, as the server's command-line options, so that RESET returns to them.
const PINNED_OPTIONS: &str = "-c standard_conforming_strings=on -c backslash_quote=safe_encoding";

/// Why a target cannot be used. The caller is told that it cannot, and no more.
#[derive(Debug, thiserror::Error)]
pub(super) enum ConnectError {
    #[error("no answer within the connect timeout")]
    Deadline,
    #[error("cannot connect: {0}")]
    Io(#[from] std::io::Error),
    #[error(transparent)]
    Tls(#[from] tls::TlsError),
    #[error("the target refuses TLS, which is required")]
    NoTls,
    #[error("the target broke the protocol: {0}")]
    Protocol(String),
    #[error("the credential cannot be had: {0}")]
    Credential(String),
    #[error("the target wants {0}, which is not allowed for it")]
    Method(&'static str),
    #[error("the target refused the login with SQLSTATE {0}")]
    Refused(String),
    #[error("the journal cannot be written")]
    NotRecorded,
    #[error("a defect of Sluice: {0}")]
    Internal(&'static str),
}

/// Where and with what a running request is cancelled.
#[derive(Debug, Default)]
pub(super) struct CancelAddress {
    process: u32,
    key: Vec<u8>,
}

/// A connection that is logged in and waits for its first request.
pub(super) struct Connected {
    pub(super) side: TargetSide,
    pub(super) status: TransactionStatus,
    pub(super) parameters: Vec<(String, String)>,
    pub(super) cancel: CancelAddress,
    pub(super) held: Held,
}

/// What a connection has for as long as it lives.
pub(super) struct Held {
    /// Its place among Sluice's own connections.
    _backend: OwnBackend,
    /// The lease of the password that it logged in with, if it has one.
    _lease: Option<Use>,
    /// The role that was made for it.
    pub(super) role: Option<MadeRole>,
}

/// As whom a connection logs in.
#[derive(Clone, Copy)]
pub(super) enum Whom<'a> {
    /// With the credential of the target.
    Sluice,
    /// As a role that was made for it, with this password.
    Role(&'a MadeRole, &'a Secret<String>),
}

/// The SQLSTATEs of a server that does not believe a password, or knows no such user (invalid_password,
/// invalid_authorization_specification).
const NOT_BELIEVED: [&str; 2] = ["28P01", "28000"];

/// Connects and logs in on behalf of `session`. `receipt` is the entry that says so; `settings` are the caller's own
/// start-up settings, already permitted. A password that the target does not believe is read once more: it may have been
/// rotated meanwhile.
pub(super) async fn connect(
    node: &Node,
    server: &Server,
    database: &str,
    session: SessionId,
    receipt: &Receipt,
    whom: Whom<'_>,
    settings: &[(String, String)],
) -> Result<Connected, ConnectError> {
    let attempt = Attempt { node, server, database, session, whom, settings };
    let attempts = async {
        let (spent, refused) = match attempt.log_in(receipt, None).await {
            Ok(connected) => return Ok(connected),
            Err((Some(spent), ConnectError::Refused(code))) if NOT_BELIEVED.contains(&&*code) => (spent, code),
            Err((_, error)) => return Err(error),
        };
        tracing::info!(target = %server.name(), sqlstate = refused, "the target's credential is read once more");
        let receipt = record_use(node, server, session).await?;
        attempt.log_in(&receipt, Some(spent)).await.map_err(|(_, error)| error)
    };
    let (limit, began) = (node.config.limits.connect_timeout, std::time::Instant::now());
    let connected = tokio::time::timeout(limit, attempts).await.unwrap_or(Err(ConnectError::Deadline));
    node.contacts.note(server.name(), began, connected)
}

/// Whom to log in where.
struct Attempt<'a> {
    node: &'a Node,
    server: &'a Server,
    database: &'a str,
    session: SessionId,
    whom: Whom<'a>,
    settings: &'a [(String, String)],
}

impl Attempt<'_> {
    /// Connects, and logs in once. `spent` is what the target refused before. A failure comes with what was tried, if
    /// something newer may be tried.
    async fn log_in(
        &self,
        receipt: &Receipt,
        spent: Option<credentials::Login>,
    ) -> Result<Connected, (Option<credentials::Login>, ConnectError)> {
        let (server, session) = (self.server, self.session);
        let (leg, binding) = encrypted(self.node, server, session).await.map_err(|error| (None, error))?;
        let side = TargetSide::new(leg);
        let login = match self.whom {
            Whom::Sluice => {
                let (config, credential) = (&server.config, &server.postgres.credential);
                let login = self.node.credentials.login(self.node, config, credential, spent).await;
                Some(login.map_err(|error| (None, ConnectError::Credential(error.to_string())))?)
            }
            Whom::Role(..) => None,
        };
        let (user, password) = match (&login, self.whom) {
            (Some(login), _) => (&login.user, login.password.as_ref().map(Use::password)),
            (None, Whom::Role(role, password)) => (role.name(), Some(password)),
            (None, Whom::Sluice) => return Err((None, ConnectError::Internal("there is nobody to log in as"))),
        };
        let mut exchange = Login { side, session, receipt, server, user, password, binding };
        let finished = match exchange.start(self.database, self.settings) {
            Ok(()) => exchange.finish().await,
            Err(error) => Err(error),
        };
        match finished {
            Ok(LoggedIn { side, status, parameters, cancel }) => {
                let _backend = self.node.backends.enter(server.name(), cancel.process);
                let _lease = login.and_then(|login| login.password).and_then(Use::lasting);
                Ok(Connected { side, status, parameters, cancel, held: Held { _backend, _lease, role: None } })
            }
            Err(error) => Err((login.filter(|login| login.password.is_some()), error)),
        }
    }
}

/// Journals that a session logs in as a role that was made for it.
pub(super) async fn record_role(
    node: &Node,
    server: &Server,
    session: SessionId,
    role: &MadeRole,
) -> Result<Receipt, ConnectError> {
    let (target, reference) = (Arc::clone(server.name()), format!("role:{}", role.name()).into());
    record(node, vec![entry(Event::SecretUsed { session: Some(session), target, reference })]).await
}

/// Journals that the target's credential is used, which is what lets Sluice log in.
pub(super) async fn record_use(node: &Node, server: &Server, session: SessionId) -> Result<Receipt, ConnectError> {
    record(node, vec![entry(used(server, session))]).await
}

fn used(server: &Server, session: SessionId) -> Event {
    Event::SecretUsed { session: Some(session), target: Arc::clone(server.name()), reference: reference(server) }
}

/// Journals entries of one session, and returns the receipt of the last.
async fn record(node: &Node, entries: Vec<Entry>) -> Result<Receipt, ConnectError> {
    let receipts = node.recorder.record(entries, ledger::Level::Process).await;
    receipts.map_err(|_| ConnectError::NotRecorded)?.pop().ok_or(ConnectError::NotRecorded)
}

/// What the record calls the credential: where it is kept, or the client certificate.
fn reference(server: &Server) -> Arc<str> {
    match (&server.postgres.credential.password, &server.postgres.tls.client) {
        (Some(source), _) => source.to_string().into(),
        (None, Some(files)) => format!("certificate:{}", files.cert).into(),
        (None, None) => "none".into(),
    }
}

async fn dial(server: &Server) -> Result<TcpStream, ConnectError> {
    let tcp = TcpStream::connect((&*server.config.host, server.config.port)).await?;
    tcp.set_nodelay(true)?;
    Ok(tcp)
}

/// A leg to the target, inside TLS as the target's configuration demands, and what SCRAM may bind to.
async fn encrypted(node: &Node, server: &Server, session: SessionId) -> Result<(Leg, Option<Vec<u8>>), ConnectError> {
    let mut leg = Leg::new(Stream::Plain(dial(server).await?), BytesMut::new());
    let settings = &server.postgres.tls;
    let verify = match settings.mode {
        TlsMode::Off => return Ok((leg, None)),
        TlsMode::Require => Verify::Nothing,
        TlsMode::VerifyFull => Verify::Full,
    };
    let mut message = Vec::new();
    let _ = encode::ssl_request(&mut message);
    let permit = Permit::protocol(ProtocolAct::StartUp, session.request(0));
    TargetSide::request_encryption(&mut leg, &permit, &message)
        .map_err(|_| ConnectError::Internal("encryption was asked for twice"))?;
    while leg.inbox.is_empty() {
        if leg.read_more().await? == Moved::Closed {
            return Err(ConnectError::NoTls);
        }
    }
    // Exactly one byte may come before the handshake: anything behind it was sent in clear (CVE-2021-23222).
    match leg.inbox.split().as_ref() {
        b"S" => {}
        b"N" => return Err(ConnectError::NoTls),
        _ => return Err(ConnectError::Protocol("the answer to SSLRequest is not one byte".into())),
    }
    let (tcp, _) = leg.into_plain().ok_or(ConnectError::Internal("bytes were left before TLS"))?;
    let own = settings.client.as_ref().map(|files| credentials::certificate(node, files)).transpose()?;
    let config = tls::client(verify, settings.ca_file.as_deref(), own.as_ref(), &[ALPN_POSTGRES])?;
    let name = ServerName::try_from(server.config.host.to_string())
        .map_err(|_| ConnectError::Protocol("the host is not a name that TLS can verify".into()))?;
    let stream = TlsConnector::from(config).connect(name, tcp).await?;
    let certificate = stream.get_ref().1.peer_certificates().and_then(|chain| chain.first());
    let binding = certificate.and_then(tls::end_point);
    Ok((Leg::new(Stream::Client(Box::new(stream)), BytesMut::new()), binding))
}

/// The exchange from StartupMessage to the first ReadyForQuery.
struct Login<'a> {
    side: TargetSide,
    session: SessionId,
    receipt: &'a Receipt,
    server: &'a Server,
    user: &'a str,
    password: Option<&'a Secret<String>>,
    binding: Option<Vec<u8>>,
}

/// What came of it.
struct LoggedIn {
    side: TargetSide,
    status: TransactionStatus,
    parameters: Vec<(String, String)>,
    cancel: CancelAddress,
}

impl Login<'_> {
    fn send(&mut self, messages: &[u8]) -> Result<(), ConnectError> {
        let permit = Permit::protocol(ProtocolAct::StartUp, self.session.request(0));
        self.side.send(permit, self.receipt, messages).map_err(|_| ConnectError::Internal("proofs do not fit"))
    }

    fn start(&mut self, database: &str, settings: &[(String, String)]) -> Result<(), ConnectError> {
        let mut parameters = vec![("user", self.user), ("database", database)];
        parameters.extend(PINNED);
        let mut options = PINNED_OPTIONS.to_owned();
        for (name, value) in settings {
            match name.as_str() {
                "application_name" => parameters.push((name, value)),
                _ => options.push_str(&format!(" -c {name}={}", escape_option(value))),
            }
        }
        parameters.push(("options", &options));
        let mut message = Vec::new();
        encode::startup(&mut message, Version::V3_0, parameters)
            .map_err(|_| ConnectError::Internal("start-up settings are too long"))?;
        self.send(&message)
    }

    async fn finish(mut self) -> Result<LoggedIn, ConnectError> {
        self.authenticate().await?;
        let (mut parameters, mut cancel) = (Vec::new(), CancelAddress::default());
        loop {
            let frame = self.next().await?;
            match parse(&frame)? {
                Backend::ParameterStatus(status) => {
                    let text =
                        |text: wire::postgres::part::Text<'_>| String::from_utf8_lossy(text.bytes()).into_owned();
                    parameters.push((text(status.name), text(status.value)));
                }
                Backend::BackendKeyData(data) => {
                    cancel = CancelAddress { process: data.process, key: data.key.get().to_vec() };
                }
                Backend::NoticeResponse(_) => {}
                Backend::ReadyForQuery(status) => {
                    return Ok(LoggedIn { side: self.side, status, parameters, cancel });
                }
                Backend::ErrorResponse(fields) => return Err(ConnectError::Refused(sqlstate(fields))),
                _ => return Err(ConnectError::Protocol("an unexpected message after the login".into())),
            }
        }
    }

    /// Waits for one whole message.
    async fn next(&mut self) -> Result<BytesMut, ConnectError> {
        let limits = Limits::default();
        loop {
            let inbox = &mut self.side.leg().inbox;
            let header = backend(inbox, Phase::Authentication, &limits)
                .map_err(|error| ConnectError::Protocol(error.to_string()))?;
            if let Some(header) = header.filter(|header| inbox.len() >= header.length()) {
                return Ok(inbox.split_to(header.length()));
            }
            if self.side.leg().read_more().await? == Moved::Closed {
                return Err(ConnectError::Protocol("the connection was closed during the login".into()));
            }
        }
    }

    async fn authenticate(&mut self) -> Result<(), ConnectError> {
        loop {
            let frame = self.next().await?;
            let request = match parse(&frame)? {
                Backend::Authentication(request) => request,
                Backend::ErrorResponse(fields) => return Err(ConnectError::Refused(sqlstate(fields))),
                Backend::NoticeResponse(_) | Backend::NegotiateProtocolVersion(_) => continue,
                _ => return Err(ConnectError::Protocol("an unexpected message during the login".into())),
            };
            match request {
                Authentication::Ok => return Ok(()),
                Authentication::CleartextPassword if self.is_verified() => {
                    let password = self.secret()?.expose().clone().into_bytes();
                    self.answer_password(&Secret::new(password))?;
                }
                Authentication::CleartextPassword => return Err(ConnectError::Method("a password in clear")),
                Authentication::Md5Password(salt) if self.server.postgres.allow_md5 && self.is_verified() => {
                    let hash = md5_hash(self.user.as_bytes(), self.secret()?.expose().as_bytes(), salt);
                    self.answer_password(&Secret::new(hash.into_bytes()))?;
                }
                Authentication::Md5Password(_) => return Err(ConnectError::Method("md5")),
                Authentication::Sasl(mechanisms) => {
                    let offered: Vec<Vec<u8>> = mechanisms.iter().map(|name| name.bytes().to_vec()).collect();
                    self.scram(&offered).await?;
                }
                Authentication::SaslContinue(_) | Authentication::SaslFinal(_) => {
                    return Err(ConnectError::Protocol("SASL messages out of order".into()));
                }
            }
        }
    }

    fn is_verified(&self) -> bool {
        self.server.postgres.tls.mode == TlsMode::VerifyFull
    }

    fn secret(&self) -> Result<&Secret<String>, ConnectError> {
        self.password.ok_or_else(|| ConnectError::Credential("the target wants a password".into()))
    }

    fn answer_password(&mut self, password: &Secret<Vec<u8>>) -> Result<(), ConnectError> {
        let mut message = Vec::new();
        encode::password(&mut message, password.expose())
            .map_err(|_| ConnectError::Credential("the password holds a NUL or is too long".into()))?;
        self.send(&message)
    }

    /// SCRAM-SHA-256 (RFC 7677), bound to the TLS channel where the target offers it: then nobody can stand in between.
    async fn scram(&mut self, offered: &[Vec<u8>]) -> Result<(), ConnectError> {
        let has = |name: &str| offered.iter().any(|mechanism| mechanism == name.as_bytes());
        let (mechanism, binding) = match (&self.binding, has(SCRAM_SHA_256_PLUS)) {
            (Some(hash), true) => (SCRAM_SHA_256_PLUS, ChannelBinding::tls_server_end_point(hash.clone())),
            // We could bind and the target did not offer to: a peer in between may have taken the offer out, which the
            // target detects by this flag.
            (Some(_), false) => (SCRAM_SHA_256, ChannelBinding::unrequested()),
            (None, _) => (SCRAM_SHA_256, ChannelBinding::unsupported()),
        };
        if !has(mechanism) {
            return Err(ConnectError::Method("a SASL mechanism other than SCRAM-SHA-256"));
        }
        let mut scram = ScramSha256::new(self.secret()?.expose().as_bytes(), binding);
        let mut message = Vec::new();
        let _ = encode::sasl_initial_response(&mut message, mechanism, Some(scram.message()));
        self.send(&message)?;
        let frame = self.next().await?;
        let data = match parse(&frame)? {
            Backend::Authentication(Authentication::SaslContinue(data)) => data.get().to_vec(),
            Backend::ErrorResponse(fields) => return Err(ConnectError::Refused(sqlstate(fields))),
            _ => return Err(ConnectError::Protocol("SASL messages out of order".into())),
        };
        scram.update(&data).map_err(|error| ConnectError::Protocol(error.to_string()))?;
        message.clear();
        let _ = encode::sasl_response(&mut message, scram.message());
        self.send(&message)?;
        let frame = self.next().await?;
        let data = match parse(&frame)? {
            Backend::Authentication(Authentication::SaslFinal(data)) => data.get().to_vec(),
            Backend::ErrorResponse(fields) => return Err(ConnectError::Refused(sqlstate(fields))),
            _ => return Err(ConnectError::Protocol("SASL messages out of order".into())),
        };
        scram.finish(&data).map_err(|_| ConnectError::Protocol("the target does not know the password".into()))
    }
}

/// The SQLSTATE of a report: five characters, or what there is.
pub(super) fn sqlstate(fields: ReportFields<'_>) -> String {
    String::from_utf8_lossy(fields.sqlstate().bytes()).chars().take(5).collect()
}

fn parse(frame: &BytesMut) -> Result<Backend<'_>, ConnectError> {
    use wire::postgres::frame::{BackendTag, Frame, HEADER};
    let tag = frame.first().copied().and_then(BackendTag::from_byte);
    let (Some(tag), Some(body)) = (tag, frame.get(HEADER..)) else {
        return Err(ConnectError::Protocol("an incomplete message".into()));
    };
    Backend::parse(&Frame { tag, body, bytes: frame }).map_err(|error| ConnectError::Protocol(error.to_string()))
}

/// A value inside `options`: the server splits at blanks, and a backslash takes the next character as it is
/// (pg_split_opts, postinit.c).
fn escape_option(value: &str) -> String {
    let mut out = String::with_capacity(value.len());
    for character in value.chars() {
        if character == '\\' || character.is_ascii_whitespace() {
            out.push('\\');
        }
        out.push(character);
    }
    out
}

/// Asks the target to cancel what a session runs. The target ignores it if nothing runs.
pub(super) async fn cancel(node: &Node, place: &Place, session: SessionId) {
    let attempt = async {
        let receipt = record_use(node, &place.server, session).await?;
        let (leg, _) = encrypted(node, &place.server, session).await?;
        let mut side = TargetSide::new(leg);
        let mut message = Vec::new();
        encode::cancel_request(&mut message, place.cancel.process, &place.cancel.key)
            .map_err(|_| ConnectError::Internal("the cancel key is too long"))?;
        let permit = Permit::protocol(ProtocolAct::Cancel, session.request(0));
        side.send(permit, &receipt, &message).map_err(|_| ConnectError::Internal("proofs do not fit"))?;
        side.leg().drain().await?;
        // The server closes when it has passed the signal on.
        while side.leg().read_more().await? == Moved::Read {}
        Ok::<(), ConnectError>(())
    };
    match tokio::time::timeout(Duration::from_secs(10), attempt).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::warn!(%session, %error, "what runs at the target cannot be cancelled"),
        Err(_) => tracing::warn!(%session, "the target does not take a cancel request"),
    }
}

/// Takes one row, each value as text.
type TakeRow<'a> = dyn FnMut(&[Option<&str>]) -> Result<(), ConnectError> + Send + 'a;

/// How long Sluice's own statements wait for a lock, as a setting of the server.
const LOCK_TIMEOUT: &str = "2s";

/// A connection of Sluice's own, for reading catalogs.
pub(super) struct OwnConnection {
    side: TargetSide,
    session: SessionId,
    target: Arc<str>,
    database: Arc<str>,
    receipt: Receipt,
    _held: Held,
}

fn own(session: SessionId, target: &Arc<str>, database: &Arc<str>, name: OwnStatement) -> Event {
    Event::OwnStatement {
        session: Some(session),
        target: Arc::clone(target),
        database: Arc::clone(database),
        name: name.as_str().into(),
    }
}

impl OwnConnection {
    /// Connects to run the statements of this name; journals both first.
    pub(super) async fn open(
        node: &Node,
        server: &Server,
        database: &str,
        name: OwnStatement,
    ) -> Result<Self, ConnectError> {
        let bits = clock::random_bits().map_err(|_| ConnectError::Internal("no randomness"))?;
        let session = SessionId::from_bits(bits);
        let (place, of) = (Arc::clone(server.name()), Arc::from(database));
        let entries = vec![entry(used(server, session)), entry(own(session, &place, &of, name))];
        let receipt = record(node, entries).await?;
        // Whoever waits for a lock here makes every session wait, among them the one that holds it.
        let settings = [("application_name", "sluice"), ("search_path", "pg_catalog"), ("lock_timeout", LOCK_TIMEOUT)];
        let settings = settings.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let connected = connect(node, server, database, session, &receipt, Whom::Sluice, &settings).await?;
        let Connected { side, held: _held, .. } = connected;
        Ok(Self { side, session, target: place, database: of, receipt, _held })
    }

    /// Journals that statements of this name are about to be run. While the journal is known to take nothing, it does not
    /// wait: every session that needs the catalog waits for whoever reads it.
    pub(super) async fn record(&mut self, node: &Node, name: OwnStatement) -> Result<(), ConnectError> {
        if !node.recorder.is_writable() {
            return Err(ConnectError::NotRecorded);
        }
        self.receipt = record(node, vec![entry(own(self.session, &self.target, &self.database, name))]).await?;
        Ok(())
    }

    /// Runs one of Sluice's own statements, which was journaled, and hands each row, as text, to `row`.
    pub(super) async fn query(
        &mut self,
        name: OwnStatement,
        text: &str,
        row: &mut TakeRow<'_>,
    ) -> Result<(), ConnectError> {
        let permit = Permit::own(name, self.session.request(0));
        let mut message = Vec::new();
        let _ = encode::query(&mut message, text);
        self.side.send(permit, &self.receipt, &message).map_err(|_| ConnectError::Internal("proofs do not fit"))?;
        let mut failed = None;
        loop {
            let frame = self.next().await?;
            match parse(&frame)? {
                Backend::DataRow(values) => {
                    let texts: Result<Vec<Option<&str>>, _> =
                        values.iter().map(|value| value.map(std::str::from_utf8).transpose()).collect();
                    let texts = texts.map_err(|_| ConnectError::Protocol("a name that is not UTF-8".into()))?;
                    row(&texts)?;
                }
                Backend::ErrorResponse(fields) => failed = Some(sqlstate(fields)),
                Backend::ReadyForQuery(_) => {
                    return failed.map_or(Ok(()), |sqlstate| Err(ConnectError::Refused(sqlstate)));
                }
                _ => {}
            }
        }
    }

    async fn next(&mut self) -> Result<BytesMut, ConnectError> {
        let limits = Limits { row: 16 << 20, ..Limits::default() };
        loop {
            let inbox = &mut self.side.leg().inbox;
            let header =
                backend(inbox, Phase::Ready, &limits).map_err(|error| ConnectError::Protocol(error.to_string()))?;
            if let Some(header) = header.filter(|header| inbox.len() >= header.length()) {
                return Ok(inbox.split_to(header.length()));
            }
            if self.side.leg().read_more().await? == Moved::Closed {
                return Err(ConnectError::Protocol("the connection was closed".into()));
            }
        }
    }
}
