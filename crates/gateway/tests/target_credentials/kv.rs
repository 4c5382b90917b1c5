//! Passwords in the KV engine of a real OpenBao: read at each use, rotated under load, and refused when they cannot be had.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use model::event::Event;
use serde_json::json;
use testkit::openbao::OpenBao;

use super::place::{LIMIT, app_role, apply, events, is_nowhere, is_recorded, is_refused, private, served_by, targets};
use crate::world::World;

const KV: &str =
    "password = { openbao = \"corp\", kv = \"secret/data/payments\", field = \"pw\", user_field = \"user\" }";

/// Makes this the password of the target's user, there and in the secret.
fn rotate(world: &World, bao: &OpenBao, password: &str) {
    let user = &world.payments.login.user;
    world.server.sql("postgres", &format!("ALTER ROLE {user} PASSWORD '{password}'")).unwrap();
    tell(world, bao, password);
}

fn tell(world: &World, bao: &OpenBao, password: &str) {
    let secret = json!({ "data": { "user": world.payments.login.user, "pw": password } });
    bao.done("POST", "secret/data/payments", Some(&secret)).unwrap();
}

#[test]
fn a_password_of_openbao_is_read_at_each_use_and_rotated_under_load() {
    let (world, bao) = (World::start(200), OpenBao::start().unwrap());
    tell(&world, &bao, &world.payments.login.password);
    let server = app_role(&world, &bao, "1h", "2h");
    apply(&world, &targets(&world, &server, KV));
    assert_eq!(served_by(&world), world.payments.login.user);
    assert!(is_recorded(&world, "openbao:corp:secret/data/payments#pw"));
    let (stop, served) = (AtomicBool::new(false), AtomicUsize::new(0));
    let token = world.token("migrator", &["apps", "readers", "migrations", "cleared"]);
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                while !stop.load(Ordering::SeqCst) {
                    let output = world.psql(&token, &["-X", "-A", "-t", "-c", "SELECT count(*) FROM orders"]);
                    assert!(output.status.success(), "{output:?}");
                    served.fetch_add(1, Ordering::SeqCst);
                }
            });
        }
        let mut live = super::place::Live::open(&world);
        for round in 0..4 {
            let before = served.load(Ordering::SeqCst);
            let changed = || Ok((served.load(Ordering::SeqCst) >= before + 3).then_some(()));
            testkit::wait::eventually_blocking(LIMIT, "sessions", changed).unwrap();
            rotate(&world, &bao, &format!("rotated-{round}-of-the-test"));
        }
        stop.store(true, Ordering::SeqCst);
        // The session that lived all the while goes on.
        assert_eq!(live.ask("SELECT 'alive'"), "alive");
        live.close();
    });
    for round in 0..4 {
        is_nowhere(&world, &format!("rotated-{round}-of-the-test"));
    }
}

#[test]
fn a_password_that_the_target_refuses_is_read_once_more() {
    let (world, bao) = (World::start(200), OpenBao::start().unwrap());
    let token = private(&world, "bao-token", bao.root_token());
    tell(&world, &bao, "not-the-password");
    let server = format!(
        "[[openbao]]\nname = \"corp\"\nurl = \"{}\"\nauth = {{ token = {{ file = \"{}\" }} }}\n",
        bao.url(),
        token.display()
    );
    apply(&world, &targets(&world, &server, KV));
    is_refused(&world);
    let uses = |of: &str| {
        let is_use = |event: &Event| matches!(event, Event::SecretUsed { target, .. } if **target == *of);
        events(&world).into_iter().filter(is_use).count()
    };
    let before = (uses("payments"), uses("openbao:corp"));
    is_refused(&world);
    // By the catalog's connection, twice and no more: the session was refused there. What proves Sluice to OpenBao is used
    // at each read, and a rotation is given three more of them.
    assert_eq!((uses("payments") - before.0, uses("openbao:corp") - before.1), (2, 5));
    tell(&world, &bao, &world.payments.login.password);
    served_by(&world);
}

#[test]
fn without_openbao_nobody_gets_in_and_whoever_is_in_stays() {
    let (world, bao) = (World::start(200), OpenBao::start().unwrap());
    tell(&world, &bao, &world.payments.login.password);
    let server = app_role(&world, &bao, "1h", "2h");
    apply(&world, &targets(&world, &server, KV));
    served_by(&world);
    // Hung, and back.
    bao.hang().unwrap();
    is_refused(&world);
    bao.go_on().unwrap();
    served_by(&world);
    // Its token revoked behind its back: it logs in again.
    let (_, accessors) = bao.call("LIST", "auth/token/accessors", None).unwrap();
    let accessors = accessors.pointer("/data/keys").unwrap().as_array().unwrap().clone();
    for accessor in accessors {
        let looked = bao.call("POST", "auth/token/lookup-accessor", Some(&json!({ "accessor": accessor }))).unwrap();
        if looked.1.pointer("/data/path").and_then(serde_json::Value::as_str) == Some("auth/approle/login") {
            bao.done("POST", "auth/token/revoke-accessor", Some(&json!({ "accessor": accessor }))).unwrap();
        }
    }
    served_by(&world);
    // No longer permitted, and permitted again.
    bao.done(
        "PUT",
        "sys/policies/acl/sluice",
        Some(&json!({ "policy": "path \"other\" { capabilities = [\"read\"] }" })),
    )
    .unwrap();
    is_refused(&world);
    let policy = json!({ "policy": "path \"secret/data/*\" { capabilities = [\"read\"] }" });
    bao.done("PUT", "sys/policies/acl/sluice", Some(&policy)).unwrap();
    served_by(&world);
    // The secret has no such field any more.
    bao.done("POST", "secret/data/payments", Some(&json!({ "data": { "other": "x" } }))).unwrap();
    is_refused(&world);
    tell(&world, &bao, &world.payments.login.password);
    served_by(&world);
    // Sealed, then gone.
    bao.done("PUT", "sys/seal", None).unwrap();
    is_refused(&world);
    drop(bao);
    is_refused(&world);
    is_nowhere(&world, &world.payments.login.password);
}
