//! What order-service may not do.

use anyhow::Result;

use super::super::stage::{Shown, Stage};

const STATEMENTS: &str = "\
DROP TABLE payments;
DO $$ BEGIN DELETE FROM orders; END $$;
DELETE FROM orders WHERE id = 1;
WITH gone AS (DELETE FROM orders WHERE id = 1 RETURNING id) SELECT * FROM gone;
EXPLAIN ANALYZE DELETE FROM orders WHERE id = 1;
SELECT count(*) AS still_here FROM orders WHERE id = 1;
";

const TRANSACTION: &str = "\
BEGIN;
INSERT INTO refunds (payment_id, amount, reason) VALUES (1, 9.99, 'half done?');
DELETE FROM orders WHERE id = 1;
COMMIT;
SELECT count(*) AS half_done FROM refunds WHERE reason = 'half done?';
";

pub(super) fn tell(stage: &mut Stage<'_>) -> Result<()> {
    stage.part(
        "What it may not do",
        "Each refusal is an error of PostgreSQL's own kind, SQLSTATE 42501, naming the policy and the request.",
    )?;
    let shown = run(stage, "refused.sql", STATEMENTS)?;
    let refused = |number: usize| format!("refused.sql:{number}: ERROR:  42501:");
    let all = (1..=5).all(|number| shown.text.contains(&refused(number)));
    stage.check("DROP TABLE, DO, and DELETE: plain, in a CTE and under EXPLAIN ANALYZE: 42501", all)?;
    let named = ["(policy no-ddl-in-prod)", "(nothing permits it)", "(policy orders-are-kept)"];
    stage.check("the policy is named, or that nothing permits it", shown.has(&named))?;
    let ids = shown.text.matches("Request ").count();
    stage.check("each with the id of the request", ids == 5)?;
    stage.check("the connection stays usable", shown.has(&["still_here", "(1 row)"]))?;
    let kept =
        stage.directly("SELECT count(*) FROM orders WHERE id = 1; SELECT to_regclass('payments') IS NOT NULL")?;
    stage.check("the database agrees", kept.lines().eq(["1", "t"]))?;

    stage.terminal.remark("Inside a transaction, a refusal is an error like any other:");
    let shown = run(stage, "transaction.sql", TRANSACTION)?;
    stage.check("COMMIT rolls back", shown.has(&["42501", "ROLLBACK"]))?;
    let left = stage.directly("SELECT count(*) FROM refunds WHERE reason = 'half done?'")?;
    stage.check("nothing was half done", left == "0")
}

/// Shows a script and runs it, with SQLSTATEs in psql's messages.
fn run(stage: &Stage<'_>, name: &str, statements: &str) -> Result<Shown> {
    stage.script(name, statements)?;
    stage.shell(&format!("cat $TOKENS/{name}"))?;
    stage.shell(&format!(
        "cd $TOKENS && psql service=order-service -v VERBOSITY=verbose -a -f {name} | grep -v ^LOCATION"
    ))
}
