//! `rsync --server`: what the client's own options become there (rsync, options.c, `server_options`).

use model::effect::Verb;

use super::Server;

/// Long options that change nothing about which files are read or written, whatever stands behind their `=`.
const HARMLESS: &[&str] = &[
    "server",
    "sender",
    "numeric-ids",
    "size-only",
    "ignore-times",
    "checksum-seed",
    "timeout",
    "bwlimit",
    "iconv",
    "info",
    "debug",
    "stats",
    "log-format",
    "out-format",
    "existing",
    "ignore-existing",
    "append",
    "append-verify",
    "inplace",
    "no-inplace",
    "safe-links",
    "munge-links",
    "copy-unsafe-links",
    "copy-dirlinks",
    "keep-dirlinks",
    "skip-compress",
    "new-compress",
    "old-compress",
    "zc",
    "compress-choice",
    "compress-level",
    "checksum-choice",
    "cc",
    "preallocate",
    "fsync",
    "sparse",
    "force",
    "ignore-errors",
    "max-delete",
    "modify-window",
    "block-size",
    "suffix",
    "chmod",
    "usermap",
    "groupmap",
    "chown",
    "no-implied-dirs",
    "implied-dirs",
    "no-relative",
    "mkpath",
    "open-noatime",
    "ignore-missing-args",
    "delete-missing-args",
    "partial",
    "delay-updates",
    "list-only",
    "one-file-system",
    "whole-file",
    "no-whole-file",
    "use-qsort",
    "super",
    "fake-super",
    "prune-empty-dirs",
    "atimes",
    "crtimes",
    "human-readable",
    "motd",
    "no-motd",
    "fuzzy",
    "no-r",
    "no-W",
    "dirs",
    "no-dirs",
    "max-alloc",
    "stop-after",
    "stop-at",
    "trust-sender",
];

/// Long options whose value is the next argument, and what is done to the path that it is, if it is one.
const VALUED: &[(&str, &[Verb])] = &[
    ("max-size", &[]),
    ("min-size", &[]),
    ("backup-dir", &[Verb::WriteFile, Verb::CreateFile]),
    ("partial-dir", &[Verb::WriteFile, Verb::CreateFile]),
    ("temp-dir", &[Verb::WriteFile, Verb::CreateFile]),
    ("compare-dest", &[Verb::ReadFile]),
    ("copy-dest", &[Verb::ReadFile]),
    ("link-dest", &[Verb::ReadFile, Verb::HardLink]),
    ("files-from", &[Verb::ReadFile]),
];

/// What was read of the arguments.
#[derive(Default)]
struct Seen<'a> {
    sends: bool,
    deletes: bool,
    removes_sources: bool,
    letters: String,
    /// Paths in options, with what is done to them.
    beside: Vec<(&'static [Verb], &'a str)>,
    paths: Vec<&'a str>,
}

pub(super) fn server(arguments: &[Option<&str>]) -> Server {
    match read(arguments) {
        Ok(seen) => seen.server(),
        Err(why) => Server::unclear(why),
    }
}

fn read<'a>(arguments: &[Option<&'a str>]) -> Result<Seen<'a>, &'static str> {
    let mut seen = Seen::default();
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        let argument = argument.ok_or("an argument of rsync that a shell decides")?;
        if !seen.paths.is_empty() || !argument.starts_with('-') || argument == "-" {
            seen.paths.push(argument);
        } else if let Some(option) = argument.strip_prefix("--") {
            seen.long(option, &mut rest)?;
        } else {
            // Behind `e` are the client's capabilities.
            let letters = argument.get(1..).unwrap_or_default();
            seen.letters.push_str(letters.split('e').next().unwrap_or_default());
        }
    }
    Ok(seen)
}

impl<'a> Seen<'a> {
    fn long<'r>(
        &mut self,
        option: &'a str,
        rest: &mut impl Iterator<Item = &'r Option<&'a str>>,
    ) -> Result<(), &'static str>
    where
        'a: 'r,
    {
        let (name, value) = option.split_once('=').map_or((option, None), |(name, value)| (name, Some(value)));
        if let Some((_, verbs)) = VALUED.iter().find(|(known, _)| *known == name) {
            let value = value.or_else(|| rest.next().copied().flatten()).ok_or("a path that a shell decides")?;
            let is_input = name == "files-from" && value == "-";
            if !verbs.is_empty() && !is_input {
                self.beside.push((verbs, value));
            }
            return Ok(());
        }
        match name {
            "sender" => self.sends = true,
            "remove-source-files" | "remove-sent-files" => self.removes_sources = true,
            "delete-missing-args" => self.deletes = true,
            _ if name == "delete" || name.starts_with("delete-") || name == "del" => self.deletes = true,
            _ if HARMLESS.contains(&name) => {}
            _ => return Err("an option of rsync that is not known"),
        }
        Ok(())
    }

    fn server(self) -> Server {
        // The paths come over the channel.
        if self.letters.contains('s') {
            return Server::unclear("rsync with arguments that are not in the line");
        }
        let Some((".", paths)) = self.paths.split_first().map(|(first, rest)| (*first, rest)) else {
            return Server::unclear("not the paths that rsync has");
        };
        let (verbs, base) = match (self.sends, paths) {
            (_, []) => return Server::unclear("not the paths that rsync has"),
            (true, _) => (self.sending(), None),
            (false, [destination]) => (self.receiving(), Some(*destination)),
            (false, _) => return Server::unclear("rsync to several places"),
        };
        let mut server = Server::default();
        paths.iter().for_each(|path| server.add(&verbs, path));
        for (verbs, path) in &self.beside {
            // What is relative here begins at the destination.
            match base.filter(|_| !path.starts_with('/')) {
                Some(base) => server.add(verbs, &format!("{base}/{path}")),
                None => server.add(verbs, path),
            }
        }
        server
    }

    fn sending(&self) -> Vec<Verb> {
        let mut verbs = vec![Verb::ReadFile, Verb::ListDirectory];
        verbs.extend(self.removes_sources.then_some(Verb::RemoveFile));
        verbs
    }

    fn receiving(&self) -> Vec<Verb> {
        let mut verbs = vec![
            Verb::ReadFile,
            Verb::ListDirectory,
            Verb::WriteFile,
            Verb::CreateFile,
            Verb::MakeDirectory,
            Verb::SetAttributes,
        ];
        verbs.extend(self.letters.contains('l').then_some(Verb::Symlink));
        verbs.extend(self.letters.contains('H').then_some(Verb::HardLink));
        verbs.extend(self.deletes.then_some(Verb::RemoveFile));
        verbs
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(line: &str) -> String {
        let words: Vec<Option<&str>> =
            line.split(' ').map(|word| Some(word).filter(|word| !word.contains('*'))).collect();
        let server = server(&words);
        match server.unclear {
            Some(why) => format!("unclear: {why}"),
            None => server.files.iter().map(|(verb, path)| format!("{verb} {path}")).collect::<Vec<_>>().join(", "),
        }
    }

    #[test]
    fn sending_reads_and_receiving_writes() {
        assert_eq!(
            found("--server --sender -logDtpre.iLsfxCIvu . /srv/data"),
            "file:read /srv/data, file:list /srv/data"
        );
        let writes = found("--server -tre.iLsfxCIvu . /srv");
        assert!(writes.contains("file:write /srv") && !writes.contains("symlink") && !writes.contains("remove"));
        assert!(
            found("--server -ltre.iLsfxCIvu --delete-during . /srv").contains("file:symlink /srv, file:remove /srv")
        );
        let moves = "--server --sender -re.iLs --remove-source-files . /a";
        assert!(found(moves).ends_with("file:remove /a"));
        assert!(found("--server -re.i --link-dest ../old . /srv/new").contains("file:link /srv/new/../old"));
        assert!(found("--server -re.i --backup-dir=/b . /srv").contains("file:write /b"));
    }

    #[test]
    fn what_is_not_in_the_line_is_unclear() {
        for line in [
            "--server -slogDtpre.iLsfxCIvu",
            "--server -logDtpre.iLsfxCIvu . ",
            "--server -re.i . /srv/*",
            "--server -re.i --unheard-of . /srv",
            "--server -re.i . /a /b",
            "--server -re.i /a",
        ] {
            assert!(found(line.trim_end()).starts_with("unclear"), "{line}");
        }
    }
}
