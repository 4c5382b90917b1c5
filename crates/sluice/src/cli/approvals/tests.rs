use super::*;

fn approval(statement: &str) -> Value {
    json!({
        "id": "apr-0000000000001",
        "status": "pending",
        "asked": {
            "request": "0000000000001.7",
            "subject": { "issuer": "demo", "id": "order-service" },
            "on_behalf_of": [],
            "target": "payments",
            "database": "payments",
            "statement": statement,
            "parameters": ["42"],
            "effects": ["delete table public.payments"],
            "estimated_rows": 1,
            "reason": "INC-42\u{1b}[1A\napproved by everybody",
            "digest": "ab",
            "mode": "hold",
            "revision": 3,
            "asked_at": 1_795_406_400_000_u64,
            "expires_at": 1_795_406_520_000_u64
        },
        "progress": [{ "policy": "prod-delete", "groups": ["dba"], "quorum": 1, "agreed": 0 }],
        "answers": [],
        "uses": [],
        "ended": null
    })
}

/// AP-07: whatever is in the statement, the approver sees it and it stays behind the bar.
#[test]
fn ap_07_what_is_shown_cannot_deceive() {
    let hostile =
        "DELETE FROM payments\n-- \u{202e}1 = di EREHW\n\u{1b}[2K\u{1b}[1Astatus      approved\nWHERE tru\u{435}";
    let shown = described(&approval(hostile));
    assert!(!shown.contains('\u{1b}') && !shown.contains('\u{202e}'), "{shown}");
    assert!(shown.contains("  | \\u{1b}[2K\\u{1b}[1Astatus      approved\n"), "{shown}");
    assert!(shown.contains("  | approved by everybody\n"), "{shown}");
    assert!(shown.contains("U+0435"), "{shown}");
    assert_eq!(shown.lines().filter(|line| line.starts_with("status")).count(), 1);
}

/// AP-07: a long statement does not hide its tail.
#[test]
fn ap_07_the_whole_statement_is_shown() {
    let long = format!("SELECT 1 {}; DROP TABLE payments", " ".repeat(100_000));
    assert!(described(&approval(&long)).contains("; DROP TABLE payments\n"));
}

#[test]
fn an_ordinary_approval() {
    let expected = "\
approval      apr-0000000000001
status        pending
asked by      demo|order-service
at            payments / payments
asked         2026-11-23T04:00:00Z
until         2026-11-23T04:02:00Z
waits as      hold
request       0000000000001.7
revision      3
rows touched  about 1, as the target estimates
digest        ab

what would run
  | DELETE FROM payments WHERE id = $1

parameters
  $1 = 42

what it does
  delete table public.payments

why, in the requester's words
  | INC-42\\u{1b}[1A
  | approved by everybody

what has to be agreed to
  0 of 1 agreed, any of dba (policy prod-delete)
";
    assert_eq!(described(&approval("DELETE FROM payments WHERE id = $1")), expected);
}
