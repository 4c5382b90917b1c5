//! Who asks: what a caller has to show, and what it cannot pretend.

use anyhow::Result;
use model::event::Event;
use testkit::api::Options;

use crate::ground::{CALLER, Ground, Tuning};
use crate::support::record;
use crate::wire::Wire;

#[test]
fn whoever_shows_nothing_that_is_good_here_is_told_what_to_show() -> Result<()> {
    let ground = Ground::new()?;
    let other = ground.site.issuer().issue(testkit::issuer::Grant::new("erin").audience("another"))?;
    for field in [
        None,
        Some("Authorization: Basic ZXJpbjpwYXNz".to_owned()),
        Some("Authorization: Bearer nonsense".to_owned()),
        Some(format!("Authorization: Bearer {other}")),
    ] {
        let answer = ground.ask_as(field.as_deref(), "/echo", &[])?;
        answer.problem(401);
        assert!(answer.field("www-authenticate").is_some_and(|value| value.starts_with("Bearer ")), "{answer:?}");
    }
    assert_eq!(ground.api.reached()?, []);
    let instance = ground.ask_as(None, "/echo", &[])?.json()["instance"].as_str().unwrap_or_default().to_owned();
    record::wait_for(&ground.site, "the refusal", |event| {
        matches!(event, Event::SessionRefused { session, reason, .. }
            if instance.ends_with(&session.to_string()) && reason.contains("neither a token nor"))
    })?;
    Ok(())
}

#[test]
fn an_unknown_target_and_a_missing_permission_look_alike() -> Result<()> {
    let ground = Ground::new()?;
    let stranger = ground.ask(&["strangers"], "/echo", &[])?;
    let token = ground.token("erin", CALLER)?;
    let port = ground.site.process()?.address("http")?.port();
    let mut command = ground.curl(&["-D", "-", "-o", "-", "-H", &format!("Authorization: Bearer {token}")])?;
    command.arg(format!("https://127.0.0.1:{port}/nowhere"));
    let nowhere = crate::ground::answer(&testkit::command::run(command, b"")?)?;
    assert_eq!(stranger.problem(403), nowhere.problem(403));
    assert_eq!(ground.api.reached()?, []);
    Ok(())
}

#[test]
fn ht_01_what_says_who_a_caller_is_never_passes() -> Result<()> {
    let ground = Ground::new()?;
    let fields = [
        "X-Forwarded-User: root",
        "X_Forwarded_User: root",
        "x-forwarded-for: 10.0.0.1",
        "Forwarded: for=10.0.0.1",
        "X-Remote-User: root",
        "X-Original-URL: /hidden",
        "X-HTTP-Method-Override: DELETE",
        "Cookie: a=1; sluice_session=x",
        "Proxy-Authorization: Basic YTpi",
        "Sluice-Reason: a test",
        "X-Hop: 1",
        "Connection: X-Hop",
        "X-Passes: 1",
    ];
    for version in ["--http1.1", "--http2"] {
        let fields = fields.iter().filter(|field| version == "--http1.1" || !field.starts_with("Connection"));
        let mut arguments: Vec<&str> = fields.flat_map(|field| ["-H", field]).collect();
        arguments.push(version);
        assert_eq!(ground.ask(CALLER, "/echo", &arguments)?.status, 200);
    }
    let reached = ground.api.reached()?;
    for one in &reached {
        let mut names: Vec<&str> = one.fields.iter().map(|(name, _)| name.as_str()).collect();
        names.retain(|name| !["host", "accept", "user-agent", "accept-encoding"].contains(name));
        let with_two = one == &reached[1];
        let expected: &[&str] = if with_two { &["cookie", "x-hop", "x-passes"] } else { &["cookie", "x-passes"] };
        names.sort_unstable();
        assert_eq!(names, expected, "{one:?}");
        assert_eq!(one.field("cookie"), Some("a=1"));
    }
    Ok(())
}

#[test]
fn the_targets_credential_is_sluices_own_and_is_read_again_when_it_is_refused() -> Result<()> {
    let api = Options { bearer: true, ..Options::default() };
    let ground = Ground::tuned(Tuning { api, ..Tuning::default() })?;
    let bearer = format!("Authorization: Bearer {}", ground.token("erin", CALLER)?);
    // On one connection, between whose requests the target's token changes.
    let mut wire = Wire::connect(&ground)?;
    for token in ["first-token", "second-token"] {
        std::fs::write(ground.api.bearer_file(), token)?;
        wire.say(format!("GET /echo HTTP/1.1\r\nHost: localhost\r\n{bearer}\r\n\r\n").as_bytes())?;
        let text = wire.hear_answer()?;
        assert!(text.starts_with("HTTP/1.1 200") && text.contains(token), "{text}");
    }
    // A body that was not read whole is not sent twice: that request fails, and the next one does not.
    std::fs::write(ground.api.bearer_file(), "third-token")?;
    let mut asked = |body: &str, status: &str| -> Result<()> {
        let length = body.len();
        wire.say(
            format!("POST /echo HTTP/1.1\r\nHost: localhost\r\n{bearer}\r\nContent-Length: {length}\r\n\r\n{body}")
                .as_bytes(),
        )?;
        let text = wire.hear_answer()?;
        assert!(text.starts_with(&format!("HTTP/1.1 {status}")), "{text}");
        Ok(())
    };
    asked("body", "502")?;
    asked("body", "200")?;
    let used = record::events(&ground.site)?;
    let used = used.iter().filter(|event| matches!(event, Event::SecretUsed { session: Some(_), .. }));
    assert_eq!(used.count(), 3);
    for one in ground.api.reached()? {
        assert!(one.field("authorization").is_some_and(|value| value.ends_with("-token")), "{one:?}");
    }
    Ok(())
}
