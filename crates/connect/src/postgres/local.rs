//! The local side of a door: what a program says first, and how it proves that it may come in.

use std::io;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use model::secret::Secret;
use tokio::io::{AsyncRead, AsyncWrite};
use wire::postgres::backend::Authentication;
use wire::postgres::encode::{self, Report, Severity};
use wire::postgres::error::{EncodeError, FrameError, MessageError, StartupError};
use wire::postgres::frame::{HEADER, Limits, Phase, frontend};
use wire::postgres::frontend::password;
use wire::postgres::part::Bytes;
use wire::postgres::startup::{FirstPacket, Stage, StartupMessage, Version, decode};

use super::peer::Peer;

/// Why a program does not come in.
#[derive(Debug, thiserror::Error)]
pub(super) enum LocalError {
    #[error("the connection broke: {0}")]
    Io(#[from] io::Error),
    #[error(transparent)]
    Startup(#[from] StartupError),
    #[error(transparent)]
    Frame(#[from] FrameError),
    #[error(transparent)]
    Message(#[from] MessageError),
    #[error(transparent)]
    Encode(#[from] EncodeError),
    #[error("TLS is not spoken on this machine: connect with sslmode=disable")]
    Tls,
    #[error("the local password is wrong")]
    Password,
}

/// What a program wants.
pub(super) enum Opened {
    Session(Startup),
    Cancel { process: u32, key: Vec<u8> },
}

/// A StartupMessage.
pub(super) struct Startup {
    pub(super) version: Version,
    pub(super) parameters: Vec<(String, String)>,
}

/// Reads the first packets.
pub(super) async fn open<S: AsyncRead + AsyncWrite + Unpin>(peer: &mut Peer<S>) -> Result<Opened, LocalError> {
    let mut stage = Stage::default();
    loop {
        let Some((packet, length)) = decode(&peer.inbox, stage)? else {
            peer.read_more().await?;
            continue;
        };
        match packet {
            FirstPacket::TlsClientHello => return Err(LocalError::Tls),
            FirstPacket::SslRequest => stage.ssl_answered = true,
            FirstPacket::GssEncRequest => stage.gss_answered = true,
            FirstPacket::Cancel(cancel) => {
                let (process, key) = (cancel.process, cancel.key.get().to_vec());
                return Ok(Opened::Cancel { process, key });
            }
            FirstPacket::Startup(message) => {
                let (startup, negotiate) = (taken(&message), negotiation(&message)?);
                peer.taken(length);
                peer.send(&negotiate).await?;
                return Ok(Opened::Session(startup));
            }
        }
        peer.taken(length);
        peer.send(&[encode::encryption_answer(false)]).await?;
    }
}

/// What is passed on: neither protocol options, which are answered here, nor a user, who is known otherwise.
fn taken(message: &StartupMessage<'_>) -> Startup {
    let user = message.get("user");
    let parameters = message.parameters.iter().filter(|(name, value)| match *name {
        "user" => false,
        // A program that names none means the user's (protocol docs, "StartupMessage"): the target's own will do.
        "database" => !value.is_empty() && Some(*value) != user,
        name => !name.starts_with("_pq_."),
    });
    let parameters = parameters.map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    Startup { version: message.negotiated(), parameters }
}

/// NegotiateProtocolVersion, where the program does not get all that it asked for.
fn negotiation(message: &StartupMessage<'_>) -> Result<Vec<u8>, EncodeError> {
    let mut out = Vec::new();
    let options: Vec<&str> =
        message.parameters.iter().map(|(name, _)| *name).filter(|name| name.starts_with("_pq_.")).collect();
    if message.version != message.negotiated() || !options.is_empty() {
        encode::negotiate_version(&mut out, message.negotiated(), options.into_iter())?;
    }
    Ok(out)
}

/// Asks for the password of the door. In clear: whoever could listen on a loopback address could read this process too,
/// and the password opens nothing else.
pub(super) async fn check_password<S: AsyncRead + AsyncWrite + Unpin>(
    peer: &mut Peer<S>,
    expected: &Secret<String>,
) -> Result<(), LocalError> {
    let mut request = Vec::new();
    encode::authentication(&mut request, &Authentication::CleartextPassword)?;
    peer.send(&request).await?;
    loop {
        let header = frontend(&peer.inbox, Phase::Authentication, &Limits::default())?;
        if let Some(header) = header.filter(|header| peer.inbox.len() >= header.length()) {
            let frame = peer.inbox.split_to(header.length());
            let given = password(Bytes::from(frame.get(HEADER..).unwrap_or_default()))?;
            let is_right = verify_slices_are_equal(given.get(), expected.expose().as_bytes()).is_ok();
            return if is_right { Ok(()) } else { Err(LocalError::Password) };
        }
        peer.read_more().await?;
    }
}

/// Tells the program why it ends.
pub(super) async fn refuse<S: AsyncRead + AsyncWrite + Unpin>(
    peer: &mut Peer<S>,
    sqlstate: &str,
    message: &str,
    hint: Option<&str>,
) {
    let mut out = Vec::new();
    let report = Report { severity: Severity::Fatal, sqlstate, message, detail: None, hint };
    if report.encode(&mut out).is_ok() {
        // It may be gone already.
        let _ = peer.send(&out).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn startup(version: Version, parameters: &[(&str, &str)]) -> Vec<u8> {
        let mut out = Vec::new();
        encode::startup(&mut out, version, parameters.iter().copied()).unwrap();
        out
    }

    async fn opened(sent: &[u8]) -> (Result<Opened, LocalError>, Vec<u8>) {
        let (near, far) = tokio::io::duplex(1 << 16);
        let mut far = Peer::new(far);
        far.send(sent).await.unwrap();
        let mut near = Peer::new(near);
        let opened = open(&mut near).await;
        drop(near);
        while far.read_more().await.is_ok() {}
        (opened, far.inbox.to_vec())
    }

    #[tokio::test]
    async fn encryption_is_declined_and_what_a_program_says_of_its_user_is_dropped() {
        let mut sent = Vec::new();
        encode::ssl_request(&mut sent).unwrap();
        let (near, far) = tokio::io::duplex(1 << 16);
        let (mut near, mut far) = (Peer::new(near), Peer::new(far));
        let opening = tokio::spawn(async move { open(&mut near).await });
        far.send(&sent).await.unwrap();
        far.read_more().await.unwrap();
        assert_eq!(far.inbox.to_vec(), b"N");
        let parameters = [("user", "me"), ("database", "me"), ("application_name", "psql"), ("_pq_.x", "1")];
        far.send(&startup(Version::V3_2, &parameters)).await.unwrap();
        let Ok(Ok(Opened::Session(startup))) = opening.await else { panic!("no session") };
        assert_eq!(startup.version, Version::V3_2);
        assert_eq!(startup.parameters, [("application_name".to_owned(), "psql".to_owned())]);
    }

    #[tokio::test]
    async fn versions_and_options_are_negotiated_here() {
        let (session, answer) = opened(&startup(Version { major: 3, minor: 7 }, &[("user", "me")])).await;
        assert!(matches!(session, Ok(Opened::Session(Startup { version: Version::V3_2, .. }))));
        assert_eq!(answer.first(), Some(&b'v'));
        let (session, answer) = opened(&startup(Version::V3_0, &[("user", "me"), ("database", "payments")])).await;
        let Ok(Opened::Session(startup)) = session else { panic!("no session") };
        assert_eq!(startup.parameters, [("database".to_owned(), "payments".to_owned())]);
        assert!(answer.is_empty());
    }

    #[tokio::test]
    async fn only_the_password_of_the_door_opens_it() {
        for (given, is_right) in [("right", true), ("wrong", false), ("righ", false), ("rightt", false), ("", false)] {
            let (near, far) = tokio::io::duplex(1 << 16);
            let (mut near, mut far) = (Peer::new(near), Peer::new(far));
            let mut answer = Vec::new();
            encode::password(&mut answer, given.as_bytes()).unwrap();
            far.send(&answer).await.unwrap();
            let checked = check_password(&mut near, &Secret::new("right".into())).await;
            assert_eq!(checked.is_ok(), is_right, "{given}");
        }
    }

    #[tokio::test]
    async fn tls_and_strangers_are_turned_away() {
        assert!(matches!(opened(b"\x16\x03\x01").await.0, Err(LocalError::Tls)));
        assert!(matches!(opened(b"GET / HTTP/1.1\r\n\r\n").await.0, Err(LocalError::Startup(_))));
    }
}
