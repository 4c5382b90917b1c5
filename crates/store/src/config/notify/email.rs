//! E-mail.

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;

use super::super::credential::secret;
use super::super::targets::address;
use super::super::{CredentialSource, Section};

/// Where mail is handed in, and to whom it goes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct EmailConfig {
    /// The server's host; an IPv6 address without brackets.
    pub host: Arc<str>,
    /// Its port.
    pub port: u16,
    /// How the connection is encrypted.
    pub tls: EmailTls,
    /// The CA of its certificate; `None` means the system's.
    pub ca_file: Option<PathBuf>,
    /// As whom Sluice logs in, and where the password is; `None` means that it does not.
    pub login: Option<(String, CredentialSource)>,
    /// Whom the mail is from.
    pub from: String,
    /// Whom it is to.
    pub to: Vec<String>,
}

/// How the connection to a mail server is encrypted.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum EmailTls {
    /// By `STARTTLS`, without which nothing is sent.
    #[default]
    StartTls,
    /// From the first byte.
    Implicit,
    /// It is not: only to this machine.
    Off,
}

/// The settings of this kind.
pub(super) const SETTINGS: [&str; 7] = ["server", "tls", "ca_file", "login", "password", "from", "to"];

pub(super) fn email(section: &Section<'_, '_>) -> Option<EmailConfig> {
    let server = section.parsed("server", "a host and a port, such as \"smtp.example.com:587\"", address);
    let words = [("starttls", EmailTls::StartTls), ("implicit", EmailTls::Implicit), ("off", EmailTls::Off)];
    let tls = section.word("tls", &words).unwrap_or_default();
    let ca_file = section.path("ca_file");
    let login = section.parsed("login", "the name to log in by", |text| (!text.is_empty()).then(|| text.to_owned()));
    let password = secret(section, "password");
    let expected = "an address, such as \"sluice@example.com\"";
    let from = section.parsed("from", expected, |text| is_mailbox(text).then(|| text.to_owned()));
    let to = section.texts("to");
    if to.as_ref().is_some_and(|to| to.is_empty() || to.len() > 50 || !to.iter().all(|one| is_mailbox(one))) {
        section.report("to", "they are not 1 to 50 addresses", "write [\"dba@example.com\"]");
    }
    let server = section.required("server", server, "write server = \"smtp.example.com:587\"");
    let from = section.required("from", from, "write whom the mail is from, such as \"sluice@example.com\"");
    let to = section.required("to", to, "write whom it is to: [\"dba@example.com\"]");
    let login = match (login, password?) {
        (Some(login), Some(password)) => Some((login, password)),
        (None, None) => None,
        (Some(_), None) => section.required("password", None, "write password = { env = \"SLUICE_SMTP_PASSWORD\" }"),
        (None, Some(_)) => section.required("login", None, "write the name that the password is of"),
    };
    let (host, port) = server?;
    let is_here = &*host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
    if tls == EmailTls::Off && !is_here {
        section.report("tls", "mail would go in clear to another machine", "write \"starttls\" or \"implicit\"");
    }
    if tls == EmailTls::Off && ca_file.is_some() {
        section.report("ca_file", "nothing is verified with it", "remove it, or tls = \"off\"");
    }
    Some(EmailConfig { host, port, tls, ca_file, login, from: from?, to: to? })
}

/// An address alone, without a name before it.
fn is_mailbox(text: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_graphic() && !b"<>()[]\\,;:\"".contains(&byte);
    let is_split = text.split_once('@').is_some_and(|(user, host)| {
        !user.is_empty() && !host.is_empty() && !host.contains('@') && !host.starts_with('.') && !host.ends_with('.')
    });
    text.len() <= 254 && text.bytes().all(is_plain) && is_split
}
