//! Options whose values are secrets.

use super::MARK;
use super::text::{names_a_secret, with_mark};

/// One-letter options with a secret, by program: behind the letter, or in the next word.
const LETTERS: &[(&[&str], char)] = &[
    (&["sshpass", "docker", "podman", "mongo", "mongosh", "mongodump", "mongorestore", "useradd", "usermod"], 'p'),
    (&["redis-cli", "redis-benchmark"], 'a'),
    (&["ldapsearch", "ldapadd", "ldapmodify", "ldapdelete", "ldappasswd", "ldapwhoami"], 'w'),
    (&["zip", "unzip", "sqlcmd", "mosquitto_pub", "mosquitto_sub", "ipmitool", "isql", "tsql"], 'P'),
    (&["openssl"], 'k'),
    (&["smbclient", "rpcclient", "net"], 'U'),
    (&["curl"], 'u'),
    (&["curl"], 'U'),
];

/// One-letter options with a secret directly behind the letter, and nothing where it is asked for.
const ATTACHED: &[(&[&str], char)] = &[
    (&["mysql", "mysqldump", "mysqladmin", "mysqlimport", "mysqlshow", "mysqlcheck", "mysqlbinlog"], 'p'),
    (&["mariadb", "mariadb-dump", "mariadb-admin", "mariadb-import", "mariadb-check", "mariadb-binlog"], 'p'),
    (&["7z", "7za", "7zr", "rar", "unrar"], 'p'),
];

/// Words of a program that the secret comes right behind.
const WORDS: &[(&str, &str)] = &[
    ("mysqladmin", "password"),
    ("mariadb-admin", "password"),
    ("vault", "login"),
    ("aws", "aws_secret_access_key"),
    ("aws", "aws_session_token"),
];

/// Options of a program, spelt out, whose value is a secret.
const SPELT: &[(&str, &str)] = &[
    ("curl", "--user"),
    ("curl", "--proxy-user"),
    ("openssl", "-pass"),
    ("openssl", "-passin"),
    ("openssl", "-passout"),
    ("openssl", "-K"),
    ("smbclient", "--user"),
    ("wpa_passphrase", "--"),
];

/// The argument as it may be shown, where it holds a secret by itself.
pub(super) fn masked(program: &str, argument: &str) -> Option<String> {
    let attached = |table: &[(&[&str], char)]| {
        table.iter().any(|(programs, letter)| {
            programs.contains(&program) && letter_of(argument) == Some(*letter) && argument.len() > 2
        })
    };
    if attached(LETTERS) || attached(ATTACHED) {
        return Some(format!("{}{MARK}", argument.get(..2)?));
    }
    if program == "htpasswd" && !argument.starts_with('-') {
        return Some(MARK.to_owned());
    }
    let (option, _) = argument.split_once('=')?;
    let is_secret = is_secret_option(option) || SPELT.contains(&(program, option));
    is_secret.then(|| with_mark(option, "="))
}

/// Whether the next argument is a secret.
pub(super) fn announces(program: &str, argument: &str) -> bool {
    let letters = || {
        argument.len() == 2
            && LETTERS
                .iter()
                .any(|(programs, letter)| programs.contains(&program) && letter_of(argument) == Some(*letter))
    };
    WORDS.contains(&(program, argument))
        || SPELT.contains(&(program, argument))
        || is_secret_option(argument)
        || letters()
}

fn letter_of(argument: &str) -> Option<char> {
    let mut characters = argument.strip_prefix('-')?.chars();
    characters.next().filter(char::is_ascii_alphabetic)
}

/// `--db-password`, `-token`; not `--password-file`.
fn is_secret_option(option: &str) -> bool {
    let Some(name) = option.strip_prefix('-') else { return false };
    let name = name.strip_prefix('-').unwrap_or(name);
    name.len() > 3 && !name.contains('=') && names_a_secret(name)
}
