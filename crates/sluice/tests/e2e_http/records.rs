//! What the record has of exchanges.

use anyhow::{Context, Result};
use model::event::Event;
use serde_json::Value;

use crate::ground::{CALLER, Ground, Tuning};
use crate::support::record;

const TRACE: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

/// Asks twice on one connection; the session.
fn two_exchanges(ground: &Ground) -> Result<String> {
    let bearer = format!("Authorization: Bearer {}", ground.token("erin", CALLER)?);
    let trace = format!("traceparent: {TRACE}");
    let mut command = ground.curl(&["-o", "/dev/null", "-H", &bearer, "-H", &trace, "-H", "X-Api-Token: hush"])?;
    let json = "Content-Type: application/json";
    let body = "{\"note\":\"paid with 4111111111111111\"}";
    command.args(["-H", json, "-d", body, &ground.url("/echo?access_token=hush&page=2")?]);
    testkit::command::run(command, b"")?.success()?;
    let opened = record::wait_for(&ground.site, "the session", |event| matches!(event, Event::SessionOpened { .. }))?;
    let Event::SessionOpened { session, subject, target, database, application, .. } = opened else { panic!() };
    assert_eq!((&*subject.key.id, &*target, &*application), ("erin", "shop", "http"));
    assert_eq!(*database, *ground.api.address().to_string());
    record::wait_for(
        &ground.site,
        "its end",
        |event| matches!(event, Event::SessionClosed { session: closed, tape: Some(_), .. } if *closed == session),
    )?;
    Ok(session.to_string())
}

#[test]
fn an_exchange_is_exported_as_a_har_as_its_caller_saw_it() -> Result<()> {
    let ground = Ground::new()?;
    let session = two_exchanges(&ground)?;
    let arguments = ["sessions", "export", &session, "--format", "har"];
    let har = ground.sluice_as("ada", &["sluice-admin"], &arguments)?.success()?;
    assert!(!har.contains("4111111111111111"), "{har}");
    let har: Value = serde_json::from_str(&har)?;
    let entry = &har["log"]["entries"][0];
    // The API tells the caller what it said, so that this alone has it.
    for secret in ["hush", "Bearer"] {
        assert!(!entry["request"].to_string().contains(secret), "{secret}: {entry}");
    }
    assert_eq!(entry["request"]["method"], "POST");
    let url = entry["request"]["url"].as_str().context("no URL")?;
    assert!(url.starts_with("https://localhost:") && url.ends_with("/echo?access_token=[secret]&page=2"), "{url}");
    assert!(
        entry["request"]["postData"]["text"].as_str().is_some_and(|text| text.contains("************1111")),
        "{entry}"
    );
    assert_eq!(entry["response"]["status"], 200);
    let shown = entry["response"]["content"]["text"].as_str().context("no body")?;
    assert!(shown.contains("************1111") && shown.contains("\"method\":\"POST\""), "{shown}");
    // As people see it, and as programs do.
    let replayed = ground.sluice_as("ada", &["sluice-admin"], &["sessions", "replay", &session])?.success()?;
    for part in ["POST /echo?access_token=[secret]&page=2", "answer on channel 1: 200", "************1111"] {
        assert!(replayed.contains(part), "{part}: {replayed}");
    }
    let lines = ground.sluice_as("ada", &["sluice-admin"], &["sessions", "export", &session])?.success()?;
    assert!(
        lines.lines().any(|line| line.contains("\"kind\": \"exchanged\"") && line.contains("\"status\": 200")),
        "{lines}"
    );
    Ok(())
}

#[test]
fn the_trace_of_a_request_is_in_the_journal_and_goes_on() -> Result<()> {
    let ground = Ground::new()?;
    two_exchanges(&ground)?;
    assert_eq!(ground.api.reached()?[0].field("traceparent"), Some(TRACE));
    let traced = |event: &Event| matches!(event, Event::Decided { traceparent: Some(trace), .. } if **trace == *TRACE);
    record::wait_for(&ground.site, "the trace", traced)?;
    Ok(())
}

#[test]
fn what_the_tape_has_not_of_a_body_is_declared() -> Result<()> {
    let ground = Ground::tuned(Tuning { target: "tape_body = \"1KiB\"\n".to_owned(), ..Tuning::default() })?;
    let answer = ground.ask(CALLER, "/large?bytes=200000", &[])?;
    assert_eq!((answer.status, answer.body.len()), (200, 200_000));
    let closed = record::wait_for(&ground.site, "the end", |event| matches!(event, Event::SessionClosed { .. }))?;
    let Event::SessionClosed { session, .. } = closed else { panic!() };
    let arguments = ["sessions", "export", &session.to_string(), "--format", "har"];
    let har: Value = serde_json::from_str(&ground.sluice_as("ada", &["sluice-admin"], &arguments)?.success()?)?;
    let content = &har["log"]["entries"][0]["response"]["content"];
    assert_eq!(content["size"], 200_000);
    let comment = content["comment"].as_str().context("nothing is said")?;
    assert!(comment.contains("of 200000 bytes; the SHA-256 of all is "), "{comment}");
    Ok(())
}

#[test]
fn a_query_is_masked_on_the_tape_wherever_it_stands() -> Result<()> {
    let ground = Ground::new()?;
    let answer = ground.ask(CALLER, "/located?note=4111+1111+1111+1111&page=3", &[])?;
    assert_eq!(answer.status, 302);
    let location = answer.field("location").context("no location")?;
    assert!(location.ends_with("page=2") && !location.contains("4111"), "{location}");
    let closed = record::wait_for(&ground.site, "the end", |event| matches!(event, Event::SessionClosed { .. }))?;
    let Event::SessionClosed { session, .. } = closed else { panic!() };
    let arguments = ["sessions", "export", &session.to_string(), "--format", "har"];
    let har = ground.sluice_as("ada", &["sluice-admin"], &arguments)?.success()?;
    assert!(har.contains("page=3") && har.contains("page=2") && !har.contains("4111"), "{har}");
    Ok(())
}

/// Sends a form of several parts, of which one is of this type; what the tape has of it.
fn taped_form(ground: &Ground, media: &str) -> Result<String> {
    let note = ground.folder.path().join("note");
    std::fs::write(&note, "again 5500005555555559")?;
    let file = format!("file=@{};type={media}", note.display());
    let parts = ["-F", "card=paid with 4111111111111111", "-F", &file, "-F", "last=behind"];
    assert_eq!(ground.ask(CALLER, "/echo", &parts)?.status, 200);
    let closed = record::wait_for(&ground.site, "the end", |event| matches!(event, Event::SessionClosed { .. }))?;
    let Event::SessionClosed { session, .. } = closed else { panic!() };
    let arguments = ["sessions", "export", &session.to_string(), "--format", "har"];
    let har: Value = serde_json::from_str(&ground.sluice_as("ada", &["sluice-admin"], &arguments)?.success()?)?;
    Ok(har["log"]["entries"][0]["request"]["postData"]["text"].as_str().unwrap_or_default().to_owned())
}

#[test]
fn a_form_of_several_parts_is_taped_part_by_part() -> Result<()> {
    let text = taped_form(&Ground::new()?, "text/plain")?;
    for part in ["name=\"card\"", "paid with ************1111", "again ************5559", "behind"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    Ok(())
}

#[test]
fn nothing_is_taped_from_the_first_part_on_that_cannot_be_masked() -> Result<()> {
    let text = taped_form(&Ground::new()?, "image/png")?;
    for part in ["4111111111111111", "5500005555555559", "behind"] {
        assert!(!text.contains(part), "{part}: {text}");
    }
    Ok(())
}
