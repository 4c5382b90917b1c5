//! What the record says.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};

use super::super::stage::Stage;
use super::approvals::as_person;
use crate::wait::eventually_blocking;

/// How long the index may lag behind the journal.
const INDEX_LIMIT: Duration = Duration::from_secs(20);

pub(super) fn tell(stage: &mut Stage<'_>) -> Result<()> {
    stage
        .part("What happened?", "vera is an auditor. She asks the record: a journal that nobody can change unseen.")?;
    who_did_what(stage)?;
    who_read_cards(stage)?;
    replay(stage)?;
    tampering(stage)
}

fn who_did_what(stage: &Stage<'_>) -> Result<()> {
    stage.terminal.remark("Who queried payments?");
    let shown = stage.shell(&as_person("vera", "audit search --target payments --since 1h --limit 8"))?;
    stage.check(
        "the newest requests, with who, what and the outcome",
        shown.succeeded && shown.has(&["order-service"]),
    )?;
    stage.terminal.remark("And who deleted payments?");
    let deletes = "audit search --target payments --table payments --verb delete --outcome allow --since 1h";
    let shown = stage.shell(&as_person("vera", deletes))?;
    let times = shown.text.lines().filter(|line| line.contains("DELETE FROM payments")).count();
    stage.check("three times in all: order-service twice, dana once", times == 3 && shown.has(&["dana"]))
}

fn who_read_cards(stage: &Stage<'_>) -> Result<()> {
    stage.terminal.remark("Did order-service ever read a card number?");
    let search = |name: &str| as_person("vera", &format!("audit search --subject {name} --class card_number"));
    eventually_blocking(INDEX_LIMIT, "the index", || {
        let shown = stage.quietly(&search("order-service"))?;
        Ok(shown.has(&[" masked, 0 unknown"]).then_some(()))
    })?;
    let shown = stage.shell(&search("order-service"))?;
    let masked =
        shown.word_after("order-service read card_number: 0 in clear, ").and_then(|word| word.parse::<u64>().ok());
    stage.check("never in clear; some masked", masked.is_some_and(|masked| masked > 0))?;
    stage.terminal.remark("And fraud-service?");
    let shown = stage.shell(&search("fraud-service"))?;
    let two = "fraud-service read card_number: 2 in clear, 0 masked, 0 unknown";
    stage.check("two, in clear: of the database, and of the API", shown.has(&[two]))
}

fn replay(stage: &Stage<'_>) -> Result<()> {
    stage.terminal.remark("Which service issues which command, exactly, and what is it shown? A session that is open:");
    let mut session = stage.begin("psql service=order-service")?;
    let statement = "SELECT id, number, cvv FROM cards WHERE id <= 2 ORDER BY id;";
    session.type_into_psql(stage.terminal, "payments=>", statement)?;
    session.type_into_psql(stage.terminal, "payments=>", "DROP TABLE cards;")?;
    let shown = stage.shell(&as_person("vera", "sessions list"))?;
    stage.check("it is listed", shown.succeeded && shown.has(&["order-service"]))?;
    let line = shown.text.lines().find(|line| line.contains("order-service")).context("no session of order-service")?;
    let id = line.split_whitespace().next().context("no session id")?;
    let shown = stage.shell(&as_person("vera", &format!("sessions replay {id}")))?;
    let complete = shown.has(&["SELECT id, number, cvv FROM cards", "************", "DROP TABLE cards", "42501"]);
    stage.check("every command, when, and its answer as the service saw it", shown.succeeded && complete)?;
    let number = stage.directly("SELECT number FROM cards WHERE id = 1")?;
    stage.check("what was masked is not on the tape", !shown.has(&[&number]))?;
    session.finish().map(drop)
}

fn tampering(stage: &Stage<'_>) -> Result<()> {
    stage.terminal.remark("Is the record whole?");
    let shown = stage.shell("sluice audit verify")?;
    stage.check("it is", shown.succeeded && shown.has(&["the record is whole"]))?;
    stage.terminal.remark("Whoever changes one byte of it (of a copy, here) is found out:");
    stage.shell("cp -r $DEMO/data/journal $DEMO/copy")?;
    let (file, offset, byte) = a_byte(&stage.site.home().join("copy"))?;
    let name = file.file_name().map(|name| name.to_string_lossy().into_owned()).context("no file name")?;
    stage.shell(&format!("printf {byte} | dd of=$DEMO/copy/{name} bs=1 seek={offset} conv=notrunc status=none"))?;
    let shown = stage.shell("sluice audit verify --journal $DEMO/copy --key $DEMO/data/journal.pub")?;
    stage.check("it fails, and names the entry", !shown.succeeded && shown.has(&["DAMAGED", "entry"]))
}

/// A byte in the middle of the largest segment: where it is, and a letter that it is not.
fn a_byte(directory: &std::path::Path) -> Result<(PathBuf, usize, char)> {
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(directory)?.map(|entry| Ok(entry?.path())).collect::<Result<_>>()?;
    files.retain(|path| path.extension().is_some_and(|extension| extension == "segment"));
    files.sort_by_key(|path| std::fs::metadata(path).map_or(0, |metadata| metadata.len()));
    let file = files.pop().context("the journal has no files")?;
    let bytes = std::fs::read(&file)?;
    let offset = bytes.len() / 2;
    let letter = if bytes.get(offset) == Some(&b'X') { 'Y' } else { 'X' };
    Ok((file, offset, letter))
}
