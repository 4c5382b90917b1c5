//! A request as it came, read as far as HTTP goes.

use model::http::Media;

/// A query's name and its value, decoded, as `wire::http::Query` has them.
pub type Pair = (Box<str>, Option<Box<str>>);

/// The longest body in JSON that is looked into, in bytes. A longer one is not understood.
pub const MOST_OF_A_BODY: usize = 256 * 1024;

/// One request.
#[derive(Clone, Copy, Debug)]
pub struct Call<'a> {
    /// The method as it was sent.
    pub method: &'a str,
    /// The host that is asked, in lower case and without a port.
    pub host: &'a str,
    /// The path in its canonical form, which is the one that is forwarded.
    pub path: &'a str,
    /// The query in its canonical form.
    pub query: &'a [Pair],
    /// What the body says that it is.
    pub media: Option<&'a Media>,
    /// The body.
    pub body: Body<'a>,
    /// How messages in it are compressed that say they are (`grpc-encoding`).
    pub coding: Option<&'a str>,
    /// Whether it asks for another protocol on its connection, by `Upgrade` or extended CONNECT.
    pub upgrade: bool,
}

/// A request's body, as far as it was read before the decision.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Body<'a> {
    /// There is none.
    None,
    /// All of it, without a content coding.
    Whole(&'a [u8]),
    /// Some, that was not read: it is too long, encoded, or nobody has to look into it.
    Unread,
}
