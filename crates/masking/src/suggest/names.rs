//! What names of columns speak of.

use super::{Column, Confidence};

/// Words that belong together, and the class that a name with all of them speaks of; the first that fits counts.
const NAMES: &[(&[&str], &str, Confidence)] = &[
    (&["cvv"], "card_cvv", Confidence::Medium),
    (&["cvv2"], "card_cvv", Confidence::Medium),
    (&["cvc"], "card_cvv", Confidence::Medium),
    (&["cvc2"], "card_cvv", Confidence::Medium),
    (&["csc"], "card_cvv", Confidence::Low),
    (&["security", "code"], "card_cvv", Confidence::Low),
    (&["iban"], "iban", Confidence::Medium),
    (&["ssn"], "us_ssn", Confidence::Medium),
    (&["social", "security"], "us_ssn", Confidence::Medium),
    (&["email"], "email", Confidence::Medium),
    (&["e", "mail"], "email", Confidence::Medium),
    (&["mail"], "email", Confidence::Low),
    (&["phone"], "phone", Confidence::Medium),
    (&["telephone"], "phone", Confidence::Medium),
    (&["msisdn"], "phone", Confidence::Medium),
    (&["mobile"], "phone", Confidence::Medium),
    (&["tel"], "phone", Confidence::Medium),
    (&["fax"], "phone", Confidence::Low),
    (&["dob"], "date_of_birth", Confidence::Medium),
    (&["birth"], "date_of_birth", Confidence::Medium),
    (&["birthday"], "date_of_birth", Confidence::Medium),
    (&["birthdate"], "date_of_birth", Confidence::Medium),
    (&["pan"], "card_number", Confidence::Medium),
    (&["cardnumber"], "card_number", Confidence::Medium),
    (&["card", "number"], "card_number", Confidence::Medium),
    (&["card", "no"], "card_number", Confidence::Medium),
    (&["card", "num"], "card_number", Confidence::Medium),
    (&["cc", "number"], "card_number", Confidence::Medium),
    (&["creditcard"], "card_number", Confidence::Medium),
    (&["credit", "card"], "card_number", Confidence::Medium),
    (&["ip"], "ip_address", Confidence::Medium),
    (&["ipaddress"], "ip_address", Confidence::Medium),
    (&["ipv4"], "ip_address", Confidence::Medium),
    (&["ipv6"], "ip_address", Confidence::Medium),
    (&["remote", "addr"], "ip_address", Confidence::Medium),
    (&["password"], "secret", Confidence::Medium),
    (&["passwd"], "secret", Confidence::Medium),
    (&["passphrase"], "secret", Confidence::Medium),
    (&["secret"], "secret", Confidence::Medium),
    (&["api", "key"], "secret", Confidence::Medium),
    (&["apikey"], "secret", Confidence::Medium),
    (&["private", "key"], "secret", Confidence::Medium),
    (&["credential"], "secret", Confidence::Medium),
    (&["credentials"], "secret", Confidence::Medium),
    (&["token"], "secret", Confidence::Low),
    (&["first", "name"], "person_name", Confidence::Medium),
    (&["last", "name"], "person_name", Confidence::Medium),
    (&["full", "name"], "person_name", Confidence::Medium),
    (&["given", "name"], "person_name", Confidence::Medium),
    (&["family", "name"], "person_name", Confidence::Medium),
    (&["middle", "name"], "person_name", Confidence::Medium),
    (&["maiden", "name"], "person_name", Confidence::Medium),
    (&["holder", "name"], "person_name", Confidence::Medium),
    (&["firstname"], "person_name", Confidence::Medium),
    (&["lastname"], "person_name", Confidence::Medium),
    (&["fullname"], "person_name", Confidence::Medium),
    (&["surname"], "person_name", Confidence::Medium),
    (&["cardholder"], "person_name", Confidence::Medium),
];

/// Words of tables whose rows are people: a `name` there is a person's.
const PEOPLE: &[&str] = &[
    "customer",
    "customers",
    "user",
    "users",
    "person",
    "persons",
    "people",
    "employee",
    "employees",
    "patient",
    "patients",
    "contact",
    "contacts",
    "member",
    "members",
    "guest",
    "guests",
    "student",
    "students",
    "client",
    "clients",
    "applicant",
    "applicants",
    "subscriber",
    "subscribers",
    "passenger",
    "passengers",
];

/// Words of names that speak of something about a value, and not of the value.
const ABOUT: &[&str] = &[
    "id",
    "ids",
    "count",
    "total",
    "verified",
    "confirmed",
    "enabled",
    "type",
    "kind",
    "status",
    "length",
    "at",
    "expires",
    "expiry",
    "template",
    "subject",
    "domain",
    "valid",
    "flag",
    "is",
    "has",
    "updated",
    "created",
    "sent",
];

/// The words of a name: `cardNumber`, `card_number` and `CARD-NUMBER` have the same two.
pub(super) fn words(name: &str) -> Vec<String> {
    let (mut words, mut word, mut was_lower) = (Vec::new(), String::new(), false);
    for letter in name.chars() {
        let begins = letter.is_uppercase() && was_lower;
        if (begins || !letter.is_alphanumeric()) && !word.is_empty() {
            words.push(std::mem::take(&mut word));
        }
        if letter.is_alphanumeric() {
            word.extend(letter.to_lowercase());
        }
        was_lower = letter.is_lowercase() || letter.is_numeric();
    }
    if !word.is_empty() {
        words.push(word);
    }
    words
}

/// The class that a column's name speaks of, and how surely; where it does not, its comment's, which never is sure.
pub(super) fn class_of(column: &Column<'_>) -> Option<(&'static str, Confidence)> {
    let name = words(column.name);
    let about = name.iter().any(|word| ABOUT.contains(&word.as_str()));
    if let Some((class, sureness)) = spoken_of(&name) {
        return Some((class, if about { Confidence::Low } else { sureness }));
    }
    let table = words(column.table);
    let has = |words: &[String], word: &str| words.iter().any(|one| one == word);
    if name.as_slice() == ["name"] && table.iter().any(|word| PEOPLE.contains(&word.as_str())) {
        return Some(("person_name", Confidence::Medium));
    }
    if !about && name.len() == 1 && ["number", "no", "num"].iter().any(|word| has(&name, word)) {
        let of_cards = has(&table, "card") || has(&table, "cards");
        return of_cards.then_some(("card_number", Confidence::Medium));
    }
    if about {
        return None;
    }
    spoken_of(&words(column.comment)).map(|(class, _)| (class, Confidence::Low))
}

fn spoken_of(words: &[String]) -> Option<(&'static str, Confidence)> {
    let in_order = |wanted: &[&str]| words.windows(wanted.len()).any(|some| some.iter().eq(wanted));
    NAMES.iter().find(|(wanted, ..)| in_order(wanted)).map(|(_, class, sureness)| (*class, *sureness))
}

/// Whether values of a type can be of the class at all.
pub(super) fn type_can_hold(class: &str, type_name: &str) -> bool {
    let is_text = ["text", "varchar", "bpchar", "name", "citext", "json", "jsonb", "bytea", "xml"]
        .contains(&type_name.trim_start_matches('_'));
    let is_number = ["int4", "int8", "numeric"].contains(&type_name);
    match class {
        "date_of_birth" => is_text || ["date", "timestamp", "timestamptz"].contains(&type_name),
        "ip_address" => is_text || ["inet", "cidr"].contains(&type_name),
        "card_number" | "us_ssn" | "phone" => is_text || is_number,
        "card_cvv" => is_text || is_number || type_name == "int2",
        _ => is_text,
    }
}
