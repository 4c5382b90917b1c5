//! What policy denies, and what a human has to agree to.

use std::process::{Child, Stdio};

use anyhow::Result;
use model::decision::Outcome;
use model::event::Event;

use crate::ground::{Answer, CALLER, Ground, Tuning, answer};
use crate::support::{admin, record};

const REFUND: &[&str] = &["-X", "POST", "-H", "Content-Type: application/json", "-d", "{\"amount\":5}"];

#[test]
fn what_is_denied_does_not_reach_the_target_and_the_connection_lives_on() -> Result<()> {
    let ground = Ground::new()?;
    let answer = ground.ask(CALLER, "/v1/customers/1", &["-X", "DELETE"])?;
    let told = answer.problem(403);
    assert!(told.starts_with("Customers are not deleted from here (policy nobody-deletes)."), "{told}");
    let request = answer.field("sluice-request").unwrap().to_owned();
    record::wait_for(
        &ground.site,
        "the denial",
        |event| matches!(event, Event::Decided { request: denied, outcome: Outcome::Deny, .. } if denied.to_string() == request),
    )?;
    // Both on one connection.
    let bearer = format!("Authorization: Bearer {}", ground.token("erin", CALLER)?);
    let mut command = ground.curl(&["-o", "/dev/null", "-w", "%{http_code} %{num_connects}\n", "-H", &bearer])?;
    let (hidden, echo) = (ground.url("/hidden/x")?, ground.url("/echo")?);
    command.args([&hidden, "-o", "/dev/null", &echo]);
    assert_eq!(testkit::command::run(command, b"")?.success()?, "403 1\n200 0\n");
    assert_eq!(ground.api.reached()?.len(), 1);
    Ok(())
}

#[test]
fn a_ticket_is_for_the_same_request_later_and_once() -> Result<()> {
    let ground = Ground::new()?;
    let first = ground.ask(CALLER, "/v1/refunds", REFUND)?;
    first.problem(403);
    let approval = first.json()["approval"].as_str().unwrap().to_owned();
    assert!(first.field("retry-after").is_some(), "{first:?}");
    // Whoever is asked sees what it is.
    let shown = ground.sluice_as("olga", &["ops"], &["approvals", "show", &approval])?.success()?;
    assert!(shown.contains("/v1/refunds") && shown.contains("{\"amount\":5}"), "{shown}");
    // The same is asked for once, however often.
    assert_eq!(ground.ask(CALLER, "/v1/refunds", REFUND)?.json()["approval"], approval);
    ground.sluice_as("olga", &["ops"], &["approvals", "approve", &approval])?.success()?;
    for other in [
        &["-X", "POST", "-H", "Content-Type: application/json", "-d", "{\"amount\":6}"][..],
        &["-X", "POST", "-H", "Content-Type: text/plain", "-d", "{\"amount\":5}"],
    ] {
        let answer = ground.ask(CALLER, "/v1/refunds", other)?;
        answer.problem(403);
        assert_ne!(answer.json()["approval"], approval);
    }
    assert_ne!(ground.ask(CALLER, "/v1/refunds?x=1", REFUND)?.json()["approval"], approval);
    assert_eq!(ground.ask(CALLER, "/v1/refunds", REFUND)?.status, 200);
    let again = ground.ask(CALLER, "/v1/refunds", REFUND)?;
    again.problem(403);
    assert_ne!(again.json()["approval"], approval);
    let reached = ground.api.reached()?;
    assert_eq!(reached.iter().map(|one| one.body.as_str()).collect::<Vec<_>>(), ["{\"amount\":5}"]);
    Ok(())
}

/// A curl that may have to wait.
struct Waits(Child);

impl Waits {
    fn start(ground: &Ground, seconds: u32) -> Result<Self> {
        let bearer = format!("Authorization: Bearer {}", ground.token("erin", CALLER)?);
        let prefer = format!("Prefer: wait={seconds}");
        let mut command = ground.curl(&["-D", "-", "-o", "-", "-H", &bearer, "-H", &prefer])?;
        command.args(REFUND).arg(ground.url("/v1/refunds")?);
        Ok(Self(command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?))
    }

    fn end(self) -> Result<Answer> {
        let output = self.0.wait_with_output()?;
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        let (stdout, stderr) = (text(output.stdout), text(output.stderr));
        answer(&testkit::command::Output { status: output.status, stdout, stderr })
    }
}

#[test]
fn a_request_waits_for_an_approver_as_long_as_its_caller_would() -> Result<()> {
    let ground = Ground::new()?;
    let waits = Waits::start(&ground, 50)?;
    let approval = ground.pending()?;
    assert_eq!(ground.api.reached()?, []);
    ground.sluice_as("olga", &["ops"], &["approvals", "approve", &approval])?.success()?;
    assert_eq!(waits.end()?.status, 200);
    assert_eq!(ground.api.reached()?.len(), 1);
    // It was for once; and this time the answer is no.
    let waits = Waits::start(&ground, 50)?;
    let approval = ground.pending()?;
    ground.sluice_as("olga", &["ops"], &["approvals", "deny", &approval])?.success()?;
    let told = waits.end()?.problem(403);
    assert!(told.contains(&format!("Approval {approval} was denied")), "{told}");
    assert_eq!(ground.api.reached()?.len(), 1);
    Ok(())
}

#[test]
fn a_hold_that_is_over_stays_a_ticket() -> Result<()> {
    let ground = Ground::tuned(Tuning { target: "hold = \"1s\"\n".to_owned(), ..Tuning::default() })?;
    let held = ground.ask(CALLER, "/v1/refunds", REFUND)?;
    let told = held.problem(403);
    assert!(told.contains("was not given in time"), "{told}");
    let approval = held.json()["approval"].as_str().unwrap().to_owned();
    ground.sluice_as("olga", &["ops"], &["approvals", "approve", &approval])?.success()?;
    assert_eq!(ground.ask(CALLER, "/v1/refunds", REFUND)?.status, 200);
    Ok(())
}

#[test]
fn a_caller_that_goes_away_takes_its_question_back() -> Result<()> {
    let ground = Ground::new()?;
    let mut waits = Waits::start(&ground, 50)?;
    let approval = ground.pending()?;
    waits.0.kill()?;
    waits.0.wait()?;
    let token = ground.token("olga", &["ops"])?;
    admin::wait_for_status(&ground.site, &token, &approval, "withdrawn")?;
    assert_eq!(ground.api.reached()?, []);
    Ok(())
}

#[test]
fn nobody_answers_their_own_question() -> Result<()> {
    let ground = Ground::new()?;
    let both = &["callers", "ops"];
    let asked = ground.ask(both, "/v1/refunds", REFUND)?;
    let approval = asked.json()["approval"].as_str().unwrap().to_owned();
    assert!(!ground.sluice_as("erin", both, &["approvals", "approve", &approval])?.status.success());
    assert_eq!(ground.api.reached()?, []);
    Ok(())
}
