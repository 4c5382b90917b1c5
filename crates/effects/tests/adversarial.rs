//! What a hostile caller sends: texts made to overflow, to be read two ways, or to mean something else than they say.
#![allow(missing_docs, clippy::unwrap_used, clippy::indexing_slicing)]

mod common;

use std::sync::Arc;

use effects::postgres::{Catalog, NoPrepared, Session, analyse, labels, queries};
use model::class::DataClass;
use model::classification::{Classification, ColumnRule};
use model::effect::{ColumnName, TableName, Verb};
use model::lineage::{Origin, Output};
use proptest::prelude::*;
use testkit::normal;
use testkit::statements::Choices;

fn is_opaque(text: &str) -> bool {
    common::run(text).iter().all(|statement| statement.is_opaque())
}

#[test]
fn rx_06_parser_bombs_end_quickly_and_safely() {
    let deep = 100_000;
    assert!(is_opaque(&format!("SELECT {}1{}", "(".repeat(deep), ")".repeat(deep))));
    assert!(is_opaque(&format!("SELECT {}", "(".repeat(deep))));
    assert!(is_opaque(&format!("SELECT {}1{}", "(".repeat(400), ")".repeat(400))) || !is_opaque("SELECT 1"));
    assert!(is_opaque(&format!("SELECT {}1 {}", "CASE WHEN true THEN ".repeat(9_000), "END ".repeat(9_000))));
    assert!(is_opaque(&format!("SELECT {} id FROM cards", "- ".repeat(5_000))));
    assert!(is_opaque(&format!("SELECT {} true", "NOT ".repeat(5_000))));
    assert!(is_opaque(&format!("SELECT 1{}", "::text::varchar".repeat(5_000))));
    assert!(is_opaque(&format!("SELECT a{} FROM t", "[1]".repeat(5_000))));
    assert!(is_opaque(&format!("{}SELECT 1{}", "SELECT * FROM (".repeat(300), ") x".repeat(300))));
    let joins: String = (0..3_000).map(|at| format!(" JOIN cards c{at} ON true")).collect();
    assert!(is_opaque(&format!("SELECT 1 FROM cards{joins}")));
    // Long is not deep.
    assert!(!is_opaque(&format!("SELECT 1{}", "+1".repeat(20_000))));
    assert!(!is_opaque(&format!("SELECT 'a'{}", "||'b'".repeat(20_000))));
    let union: String = "SELECT 1 ".to_owned() + &"UNION ALL SELECT 2 ".repeat(2_000);
    assert!(!is_opaque(&union));
    let list = vec!["'4111'"; 100_000].join(",");
    let found = common::run(&format!("SELECT id FROM cards WHERE number IN ({list})"));
    assert_eq!(found[0].literals.len(), 100_000);
    assert!(!found[0].is_opaque());
    assert!(!is_opaque(&format!("SELECT '{}'", "x".repeat(10_000_000))));
    let ors: String = (0..5_000).map(|at| format!(" OR id = {at}")).collect();
    assert!(!is_opaque(&format!("SELECT id FROM cards WHERE false{ors}")));
}

/// Pieces that lexers disagree about.
const PIECES: [&str; 50] = [
    ";SELECT 2",
    ";\n",
    "'",
    "''",
    "'a'",
    "E'",
    r"\'",
    r"\",
    "\"",
    "\"\"",
    "$",
    "$$",
    "$a$",
    "$1",
    "$ä$",
    "--",
    "\n",
    "\r",
    "/*",
    "*/",
    "*",
    "/",
    ";",
    " ",
    "\t",
    "\u{b}",
    "U&'",
    "U&\"",
    "UESCAPE '!'",
    "x'",
    "B'01'",
    "n'",
    "1",
    ".5",
    "1e",
    "-",
    "+",
    "a",
    "E",
    "_",
    "é",
    "\u{a0}",
    "(",
    ")",
    ",",
    "::",
    "SELECT ",
    " AS ",
    "'\n'",
    "0x1f",
];

/// What an unrelated lexer makes of the same text: as many statements, and the same constants in the same places.
#[test]
fn pg_02_another_lexer_finds_the_same_tokens() {
    let (mut read, mut several, mut quoted) = (0, 0, 0);
    for number in 0..300_000 {
        let mut choices = Choices::of(2, number);
        let count = 1 + choices.below(12);
        let text: String = (0..count).map(|_| PIECES[choices.below(PIECES.len())]).collect();
        let text = format!("SELECT 1{text}");
        if pg_raw_parse::parse(&text).is_err() {
            continue;
        }
        let found = common::run(&text);
        let ours: Vec<String> = found.iter().flat_map(|statement| normal::statements(&statement.normal)).collect();
        // What is refused for its form alone has none.
        if ours.is_empty() {
            assert!(is_opaque(&text) || normal::statements(&text).is_empty(), "{text:?}");
            continue;
        }
        assert_eq!(ours, normal::statements(&text), "{text:?}");
        read += 1;
        several += usize::from(ours.len() > 1);
        quoted += usize::from(text.contains(['\'', '"', '$', '/']));
    }
    println!("{read} texts were read, {several} with several statements, {quoted} with quotes or comments");
    assert!(read > 5000 && several > 100 && quoted > 1000, "{read} {several} {quoted}");
}

#[test]
fn pg_03_standard_conforming_strings_off_makes_backslashes_opaque() {
    let catalog = common::catalog();
    let off = Session { standard_conforming_strings: false, ..common::session(catalog, &NoPrepared) };
    let text = r"select 'x\'' , (select ssn from customers where id=1) --'";
    assert!(analyse(text, &off)[0].is_opaque());
    assert!(!analyse("select 'x'", &off)[0].is_opaque());
    assert!(!common::run(text)[0].effects.iter().any(|effect| effect.to_string().contains("ssn")));
}

#[test]
fn nul_and_odd_blanks_are_opaque_or_read_as_the_server_reads_them() {
    assert!(is_opaque("SELECT 1\0; DROP TABLE cards"));
    // A no-break space is part of a name, here an alias.
    let shown = common::run("SELECT 1 \u{a0} FROM cards");
    assert!(shown[0].effects.iter().any(|effect| effect.to_string() == "select table public.cards"));
    assert!(is_opaque("\u{feff}SELECT 1"));
    // A name is cut to 63 bytes, as the server does.
    let long = "a".repeat(70_000);
    assert!(is_opaque(&format!("SELECT {long} FROM cards")));
}

#[test]
fn intricate_texts_end() {
    let nested = |open: &str, inner: &str, close: &str, times: usize| {
        format!("{}{inner}{}", open.repeat(times), close.repeat(times))
    };
    let unnest = nested("SELECT * FROM unnest(ARRAY(", "SELECT 1", ")) x", 60);
    assert!(is_opaque(&unnest));
    let recursive =
        nested("WITH RECURSIVE t(a) AS (SELECT 1 UNION ALL (", "SELECT number FROM cards", ")) SELECT a FROM t", 20);
    common::run(&recursive);
}

#[test]
fn pg_19_syntax_newer_than_the_server_is_opaque() {
    let json = "SELECT JSON_OBJECT('pan' VALUE number), JSON_VALUE('{}', '$.a') FROM cards";
    assert!(is_opaque(json));
    let newer = with_rows("database\tpayments\t180001\n");
    let statement = analyse(json, &common::session(&newer, &NoPrepared)).remove(0);
    assert!(!statement.is_opaque());
    let shown = common::show(json, &statement);
    assert!(shown.contains("out json_object: JsonObject[pan: public.cards.number]"), "{shown}");
}

fn with_rows(extra: &str) -> Catalog {
    let read = |name: &str| std::fs::read_to_string(common::folder("fixture").join(name)).unwrap();
    let user = read("user.tsv") + extra;
    Catalog::new(
        Arc::new(common::part(queries::SYSTEM, &std::fs::read_to_string(common::shipped()).unwrap())),
        common::part(&queries::user_with_views(), &user),
    )
}

#[test]
fn pg_12_what_shadows_a_name_is_what_the_name_means() {
    // A temporary table `cards`, a function `lower(text)` and an operator `||` of a user's.
    let extra = "path\tpg_temp_3\n\
        user relations\t90001\tpg_temp_3\torders\tr\tt\t90002\tfalse\n\
        user columns\t90001\t1\tid\t20\t\n\
        user functions\t90003\tpublic\tlower\tf\ti\tfalse\t25\t0\t0\t25\t\\N\n\
        user operators\t90004\tpublic\t||\t25\t25\t25\tpublic\tglue\n";
    let catalog = with_rows(extra);
    let path: Vec<Arc<str>> = ["pg_temp_3", "pg_catalog", "public"].map(Into::into).to_vec();
    let session = Session { search_path: &path, ..common::session(&catalog, &NoPrepared) };
    let effects =
        |text: &str| -> Vec<String> { analyse(text, &session)[0].effects.iter().map(ToString::to_string).collect() };
    assert_eq!(effects("SELECT id FROM orders"), ["select column pg_temp.orders.id"]);
    assert_eq!(effects("SELECT id FROM public.orders"), ["select column public.orders.id"]);
    assert!(effects("SELECT lower(number) FROM cards").contains(&"execute function public.lower (unknown)".to_owned()));
    assert!(!effects("SELECT pg_catalog.lower('a')").iter().any(|effect| effect.contains("public")));
    assert!(effects("SELECT number || 'x' FROM cards").contains(&"execute function public.glue (unknown)".to_owned()));
    // A known type that the operator cannot take rules it out.
    let ruled_out = ["select column public.cards.id", "filter column public.cards.id"];
    assert_eq!(effects("SELECT id || id FROM cards"), ruled_out);
    let elsewhere: Vec<Arc<str>> = ["pg_catalog", "app"].map(Into::into).to_vec();
    let session = Session { search_path: &elsewhere, ..session };
    let effects = analyse("SELECT id FROM cards", &session)[0].effects[0].to_string();
    assert_eq!(effects, "select column app.cards.id");
}

#[test]
fn a_view_that_contains_itself_ends_and_hides_nothing() {
    let extra = "user relations\t90011\tpublic\tv1\tv\tp\t90012\tfalse\n\
        user columns\t90011\t1\tx\t25\t\n\
        user views\t90011\tSELECT v2.x FROM v2\n\
        user relations\t90013\tpublic\tv2\tv\tp\t90014\tfalse\n\
        user columns\t90013\t1\tx\t25\t\n\
        user views\t90013\tSELECT v1.x FROM v1\n";
    let catalog = with_rows(extra);
    let statement = analyse("SELECT x FROM v1", &common::session(&catalog, &NoPrepared)).remove(0);
    assert!(statement.mentions.anything);
}

#[test]
fn labels_follow_views_and_families() {
    let rule = |table: &str, column: &str, class: &str| ColumnRule {
        target: "*".into(),
        database: "payments".into(),
        schema: "public".into(),
        table: table.into(),
        column: column.into(),
        classes: [DataClass::new(class)].into(),
    };
    let classification = Classification {
        rules: vec![
            rule("cards", "number", "card_number"),
            rule("people", "ssn", "us_ssn"),
            rule("events_2026", "payload", "secret"),
        ],
        ..Classification::default()
    };
    let labels = labels(common::catalog(), "pay", &classification);
    let classes = |schema: &str, table: &str, column: &str| -> Vec<String> {
        let column = ColumnName::new(TableName::new(schema, table), column);
        labels.marking(&column).classes().map(ToString::to_string).collect()
    };
    for (schema, table, column, expected) in [
        ("public", "cards", "number", "card_number"),
        ("public", "card_list", "number", "card_number"),
        ("public", "card_list", "last4", "card_number"),
        ("public", "card_numbers", "pan", "card_number"),
        ("public", "card_stats", "top", "card_number"),
        ("public", "employees", "ssn", "us_ssn"),
        ("public", "events", "payload", "secret"),
        ("pg_catalog", "pg_stats", "histogram_bounds", "secret"),
        ("pg_catalog", "pg_authid", "rolpassword", "secret"),
    ] {
        assert_eq!(classes(schema, table, column), [expected], "{schema}.{table}.{column}");
    }
    assert!(classes("public", "card_list", "holder").is_empty());
    assert!(classes("public", "card_list", "currency").is_empty());
    assert_eq!(labels.parents[&TableName::new("public", "events_2026")], [TableName::new("public", "events")]);
    assert!(labels.is_classified(&TableName::new("public", "card_numbers")));
}

#[test]
fn every_statement_has_an_effect() {
    for text in ["", ";", ";;", "/* x */", "SELECT", "SELECT 1;;SELECT 2", "-- x"] {
        for statement in common::run(text) {
            assert!(!statement.effects.is_empty(), "{text}");
        }
    }
    assert_eq!(common::run("")[0].effects[0].verb, Verb::Transaction);
}

#[test]
fn normal_texts_have_no_constants_and_no_comments() {
    let normal = |text: &str| common::run(text)[0].normal.clone();
    assert_eq!(
        normal("SELECT  id,/* 4111 */ $1 FROM cards -- x\n WHERE number='4111' AND id IN (1, 2)"),
        "SELECT id, $1 FROM cards WHERE number=$2 AND id IN ($3, $4)"
    );
    assert_eq!(normal("select E'a\\'b', $$x$$"), "select $1, $2");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn token_soup_never_panics(words in proptest::collection::vec(word(), 0..25)) {
        let text = words.join(" ");
        for statement in common::run(&text) {
            prop_assert!(!statement.effects.is_empty());
            for literal in &statement.literals {
                prop_assert!(text.get(literal.start..literal.end).is_some());
            }
        }
    }

    #[test]
    fn any_text_never_panics(text in "\\PC{0,80}") {
        prop_assert!(!common::run(&text).is_empty());
    }
}

fn word() -> impl Strategy<Value = &'static str> {
    proptest::sample::select(vec![
        "SELECT",
        "FROM",
        "WHERE",
        "cards",
        "customers",
        "number",
        "id",
        "c",
        ".",
        "*",
        ",",
        "(",
        ")",
        "=",
        "IN",
        "AND",
        "OR",
        "NOT",
        "NULL",
        "IS",
        "'x'",
        "1",
        "$1",
        "JOIN",
        "LEFT",
        "ON",
        "USING",
        "(id)",
        "AS",
        "WITH",
        "RECURSIVE",
        "UNION",
        "ALL",
        "INSERT INTO",
        "VALUES",
        "UPDATE",
        "SET",
        "DELETE FROM",
        "RETURNING",
        "ORDER BY",
        "GROUP BY",
        "LIMIT",
        "CASE",
        "WHEN",
        "THEN",
        "END",
        "EXISTS",
        "ARRAY[",
        "]",
        "::text",
        "count(*)",
        "lower(number)",
        "lateral",
        "row_to_json(c)",
        "EXPLAIN",
        "ANALYZE",
        "COPY",
        "TO STDOUT",
        "BEGIN",
        ";",
        "CREATE TABLE",
        "DROP TABLE",
        "t",
        "PREPARE p AS",
        "EXECUTE",
        "DECLARE x CURSOR FOR",
        "OVER",
        "PARTITION BY",
        "DISTINCT",
        "ONLY",
        "MERGE INTO",
        "MATCHED",
        "DO NOTHING",
        "ON CONFLICT",
        "excluded",
        "VIEW",
        "GRANT",
        "-",
        "||",
        "->>",
        "BETWEEN",
        "LIKE",
    ])
}

#[test]
fn columns_that_are_not_known_hide_no_others() {
    // The function's columns are not known, so `c` may be one of them: and it is the whole row of cards.
    for text in [
        "SELECT lower(c::text) FROM unnest(array_cat(ARRAY['a'], ARRAY['b'])) WITH ORDINALITY AS f(u, o), cards c",
        "SELECT (SELECT number FROM unnest(array_cat(ARRAY['a'], ARRAY['b'])) WITH ORDINALITY AS f(u, o)) FROM cards",
    ] {
        let statement = common::run(text).remove(0);
        let Output::Rows(columns) = &statement.output else { panic!("{text}") };
        assert_eq!(columns[0].origin, Origin::Unknown, "{text}");
        assert!(statement.mentions.tables.iter().any(|table| &*table.name == "cards"), "{text}");
    }
}
