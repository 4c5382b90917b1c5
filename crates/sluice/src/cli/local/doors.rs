//! Which targets, and where programs reach each.

use std::io::IsTerminal;
use std::net::SocketAddr;
use std::path::Path;

use connect::config::{Settings, TargetSettings};
use connect::postgres::{Door, DoorError, Place};
use connect::private;
use connect::source::file;
use model::secret::Secret;

use super::super::failure::Failure;
use super::super::{show, tell};
use super::Args;
use super::settings::over;

/// The targets that are meant, each with how programs reach it.
pub(super) fn targets(args: &Args, settings: &Settings) -> Result<Vec<(String, TargetSettings)>, Failure> {
    let named = args.targets.iter().map(|named| {
        let (name, database) = named.split_once('=').map_or((named.as_str(), None), |(name, of)| (name, Some(of)));
        let mut target = settings.targets.get(name).cloned().unwrap_or_default();
        over(&mut target.database, &database.map(str::to_owned));
        (name.to_owned(), target)
    });
    let of_file = settings.targets.iter().map(|(name, target)| (name.clone(), target.clone()));
    let mut targets: Vec<_> = if args.targets.is_empty() { of_file.collect() } else { named.collect() };
    let says_where = args.door.listen.is_some() || args.door.socket.is_some() || args.door.password_file.is_some();
    match (targets.as_slice(), args.command.is_empty()) {
        ([], _) => return Err(Failure::Usage(String::from("say which target"))),
        ([_], _) => {}
        (_, false) => return Err(Failure::Usage(String::from("a command is run with one target"))),
        (_, true) if says_where => {
            return Err(Failure::Usage(String::from("with several targets, say in the file where each is")));
        }
        (_, true) => {}
    }
    for (_, target) in &mut targets {
        if args.door.listen.is_some() || args.door.socket.is_some() {
            target.listen = args.door.listen;
            target.socket.clone_from(&args.door.socket);
        }
        over(&mut target.port, &args.door.port);
        over(&mut target.password_file, &args.door.password_file);
        target.no_password |= args.door.no_password;
    }
    Ok(targets)
}

/// Opens a door; for a command, always a port with a password of its own.
pub(super) async fn open(
    name: &str,
    target: &TargetSettings,
    is_command: bool,
) -> Result<(Door, Option<Secret<String>>), Failure> {
    let database = target.database.as_deref().unwrap_or(name);
    let place = match &target.socket {
        Some(directory) if !is_command => {
            Place::Socket { directory: directory.clone(), port: target.port.unwrap_or(5432) }
        }
        _ => {
            let address = target.listen.unwrap_or_else(|| SocketAddr::from(([127, 0, 0, 1], 0)));
            Place::Tcp { address, password: password(name, target, is_command)? }
        }
    };
    let told = match &place {
        Place::Tcp { password: Some(password), .. } if is_command => Some(Secret::new(password.expose().clone())),
        _ => None,
    };
    let door = Door::open(name, database, place).await.map_err(|error| match error {
        DoorError::NotLoopback(_) => Failure::Usage(error.to_string()),
        _ => Failure::failed(error),
    })?;
    Ok((door, told))
}

/// The password of a port: nobody's but the command's, the file's, or shown to whoever sits there.
fn password(name: &str, target: &TargetSettings, is_command: bool) -> Result<Option<Secret<String>>, Failure> {
    let random = || connect::random_word().map(Secret::new).map_err(Failure::failed);
    if is_command {
        return random().map(Some);
    }
    if let Some(path) = &target.password_file {
        return kept_password(path).map(Some);
    }
    if target.no_password {
        return Ok(None);
    }
    if !std::io::stderr().is_terminal() {
        return Err(Failure::Usage(format!(
            "say how programs prove themselves at the port of {name}: --password-file FILE, --socket DIR in place of a \
             port, or --no-password"
        )));
    }
    let password = random()?;
    tell(&format!(
        "the password for {} is {} (for this run; --password-file keeps one)",
        show::safe(name),
        password.expose()
    ));
    Ok(Some(password))
}

/// The password in a file, which is made if it is not there.
fn kept_password(path: &Path) -> Result<Secret<String>, Failure> {
    let failed = |error: std::io::Error| Failure::failed(format!("{}: {error}", path.display()));
    if !path.exists() {
        let password = connect::random_word().map_err(Failure::failed)?;
        private::write(path, password.as_bytes()).map_err(failed)?;
    }
    if private::is_open_to_others(path).map_err(failed)? {
        return Err(Failure::Failed(format!("{} is open to others: run chmod 600 on it", path.display())));
    }
    file::read(path).map(Secret::new).map_err(Failure::failed)
}
