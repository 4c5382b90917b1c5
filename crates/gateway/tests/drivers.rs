//! Drivers as people use them: what works directly works through Sluice, with the same results.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod world;

use std::sync::OnceLock;

use serde_json::Value;
use testkit::drivers::{Connection, run};
use world::World;

fn world() -> &'static World {
    static WORLD: OnceLock<World> = OnceLock::new();
    WORLD.get_or_init(|| World::start(2_000))
}

fn direct(script: &str) -> Value {
    let (server, login) = (&world().server, &world().payments.login);
    let connection = Connection {
        host: "127.0.0.1",
        port: server.port(),
        user: &login.user,
        password: &login.password,
        database: "payments",
        ca: &server.ca_certificate(),
        denied: "SELECT no_such_column FROM orders",
    };
    run(script, &connection).unwrap()
}

fn through_sluice(script: &str, token: &str) -> Value {
    let ca = world().node.layout().tls().join("ca.pem");
    let connection = Connection {
        host: "127.0.0.1",
        port: world().address.port(),
        user: "app",
        password: token,
        database: "payments",
        ca: &ca,
        denied: "SELECT no_such_column FROM orders",
    };
    run(script, &connection).unwrap()
}

/// Every scenario that differs, both ways.
fn differences(script: &str) -> Vec<String> {
    let everything = ["apps", "readers", "cashiers", "migrations", "cleared"];
    let token = world().token("driver", &everything);
    let (direct, through) = (direct(script), through_sluice(script, &token));
    let (direct, through) = (direct.as_object().unwrap(), through.as_object().unwrap());
    assert_eq!(direct.keys().collect::<Vec<_>>(), through.keys().collect::<Vec<_>>());
    let differ = direct.iter().filter(|(name, result)| through.get(*name) != Some(*result));
    differ
        .map(|(name, result)| format!("{name}\n  direct:  {result}\n  through: {}", through.get(name).unwrap()))
        .collect()
}

#[test]
fn psycopg_gets_what_it_gets_directly() {
    assert_eq!(differences("psycopg_client.py").join("\n"), "");
}

#[test]
fn asyncpg_gets_what_it_gets_directly() {
    assert_eq!(differences("asyncpg_client.py").join("\n"), "");
}

#[test]
fn sqlalchemy_gets_what_it_gets_directly() {
    assert_eq!(differences("sqlalchemy_client.py").join("\n"), "");
}
