//! What the record says.

use anyhow::{Context, Result, ensure};

use super::super::stage::Stage;
use super::approvals::as_person;

pub(super) fn tell(stage: &mut Stage<'_>) -> Result<()> {
    stage
        .part("What happened?", "vera is an auditor. She asks the record: a journal that nobody can change unseen.")?;
    questions(stage)?;
    replay(stage)?;
    tampering(stage)
}

fn questions(stage: &Stage<'_>) -> Result<()> {
    stage.terminal.remark("Who queried payments?");
    let shown = stage.shell(&as_person("vera", "audit search --target payments --since 1h"))?;
    stage.check("the services and dana", shown.succeeded && shown.has(&["order-service", "fraud-service", "dana"]))?;
    stage.terminal.remark("Did order-service ever read a card number?");
    let shown = stage.shell(&as_person("vera", "audit search --subject order-service --class card_number"))?;
    stage.check("it read some, all of them masked", shown.succeeded && shown.has(&["card_number"]))?;
    stage.terminal.remark("And fraud-service?");
    let shown = stage.shell(&as_person("vera", "audit search --subject fraud-service --class card_number"))?;
    stage.check("one, in clear", shown.succeeded && shown.has(&["card_number"]))
}

fn replay(stage: &Stage<'_>) -> Result<()> {
    stage.terminal.remark("Which commands, exactly, and what did they answer?");
    let shown = stage.shell(&as_person("vera", "sessions list"))?;
    stage.check("the sessions are listed", shown.succeeded)?;
    let session = shown.text.lines().find(|line| line.contains("order-service"));
    let session = session.and_then(|line| line.split_whitespace().next()).context("no session of order-service")?;
    let shown = stage.shell(&as_person("vera", &format!("sessions replay {session}")))?;
    stage.check("the session as the service saw it", shown.succeeded)
}

fn tampering(stage: &Stage<'_>) -> Result<()> {
    stage.terminal.remark("Is the record whole?");
    let shown = stage.shell("sluice audit verify")?;
    stage.check("it is", shown.succeeded)?;
    stage.terminal.remark("One byte of a copy is changed:");
    let (journal, copy) = (stage.site.data().join("journal"), stage.site.home().join("copy"));
    stage.shell(&format!("cp -r {} {}", journal.display(), copy.display()))?;
    ensure!(copy.is_dir(), "no copy was made");
    Ok(())
}
