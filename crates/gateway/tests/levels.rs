//! At which level a decision has to be in the journal before it is forwarded: what waits for an fdatasync and what does not,
//! by the target's setting and by what the request does (docs/operating/durability.md).
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests fail so")]

mod world;

use std::io::Write;
use std::sync::Arc;

use world::World;
use world::client::Client;
use world::disk::{Fault, TestDisk};

/// What a request that could not be recorded is told.
const NOT_RECORDED: &str = "ERROR:  58030";

const READ: &str = "SELECT total IS NULL FROM orders WHERE id = 1 /* asked */";
const MASKED: &str = "SELECT email FROM customers WHERE id = 1 /* asked */";
const CARD: &str = "SELECT number FROM cards WHERE id = 1 /* asked */";
const COPIED: &str = "COPY (SELECT number FROM cards WHERE id = 1 /* asked */) TO STDOUT";
const WRITE: &str = "UPDATE orders SET total = total WHERE id = 1 /* asked */";

fn world(disk: &TestDisk, durability: &str) -> World {
    World::start_on(Arc::new(disk.clone()), 10, |_, _, dir| {
        let mut file = std::fs::File::options().append(true).open(dir.join("sluice.toml")).unwrap();
        file.write_all(b"[journal]\nwait_deadline = \"1s\"\n").unwrap();
        let targets = dir.join("revision/targets.toml");
        let text = std::fs::read_to_string(&targets).unwrap();
        let with = text.replacen("[payments]\n", &format!("[payments]\ndurability = \"{durability}\"\n"), 1);
        assert_ne!(text, with, "{text}");
        std::fs::write(&targets, with).unwrap();
    })
}

/// Whether each statement waits for the disk to sync.
fn waits(durability: &str, groups: &[&str], statements: &[(&str, bool)]) {
    let disk = TestDisk::only("journal");
    let (world, _healed) = (world(&disk, durability), disk.healed());
    let token = world.token("somebody", &[&["apps", "readers", "cashiers"], groups].concat());
    let mut clients: Vec<Client> = statements.iter().map(|_| Client::connect(&world, &token)).collect();
    // What the session reads for itself at its first statement is not what this is about.
    clients.iter_mut().for_each(|client| assert_eq!(client.ask("SELECT 1"), "1"));
    let before = world.server.statement_log().unwrap().len();
    disk.fail(Fault::SyncsHang);
    for ((statement, waits), client) in statements.iter().zip(&mut clients) {
        let answer = client.ask(statement);
        assert!(*waits || !answer.starts_with("ERROR"), "{statement}: {answer}");
        assert_eq!(answer == NOT_RECORDED, *waits, "{durability}, {groups:?}: {statement}: {answer}");
    }
    let log = world.server.statement_log().unwrap();
    let asked = log.iter().skip(before).filter(|logged| logged.text.contains("asked")).count();
    assert_eq!(asked, statements.iter().filter(|(_, waits)| !waits).count(), "what waits in vain is not forwarded");
}

#[test]
fn at_power_everything_waits() {
    waits("power", &[], &[(READ, true)]);
}

#[test]
fn at_process_nothing_waits() {
    waits("process", &["cleared"], &[(READ, false), (CARD, false), (WRITE, false)]);
}

#[test]
fn by_default_writes_wait_and_reads_that_show_nothing_classified_do_not() {
    waits("auto", &[], &[(READ, false), (MASKED, false), (WRITE, true)]);
}

#[test]
fn by_default_a_read_that_may_show_a_class_in_clear_waits() {
    waits("auto", &["cleared"], &[(READ, false), (CARD, true)]);
    // By itself: where one has waited in vain, all wait.
    waits("auto", &["cleared"], &[(READ, false), (COPIED, true)]);
}
