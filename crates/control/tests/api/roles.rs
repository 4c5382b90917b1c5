//! Which role reaches which route: the policies that `sluice init` ships, put to every route of the API, as a table to be
//! reviewed. A route that is added, takes something else, or is opened to a role shows up in it.
//!
//! `UPDATE_GOLDEN=1 cargo test -p control roles` writes the table anew.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::sync::Arc;

use control::{Access, listed};
use policy::AdminVerb;
use tempfile::TempDir;

use crate::access::path;
use crate::world::World;

const ADMIN: &str = include_str!("../../../sluice/src/cli/init/admin.cedar");
const EXAMPLE: &str = include_str!("../../../sluice/src/cli/init/example.cedar");

/// Each role by the groups of its token; `None` is a call without one.
const ROLES: [(&str, Option<&[&str]>); 9] = [
    ("anonymous", None),
    ("nobody", Some(&[])),
    ("service", Some(&["orders"])),
    ("approver", Some(&["dba"])),
    ("auditor", Some(&["auditors"])),
    ("operator", Some(&["operators"])),
    ("administrator", Some(&["administrators"])),
    ("first-admin", Some(&["sluice-admin"])),
    ("break-glass", Some(&["break-glass"])),
];

const HEADING: &str = "\
# What each role reaches: `yes`, `own` for what is the caller's own alone, `-` for nothing.
# `here` is without a token, from this machine. Written by tests/api/roles.rs; review every change.
";

struct Role {
    name: &'static str,
    token: Option<String>,
    verbs: BTreeSet<String>,
}

async fn roles(world: &World) -> Vec<Role> {
    let mut roles = vec![];
    for (name, groups) in ROLES {
        let token = groups.map(|groups| world.token(name, groups));
        let may = match &token {
            Some(token) => world.get("/v1/whoami", token).await.json()["may"].clone(),
            None => serde_json::json!([]),
        };
        let verbs = may.as_array().unwrap().iter().map(|verb| verb.as_str().unwrap().to_owned()).collect();
        roles.push(Role { name, token, verbs });
    }
    roles
}

/// What comes of a call, by the answer that the API gives.
async fn cell(world: &World, role: &Role, method: &str, path: &str, access: Access) -> &'static str {
    let authorisation = role.token.as_ref().map(|token| format!("Bearer {token}"));
    let headers: Vec<(&str, &str)> = authorisation.iter().map(|value| ("Authorization", value.as_str())).collect();
    let status = world.send(method, path, &headers, "").await.status;
    match (status, access) {
        (401 | 403, _) => "-",
        (_, Access::Open | Access::Verb(_)) => "yes",
        (_, Access::Local(_)) => "here",
        (_, Access::CallerOr(verb)) if role.verbs.contains(verb.as_str()) => "yes",
        (_, Access::Caller | Access::Session | Access::CallerOr(_)) => "own",
    }
}

fn line(out: &mut String, what: &str, cells: &[&str]) {
    let shown: String = cells.iter().map(|cell| format!("{cell:<14}")).collect();
    writeln!(out, "{what:<46}{}", shown.trim_end()).unwrap();
}

async fn table(world: &World) -> String {
    let roles = roles(world).await;
    let mut out = HEADING.to_owned();
    out.push_str("\n## verbs\n\n");
    let names: Vec<&str> = roles.iter().map(|role| role.name).collect();
    line(&mut out, "", &names);
    for verb in AdminVerb::ALL {
        let cells = roles.iter().map(|role| if role.verbs.contains(verb.as_str()) { "yes" } else { "-" });
        line(&mut out, verb.as_str(), &cells.collect::<Vec<_>>());
    }
    out.push_str("\n## routes\n\n");
    line(&mut out, "", &names);
    for route in listed() {
        let mut cells = vec![];
        for role in &roles {
            cells.push(cell(world, role, route.method.as_str(), &path(route.path), route.access).await);
        }
        line(&mut out, &format!("{:<4} {}", route.method.as_str(), route.path), &cells);
    }
    out
}

#[tokio::test]
async fn every_role_reaches_what_was_reviewed() {
    // Only Sluice's own issuer is here: it stands for the company's.
    let shipped = format!("{ADMIN}\n{EXAMPLE}").replace("corp|", "sluice|");
    let world = World::start_with(Arc::new(TempDir::new().unwrap()), "", &shipped).await;
    let found = table(&world).await;
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/api/roles.txt");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(file, &found).unwrap();
    }
    let expected = std::fs::read_to_string(file).unwrap_or_default();
    for (found, expected) in found.lines().zip(expected.lines()) {
        assert_eq!(found, expected, "{file}");
    }
    assert_eq!(found.lines().count(), expected.lines().count(), "{file}");
}
