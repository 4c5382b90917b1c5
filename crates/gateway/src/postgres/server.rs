//! The PostgreSQL server behind a target.

use std::sync::Arc;

use store::config::{PostgresTarget, TargetConfig};

/// A target that speaks PostgreSQL: what every target has, and what only such a one has.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Server {
    pub(super) config: Arc<TargetConfig>,
    pub(super) postgres: Arc<PostgresTarget>,
}

impl Server {
    /// That of a target, if it speaks PostgreSQL.
    pub(super) fn of(target: &Arc<TargetConfig>) -> Option<Self> {
        let postgres = Arc::clone(target.postgres()?);
        Some(Self { config: Arc::clone(target), postgres })
    }

    /// The name of the target.
    pub(super) fn name(&self) -> &Arc<str> {
        &self.config.target.name
    }
}
