//! What an application does on day one, through a whole gateway in this process.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod world;

use world::World;

#[test]
fn a_reader_sees_rows_with_what_is_classified_masked() {
    let world = World::start(2_000);
    let token = world.reader();
    assert_eq!(world.rows(&token, "SELECT 1").trim(), "1");
    let direct = world.server.sql("payments", "SELECT count(*) FROM orders").unwrap();
    assert_eq!(world.rows(&token, "SELECT count(*) FROM orders").trim(), direct.trim());
    let cards = world.rows(&token, "SELECT number FROM cards ORDER BY id LIMIT 3");
    for card in cards.lines() {
        assert!(card.starts_with("************") && card.len() == 16, "{card}");
    }
}
