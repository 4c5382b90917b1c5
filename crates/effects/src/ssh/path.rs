//! Paths with one spelling each, by their text alone.

/// The path without `.`, `..`, doubled and trailing `/`; a relative one is below the login's home, as `~/…`, which is
/// where a command of SSH starts. `None` for what may be anywhere: a home's parents, another login's home, a NUL.
///
/// `..` takes the name before it away, as it does where that name is no symbolic link. Where it is one, only the target
/// knows, and so a policy on files is best held with the SFTP operations, whose paths the target resolves.
pub(super) fn normal(path: &str) -> Option<String> {
    let (from, rest) = match path.strip_prefix('/') {
        Some(rest) => ("", rest),
        None => ("~", below_home(path)?),
    };
    if path.contains('\0') {
        return None;
    }
    let mut names: Vec<&str> = Vec::new();
    for name in rest.split('/') {
        match name {
            "" | "." => {}
            ".." if names.pop().is_none() && !from.is_empty() => return None,
            ".." => {}
            name => names.push(name),
        }
    }
    let joined = names.join("/");
    Some(match (from, joined.as_str()) {
        ("", _) => format!("/{joined}"),
        (home, "") => home.to_owned(),
        (home, _) => format!("{home}/{joined}"),
    })
}

/// What is left of a relative path behind `~`; `None` for another login's home.
fn below_home(path: &str) -> Option<&str> {
    match path.strip_prefix('~') {
        None => Some(path),
        Some("") => Some(""),
        Some(rest) => rest.strip_prefix('/'),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_path_has_one_spelling() {
        for (path, expected) in [
            ("/", Some("/")),
            ("//srv/./data//a/", Some("/srv/data/a")),
            ("/srv/data/../etc", Some("/srv/etc")),
            ("/../../etc", Some("/etc")),
            ("a/b/../c", Some("~/a/c")),
            ("~", Some("~")),
            ("~/.ssh/config", Some("~/.ssh/config")),
            (".", Some("~")),
            ("", Some("~")),
            ("..", None),
            ("~/../x", None),
            ("a/../../x", None),
            ("~root/x", None),
            ("/a\0b", None),
        ] {
            assert_eq!(normal(path).as_deref(), expected, "{path:?}");
        }
    }
}
