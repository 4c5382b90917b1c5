use model::effect::{ColumnName, TableKind};

use super::*;

fn table(name: &str) -> TableName {
    TableName::new("public", name)
}

fn on(verb: Verb, name: &str) -> Effect {
    Effect::new(verb, Object::Table(table(name), TableKind::Table))
}

fn column(verb: Verb, name: &str) -> Effect {
    Effect::new(verb, Object::Column(ColumnName::new(table(name), "id"), TableKind::Table))
}

fn function(class: FunctionClass) -> Effect {
    Effect::new(Verb::Execute, Object::Function(TableName::new("pg_catalog", "f"), class))
}

fn joined(name: &str, with: &str) -> Effect {
    Effect { with: Some(ColumnName::new(table(with), "id")), ..column(Verb::Join, name) }
}

fn set(class: SettingClass) -> Effect {
    Effect::new(Verb::Set, Object::Setting("s".into(), class))
}

/// What each scope covers, effect by effect: a row says, for each scope of the head, yes or no.
#[test]
fn ap_14_scope_is_data() {
    let scope = |verbs: &[Verb], tables: &[&str]| Scope {
        verbs: verbs.to_vec(),
        tables: tables.iter().map(|name| table(name)).collect(),
        session: None,
    };
    let scopes = [
        scope(&[Verb::Delete], &["payments"]),
        scope(&[Verb::Delete, Verb::Update], &["payments", "orders"]),
        scope(&[Verb::Delete], &[]),
        scope(&[], &["payments"]),
        scope(&[], &[]),
    ];
    let golden = [
        (on(Verb::Delete, "payments"), "yyyyy"),
        (on(Verb::Delete, "orders"), ".yy.y"),
        (on(Verb::Update, "payments"), ".y.yy"),
        (on(Verb::Truncate, "payments"), "...yy"),
        (on(Verb::Ddl, "payments"), "...yy"),
        (on(Verb::Grant, "payments"), "...yy"),
        (on(Verb::Select, "payments"), "yyyyy"),
        (on(Verb::Select, "cards"), "..y.y"),
        (column(Verb::Lookup, "payments"), "yyyyy"),
        (column(Verb::Filter, "cards"), "..y.y"),
        (column(Verb::Declassify, "payments"), "...yy"),
        (joined("payments", "payments"), "yyyyy"),
        (joined("payments", "orders"), ".yy.y"),
        (function(FunctionClass::Safe), "yyyyy"),
        (function(FunctionClass::Unknown), "....y"),
        (function(FunctionClass::FileAccess), "....y"),
        (set(SettingClass::Benign), "yyyyy"),
        (set(SettingClass::Meaning), "....y"),
        (set(SettingClass::Server), "....y"),
        (Effect::new(Verb::Evaluate, Object::Database), "yyyyy"),
        (Effect::new(Verb::Transaction, Object::Database), "yyyyy"),
        (Effect::new(Verb::Opaque, Object::Database), "....y"),
        (Effect::new(Verb::Connect, Object::Database), "....y"),
        (Effect::new(Verb::Ddl, Object::Namespace("public".into())), "....y"),
        (Effect::new(Verb::Notify, Object::Channel("c".into())), "....y"),
        (Effect::new(Verb::Listen, Object::Channel("c".into())), "....y"),
        (Effect::new(Verb::Pty, Object::Login), "....y"),
        (Effect::new(Verb::ReadFile, Object::File("/a".into())), "..y.y"),
        (Effect::new(Verb::RemoveFile, Object::File("/a".into())), "....y"),
    ];
    for (effect, expected) in golden {
        let covered = scopes.iter().map(|scope| if scope.covers(std::slice::from_ref(&effect)) { 'y' } else { '.' });
        assert_eq!(covered.collect::<String>(), expected, "{effect}");
    }
    assert!(scopes.iter().all(|scope| !scope.covers(&[])));
}

#[test]
fn ap_14_the_approver_sees_what_is_not_limited() {
    let narrow = Scope {
        verbs: vec![Verb::Delete, Verb::Update],
        tables: vec![table("payments")],
        session: Some(SessionId::from_bits(0)),
    };
    assert_eq!(narrow.lines(), ["delete, update", "only on public.payments", "only from session 0000000000000"]);
    let wide = ["ANY change that policy asks about", "on ANY table", "from any session of the subject"];
    assert_eq!(Scope::default().lines(), wide);
}

#[test]
fn ap_14_a_scope_with_unknown_limits_is_refused() {
    assert!(serde_json::from_str::<Scope>(r#"{"verbs":["delete"],"tables":[]}"#).is_ok());
    assert!(serde_json::from_str::<Scope>(r#"{"verbs":["delete"],"rows":5}"#).is_err());
    assert!(serde_json::from_str::<Scope>(r#"{"verbs":["erase"]}"#).is_err());
}
