//! A server, a key that it lets in, and a client that has it.

use anyhow::Result;
use tempfile::TempDir;
use testkit::ssh::keys::Key;
use testkit::ssh::{Client, Credential, Endpoint};
use testkit::sshd::{Options, Request, Sshd};

/// What a test stands on.
pub(crate) struct Ground {
    /// The server.
    pub(crate) sshd: Sshd,
    /// Where it is, for `root` with the key.
    pub(crate) endpoint: Endpoint,
    /// OpenSSH's clients of it.
    pub(crate) client: Client,
    /// A folder of the test's own.
    pub(crate) folder: TempDir,
}

/// A server with these options that lets a new key in.
pub(crate) fn ground_with(mut options: Options) -> Result<Ground> {
    let folder = tempfile::tempdir()?;
    let key = Key::generate(folder.path(), "user")?;
    options.authorized_keys.push(key.public_line()?);
    let sshd = Sshd::start(&options)?;
    let endpoint = sshd.endpoint("root", Credential::Key(key.private()))?;
    let client = Client::new(&endpoint)?;
    Ok(Ground { sshd, endpoint, client, folder })
}

/// A usual one.
pub(crate) fn ground() -> Result<Ground> {
    ground_with(Options::default())
}

impl Ground {
    /// What the server was asked to run, in order.
    pub(crate) fn requests(&self) -> Result<Vec<Request>> {
        Ok(self.sshd.executed()?.into_iter().map(|executed| executed.request).collect())
    }

    /// The lines that were run, in order.
    pub(crate) fn lines(&self) -> Result<Vec<String>> {
        let lines = self.requests()?.into_iter().filter_map(|request| match request {
            Request::Exec(line) => Some(String::from_utf8_lossy(&line).into_owned()),
            Request::Shell | Request::Subsystem(_) => None,
        });
        Ok(lines.collect())
    }
}

/// A mebibyte in which a loss or an exchange shows.
pub(crate) fn mebibyte() -> Vec<u8> {
    (0..1_u32 << 20).map(|index| u8::try_from(index * 7 % 251).expect("it is below 251")).collect()
}
