//! `ephemeral_role` of a credential: a role for each session.

use super::super::Section;

/// The role that each session gets for itself: made before it, dropped after it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct EphemeralRole {
    /// The roles that it is a member of, from which it has all that it may do. Never empty.
    pub in_role: Vec<String>,
    /// What becomes of objects that the session leaves behind.
    pub owned: OwnedObjects,
}

/// What becomes of the objects that an ephemeral role owns when it is dropped.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum OwnedObjects {
    /// They are given to this role.
    Reassign(String),
    /// They are dropped.
    Drop,
}

/// `None` after a mistake, `Some(None)` where there is none.
pub(super) fn ephemeral_role(credential: &Section<'_, '_>) -> Option<Option<EphemeralRole>> {
    let Some(setting) = credential.take("ephemeral_role") else { return Some(None) };
    let section = setting.section()?;
    let in_role = section.texts("in_role");
    let in_role = section.required("in_role", in_role, "write in_role = [\"app_rw\"]");
    let drops = section.word("owned", &[("reassign", false), ("drop", true)]).unwrap_or(false);
    let reassign_to = section.text("reassign_to");
    if drops && reassign_to.is_some() {
        section.report("reassign_to", "nothing is reassigned", "write owned = \"reassign\", or remove reassign_to");
    }
    let names = in_role.iter().flatten().chain(&reassign_to);
    if names.into_iter().any(|name| name.is_empty() || name.len() > MAX_NAME || name.contains('\0')) {
        section.report("", "it has a name that no role can have", "write names of 1 to 63 bytes");
    }
    if in_role.as_ref().is_some_and(Vec::is_empty) {
        section.report("in_role", "the list is empty", "write in_role = [\"app_rw\"]");
    }
    let has_mistake = section.has_mistake();
    section.finish();
    let in_role = in_role.filter(|_| !has_mistake)?;
    let owner = reassign_to.or_else(|| in_role.first().cloned())?;
    let owned = if drops { OwnedObjects::Drop } else { OwnedObjects::Reassign(owner) };
    Some(Some(EphemeralRole { in_role, owned }))
}

/// The longest name of a role, in bytes (NAMEDATALEN - 1).
const MAX_NAME: usize = 63;
