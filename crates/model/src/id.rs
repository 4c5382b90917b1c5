//! Identifiers, and the digest that names content.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Crockford's base 32 in lower case: no `i`, `l`, `o` or `u`, so an id survives being read aloud.
const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

/// The text is not an identifier of the kind that was asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a valid id")]
pub struct InvalidId(String);

fn encode(bits: u64, out: &mut fmt::Formatter<'_>) -> fmt::Result {
    for group in (0..13u32).rev() {
        let digit = usize::try_from((bits >> (group * 5)) & 31).unwrap_or(0);
        let symbol = ALPHABET.get(digit).copied().unwrap_or(b'0');
        write!(out, "{}", char::from(symbol))?;
    }
    Ok(())
}

fn decode(text: &str) -> Result<u64, InvalidId> {
    let invalid = || InvalidId(text.chars().take(40).collect());
    if text.len() != 13 {
        return Err(invalid());
    }
    text.bytes().try_fold(0u64, |bits, byte| {
        let digit = ALPHABET.iter().position(|symbol| *symbol == byte).ok_or_else(invalid)?;
        let digit = u64::try_from(digit).map_err(|_| invalid())?;
        bits.checked_mul(32).and_then(|bits| bits.checked_add(digit)).ok_or_else(invalid)
    })
}

/// One authenticated connection. Sixty-four random bits, shown as 13 characters.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct SessionId(u64);

impl SessionId {
    /// Makes an id from bits that the caller drew at random.
    pub const fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    /// The bits that the id was made from.
    pub const fn bits(self) -> u64 {
        self.0
    }

    /// The request with this ordinal; number 0 is the session's own opening and closing.
    pub const fn request(self, number: u64) -> RequestId {
        RequestId { session: self, number }
    }
}

impl fmt::Display for SessionId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        encode(self.0, out)
    }
}

impl FromStr for SessionId {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        decode(text).map(Self)
    }
}

/// One request of one session: shown as `SESSION.NUMBER`, and named in every refusal that a caller sees.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct RequestId {
    /// The session that made the request.
    pub session: SessionId,
    /// Counts from 1 in the order in which the requests arrived; 0 is the session itself.
    pub number: u64,
}

impl fmt::Display for RequestId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}.{}", self.session, self.number)
    }
}

impl FromStr for RequestId {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let invalid = || InvalidId(text.chars().take(40).collect());
        let (session, number) = text.split_once('.').ok_or_else(invalid)?;
        let number = number.parse().map_err(|_| invalid())?;
        Ok(Self { session: session.parse()?, number })
    }
}

/// A human's answer to an Ask: shown as `apr-` and 13 characters.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct ApprovalId(u64);

impl ApprovalId {
    /// Makes an id from bits that the caller drew at random.
    pub const fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    /// The bits that the id was made from.
    pub const fn bits(self) -> u64 {
        self.0
    }
}

impl fmt::Display for ApprovalId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("apr-")?;
        encode(self.0, out)
    }
}

impl FromStr for ApprovalId {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let bits = text.strip_prefix("apr-").ok_or_else(|| InvalidId(text.chars().take(40).collect()))?;
        decode(bits).map(Self)
    }
}

/// A proposed change of the policies: shown as `prp-` and 13 characters.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct ProposalId(u64);

impl ProposalId {
    /// Makes an id from bits that the caller drew at random.
    pub const fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    /// The bits that the id was made from.
    pub const fn bits(self) -> u64 {
        self.0
    }
}

impl fmt::Display for ProposalId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("prp-")?;
        encode(self.0, out)
    }
}

impl FromStr for ProposalId {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let bits = text.strip_prefix("prp-").ok_or_else(|| InvalidId(text.chars().take(40).collect()))?;
        decode(bits).map(Self)
    }
}

/// One version of the whole configuration; counts from 1.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RevisionId(pub u64);

impl fmt::Display for RevisionId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}", self.0)
    }
}

/// A SHA-256 digest, shown as 64 lower-case hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Digest(pub [u8; 32]);

impl fmt::Display for Digest {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(out, "{byte:02x}"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, out)
    }
}

impl FromStr for Digest {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let invalid = || InvalidId(text.chars().take(80).collect());
        if text.len() != 64 || !text.is_ascii() {
            return Err(invalid());
        }
        let mut bytes = [0; 32];
        for (index, byte) in bytes.iter_mut().enumerate() {
            let pair = text.get(index * 2..index * 2 + 2).ok_or_else(invalid)?;
            *byte = u8::from_str_radix(pair, 16).map_err(|_| invalid())?;
        }
        Ok(Self(bytes))
    }
}

/// Human-readable formats show an id as text, binary ones store its bits.
macro_rules! serde_as_text_or {
    ($type:ty, $bits:ty, $to:expr, $from:expr) => {
        impl Serialize for $type {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                if serializer.is_human_readable() {
                    serializer.collect_str(self)
                } else {
                    let to: fn(&$type) -> $bits = $to;
                    to(self).serialize(serializer)
                }
            }
        }

        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                if deserializer.is_human_readable() {
                    let text = String::deserialize(deserializer)?;
                    text.parse().map_err(serde::de::Error::custom)
                } else {
                    let from: fn($bits) -> $type = $from;
                    <$bits>::deserialize(deserializer).map(from)
                }
            }
        }
    };
}

serde_as_text_or!(SessionId, u64, |id| id.0, SessionId);
serde_as_text_or!(ApprovalId, u64, |id| id.0, ApprovalId);
serde_as_text_or!(ProposalId, u64, |id| id.0, ProposalId);
serde_as_text_or!(RequestId, (u64, u64), |id| (id.session.0, id.number), |(session, number)| RequestId {
    session: SessionId(session),
    number
});
serde_as_text_or!(Digest, [u8; 32], |digest| digest.0, Digest);

#[cfg(test)]
mod tests {
    use super::*;

    proptest::proptest! {
        #[test]
        fn ids_survive_their_text(bits: u64, number: u64, bytes: [u8; 32]) {
            let session = SessionId::from_bits(bits);
            assert_eq!(session.to_string().parse(), Ok(session));
            assert_eq!(session.request(number).to_string().parse(), Ok(session.request(number)));
            let approval = ApprovalId::from_bits(bits);
            assert_eq!(approval.to_string().parse(), Ok(approval));
            let proposal = ProposalId::from_bits(bits);
            assert_eq!(proposal.to_string().parse(), Ok(proposal));
            assert_eq!(Digest(bytes).to_string().parse(), Ok(Digest(bytes)));
        }

        #[test]
        fn other_text_is_refused_and_never_panics(text in ".{0,80}") {
            if let Ok(id) = text.parse::<SessionId>() {
                assert_eq!(id.to_string(), text);
            }
            let _ = text.parse::<RequestId>();
            let _ = text.parse::<Digest>();
        }
    }
}
