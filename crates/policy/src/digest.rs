//! The digest that binds an approval to exactly one request (RULES.md 22).

use aws_lc_rs::digest::{Context, SHA256};
use model::id::Digest;
use model::subject::SubjectKey;

/// Names what is digested and how, so that no other digest of Sluice's can be mistaken for this one.
const DOMAIN: &str = "sluice approval 1";

/// A bound parameter as the client sent it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Parameter<'a> {
    /// The type's OID; 0 if the client left it to the server.
    pub type_oid: u32,
    /// The format code: 0 text, 1 binary.
    pub format: i16,
    /// The value's bytes; `None` for NULL.
    pub value: Option<&'a [u8]>,
}

/// Everything that an approval is bound to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BoundTo<'a> {
    /// Who asks.
    pub subject: &'a SubjectKey,
    /// The delegation behind it, the nearest first.
    pub on_behalf_of: &'a [SubjectKey],
    /// The target's name.
    pub target: &'a str,
    /// The database's name.
    pub database: &'a str,
    /// The canonical text of each statement of the request, without trailing sqlcommenter comments.
    pub statements: &'a [&'a str],
    /// The bound parameters in order.
    pub parameters: &'a [Parameter<'a>],
    /// Session state that gives the text its meaning, such as `("search_path", "public")`, sorted by name.
    pub state: &'a [(&'a str, &'a str)],
}

/// The SHA-256 of a canonical encoding: every list is preceded by its count and every item by its length, both as
/// 8 bytes big-endian, so that no two different requests have the same encoding.
pub fn approval_digest(bound: &BoundTo<'_>) -> Digest {
    let mut out = Encoder(Context::new(&SHA256));
    out.bytes(DOMAIN.as_bytes());
    out.subject(bound.subject);
    out.count(bound.on_behalf_of.len());
    bound.on_behalf_of.iter().for_each(|key| out.subject(key));
    out.bytes(bound.target.as_bytes());
    out.bytes(bound.database.as_bytes());
    out.count(bound.statements.len());
    bound.statements.iter().for_each(|text| out.bytes(text.as_bytes()));
    out.count(bound.parameters.len());
    bound.parameters.iter().for_each(|parameter| out.parameter(parameter));
    out.count(bound.state.len());
    for (name, value) in bound.state {
        out.bytes(name.as_bytes());
        out.bytes(value.as_bytes());
    }
    out.finish()
}

/// The SHA-256 of one text.
pub(crate) fn of_text(text: &str) -> Digest {
    let mut context = Context::new(&SHA256);
    context.update(text.as_bytes());
    Encoder(context).finish()
}

struct Encoder(Context);

impl Encoder {
    fn count(&mut self, count: usize) {
        // A usize has at most 64 bits on every platform that Rust supports.
        self.0.update(&u64::try_from(count).unwrap_or(u64::MAX).to_be_bytes());
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.count(bytes.len());
        self.0.update(bytes);
    }

    fn subject(&mut self, key: &SubjectKey) {
        self.bytes(key.issuer.as_bytes());
        self.bytes(key.id.as_bytes());
    }

    fn parameter(&mut self, parameter: &Parameter<'_>) {
        self.bytes(&parameter.type_oid.to_be_bytes());
        self.bytes(&parameter.format.to_be_bytes());
        match parameter.value {
            None => self.count(0),
            Some(value) => {
                self.count(1);
                self.bytes(value);
            }
        }
    }

    fn finish(self) -> Digest {
        let mut bytes = [0; 32];
        // SHA-256 is 32 bytes; zip cannot run past either end.
        bytes.iter_mut().zip(self.0.finish().as_ref()).for_each(|(to, from)| *to = *from);
        Digest(bytes)
    }
}

#[cfg(test)]
mod tests;
