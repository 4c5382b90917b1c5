//! E-mail: one for each approval, and one in its thread when it is answered or has ended.
//!
//! A link opens the request; there is nothing in a mail that answers it.

use std::sync::Arc;
use std::time::Duration;

use gateway::node::Node;
use lettre::message::header::{Header, HeaderName, HeaderValue};
use lettre::message::{Mailbox, MultiPart};
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Certificate, CertificateStore, Tls, TlsParameters};
use lettre::{AsyncSmtpTransport, AsyncTransport, Message, Tokio1Executor};
use store::config::{EmailConfig, EmailTls};

use super::failure::Failure;
use super::words::Notice;
use crate::shown::plain;

/// How long the whole exchange may take.
const DEADLINE: Duration = Duration::from_secs(30);

/// Mail to people.
#[derive(Clone)]
pub(super) struct Email {
    pub(super) node: Arc<Node>,
    /// The channel's name: it is part of what names a mail.
    pub(super) name: Arc<str>,
    pub(super) config: EmailConfig,
}

/// Says to other machines that no person wrote it, so that none answers (RFC 3834, section 5).
#[derive(Clone)]
struct AutoSubmitted;

impl Header for AutoSubmitted {
    fn name() -> HeaderName {
        HeaderName::new_from_ascii_str("Auto-Submitted")
    }

    fn parse(_: &str) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        Ok(Self)
    }

    fn display(&self) -> HeaderValue {
        HeaderValue::new(Self::name(), "auto-generated".into())
    }
}

impl Email {
    /// Tells of an approval. The mail is named by it, so that one that is sent twice is one.
    pub(super) async fn post(&self, notice: &Notice) -> Result<String, Failure> {
        let id = self.id(&notice.id().to_string());
        self.send(&notice.title(), &notice.sheet(), notice.link.as_deref(), Some(&id), None).await?;
        Ok(id)
    }

    /// Tells what became of it, in the same thread.
    pub(super) async fn follow(&self, first: &str, notice: &Notice) -> Result<(), Failure> {
        let status = serde_json::to_value(notice.approval.status).ok();
        let word = status.as_ref().and_then(|status| status.as_str()).unwrap_or("changed");
        let id = self.id(&format!("{}.{word}", notice.id()));
        self.send(&notice.title(), &notice.sheet(), notice.link.as_deref(), Some(&id), Some(first)).await
    }

    /// Tells what is about no single approval.
    pub(super) async fn say(&self, title: &str, text: &str, link: Option<&str>) -> Result<(), Failure> {
        self.send(title, text, link, None, None).await
    }

    fn id(&self, what: &str) -> String {
        let domain = self.config.from.rsplit_once('@').map_or("localhost", |(_, domain)| domain);
        format!("<{what}.{}@{domain}>", self.name)
    }

    async fn send(
        &self,
        title: &str,
        text: &str,
        link: Option<&str>,
        id: Option<&str>,
        first: Option<&str>,
    ) -> Result<(), Failure> {
        let mut message = Message::builder().from(mailbox(&self.config.from)?).subject(format!("[sluice] {title}"));
        for to in &self.config.to {
            message = message.to(mailbox(to)?);
        }
        message = message.header(AutoSubmitted).message_id(id.map(str::to_owned));
        if let Some(first) = first {
            message = message.in_reply_to(first.to_owned()).references(first.to_owned());
        }
        let bodies = MultiPart::alternative_plain_html(plainly(text, link), html(title, text, link));
        let message = message.multipart(bodies).map_err(|_| Failure::Said("that the mail cannot be made".into()))?;
        let transport = self.transport().await?;
        match tokio::time::timeout(DEADLINE, transport.send(message)).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(said(&error)),
            Err(_) => Err(Failure::Sent(gateway::sinks::Failure::Deadline)),
        }
    }

    /// A connection of its own for each mail: they are few.
    async fn transport(&self) -> Result<AsyncSmtpTransport<Tokio1Executor>, Failure> {
        let config = &self.config;
        let mut transport = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(config.host.to_string())
            .port(config.port)
            .timeout(Some(DEADLINE));
        transport = match config.tls {
            EmailTls::StartTls => transport.tls(Tls::Required(self.verified().await?)),
            EmailTls::Implicit => transport.tls(Tls::Wrapper(self.verified().await?)),
            EmailTls::Off => transport.tls(Tls::None),
        };
        if let Some((login, password)) = &config.login {
            let password = super::secret(&self.node, password).await?;
            let credentials =
                Credentials::new(login.clone(), password.expose().trim_end_matches(['\r', '\n']).to_owned());
            transport = transport.credentials(credentials);
        }
        Ok(transport.build())
    }

    /// How the server is verified: chain and name, always.
    async fn verified(&self) -> Result<TlsParameters, Failure> {
        let (host, ca_file) = (self.config.host.to_string(), self.config.ca_file.clone());
        super::blocking(move || {
            let mut parameters = TlsParameters::builder(host);
            if let Some(file) = ca_file {
                let unreadable = |reason: String| Failure::Secret(format!("{}: {reason}", file.display()));
                let pem = std::fs::read(&file).map_err(|error| unreadable(error.to_string()))?;
                parameters = parameters.certificate_store(CertificateStore::None);
                parameters = match Certificate::from_pem(&pem) {
                    Ok(certificate) => parameters.add_root_certificate(certificate),
                    Err(error) => return Err(unreadable(error.to_string())),
                };
            }
            parameters.build_rustls().map_err(|error| said(&error))
        })
        .await
    }
}

fn mailbox(text: &str) -> Result<Mailbox, Failure> {
    text.parse().map_err(|_| Failure::Secret(format!("{text} is not an address")))
}

/// Why a mail was not taken. What a server says beside its code is not repeated: it may say what it was told.
fn said(error: &lettre::transport::smtp::Error) -> Failure {
    match error.status() {
        Some(code) => Failure::Said(format!("{code}")),
        None if error.is_timeout() => Failure::Sent(gateway::sinks::Failure::Deadline),
        None => Failure::Sent(gateway::sinks::Failure::Exchange(plain(&error.to_string()))),
    }
}

fn plainly(text: &str, link: Option<&str>) -> String {
    match link {
        Some(link) => format!("{text}\nTo see all of it and answer, open:\n{link}\n"),
        None => text.to_owned(),
    }
}

/// The same, where a link can be pressed. It has nothing in it that a reader would fetch.
fn html(title: &str, text: &str, link: Option<&str>) -> String {
    let link = link.map(escaped);
    let link = link
        .map(|link| format!("<p><a href=\"{link}\">See all of it and answer</a><br>{link}</p>"))
        .unwrap_or_default();
    let (title, text) = (escaped(title), escaped(text));
    format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>{title}</title></head>\
         <body><h1 style=\"font-size:1.1em\">{title}</h1><pre style=\"white-space:pre-wrap\">{text}</pre>{link}</body></html>\n"
    )
}

fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            other => out.push(other),
        }
    }
    out
}
