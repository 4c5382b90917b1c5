//! How the server is reached, and by whom.

use std::path::PathBuf;

/// How the server is reached.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Route {
    /// Without any proxy.
    Direct,
    /// Through PgBouncer.
    PgBouncer,
    /// Through HAProxy.
    HaProxy,
    /// Through Sluice's own plain relay.
    Relay,
    /// Through Sluice.
    Sluice,
}

impl Route {
    /// All routes.
    pub(super) const ALL: [Self; 5] = [Self::Direct, Self::PgBouncer, Self::HaProxy, Self::Relay, Self::Sluice];

    /// Those that a server's password in clear, or what a proxy changes, is compared on.
    pub(super) const COMPARED: [Self; 3] = [Self::Direct, Self::PgBouncer, Self::Sluice];

    /// Those with a process of their own.
    pub(super) const PROXIES: [Self; 4] = [Self::PgBouncer, Self::HaProxy, Self::Relay, Self::Sluice];

    /// As it is called in the tables.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Direct => "direct",
            Self::PgBouncer => "PgBouncer",
            Self::HaProxy => "HAProxy",
            Self::Relay => "relay",
            Self::Sluice => "Sluice",
        }
    }

    /// These routes; each round begins with another one.
    pub(super) fn in_turn(routes: &'static [Self], round: usize) -> impl Iterator<Item = Self> {
        let first = round % routes.len().max(1);
        routes.iter().copied().cycle().skip(first).take(routes.len())
    }
}

/// Where and as whom a client connects.
pub(super) struct Endpoint {
    pub(super) port: u16,
    pub(super) user: String,
    pub(super) password: String,
    /// What the client trusts.
    pub(super) ca: PathBuf,
    /// Whether classified values arrive masked.
    pub(super) masks: bool,
    /// The process whose CPU time counts: none without a proxy.
    pub(super) proxy: Option<u32>,
}
