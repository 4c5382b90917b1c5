use super::*;

fn key(issuer: &str, id: &str) -> SubjectKey {
    SubjectKey { issuer: issuer.into(), id: id.into() }
}

fn with(change: impl FnOnce(&mut BoundTo<'_>)) -> Digest {
    let subject = key("corp", "order-service");
    let actors = [key("corp", "alice"), key("corp", "bob")];
    let parameters =
        [Parameter { type_oid: 23, format: 0, value: Some(b"1") }, Parameter { type_oid: 25, format: 0, value: None }];
    let mut bound = BoundTo {
        subject: &subject,
        on_behalf_of: &actors,
        target: "payments",
        database: "payments",
        statements: &["DELETE FROM orders WHERE id = $1", "SELECT 1"],
        parameters: &parameters,
        state: &[("role", "app"), ("search_path", "public")],
    };
    change(&mut bound);
    approval_digest(&bound)
}

#[test]
fn is_the_same_for_the_same_request() {
    assert_eq!(with(|_| ()), with(|_| ()));
    assert_ne!(with(|_| ()), Digest::default());
}

/// AP-01: whatever is changed after the approval, the digest is another one.
#[test]
fn each_part_changes_it() {
    let other = key("corp", "order-service2");
    let issuer = key("corp2", "order-service");
    // The same characters, cut elsewhere.
    let shifted = key("corporder", "-service");
    let swapped = [key("corp", "bob"), key("corp", "alice")];
    let mut seen = vec![
        with(|_| ()),
        with(|b| b.subject = &other),
        with(|b| b.subject = &issuer),
        with(|b| b.subject = &shifted),
        with(|b| b.on_behalf_of = &[]),
        with(|b| b.on_behalf_of = &swapped),
        with(|b| b.target = "payments2"),
        with(|b| b.database = "payments2"),
        with(|b| (b.target, b.database) = ("pay", "mentspayments")),
        with(|b| b.statements = &["DELETE FROM orders WHERE id = $1"]),
        with(|b| b.statements = &["SELECT 1", "DELETE FROM orders WHERE id = $1"]),
        with(|b| b.statements = &["DELETE FROM orders WHERE id = $1SELECT 1"]),
        with(|b| b.statements = &["DELETE FROM orders WHERE id =  $1", "SELECT 1"]),
        with(|b| b.parameters = &[]),
        with(|b| b.parameters = &[Parameter { type_oid: 23, format: 0, value: Some(b"1") }]),
        with(|b| b.state = &[]),
        with(|b| b.state = &[("role", "app"), ("search_path", "evil, public")]),
        with(|b| b.state = &[("role", "appsearch_path"), ("", "public")]),
    ];
    let null = Parameter { type_oid: 25, format: 0, value: None };
    for first in [
        Parameter { type_oid: 23, format: 0, value: Some(b"2") },
        Parameter { type_oid: 20, format: 0, value: Some(b"1") },
        Parameter { type_oid: 23, format: 1, value: Some(b"1") },
        Parameter { type_oid: 23, format: 0, value: None },
        Parameter { type_oid: 23, format: 0, value: Some(b"") },
    ] {
        seen.push(with(|b| b.parameters = &[first, null]));
    }
    let count = seen.len();
    seen.sort();
    seen.dedup();
    assert_eq!(seen.len(), count);
}
