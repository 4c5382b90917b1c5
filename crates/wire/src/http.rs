//! What the HTTP library of `gateway` leaves to Sluice: it parses heads and frames bodies, and here is what they mean.
//!
//! 1. [`Path`] and [`Query`]: one canonical form, which is decided on and which the target gets.
//! 2. [`Authority`]: who is asked, where a request says it more than once.
//! 3. [`fields`]: which fields of a caller pass, and which never do.
//! 4. [`framing`]: shapes of messages that two readers may end at two places.
//! 5. [`strict`]: what comes on a connection of HTTP/1.1, before the library reads it.
//!
//! No message of a caller is passed on as it was: heads are written anew from what was read.

pub mod authority;
pub mod fields;
pub mod framing;
mod path;
mod percent;
mod query;
pub mod strict;

pub use authority::{Authority, AuthorityError};
pub use model::http::{Media, MediaError, Syntax};
pub use path::{MOST_OF_A_PATH, MOST_SEGMENTS, Path, PathError, Tolerance};
pub use query::{MOST_OF_A_QUERY, MOST_PAIRS, Pair, Query, QueryError};
