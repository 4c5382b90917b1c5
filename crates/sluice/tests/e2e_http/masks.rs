//! What callers may see of answers.

use std::collections::BTreeMap;

use anyhow::Result;
use model::disclosure::Counts;
use model::event::Event;
use testkit::api::Options;

use crate::ground::{CALLER, CLEARED, Ground, Tuning};
use crate::support::record;

const CARD: &str = "4111111111111111";

#[test]
fn values_are_masked_by_their_place_and_by_what_they_are() -> Result<()> {
    for two in [false, true] {
        let ground = Ground::tuned(Tuning { api: Options { two, ..Options::default() }, ..Tuning::default() })?;
        let answer = ground.ask(CALLER, "/v1/customers/1", &[])?;
        let seen = answer.json();
        assert_eq!((&seen["card"]["number"], &seen["id"]), (&"************1111".into(), &1.into()), "{seen}");
        // By its place: nothing shows what it is.
        assert_ne!(seen["name"], "Ada");
        assert!(answer.body.contains("12345678901234567890"), "{answer:?}");
        assert!(!answer.body.contains(CARD) && !answer.body.contains("ada@example.com"), "{answer:?}");
        // What was said of the bytes does not hold.
        assert_ne!(answer.field("etag"), Some("\"strong\""));
        let clear = ground.ask(CLEARED, "/v1/customers/1", &[])?;
        assert_eq!((&clear.json()["card"]["number"], clear.field("etag")), (&CARD.into(), Some("\"strong\"")));
    }
    Ok(())
}

#[test]
fn ht_08_codings_are_taken_off_and_parts_are_not_asked_for() -> Result<()> {
    let ground = Ground::new()?;
    for path in ["/gzip", "/br"] {
        let answer = ground.ask(
            CALLER,
            path,
            &["-H", "Accept-Encoding: gzip, br, compress", "-H", "Range: bytes=0-9", "--compressed"],
        )?;
        assert_eq!(answer.json()["card"]["number"], "************1111", "{path}");
    }
    for one in ground.api.reached()? {
        assert_eq!((one.field("range"), one.field("accept-encoding")), (None, Some("gzip, br")), "{one:?}");
    }
    let answer = ground.ask(CALLER, "/compress", &[])?;
    let told = answer.problem(502);
    assert!(told.contains("content coding"), "{told}");
    Ok(())
}

#[test]
fn what_cannot_be_masked_is_not_shown() -> Result<()> {
    let ground = Ground::new()?;
    let told = ground.ask(CALLER, "/png", &[])?.problem(502);
    assert!(told.contains("media type"), "{told}");
    assert_eq!(ground.ask(CLEARED, "/png", &[])?.status, 200);
    // What is found out when the answer has begun cuts it.
    let bearer = format!("Authorization: Bearer {}", ground.token("erin", CALLER)?);
    let mut command = ground.curl(&["-H", &bearer])?;
    command.arg(ground.url("/broken")?);
    let output = testkit::command::run(command, b"")?;
    assert!(!output.status.success() && !output.stdout.contains("4111"), "{output:?}");
    let ground = Ground::tuned(Tuning { target: "unread = \"through\"\n".to_owned(), ..Tuning::default() })?;
    assert_eq!(ground.ask(CALLER, "/png", &[])?.status, 200);
    Ok(())
}

#[test]
fn ht_07_fields_of_an_answer_are_masked_or_do_not_pass() -> Result<()> {
    let ground = Ground::new()?;
    let answer = ground.ask(CALLER, "/fields", &[])?;
    assert_eq!(answer.field("x-note"), Some("paid with ************1111"));
    for name in ["alt-svc", "clear-site-data", "strict-transport-security"] {
        assert_eq!(answer.field(name), None, "{name}");
    }
    assert_ne!(answer.field("sluice-request"), Some("forged"));
    let redirected = ground.ask(CALLER, "/redirect", &[])?;
    assert_eq!((redirected.status, redirected.field("location")), (302, Some("/v1/customers/1")));
    let cookies: Vec<_> = redirected.fields.iter().filter(|(name, _)| name == "set-cookie").collect();
    assert_eq!(cookies.len(), 1, "{cookies:?}");
    assert_eq!(ground.api.reached()?.len(), 2, "a redirect is never followed");
    Ok(())
}

#[test]
fn what_an_answer_gave_away_is_in_the_record() -> Result<()> {
    let ground = Ground::new()?;
    let mut counted = BTreeMap::new();
    for (groups, clear, masked) in [(CALLER, 0, 1), (CLEARED, 1, 0)] {
        let request = ground.ask(groups, "/v1/customers/1", &[])?.field("sluice-request").unwrap().to_owned();
        let completed = record::wait_for(
            &ground.site,
            "the end",
            |event| matches!(event, Event::Completed { request: completed, .. } if completed.to_string() == request),
        )?;
        let Event::Completed { disclosure, error: None, .. } = completed else { panic!("{completed:?}") };
        assert_eq!(disclosure.classes["card_number"], Counts { clear, masked }, "{disclosure:?}");
        assert_eq!(disclosure.classes["person_name"], Counts { clear, masked }, "{disclosure:?}");
        counted.insert(request, disclosure);
    }
    assert_eq!(counted.len(), 2);
    Ok(())
}

#[test]
fn ht_08_no_digest_of_what_was_hidden_trails_an_answer() -> Result<()> {
    let ground = Ground::new()?;
    for (groups, is_hidden) in [(CALLER, true), (CLEARED, false)] {
        // Behind the body curl tells of what trails it, which by HTTP/1.1 nothing does that was not announced.
        let bearer = format!("Authorization: Bearer {}", ground.token("erin", groups)?);
        let mut command = ground.curl(&["-D", "-", "-o", "-", "--http2", "-H", "TE: trailers", "-H", &bearer])?;
        command.arg(ground.url("/digests")?);
        let said = testkit::command::run(command, b"")?.success()?.to_lowercase();
        let (_, said) = said.split_once("\r\n\r\n").unwrap_or_else(|| panic!("{said}"));
        let (body, trailers) = said.split_once("x-checked").unwrap_or_else(|| panic!("{said}"));
        assert_eq!(body.contains(CARD), !is_hidden, "{said}");
        assert!(trailers.starts_with(": yes"), "{said}");
        assert_eq!(trailers.contains("digest") || trailers.contains("md5"), !is_hidden, "{said}");
    }
    Ok(())
}
