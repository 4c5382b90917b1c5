//! A token ends while its session is open.

use std::time::{Duration, Instant};

use anyhow::Result;

use super::super::site::ORDER_SERVICE;
use super::super::stage::Stage;
use crate::wait::eventually_blocking;

const PROMPT: &str = "payments=>";
const STATEMENT: &str = "SELECT count(*) AS cards FROM cards;";
const LIFETIME: Duration = Duration::from_secs(5);

pub(super) fn tell(stage: &mut Stage<'_>) -> Result<()> {
    stage.part(
        "The token expires",
        "A session lives as long as its token: five seconds here. Pools know 57P01, and connect again.",
    )?;
    stage.site.write_services(&["short-lived"])?;
    ends(stage)?;
    goes_on(stage)
}

fn ends(stage: &Stage<'_>) -> Result<()> {
    let terminal = stage.terminal;
    stage.site.hand_out("short-lived", ORDER_SERVICE.grant().lifetime(LIFETIME))?;
    let mut session = stage.begin("psql service=short-lived -v VERBOSITY=verbose")?;
    let output = session.type_into_psql(terminal, PROMPT, STATEMENT)?;
    stage.check("at first it works", output.contains("(1 row)"))?;
    stage.site.wait_for_metric("sluice_sessions", 0)?;
    let output = session.type_into_psql(terminal, PROMPT, STATEMENT)?;
    stage.check("then the session ends with 57P01", output.contains("57P01"))
}

fn goes_on(stage: &Stage<'_>) -> Result<()> {
    let terminal = stage.terminal;
    terminal.remark("Renewed in time, with a new token in the session itself, it goes on:");
    stage.site.hand_out("short-lived", ORDER_SERVICE.grant().lifetime(LIFETIME))?;
    let expired = Instant::now() + LIFETIME + Duration::from_secs(1);
    let mut session = stage.begin("psql service=short-lived")?;
    session.type_into_psql(terminal, PROMPT, "\\set token `cat $TOKENS/order-service.token`")?;
    let output = session.type_into_psql(terminal, PROMPT, "SET sluice.token = :'token';")?;
    stage.check("the new token is taken", output.trim() == "SET")?;
    eventually_blocking(LIFETIME * 3, "the first token's end", || Ok((Instant::now() > expired).then_some(())))?;
    let output = session.type_into_psql(terminal, PROMPT, STATEMENT)?;
    stage.check("after the first one's end, the session goes on", output.contains("(1 row)"))?;
    session.finish().map(drop)
}
