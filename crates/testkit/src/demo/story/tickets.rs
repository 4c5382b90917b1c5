//! A statement that cannot wait: it fails at once, and its retry uses the answer.

use anyhow::{Context, Result};

use super::super::stage::{Shown, Stage};
use super::approvals::as_person;

const RETRY: &str = "\
BEGIN;
DELETE FROM payments WHERE id = 103;
COMMIT;
";

pub(super) fn tell(stage: &mut Stage<'_>) -> Result<()> {
    stage.part(
        "Inside a transaction nothing waits: the request becomes a ticket",
        "Locks are not held for a human. The statement fails at once, and the same one, retried, uses the answer. Once.",
    )?;
    stage.script("cancel.sql", RETRY)?;
    stage.shell("cat $TOKENS/cancel.sql")?;
    let shown = stage.shell("psql service=order-service -f $TOKENS/cancel.sql")?;
    stage.check("it failed, with a ticket", shown.has(&["approval needed", "ROLLBACK"]))?;
    let approval = ticket(&shown)?;
    let shown = stage.shell(&as_person("dana", &format!("approvals approve {approval}")))?;
    stage.check("dana approves", shown.succeeded)?;

    stage.terminal.remark("Sluice is restarted in between:");
    stage.terminal.progress("stopping Sluice", || stage.site.stop().map(drop))?;
    stage.terminal.progress("starting Sluice", || stage.site.start())?;

    stage.terminal.remark("And a hundred clients retry at the same time:");
    let shown = stage.shell(
        "seq 100 | xargs -P 100 -I{} psql service=order-service -q -v VERBOSITY=terse -v QUIET=off \
         -f $TOKENS/cancel.sql 2>&1 | grep -oE 'DELETE 1|ERROR: .*' | sort | uniq -c",
    )?;
    let once = shown.text.lines().any(|line| line.split_whitespace().eq(["1", "DELETE", "1"]));
    stage.check("exactly one of them used the approval", once && shown.text.matches("DELETE").count() == 1)?;
    let others = shown.text.lines().find(|line| line.contains("approval needed"));
    let others = others.and_then(|line| line.split_whitespace().next());
    stage.check("the other ninety-nine were asked anew", others == Some("99"))?;
    let left = stage.directly("SELECT count(*) FROM payments WHERE id = 103")?;
    stage.check("the row is gone", left == "0")
}

fn ticket(shown: &Shown) -> Result<String> {
    Ok(shown.word_after("Approval ").context("no approval is named")?.to_owned())
}
