use super::*;

#[test]
fn a_target_says_nothing_by_the_name_of_a_signal() {
    let told = |signal| format!("{:?}", named(signal));
    for name in ["4111111111111111", "", "TERM ", "usr2", "SIG@example.com"] {
        assert_eq!(told(Sig::Custom(name.into())), r#"Custom("SIG@openssh.com")"#, "{name}");
    }
    for signal in [Sig::KILL, Sig::USR1, Sig::Custom("USR2".into())] {
        assert_eq!(told(signal.clone()), format!("{signal:?}"));
    }
}

#[test]
fn a_target_says_nothing_by_where_a_connection_is_from() {
    assert_eq!(originator("192.0.2.7", 4022), (IpAddr::from([192, 0, 2, 7]), 4022));
    for address in ["4111111111111111", "UNKNOWN", "", "192.0.2.7 "] {
        assert_eq!(originator(address, 1), (IpAddr::from([127, 0, 0, 1]), 1), "{address}");
    }
}
