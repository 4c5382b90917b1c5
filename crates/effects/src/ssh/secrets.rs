//! Which words of a command are secrets, by where they stand (LK-04), and how they are shown.
//!
//! A table can only know the places that people use. It is there so that a password on a command line is not written into
//! the journal, not to decide anything: effects are found on the words as they are.

mod places;
mod text;

pub(super) use crate::shown::MARK;
pub(super) use text::mask_text;

/// The words of a command, the program first, each as it may be shown: `None` where it is as it was.
pub(super) fn in_command(words: &[&str]) -> Vec<Option<String>> {
    let mut out: Vec<Option<String>> = words.iter().map(|word| text::mask_word(word)).collect();
    let Some((program, arguments)) = words.split_first() else { return out };
    let name = program.rsplit('/').next().unwrap_or(program);
    let mut is_next = false;
    for (index, argument) in arguments.iter().enumerate() {
        let masked = if is_next && !looks_like_an_option(argument) {
            Some(MARK.to_owned())
        } else {
            places::masked(name, argument)
        };
        is_next = places::announces(name, argument);
        if let (Some(masked), Some(slot)) = (masked, out.get_mut(index.saturating_add(1))) {
            *slot = Some(masked);
        }
    }
    out
}

/// `-u`, `--user`: an option announced a secret that is asked for instead.
fn looks_like_an_option(argument: &str) -> bool {
    argument.len() > 1
        && argument.starts_with('-')
        && argument.len() <= 40
        && !argument.contains('=')
        && argument.bytes().skip(1).all(|byte| byte.is_ascii_lowercase() || byte == b'-')
}

/// Programs that read a secret from their standard input.
pub(super) fn reads_a_secret(words: &[&str]) -> bool {
    let Some((program, arguments)) = words.split_first() else { return false };
    let name = program.rsplit('/').next().unwrap_or(program);
    let has = |wanted: &[&str]| arguments.iter().any(|argument| wanted.contains(argument));
    match name {
        "chpasswd" | "passwd" | "smbpasswd" | "cryptsetup" | "htpasswd" | "gpg" | "kinit" | "openssl" | "ssh-add" => {
            true
        }
        "sudo" => has(&["-S", "--stdin"]) || arguments.iter().any(|argument| reads_a_secret(&[argument])),
        _ => arguments.iter().any(|argument| argument.contains("-stdin") || argument.contains("passphrase-fd")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(line: &str) -> String {
        let words: Vec<&str> = line.split(' ').collect();
        let masks = in_command(&words);
        words
            .iter()
            .zip(masks)
            .map(|(word, mask)| mask.unwrap_or_else(|| (*word).to_owned()))
            .collect::<Vec<_>>()
            .join(" ")
    }

    /// LK-04 for SSH: each place holds a canary, which is not in what is shown.
    #[test]
    fn lk_04_ssh_secrets_in_commands_are_masked() {
        for line in [
            "mysql -pC4NARY db",
            "mysqldump --password=C4NARY db",
            "/usr/bin/mysql -u root -pC4NARY",
            "mysqladmin password C4NARY",
            "psql postgres://app:C4NARY@db/shop",
            "psql host=db password=C4NARY",
            "env PGPASSWORD=C4NARY psql",
            "export AWS_SECRET_ACCESS_KEY=C4NARY",
            "docker login -u x -p C4NARY",
            "docker run -e DB_PASSWORD=C4NARY app",
            "curl -u admin:C4NARY https://x",
            "curl --user=admin:C4NARY https://x",
            "curl https://x/?access_token=C4NARY&a=b",
            "wget --http-password=C4NARY x",
            "sshpass -p C4NARY ssh h",
            "sshpass -pC4NARY ssh h",
            "redis-cli -a C4NARY ping",
            "ldapsearch -x -w C4NARY",
            "tool --token C4NARY",
            "tool -token C4NARY",
            "tool --api-key=C4NARY",
            "tool --client-secret C4NARY",
            "vault login C4NARY",
            "aws configure set aws_secret_access_key C4NARY",
            "openssl enc -k C4NARY",
            "openssl enc -pass pass:C4NARY",
            "smbclient -U user%C4NARY //h/s",
            "usermod -p C4NARY ann",
            "htpasswd -b file ann C4NARY",
            "zip -P C4NARY a.zip a",
            "7z x -pC4NARY a.7z",
            "mongosh -p C4NARY",
            "mosquitto_pub -P C4NARY",
            "x ghp_C4NARYC4NARYC4NARYC4NARYC4NARYC4NARY12",
        ] {
            let shown = shown(line);
            assert!(!shown.contains("C4NARY") && shown.contains(MARK), "{line}: {shown}");
        }
    }

    #[test]
    fn what_is_no_secret_stays() {
        for line in [
            "mysql --password -u root",
            "tool --password-file /etc/x",
            "mkdir -p /srv/data",
            "rsync --server -p . /srv",
            "ssh -p 22 h",
            "cp -pr a b",
            "echo PWD=/srv",
            "curl https://x/?a=b",
            "grep -w word file",
            "tokenize input",
        ] {
            assert_eq!(shown(line), line);
        }
    }

    #[test]
    fn headers_and_statements_are_masked() {
        for (words, expected) in [
            (vec!["curl", "-H", "Authorization: Bearer C4NARY"], "curl -H Authorization: [secret]"),
            (vec!["curl", "-HX-Api-Key: C4NARY"], "curl -HX-Api-Key: [secret]"),
            (
                vec!["psql", "-c", "ALTER USER x PASSWORD 'C4N''ARY' VALID"],
                "psql -c ALTER USER x PASSWORD '[secret]' VALID",
            ),
            (
                vec!["mysql", "-e", "create user x identified by \"C4NARY\""],
                "mysql -e create user x identified by \"[secret]\"",
            ),
        ] {
            let masks = in_command(&words);
            let shown: Vec<String> =
                words.iter().zip(masks).map(|(word, mask)| mask.unwrap_or_else(|| (*word).to_owned())).collect();
            assert_eq!(shown.join(" "), expected);
        }
    }
}
