//! Operations of SFTP, on paths that the target has resolved (draft-ietf-secsh-filexfer-02, and OpenSSH's extensions).

use std::sync::Arc;

use model::effect::{Effect, Object, Verb};

use super::path::normal;
use super::request::Request;

/// What a change of attributes changes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Attributes {
    /// The length: the content is cut, or grows by zeros.
    pub size: bool,
    /// Permissions.
    pub permissions: bool,
    /// Owner and group.
    pub owner: bool,
    /// Times.
    pub times: bool,
}

/// How a file is opened.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Opening {
    /// To read.
    pub read: bool,
    /// To write.
    pub write: bool,
    /// To write at the end.
    pub append: bool,
    /// Made where there is none.
    pub create: bool,
    /// Emptied.
    pub truncate: bool,
    /// Refused where there is one.
    pub exclusive: bool,
}

/// One operation. Every path is absolute and resolved by the target, as bytes: what is not UTF-8, not absolute or not
/// resolved is opaque, so that no policy takes it for another path.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs, reason = "the fields are paths and what their names say")]
pub enum FileOperation<'a> {
    /// Open a file.
    Open { path: &'a [u8], how: Opening },
    /// Ask what is known of a file, or resolve a path.
    Stat { path: &'a [u8] },
    /// Read a directory.
    List { path: &'a [u8] },
    /// Ask where a symbolic link leads.
    ReadLink { path: &'a [u8] },
    /// Remove a file.
    Remove { path: &'a [u8] },
    /// Remove a directory.
    RemoveDirectory { path: &'a [u8] },
    /// Make a directory.
    MakeDirectory { path: &'a [u8] },
    /// Give a file another name; with `overwrite` in place of what has that name.
    Rename { from: &'a [u8], to: &'a [u8], overwrite: bool },
    /// Make a symbolic link that leads to `target`.
    Symlink { link: &'a [u8], target: &'a [u8] },
    /// Give a file a second name.
    HardLink { from: &'a [u8], to: &'a [u8] },
    /// Change attributes.
    SetAttributes { path: &'a [u8], what: Attributes },
    /// Copy from one file to another (`copy-data`).
    Copy { from: &'a [u8], to: &'a [u8] },
    /// Ask about the file system that a file is on.
    StatFilesystem { path: &'a [u8] },
}

/// What an operation does. An operation on two paths is an effect on both.
pub fn file(operation: &FileOperation<'_>) -> Request {
    use FileOperation as Op;
    use Verb::{CopyFile, CreateFile, HardLink, ListDirectory, ReadFile, RemoveFile, RenameFile, StatFile, WriteFile};
    match *operation {
        Op::Open { path, how } => on_paths("sftp:open", &[(path, &opening(how))]),
        Op::Stat { path } => on_paths("sftp:stat", &[(path, &[StatFile])]),
        Op::List { path } => on_paths("sftp:list", &[(path, &[ListDirectory])]),
        Op::ReadLink { path } => on_paths("sftp:readlink", &[(path, &[StatFile])]),
        Op::Remove { path } => on_paths("sftp:remove", &[(path, &[RemoveFile])]),
        Op::RemoveDirectory { path } => on_paths("sftp:rmdir", &[(path, &[RemoveFile])]),
        Op::MakeDirectory { path } => on_paths("sftp:mkdir", &[(path, &[Verb::MakeDirectory])]),
        Op::Rename { from, to, overwrite: false } => {
            on_paths("sftp:rename", &[(from, &[RenameFile]), (to, &[RenameFile])])
        }
        Op::Rename { from, to, overwrite: true } => {
            on_paths("sftp:rename", &[(from, &[RenameFile]), (to, &[RenameFile, RemoveFile])])
        }
        Op::Symlink { link, target } => {
            on_paths("sftp:symlink", &[(link, &[Verb::Symlink]), (target, &[Verb::Symlink])])
        }
        Op::HardLink { from, to } => on_paths("sftp:link", &[(from, &[HardLink]), (to, &[HardLink])]),
        Op::SetAttributes { path, what } => on_paths("sftp:setattr", &[(path, &attributes(what))]),
        Op::Copy { from, to } => {
            on_paths("sftp:copy", &[(from, &[CopyFile, ReadFile]), (to, &[CopyFile, WriteFile, CreateFile])])
        }
        Op::StatFilesystem { path } => on_paths("sftp:statvfs", &[(path, &[StatFile])]),
    }
}

/// An opening that says neither is read by some servers as reading, and creates or empties all the same.
fn opening(how: Opening) -> Vec<Verb> {
    let writes = how.write || how.truncate;
    let mut verbs = Vec::new();
    verbs.extend((how.read || !(writes || how.append)).then_some(Verb::ReadFile));
    verbs.extend((writes && (how.truncate || !how.append)).then_some(Verb::WriteFile));
    verbs.extend(how.append.then_some(Verb::AppendFile));
    verbs.extend(how.create.then_some(Verb::CreateFile));
    verbs
}

/// Another length is another content.
fn attributes(what: Attributes) -> Vec<Verb> {
    let mut verbs = vec![Verb::SetAttributes];
    verbs.extend(what.size.then_some(Verb::WriteFile));
    verbs
}

fn on_paths(kind: &'static str, paths: &[(&[u8], &[Verb])]) -> Request {
    let shown: Vec<_> = paths.iter().map(|(path, _)| String::from_utf8_lossy(path)).collect();
    let shown: Vec<&str> = shown.iter().map(|path| &**path).collect();
    let mut effects = Vec::new();
    for (path, verbs) in paths {
        let Some(path) = resolved(path) else {
            return Request::of(kind, vec![], &shown).opaque("a path that is not absolute and resolved, or not text");
        };
        let path: Arc<str> = path.into();
        effects.extend(verbs.iter().map(|verb| Effect::new(*verb, Object::File(Arc::clone(&path)))));
    }
    Request::of(kind, effects, &shown)
}

/// The path, if it has the one spelling that a target resolves it to.
fn resolved(path: &[u8]) -> Option<&str> {
    let path = std::str::from_utf8(path).ok()?;
    (path.starts_with('/') && normal(path).as_deref() == Some(path)).then_some(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn effects(operation: FileOperation<'_>) -> String {
        let request = file(&operation);
        assert_eq!(request.facts.opaque.is_some(), request.effects.iter().any(|effect| effect.verb == Verb::Opaque));
        request.effects.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
    }

    fn open(letters: &str) -> String {
        let has = |letter| letters.contains(letter);
        let how = Opening {
            read: has('r'),
            write: has('w'),
            append: has('a'),
            create: has('c'),
            truncate: has('t'),
            exclusive: has('x'),
        };
        effects(FileOperation::Open { path: b"/a", how }).replace(" file /a", "").replace("file:", "")
    }

    #[test]
    fn an_opening_is_all_that_it_allows() {
        for (letters, expected) in [
            ("r", "read"),
            ("", "read"),
            ("w", "write"),
            ("rw", "read, write"),
            ("wct", "write, create"),
            ("wcx", "write, create"),
            ("a", "append"),
            ("wac", "append, create"),
            ("wact", "write, append, create"),
            ("rt", "read, write"),
            ("c", "read, create"),
        ] {
            assert_eq!(open(letters), expected, "{letters}");
        }
    }

    #[test]
    fn sh_06_two_paths_are_two_effects() {
        let (from, to) = (&b"/a"[..], &b"/b"[..]);
        let moved = effects(FileOperation::Rename { from, to, overwrite: true });
        assert_eq!(moved, "file:rename file /a, file:rename file /b, file:remove file /b");
        assert_eq!(effects(FileOperation::HardLink { from, to }), "file:link file /a, file:link file /b");
        let link = FileOperation::Symlink { link: from, target: b"/etc" };
        assert_eq!(effects(link), "file:symlink file /a, file:symlink file /etc");
        let copy = "file:copy file /a, file:read file /a, file:copy file /b, file:write file /b, file:create file /b";
        assert_eq!(effects(FileOperation::Copy { from, to }), copy);
        let size = Attributes { size: true, ..Attributes::default() };
        assert_eq!(
            effects(FileOperation::SetAttributes { path: from, what: size }),
            "file:setattr file /a, file:write file /a"
        );
    }

    #[test]
    fn sh_06_a_path_that_is_not_resolved_is_opaque() {
        for path in [&b"a"[..], b"", b"/a/../b", b"/a//b", b"/a/", b"/a/.", b"~", b"~/a", b"/\xff", b"/a\0b"] {
            assert_eq!(effects(FileOperation::Remove { path }), "opaque login");
            assert_eq!(effects(FileOperation::Symlink { link: b"/a", target: path }), "opaque login");
        }
        assert_eq!(effects(FileOperation::Stat { path: "/ü b".as_bytes() }), "file:stat file /ü b");
    }
}
