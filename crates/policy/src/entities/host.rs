//! The entities of an SSH host: logins, commands, files, endpoints.

use cedar_policy::{EntityUid, RestrictedExpression};
use model::effect::{Command, Endpoint};

use super::{Attributes, Place, Resource, text, texts};
use crate::vocabulary::{path, uid};

/// How many names a path may have: each is an entity that the file is in. A longer one is refused.
const MOST_NAMES: usize = 128;

/// Whether the path is as [`model::effect::Object::File`] says, so that it has one spelling: absolute, or below the
/// login's home as `~`, and without `.`, `..`, doubled and trailing `/`.
pub(super) fn is_normal(path: &str) -> bool {
    let below = match path.strip_prefix('/') {
        Some("") => return true,
        Some(below) => below,
        None if path == "~" => return true,
        None => match path.strip_prefix("~/") {
            Some(below) => below,
            None => return false,
        },
    };
    let mut names = below.split('/');
    let is_name = |name: &str| !matches!(name, "" | "." | "..") && !name.contains('\0');
    names.by_ref().take(MOST_NAMES).all(is_name) && names.next().is_none()
}

/// The names that a path is made of, as they stand in ids. The home is `~`; a directory of that name at the root is told
/// from it by a character that no path has.
fn names(path: &str) -> impl Iterator<Item = &str> {
    let absolute = path.strip_prefix('/');
    let names = absolute.unwrap_or(path).split('/').filter(|name| !name.is_empty());
    names.enumerate().map(move |(at, name)| if at == 0 && name == "~" && absolute.is_some() { "\0~" } else { name })
}

/// The last name of a path; the path itself where it has none.
pub(super) fn base(path: &str) -> &str {
    path.rsplit('/').next().filter(|name| !name.is_empty()).unwrap_or(path)
}

impl Place<'_> {
    pub(super) fn login_uid(&self) -> EntityUid {
        uid(&self.types.login, path(&[&self.target.name, self.database]))
    }

    pub(super) fn command_uid(&self, command: &Command) -> EntityUid {
        uid(&self.types.command, path(&[&self.target.name, self.database, &command.program]))
    }

    pub(super) fn file_uid(&self, of: &str) -> EntityUid {
        let all: Vec<&str> = [&*self.target.name, self.database].into_iter().chain(names(of)).collect();
        uid(&self.types.file, path(&all))
    }

    pub(super) fn endpoint_uid(&self, endpoint: &Endpoint) -> EntityUid {
        let (target, login) = (&*self.target.name, self.database);
        let id = match endpoint {
            Endpoint::Tcp { host, port, .. } => path(&[target, login, host, &port.to_string()]),
            Endpoint::Socket(socket) => path(&[target, login, socket]),
        };
        uid(&self.types.endpoint, id)
    }

    /// Every directory above, the root with the login's own id, and the path itself as a directory: a policy on a
    /// directory is about what is in it and about the directory.
    pub(super) fn file_ancestors(&self, of: &str) -> Vec<EntityUid> {
        let mut above = vec![&*self.target.name, self.database];
        let mut out = vec![self.target_uid(), self.login_uid(), uid(&self.types.directory, path(&above))];
        for name in names(of) {
            above.push(name);
            out.push(uid(&self.types.directory, path(&above)));
        }
        out
    }

    pub(super) fn host_attributes(&self, resource: &Resource<'_>) -> Attributes {
        let (target, login) = (("target", &*self.target.name), ("login", self.database));
        match resource {
            Resource::Login => texts(&[target, ("name", self.database)]),
            Resource::Command(command) => {
                let program = &*command.program;
                let mut out = texts(&[target, login, ("program", program), ("name", base(program))]);
                out.extend(texts(&[("line", &command.line)]));
                let arguments = command.arguments.iter().map(|argument| text(argument));
                out.push(("arguments".to_owned(), RestrictedExpression::new_set(arguments)));
                out.push(("interactive".to_owned(), RestrictedExpression::new_bool(command.interactive)));
                out
            }
            Resource::File(path) => texts(&[target, login, ("path", path), ("name", base(path))]),
            Resource::Endpoint(endpoint) => {
                let mut out = texts(&[target, login]);
                out.extend(self.endpoint_attributes(endpoint));
                out
            }
            _ => vec![],
        }
    }

    fn endpoint_attributes(&self, endpoint: &Endpoint) -> Attributes {
        let (kind, host, port, address, socket) = match endpoint {
            Endpoint::Tcp { host, port, address } => ("tcp", &**host, *port, address.as_ref(), ""),
            Endpoint::Socket(path) => ("socket", "", 0, None, &**path),
        };
        let kind = RestrictedExpression::new_entity_uid(uid(&self.types.endpoint_kind, kind));
        let mut out = texts(&[("host", host), ("path", socket)]);
        out.push(("kind".to_owned(), kind));
        out.push(("port".to_owned(), RestrictedExpression::new_long(port.into())));
        let address = address.map(|address| RestrictedExpression::new_ip(address.to_canonical().to_string()));
        out.extend(address.map(|address| ("address".to_owned(), address)));
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_has_one_spelling() {
        for path in ["/", "/srv", "/srv/data/..a", "~", "~/a", "/~", "/a b/%2F"] {
            assert!(is_normal(path), "{path}");
        }
        for path in [
            "",
            "srv",
            "//",
            "/srv/",
            "/srv//a",
            "/./a",
            "/srv/data/../etc",
            "/..",
            "~root",
            "~/",
            "~/../etc",
            "..",
            "/a\0",
        ] {
            assert!(!is_normal(path), "{path}");
        }
        assert!(is_normal(&"/a".repeat(MOST_NAMES)) && !is_normal(&"/a".repeat(MOST_NAMES + 1)));
    }

    #[test]
    fn a_directory_that_is_called_like_the_home_is_not_the_home() {
        let all = |path: &str| names(path).collect::<Vec<_>>().join("/");
        assert_eq!(all("~/a"), "~/a");
        assert_ne!(all("/~/a"), all("~/a"));
        assert_eq!(all("/a/~"), "a/~");
    }
}
