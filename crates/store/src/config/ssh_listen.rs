//! `[listen.ssh]`: the listener for SSH clients, which is there only where it is configured.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use super::Section;
use super::sluice::seconds;

/// The listener for SSH clients.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SshListen {
    /// Where to listen; port 0 means any free port.
    pub address: SocketAddr,
    /// The private key by which clients know Sluice; `None` means one that Sluice makes in its data directory.
    pub host_key: Option<PathBuf>,
    /// A certificate of that key, for clients that trust an authority of hosts.
    pub host_certificate: Option<PathBuf>,
    /// How long a session lives that began with a key of `ssh_keys.toml`, which does not end by itself.
    pub max_session: Duration,
}

/// A working day.
const MAX_SESSION: Duration = Duration::from_secs(12 * 3600);

pub(super) fn ssh(section: Section<'_, '_>) -> Option<SshListen> {
    let expected = "an IP address and a port, such as \"127.0.0.1:2222\" or \"[::]:22\"";
    let address = section.parsed("address", expected, |text| text.parse().ok());
    let host_key = section.path("host_key");
    let host_certificate = section.path("host_certificate");
    let max_session = section.duration("max_session", seconds(60, 7 * 86_400)).unwrap_or(MAX_SESSION);
    let is_present = section.is_present();
    if is_present && host_certificate.is_some() && host_key.is_none() {
        section.required::<()>("host_key", None, "write the path of the private key that the certificate is of");
    }
    let address =
        if is_present { section.required("address", address, "write address = \"127.0.0.1:2222\"") } else { None };
    section.finish();
    Some(SshListen { address: address?, host_key, host_certificate, max_session })
}
