//! The attacks on tokens that `docs/known-attacks.md` lists, by their numbers.

use super::*;

#[test]
fn id_01_alg_none_in_every_spelling_is_refused_before_a_key_is_looked_for() {
    let pair = Pair::new("EdDSA", "k1");
    // Nobody is trusted here: only a check that comes before the issuer and its keys can say "algorithm".
    let nobody = Issuers::new();
    for alg in
        [json!("none"), json!("None"), json!("nOnE"), json!("NONE"), json!(""), json!(null), json!(["none"]), json!(0)]
    {
        for claims in [claims(), json!({})] {
            let token = pair.token_with(&json!({"alg": alg, "kid": "k1", "typ": "at+jwt"}), &claims);
            let unsigned = token.rsplit_once('.').unwrap().0.to_owned() + ".";
            for token in [token, unsigned] {
                let error = verify(&token, &nobody, &Proven::NOTHING, Timestamp::from_seconds(NOW)).unwrap_err();
                assert!(matches!(error, IdentityError::Algorithm(_)), "{alg}: {error}");
            }
        }
    }
    let absent = pair.token_with(&json!({"kid": "k1"}), &claims());
    assert!(matches!(World::new(issuer()).verify_token(&absent), Err(IdentityError::Algorithm(_))));
}

#[test]
fn id_02_the_algorithm_is_the_keys_not_the_headers() {
    let rsa = Pair::new("RS256", "k1");
    let issuers = trusting(issuer(), &[&rsa]);
    let at = Timestamp::from_seconds(NOW);
    // The public key in each of its forms as an HMAC secret.
    let jwk = rsa.jwk.to_string();
    let n = URL_SAFE_NO_PAD.decode(rsa.jwk["n"].as_str().unwrap()).unwrap();
    for secret in [jwk.as_bytes(), &n] {
        for (alg, hash) in [
            ("HS256", aws_lc_rs::hmac::HMAC_SHA256),
            ("HS384", aws_lc_rs::hmac::HMAC_SHA384),
            ("HS512", aws_lc_rs::hmac::HMAC_SHA512),
        ] {
            let header = json!({"alg": alg, "typ": "at+jwt", "kid": "k1"});
            let signed = format!("{}.{}", b64(header.to_string()), b64(claims().to_string()));
            let tag = aws_lc_rs::hmac::sign(&aws_lc_rs::hmac::Key::new(hash, secret), signed.as_bytes());
            let error = verify(&format!("{signed}.{}", b64(tag)), &issuers, &Proven::NOTHING, at).unwrap_err();
            assert!(matches!(error, IdentityError::Algorithm(_)), "{error}");
        }
    }
    // Another family, and another algorithm of the same family, under the same key id.
    for other in ["ES256", "EdDSA", "PS256", "RS512"] {
        let error = verify(&Pair::new(other, "k1").token(&claims()), &issuers, &Proven::NOTHING, at).unwrap_err();
        assert_eq!(error, IdentityError::KeyAlgorithm { claimed: Pair::new(other, "").algorithm, pinned: "RS256" });
    }
    // Lying about it does not help.
    let liar = Pair::new("ES256", "k1");
    let token = liar.token_with(&json!({"alg": "RS256", "typ": "at+jwt", "kid": "k1"}), &claims());
    assert_eq!(verify(&token, &issuers, &Proven::NOTHING, at), Err(IdentityError::Signature));
}

#[test]
fn id_02_an_algorithm_that_the_issuer_may_not_use_is_refused() {
    let pair = Pair::new("RS256", "k1");
    let strict = Issuer { algorithms: [Algorithm::Es256].into(), ..issuer() };
    let issuers = trusting(strict, &[&pair]);
    let error = verify(&pair.token(&claims()), &issuers, &Proven::NOTHING, Timestamp::from_seconds(NOW)).unwrap_err();
    assert!(matches!(error, IdentityError::KeyAlgorithm { .. }));
}

#[test]
fn id_03_a_key_id_is_only_a_name() {
    let world = World::new(issuer());
    let header = |kid: Value| json!({"alg": "EdDSA", "typ": "at+jwt", "kid": kid});
    for kid in ["../../../../dev/null", "k1' OR '1'='1", "k1\0", "K1", "k1 ", "other|k1"] {
        let error = world.verify_header(header(json!(kid))).unwrap_err();
        assert!(matches!(error, IdentityError::UnknownKey { .. }), "{kid}: {error}");
        assert!(!error.to_string().contains('\0'));
    }
    for kid in [json!(""), json!("k".repeat(257)), json!(1), json!(["k1"]), json!(null)] {
        assert_eq!(world.verify_header(header(kid)), Err(IdentityError::KeyId));
    }
    assert_eq!(world.verify_header(header(json!("k".repeat(1 << 20)))), Err(IdentityError::TooLong));
    // Without a name, the only key is meant; where there are several, none is.
    assert!(world.verify_header(json!({"alg": "EdDSA", "typ": "at+jwt"})).is_ok());
    let two = trusting(issuer(), &[&world.pair, &Pair::new("EdDSA", "k2")]);
    let nameless = world.pair.token_with(&json!({"alg": "EdDSA", "typ": "at+jwt"}), &claims());
    let error = verify(&nameless, &two, &Proven::NOTHING, Timestamp::from_seconds(NOW)).unwrap_err();
    assert!(matches!(error, IdentityError::UnknownKey { .. }));
}

#[test]
fn id_03_a_storm_of_unknown_key_ids_causes_one_fetch_a_minute() {
    let mut cache = KeyCache::new(KeyTiming::default());
    let mut fetches = 0;
    for millis in (0..300_000).step_by(10) {
        if cache.unknown_key(Timestamp(NOW * 1000 + millis)) == UnknownKey::Fetch {
            fetches += 1;
            cache.failed();
        }
    }
    assert_eq!(fetches, 5);
}

#[test]
fn id_04_keys_and_addresses_in_a_token_are_never_looked_at() {
    let world = World::new(issuer());
    let attacker = Pair::new("EdDSA", "k1");
    for (name, value) in [
        ("jwk", attacker.jwk.clone()),
        ("jku", json!("https://attacker.example/jwks.json")),
        ("x5u", json!("https://attacker.example/cert.pem")),
        ("x5c", json!(["MIIB"])),
        ("x5t", json!("AAAA")),
        ("x5t#S256", json!("AAAA")),
    ] {
        let mut header = world.pair.header();
        header[name] = value;
        assert_eq!(
            world.verify_token(&attacker.token_with(&header, &claims())),
            Err(IdentityError::Signature),
            "{name}"
        );
        assert!(world.verify_header(header).is_ok(), "{name}");
    }
}

#[test]
fn id_06_times_are_whole_numbers_and_present() {
    let world = World::new(issuer());
    let late = NOW + 60;
    for claim in ["exp", "iat", "nbf"] {
        for value in [
            json!(late.to_string()),
            json!(1_800_000_060.5),
            json!(-1),
            json!(true),
            json!([late]),
            json!({"seconds": late}),
            json!(253_402_300_800_u64),
            json!(u64::MAX),
        ] {
            let error = world.verify(&claims_with(claim, value.clone())).unwrap_err();
            assert!(
                matches!(error, IdentityError::Claim { claim: named, .. } if named == claim),
                "{claim} {value}: {error}"
            );
        }
        // Number forms that only some parsers read as whole.
        for text in [format!("{late}.0"), String::from("1.8e9"), String::from("-0"), String::from("null")] {
            let mut rest = claims_with(claim, Value::Null).to_string();
            rest.insert_str(1, &format!("\"{claim}\":{text},"));
            let token = world.pair.token_of(&world.pair.header().to_string(), &rest);
            let error = world.verify_token(&token).unwrap_err();
            assert!(matches!(error, IdentityError::Claim { claim: named, .. } if named == claim), "{text}: {error}");
        }
    }
    for claim in ["exp", "iat"] {
        let error = world.verify(&claims_with(claim, Value::Null)).unwrap_err();
        assert_eq!(error, IdentityError::Claim { claim, problem: "absent" });
    }
    assert!(world.verify(&claims_with("nbf", json!(NOW))).is_ok());
    assert_eq!(world.verify(&claims_with("nbf", json!(NOW + 1))), Err(IdentityError::NotYet(1)));
}

#[test]
fn id_07_the_audience_is_exact() {
    let world = World::new(issuer());
    for aud in ["Sluice", "sluice/", "sluice ", "sluic", "sluice.example.com", "https://sluice", "", "sluice\0"] {
        assert_eq!(world.verify(&claims_with("aud", json!(aud))), Err(IdentityError::Audience), "{aud}");
    }
    for aud in [json!(null), json!([]), json!(["sluice", 1]), json!({"sluice": true}), json!(1)] {
        let error = world.verify(&claims_with("aud", aud.clone())).unwrap_err();
        assert!(matches!(error, IdentityError::Claim { claim: "aud", .. }), "{aud}: {error}");
    }
    assert!(world.verify(&claims_with("aud", json!(["stranger", "sluice"]))).is_ok());
    assert_eq!(world.verify(&claims_with("aud", json!(["stranger"]))), Err(IdentityError::Audience));
}

#[test]
fn id_08_each_issuers_keys_are_its_own() {
    let (ours, theirs) = (Pair::new("EdDSA", "k1"), Pair::new("EdDSA", "k1"));
    let other = Issuer::new("partner", "https://id.partner.example", "sluice");
    let issuers = trusting(issuer(), &[&ours]).with_keys(Arc::new(other), Arc::new(key_set(&[&theirs])));
    let at = Timestamp::from_seconds(NOW);
    let of_partner = claims_with("iss", json!("https://id.partner.example"));
    assert_eq!(verify(&theirs.token(&claims()), &issuers, &Proven::NOTHING, at), Err(IdentityError::Signature));
    assert_eq!(verify(&ours.token(&of_partner), &issuers, &Proven::NOTHING, at), Err(IdentityError::Signature));
    let subject = verify(&theirs.token(&of_partner), &issuers, &Proven::NOTHING, at).unwrap();
    assert_eq!(subject.key.to_string(), "partner|order-service");
    for iss in [
        json!(null),
        json!([URL]),
        json!(format!("{URL}/")),
        json!(URL.to_uppercase()),
        json!("http://id.example.com"),
        json!(format!("{URL}@attacker.example")),
    ] {
        let error = verify(&ours.token(&claims_with("iss", iss.clone())), &issuers, &Proven::NOTHING, at).unwrap_err();
        assert!(matches!(error, IdentityError::UnknownIssuer(_)), "{iss}: {error}");
    }
}

#[test]
fn id_09_other_kinds_of_token_are_refused() {
    let world = World::new(issuer());
    for typ in [
        json!("JWT"),
        json!("dpop+jwt"),
        json!("logout+jwt"),
        json!("secevent+jwt"),
        json!("token-introspection+jwt"),
        json!("at+jwt;x"),
        json!(""),
        json!(1),
    ] {
        let header = json!({"alg": "EdDSA", "kid": "k1", "typ": typ});
        assert!(matches!(world.verify_header(header), Err(IdentityError::Kind(_))), "{typ}");
    }
    let nothing = json!({"alg": "EdDSA", "kid": "k1"});
    assert!(matches!(world.verify_header(nothing), Err(IdentityError::Kind(_))));
    for typ in ["at+jwt", "application/at+jwt", "AT+JWT"] {
        assert!(world.verify_header(json!({"alg": "EdDSA", "kid": "k1", "typ": typ})).is_ok(), "{typ}");
    }
    for foreign in
        [("events", json!({"http://schemas.openid.net/event/backchannel-logout": {}})), ("htm", json!("POST"))]
    {
        assert!(matches!(world.verify(&claims_with(foreign.0, foreign.1)), Err(IdentityError::Kind(_))));
    }
}

#[test]
fn id_09_each_profile_takes_its_own_kind_alone() {
    let spiffe = "spiffe://corp/ns/shop/sa/checkout";
    let cases = [
        (Profile::Rfc9068, Some("at+jwt"), json!({})),
        (Profile::Keycloak, Some("JWT"), json!({"typ": "Bearer"})),
        (Profile::Kubernetes, None, json!({"kubernetes.io": {"namespace": "shop"}})),
        (Profile::Github, Some("JWT"), json!({"repository": "o/r", "workflow_ref": "o/r/w@main"})),
        (Profile::Gitlab, Some("JWT"), json!({"project_path": "g/p", "pipeline_id": "7"})),
        (Profile::JwtSvid, Some("JOSE"), json!({"sub": spiffe})),
        (Profile::Entra, Some("JWT"), json!({"ver": "2.0", "azp": "c", "tid": "t", "oid": "o"})),
        (
            Profile::Google,
            Some("JWT"),
            json!({"azp": "1", "email": "a@p.iam.gserviceaccount.com", "email_verified": true}),
        ),
        (Profile::Okta, None, json!({"cid": "c", "jti": "AT.x"})),
        (Profile::Aws, Some("JWT"), json!({"https://sts.amazonaws.com/": {"aws_account": "1"}})),
        (Profile::IdToken, Some("JWT"), json!({"nonce": "n", "typ": "ID"})),
    ];
    for (profile, ..) in &cases {
        let world = World::new(Issuer { profile: *profile, ..issuer() });
        for (kind, typ, extra) in &cases {
            let mut claims = claims();
            claims.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
            let mut header = world.pair.header();
            header.as_object_mut().unwrap().remove("typ");
            header.as_object_mut().unwrap().extend(typ.map(|typ| (String::from("typ"), json!(typ))));
            let result = world.verify_token(&world.pair.token_with(&header, &claims));
            // An ID token has no claim that tells it from what these sign.
            let is_alike = *profile == Profile::IdToken
                && !matches!(kind, Profile::Rfc9068 | Profile::Keycloak | Profile::JwtSvid | Profile::IdToken);
            assert_eq!(result.is_ok(), profile == kind || is_alike, "{profile:?} {kind:?} {result:?}");
        }
    }
}

#[test]
fn id_11_broken_signatures_are_refused() {
    let at = Timestamp::from_seconds(NOW);
    for (algorithm, size) in
        [("ES256", 64), ("ES384", 96), ("ES512", 132), ("EdDSA", 64), ("RS256", 256), ("PS256", 256)]
    {
        let pair = Pair::new(algorithm, "k1");
        let issuers = trusting(issuer(), &[&pair]);
        let token = pair.token(&claims());
        let signed = token.rsplit_once('.').unwrap().0;
        let good = URL_SAFE_NO_PAD.decode(token.rsplit_once('.').unwrap().1).unwrap();
        assert_eq!(good.len(), size);
        let mut der = vec![0x30, 0x44, 0x02, 0x20];
        der.extend(&good[..32]);
        der.extend([0x02, 0x20]);
        der.extend(&good[32..64]);
        let halves = [good[size / 2..].to_vec(), good[..size / 2].to_vec()].concat();
        let bad = [
            vec![],
            vec![0; size],
            vec![0xff; size],
            vec![0; size - 1],
            good[..size - 1].to_vec(),
            [good.clone(), vec![0]].concat(),
            [vec![0], good.clone()].concat(),
            halves,
            der,
        ];
        for signature in bad {
            let error = verify(&format!("{signed}.{}", b64(&signature)), &issuers, &Proven::NOTHING, at).unwrap_err();
            assert_eq!(error, IdentityError::Signature, "{algorithm}");
        }
        // The same bytes in another base64: a second form of one token would defeat every list of tokens.
        for text in [format!("{token}="), format!("{token}\n"), token.replacen('.', "=.", 1)] {
            assert!(
                matches!(verify(&text, &issuers, &Proven::NOTHING, at), Err(IdentityError::Malformed { .. })),
                "{text:?}"
            );
        }
    }
}

#[test]
fn id_11_an_ed25519_scalar_above_the_order_is_refused() {
    // RFC 8032, 5.1.7: s must be below the order of the group, or one signature has two forms.
    const ORDER: [u8; 32] = [
        0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14, 0, 0, 0, 0, 0,
        0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
    ];
    let world = World::new(issuer());
    let token = world.pair.token(&claims());
    let (signed, signature) = token.rsplit_once('.').unwrap();
    let mut bytes = URL_SAFE_NO_PAD.decode(signature).unwrap();
    let mut carry = 0;
    for (byte, add) in bytes[32..].iter_mut().zip(ORDER) {
        let sum = u16::from(*byte) + u16::from(add) + carry;
        *byte = (sum & 0xff).try_into().unwrap();
        carry = sum >> 8;
    }
    assert_eq!(world.verify_token(&format!("{signed}.{}", b64(bytes))), Err(IdentityError::Signature));
}

#[test]
fn id_13_a_withdrawn_key_is_refused_after_the_next_refresh() {
    let (old, new) = (Pair::new("EdDSA", "old"), Pair::new("EdDSA", "new"));
    let timing = KeyTiming::default();
    let start = Timestamp::from_seconds(NOW);
    let mut cache = KeyCache::new(timing);
    assert!(cache.refresh_due(start));
    cache.fetched(key_set(&[&old]), start);
    let trust = |cache: &KeyCache| Issuers::new().with(Arc::new(issuer()), cache);
    let stolen = |at: Timestamp| {
        old.token(&{
            let mut claims = claims();
            claims["iat"] = json!(at.seconds());
            claims["exp"] = json!(at.seconds() + 300);
            claims
        })
    };
    let before = start.plus_millis(timing.refresh - 1000);
    assert!(!cache.refresh_due(before));
    assert!(verify(&stolen(before), &trust(&cache), &Proven::NOTHING, before).is_ok());
    let after = start.plus_millis(timing.refresh);
    assert!(cache.refresh_due(after));
    cache.fetched(key_set(&[&new]), after);
    assert!(matches!(
        verify(&stolen(after), &trust(&cache), &Proven::NOTHING, after),
        Err(IdentityError::UnknownKey { .. })
    ));
}

#[test]
fn id_12_a_dead_issuers_keys_are_believed_until_their_maximum_age() {
    let pair = Pair::new("EdDSA", "k1");
    let timing = KeyTiming::default();
    let start = Timestamp::from_seconds(NOW);
    let mut cache = KeyCache::new(timing);
    let trust = |cache: &KeyCache| Issuers::new().with(Arc::new(issuer()), cache);
    let fresh = |at: Timestamp| {
        let mut claims = claims();
        claims["iat"] = json!(at.seconds());
        claims["exp"] = json!(at.seconds() + 300);
        pair.token(&claims)
    };
    assert!(matches!(
        verify(&fresh(start), &trust(&cache), &Proven::NOTHING, start),
        Err(IdentityError::KeysTooOld { .. })
    ));
    assert!(cache.refresh_due(start));
    cache.fetched(key_set(&[&pair]), start);
    let end = start.plus_millis(timing.max_age);
    let mut now = start;
    while now < end {
        if cache.refresh_due(now) {
            cache.failed();
        }
        assert!(verify(&fresh(now), &trust(&cache), &Proven::NOTHING, now).is_ok());
        now = now.plus_millis(30_000);
    }
    assert!(matches!(
        verify(&fresh(end), &trust(&cache), &Proven::NOTHING, end),
        Err(IdentityError::KeysTooOld { .. })
    ));
}

#[test]
fn id_14_a_token_ends_at_exp_whatever_the_skew() {
    let world = World::new(Issuer { leeway: 60, ..issuer() });
    let token = world.pair.token(&claims());
    let at = |millis: u64| {
        verify(&token, &world.issuers, &Proven::NOTHING, Timestamp(millis)).map(|subject| subject.expires_at)
    };
    let end = Timestamp::from_seconds(NOW + 300);
    // Our clock behind the issuer's: the leeway covers it, and no more.
    assert_eq!(at((NOW - 60) * 1000), Ok(end));
    assert_eq!(at((NOW - 61) * 1000), Err(IdentityError::NotYet(1)));
    // Our clock ahead: nothing prolongs a token.
    assert_eq!(at(end.0 - 1), Ok(end));
    assert_eq!(at(end.0), Err(IdentityError::Expired(0)));
    assert_eq!(at(end.0 + 30_000), Err(IdentityError::Expired(30)));
}

#[test]
fn id_16_unknown_groups_are_not_no_groups() {
    let world = World::new(issuer());
    let many: Vec<String> = (0..1001).map(|number| format!("g{number}")).collect();
    let cases = [
        ("_claim_names", json!({"groups": "src1"})),
        ("hasgroups", json!(true)),
        ("groups:src1", json!("https://graph.example")),
        ("groups", json!(many)),
        ("groups", json!("dba")),
        ("groups", json!({"0": "dba"})),
        ("groups", json!(["dba", 7])),
    ];
    for (name, value) in cases {
        let error = world.verify(&claims_with(name, value)).unwrap_err();
        assert!(matches!(error, IdentityError::Groups(_)), "{name}: {error}");
    }
    assert_eq!(world.verify(&claims_with("groups", json!(many[..1000]))).unwrap().groups.len(), 1000);
    // Where the groups are read from another claim, only what is said of that one counts.
    let roles = World::new(Issuer { groups_claim: ClaimPath::new(["roles"]), ..issuer() });
    for (name, value, is_known) in [
        ("_claim_names", json!({"groups": "src1"}), true),
        ("hasgroups", json!(true), true),
        ("_claim_names", json!({"roles": "src1"}), false),
        ("_claim_names", json!("roles"), false),
    ] {
        assert_eq!(roles.verify(&claims_with(name, value.clone())).is_ok(), is_known, "{name} {value}");
    }
    let ten_thousand: Vec<String> = (0..10_000).map(|number| format!("group-{number}")).collect();
    assert_eq!(world.verify(&claims_with("groups", json!(ten_thousand))), Err(IdentityError::TooLong));
    assert!(world.verify(&claims_with("groups", Value::Null)).unwrap().groups.is_empty());
}

#[test]
fn rx_07_a_token_nested_without_end_is_refused() {
    let world = World::new(issuer());
    let nested = |depth: usize| format!("{}1{}", "[".repeat(depth), "]".repeat(depth));
    let deep = |depth: usize| world.verify(&claims_with("deep", serde_json::from_str(&nested(depth)).unwrap()));
    assert!(deep(100).is_ok(), "what nobody asks for is skipped");
    // Written by hand: nothing that makes JSON makes this.
    let header = json!({"alg": "EdDSA", "kid": "k1", "typ": "at+jwt"}).to_string();
    for depth in [200, 20_000] {
        let payload = format!(r#"{{"deep":{},"iss":"{URL}"}}"#, nested(depth));
        let encode = |part: &str| URL_SAFE_NO_PAD.encode(part);
        let token = format!("{}.{}.{}", encode(&header), encode(&payload), encode("signature"));
        assert!(matches!(world.verify_token(&token), Err(IdentityError::Malformed { .. })), "{depth}");
    }
}

#[test]
fn id_17_a_subject_is_issuer_and_sub_never_an_e_mail_address() {
    let pair = Pair::new("EdDSA", "k1");
    let partner = Issuer::new("partner", "https://id.partner.example", "sluice");
    let issuers = trusting(issuer(), &[&pair]).with_keys(Arc::new(partner), Arc::new(key_set(&[&pair])));
    let mut ours = claims_with("email", json!("a@example.com"));
    let subject =
        |claims: &Value| verify(&pair.token(claims), &issuers, &Proven::NOTHING, Timestamp::from_seconds(NOW)).unwrap();
    let first = subject(&ours);
    ours["email"] = json!("b@example.com");
    ours["email_verified"] = json!(false);
    assert_eq!(subject(&ours).key, first.key);
    ours["sub"] = json!("recycled");
    assert_ne!(subject(&ours).key, first.key);
    let mut theirs = claims_with("email", json!("a@example.com"));
    theirs["iss"] = json!("https://id.partner.example");
    assert_ne!(subject(&theirs).key, first.key);
}

#[test]
fn id_18_names_that_could_be_mistaken_are_refused() {
    let world = World::new(issuer());
    let long = "a".repeat(256);
    for sub in [
        "",
        " admin",
        "admin ",
        "admin\0",
        "adm\nin",
        "\u{202e}nimda",
        "ad\u{200b}min",
        "ａｄｍｉｎ",
        "ädmin",
        "a\u{308}dmin",
        "аdmin",
        "adm\u{7f}in",
        &long,
    ] {
        let error = world.verify(&claims_with("sub", json!(sub))).unwrap_err();
        assert_eq!(error, IdentityError::Name("subject or actor"), "{sub:?}");
    }
    for sub in [json!(null), json!(7), json!(["admin"]), json!({"id": "admin"})] {
        assert_eq!(world.verify(&claims_with("sub", sub)), Err(IdentityError::Name("subject or actor")));
    }
    // Verbatim, so each of these is itself and nobody else; and the alias cannot be forged.
    for sub in
        ["Admin", "admin.", "%61dmin", "admin:payments", "corp|admin", "system:serviceaccount:shop:api", "CN=A B"]
    {
        assert_eq!(world.verify(&claims_with("sub", json!(sub))).unwrap().key.to_string(), format!("corp|{sub}"));
    }
    for group in ["", " dba", "d\u{200b}ba", "\u{202e}abd", "dba\u{e0041}", "dba\r", &long] {
        let error = world.verify(&claims_with("groups", json!([group]))).unwrap_err();
        assert_eq!(error, IdentityError::Name("group"), "{group:?}");
    }
    assert_eq!(world.verify(&claims_with("groups", json!(["Köln"]))).unwrap().groups, ["corp|Köln".into()]);
}

#[test]
fn id_08_a_token_that_names_an_issuer_is_not_nobodys_whatever_else_is_wrong() {
    let world = World::new(issuer());
    let is_of_nobody = |token: &str| is_of_nobody(token, &world.issuers);
    let good = world.pair.token(&claims());
    let (signed, _) = good.rsplit_once('.').unwrap();
    let (header, _) = signed.split_once('.').unwrap();
    let others = world.pair.token(&claims_with("iss", json!("https://other.example")));
    assert!(!is_of_nobody(&good) && is_of_nobody(&others));
    let long = world.pair.token(&claims_with("groups", json!("x".repeat(crate::MAX_TOKEN))));
    for wrong in [
        format!("{signed}.+"),
        format!("{signed}."),
        good.replacen(header, "x", 1),
        world.pair.token_with(&json!({"alg": "none"}), &claims()),
        world.pair.token_with(&json!({"alg": "EdDSA", "crit": ["x"]}), &claims()),
        world.pair.token_with(&json!({"alg": "EdDSA", "kid": 1}), &claims()),
        long,
        // Which one it names cannot be said.
        format!("{header}.e30x.c2ln"),
    ] {
        assert!(world.verify_token(&wrong).is_err() && !is_of_nobody(&wrong), "{wrong}");
    }
    for other in ["", "opaque", "a.b.c", "a.b.c.d.e", &format!("{header}.e30.c2ln"), signed] {
        assert!(is_of_nobody(other), "{other}");
    }
}
