//! A door: a loopback port or a Unix socket that leads to one target.

mod entry;

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use model::secret::Secret;
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::House;

/// How long sessions may go on after the end was asked for.
const DRAIN: Duration = Duration::from_secs(5);

/// How long to pause when the system gives no more descriptors.
const NO_DESCRIPTORS: Duration = Duration::from_millis(50);

/// Where a door is.
pub enum Place {
    /// At this loopback address. Whoever is on this machine can knock, so that a password is asked for, unless the user
    /// has said that there is nobody else.
    Tcp {
        /// Port 0 is any free port.
        address: SocketAddr,
        /// What programs have to give as password.
        password: Option<Secret<String>>,
    },
    /// In this directory, as `.s.PGSQL.PORT`, which is where libpq looks for it. Only this user can open it.
    Socket {
        /// The directory; it is made, for this user alone, if it is not there.
        directory: PathBuf,
        /// The number in the name.
        port: u16,
    },
}

/// Why there is no door.
#[derive(Debug, thiserror::Error)]
pub enum DoorError {
    /// It would be open to other machines.
    #[error("{0} is not a loopback address: what is said there is not encrypted")]
    NotLoopback(SocketAddr),
    /// Somebody else listens there.
    #[error("{0} is in use")]
    InUse(PathBuf),
    /// The system does not let it.
    #[error("{place}: {error}")]
    Io {
        /// Where.
        place: String,
        /// Why.
        error: io::Error,
    },
}

enum Listener {
    Tcp(TcpListener, SocketAddr, Option<Secret<String>>),
    Socket(UnixListener, PathBuf),
}

/// A door that is open.
pub struct Door {
    target: String,
    database: String,
    listener: Listener,
}

impl Door {
    /// Opens a door to a target; `database` is for programs that name none.
    ///
    /// # Errors
    /// If it cannot be there.
    pub async fn open(target: &str, database: &str, place: Place) -> Result<Self, DoorError> {
        let listener = match place {
            Place::Tcp { address, password } => {
                if !address.ip().is_loopback() {
                    return Err(DoorError::NotLoopback(address));
                }
                let failed = |error| DoorError::Io { place: address.to_string(), error };
                let tcp = TcpListener::bind(address).await.map_err(failed)?;
                let address = tcp.local_addr().map_err(failed)?;
                Listener::Tcp(tcp, address, password)
            }
            Place::Socket { directory, port } => {
                let path = directory.join(format!(".s.PGSQL.{port}"));
                Listener::Socket(bind_socket(&directory, &path)?, path)
            }
        };
        Ok(Self { target: target.to_owned(), database: database.to_owned(), listener })
    }

    /// The target.
    pub fn target(&self) -> &str {
        &self.target
    }

    /// The database for programs that name none.
    pub fn database(&self) -> &str {
        &self.database
    }

    /// The address, if it has one.
    pub const fn address(&self) -> Option<SocketAddr> {
        match &self.listener {
            Listener::Tcp(_, address, _) => Some(*address),
            Listener::Socket(..) => None,
        }
    }

    /// Where it is: `ADDRESS:PORT` or a path.
    pub fn place(&self) -> String {
        match &self.listener {
            Listener::Tcp(_, address, _) => address.to_string(),
            Listener::Socket(_, path) => path.display().to_string(),
        }
    }

    /// Serves until `stop`, and what runs then for a few seconds more.
    pub async fn serve(self, house: Arc<House>, stop: CancellationToken) {
        let mut sessions = JoinSet::new();
        let door = Arc::new(self);
        loop {
            tokio::select! {
                accepted = door.accept() => match accepted {
                    Ok(stream) => {
                        sessions.spawn(entry::serve(Arc::clone(&door), Arc::clone(&house), stream));
                    }
                    Err(error) => {
                        tracing::warn!(%error, "a connection cannot be accepted");
                        tokio::time::sleep(NO_DESCRIPTORS).await;
                    }
                },
                Some(_) = sessions.join_next() => {}
                () = stop.cancelled() => break,
            }
        }
        if let Listener::Socket(_, path) = &door.listener {
            let _ = fs::remove_file(path);
        }
        let _ = tokio::time::timeout(DRAIN, async { while sessions.join_next().await.is_some() {} }).await;
    }

    async fn accept(&self) -> io::Result<Knocking> {
        match &self.listener {
            Listener::Tcp(tcp, ..) => {
                let (stream, _) = tcp.accept().await?;
                stream.set_nodelay(true)?;
                Ok(Knocking::Tcp(stream))
            }
            Listener::Socket(socket, _) => Ok(Knocking::Socket(socket.accept().await?.0)),
        }
    }

    const fn password(&self) -> Option<&Secret<String>> {
        match &self.listener {
            Listener::Tcp(_, _, password) => password.as_ref(),
            Listener::Socket(..) => None,
        }
    }
}

enum Knocking {
    Tcp(TcpStream),
    Socket(UnixStream),
}

/// Binds a socket that only this user can open at any moment: it gets its permissions before it gets its name.
fn bind_socket(directory: &Path, path: &Path) -> Result<UnixListener, DoorError> {
    let failed = |error| DoorError::Io { place: path.display().to_string(), error };
    crate::private::directory(directory).map_err(failed)?;
    if std::os::unix::net::UnixStream::connect(path).is_ok() {
        return Err(DoorError::InUse(path.to_owned()));
    }
    let hidden = directory.join(format!(".sluice-{}", std::process::id()));
    fs::DirBuilder::new().mode(0o700).create(&hidden).map_err(failed)?;
    let inside = hidden.join("s");
    let bound = UnixListener::bind(&inside).and_then(|socket| {
        fs::set_permissions(&inside, fs::Permissions::from_mode(0o600))?;
        fs::rename(&inside, path)?;
        Ok(socket)
    });
    let _ = fs::remove_file(&inside);
    let _ = fs::remove_dir(&hidden);
    bound.map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn socket(directory: &Path) -> Place {
        Place::Socket { directory: directory.to_owned(), port: 5432 }
    }

    #[tokio::test]
    async fn a_socket_is_its_users_alone_and_takes_no_place_from_another() {
        let dir = tempfile::tempdir().unwrap();
        let inside = dir.path().join("sockets");
        let door = Door::open("payments", "payments", socket(&inside)).await.unwrap();
        let path = inside.join(".s.PGSQL.5432");
        assert_eq!(door.place(), path.display().to_string());
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&inside), mode(&path)), (0o700, 0o600));
        assert!(matches!(Door::open("other", "other", socket(&inside)).await, Err(DoorError::InUse(_))));
        // One that was left behind is taken over.
        drop(door);
        assert!(path.exists());
        Door::open("payments", "payments", socket(&inside)).await.unwrap();
        assert_eq!(fs::read_dir(&inside).unwrap().count(), 1);
    }

    #[tokio::test]
    async fn a_port_is_on_this_machine_alone() {
        for address in ["0.0.0.0:0", "[::]:0", "192.0.2.1:0"] {
            let place = Place::Tcp { address: address.parse().unwrap(), password: None };
            assert!(matches!(Door::open("t", "d", place).await, Err(DoorError::NotLoopback(_))), "{address}");
        }
        let place = Place::Tcp { address: "127.0.0.1:0".parse().unwrap(), password: None };
        assert_ne!(Door::open("t", "d", place).await.unwrap().address().unwrap().port(), 0);
    }
}
