//! What the journal of a Sluice says, read from its files.

use std::sync::Arc;

use anyhow::Result;
use ledger::{Reader, RealDisk};
use model::event::Event;
use testkit::demo::site::Site;
use testkit::wait::eventually_blocking;

use super::LIMIT;

/// Every event so far, in order.
pub fn events(site: &Site) -> Result<Vec<Event>> {
    let mut reader = Reader::open(Arc::new(RealDisk), &site.data().join("journal"), 0);
    let mut events = Vec::new();
    while let Some((_, entry)) = reader.next()? {
        events.push(entry.event);
    }
    Ok(events)
}

/// Waits until the journal has an event that is looked for: what nothing waits for is written a moment later.
pub fn wait_for(site: &Site, what: &str, is_it: impl Fn(&Event) -> bool) -> Result<Event> {
    eventually_blocking(LIMIT, what, || Ok(events(site)?.into_iter().find(&is_it)))
}
