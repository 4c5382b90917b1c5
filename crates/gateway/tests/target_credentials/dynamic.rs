//! Users that a real OpenBao makes for a time: renewed while a session uses them, given back after, and followed by others.

use serde_json::json;
use testkit::openbao::OpenBao;
use testkit::wait::eventually_blocking;

use super::place::{LIMIT, Live, app_role, apply, is_recorded, is_refused, served_by, targets};
use crate::world::World;

const LEASE: &str = "password = { openbao = \"corp\", lease = \"database/creds/payments\" }";

fn roles(world: &World) -> Vec<String> {
    let rows =
        world.server.sql("postgres", "SELECT rolname FROM pg_roles WHERE rolname LIKE 'v-%' ORDER BY 1").unwrap();
    rows.lines().map(str::to_owned).collect()
}

fn wait_for(what: &str, mut is_so: impl FnMut() -> bool) {
    eventually_blocking(LIMIT, what, || Ok(is_so().then_some(()))).unwrap();
}

fn prepared(ttl: &str, max_ttl: &str) -> (World, OpenBao) {
    let (world, bao) = (World::start(200), OpenBao::start().unwrap());
    let members = [world.payments.login.user.as_str(), "testkit_scram"];
    bao.database(&world.server, "payments", &members, ttl, max_ttl).unwrap();
    let server = app_role(&world, &bao, "1h", "2h");
    apply(&world, &targets(&world, &server, LEASE));
    (world, bao)
}

#[test]
fn a_lease_is_renewed_while_it_is_used_and_the_next_one_follows_without_dropping_anybody() {
    let (world, _bao) = prepared("4s", "9s");
    let mut live = Live::open(&world);
    let first = live.ask("SELECT current_user");
    assert!(first.starts_with("v-"), "{first}");
    assert!(is_recorded(&world, "openbao:corp:database/creds/payments"));
    // Longer than it was given for, and it is the same for whoever comes meanwhile: it was renewed. Then it cannot be, and
    // others get another one.
    let began = std::time::Instant::now();
    wait_for("another user", || served_by(&world) != first);
    assert!(began.elapsed().as_secs() >= 4, "{:?}", began.elapsed());
    assert_eq!(live.ask("SELECT 'still here'"), "still here");
    live.close();
}

#[test]
fn what_is_not_used_is_given_back_and_all_of_it_when_sluice_stops() {
    let (world, _bao) = prepared("4s", "1h");
    served_by(&world);
    // The catalog's connection keeps it.
    let live = Live::open(&world);
    assert_eq!(roles(&world).len(), 1);
    live.close();
    world.stop();
    wait_for("the users to be gone", || roles(&world).is_empty());
}

#[test]
fn a_lease_that_its_administrator_revokes_is_followed_by_another_one() {
    let (world, bao) = prepared("1h", "2h");
    let first = served_by(&world);
    bao.done("PUT", "sys/leases/revoke-prefix/database/creds/payments", Some(&json!({ "sync": true }))).unwrap();
    wait_for("the user to be gone", || !roles(&world).contains(&first));
    let second = served_by(&world);
    assert_ne!(first, second);
    assert_eq!(roles(&world), [second]);
}

#[test]
fn without_its_server_a_lease_serves_until_it_ends_and_then_nothing_does() {
    let (world, bao) = prepared("4s", "1h");
    let first = served_by(&world);
    bao.hang().unwrap();
    assert_eq!(served_by(&world), first);
    let refused = || {
        let output = world.psql(&world.reader(), &["-X", "-c", "SELECT 1"]);
        output.stderr.contains("the target cannot be reached")
    };
    wait_for("the end of the lease", refused);
    is_refused(&world);
    bao.go_on().unwrap();
    wait_for("another user", || !refused());
}
