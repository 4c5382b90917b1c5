//! The commands that clients have run at a host to move files: `scp`, `rsync`, `git`, `sftp-server`.

mod rsync;

use model::effect::Verb;

/// What such a command does to files. Paths are as the command has them.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Server {
    pub(super) files: Vec<(Verb, String)>,
    /// Whether its channel speaks SFTP: then its operations are effects of their own.
    pub(super) is_sftp: bool,
    /// Why what it does is not known, if it is not.
    pub(super) unclear: Option<&'static str>,
}

impl Server {
    fn unclear(why: &'static str) -> Self {
        Self { unclear: Some(why), ..Self::default() }
    }

    fn add(&mut self, verbs: &[Verb], path: &str) {
        self.files.extend(verbs.iter().map(|verb| (*verb, path.to_owned())));
    }
}

/// What the command does, if it is one of them. An argument is `None` where a shell decides what it is.
pub(super) fn recognise(name: &str, arguments: &[Option<&str>]) -> Option<Server> {
    match name {
        "scp" => scp(arguments),
        "rsync" if arguments.contains(&Some("--server")) => Some(rsync::server(arguments)),
        "sftp-server" | "internal-sftp" => Some(Server { is_sftp: true, ..Server::default() }),
        "git" => {
            let (command, rest) = arguments.split_first()?;
            git((*command)?, rest)
        }
        _ => git(name.strip_prefix("git-")?, arguments),
    }
}

/// `-t` receives what it writes to a path, `-f` sends what it reads (OpenSSH, scp.c).
fn scp(arguments: &[Option<&str>]) -> Option<Server> {
    let (mut letters, mut paths, mut ended) = (String::new(), Vec::new(), false);
    for argument in arguments {
        match argument {
            Some("--") if !ended => ended = true,
            Some(option) if !ended && paths.is_empty() && option.len() > 1 && option.starts_with('-') => {
                letters.push_str(option.get(1..)?);
            }
            path => paths.push(*path),
        }
    }
    let (writes, reads) = (letters.contains('t'), letters.contains('f'));
    if writes == reads {
        return (writes && reads).then(|| Server::unclear("scp both ways"));
    }
    if !letters.chars().all(|letter| "vrpdqtf".contains(letter)) {
        return Some(Server::unclear("an option of scp that is not known"));
    }
    let mut verbs = if writes { vec![Verb::WriteFile, Verb::CreateFile] } else { vec![Verb::ReadFile] };
    if letters.contains('r') {
        verbs.push(if writes { Verb::MakeDirectory } else { Verb::ListDirectory });
    }
    if writes && letters.contains('p') {
        verbs.push(Verb::SetAttributes);
    }
    Some(on_paths(&verbs, &paths, writes))
}

fn on_paths(verbs: &[Verb], paths: &[Option<&str>], only_one: bool) -> Server {
    let mut server = Server::default();
    if paths.is_empty() || (only_one && paths.len() > 1) {
        return Server::unclear("not the paths that such a command has");
    }
    for path in paths {
        match path {
            Some(path) => server.add(verbs, path),
            None => return Server::unclear("a path that a shell decides"),
        }
    }
    server
}

/// `git-upload-pack`, `git-receive-pack` and `git-upload-archive`; no other command of git's is one.
fn git(command: &str, arguments: &[Option<&str>]) -> Option<Server> {
    let verbs: &[Verb] = match command {
        "upload-pack" | "upload-archive" => &[Verb::ReadFile, Verb::ListDirectory],
        "receive-pack" => &[Verb::ReadFile, Verb::WriteFile, Verb::CreateFile, Verb::RemoveFile],
        _ => return None,
    };
    let is_option = |argument: &&Option<&str>| argument.is_some_and(|argument| argument.starts_with('-'));
    let known = |option: &str| {
        matches!(
            option,
            "--strict" | "--no-strict" | "--stateless-rpc" | "--advertise-refs" | "--http-backend-info-refs"
        ) || option.starts_with("--timeout=")
    };
    if arguments.iter().filter(is_option).any(|option| !option.is_some_and(known)) {
        return Some(Server::unclear("an option of git that is not known"));
    }
    let paths: Vec<_> = arguments.iter().filter(|argument| !is_option(argument)).copied().collect();
    Some(on_paths(verbs, &paths, true))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(line: &str) -> Option<String> {
        let (name, rest) = line.split_once(' ').unwrap_or((line, ""));
        let words = rest.split(' ').filter(|word| !word.is_empty());
        let words: Vec<Option<&str>> = words.map(|word| Some(word).filter(|word| !word.contains('*'))).collect();
        let server = recognise(name, &words)?;
        if let Some(why) = server.unclear {
            return Some(format!("unclear: {why}"));
        }
        Some(server.files.iter().map(|(verb, path)| format!("{verb} {path}")).collect::<Vec<_>>().join(", "))
    }

    #[test]
    fn scp_reads_or_writes() {
        assert_eq!(found("scp -t /srv").as_deref(), Some("file:write /srv, file:create /srv"));
        let all = "file:write /srv, file:create /srv, file:mkdir /srv, file:setattr /srv";
        assert_eq!(found("scp -r -p -t -- /srv").as_deref(), Some(all));
        assert_eq!(found("scp -f /srv/a /srv/b").as_deref(), Some("file:read /srv/a, file:read /srv/b"));
        assert_eq!(found("scp a h:b"), None);
        for line in ["scp -tf /a", "scp -t", "scp -t /a /b", "scp -f /a*", "scp -St x"] {
            assert!(found(line).is_some_and(|found| found.starts_with("unclear")), "{line}");
        }
    }

    #[test]
    fn git_reads_or_writes() {
        assert_eq!(found("git-upload-pack /r.git").as_deref(), Some("file:read /r.git, file:list /r.git"));
        assert!(found("git receive-pack /r.git").is_some_and(|found| found.contains("file:write /r.git")));
        assert_eq!(found("git status"), None);
        for line in ["git-upload-pack", "git-upload-pack --x /r", "git-upload-pack /a /b"] {
            assert!(found(line).is_some_and(|found| found.starts_with("unclear")), "{line}");
        }
    }
}
