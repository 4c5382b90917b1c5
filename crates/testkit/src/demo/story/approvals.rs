//! A statement that waits for a human.

use anyhow::{Context, Result};

use super::super::live::Live;
use super::super::stage::{Shown, Stage, psql};

const DELETE: &str = "DELETE FROM payments WHERE id = 101";

pub(super) fn tell(stage: &mut Stage<'_>) -> Result<()> {
    stage.part(
        "A DELETE in production waits for a human",
        "policies/20-approvals.cedar asks for the approval of a dba. The connection waits; somebody else answers.",
    )?;
    let (mut waiting, approval) = ask(stage, "order-service", DELETE)?;

    stage.terminal.remark("In another terminal, dana, who is a dba:");
    let shown = stage.shell(&as_person("dana", "approvals list"))?;
    stage.check("the list has it", shown.succeeded && shown.has(&[&approval, "order-service"]))?;
    let shown = stage.shell(&as_person("dana", &format!("approvals show {approval}")))?;
    stage.check("the whole statement is shown", shown.succeeded && shown.has(&["DELETE FROM payments WHERE id ="]))?;
    let shown = stage.shell(&as_person("dana", &format!("approvals approve {approval}")))?;
    stage.check("it is approved", shown.succeeded)?;

    stage.terminal.remark("And the waiting psql goes on:");
    let rest = waiting.finish()?;
    stage.terminal.output(&rest);
    stage.check("it ran", rest.contains("DELETE 1"))?;
    let left = stage.directly("SELECT count(*) FROM payments WHERE id = 101")?;
    stage.check("the row is gone", left == "0")?;

    asks_again(stage, &approval)?;
    nobody_approves_their_own(stage)
}

fn asks_again(stage: &Stage<'_>, approval: &str) -> Result<()> {
    stage.terminal.remark("An approval is for one run: the same statement asks again. Ctrl-C withdraws the question.");
    let (mut waiting, other) = ask(stage, "order-service", DELETE)?;
    stage.check("it is a new approval", other != approval)?;
    waiting.interrupt()?;
    let rest = waiting.finish()?;
    stage.terminal.output(&format!("^C{rest}"));
    let shown = stage.shell(&as_person("dana", &format!("approvals approve {other}")))?;
    stage.check("too late to approve what was withdrawn", !shown.succeeded)
}

fn nobody_approves_their_own(stage: &Stage<'_>) -> Result<()> {
    stage.terminal.remark("Nobody approves their own. dana asks, and tries:");
    let (mut waiting, approval) = ask(stage, "dana", "DELETE FROM payments WHERE id = 102")?;
    let shown = stage.shell(&as_person("dana", &format!("approvals approve {approval}")))?;
    stage.check("refused", !shown.succeeded)?;
    let shown = stage.shell(&as_person("omar", &format!("approvals approve {approval}")))?;
    stage.check("omar, who is a dba too, may", shown.succeeded)?;
    let rest = waiting.finish()?;
    stage.terminal.output(&rest);
    stage.check("it ran", rest.contains("DELETE 1"))
}

/// A psql that waits, and for which approval.
fn ask(stage: &Stage<'_>, client: &str, sql: &str) -> Result<(Live, String)> {
    let mut waiting = stage.begin(&psql(client, sql))?;
    waiting.wait_for("sluice approvals show")?;
    let text = waiting.news();
    stage.terminal.output(&text);
    let shown = Shown { text, succeeded: true };
    let approval = shown.word_after("waiting for approval ").context("no approval is named")?.to_owned();
    stage.check("psql shows a NOTICE with the approval's id, and waits", true)?;
    Ok((waiting, approval))
}

/// A command of `sluice`, as this person.
pub(super) fn as_person(name: &str, command: &str) -> String {
    format!("sluice {command} --token-file $TOKENS/{name}.token")
}
