//! RFC 8693 delegation, as the crate's documentation states it.

use super::*;

fn names(subject: &Subject) -> Vec<String> {
    subject.on_behalf_of.iter().map(ToString::to_string).collect()
}

#[test]
fn the_outermost_actor_calls_on_behalf_of_the_rest() {
    let world = World::new(issuer());
    let mut claims = claims_with("sub", json!("user"));
    claims["act"] = json!({"sub": "c"});
    let subject = world.verify(&claims).unwrap();
    assert_eq!(subject.key.to_string(), "corp|c");
    assert_eq!(names(&subject), ["corp|user"]);
    claims["act"] = json!({"sub": "c", "act": {"sub": "b", "act": {"sub": "a", "iss": URL}}});
    let subject = world.verify(&claims).unwrap();
    assert_eq!(subject.key.to_string(), "corp|c");
    assert_eq!(names(&subject), ["corp|b", "corp|a", "corp|user"]);
}

#[test]
fn groups_and_kind_are_the_actors_own() {
    let rule = KindRule::UserIf { claim: "account".into(), value: "person".into() };
    let world = World::new(Issuer { kind: rule, ..issuer() });
    let mut claims = claims_with("groups", json!(["payments-admin"]));
    claims["account"] = json!("person");
    claims["act"] = json!({"sub": "gateway"});
    let subject = world.verify(&claims).unwrap();
    assert!(subject.groups.is_empty());
    assert_eq!(subject.kind, SubjectKind::Service);
    claims["act"]["groups"] = json!(["gateways"]);
    assert_eq!(world.verify(&claims).unwrap().groups, ["corp|gateways".into()]);
    claims["act"]["_claim_names"] = json!({"groups": "src1"});
    assert!(matches!(world.verify(&claims), Err(IdentityError::Groups(_))));
}

#[test]
fn an_issuer_speaks_for_its_own_subjects_alone() {
    let world = World::new(issuer());
    for iss in [json!("https://id.partner.example"), json!(format!("{URL}/")), json!(null), json!([URL])] {
        for act in [json!({"sub": "c", "iss": iss}), json!({"sub": "c", "act": {"sub": "b", "iss": iss}})] {
            let error = world.verify(&claims_with("act", act)).unwrap_err();
            assert!(matches!(error, IdentityError::Delegation(_)), "{error}");
        }
    }
}

#[test]
fn a_malformed_or_endless_delegation_is_refused() {
    let world = World::new(issuer());
    let nested = |depth: usize| (0..depth).fold(json!({"sub": "a"}), |inner, _| json!({"sub": "a", "act": inner}));
    assert_eq!(world.verify(&claims_with("act", nested(7))).unwrap().on_behalf_of.len(), 8);
    assert!(matches!(world.verify(&claims_with("act", nested(8))), Err(IdentityError::Delegation(_))));
    for act in [json!("c"), json!([{"sub": "c"}]), json!(7), json!(false)] {
        assert!(matches!(world.verify(&claims_with("act", act)), Err(IdentityError::Delegation(_))));
    }
    let mut claims = claims();
    claims["act"] = Value::Null;
    assert!(matches!(world.verify(&claims), Err(IdentityError::Delegation(_))));
    for act in [json!({}), json!({"sub": ""}), json!({"sub": "c", "act": {}}), json!({"sub": "\u{202e}c"})] {
        assert_eq!(world.verify(&claims_with("act", act)), Err(IdentityError::Name("subject or actor")));
    }
}
