//! What is too long for one entry of the journal (RX-06): the record shortens what it can, and what is longer all the same
//! is refused as too large, not as a failing disk.

use anyhow::{Context, Result};
use model::decision::Outcome;
use model::event::{Event, Shown};
use testkit::demo::site::{ORDER_SERVICE, Tuning};
use testkit::interposed::Lie;
use testkit::scripted::row_description;

use super::hostile::{holds, in_front_of};
use crate::support::oracle::Watched;
use crate::support::raw::{Answer, Raw, bind, execute, field, parse, sync};
use crate::support::record::{events, wait_for};
use crate::support::{CLEARED, prepare, site, token};

/// Longer than what the record shows of one value.
const LENGTH: usize = 300;

fn constants(count: usize) -> String {
    vec![format!("'{}'", "x".repeat(LENGTH)); count].join(", ")
}

/// The values of every decision with this outcome.
fn decided(events: &[Event], wanted: Outcome) -> Vec<&[Shown]> {
    let values = |event| match event {
        &Event::Decided { ref values, outcome, .. } if outcome == wanted => Some(values.as_slice()),
        _ => None,
    };
    events.iter().filter_map(values).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn rx_06_values_beyond_what_an_entry_holds_are_recorded_by_their_length() -> Result<()> {
    let site = site("values", Tuning::default())?;
    let mut client = Raw::login(&site, &site.token(&CLEARED)?).await?;
    let row = client.simple(&format!("SELECT {}", constants(300))).await?;
    assert_eq!((row.errors(), row.rows().first().map(Vec::len)), (Vec::new(), Some(300)));
    // As parameters, as an application that writes many rows at once sends them.
    let (given, places) = (vec!["y".repeat(LENGTH); 300], (1..=300).map(|at| format!("${at}::text")));
    let given: Vec<&str> = given.iter().map(String::as_str).collect();
    let sql = format!("SELECT {}", places.collect::<Vec<_>>().join(", "));
    let row = client.exchange(&[parse("", &sql), bind("", "", &given, 0), execute("", 0), sync()]).await?;
    assert_eq!(row.errors(), Vec::<String>::new());
    let recorded = events(&site)?;
    let long: Vec<_> = decided(&recorded, Outcome::Allow).into_iter().filter(|values| values.len() == 256).collect();
    assert_eq!(long.len(), 2, "both are in the journal");
    for values in long {
        assert!(matches!(values.first(), Some(Shown::Clear(text)) if text.len() == 256), "{:?}", values.first());
        assert_eq!(values.last(), Some(&Shown::Length(256)));
    }
    Ok(())
}

/// Before, the refusal of a text that was made long enough left no trace.
#[tokio::test(flavor = "multi_thread")]
async fn rx_06_a_long_text_is_no_way_to_be_refused_without_a_trace() -> Result<()> {
    let site = site("traceless", Tuning::default())?;
    let mut client = Raw::login(&site, &site.token(&ORDER_SERVICE)?).await?;
    let many = format!("SELECT '{}';", "x".repeat(LENGTH)).repeat(990);
    for sql in [format!("DROP TABLE orders; {many}"), format!("DROP TABLE {}", vec!["t".repeat(60); 5000].join(", "))] {
        assert_eq!(client.simple(&sql).await?.errors(), ["42501"]);
    }
    assert_eq!(client.simple(&many).await?.errors(), Vec::<String>::new());
    let recorded = events(&site)?;
    assert_eq!(decided(&recorded, Outcome::Deny).len(), 2);
    assert!(!recorded.iter().any(|event| matches!(event, Event::Gap { .. })));
    Ok(())
}

fn told(answer: &Answer) -> String {
    answer.0.iter().filter_map(|message| field(message, b'M')).collect()
}

/// Approvers and the record see a question whole, or it is not asked.
#[tokio::test(flavor = "multi_thread")]
async fn rx_06_a_question_that_has_no_room_in_the_record_is_54000_and_is_not_asked() -> Result<()> {
    let site = site("question", Tuning::default())?;
    let mut client = Raw::login(&site, &site.token(&ORDER_SERVICE)?).await?;
    client.simple("BEGIN").await?;
    let list = vec!["0"; 50_000].join(",");
    let answer = client.simple(&format!("DELETE FROM payments WHERE id IN ({list})")).await?;
    assert_eq!(answer.errors(), ["54000"]);
    assert!(told(&answer).contains("65535 bytes"), "{}", told(&answer));
    client.simple("ROLLBACK").await?;
    // The session goes on, and so does asking.
    client.simple("BEGIN").await?;
    assert_eq!(client.simple("DELETE FROM payments WHERE id IN (0, 0)").await?.errors(), ["42501"]);
    client.simple("ROLLBACK").await?;
    wait_for(&site, "the question", |event| matches!(event, Event::ApprovalAsked { .. }))?;
    let recorded = events(&site)?;
    assert_eq!(recorded.iter().filter(|event| matches!(event, Event::ApprovalAsked { .. })).count(), 1);
    assert_eq!(decided(&recorded, Outcome::Deny).len(), 1, "the one that was not asked is in the journal");
    Ok(())
}

/// A server has 1664 columns at most: more of them are a lie, and end that session alone.
#[tokio::test(flavor = "multi_thread")]
async fn rx_06_an_answer_of_tens_of_thousands_of_columns_ends_its_session_alone() -> Result<()> {
    let lie = |message: &testkit::scripted::Message| match holds(message, "wide-") {
        true if holds(message, "wide-1664") => Lie::Once(row_description(&vec!["c"; 1664])),
        true => Lie::Once(row_description(&vec!["c"; if holds(message, "wide-1665") { 1665 } else { 60_000 }])),
        false => Lie::None,
    };
    let (site, _interposer) = in_front_of("columns", lie).await?;
    let token = site.token(&ORDER_SERVICE)?;
    let mut bystander = Raw::login(&site, &token).await?;
    for columns in [1665, 60_000] {
        let mut client = Raw::login(&site, &token).await?;
        client.send(&[testkit::scripted::query(&format!("SELECT 'wide-{columns}'"))]).await?;
        assert_eq!(client.end().await?.as_deref(), Some("08006"), "{columns} columns");
    }
    let mut client = Raw::login(&site, &token).await?;
    client.send(&[testkit::scripted::query("SELECT 'wide-1664'")]).await?;
    assert_eq!(client.peer.read_message().await?.tag, b'T', "as many as there can be");
    assert_eq!(bystander.simple("SELECT 2").await?.column(), ["2"]);
    Ok(())
}

/// What a real server says to a statement of as many columns reaches the caller.
#[tokio::test(flavor = "multi_thread")]
async fn rx_06_a_statement_of_tens_of_thousands_of_columns_is_the_servers_own_error() -> Result<()> {
    let site = site("columns_asked", Tuning::default())?;
    let mut client = Raw::login(&site, &site.token(&ORDER_SERVICE)?).await?;
    let answer = client.simple(&format!("SELECT id{} FROM orders", ", id".repeat(20_000))).await?;
    assert_eq!(answer.errors(), ["54011"], "{}", told(&answer));
    assert_eq!(client.simple(&format!("SELECT id{} FROM orders LIMIT 1", ", id".repeat(1663))).await?.rows().len(), 1);
    Ok(())
}

/// As many groups as there may be, one more, and as many that have no room in the entry of a session's begin.
#[tokio::test(flavor = "multi_thread")]
async fn rx_07_groups_beyond_measure_are_refused_at_the_login() -> Result<()> {
    const PREFIX: &str = "an-alias-of-thirty-two-letters--";
    let mut site = Watched::new(prepare("groups", Tuning::default())?)?;
    let config = std::fs::read_to_string(site.config())?;
    // Groups of this issuer have its alias in front, but for one.
    let config = config.replace("alias = \"demo\"", &format!("alias = \"{PREFIX}\""));
    std::fs::write(site.config(), config.replace("bare_groups = \"*\"", "bare_groups = [\"payments-apps\"]"))?;
    site.start()?;
    let login = async |count: usize, length: usize| {
        let names = (1..count).map(|at| format!("{at:0length$}")).chain(["payments-apps".to_owned()]);
        let names: Vec<String> = names.collect();
        let groups: Vec<&str> = names.iter().map(String::as_str).collect();
        Raw::login(&site, &token(&site, "many", &groups)?).await
    };
    let mut client = login(1000, 20).await?;
    assert_eq!(client.simple("SELECT count(*) > 0 FROM orders").await?.column(), ["t"]);
    assert_eq!(client.simple("DROP TABLE orders").await?.errors(), ["42501"]);
    for (count, length, state) in [(1001, 20, "28000"), (1000, 40, "54000")] {
        let refused = login(count, length).await.err().context("it was let in")?.to_string();
        assert!(refused.contains(state), "{count} groups of {length}: {refused}");
    }
    // Longer than a password may be: it is not read, so that what is said of it may be lost with the connection.
    assert!(login(1000, 200).await.is_err());
    assert_eq!(client.simple("SELECT 1").await?.column(), ["1"]);
    Ok(())
}
