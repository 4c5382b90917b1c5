//! `sluice secret`: the local vault. It works on the state in the data directory, also while Sluice runs, which then puts
//! each change into the journal; otherwise the next start does.

use std::io::{BufRead, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;

use gateway::clock;
use model::secret::Secret;
use store::config::{Config, KeyLocation};
use store::vault::{Vault, VaultKey};
use store::{Sqlite, State};
use zeroize::Zeroizing;

use super::failure::Failure;
use super::paths::ConfigArg;
use super::{is_interactive, put, put_line, show, tell};

/// The longest secret, in bytes.
const LONGEST: u64 = 64 * 1024;

/// Keep the passwords and private keys of targets in the local vault
#[derive(clap::Subcommand)]
#[command(after_help = "A target uses a secret by its name: password = { vault = \"payments\" }.\n\n\
    Examples:\n  sluice secret set payments\n  \
    pass show payments | sluice secret set payments --make-key\n  sluice secret set web1 < web1.key          # a private key of SSH: private_key = { vault = \"web1\" }\n  sluice secret list")]
pub(super) enum Command {
    /// Set a secret: its value comes from standard input, or is asked for without echo
    Set {
        #[command(flatten)]
        config: ConfigArg,
        /// The secret's name
        name: String,
        /// Make the key file of the vault if it is not there
        #[arg(long)]
        make_key: bool,
    },
    /// List names and dates
    List {
        #[command(flatten)]
        config: ConfigArg,
        /// For programs
        #[arg(long)]
        json: bool,
    },
    /// Remove a secret
    Remove {
        #[command(flatten)]
        config: ConfigArg,
        /// The secret's name
        name: String,
    },
}

pub(super) fn run(command: Command) -> Result<(), Failure> {
    match command {
        Command::Set { config, name, make_key } => set(&config.load()?, &name, make_key),
        Command::List { config, json } => list(&config.load()?, json),
        Command::Remove { config, name } => remove(&config.load()?, &name),
    }
}

fn set(config: &Config, name: &str, make_key: bool) -> Result<(), Failure> {
    if let KeyLocation::File(path) = location(config)?
        && !path.exists()
    {
        offer_key(path, make_key)?;
    }
    let vault = open(config)?;
    let value = value(name)?;
    vault.set(name, &value, clock::now()).map_err(Failure::failed)?;
    put_line(&format!("{} is set", show::safe(name)))
}

fn list(config: &Config, json: bool) -> Result<(), Failure> {
    let secrets = open(config)?.list().map_err(Failure::failed)?;
    if json {
        let value: Vec<_> = secrets
            .iter()
            .map(|secret| {
                let (created, updated) = (secret.created_at, secret.updated_at);
                serde_json::json!({ "name": secret.name, "created_at": created, "updated_at": updated })
            })
            .collect();
        return put(&show::json(&value.into()));
    }
    let rows: Vec<Vec<String>> = secrets
        .iter()
        .map(|secret| vec![secret.name.clone(), secret.created_at.to_string(), secret.updated_at.to_string()])
        .collect();
    put(&show::table(&["NAME", "CREATED", "UPDATED"], &rows))
}

fn remove(config: &Config, name: &str) -> Result<(), Failure> {
    if open(config)?.remove(name, clock::now()).map_err(Failure::failed)? {
        put_line(&format!("{} is removed", show::safe(name)))
    } else {
        Err(Failure::failed(format!("the vault has no secret named {name}")))
    }
}

fn location(config: &Config) -> Result<&KeyLocation, Failure> {
    config.vault_key.as_ref().ok_or_else(|| {
        Failure::failed("there is no vault: write [vault] with key_file or key_env into the configuration")
    })
}

fn open(config: &Config) -> Result<Vault, Failure> {
    let location = location(config)?;
    std::fs::DirBuilder::new()
        .create_private(&config.data_dir)
        .map_err(|error| Failure::failed(format!("{}: {error}", config.data_dir.display())))?;
    let state: Arc<dyn State> = Arc::new(Sqlite::open(&config.data_dir).map_err(Failure::failed)?);
    gateway::node::vault(location, &state, &whoever_asks()).map_err(Failure::failed)
}

/// Who runs this, as the operating system knows them; and whom they logged in as, where that is somebody else.
fn whoever_asks() -> String {
    let user = rustix::process::getuid().as_raw();
    let login = std::fs::read_to_string("/proc/self/loginuid").ok().and_then(|text| text.trim().parse::<u32>().ok());
    match login.filter(|login| *login != u32::MAX && *login != user) {
        Some(login) => format!("uid:{user},login:{login}"),
        None => format!("uid:{user}"),
    }
}

/// Directories that only their owner can look into.
trait CreatePrivate {
    fn create_private(&mut self, path: &Path) -> std::io::Result<()>;
}

impl CreatePrivate for std::fs::DirBuilder {
    fn create_private(&mut self, path: &Path) -> std::io::Result<()> {
        use std::os::unix::fs::DirBuilderExt;
        self.recursive(true).mode(0o700).create(path)
    }
}

fn offer_key(path: &Path, make_key: bool) -> Result<(), Failure> {
    let shown = show::safe(&path.display().to_string());
    if !make_key {
        if !is_interactive() {
            return Err(Failure::failed(format!("{shown} is not there; add --make-key to make it")));
        }
        let _ = write!(std::io::stderr(), "{shown} is not there. Make a new key? [y/N] ");
        let mut answer = String::new();
        std::io::stdin().lock().read_line(&mut answer).map_err(Failure::failed)?;
        if !matches!(answer.trim(), "y" | "Y" | "yes") {
            return Err(Failure::failed("no key, no vault"));
        }
    }
    let key = VaultKey::generate().map_err(Failure::failed)?.to_base64();
    let failed = |error: std::io::Error| Failure::failed(format!("{}: {error}", path.display()));
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).map_err(failed)?;
    file.write_all(key.expose().as_bytes()).and_then(|()| file.sync_all()).map_err(failed)?;
    tell(&format!("made {shown}: keep a copy elsewhere; without it the vault's secrets are lost"));
    Ok(())
}

/// From a pipe as it is, but for one newline at its end; from a person without echo, twice.
fn value(name: &str) -> Result<Secret<String>, Failure> {
    if !is_interactive() {
        let mut text = Zeroizing::new(String::new());
        std::io::stdin().lock().take(LONGEST + 1).read_to_string(&mut text).map_err(Failure::failed)?;
        return usable(&text);
    }
    let first = prompt(&format!("Value of {}: ", show::safe(name)))?;
    let second = prompt("Once more: ")?;
    if *first != *second { Err(Failure::failed("the two are not the same")) } else { usable(&first) }
}

fn usable(text: &str) -> Result<Secret<String>, Failure> {
    let text = text.strip_suffix('\n').unwrap_or(text);
    let text = text.strip_suffix('\r').unwrap_or(text);
    let length = u64::try_from(text.len()).unwrap_or(u64::MAX);
    if text.is_empty() || length > LONGEST || text.contains('\0') {
        return Err(Failure::failed("the value is empty, too long, or has a NUL"));
    }
    Ok(Secret::new(text.to_owned()))
}

/// Reads a line while the terminal does not show it.
fn prompt(question: &str) -> Result<Zeroizing<String>, Failure> {
    use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};
    let input = std::io::stdin();
    let shown = tcgetattr(&input).map_err(Failure::failed)?;
    let mut hidden = shown.clone();
    hidden.local_modes.remove(LocalModes::ECHO);
    hidden.local_modes.insert(LocalModes::ECHONL);
    let _ = write!(std::io::stderr(), "{question}");
    tcsetattr(&input, OptionalActions::Flush, &hidden).map_err(Failure::failed)?;
    let mut line = Zeroizing::new(String::new());
    let read = input.lock().read_line(&mut line);
    tcsetattr(&input, OptionalActions::Flush, &shown).map_err(Failure::failed)?;
    read.map_err(Failure::failed)?;
    Ok(line)
}
