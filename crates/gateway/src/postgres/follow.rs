//! The state of the target's session that gives text its meaning, read from the target and never emulated (RULES.md 3).

use std::sync::Arc;

use serde::Deserialize;

use super::roles::OWN_ROLE;

/// Reads the state on the session's own connection. Every name is qualified, so that no search path changes what is
/// called.
pub(super) const READ_STATE: &str = "SELECT pg_catalog.array_to_json(pg_catalog.current_schemas(true))::pg_catalog.text, \
     current_user::pg_catalog.text, session_user::pg_catalog.text, \
     pg_catalog.current_setting('standard_conforming_strings'), \
     pg_catalog.current_setting('search_path'), \
     pg_catalog.pg_my_temp_schema()::pg_catalog.text, \
     pg_catalog.current_setting('default_transaction_read_only')";

/// The state as it was last read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Followed {
    /// The effective search path, the implicit schemas included.
    pub(super) search_path: Vec<Arc<str>>,
    /// The setting as it is written; part of what an approval is bound to.
    pub(super) search_path_setting: String,
    /// The current role at the target.
    pub(super) current_user: String,
    /// The session role at the target.
    pub(super) session_user: String,
    /// Whether a backslash in a plain literal is just a backslash.
    pub(super) standard_conforming_strings: bool,
    /// Whether the session has a schema of temporary objects.
    pub(super) has_temporary: bool,
    /// Whether transactions begin read-only.
    pub(super) read_only: bool,
}

/// The target's answer is not the state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the target's answer to the state query is not what was asked for")]
pub(super) struct NotTheState;

impl Followed {
    /// Reads the one row of [`READ_STATE`].
    pub(super) fn from_rows(rows: &[Vec<Option<String>>]) -> Result<Self, NotTheState> {
        let [row] = rows else { return Err(NotTheState) };
        let [Some(path), Some(current), Some(session), Some(strings), Some(setting), Some(temporary), Some(read_only)] =
            row.as_slice()
        else {
            return Err(NotTheState);
        };
        let path: SearchPath = serde_json::from_str(path).map_err(|_| NotTheState)?;
        let standard_conforming_strings = match strings.as_str() {
            "on" => true,
            "off" => false,
            _ => return Err(NotTheState),
        };
        Ok(Self {
            search_path: path.0.into_iter().map(Arc::from).collect(),
            search_path_setting: setting.clone(),
            current_user: current.clone(),
            session_user: session.clone(),
            standard_conforming_strings,
            has_temporary: temporary != "0",
            read_only: read_only == "on",
        })
    }

    /// Calls the role that was made for this session by a name that is the same in every session: what was approved in one may
    /// be done in another.
    pub(super) fn call_own(&mut self, role: &str) {
        for name in [&mut self.current_user, &mut self.session_user] {
            if name == role {
                *name = OWN_ROLE.to_owned();
            }
        }
    }

    /// The state by name, sorted: what an approval is bound to.
    pub(super) fn parts(&self) -> [(&str, &str); 4] {
        let strings = if self.standard_conforming_strings { "on" } else { "off" };
        [
            ("role", &self.current_user),
            ("search_path", &self.search_path_setting),
            ("session_authorization", &self.session_user),
            ("standard_conforming_strings", strings),
        ]
    }
}

#[derive(Deserialize)]
struct SearchPath(Vec<String>);

#[cfg(test)]
mod tests {
    use super::*;

    fn row(values: [&str; 7]) -> Vec<Vec<Option<String>>> {
        vec![values.map(|value| Some(value.to_owned())).to_vec()]
    }

    #[test]
    fn reads_one_row_and_nothing_else() {
        let state =
            Followed::from_rows(&row([r#"["pg_catalog","a\"b"]"#, "app", "app", "on", "\"a\"\"b\"", "0", "on"]));
        let state = state.unwrap();
        assert_eq!(state.search_path.iter().map(|name| &**name).collect::<Vec<_>>(), ["pg_catalog", "a\"b"]);
        assert!(state.standard_conforming_strings && !state.has_temporary && state.read_only);
        for bad in [
            row(["x", "a", "b", "on", "", "0", "off"]),
            row(["[]", "a", "b", "maybe", "", "0", "off"]),
            vec![],
            vec![vec![]],
        ] {
            assert_eq!(Followed::from_rows(&bad), Err(NotTheState));
        }
    }
}
