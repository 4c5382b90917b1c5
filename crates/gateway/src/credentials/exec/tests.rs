use super::*;

#[test]
fn an_answer_is_one_object_of_this_version_with_a_password() {
    let good = br#"{"version":1,"password":"p","username":"u","expires_at":4102444800,"more":{}}"#;
    let found = found(parsed(good).unwrap()).unwrap();
    assert_eq!((found.user.as_deref(), found.password.expose().as_str()), (Some("u"), "p"));
    assert!(found.until.unwrap() > Instant::now());
    for bad in [
        &b"{}"[..],
        b"",
        b"p",
        br#"{"version":2,"password":"p"}"#,
        br#"{"version":1}"#,
        br#"{"version":1,"password":"p"} x"#,
    ] {
        assert!(parsed(bad).is_err(), "{}", String::from_utf8_lossy(bad));
    }
    let ended = Answer { version: 1, username: None, password: "p".into(), expires_at: Some(1) };
    assert!(matches!(super::found(ended), Err(ExecError::Ended)));
}

#[test]
fn pieces_of_an_answer_are_noticed() {
    let output = br#"{"version":1,"password":"correct horse"}"#;
    assert!(shares(b"cannot use correct horse here", output));
    assert!(!shares(b"cannot reach the server", output));
    assert!(contains(b"x p y", b"p") && !contains(b"x", b""));
}
