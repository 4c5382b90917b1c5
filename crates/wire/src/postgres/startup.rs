//! The untagged packets that a connection begins with.

use super::error::{Foreign, StartupError};
use super::part::Bytes;

/// The longest packet without its length word (`MAX_STARTUP_PACKET_LENGTH`, pqcomm.h).
pub const MAX_PACKET: u32 = 10_000;

/// The longest cancel key of protocol 3.2.
pub const MAX_CANCEL_KEY: usize = 256;

/// Asks Sluice to report the session's id, as the parameter [`SESSION_PARAMETER`], whatever its value is.
pub const SESSION_OPTION: &str = "_pq_.sluice_session";

/// Begins no session but renews those whose ids are its value, separated by commas, with the token that is the password.
/// Without any, it only asks whether the token is accepted.
pub const RENEW_OPTION: &str = "_pq_.sluice_renew";

/// The parameter that reports the session's id.
pub const SESSION_PARAMETER: &str = "sluice.session";

/// The parameter that reports which sessions were renewed, separated by commas.
pub const RENEWED_PARAMETER: &str = "sluice.renewed";

/// The codes that stand where a version would (pqcomm.h).
pub(crate) const CANCEL_REQUEST: u32 = 80_877_102;
pub(crate) const SSL_REQUEST: u32 = 80_877_103;
pub(crate) const GSSENC_REQUEST: u32 = 80_877_104;

/// The first byte of a TLS record that holds a handshake: a `ClientHello`.
const TLS_HANDSHAKE: u8 = 0x16;

/// A protocol version. Ordered.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Version {
    /// Major number: 3.
    pub major: u16,
    /// Minor number.
    pub minor: u16,
}

impl Version {
    /// What every client since 2003 speaks.
    pub const V3_0: Self = Self { major: 3, minor: 0 };
    /// With long cancel keys (PostgreSQL 18).
    pub const V3_2: Self = Self { major: 3, minor: 2 };

    pub(crate) const fn from_code(code: u32) -> Self {
        let [a, b, c, d] = code.to_be_bytes();
        Self { major: u16::from_be_bytes([a, b]), minor: u16::from_be_bytes([c, d]) }
    }

    pub(crate) const fn code(self) -> u32 {
        let ([a, b], [c, d]) = (self.major.to_be_bytes(), self.minor.to_be_bytes());
        u32::from_be_bytes([a, b, c, d])
    }
}

/// What has happened on the connection before these bytes; it decides what may come.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Stage {
    /// TLS is up; the bytes come from inside it.
    pub encrypted: bool,
    /// An SSLRequest was answered.
    pub ssl_answered: bool,
    /// A GSSENCRequest was answered.
    pub gss_answered: bool,
}

/// What a client may begin with.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum FirstPacket<'a> {
    /// TLS without an SSLRequest (ALPN `postgresql`). No byte is consumed: hand all of them to the TLS server.
    TlsClientHello,
    /// Asks for TLS; answered with one byte, `S` or `N`.
    SslRequest,
    /// Asks for GSSAPI encryption; answered with `N`.
    GssEncRequest,
    /// Asks to cancel what another connection runs.
    Cancel(CancelRequest<'a>),
    /// Begins a session.
    Startup(StartupMessage<'a>),
}

/// A CancelRequest. Its sender proves by the key that it knows the session.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CancelRequest<'a> {
    /// The process id that BackendKeyData named.
    pub process: u32,
    /// The key: 4 bytes in protocol 3.0, up to 256 in 3.2. Compare it in constant time.
    pub key: Bytes<'a>,
}

/// A StartupMessage.
#[derive(Clone, PartialEq, Eq)]
pub struct StartupMessage<'a> {
    /// The version that the client asks for; its major number is 3.
    pub version: Version,
    /// Names and values in order, without duplicates.
    pub parameters: Vec<(&'a str, &'a str)>,
}

impl std::fmt::Debug for StartupMessage<'_> {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "StartupMessage({:?}, {} parameters)", self.version, self.parameters.len())
    }
}

impl<'a> StartupMessage<'a> {
    /// The value of a parameter.
    pub fn get(&self, name: &str) -> Option<&'a str> {
        self.parameters.iter().find(|(known, _)| *known == name).map(|(_, value)| *value)
    }

    /// The protocol options (parameters whose name begins with `_pq_.`) that the client asked for and Sluice does not know.
    pub fn unknown_options(&self) -> impl Iterator<Item = &'a str> + '_ {
        let options = self.parameters.iter().map(|(name, _)| *name).filter(|name| name.starts_with("_pq_."));
        options.filter(|name| ![SESSION_OPTION, RENEW_OPTION].contains(name))
    }

    /// The version that the session will have: 3.2, or 3.0 for a client that asks for less (3.1 was never released).
    pub fn negotiated(&self) -> Version {
        if self.version >= Version::V3_2 { Version::V3_2 } else { Version::V3_0 }
    }

    /// Whether the client has to be told, by NegotiateProtocolVersion, that it does not get all that it asked for
    /// (`backend_startup.c ProcessStartupPacket`).
    pub fn needs_negotiation(&self) -> bool {
        self.version != self.negotiated() || self.unknown_options().next().is_some()
    }
}

/// Decodes the packet at the start of `buffer`, with the number of bytes that it takes; `None` if more are needed.
///
/// # Errors
/// [`StartupError`], as soon as the bytes that show it are there: nothing is buffered for a length that is refused.
pub fn decode(buffer: &[u8], stage: Stage) -> Result<Option<(FirstPacket<'_>, usize)>, StartupError> {
    if buffer.first() == Some(&TLS_HANDSHAKE) {
        return match stage.encrypted || stage.ssl_answered {
            true => Err(StartupError::Foreign(Foreign::Tls)),
            false => Ok(Some((FirstPacket::TlsClientHello, 0))),
        };
    }
    let Some((word, rest)) = buffer.split_first_chunk::<4>() else {
        return Ok(None);
    };
    let length = u32::from_be_bytes(*word);
    if let Some(foreign) = recognise(word) {
        return Err(StartupError::Foreign(foreign));
    }
    let payload = length.checked_sub(4).filter(|payload| (4..=MAX_PACKET).contains(payload));
    let payload = payload.and_then(|payload| usize::try_from(payload).ok()).ok_or(StartupError::Length(length))?;
    let Some(packet) = rest.get(..payload) else {
        return Ok(None);
    };
    let behind = rest.len() > payload;
    let (code, body) = packet.split_first_chunk::<4>().ok_or(StartupError::Length(length))?;
    let first = interpret(u32::from_be_bytes(*code), body, stage, behind)?;
    Ok(Some((first, payload.saturating_add(4))))
}

/// Other protocols whose first four bytes would be an absurd length.
const fn recognise(word: &[u8; 4]) -> Option<Foreign> {
    match word {
        b"SSH-" => Some(Foreign::Ssh),
        b"PROX" | b"\r\n\r\n" => Some(Foreign::Proxy),
        b"GET " | b"POST" | b"PUT " | b"HEAD" | b"DELE" | b"OPTI" | b"PATC" | b"CONN" | b"TRAC" | b"PRI " | b"HTTP" => {
            Some(Foreign::Http)
        }
        _ => None,
    }
}

fn interpret(code: u32, body: &[u8], stage: Stage, behind: bool) -> Result<FirstPacket<'_>, StartupError> {
    match code {
        SSL_REQUEST => ask_once(body, stage.encrypted || stage.ssl_answered, behind).map(|()| FirstPacket::SslRequest),
        GSSENC_REQUEST => {
            ask_once(body, stage.encrypted || stage.gss_answered, behind).map(|()| FirstPacket::GssEncRequest)
        }
        CANCEL_REQUEST => cancel(body).map(FirstPacket::Cancel),
        version => startup(Version::from_code(version), body).map(FirstPacket::Startup),
    }
}

fn ask_once(body: &[u8], asked: bool, behind: bool) -> Result<(), StartupError> {
    match (body.is_empty(), asked, behind) {
        (false, ..) => Err(StartupError::Layout),
        (true, true, _) => Err(StartupError::Repeated),
        (true, false, true) => Err(StartupError::DataBehindRequest),
        (true, false, false) => Ok(()),
    }
}

fn cancel(body: &[u8]) -> Result<CancelRequest<'_>, StartupError> {
    let (process, key) = body.split_first_chunk::<4>().ok_or(StartupError::Layout)?;
    if key.len() < 4 || key.len() > MAX_CANCEL_KEY {
        return Err(StartupError::Layout);
    }
    Ok(CancelRequest { process: u32::from_be_bytes(*process), key: Bytes::new(key) })
}

fn startup(version: Version, body: &[u8]) -> Result<StartupMessage<'_>, StartupError> {
    if version.major != 3 {
        return Err(StartupError::Version { major: version.major, minor: version.minor });
    }
    let parameters = parameters(body)?;
    let mut names: Vec<&str> = parameters.iter().map(|(name, _)| *name).collect();
    names.sort_unstable();
    if names.is_sorted_by(|one, next| one < next) {
        Ok(StartupMessage { version, parameters })
    } else {
        Err(StartupError::Duplicate)
    }
}

/// Names and values, each ended by a NUL, and one more NUL that is the last byte of the packet.
fn parameters(body: &[u8]) -> Result<Vec<(&str, &str)>, StartupError> {
    let mut parameters = Vec::new();
    let mut rest = body;
    loop {
        let (name, after_name) = string(rest)?;
        if name.is_empty() {
            return if after_name.is_empty() { Ok(parameters) } else { Err(StartupError::Layout) };
        }
        let (value, after_value) = string(after_name)?;
        parameters.push((name, value));
        rest = after_value;
    }
}

fn string(bytes: &[u8]) -> Result<(&str, &[u8]), StartupError> {
    let end = memchr::memchr(0, bytes).ok_or(StartupError::Layout)?;
    let (text, rest) = bytes.split_at_checked(end).ok_or(StartupError::Layout)?;
    let text = std::str::from_utf8(text).map_err(|_| StartupError::NotUtf8)?;
    Ok((text, rest.get(1..).unwrap_or_default()))
}

#[cfg(test)]
mod tests;
