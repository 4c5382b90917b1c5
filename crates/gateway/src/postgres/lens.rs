//! The circumstances in which masking asks policy when a session begins.

use std::net::IpAddr;

use model::subject::Subject;
use policy::Context;

use crate::clock;

/// The circumstances when a session begins.
pub(super) fn at_the_start(subject: &Subject, source: IpAddr) -> Context<'_> {
    Context {
        now: clock::now(),
        source,
        binding: subject.binding,
        session_age: 0,
        on_behalf_of: subject.on_behalf_of.first(),
        reason: None,
        estimated_rows: None,
    }
}
