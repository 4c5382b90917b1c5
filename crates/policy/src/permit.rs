//! The proof that something may be sent to a target.

use model::id::RequestId;
use model::target::Level;

/// Permission to send one thing to a target, for one request. It can be neither copied nor made outside this crate:
/// [`crate::decide`] alone makes one to run a request, [`crate::prepare`] one to prepare it, and the other kinds carry
/// nothing that a caller wrote.
///
/// ```compile_fail,E0277
/// fn is_cloned<T: Clone>() {}
/// is_cloned::<policy::Permit>();
/// ```
///
/// ```
/// fn is_told<T: std::fmt::Debug>() {}
/// is_told::<policy::Permit>();
/// ```
#[derive(Debug, PartialEq, Eq)]
#[must_use = "a permit that is not used permits nothing"]
pub struct Permit {
    request: RequestId,
    kind: PermitKind,
    level: Level,
}

/// What a [`Permit`] allows to be sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PermitKind {
    /// The request itself.
    Request,
    /// The text of a request, to be parsed and described by the target and not to be run.
    Preparation,
    /// What follows a permitted request and is part of it: Bind, Describe, Execute, CopyData.
    Continuation,
    /// A message of the protocol that carries no content of the caller's.
    Protocol(ProtocolAct),
    /// One of Sluice's own statements.
    Own(OwnStatement),
}

/// Messages that carry no content, so that there is nothing in them to decide.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum ProtocolAct {
    /// Encryption request, StartupMessage and authentication, all written by Sluice.
    StartUp,
    /// End of a pipeline.
    Sync,
    /// Ask for what is buffered.
    Flush,
    /// Ask what a permitted statement or portal looks like: it names one, and runs nothing.
    Describe,
    /// Free a prepared statement or portal.
    Close,
    /// End the session.
    Terminate,
    /// Cancel what runs.
    Cancel,
    /// End of the data of a COPY.
    CopyDone,
    /// Abandonment of a COPY.
    CopyFail,
}

/// The statements that Sluice runs at a target for itself; journaled by these names (RULES.md 32).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum OwnStatement {
    /// Reads the catalog.
    Catalog,
    /// Asks whether the catalog has changed.
    CatalogVersion,
    /// Reads search_path, role and the like on the session's own connection.
    SessionState,
    /// Resolves names among the session's own objects.
    SessionObjects,
    /// Puts up or takes down the read-only wall (docs/adr/0007).
    ReadOnly,
    /// EXPLAIN without ANALYZE, for a row estimate.
    Explain,
    /// The constant invalid statement sent in place of a refused one (RULES.md 11).
    Refused,
    /// The empty statement sent in place of a request to Sluice itself.
    Empty,
    /// Rolls back an open transaction when a session ends.
    Rollback,
    /// Asks whether the target is alive.
    Probe,
    /// Makes the role of one session.
    CreateRole,
    /// Looks for roles of sessions that are over, and drops them with what becomes of what they own.
    DropRole,
    /// Looks for ways past Sluice (`sluice target doctor`).
    Doctor,
    /// Asks a host what a path is.
    Resolve,
    /// Looks at names, types and a sample of values, for what they may be classified as (`sluice target scan`).
    Scan,
}

impl OwnStatement {
    /// The name in the journal.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Catalog => "catalog",
            Self::CatalogVersion => "catalog-version",
            Self::SessionState => "session-state",
            Self::SessionObjects => "session-objects",
            Self::ReadOnly => "read-only",
            Self::Explain => "explain",
            Self::Refused => "refused",
            Self::Empty => "empty",
            Self::Rollback => "rollback",
            Self::Probe => "probe",
            Self::CreateRole => "create-role",
            Self::DropRole => "drop-role",
            Self::Doctor => "doctor",
            Self::Resolve => "resolve",
            Self::Scan => "scan",
        }
    }
}

impl Permit {
    /// For a request that was allowed. Called by `decide` and by nothing else.
    pub(crate) const fn for_request(request: RequestId, level: Level) -> Self {
        Self { request, kind: PermitKind::Request, level }
    }

    /// For a text that may be prepared. Called by `prepare` and by nothing else.
    pub(crate) const fn for_preparation(request: RequestId) -> Self {
        Self { request, kind: PermitKind::Preparation, level: Level::Process }
    }

    /// Permits a message that carries no content, on behalf of `request` (number 0 for the session itself).
    pub const fn protocol(act: ProtocolAct, request: RequestId) -> Self {
        Self { request, kind: PermitKind::Protocol(act), level: Level::Process }
    }

    /// Permits one of Sluice's own statements, on behalf of `request` (number 0 for the session itself).
    pub const fn own(statement: OwnStatement, request: RequestId) -> Self {
        Self { request, kind: PermitKind::Own(statement), level: Level::Process }
    }

    /// Permits what follows this request and is part of it; `None` unless this permit is for a request. What follows a
    /// preparation is preparation too.
    #[must_use]
    pub const fn continuation(&self) -> Option<Self> {
        match self.kind {
            PermitKind::Request | PermitKind::Continuation => {
                Some(Self { request: self.request, kind: PermitKind::Continuation, level: self.level })
            }
            PermitKind::Preparation => Some(Self::for_preparation(self.request)),
            PermitKind::Protocol(_) | PermitKind::Own(_) => None,
        }
    }

    /// The request that it is for.
    pub const fn request(&self) -> RequestId {
        self.request
    }

    /// What it allows to be sent.
    pub const fn kind(&self) -> PermitKind {
        self.kind
    }

    /// How safely the decision has to be recorded before it is sent.
    pub const fn level(&self) -> Level {
        self.level
    }
}
