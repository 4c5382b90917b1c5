//! `[listen.http]`: the listener for HTTP clients, which is there only where it is configured.

use std::net::SocketAddr;
use std::time::Duration;

use super::sluice::{KIB, certificate, seconds};
use super::{CertificateFiles, Section};

/// The listener for HTTP clients.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct HttpListen {
    /// Where to listen; port 0 means any free port.
    pub address: SocketAddr,
    /// Its certificate; `None` means one of the development CA that Sluice makes in its data directory.
    pub tls: Option<CertificateFiles>,
    /// How long a body may go without a byte, in either direction.
    pub body_timeout: Duration,
    /// How long a connection is kept on which no request runs, one included whose head has only begun to come.
    pub idle_timeout: Duration,
    /// The longest head of a request, in bytes.
    pub max_header: usize,
    /// Requests of one connection that may run at a time.
    pub max_streams: usize,
    /// How it is a proxy for what callers ask to be connected to (`[listen.http.forward]`); `None` means that it is none.
    pub forward: Option<ForwardProxy>,
}

/// A proxy for what callers ask to be connected to by `CONNECT`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ForwardProxy {
    /// The CA that Sluice signs certificates of targets' names with, so that it can see what is asked in a connection; `None`
    /// means that no connection is seen into, and that only those are carried that nobody has to look into.
    pub ca: Option<CertificateFiles>,
}

const BODY_TIMEOUT: Duration = Duration::from_secs(60);
const IDLE_TIMEOUT: Duration = Duration::from_secs(60);
/// What nginx takes with its defaults: four buffers of 8 KiB.
const MAX_HEADER: u64 = 32 * KIB;
/// What most servers of HTTP/2 take (RFC 9113, section 6.5.2 recommends no less).
const MAX_STREAMS: usize = 100;

/// Every setting is read before any is missed, so that all mistakes are found.
pub(super) fn http(section: Section<'_, '_>) -> Option<HttpListen> {
    let expected = "an IP address and a port, such as \"127.0.0.1:8443\" or \"[::]:443\"";
    let address = section.parsed("address", expected, |text| text.parse().ok());
    let tls = certificate(&section, "tls_cert", "tls_key");
    let body_timeout = section.duration("body_timeout", seconds(1, 3600)).unwrap_or(BODY_TIMEOUT);
    let idle_timeout = section.duration("idle_timeout", seconds(1, 86_400)).unwrap_or(IDLE_TIMEOUT);
    let max_header = section.size("max_header", 8 * KIB..=1024 * KIB).unwrap_or(MAX_HEADER);
    let max_streams = section.number("max_streams", 1..=10_000).unwrap_or(MAX_STREAMS);
    let forward = forward(section.table("forward"));
    let is_present = section.is_present();
    let address =
        if is_present { section.required("address", address, "write address = \"127.0.0.1:8443\"") } else { None };
    section.finish();
    Some(HttpListen {
        address: address?,
        tls,
        body_timeout,
        idle_timeout,
        max_header: usize::try_from(max_header).unwrap_or(usize::MAX),
        max_streams,
        forward,
    })
}

fn forward(section: Section<'_, '_>) -> Option<ForwardProxy> {
    let ca = certificate(&section, "ca_cert", "ca_key");
    let is_present = section.is_present();
    section.finish();
    is_present.then_some(ForwardProxy { ca })
}
