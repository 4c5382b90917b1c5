//! What a statement sends to the client, whatever way it takes: where values leave, it is never nothing.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use std::sync::Arc;

use effects::postgres::{CopyDirection, Prepared, Statement, analyse};
use model::lineage::{Origin, Output};

/// The columns of an answer with what they are made of; `?` where nobody knows.
fn shown(statement: &Statement) -> String {
    let origin = |origin: &Origin| match origin {
        Origin::Column(column) => column.to_string(),
        Origin::Derived(columns) => columns.iter().map(ToString::to_string).collect::<Vec<_>>().join("+"),
        Origin::Unknown => "?".to_owned(),
        other => format!("{other:?}"),
    };
    match &*statement.answer() {
        Output::None => "nothing".to_owned(),
        Output::Unknown => "?".to_owned(),
        Output::Rows(columns) => columns.iter().map(|column| origin(&column.origin)).collect::<Vec<_>>().join(", "),
    }
}

#[test]
fn where_values_may_leave_the_answer_is_not_nothing() {
    for (text, expected) in [
        ("COPY cards (id, number) TO STDOUT", "public.cards.id, public.cards.number"),
        ("COPY (SELECT upper(number) AS n FROM cards) TO STDOUT (FORMAT binary)", "public.cards.number"),
        ("COPY (SELECT id, lo_get(1) FROM cards) TO STDOUT", "public.cards.id, ?"),
        ("COPY (DELETE FROM payments RETURNING amount) TO STDOUT", "public.payments.amount"),
        ("COPY (SELECT * FROM nobody_knows) TO STDOUT", "?"),
        ("COPY cards TO STDOUT (FORMAT unheard_of)", "?"),
        ("DELETE FROM orders WHERE id = 1 RETURNING note", "public.orders.note"),
        ("EXECUTE by_number('4111')", "public.cards.id, public.cards.number"),
        ("FETCH 1 FROM open_cards", "public.cards.number, public.cards.expires"),
        ("EXPLAIN ANALYZE SELECT number FROM cards", "?"),
        ("SELECT lo_get(1)", "?"),
        // These send nothing.
        ("COPY cards FROM STDIN", "nothing"),
        ("COPY cards TO '/tmp/x'", "nothing"),
        ("MOVE 1 FROM open_cards", "nothing"),
        ("DELETE FROM orders WHERE id = 1", "nothing"),
    ] {
        let statements = common::run(text);
        assert_eq!(statements.iter().map(shown).collect::<Vec<_>>(), [expected], "{text}");
    }
}

/// A COPY that was prepared by the protocol and is run by a statement.
struct Copied(Arc<Statement>);

impl Prepared for Copied {
    fn statement(&self, _: &str) -> Option<Arc<Statement>> {
        Some(Arc::clone(&self.0))
    }

    fn cursor(&self, _: &str) -> Option<Arc<Statement>> {
        None
    }
}

#[test]
fn a_copy_that_is_run_by_its_name_answers_as_itself() {
    let copied = Copied(Arc::new(common::run("COPY cards (number) TO STDOUT").remove(0)));
    let run = analyse("EXECUTE it", &common::session(common::catalog(), &copied)).remove(0);
    assert_eq!(run.copy.as_ref().map(|copy| copy.direction), Some(CopyDirection::Out));
    assert_eq!(shown(&run), "public.cards.number");
}

/// What the protocol calls a function by.
#[test]
fn a_function_call_of_the_protocol_answers_with_what_is_not_known() {
    // pg_proc.dat: lo_get(oid).
    let callable = common::catalog().callable(3458).expect("it is there");
    assert!(callable.text.contains("lo_get"), "{}", callable.text);
    assert_eq!(common::run(&callable.text).iter().map(shown).collect::<Vec<_>>(), ["?"]);
}
