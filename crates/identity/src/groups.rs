//! The groups of a caller, from the claims that the configuration names. Unknown is not none: whatever may hide a group
//! refuses the token.

use std::collections::BTreeSet;
use std::sync::Arc;

use model::issuer::{BareGroups, ClaimPath, GroupClaim, Issuer};

use crate::error::IdentityError;
use crate::json::{Json, Object};
use crate::subject::{is_deceptive, is_short_and_trimmed};

/// The most groups of a subject; with more, the token is refused.
pub const MAX_GROUPS: usize = 1000;

/// The party's groups, as policies name them, sorted and each once. No claim means no groups; a claim that is elsewhere,
/// oversized or of another type means that they are unknown, and the token is refused.
pub(crate) fn groups(issuer: &Issuer, party: &Object) -> Result<Vec<Arc<str>>, IdentityError> {
    let mut names = BTreeSet::new();
    if let Some(path) = &issuer.groups_claim {
        for group in listed(party, path)? {
            if issuer.group_claims.iter().any(|claim| is_named_by(group, claim)) {
                return Err(IdentityError::Groups("a listed one could be taken for one of `group_claims`"));
            }
            names.insert(group_name(issuer, group)?);
        }
    }
    for claim in &issuer.group_claims {
        for value in values(party, &claim.path)? {
            names.insert(group_name(issuer, &format!("{}:{value}", claim.prefix))?);
        }
    }
    if names.len() > MAX_GROUPS {
        return Err(IdentityError::Groups("there are too many"));
    }
    Ok(names.into_iter().collect())
}

/// The texts of a list.
fn listed<'a>(party: &'a Object, path: &ClaimPath) -> Result<Vec<&'a str>, IdentityError> {
    match find(party, path)? {
        None => Ok(Vec::new()),
        Some(Json::List(list)) => texts(list),
        Some(_) => Err(IdentityError::Groups("the claim is not a list")),
    }
}

/// What a claim says that is no list of groups by itself: a text, a list of texts, yes or no.
fn values<'a>(party: &'a Object, path: &ClaimPath) -> Result<Vec<&'a str>, IdentityError> {
    match find(party, path)? {
        None => Ok(Vec::new()),
        Some(Json::Text(text)) => Ok(vec![text]),
        Some(Json::Bool(is_so)) => Ok(vec![if *is_so { "true" } else { "false" }]),
        Some(Json::List(list)) => texts(list),
        Some(_) => Err(IdentityError::Groups("a claim of `group_claims` is neither text nor a list of texts")),
    }
}

fn texts(list: &[Json]) -> Result<Vec<&str>, IdentityError> {
    if list.len() > MAX_GROUPS {
        return Err(IdentityError::Groups("there are too many"));
    }
    list.iter().map(|value| value.text().ok_or(IdentityError::Groups("one is not a text"))).collect()
}

/// The value at the path; `None` where a name on it is absent, an error where what should hold it is no object, or the
/// issuer left it out.
pub(crate) fn find<'a>(party: &'a Object, path: &ClaimPath) -> Result<Option<&'a Json>, IdentityError> {
    let Some((last, outer)) = path.names().split_last() else {
        return Ok(None);
    };
    if is_elsewhere(party, outer.first().unwrap_or(last)) {
        return Err(IdentityError::Groups("the issuer left them out (overage)"));
    }
    let mut holder = party;
    for name in outer {
        match holder.get(&**name) {
            None => return Ok(None),
            Some(Json::Object(inner)) => holder = inner,
            Some(_) => return Err(IdentityError::Groups("what should hold the claim is not an object")),
        }
    }
    Ok(holder.get(&**last))
}

/// Whether the claim is too large for the token and is to be fetched elsewhere: `_claim_names` (OpenID Connect Core,
/// 5.6.2) says so of any claim, `hasgroups` and `groups:src1` are what Entra writes for `groups`.
fn is_elsewhere(party: &Object, claim: &str) -> bool {
    let is_distributed = match party.get("_claim_names") {
        None => false,
        Some(Json::Object(names)) => names.contains_key(claim),
        Some(_) => true,
    };
    let is_marked = |name: &String| name == "hasgroups" || name.starts_with("groups:src");
    is_distributed || claim == "groups" && party.keys().any(is_marked)
}

fn is_named_by(group: &str, claim: &GroupClaim) -> bool {
    group.strip_prefix(&*claim.prefix).is_some_and(|rest| rest.starts_with(':'))
}

fn group_name(issuer: &Issuer, group: &str) -> Result<Arc<str>, IdentityError> {
    as_policies_name_it(&issuer.alias, &issuer.bare_groups, group).ok_or(IdentityError::Name("group"))
}

/// `None` if the name could be mistaken for another.
pub(crate) fn as_policies_name_it(alias: &str, bare: &BareGroups, group: &str) -> Option<Arc<str>> {
    if !is_short_and_trimmed(group) || group.chars().any(is_deceptive) {
        return None;
    }
    let is_bare = match bare {
        BareGroups::All => true,
        BareGroups::Only(names) => names.contains(group),
    };
    // A bare `corp|admins` would be the group `admins` of the issuer `corp`.
    Some(if is_bare && !group.contains('|') { group.into() } else { format!("{alias}|{group}").into() })
}
