//! The messages that Sluice itself says, to either side.

use bytes::Bytes;
use wire::postgres::backend::{Backend, TransactionStatus};
use wire::postgres::encode::{self, BindParts, Report, Severity};
use wire::postgres::frontend::{Execute, Frontend, Object, ObjectKind};
use wire::postgres::part::Text;
use wire::postgres::pipeline::Sent;

use super::refusal::Told;
use super::staging::Substitute;

/// The name of the prepared statement and portal that Sluice's own reads use. Callers cannot use names like it.
pub(super) const OWN: &str = "sluice$own";

/// What every reserved name begins with.
pub(super) const RESERVED: &str = "sluice$";

/// A text that is a syntax error in every version of PostgreSQL, so that it fails before anything is looked at.
const FAILING: &str = "refused by sluice";

/// Appends a message. An error leaves the buffer as it was; what Sluice says is short and has no NUL, so there is none.
fn put(out: &mut Vec<u8>, message: &Frontend<'_>) {
    let _ = message.encode(out);
}

fn whole<T>(write: impl FnOnce(&mut Vec<u8>) -> T) -> Bytes {
    let mut out = Vec::new();
    write(&mut out);
    out.into()
}

/// What stands in for a refused message.
pub(super) fn failing(substitute: Substitute) -> (Sent, Bytes) {
    match substitute {
        Substitute::Query | Substitute::Itself | Substitute::Waiting => (Sent::Query, query(FAILING)),
        Substitute::Parse => (Sent::Parse, parse("", FAILING, &[])),
    }
}

/// Query.
pub(super) fn query(text: &str) -> Bytes {
    whole(|out| encode::query(out, text))
}

/// Parse.
pub(super) fn parse(name: &str, text: &str, types: &[u32]) -> Bytes {
    whole(|out| encode::parse(out, name.as_bytes(), text.as_bytes(), types))
}

/// Bind without parameters, for answers in text.
pub(super) fn bind(portal: &str, statement: &str) -> Bytes {
    let parts = BindParts { portal: portal.as_bytes(), statement: statement.as_bytes(), ..BindParts::default() };
    whole(|out| encode::bind(out, &parts))
}

/// Execute to the end.
pub(super) fn execute(portal: &str) -> Bytes {
    with_text(portal, |portal, out| put(out, &Frontend::Execute(Execute { portal, max_rows: 0 })))
}

/// Describe of a portal.
pub(super) fn describe_portal(portal: &str) -> Bytes {
    with_text(portal, |name, out| put(out, &Frontend::Describe(Object { kind: ObjectKind::Portal, name })))
}

/// Close of a statement or portal.
pub(super) fn close(kind: ObjectKind, name: &str) -> Bytes {
    with_text(name, |name, out| put(out, &Frontend::Close(Object { kind, name })))
}

fn with_text(text: &str, write: impl FnOnce(Text<'_>, &mut Vec<u8>)) -> Bytes {
    whole(|out| write(Text::from(text), out))
}

/// CopyFail.
pub(super) fn copy_fail(why: &str) -> Bytes {
    with_text(why, |why, out| put(out, &Frontend::CopyFail(why)))
}

/// Sync.
pub(super) fn sync() -> Bytes {
    whole(|out| put(out, &Frontend::Sync))
}

/// Flush.
pub(super) fn flush() -> Bytes {
    whole(|out| put(out, &Frontend::Flush))
}

/// Terminate.
pub(super) fn terminate() -> Bytes {
    whole(|out| put(out, &Frontend::Terminate))
}

/// Appends an ErrorResponse or NoticeResponse of Sluice's own.
pub(super) fn report(out: &mut Vec<u8>, severity: Severity, told: &Told) {
    let report = Report {
        severity,
        sqlstate: told.sqlstate,
        message: &told.message,
        detail: told.detail.as_deref(),
        hint: told.hint.as_deref(),
    };
    let _ = report.encode(out);
}

/// Appends a CommandComplete.
pub(super) fn command_complete(out: &mut Vec<u8>, tag: &str) {
    let _ = Backend::CommandComplete(Text::from(tag)).encode(out);
}

/// Appends a ReadyForQuery.
pub(super) fn ready(out: &mut Vec<u8>, status: TransactionStatus) {
    let _ = Backend::ReadyForQuery(status).encode(out);
}
