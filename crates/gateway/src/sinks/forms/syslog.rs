//! Syslog messages (RFC 5424), framed by octet counting (RFC 6587, section 3.4.1; RFC 5425, section 4.3).

use std::sync::OnceLock;

use model::event::Event;

use super::super::telling::{Severity, Telling};

/// The structured data's id. 32473 is the enterprise number for examples (RFC 5612); the project has none of its own.
const DATA_ID: &str = "sluice@32473";

/// RFC 5424, section 6.2.1: security/authorization messages, and log audit.
const AUTHPRIV: u8 = 10;
const AUDIT: u8 = 13;

/// The longest HOSTNAME (RFC 5424, section 6).
const MOST_HOST: usize = 255;

/// The message with its length in front of it.
pub(super) fn frame(telling: &Telling<'_>, body: &str) -> String {
    let message = message(telling, body, host(), std::process::id());
    format!("{} {message}", message.len())
}

/// A message of the process `pid` on the machine `host`.
pub(super) fn message(telling: &Telling<'_>, body: &str, host: &str, pid: u32) -> String {
    let (priority, kind, data) = (priority(telling), telling.event.kind(), data(telling));
    format!("<{priority}>1 {} {host} sluice {pid} {kind} {data} {body}", telling.at)
}

fn priority(telling: &Telling<'_>) -> u8 {
    let facility = match telling.event {
        Event::SessionOpened { .. }
        | Event::SessionRefused { .. }
        | Event::SessionRenewed { .. }
        | Event::SessionClosed { .. }
        | Event::TokenIssued { .. }
        | Event::TokenRefused { .. } => AUTHPRIV,
        _ => AUDIT,
    };
    let severity = match telling.severity() {
        Severity::Error => 3,
        Severity::Warning => 4,
        Severity::Notice => 5,
        Severity::Info => 6,
    };
    facility * 8 + severity
}

/// Ids and numbers alone, of which no character needs an escape (RFC 5424, section 6.3.3).
fn data(telling: &Telling<'_>) -> String {
    let session = telling.event.session().map(|session| format!(" session=\"{session}\""));
    let request = ledger::request_of(telling.event).filter(|request| request.number != 0);
    let request = request.map(|request| format!(" request=\"{request}\""));
    let (index, session, request) = (telling.position, session.unwrap_or_default(), request.unwrap_or_default());
    format!("[{DATA_ID} index=\"{index}\"{session}{request}]")
}

/// The machine's name, or the value for none.
fn host() -> &'static str {
    static HOST: OnceLock<String> = OnceLock::new();
    HOST.get_or_init(|| {
        let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        let name: String = name.chars().filter(char::is_ascii_graphic).take(MOST_HOST).collect();
        if name.is_empty() { "-".to_owned() } else { name }
    })
}
