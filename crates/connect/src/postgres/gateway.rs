//! The Sluice behind the doors.

use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use model::id::SessionId;
use rustls::ClientConfig;
use rustls_pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use wire::postgres::backend::{Authentication, Backend};
use wire::postgres::encode;
use wire::postgres::error::{EncodeError, FrameError, MessageError};
use wire::postgres::frame::{Limits, Phase, backend};
use wire::postgres::startup::{RENEW_OPTION, RENEWED_PARAMETER, SESSION_OPTION, SESSION_PARAMETER, Version};

use super::local::Startup;
use super::peer::Peer;
use crate::backoff::Backoff;
use crate::tls::{TlsError, Trust};
use crate::token::Token;

/// How TLS names the protocol (`pqcomm.h PG_ALPN_PROTOCOL`); with it, TLS begins without a question.
const ALPN: &[u8] = b"postgresql";

/// How long one attempt to connect may take.
const CONNECT: Duration = Duration::from_secs(5);

/// How long attempts to connect go on.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long a login may take once there is a connection: Sluice connects to the target in it.
const LOGIN: Duration = Duration::from_secs(30);

/// A name that means nothing to Sluice.
const USER: &str = "sluice-connect";

/// However Sluice is configured, and whatever a certificate says: the token is who this is.
const AS_PASSWORD: (&str, &str) = ("sluice.auth", "password");

/// How many sessions are renewed by one connection; Sluice takes no more.
const RENEWED_AT_ONCE: usize = 256;

/// Why there is no session.
#[derive(Debug, thiserror::Error)]
pub enum GatewayError {
    /// No connection.
    #[error("Sluice cannot be reached at {address}: {error}")]
    Connect {
        /// Where.
        address: String,
        /// Why not.
        error: io::Error,
    },
    /// TLS cannot be set up.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The address is none.
    #[error("`{0}` is no address: write HOST:PORT")]
    Address(String),
    /// It was there, and went.
    #[error("the connection to Sluice broke: {0}")]
    Io(#[from] io::Error),
    /// It took too long.
    #[error("Sluice took too long")]
    Deadline,
    /// What answers is not Sluice.
    #[error("what answers at {0} is not Sluice: {1}")]
    Protocol(String, String),
    /// Sluice refuses; the message is for the program.
    #[error("Sluice refuses: {message}")]
    Refused {
        /// Its SQLSTATE and message.
        message: String,
        /// The whole ErrorResponse.
        report: Vec<u8>,
    },
}

/// Where Sluice is, and how it is spoken to.
pub struct Gateway {
    address: String,
    host: String,
    port: u16,
    tls: Arc<ClientConfig>,
}

/// A session that waits for its first request.
pub(super) struct Begun {
    pub(super) peer: Peer<TlsStream<TcpStream>>,
    /// All that the program is to hear, up to the first ReadyForQuery.
    pub(super) greeting: Vec<u8>,
    /// Its id, where Sluice told it.
    pub(super) session: Option<SessionId>,
    /// The database that it is in.
    pub(super) database: String,
}

impl Gateway {
    /// The Sluice at `HOST:PORT`.
    ///
    /// # Errors
    /// If that is no address, or a file of the trust cannot be used.
    pub fn new(address: &str, trust: &Trust) -> Result<Self, GatewayError> {
        let invalid = || GatewayError::Address(address.to_owned());
        let (host, port) = address.rsplit_once(':').ok_or_else(invalid)?;
        let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        let is_v6 = host.parse::<IpAddr>().is_ok_and(|ip| ip.is_ipv6());
        if host.is_empty() || (host.contains(':') && !is_v6) {
            return Err(invalid());
        }
        let port = port.parse().map_err(|_| invalid())?;
        Ok(Self { address: address.to_owned(), host: host.to_owned(), port, tls: trust.client(&[ALPN])? })
    }

    /// Where it is.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Whether Sluice is there, can prove its name, and accepts the token for this database.
    ///
    /// # Errors
    /// Why not.
    pub async fn check(&self, database: &str, token: &Token) -> Result<(), GatewayError> {
        self.renew_some(database, &[], token).await.map(drop)
    }

    /// Connects and verifies. A Sluice that is not there is tried again for a while: it may be restarting.
    async fn connect(&self) -> Result<Peer<TlsStream<TcpStream>>, GatewayError> {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        let mut backoff = Backoff::default();
        loop {
            let error = match self.dial().await {
                Ok(stream) => return Ok(Peer::new(stream)),
                Err(error) => error,
            };
            let delay = backoff.next_delay();
            let may_get_better = matches!(&error, GatewayError::Connect { error, .. } if is_passing(error));
            if !may_get_better || tokio::time::Instant::now() + delay >= deadline {
                return Err(error);
            }
            tokio::time::sleep(delay).await;
        }
    }

    async fn dial(&self) -> Result<TlsStream<TcpStream>, GatewayError> {
        let failed = |error| GatewayError::Connect { address: self.address.clone(), error };
        let name = ServerName::try_from(self.host.clone()).map_err(|_| GatewayError::Address(self.address.clone()))?;
        let connecting = async {
            let tcp = TcpStream::connect((self.host.as_str(), self.port)).await?;
            tcp.set_nodelay(true)?;
            TlsConnector::from(Arc::clone(&self.tls)).connect(name, tcp).await
        };
        match tokio::time::timeout(CONNECT, connecting).await {
            Ok(connected) => connected.map_err(failed),
            Err(_) => Err(failed(io::ErrorKind::TimedOut.into())),
        }
    }

    /// Begins a session for a program, as whoever the token says.
    pub(super) async fn begin(&self, startup: &Startup, database: &str, token: &Token) -> Result<Begun, GatewayError> {
        let said = startup.parameters.iter().find(|(name, _)| name == "database");
        let has_database = said.is_some();
        let database = said.map_or(database, |(_, database)| database.as_str());
        let own = [("user", USER), AS_PASSWORD, (SESSION_OPTION, "1")];
        let named = (!has_database).then_some(("database", database));
        let given = startup.parameters.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let parameters = own.into_iter().chain(named).chain(given);
        let mut peer = self.connect().await?;
        let mut exchange = Exchange { gateway: self, peer: &mut peer, greeting: Vec::new(), said: Said::default() };
        let logged_in =
            exchange.log_in(startup.version, parameters, token, |message| matches!(message, Backend::ReadyForQuery(_)));
        tokio::time::timeout(LOGIN, logged_in).await.map_err(|_| GatewayError::Deadline)??;
        let Exchange { greeting, said, .. } = exchange;
        Ok(Begun { peer, greeting, session: said.session, database: database.to_owned() })
    }

    /// Passes a CancelRequest on. It ends when Sluice has passed it on too.
    pub(super) async fn cancel(&self, process: u32, key: &[u8]) -> Result<(), GatewayError> {
        let mut request = Vec::new();
        encode::cancel_request(&mut request, process, key).map_err(|error| self.odd(&error))?;
        let mut peer = self.connect().await?;
        peer.send(&request).await?;
        // Nothing is answered: the end of the connection is the answer.
        let ended = async { while peer.read_more().await.is_ok() {} };
        tokio::time::timeout(LOGIN, ended).await.map_err(|_| GatewayError::Deadline)
    }

    /// Renews sessions of a database with a new token; returns those that were.
    pub(super) async fn renew(
        &self,
        database: &str,
        sessions: &[SessionId],
        token: &Token,
    ) -> Result<Vec<SessionId>, GatewayError> {
        let mut renewed = Vec::new();
        for some in sessions.chunks(RENEWED_AT_ONCE) {
            renewed.append(&mut self.renew_some(database, some, token).await?);
        }
        Ok(renewed)
    }

    async fn renew_some(
        &self,
        database: &str,
        sessions: &[SessionId],
        token: &Token,
    ) -> Result<Vec<SessionId>, GatewayError> {
        let ids = sessions.iter().map(SessionId::to_string).collect::<Vec<_>>().join(",");
        let parameters = [("user", USER), AS_PASSWORD, ("database", database), (RENEW_OPTION, ids.as_str())];
        let mut peer = self.connect().await?;
        let mut exchange = Exchange { gateway: self, peer: &mut peer, greeting: Vec::new(), said: Said::default() };
        let logged_in = exchange.log_in(Version::V3_0, parameters.into_iter(), token, |message| {
            matches!(message, Backend::ParameterStatus(_))
        });
        tokio::time::timeout(LOGIN, logged_in).await.map_err(|_| GatewayError::Deadline)??;
        Ok(exchange.said.renewed)
    }

    fn odd(&self, what: &dyn std::fmt::Display) -> GatewayError {
        GatewayError::Protocol(self.address.clone(), what.to_string())
    }
}

/// Whether a failure to connect may be over in a moment. A certificate that is not believed is not.
fn is_passing(error: &io::Error) -> bool {
    error.kind() != io::ErrorKind::InvalidData && error.kind() != io::ErrorKind::InvalidInput
}

/// What Sluice said of itself.
#[derive(Default)]
struct Said {
    session: Option<SessionId>,
    renewed: Vec<SessionId>,
}

/// One login.
struct Exchange<'a> {
    gateway: &'a Gateway,
    peer: &'a mut Peer<TlsStream<TcpStream>>,
    greeting: Vec<u8>,
    said: Said,
}

impl Exchange<'_> {
    /// Says who it is, and takes what comes up to and with the message that is the last.
    async fn log_in<'p>(
        &mut self,
        version: Version,
        parameters: impl Iterator<Item = (&'p str, &'p str)>,
        token: &Token,
        is_last: impl Fn(&Backend<'_>) -> bool,
    ) -> Result<(), GatewayError> {
        let mut out = Vec::new();
        let written = encode::startup(&mut out, version, parameters);
        written.map_err(|error: EncodeError| self.gateway.odd(&error))?;
        self.peer.send(&out).await?;
        let mut has_shown = false;
        loop {
            let header = backend(&self.peer.inbox, Phase::Authentication, &Limits::default());
            let header = header.map_err(|error: FrameError| self.gateway.odd(&error))?;
            let Some(length) = header.map(|header| header.length()).filter(|length| self.peer.inbox.len() >= *length)
            else {
                self.peer.read_more().await?;
                continue;
            };
            let bytes = self.peer.inbox.split_to(length).freeze();
            let Some(frame) = header.and_then(|header| header.frame(&bytes)) else { continue };
            let message = Backend::parse(&frame).map_err(|error: MessageError| self.gateway.odd(&error))?;
            match message {
                // The token goes to Sluice inside verified TLS, once, and as a password alone.
                Backend::Authentication(Authentication::CleartextPassword) if !has_shown => {
                    has_shown = true;
                    out.clear();
                    encode::password(&mut out, token.expose().as_bytes()).map_err(|error| self.gateway.odd(&error))?;
                    self.peer.send(&out).await?;
                }
                Backend::Authentication(Authentication::Ok) if has_shown => self.greeting.extend_from_slice(&bytes),
                Backend::Authentication(_) => return Err(self.gateway.odd(&"it asks for something else than a token")),
                Backend::NegotiateProtocolVersion(_) => {
                    return Err(self
                        .gateway
                        .odd(&"it does not know what is asked of it; is it as new as this program?"));
                }
                Backend::ErrorResponse(report) => {
                    let text =
                        |code| String::from_utf8_lossy(report.get(code).unwrap_or_default().bytes()).into_owned();
                    let message = format!("{} ({})", text(b'M'), text(b'C'));
                    return Err(GatewayError::Refused { message, report: bytes.to_vec() });
                }
                Backend::ParameterStatus(status) if status.name.bytes() == SESSION_PARAMETER.as_bytes() => {
                    self.said.session = status.value.utf8().ok().and_then(|id| id.parse().ok());
                }
                Backend::ParameterStatus(status) if status.name.bytes() == RENEWED_PARAMETER.as_bytes() => {
                    let ids = status.value.utf8().unwrap_or_default();
                    self.said.renewed = ids.split(',').filter_map(|id| id.parse().ok()).collect();
                }
                _ => self.greeting.extend_from_slice(&bytes),
            }
            if has_shown && is_last(&message) {
                return Ok(());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_a_host_and_a_port() {
        let dir = tempfile::tempdir().unwrap();
        let ca = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let path = dir.path().join("ca.pem");
        std::fs::write(&path, ca.cert.pem()).unwrap();
        let trust = Trust { ca_file: Some(path), certificate: None };
        let host = |address: &str| Gateway::new(address, &trust).map(|gateway| (gateway.host, gateway.port));
        assert_eq!(host("sluice.corp:5432").unwrap(), ("sluice.corp".into(), 5432));
        assert_eq!(host("[::1]:7").unwrap(), ("::1".into(), 7));
        for wrong in ["sluice", "sluice:", ":5432", "a:b:1", "sluice:99999", "https://sluice:1"] {
            assert!(host(wrong).is_err(), "{wrong}");
        }
    }
}
