use super::*;

fn key(issuer: &str, id: &str) -> SubjectKey {
    SubjectKey { issuer: issuer.into(), id: id.into() }
}

#[test]
fn is_the_same_for_the_same_request() {
    let subject = key("corp", "order-service");
    let bound = || BoundTo {
        subject: &subject,
        on_behalf_of: &[],
        target: "payments",
        database: "shop",
        statements: &["SELECT 1"],
        parameters: &[],
        state: &[],
    };
    assert_eq!(approval_digest(&bound()), approval_digest(&bound()));
}

/// AP-01: whatever is changed after the approval, the digest is another one.
#[test]
fn each_part_changes_it() {
    let subject = key("corp", "order-service");
    let actors = [key("corp", "alice"), key("corp", "bob")];
    let first = Parameter { type_oid: 23, format: 0, value: Some(b"1") };
    let null = Parameter { type_oid: 25, format: 0, value: None };
    let base = BoundTo {
        subject: &subject,
        on_behalf_of: &actors,
        target: "payments",
        database: "shop",
        statements: &["DELETE FROM orders WHERE id = $1", "SELECT 1"],
        parameters: &[first, null],
        state: &[("role", "app"), ("search_path", "public")],
    };
    let swapped = [key("corp", "bob"), key("corp", "alice")];
    let changed = [
        base,
        BoundTo { subject: &key("corp", "order-service2"), ..base },
        BoundTo { subject: &key("corp2", "order-service"), ..base },
        // The same characters, cut elsewhere.
        BoundTo { subject: &key("corporder", "-service"), ..base },
        BoundTo { on_behalf_of: &[], ..base },
        BoundTo { on_behalf_of: &swapped, ..base },
        BoundTo { target: "payments2", ..base },
        BoundTo { database: "shop2", ..base },
        BoundTo { target: "pay", database: "mentsshop", ..base },
        BoundTo { statements: &["DELETE FROM orders WHERE id = $1"], ..base },
        BoundTo { statements: &["SELECT 1", "DELETE FROM orders WHERE id = $1"], ..base },
        BoundTo { statements: &["DELETE FROM orders WHERE id = $1SELECT 1"], ..base },
        BoundTo { statements: &["DELETE FROM orders WHERE id =  $1", "SELECT 1"], ..base },
        BoundTo { parameters: &[], ..base },
        BoundTo { parameters: &[first], ..base },
        BoundTo { parameters: &[Parameter { value: Some(b"2"), ..first }, null], ..base },
        BoundTo { parameters: &[Parameter { value: Some(b""), ..first }, null], ..base },
        BoundTo { parameters: &[Parameter { value: None, ..first }, null], ..base },
        BoundTo { parameters: &[Parameter { type_oid: 20, ..first }, null], ..base },
        BoundTo { parameters: &[Parameter { format: 1, ..first }, null], ..base },
        BoundTo { state: &[], ..base },
        BoundTo { state: &[("role", "app"), ("search_path", "evil, public")], ..base },
        BoundTo { state: &[("role", "appsearch_path"), ("", "public")], ..base },
    ];
    let mut digests: Vec<Digest> = changed.iter().map(approval_digest).collect();
    digests.sort();
    digests.dedup();
    assert_eq!(digests.len(), changed.len());
}
