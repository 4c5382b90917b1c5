//! How it begins: a GET that asks for it, and what is offered with that (RFC 6455, section 4).

/// The most subprotocols that one may offer.
const MOST_PROTOCOLS: usize = 32;

/// A request for WebSocket.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Handshake {
    /// What the answer has to be made of: 16 bytes in Base64.
    pub key: Box<str>,
    /// The subprotocols that are offered, in their order.
    pub protocols: Vec<Box<str>>,
}

/// It is not asked for as it has to be.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum HandshakeError {
    /// No key, more than one, or none of 16 bytes.
    #[error("the request has no Sec-WebSocket-Key of 16 bytes")]
    Key,
    /// Another version than 13.
    #[error("the request's Sec-WebSocket-Version is not 13")]
    Version,
    /// Subprotocols that are no names, or the same twice.
    #[error("the request's Sec-WebSocket-Protocol is malformed")]
    Protocol,
}

impl Handshake {
    /// Reads the values of `Sec-WebSocket-Key`, `-Version` and `-Protocol`, each as often as it stands.
    ///
    /// # Errors
    /// [`HandshakeError`].
    pub fn parse(keys: &[&[u8]], versions: &[&[u8]], protocols: &[&[u8]]) -> Result<Self, HandshakeError> {
        let &[key] = keys else { return Err(HandshakeError::Key) };
        let key = std::str::from_utf8(key).ok().filter(|key| is_key(key.as_bytes())).ok_or(HandshakeError::Key)?;
        if !matches!(versions, [version] if version.trim_ascii() == b"13") {
            return Err(HandshakeError::Version);
        }
        let mut offered: Vec<Box<str>> = Vec::new();
        for name in protocols.iter().flat_map(|value| value.split(|byte| *byte == b',')) {
            let name = std::str::from_utf8(name.trim_ascii()).map_err(|_| HandshakeError::Protocol)?;
            if !is_token(name) || offered.iter().any(|known| **known == *name) || offered.len() >= MOST_PROTOCOLS {
                return Err(HandshakeError::Protocol);
            }
            offered.push(name.into());
        }
        Ok(Self { key: key.into(), protocols: offered })
    }

    /// Whether the answer may choose this subprotocol, or none.
    pub fn lets(&self, chosen: Option<&str>) -> bool {
        chosen.is_none_or(|chosen| self.protocols.iter().any(|known| **known == *chosen))
    }
}

/// 24 signs of Base64 that are 16 bytes: the last sign of 22 stands for two bits, and two `=` follow.
fn is_key(key: &[u8]) -> bool {
    let Some((signs, b"==")) = key.split_at_checked(22) else { return false };
    let is_sign = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/');
    signs.iter().all(is_sign) && signs.last().is_some_and(|last| b"AQgw".contains(last))
}

/// Whether a text is a token (RFC 9110, section 5.6.2).
pub fn is_token(text: &str) -> bool {
    let is_sign = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~/".contains(&byte);
    !text.is_empty() && text.bytes().all(is_sign)
}
