//! The first packets of a connection, up to a StartupMessage inside TLS.

use std::sync::Arc;

use bytes::{Buf, BytesMut};
use effects::postgres::settings;
use identity::Proven;
use model::id::SessionId;
use rustls::ServerConfig;
use store::config::PostgresAuth;
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use wire::postgres::startup::{FirstPacket, RENEW_OPTION, SESSION_OPTION, Stage, StartupMessage, Version, decode};

use crate::gate::{ClientSide, Early, Leg, Moved, Stream};
use crate::sessions::CancelKey;
use crate::tls::{ALPN_POSTGRES, ClientCertificate};

use super::credential;
use super::login::Refusal;
use super::renewal;

/// What the client's StartupMessage said.
pub(super) struct Wanted {
    pub(super) version: Version,
    pub(super) negotiate: Option<Vec<String>>,
    pub(super) database: Arc<str>,
    pub(super) application: Arc<str>,
    pub(super) settings: Vec<(String, String)>,
    /// How it wants to be asked for a token, whatever its certificate says, if it said so.
    pub(super) authentication: Option<PostgresAuth>,
    /// Whether the client is told the session's id.
    pub(super) wants_id: bool,
    /// The sessions to renew in place of beginning one.
    pub(super) renews: Option<Vec<SessionId>>,
}

/// A client that has asked for a session inside TLS.
pub(super) struct Applicant {
    pub(super) side: ClientSide,
    pub(super) wanted: Wanted,
    /// What it proved in its handshake, if it showed one.
    pub(super) certificate: Option<ClientCertificate>,
}

impl Applicant {
    /// What its token may be bound to.
    pub(super) fn proven(&self) -> Proven {
        ClientCertificate::proven(self.certificate.as_ref())
    }
}

pub(super) enum Opening {
    Session(Applicant),
    /// Of sessions that live.
    Renewal(Applicant, Vec<SessionId>),
    /// And the connection, which tells the client by its end that the cancel was passed on.
    Cancel(CancelKey, Leg),
}

pub(super) type Failed = (Refusal, Option<ClientSide>);

/// Reads the client's first packets and brings TLS up.
pub(super) async fn open(stream: TcpStream, tls: Arc<ServerConfig>) -> Result<Opening, Failed> {
    let mut leg = Leg::new(Stream::Plain(stream), BytesMut::new());
    let (mut stage, mut certificate) = (Stage::default(), None);
    loop {
        let first = match first_packet(&mut leg, stage).await {
            Ok(first) => first,
            Err(refusal) => return Err((refusal, Some(ClientSide::new(leg)))),
        };
        match first {
            First::Tls => {
                let accepted = accept_tls(leg, Arc::clone(&tls), true).await;
                (leg, certificate) = accepted.map_err(|refusal| (refusal, None))?;
            }
            First::SslRequest => {
                ClientSide::answer_encryption(&mut leg, true);
                leg.drain().await.map_err(|_| (Refusal::silent("the connection broke"), None))?;
                let accepted = accept_tls(leg, Arc::clone(&tls), false).await;
                (leg, certificate) = accepted.map_err(|refusal| (refusal, None))?;
            }
            First::GssEncRequest => {
                ClientSide::answer_encryption(&mut leg, false);
                stage.gss_answered = true;
                continue;
            }
            First::Cancel(key) => return Ok(Opening::Cancel(key, leg)),
            First::Startup(_) if !stage.encrypted => {
                let hint = "Set sslmode=require, or better verify-full with Sluice's CA.";
                let refusal = Refusal::tell("a start-up without TLS", "28000", "TLS is required", hint);
                return Err((refusal, Some(ClientSide::new(leg))));
            }
            First::Startup(wanted) => {
                let side = ClientSide::new(leg);
                return match *wanted {
                    Ok(mut wanted) => Ok(match wanted.renews.take() {
                        Some(sessions) => Opening::Renewal(Applicant { side, wanted, certificate }, sessions),
                        None => Opening::Session(Applicant { side, wanted, certificate }),
                    }),
                    Err(refusal) => Err((refusal, Some(side))),
                };
            }
        }
        stage.encrypted = true;
        stage.ssl_answered = true;
    }
}

enum First {
    Tls,
    SslRequest,
    GssEncRequest,
    Cancel(CancelKey),
    Startup(Box<Result<Wanted, Refusal>>),
}

async fn first_packet(leg: &mut Leg, stage: Stage) -> Result<First, Refusal> {
    loop {
        let decoded = decode(&leg.inbox, stage).map_err(|error| match error.may_answer() {
            true => Refusal::tell(error.to_string(), error.sqlstate(), &error.to_string(), ""),
            false => Refusal::silent(error.to_string()),
        })?;
        if let Some((packet, taken)) = decoded {
            let first = match packet {
                FirstPacket::TlsClientHello => First::Tls,
                FirstPacket::SslRequest => First::SslRequest,
                FirstPacket::GssEncRequest => First::GssEncRequest,
                FirstPacket::Cancel(request) => First::Cancel(CancelKey {
                    process_id: i32::from_be_bytes(request.process.to_be_bytes()),
                    secret: request.key.get().to_vec(),
                }),
                FirstPacket::Startup(message) => First::Startup(Box::new(wanted(&message))),
            };
            leg.inbox.advance(taken);
            return Ok(first);
        }
        match leg.read_more().await {
            Ok(Moved::Read) => {}
            Ok(Moved::Closed) | Err(_) => return Err(Refusal::silent("the client went away before it said anything")),
        }
    }
}

/// What a StartupMessage asks for. Its parameters are an allow-list: those that Sluice knows, and settings.
fn wanted(message: &StartupMessage<'_>) -> Result<Wanted, Refusal> {
    let unsupported = |what: &str| {
        Refusal::tell(format!("start-up parameter {what}"), "0A000", "a start-up parameter is not available", "")
    };
    let user = message.get("user").unwrap_or_default();
    let mut settings = Vec::new();
    for (name, value) in &message.parameters {
        match *name {
            "user" | "database" => {}
            "replication" => {
                if !matches!(*value, "false" | "off" | "no" | "0") {
                    return Err(unsupported("replication"));
                }
            }
            "options" => {
                let parsed = settings::parse_options(value);
                settings
                    .extend(parsed.map_err(|error| Refusal::tell(error.to_string(), "0A000", &error.to_string(), ""))?);
            }
            protocol if protocol.starts_with("_pq_.") => {}
            name => settings.push((name.to_owned(), (*value).to_owned())),
        }
    }
    let authentication = authentication(&mut settings)?;
    let database = message.get("database").filter(|name| !name.is_empty()).unwrap_or(user);
    let application: String = message.get("application_name").unwrap_or_default().chars().take(63).collect();
    let negotiate = message.needs_negotiation();
    Ok(Wanted {
        version: message.negotiated(),
        negotiate: negotiate.then(|| message.unknown_options().map(str::to_owned).collect()),
        database: database.into(),
        application: application.into(),
        settings,
        authentication,
        wants_id: message.get(SESSION_OPTION).is_some(),
        renews: message.get(RENEW_OPTION).map(renewal::sessions).transpose()?,
    })
}

/// Takes out what the client says about how it wants to be asked.
fn authentication(settings: &mut Vec<(String, String)>) -> Result<Option<PostgresAuth>, Refusal> {
    let mut wanted = None;
    for (_, value) in settings.extract_if(.., |(name, _)| name.eq_ignore_ascii_case(credential::SETTING)) {
        let way = PostgresAuth::ALL.into_iter().find(|way| way.as_str() == value);
        let message = "sluice.auth is \"password\" or \"oauthbearer\"";
        wanted = Some(way.ok_or_else(|| Refusal::tell(message, "22023", message, ""))?);
    }
    Ok(wanted)
}

/// Brings TLS up. Bytes that came before it are never taken for bytes inside it (CVE-2021-23214).
async fn accept_tls(
    leg: Leg,
    config: Arc<ServerConfig>,
    direct: bool,
) -> Result<(Leg, Option<ClientCertificate>), Refusal> {
    let (tcp, early) = leg.into_plain().ok_or_else(|| Refusal::silent("TLS inside TLS"))?;
    if !direct && !early.is_empty() {
        return Err(Refusal::silent("unencrypted data behind the request for encryption"));
    }
    let accepted = TlsAcceptor::from(config).accept(Early::new(tcp, early)).await;
    let stream = accepted.map_err(|error| Refusal::silent(format!("TLS: {error}")))?;
    if direct && stream.get_ref().1.alpn_protocol() != Some(ALPN_POSTGRES) {
        return Err(Refusal::silent("direct TLS without the application protocol `postgresql`"));
    }
    let certificate = ClientCertificate::of(stream.get_ref().1);
    Ok((Leg::new(Stream::Server(Box::new(stream)), BytesMut::new()), certificate))
}
