//! A mail server that takes mail inside TLS alone, from whoever knows the password, and keeps it.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use anyhow::{Context, Result, bail, ensure};
use base64::prelude::{BASE64_STANDARD, Engine};
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

use super::locked;
use crate::tls::CertificateFiles;

/// A mail that was taken.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Mail {
    /// `MAIL FROM`.
    pub from: String,
    /// Each `RCPT TO`.
    pub to: Vec<String>,
    /// Its content.
    pub content: String,
}

/// How the connection is encrypted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum MailTls {
    /// After `STARTTLS`.
    Start,
    /// From the first byte.
    Implicit,
    /// It says that it cannot.
    Refused,
}

#[derive(Default)]
struct Seen {
    mails: Vec<Mail>,
    refused: Vec<String>,
    planned: VecDeque<&'static str>,
    connections: usize,
}

#[derive(Clone)]
struct Serves {
    seen: Arc<Mutex<Seen>>,
    acceptor: TlsAcceptor,
    tls: MailTls,
    /// The base64 of `\0name\0password` (RFC 4616).
    login: String,
}

/// The server. It ends when it is dropped.
pub struct MailServer {
    address: SocketAddr,
    seen: Arc<Mutex<Seen>>,
    serving: JoinHandle<()>,
}

impl MailServer {
    /// Starts it on a free port, for one who logs in with this name and password.
    pub async fn start(files: &CertificateFiles, tls: MailTls, login: (&str, &str)) -> Result<Self> {
        let chain = CertificateDer::pem_file_iter(&files.certificate)?.collect::<Result<Vec<_>, _>>()?;
        let key = PrivateKeyDer::from_pem_file(&files.key)?;
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
        let config = config.with_no_client_auth().with_single_cert(chain, key)?;
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let (address, seen) = (listener.local_addr()?, Arc::<Mutex<Seen>>::default());
        let login = BASE64_STANDARD.encode(format!("\0{}\0{}", login.0, login.1));
        let serves = Serves { seen: Arc::clone(&seen), acceptor: TlsAcceptor::from(Arc::new(config)), tls, login };
        let serving = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let serves = serves.clone();
                tokio::spawn(async move {
                    let refused = Arc::clone(&serves.seen);
                    if let Err(error) = serves.serve(stream).await {
                        locked(&refused).refused.push(error.to_string());
                    }
                });
            }
        });
        Ok(Self { address, seen, serving })
    }

    /// Where it listens.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// What the next mails are answered with in place of being taken, such as `451 later`.
    pub fn plan(&self, answers: impl IntoIterator<Item = &'static str>) {
        locked(&self.seen).planned.extend(answers);
    }

    /// The mails that were taken, in order.
    pub fn mails(&self) -> Vec<Mail> {
        locked(&self.seen).mails.clone()
    }

    /// What clients did that no client should.
    pub fn refused(&self) -> Vec<String> {
        locked(&self.seen).refused.clone()
    }

    /// How many connections there were.
    pub fn connections(&self) -> usize {
        locked(&self.seen).connections
    }
}

impl Drop for MailServer {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Serves {
    async fn serve(self, stream: tokio::net::TcpStream) -> Result<()> {
        {
            let mut seen = locked(&self.seen);
            seen.connections = seen.connections.saturating_add(1);
        }
        if self.tls == MailTls::Implicit {
            return self.mail(BufReader::new(self.acceptor.accept(stream).await?), true).await;
        }
        let mut stream = BufReader::new(stream);
        say(&mut stream, "220 mail.test ESMTP").await?;
        loop {
            let line = line(&mut stream).await?;
            match line.to_ascii_uppercase().split(' ').next().unwrap_or_default() {
                "EHLO" if self.tls == MailTls::Start => say(&mut stream, "250-mail.test\r\n250 STARTTLS").await?,
                "EHLO" => say(&mut stream, "250 mail.test").await?,
                "QUIT" => return say(&mut stream, "221 bye").await,
                "STARTTLS" if self.tls == MailTls::Start => {
                    say(&mut stream, "220 go on").await?;
                    ensure!(stream.buffer().is_empty(), "something came before TLS began");
                    let stream = self.acceptor.accept(stream.into_inner()).await?;
                    return self.mail(BufReader::new(stream), false).await;
                }
                _ => bail!("in clear: {line}"),
            }
        }
    }

    /// The conversation inside TLS.
    async fn mail(&self, mut stream: BufReader<impl AsyncRead + AsyncWrite + Unpin>, greets: bool) -> Result<()> {
        if greets {
            say(&mut stream, "220 mail.test ESMTP").await?;
        }
        let (mut is_known, mut mail) = (false, Mail { from: String::new(), to: Vec::new(), content: String::new() });
        loop {
            let line = line(&mut stream).await?;
            let upper = line.to_ascii_uppercase();
            let path =
                || line.split_once('<').and_then(|(_, rest)| rest.split_once('>')).map(|(path, _)| path.to_owned());
            if upper.starts_with("EHLO") {
                say(&mut stream, "250-mail.test\r\n250-8BITMIME\r\n250 AUTH PLAIN").await?;
            } else if let Some(shown) = line.strip_prefix("AUTH PLAIN ") {
                is_known = shown == self.login;
                say(&mut stream, if is_known { "235 welcome" } else { "535 you said secret things" }).await?;
            } else if upper.starts_with("MAIL FROM:") {
                ensure!(is_known, "mail of somebody who did not log in");
                let planned = locked(&self.seen).planned.pop_front();
                mail.from = path().context("no path")?;
                say(&mut stream, planned.unwrap_or("250 ok")).await?;
            } else if upper.starts_with("RCPT TO:") {
                mail.to.push(path().context("no path")?);
                say(&mut stream, "250 ok").await?;
            } else if upper == "DATA" {
                say(&mut stream, "354 go on").await?;
                mail.content = content(&mut stream).await?;
                locked(&self.seen).mails.push(mail.clone());
                say(&mut stream, "250 taken").await?;
            } else if upper == "QUIT" || upper.is_empty() {
                return say(&mut stream, "221 bye").await;
            } else {
                say(&mut stream, "250 ok").await?;
            }
        }
    }
}

async fn say(stream: &mut BufReader<impl AsyncRead + AsyncWrite + Unpin>, text: &str) -> Result<()> {
    stream.get_mut().write_all(format!("{text}\r\n").as_bytes()).await?;
    Ok(stream.get_mut().flush().await?)
}

async fn line(stream: &mut BufReader<impl AsyncRead + AsyncWrite + Unpin>) -> Result<String> {
    let mut line = String::new();
    stream.read_line(&mut line).await?;
    Ok(line.trim_end().to_owned())
}

/// What is between `DATA` and the full stop, whose lines are as long as they may be (RFC 5321, sections 4.5.2 and 4.5.3).
async fn content(stream: &mut BufReader<impl AsyncRead + AsyncWrite + Unpin>) -> Result<String> {
    let mut content = String::new();
    loop {
        let mut line = String::new();
        ensure!(stream.read_line(&mut line).await? > 0, "the mail was cut off");
        ensure!(line.len() <= 1000 && line.ends_with("\r\n"), "a line of {} bytes", line.len());
        if line == ".\r\n" {
            return Ok(content);
        }
        content.push_str(line.strip_prefix('.').unwrap_or(&line));
    }
}
