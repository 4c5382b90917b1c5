use super::*;

fn column<'a>(table: &'a str, name: &'a str, type_name: &'a str) -> Column<'a> {
    Column { table, name, type_name, comment: "" }
}

fn looks(column: &Column<'_>, values: impl IntoIterator<Item = impl AsRef<str>>) -> Looks {
    let mut looks = Looks::default();
    values.into_iter().for_each(|value| looks.take(column, value.as_ref()));
    looks
}

/// The first proposal as `class/confidence`.
fn first(column: &Column<'_>, values: &[String]) -> Option<String> {
    let proposals = propose(column, &looks(column, values));
    proposals.first().map(|one| format!("{}/{:?}", one.class, one.confidence).to_lowercase())
}

fn card(serial: u64) -> String {
    let body: Vec<u8> = format!("4{serial:014}").bytes().map(|byte| byte - b'0').collect();
    let digit = (0..10).find(|digit| {
        let all: Vec<u8> = body.iter().copied().chain([*digit]).collect();
        detect::luhn(&all)
    });
    format!("4{serial:014}{}", digit.unwrap())
}

/// Digits that follow no rule, the same ones each time.
fn digits(seed: u64) -> String {
    let mixed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    format!("4{:015}", mixed % 1_000_000_000_000_000)
}

#[test]
fn values_show_their_class_whatever_the_column_is_called() {
    let cards: Vec<String> = (0..50).map(|serial| card(serial * 7_919_131)).collect();
    assert_eq!(first(&column("t", "x", "text"), &cards).as_deref(), Some("card_number/high"));
    assert_eq!(first(&column("t", "x", "int8"), &cards).as_deref(), Some("card_number/high"));
    let emails: Vec<String> = (0..50).map(|n| format!("person.{n}@example.com")).collect();
    assert_eq!(first(&column("t", "contact", "text"), &emails).as_deref(), Some("email/high"));
}

#[test]
fn random_digits_are_no_card() {
    let random: Vec<String> = (0..400).map(digits).collect();
    for name in ["reference", "x", "total"] {
        assert_eq!(first(&column("orders", name, "text"), &random), None, "{name}");
        assert_eq!(first(&column("orders", name, "numeric"), &random), None, "{name}");
    }
    // A name that says so is told, and what speaks against it with it.
    let number = column("cards", "number", "text");
    let proposals = propose(&number, &looks(&number, &random));
    assert!(proposals.iter().all(|one| one.confidence < Confidence::High), "{proposals:?}");
}

#[test]
fn names_and_types_and_forms_speak_together() {
    let none: [String; 0] = [];
    let dates: Vec<String> = (1..29).map(|day| format!("1980-02-{day:02}")).collect();
    let cvvs: Vec<String> = (100..130).map(|n| n.to_string()).collect();
    let people =
        ["Ann Example", "Bob O'Hara", "Zoë Müller", "Jean-Luc Roy", "Li Wei", "Ada B. Byron"].map(String::from);
    for (table, name, type_name, values, wanted) in [
        ("cards", "cvv", "text", cvvs.as_slice(), Some("card_cvv/high")),
        ("people", "birthDate", "date", &dates, Some("date_of_birth/high")),
        ("orders", "created_at", "timestamptz", &dates, None),
        ("customers", "name", "text", &people, Some("person_name/medium")),
        ("products", "name", "text", &people, None),
        ("customers", "e-mail", "text", &none, Some("email/medium")),
        ("customers", "email_verified", "bool", &none, None),
        ("customers", "email_count", "text", &none, Some("email/low")),
        ("accounts", "password", "text", &none, Some("secret/medium")),
        ("visits", "ip", "inet", &none, Some("ip_address/medium")),
        ("cards", "number", "text", &none, Some("card_number/medium")),
        ("houses", "number", "text", &none, None),
        ("t", "zip", "text", &none, None),
    ] {
        assert_eq!(first(&column(table, name, type_name), values).as_deref(), wanted, "{table}.{name}");
    }
}

#[test]
fn a_comment_may_speak_of_a_class_and_is_never_sure() {
    let said = Column { comment: "the customer's IBAN", ..column("t", "acct", "text") };
    assert_eq!(first(&said, &[]).as_deref(), Some("iban/low"));
}

#[test]
fn what_is_classified_may_be_contradicted() {
    let classes = |class: &str| Marking::Classes([DataClass::new(class)].into());
    let emails: Vec<String> = (0..20).map(|n| format!("person.{n}@example.com")).collect();
    let note = column("t", "note", "text");
    let seen = looks(&note, &emails);
    let told = contradicts(&Marking::Public, &note, &seen).unwrap();
    assert!(told.contains("public") && told.contains("20 of 20"), "{told}");
    assert!(contradicts(&classes("card_number"), &note, &seen).unwrap().contains("email"));
    assert_eq!(contradicts(&classes("email"), &note, &seen), None);
    assert_eq!(contradicts(&Marking::Unmarked, &note, &seen), None);
    let plain = looks(&note, (0..20).map(|n| format!("word {n}")));
    assert!(contradicts(&classes("iban"), &note, &plain).unwrap().contains("none of 20"));
    assert_eq!(contradicts(&classes("secret"), &note, &plain), None, "a password has no form");
}

#[test]
fn text_that_holds_some_is_no_column_of_them() {
    let note = column("orders", "note", "text");
    let texts = (0..20).map(|n| if n % 4 == 0 { format!("write to a.b{n}@example.com please") } else { "ok".into() });
    let seen = looks(&note, texts);
    assert!(propose(&note, &seen).is_empty());
    assert_eq!(in_text(&seen), [("email", 5)]);
}

#[test]
fn nothing_of_a_value_is_kept() {
    let any = column("t", "x", "text");
    let seen = looks(&any, ["4111111111111111", "canary.person@example.com"]);
    let kept = format!("{seen:?} {:?}", propose(&any, &seen));
    assert!(!kept.contains("4111") && !kept.contains("canary"), "{kept}");
}
