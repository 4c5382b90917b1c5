//! A host behind the same gate: one program that may run, one line that waits for a human, and the record of both.

use anyhow::{Context, Result};

use super::super::stage::{Shown, Stage};
use super::approvals::as_person;

pub(super) fn tell(stage: &mut Stage<'_>) -> Result<()> {
    stage.part(
        "Hosts, by ssh and rsync as they are",
        "policies/40-hosts.cedar lets backup-robot run rsync on web1 and nothing else, and asks a dba before anything is\n\
         removed. The host trusts one authority of Sluice's and holds no key of anybody.",
    )?;
    stage.terminal.remark("A certificate for the token, good for minutes:");
    let shown = stage.shell(&as_person("backup-robot", "ssh certificate --key $KEYS/backup-robot.pub"))?;
    stage.check("it is beside the key", shown.succeeded)?;
    let shown = stage.shell("rsync -a -e \"ssh -F $SSH\" web1:data/ $KEYS/backup/ && ls $KEYS/backup")?;
    stage.check("rsync copied the files, knowing nothing of Sluice", shown.succeeded && shown.has(&["orders.csv"]))?;

    stage.terminal.remark("Anything else is refused, with a reason, and nothing of it reaches the host:");
    let shown = stage.shell("ssh -F $SSH web1 cat data/orders.csv; echo \"exit status $?\"")?;
    stage.check(
        "status 126, and the request to look up",
        shown.has(&["no policy permits it", "Request ", "exit status 126"]),
    )?;
    let shown = stage.shell("ssh -F $SSH web1; echo \"exit status $?\"")?;
    stage.check("no shell either", shown.has(&["exit status 126"]))?;

    removing_waits(stage)?;
    replayed(stage)
}

fn removing_waits(stage: &Stage<'_>) -> Result<()> {
    stage.terminal.remark("What removes waits for a human:");
    let mut waiting = stage.begin("ssh -F $SSH web1 rm -rf data/old")?;
    waiting.wait_for("sluice approvals show")?;
    let text = waiting.news();
    stage.terminal.output(&text);
    let shown = Shown { text, succeeded: true };
    let approval = shown.word_after("waiting for approval ").context("no approval is named")?.to_owned();
    let shown = stage.shell(&as_person("dana", &format!("approvals show {approval}")))?;
    stage.check("dana sees the whole line", shown.has(&["rm -rf data/old", "backup-robot"]))?;
    let host = stage.host();
    stage.check("and meanwhile nothing is gone", host.home().join("data/old").exists())?;
    let shown = stage.shell(&as_person("dana", &format!("approvals approve {approval}")))?;
    stage.check("she approves", shown.succeeded)?;
    let rest = waiting.finish()?;
    stage.terminal.output(&rest);
    stage.check("it ran, once", !host.home().join("data/old").exists())
}

fn replayed(stage: &Stage<'_>) -> Result<()> {
    stage.terminal.remark("What was run on web1, and by whom:");
    let (search, all) = (as_person("vera", "audit search --target web1 --limit 20"), ["backup-robot", "rsync", "rm "]);
    // The index is a moment behind the journal.
    stage.eventually("the index", || Ok(stage.quietly(&search)?.has(&all).then_some(())))?;
    let shown = stage.shell(&search)?;
    stage.check("all of it is found", shown.succeeded && shown.has(&all))?;
    let removing = shown.text.lines().find(|line| line.contains("rm $1")).context("the line is not found")?;
    let request = removing.split_whitespace().find(|word| word.ends_with(".1")).context("no request is found")?;
    let session = request.trim_end_matches(".1");
    let shown = stage.shell(&as_person("vera", &format!("sessions replay {session}")))?;
    stage.check("the session is replayed", shown.succeeded && shown.has(&["rm -rf data/old"]))
}
