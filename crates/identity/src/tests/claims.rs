//! The form of tokens, their lifetime, groups, kinds and bindings.

use super::*;

#[test]
fn only_signed_tokens_of_three_parts_are_read() {
    let world = World::new(issuer());
    for text in ["", ".", "a.b", "a.b.c.d", "a.b.c.d.e.f"] {
        assert_eq!(world.verify_token(text), Err(IdentityError::NotCompact), "{text}");
    }
    assert_eq!(world.verify_token("a.b.c.d.e"), Err(IdentityError::Encrypted));
    assert_eq!(world.verify_token(&"a".repeat(crate::MAX_TOKEN + 1)), Err(IdentityError::TooLong));
    let (header, claims) = (world.pair.header().to_string(), claims().to_string());
    for (bad_header, bad_claims, part) in [
        (r#"{"alg":"EdDSA","alg":"none"}"#, claims.as_str(), "header"),
        ("[]", &claims, "header"),
        ("\u{feff}{}", &claims, "header"),
        (&header, r#"{"sub":"a","sub":"b"}"#, "claims"),
        (&header, r#"{"act":{"sub":"a","sub":"b"}}"#, "claims"),
        (&header, "\"claims\"", "claims"),
        (&header, "{} ", "claims"),
    ] {
        let error = world.verify_token(&world.pair.token_of(bad_header, bad_claims)).unwrap_err();
        match error {
            IdentityError::Malformed { part: named, .. } => assert_eq!(named, part),
            // Trailing white space is JSON, so it goes on and fails later.
            other => assert!(matches!(other, IdentityError::UnknownIssuer(_)), "{other}"),
        }
    }
}

#[test]
fn what_a_header_demands_is_refused() {
    let world = World::new(issuer());
    for (name, value) in [
        ("crit", json!(["exp"])),
        ("crit", json!([])),
        ("zip", json!("DEF")),
        ("enc", json!("A256GCM")),
        ("b64", json!(false)),
    ] {
        let mut header = world.pair.header();
        header[name] = value;
        assert_eq!(world.verify_header(header), Err(IdentityError::Header(name)));
    }
}

#[test]
fn a_token_lives_no_longer_than_the_issuer_may_let_it() {
    let world = World::new(issuer());
    assert!(world.verify(&claims_with("exp", json!(NOW + 3600))).is_ok());
    assert_eq!(world.verify(&claims_with("exp", json!(NOW + 3601))), Err(IdentityError::Lifetime(3601)));
    assert_eq!(world.verify(&claims_with("iat", json!(NOW - 3301))), Err(IdentityError::Lifetime(3601)));
    assert_eq!(world.verify(&claims_with("iat", json!(NOW + 300))), Err(IdentityError::Lifetime(0)));
    assert_eq!(world.verify(&claims_with("iat", json!(NOW + 301))), Err(IdentityError::Lifetime(0)));
    assert_eq!(world.verify(&claims_with("iat", json!(NOW + 5))), Err(IdentityError::NotYet(5)));
}

#[test]
fn groups_come_from_the_configured_path() {
    let nested = Issuer { groups_claim: ClaimPath::new(["realm_access", "roles"]), ..issuer() };
    let world = World::new(nested);
    let groups = |value: Value| world.verify(&claims_with("realm_access", value)).map(|subject| subject.groups);
    assert_eq!(groups(json!({"roles": ["b", "a", "b"]})).unwrap(), ["corp|a".into(), "corp|b".into()]);
    assert!(groups(json!({})).unwrap().is_empty());
    assert!(groups(Value::Null).unwrap().is_empty());
    assert!(matches!(groups(json!(["a"])), Err(IdentityError::Groups(_))));
    let none = World::new(Issuer { groups_claim: None, ..issuer() });
    assert!(none.verify(&claims()).unwrap().groups.is_empty());
}

#[test]
fn a_bare_group_is_never_another_issuers() {
    let listed = claims_with("groups", json!(["dba", "other", "corp|dba", "partner|dba"]));
    let groups = |bare_groups| World::new(Issuer { bare_groups, ..issuer() }).verify(&listed).unwrap().groups.join(" ");
    assert_eq!(groups(BareGroups::default()), "corp|corp|dba corp|dba corp|other corp|partner|dba");
    let only = BareGroups::Only(["dba".into(), "partner|dba".into()].into());
    assert_eq!(groups(only), "corp|corp|dba corp|other corp|partner|dba dba");
    assert_eq!(groups(BareGroups::All), "corp|corp|dba corp|partner|dba dba other");
}

#[test]
fn the_kind_is_the_issuers_or_a_claims() {
    let kind = |kind: KindRule, claims: &Value| World::new(Issuer { kind, ..issuer() }).verify(claims).unwrap().kind;
    assert_eq!(kind(KindRule::User, &claims()), SubjectKind::User);
    let rule = KindRule::UserIf { claim: "account".into(), value: "person".into() };
    assert_eq!(kind(rule.clone(), &claims()), SubjectKind::Service);
    assert_eq!(kind(rule.clone(), &claims_with("account", json!("person"))), SubjectKind::User);
    assert_eq!(kind(rule, &claims_with("account", json!(["person"]))), SubjectKind::Service);
}

#[test]
fn another_claim_may_name_the_subject() {
    let world = World::new(Issuer { id_claim: "client_id".into(), ..issuer() });
    assert_eq!(world.verify(&claims_with("sub", json!("opaque"))).unwrap().key.to_string(), "corp|order-service");
    assert_eq!(world.verify(&claims_with("client_id", Value::Null)), Err(IdentityError::Name("subject or actor")));
}

#[test]
fn a_bound_token_is_good_on_its_own_connection_alone() {
    let world = World::new(issuer());
    let (ours, theirs) = (Digest([7; 32]), Digest([8; 32]));
    let verify = |confirmation: Value, certificate: Option<&Digest>| {
        let token = world.pair.token(&claims_with("cnf", confirmation));
        let proven = Proven { certificate: certificate.copied(), proof_key: None };
        verify(&token, &world.issuers, &proven, Timestamp::from_seconds(NOW)).map(|subject| subject.binding)
    };
    let bound = json!({"x5t#S256": b64(ours.0)});
    assert_eq!(verify(bound.clone(), Some(&ours)), Ok(Binding::Mtls));
    for (confirmation, certificate) in [
        (bound.clone(), None),
        (bound, Some(&theirs)),
        (json!({"x5t#S256": b64(&ours.0[..31])}), Some(&ours)),
        (json!({"x5t#S256": format!("{}=", b64(ours.0))}), Some(&ours)),
        (json!({"x5t#S256": null}), Some(&ours)),
        (json!({"jkt": b64(ours.0)}), Some(&ours)),
        (json!({"x5t#S256": b64(ours.0), "jkt": b64(ours.0)}), Some(&ours)),
        (json!({"kid": "k1"}), Some(&ours)),
        (json!({}), Some(&ours)),
        (json!("x5t#S256"), Some(&ours)),
        (json!([null]), Some(&ours)),
    ] {
        let result = verify(confirmation.clone(), certificate);
        assert!(matches!(result, Err(IdentityError::Binding(_))), "{confirmation}: {result:?}");
    }
    // An unbound token is a bearer token, whatever certificate the connection shows.
    let shown = Proven { certificate: Some(ours), proof_key: None };
    let bearer = crate::verify(&world.pair.token(&claims()), &world.issuers, &shown, Timestamp::from_seconds(NOW));
    assert_eq!(bearer.unwrap().binding, Binding::Bearer);
}

#[test]
fn a_token_id_is_recorded_if_it_is_presentable() {
    let world = World::new(issuer());
    assert_eq!(world.verify(&claims_with("jti", Value::Null)).unwrap().token_id, None);
    for jti in [json!(7), json!(""), json!("a\nb"), json!("a".repeat(256))] {
        assert!(matches!(world.verify(&claims_with("jti", jti)), Err(IdentityError::Claim { claim: "jti", .. })));
    }
}
