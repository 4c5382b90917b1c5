//! What ends live requests: people, policies, time, and the end of Sluice itself.

use std::time::Duration;

use anyhow::Result;
use model::event::Event;
use serde_json::json;
use testkit::issuer::Grant;
use testkit::wait::eventually_blocking;

use crate::ground::{CALLER, CLEARED, Ground, Tuning};
use crate::support::{LIMIT, admin, record};
use crate::wire::Wire;

/// A stream of events that somebody reads, after its first.
fn reading(ground: &Ground, token: &str) -> Result<Wire> {
    let mut wire = Wire::connect(ground)?;
    wire.say(format!("GET /events HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n\r\n").as_bytes())?;
    let first = wire.hear_until("}\n\n")?;
    assert!(first.starts_with("HTTP/1.1 200") && first.contains("1111\"}"), "{first}");
    Ok(wire)
}

/// Fails unless the stream is cut, and not ended.
#[track_caller]
fn assert_cut(ground: &Ground, mut wire: Wire) {
    let rest = wire.hear_until("\r\n0\r\n\r\n").unwrap_or_default();
    assert!(!rest.contains("0\r\n\r\n"), "{rest}");
    eventually_blocking(LIMIT, "the target's end of it", || Ok((ground.api.closed("/events")? > 0).then_some(())))
        .unwrap();
}

#[test]
fn events_come_as_they_happen_and_a_stream_ends_with_its_target() -> Result<()> {
    let ground = Ground::new()?;
    let mut wire = reading(&ground, &ground.token("erin", CALLER)?)?;
    ground.ask(CALLER, "/emit", &[])?;
    assert!(wire.hear_until("\"more\":true")?.contains("\"more\":true"));
    ground.ask(CALLER, "/finish", &[])?;
    assert!(wire.hear_until("0\r\n\r\n")?.contains("0\r\n\r\n"));
    Ok(())
}

#[test]
fn an_administrator_ends_a_session_and_what_it_reads() -> Result<()> {
    let ground = Ground::new()?;
    let wire = reading(&ground, &ground.token("erin", CALLER)?)?;
    let sessions = ground.sessions()?;
    let [session] = sessions.as_slice() else { panic!("{sessions:?}") };
    ground.sluice_as("ada", &["sluice-admin"], &["sessions", "kill", session])?.success()?;
    assert_cut(&ground, wire);
    record::wait_for(&ground.site, "the end", |event| {
        matches!(event, Event::SessionClosed { session: closed, reason, .. }
            if closed.to_string() == *session && reason.contains("by an administrator"))
    })?;
    Ok(())
}

#[test]
fn a_policy_that_denies_what_is_read_cuts_it_and_another_does_not() -> Result<()> {
    let ground = Ground::new()?;
    let mut wire = reading(&ground, &ground.token("erin", CALLER)?)?;
    ground.site.write_policy(
        "30-other.cedar",
        Some("@id(\"other\") permit(principal in Group::\"none\", action, resource);"),
    )?;
    ground.ask(CALLER, "/emit", &[])?;
    assert!(wire.hear_until("\"more\":true")?.contains("\"more\":true"));
    let denies =
        "@id(\"no-events\") forbid(principal, action, resource is HttpRoute) when { resource.path == \"/events\" };";
    ground.site.write_policy("30-other.cedar", Some(denies))?;
    assert_cut(&ground, wire);
    Ok(())
}

#[test]
fn a_policy_that_shows_less_cuts_what_showed_more() -> Result<()> {
    let ground = Ground::new()?;
    let wire = reading(&ground, &ground.token("erin", CLEARED)?)?;
    let hides =
        "@id(\"hide\") forbid(principal, action == Action::\"reveal\", resource == DataClass::\"card_number\");";
    ground.site.write_policy("30-hide.cedar", Some(hides))?;
    assert_cut(&ground, wire);
    Ok(())
}

#[test]
fn a_credential_that_ends_or_is_revoked_takes_what_is_read_with_it() -> Result<()> {
    let ground = Ground::new()?;
    let short = Grant::new("erin").groups(CALLER.iter().copied()).lifetime(Duration::from_secs(3));
    let wire = reading(&ground, &ground.site.issuer().issue(short)?)?;
    assert_cut(&ground, wire);
    let token = ground.token("frank", CALLER)?;
    let wire = reading(&ground, &token)?;
    let administrator = ground.token("ada", &["sluice-admin"])?;
    let revoked = json!({ "subject": "demo|frank", "reason": "a test" });
    let (status, answer) = admin::call(&ground.site, &administrator, "POST", "/v1/revocations", Some(&revoked))?;
    assert!((200..300).contains(&status), "{answer}");
    assert_cut(&ground, wire);
    ground.ask_as(Some(&format!("Authorization: Bearer {token}")), "/echo", &[])?.problem(401);
    Ok(())
}

#[test]
fn a_caller_that_goes_away_ends_what_its_target_does() -> Result<()> {
    let ground = Ground::new()?;
    let mut wire = Wire::connect(&ground)?;
    let token = ground.token("erin", CALLER)?;
    wire.say(format!("GET /hold HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n\r\n").as_bytes())?;
    ground.wait_for_reached(1)?;
    drop(wire);
    eventually_blocking(LIMIT, "the target's end of it", || Ok((ground.api.closed("/hold")? > 0).then_some(())))?;
    record::wait_for(
        &ground.site,
        "the end",
        |event| matches!(event, Event::Completed { error: Some(error), .. } if error.contains("the caller went away")),
    )?;
    Ok(())
}

#[test]
fn a_session_that_begins_while_its_connection_ends_has_an_end() -> Result<()> {
    let mut ground = Ground::new()?;
    let token = ground.token("erin", CALLER)?;
    let request = format!("GET /echo HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n\r\n");
    for _ in 0..40 {
        let mut wire = Wire::connect(&ground)?;
        // What is not read when a connection is closed has it reset, and what was said with it.
        wire.say(b"GET /echo HTTP/1.1\r\nHost: localhost\r\n\r\n")?;
        assert!(wire.hear_answer()?.starts_with("HTTP/1.1 401"));
        wire.say(request.as_bytes())?;
        drop(wire);
    }
    ground.ask(CALLER, "/echo", &[])?;
    assert_eq!(ground.site.stop()?, 0);
    let events = record::events(&ground.site)?;
    let count = |is_it: fn(&Event) -> bool| events.iter().filter(|event| is_it(event)).count();
    let opened = count(|event| matches!(event, Event::SessionOpened { .. }));
    assert!(opened > 1, "{opened}");
    assert_eq!(opened, count(|event| matches!(event, Event::SessionClosed { tape: Some(_), .. })));
    Ok(())
}

#[test]
fn sluice_stops_once_what_runs_is_answered_or_its_time_is_over() -> Result<()> {
    let sluice_toml = "\n[sessions]\ndrain = \"2s\"\n".to_owned();
    let mut ground = Ground::tuned(Tuning { sluice_toml, ..Tuning::default() })?;
    let wire = reading(&ground, &ground.token("erin", CALLER)?)?;
    assert_eq!(ground.site.stop()?, 0);
    assert_cut(&ground, wire);
    let events = record::events(&ground.site)?;
    assert!(events.iter().any(|event| {
        matches!(event, Event::SessionClosed { reason, tape: Some(_), .. } if reason.contains("stopping"))
    }));
    assert!(matches!(events.last(), Some(Event::Stopped)), "{:?}", events.last());
    Ok(())
}

#[test]
fn sessions_of_several_callers_share_a_connection_and_end_apart() -> Result<()> {
    let ground = Ground::new()?;
    let mut wire = Wire::connect(&ground)?;
    for subject in ["erin", "frank", "erin"] {
        let token = ground.token(subject, CALLER)?;
        wire.say(format!("GET /echo HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n\r\n").as_bytes())?;
        let answer = wire.hear_answer()?;
        assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("\"method\":\"GET\""), "{answer}");
    }
    assert_eq!(ground.sessions()?.len(), 2, "a new token of the same caller is no other session");
    Ok(())
}

#[test]
fn a_policy_that_comes_while_the_target_thinks_lets_nothing_of_its_answer_out() -> Result<()> {
    let ground = Ground::new()?;
    let mut wire = Wire::connect(&ground)?;
    let token = ground.token("erin", CALLER)?;
    wire.say(format!("GET /hold HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n\r\n").as_bytes())?;
    ground.wait_for_reached(1)?;
    let denies = "@id(\"no-hold\") forbid(principal, action, resource is HttpRoute) \
                  when { resource.path == \"/hold\" || resource.path == \"/probe\" };";
    ground.site.write_policy("30-other.cedar", Some(denies))?;
    eventually_blocking(
        LIMIT,
        "the revision",
        || Ok((ground.ask(CALLER, "/probe", &[])?.status == 403).then_some(())),
    )?;
    ground.ask(CALLER, "/release", &[])?;
    let said = wire.hear_answer()?;
    assert!(said.starts_with("HTTP/1.1 503") && !said.contains("held"), "{said}");
    Ok(())
}

#[test]
fn what_is_judged_again_still_has_its_callers_reason() -> Result<()> {
    let policies = "@id(\"say-why\") forbid(principal, action, resource is HttpRoute) \
                    when { resource.path == \"/events\" } unless { context has reason && context.reason == \"INC-42\" };";
    let ground = Ground::tuned(Tuning { policies: policies.to_owned(), ..Tuning::default() })?;
    ground.ask(CALLER, "/events", &[])?.problem(403);
    let mut wire = Wire::connect(&ground)?;
    let token = ground.token("erin", CALLER)?;
    let head = format!("GET /events HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n");
    wire.say(format!("{head}Sluice-Reason: INC-42\r\n\r\n").as_bytes())?;
    assert!(wire.hear_until("}\n\n")?.starts_with("HTTP/1.1 200"));
    let other =
        "@id(\"no-probe\") forbid(principal, action, resource is HttpRoute) when { resource.path == \"/probe\" };";
    ground.site.write_policy("30-other.cedar", Some(other))?;
    eventually_blocking(
        LIMIT,
        "the revision",
        || Ok((ground.ask(CALLER, "/probe", &[])?.status == 403).then_some(())),
    )?;
    ground.ask(CALLER, "/emit", &[])?;
    assert!(wire.hear_until("\"more\":true")?.contains("\"more\":true"));
    ground.ask(CALLER, "/finish", &[])?;
    assert!(wire.hear_until("0\r\n\r\n")?.contains("0\r\n\r\n"));
    Ok(())
}
