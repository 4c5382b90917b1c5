//! A policy is edited while a connection is open.

use anyhow::Result;

use super::super::stage::Stage;

const PROMPT: &str = "payments=>";
const FILE: &str = "50-refunds.cedar";
const STATEMENT: &str = "SELECT count(*) > 0 AS refunds_are_there FROM refunds;";

const CLOSED: &str = r#"@id("refunds-are-closed")
@message("refunds are closed for the audit")
forbid (
  principal in Group::"payments-apps",
  action in Action::"read",
  resource in Table::"payments/payments/public/refunds"
) unless {
  principal in Group::"auditors"
};
"#;

pub(super) fn tell(stage: &mut Stage<'_>) -> Result<()> {
    stage.part(
        "A policy is edited while a connection is open",
        "The very next statement on that connection follows it. A broken edit is refused whole; the old one goes on.",
    )?;
    let terminal = stage.terminal;
    let mut session = stage.begin("psql service=order-service")?;
    let output = session.type_into_psql(terminal, PROMPT, STATEMENT)?;
    stage.check("it may read refunds", output.contains("(1 row)"))?;

    terminal.remark(&format!("A new file is written to revision/policies/{FILE}:"));
    terminal.output(CLOSED);
    stage.site.write_policy(FILE, Some(CLOSED))?;
    let output = session.type_into_psql(terminal, PROMPT, STATEMENT)?;
    let refused = output.contains("refunds are closed for the audit") && output.contains("refunds-are-closed");
    stage.check("the next statement on the same connection is refused", refused)?;

    terminal.remark("Now with a mistake in it: Action::\"reed\" in line 5.");
    let broken = CLOSED.replace("Action::\"read\"", "Action::\"reed\"");
    let path = stage.site.revision_file("policies").join(FILE);
    let (refused, revision) = (stage.site.metric("sluice_revisions_refused_total")?, stage.site.revision()?);
    std::fs::write(&path, broken)?;
    stage.site.wait_for_metric("sluice_revisions_refused_total", refused.unwrap_or(0) + 1)?;
    let shown = stage.shell("sluice check")?;
    let explained = !shown.succeeded && shown.has(&["50-refunds.cedar:5:"]);
    stage.check(
        "it is refused whole, with file, line and reason",
        explained && stage.site.log().contains("50-refunds.cedar:5:"),
    )?;
    stage.check("the old revision goes on", stage.site.revision()? == revision)?;
    let output = session.type_into_psql(terminal, PROMPT, STATEMENT)?;
    stage.check("and still decides", output.contains("refunds-are-closed"))?;

    terminal.remark("The file is removed:");
    stage.site.write_policy(FILE, None)?;
    let output = session.type_into_psql(terminal, PROMPT, STATEMENT)?;
    stage.check("it may read refunds again, on the same connection", output.contains("(1 row)"))?;
    session.finish().map(drop)
}
