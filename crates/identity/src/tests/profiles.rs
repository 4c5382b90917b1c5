//! What real issuers sign, in the form that they document or that was recorded: the profile takes it, and what the same
//! issuer signs for other purposes is refused.

use model::issuer::GroupClaim;

use super::*;

fn claim(prefix: &str, path: &[&str]) -> GroupClaim {
    GroupClaim { prefix: prefix.into(), path: ClaimPath::new(path.iter().copied()).unwrap() }
}

fn with_times(mut claims: Value, url: &str, audience: &str) -> Value {
    let given = claims.as_object_mut().unwrap();
    for (name, value) in [("iss", json!(url)), ("aud", json!(audience)), ("iat", json!(NOW)), ("exp", json!(NOW + 600))]
    {
        given.entry(name).or_insert(value);
    }
    claims
}

/// What becomes of a token of this header and these claims.
fn taken(issuer: Issuer, typ: Option<&str>, claims: Value) -> Result<Subject, IdentityError> {
    let audience = issuer.audiences.first().unwrap().to_string();
    let claims = with_times(claims, &issuer.url.clone(), &audience);
    let pair = Pair::new("ES256", "k1");
    let mut header = json!({"alg": "ES256", "kid": "k1"});
    header.as_object_mut().unwrap().extend(typ.map(|typ| (String::from("typ"), json!(typ))));
    let issuers = trusting(issuer, &[&pair]);
    verify(&pair.token_with(&header, &claims), &issuers, &Proven::NOTHING, Timestamp::from_seconds(NOW))
}

#[test]
fn keycloak() {
    let issuer = || Issuer {
        profile: Profile::Keycloak,
        groups_claim: ClaimPath::new(["realm_access", "roles"]),
        group_claims: vec![claim("client", &["azp"])],
        ..Issuer::new("corp", "https://sso.example.com/realms/corp", "sluice")
    };
    // A service account's access token, Keycloak 26.
    let token = || {
        json!({"jti": "trrtcc:9c6b5d1e-0f0f-4d6c-8a57-6f4a2b1d6f10", "sub": "0b1c2d3e-5f60-4a7b-8c9d-0e1f2a3b4c5d",
               "aud": ["sluice", "account"], "typ": "Bearer", "azp": "order-service", "acr": "1",
               "realm_access": {"roles": ["offline_access", "orders-reader", "default-roles-corp"]},
               "resource_access": {"account": {"roles": ["view-profile"]}}, "scope": "profile email",
               "clientHost": "10.0.0.7", "email_verified": false, "client_id": "order-service",
               "preferred_username": "service-account-order-service", "clientAddress": "10.0.0.7"})
    };
    let subject = taken(issuer(), Some("JWT"), token()).unwrap();
    assert_eq!(subject.key.to_string(), "corp|0b1c2d3e-5f60-4a7b-8c9d-0e1f2a3b4c5d");
    assert_eq!(
        subject.groups.join(" "),
        "corp|client:order-service corp|default-roles-corp corp|offline_access corp|orders-reader"
    );
    for typ in ["ID", "Refresh", "Logout", "Offline", "DPoP"] {
        let mut other = token();
        other["typ"] = json!(typ);
        assert!(matches!(taken(issuer(), Some("JWT"), other), Err(IdentityError::Kind(_))), "{typ}");
    }
}

#[test]
fn entra() {
    let tenant = "72f988bf-86f1-41af-91ab-2d7cd011db47";
    let issuer = |url: &str| Issuer {
        profile: Profile::Entra,
        groups_claim: ClaimPath::new(["roles"]),
        max_lifetime: 90_000,
        ..Issuer::new("entra", url, "api://sluice")
    };
    let second = format!("https://login.microsoftonline.com/{tenant}/v2.0");
    // An application's token, version 2.
    let v2 = || {
        json!({"aio": "k2RgYGh", "azp": "6e74172b-be56-4843-9ff4-e66a39bb12e3", "azpacr": "1", "idtyp": "app",
               "oid": "0cb9ee6f-32e5-4fc1-a6c7-9c5b2b6d2b6e", "rh": "0.AXk", "roles": ["Orders.Read"], "tid": tenant,
               "sub": "0cb9ee6f-32e5-4fc1-a6c7-9c5b2b6d2b6e", "uti": "abc", "ver": "2.0"})
    };
    let subject = taken(issuer(&second), Some("JWT"), v2()).unwrap();
    assert_eq!(subject.key.to_string(), "entra|0cb9ee6f-32e5-4fc1-a6c7-9c5b2b6d2b6e");
    assert_eq!(subject.groups, ["entra|Orders.Read".into()]);
    // A managed identity's, version 1: a day long.
    let first = format!("https://sts.windows.net/{tenant}/");
    let v1 = json!({"appid": "6e74172b-be56-4843-9ff4-e66a39bb12e3", "appidacr": "2", "idp": first, "idtyp": "app",
                    "oid": "5c3d", "sub": "5c3d", "tid": tenant, "ver": "1.0", "exp": NOW + 86_400,
                    "xms_mirid": "/subscriptions/s/resourcegroups/g/providers/Microsoft.ManagedIdentity/m"});
    assert!(taken(issuer(&first), Some("JWT"), v1.clone()).is_ok());
    // The same tenant's other version is another issuer.
    let mut mixed = v1;
    mixed["iss"] = json!(first);
    assert!(matches!(taken(issuer(&second), Some("JWT"), mixed), Err(IdentityError::UnknownIssuer(_))));
    // An ID token names no client, or has a nonce.
    for (name, value) in [("azp", Value::Null), ("nonce", json!("n")), ("ver", json!("1.0")), ("tid", Value::Null)] {
        let mut other = v2();
        other[name] = value;
        assert!(matches!(taken(issuer(&second), Some("JWT"), other), Err(IdentityError::Kind(_))), "{name}");
    }
    // Groups of more than 200 are left out of the token.
    let mut overage = v2();
    overage["_claim_names"] = json!({"groups": "src1"});
    overage["_claim_sources"] = json!({"src1": {"endpoint": "https://graph.windows.net/x"}});
    assert!(taken(issuer(&second), Some("JWT"), overage.clone()).is_ok(), "roles are what is read");
    let by_groups = Issuer { groups_claim: ClaimPath::new(["groups"]), ..issuer(&second) };
    assert!(matches!(taken(by_groups, Some("JWT"), overage), Err(IdentityError::Groups(_))));
}

#[test]
fn kubernetes() {
    let issuer = || Issuer {
        profile: Profile::Kubernetes,
        group_claims: vec![
            claim("namespace", &["kubernetes.io", "namespace"]),
            claim("service-account", &["kubernetes.io", "serviceaccount", "name"]),
        ],
        max_lifetime: 7200,
        ..Issuer::new("k8s", "https://kubernetes.default.svc.cluster.local", "sluice")
    };
    // A projected token. Those of EKS (IRSA), GKE and AKS differ in `iss` alone.
    let token = || {
        json!({"aud": ["sluice"], "exp": NOW + 3607, "nbf": NOW, "sub": "system:serviceaccount:shop:checkout",
               "jti": "ea28ed49-2e11-4280-9ec5-bc3d1d84661a",
               "kubernetes.io": {"namespace": "shop", "node": {"name": "n1", "uid": "u1"},
                                 "pod": {"name": "checkout-69cbfb9798-jv9gn", "uid": "u2"},
                                 "serviceaccount": {"name": "checkout", "uid": "u3"}}})
    };
    let subject = taken(issuer(), None, token()).unwrap();
    assert_eq!(subject.key.to_string(), "k8s|system:serviceaccount:shop:checkout");
    assert_eq!(subject.groups.join(" "), "k8s|namespace:shop k8s|service-account:checkout");
    let mut other = token();
    other["kubernetes.io"] = json!("shop");
    assert!(matches!(taken(issuer(), None, other), Err(IdentityError::Kind(_))));
}

#[test]
fn github_actions() {
    let issuer = || Issuer {
        profile: Profile::Github,
        group_claims: ["repository", "environment", "ref"].map(|name| claim(name, &[name])).into(),
        ..Issuer::new("github", "https://token.actions.githubusercontent.com", "sluice")
    };
    let token = || {
        json!({"jti": "example-id", "sub": "repo:octo-org/octo-repo:environment:prod", "environment": "prod",
               "ref": "refs/heads/main", "sha": "6b8c", "repository": "octo-org/octo-repo", "nbf": NOW - 600,
               "repository_owner": "octo-org", "actor_id": "12", "repository_visibility": "private",
               "repository_id": "74", "repository_owner_id": "65", "run_id": "30", "run_number": "10",
               "run_attempt": "2", "runner_environment": "github-hosted", "actor": "octocat",
               "workflow": "release", "head_ref": "", "base_ref": "", "event_name": "workflow_dispatch",
               "ref_type": "branch", "ref_protected": "true",
               "workflow_ref": "octo-org/octo-repo/.github/workflows/release.yml@refs/heads/main",
               "job_workflow_ref": "octo-org/octo-automation/.github/workflows/oidc.yml@refs/heads/main"})
    };
    let subject = taken(issuer(), Some("JWT"), token()).unwrap();
    assert_eq!(
        subject.groups.join(" "),
        "github|environment:prod github|ref:refs/heads/main github|repository:octo-org/octo-repo"
    );
    // A job without an environment is in no group of that name.
    let mut bare = token();
    bare.as_object_mut().unwrap().remove("environment");
    assert_eq!(taken(issuer(), Some("JWT"), bare).unwrap().groups.len(), 2);
    let mut other = token();
    other.as_object_mut().unwrap().remove("workflow_ref");
    assert!(matches!(taken(issuer(), Some("JWT"), other), Err(IdentityError::Kind(_))));
}

#[test]
fn gitlab_ci() {
    let issuer = Issuer {
        profile: Profile::Gitlab,
        group_claims: vec![
            claim("project", &["project_path"]),
            claim("protected", &["ref_protected"]),
            claim("member", &["groups_direct"]),
        ],
        ..Issuer::new("gitlab", "https://gitlab.com", "sluice")
    };
    let token = json!({"namespace_id": "72", "namespace_path": "my-group", "project_id": "20",
        "project_path": "my-group/my-project", "user_id": "1", "user_login": "sample", "user_email": "s@example.com",
        "user_access_level": "developer", "groups_direct": ["mygroup/mysubgroup", "myothergroup"],
        "pipeline_id": "574", "pipeline_source": "push", "job_id": "302", "ref": "main", "ref_type": "branch",
        "ref_path": "refs/heads/main", "ref_protected": "true", "runner_id": 1, "runner_environment": "gitlab-hosted",
        "sha": "714a", "jti": "235b", "nbf": NOW, "sub": "project_path:my-group/my-project:ref_type:branch:ref:main"});
    assert_eq!(
        taken(issuer, Some("JWT"), token).unwrap().groups.join(" "),
        "gitlab|member:mygroup/mysubgroup gitlab|member:myothergroup gitlab|project:my-group/my-project \
         gitlab|protected:true"
    );
}

#[test]
fn google_service_accounts_and_no_people() {
    let issuer = || Issuer {
        profile: Profile::Google,
        group_claims: vec![claim("project", &["google", "compute_engine", "project_id"])],
        ..Issuer::new("google", "https://accounts.google.com", "https://sluice.example.com")
    };
    let token = |email: &str, is_verified: Value| {
        json!({"azp": "113475438248934895348", "email": email, "email_verified": is_verified,
               "sub": "113475438248934895348",
               "google": {"compute_engine": {"instance_id": "15", "project_id": "my-project", "zone": "us-west1-a"}}})
    };
    let service = "orders@my-project.iam.gserviceaccount.com";
    let subject = taken(issuer(), Some("JWT"), token(service, json!(true))).unwrap();
    assert_eq!(subject.key.to_string(), "google|113475438248934895348");
    assert_eq!(subject.groups, ["google|project:my-project".into()]);
    for (email, is_verified) in [
        ("ann@example.com", json!(true)),
        (service, json!(false)),
        (service, json!("true")),
        ("gserviceaccount.com@x.y", json!(true)),
    ] {
        let other = taken(issuer(), Some("JWT"), token(email, is_verified));
        assert!(matches!(other, Err(IdentityError::Kind(_))), "{email}");
    }
}

#[test]
fn okta_access_tokens_and_no_id_tokens() {
    let issuer = || Issuer {
        profile: Profile::Okta,
        groups_claim: ClaimPath::new(["groups"]),
        ..Issuer::new("okta", "https://dev-1.okta.com/oauth2/default", "api://sluice")
    };
    let token = |jti: &str| json!({"ver": 1, "jti": jti, "cid": "0oa1order", "scp": ["orders"], "sub": "0oa1order", "groups": ["orders"]});
    assert_eq!(taken(issuer(), None, token("AT.x9")).unwrap().groups, ["okta|orders".into()]);
    assert!(matches!(taken(issuer(), None, token("ID.x9")), Err(IdentityError::Kind(_))));
    let mut id_token = token("AT.x9");
    id_token.as_object_mut().unwrap().remove("cid");
    assert!(matches!(taken(issuer(), None, id_token), Err(IdentityError::Kind(_))));
}

#[test]
fn aws_web_identity_tokens() {
    let issuer = || Issuer {
        profile: Profile::Aws,
        group_claims: vec![
            claim("account", &["https://sts.amazonaws.com/", "aws_account"]),
            claim("team", &["https://sts.amazonaws.com/", "principal_tags", "team"]),
        ],
        ..Issuer::new("aws", "https://abc123.tokens.sts.global.api.aws", "https://sluice.example.com")
    };
    let role = "arn:aws:iam::123456789012:role/DataProcessingRole";
    let token = json!({"sub": role, "jti": "xyz123",
        "https://sts.amazonaws.com/": {"aws_account": "123456789012", "source_region": "us-east-1",
            "org_id": "o-abc1234567", "principal_tags": {"environment": "production", "team": "data"}}});
    let subject = taken(issuer(), Some("JWT"), token).unwrap();
    assert_eq!(subject.key.id, role.into());
    assert_eq!(subject.groups.join(" "), "aws|account:123456789012 aws|team:data");
    assert!(matches!(taken(issuer(), Some("JWT"), json!({"sub": role})), Err(IdentityError::Kind(_))));
}

#[test]
fn a_claim_that_makes_groups_makes_none_that_a_list_could_make_too() {
    let issuer = Issuer { group_claims: vec![claim("repository", &["repository"])], ..issuer() };
    let world = World::new(issuer.clone());
    let groups = |name: &str, value: Value| world.verify(&claims_with(name, value)).map(|subject| subject.groups);
    assert_eq!(groups("repository", json!("o/r")).unwrap().join(" "), "corp|orders-reader corp|repository:o/r");
    assert_eq!(groups("repository", json!(true)).unwrap().join(" "), "corp|orders-reader corp|repository:true");
    assert!(matches!(groups("groups", json!(["repository:o/r"])), Err(IdentityError::Groups(_))));
    assert!(groups("groups", json!(["repository"])).is_ok());
    for value in [json!(7), json!({"o": "r"}), json!(["o/r", 7])] {
        assert!(matches!(groups("repository", value), Err(IdentityError::Groups(_))));
    }
    for value in [json!("a\u{202e}b"), json!("x".repeat(250)), json!("o/r ")] {
        assert!(matches!(groups("repository", value), Err(IdentityError::Name("group"))));
    }
    // A bare one is named whole.
    let bare = BareGroups::Only(["repository:o/r".into(), "o/r".into()].into());
    let world = World::new(Issuer { bare_groups: bare, ..issuer });
    let subject = world.verify(&claims_with("repository", json!("o/r"))).unwrap();
    assert_eq!(subject.groups.join(" "), "corp|orders-reader repository:o/r");
}
