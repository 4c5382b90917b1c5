//! An API behind the same gate: answers without what the caller may not see, a request that waits for a human, and the record.

use anyhow::{Context, Result};

use super::super::stage::Stage;
use super::approvals::as_person;

/// A request as a service sends it.
fn curl(client: &str, arguments: &str) -> String {
    format!("curl -sS --cacert $CA -H \"Authorization: Bearer $(cat $TOKENS/{client}.token)\" {arguments}; echo")
}

pub(super) fn tell(stage: &mut Stage<'_>) -> Result<()> {
    stage.part(
        "APIs, by curl as it is",
        "policies/50-apis.cedar lets services read customers of the shop's API, and asks a dba before money goes back.\n\
         The API's own token is Sluice's; callers show theirs.",
    )?;
    let shown = stage.shell(&curl("order-service", "$SHOP/v1/customers/7"))?;
    stage.check(
        "the customer comes without its card number; the balance is as the shop wrote it",
        shown.has(&["************1111", "12345678901234567890"]) && !shown.has(&["4111111111111111"]),
    )?;
    let shown = stage.shell(&curl("fraud-service", "$SHOP/v1/customers/7"))?;
    stage.check("fraud-service may see it", shown.has(&["4111111111111111"]))?;
    stage
        .terminal
        .remark("One form of the path is decided on and sent; what no policy permits is refused, as a problem:");
    let shown = stage.shell(&curl("order-service", "--path-as-is $SHOP/v1/customers/../secrets"))?;
    stage.check("403, and the request to look up", shown.has(&["\"status\":403", "urn:sluice:request:"]))?;
    let reached = stage.api().reached()?;
    stage.check("the API never heard of it", reached.iter().all(|one| !one.path.contains("secrets")))?;
    refund_waits(stage)?;
    exported(stage)
}

fn refund_waits(stage: &Stage<'_>) -> Result<()> {
    stage.terminal.remark("A refund waits, as long as its caller says that it would:");
    let json = "-H 'Content-Type: application/json' -H 'Prefer: wait=60' -d '{\"customer\":7,\"amount\":5}'";
    let mut waiting = stage.begin(&curl("order-service", &format!("{json} $SHOP/v1/refunds")))?;
    let approval = stage.eventually("the question", || {
        let shown = stage.quietly(&as_person("dana", "approvals list"))?;
        let line = shown.text.lines().find(|line| line.contains("shop"));
        Ok(line.and_then(|line| line.split_whitespace().next()).map(str::to_owned))
    })?;
    let shown = stage.shell(&as_person("dana", &format!("approvals show {approval}")))?;
    stage.check("dana sees what is asked", shown.has(&["POST", "/v1/refunds", "order-service"]))?;
    let shown = stage.shell(&as_person("dana", &format!("approvals approve {approval}")))?;
    stage.check("she approves", shown.succeeded)?;
    let answer = waiting.finish()?;
    stage.terminal.output(&answer);
    let refunds =
        stage.api().reached()?.into_iter().filter(|one| one.path == "/v1/refunds" && one.body.contains("\"amount\":5"));
    stage.check("it was sent, once", answer.contains("\"path\":\"/v1/refunds\"") && refunds.count() == 1)
}

fn exported(stage: &Stage<'_>) -> Result<()> {
    stage.terminal.remark("What was asked of the shop, and one session for a tool that reads exchanges of HTTP:");
    let (search, all) =
        (as_person("vera", "audit search --target shop --limit 20"), ["GET /v1/customers/{id}", "POST /v1/refunds"]);
    // The index is a moment behind the journal.
    stage.eventually("the index", || Ok(stage.quietly(&search)?.has(&all).then_some(())))?;
    let shown = stage.shell(&search)?;
    stage.check("all of it is found", shown.succeeded && shown.has(&all))?;
    let first = shown.text.lines().find(|line| line.contains("GET /v1/customers/{id}")).context("no line is found")?;
    let request = first.split_whitespace().find(|word| word.ends_with(".1")).context("no request is found")?;
    let session = request.trim_end_matches(".1");
    let shown = stage.shell(&as_person("vera", &format!("sessions export {session} --format har")))?;
    stage.check("an archive of what the caller saw", shown.has(&["\"log\"", "/v1/customers/7"]))
}
