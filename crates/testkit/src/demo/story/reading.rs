//! What order-service sees.

use anyhow::{Context, Result};

use super::super::stage::{Shown, Stage, psql, quoted};
use crate::command::development_directory;

/// The values that order-service must not get to see, as they are in the database.
struct Hidden(Vec<String>);

impl Hidden {
    fn of(stage: &Stage<'_>) -> Result<Self> {
        let values = stage.directly(
            "SELECT number FROM cards WHERE id <= 5 UNION ALL SELECT cvv FROM cards WHERE id <= 0 UNION ALL
             SELECT email FROM customers WHERE id <= 5 UNION ALL SELECT ssn FROM customers WHERE id <= 5",
        )?;
        Ok(Self(values.lines().map(str::to_owned).collect()))
    }

    fn are_hidden_in(&self, shown: &Shown) -> bool {
        self.0.iter().all(|value| !shown.text.contains(value.as_str()))
    }

    fn check(&self, stage: &Stage<'_>, what: &str, shown: &Shown, expected: &[&str]) -> Result<()> {
        stage.check(what, shown.succeeded && shown.has(expected) && self.are_hidden_in(shown))
    }
}

pub(super) fn tell(stage: &mut Stage<'_>) -> Result<()> {
    stage.part(
        "order-service reads orders and customers",
        "It logs in with its own token. Rows arrive; what it may not see arrives masked, on whatever way it leaves.",
    )?;
    let hidden = Hidden::of(stage)?;
    let last_four = stage.directly("SELECT right(number, 4) FROM cards WHERE id = 1")?;
    let card = format!("************{last_four}");
    plain_statements(stage, &hidden, &card)?;
    disguises(stage, &hidden)?;
    drivers(stage, &hidden, &card)?;
    copies(stage, &hidden, &card)?;
    fraud_service(stage)
}

fn plain_statements(stage: &Stage<'_>, hidden: &Hidden, card: &str) -> Result<()> {
    let shown = stage.sql("order-service", "SELECT * FROM cards ORDER BY id LIMIT 3")?;
    hidden.check(stage, "cards keep their last four digits, and nothing else", &shown, &[card, "(3 rows)"])?;
    let shown = stage.sql("order-service", "SELECT * FROM customers ORDER BY id LIMIT 3")?;
    let masked = ["tok_", "[us_ssn]", "(3 rows)"];
    hidden.check(stage, "e-mail addresses are tokens, SSNs are hidden", &shown, &masked)?;
    let noted = stage.directly("SELECT min(id) FROM orders WHERE note LIKE 'Please charge%'")?;
    let sql = format!("SELECT id, total, note FROM orders WHERE id IN (1, {noted})");
    let number =
        stage.directly(&format!("SELECT substring(note FROM '[0-9]{{13,}}') FROM orders WHERE id = {noted}"))?;
    let shown = stage.sql("order-service", &sql)?;
    let good = shown.succeeded && shown.has(&["Please charge my other card", "(2 rows)"]);
    stage.check("a card number that a customer typed into a free text is found there", good && !shown.has(&[&number]))
}

fn disguises(stage: &Stage<'_>, hidden: &Hidden) -> Result<()> {
    stage.terminal.remark("Other names, expressions and views change nothing:");
    let shown = stage.sql("order-service", "SELECT number AS innocent FROM cards ORDER BY id LIMIT 2")?;
    hidden.check(stage, "an alias", &shown, &["************", "innocent"])?;
    let sql = "SELECT lower(email), substr(ssn, 1, 3), 'x' || number AS x FROM customers JOIN cards ON \
               cards.customer_id = customers.id ORDER BY customers.id LIMIT 2";
    let shown = stage.sql("order-service", sql)?;
    hidden.check(stage, "expressions: hidden whole", &shown, &["[email]", "[us_ssn]", "[card_number]"])?;
    let shown = stage.sql("order-service", "SELECT * FROM customer_cards ORDER BY customer_id LIMIT 2")?;
    hidden.check(stage, "a view", &shown, &["************", "tok_"])
}

fn drivers(stage: &Stage<'_>, hidden: &Hidden, card: &str) -> Result<()> {
    stage.terminal.remark("A driver that asks for binary values, and a statement that it prepares once and repeats:");
    let python = development_directory().join("venv/bin/python");
    let program = "import psycopg
with psycopg.connect('service=order-service') as db:
    for row in db.execute('SELECT id, number, cvv, expires FROM cards WHERE id <= 2 ORDER BY id', binary=True):
        print('binary  ', row)
    for number in (1, 2, 3):
        sql = 'SELECT id, email, ssn FROM customers WHERE id = %s'
        print('prepared', db.execute(sql, (number,), prepare=True).fetchone())";
    let shown = stage.shell(&format!("{} -c {}", python.display(), quoted(program)))?;
    let rows = shown.text.lines().filter(|line| line.starts_with("prepared") && line.contains("[us_ssn]")).count();
    hidden.check(stage, "binary values are masked in their own type", &shown, &[card, "datetime.date"])?;
    stage.check("a prepared statement is masked each time", rows == 3)
}

fn copies(stage: &Stage<'_>, hidden: &Hidden, card: &str) -> Result<()> {
    let sql = "COPY (SELECT id, number, expires FROM cards WHERE id <= 3 ORDER BY id) TO STDOUT (FORMAT csv)";
    let shown = stage.sql("order-service", sql)?;
    hidden.check(stage, "COPY … TO STDOUT", &shown, &[card])
}

fn fraud_service(stage: &Stage<'_>) -> Result<()> {
    stage.terminal.remark("fraud-service is in the group pci-cleared, whom a policy permits to see cards:");
    stage.shell("cat $DEMO/revision/policies/30-masking.cedar")?;
    let number = stage.directly("SELECT number FROM cards WHERE id = 1")?;
    let shown = stage.shell(&psql("fraud-service", "SELECT id, number, cvv FROM cards WHERE id = 1"))?;
    stage.check(
        "it sees the number, and no more than the number",
        shown.succeeded && shown.has(&[&number, "(1 row)"]),
    )?;
    let cvv = stage.directly("SELECT cvv FROM cards WHERE id = 1")?;
    let row = shown.text.lines().find(|line| line.contains(&number)).context("no row")?;
    stage.check("the verification code is NULL, for it as for everybody", !row.contains(&format!("| {cvv}")))
}
