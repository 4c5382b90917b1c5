//! Who is calling, and on whose behalf?
//!
//! [`verify`] turns a token into a [`model::subject::Subject`] or refuses it. It reads the token exactly once, with one
//! parser, and takes nothing from the token that decides how the token is checked: `iss` selects the [`Issuer`], `kid`
//! selects one of *its* keys, and that key knows the only algorithm that it is used with.
//!
//! What it must never do: read a clock, draw randomness, fetch a key, follow a URL in a token (`jku`, `x5u`), use a key
//! in a token (`jwk`, `x5c`), fall back to something weaker, or tell the caller why it refused. The true reason is the
//! [`IdentityError`] and belongs in the journal; the caller gets [`IdentityError::client_message`].
//!
//! # Delegation (RFC 8693, section 4.1)
//!
//! A token's `sub` is the party on whose behalf the call is made, `act` is who makes it now, and an `act` inside `act`
//! is who acted before. So, for `{sub: user, act: {sub: C, act: {sub: B}}}`, where the user called B and B called C:
//!
//! * the *principal* ([`Subject::key`](model::subject::Subject::key)) is the outermost actor, C: it holds the
//!   connection;
//! * `on_behalf_of` is the rest, the nearest first: `[B, user]`. The last one is the token's own subject, who began it;
//! * groups and kind are the principal's own, read from its `act` object. The user's groups grant C nothing;
//! * an issuer speaks for its own subjects alone: an `iss` inside `act` must be the token's;
//! * at most [`MAX_ACTORS`] actors.
//!
//! Without `act` the principal is `sub`, and `on_behalf_of` is empty.
//!
//! # SPIFFE
//!
//! [`verify_certificate`] does the same with the chain of a client certificate that is an X.509-SVID, by the
//! [`TrustBundle`] of its trust domain alone; a JWT-SVID is a token, whose trust domain is that of its `sub`.
//!
//! # Tokens that Sluice issues
//!
//! The tokens of Sluice's own token endpoint ([`Issued`]) stand for subjects of any trusted issuer: there `sub` and
//! each actor are `alias|id`, and groups are as policies name them. Nobody else's token is read so
//! ([`Issuers::with_endpoint`]). One that is good at a single target says so in `aud` and counts there alone
//! ([`verify_for`]).
//!
//! # Where to start
//!
//! [`verify`], then `token` (the form), `claims` (the times and places), `subject` (the names). [`KeySet`] is what an
//! issuer publishes, [`KeyCache`] says when to fetch it again, [`SigningKey`] is Sluice's own issuer.
//! [`TrustBundle`] is what a trust domain publishes, and [`dpop`] verifies proofs of possession.
#![forbid(unsafe_code)]

mod answers;
mod bot;
mod bundle;
mod cache;
mod check;
mod claims;
pub mod dpop;
mod error;
mod groups;
mod id_token;
mod introspected;
mod issued;
mod issuers;
mod json;
mod keys;
mod mint;
mod proven;
mod revocable;
mod revoked;
pub mod saml;
mod security_event;
mod subject;
mod svid;
mod token;
mod told;
mod verify;

pub use answers::{Answered, Answers, AnswersTiming};
pub use bot::bot_activity;
pub use bundle::{BundleError, TrustBundle};
pub use cache::{KeyCache, KeyTiming, UnknownKey};
pub use check::{Check, Inspection, Outcome, inspect};
pub use error::{IdentityError, KeySetError};
pub use groups::MAX_GROUPS;
pub use id_token::{Expected, id_token};
pub use introspected::{Introspected, TokenDigest, is_opaque};
pub use issued::{Issued, TARGET_AUDIENCE};
pub use issuers::Issuers;
pub use keys::KeySet;
pub use mint::{Claims, MintError, SigningKey};
pub use model::issuer::{Algorithm, Issuer};
pub use proven::{Confirmation, Proven};
pub use revocable::{Revocable, revocable};
pub use revoked::{Revoked, id_digest};
pub use security_event::{Change, EventError, MAX_EVENT_AGE, SecurityEvent, What, security_event};
pub use subject::MAX_ACTORS;
pub use svid::{SvidError, thumbprint, verify_certificate};
pub use token::MAX_TOKEN;
pub use told::{TOLD_TYPE, Told};
pub use verify::{is_of_nobody, verify, verify_for};

#[cfg(test)]
mod tests;
