//! What may be done, and what waits for somebody.

use anyhow::Result;

use crate::ground::{DEVELOPER, Ground, OPERATOR};

const JSON: &str = "Content-Type: application/json";

fn post(ground: &Ground, path: &str, media: &str, body: &str) -> Result<u16> {
    let field = format!("Content-Type: {media}");
    Ok(ground.ask(OPERATOR, path, &["-X", "POST", "-H", &field, "-d", body])?.0)
}

#[test]
fn pods_with_rights_on_the_node_are_not_made() -> Result<()> {
    let ground = Ground::new()?;
    let path = "/api/v1/namespaces/dev/pods";
    let pod = |name: &str, spec: &str| format!(r#"{{"metadata":{{"name":"{name}"}},"spec":{{{spec}}}}}"#);
    assert_eq!(post(&ground, path, "application/json", &pod("plain", r#""containers":[{"name":"a"}]"#))?, 201);
    for (at, spec) in [
        r#""containers":[{"securityContext":{"privileged":true}}]"#,
        r#""hostNetwork":true"#,
        r#""hostPID":true"#,
        r#""volumes":[{"hostPath":{"path":"/"}}]"#,
        r#""hostIPC":true,"hostIPC":false"#,
    ]
    .iter()
    .enumerate()
    {
        assert_eq!(post(&ground, path, "application/json", &pod(&format!("p{at}"), spec))?, 403, "{spec}");
    }
    // What cannot be looked into is refused too.
    assert_eq!(post(&ground, path, "application/vnd.kubernetes.protobuf", "k8s")?, 403);
    let deployment = r#"{"spec":{"template":{"spec":{"hostPID":true}}}}"#;
    let patches = [
        ("application/merge-patch+json", deployment),
        ("application/strategic-merge-patch+json", deployment),
        ("application/apply-patch+yaml", deployment),
        ("application/json-patch+json", r#"[{"op":"add","path":"/spec/template/spec/hostPID","value":true}]"#),
        ("application/json-patch+json", r#"[{"op":"copy","from":"/spec/a","path":"/spec/b"}]"#),
    ];
    for (media, body) in patches {
        let field = format!("Content-Type: {media}");
        let arguments = ["-X", "PATCH", "-H", &field, "-d", body];
        let (status, ..) = ground.ask(OPERATOR, "/apis/apps/v1/namespaces/dev/deployments/web", &arguments)?;
        assert_eq!(status, 403, "{media} {body}");
    }
    let paths: Vec<_> = ground.api.reached()?.into_iter().map(|one| one.path).collect();
    assert_eq!(paths, [path]);
    Ok(())
}

#[test]
fn deleting_a_namespace_waits_for_somebody_and_a_dry_run_does_not() -> Result<()> {
    let ground = Ground::new()?;
    let dry = ground.kubectl(OPERATOR, &["delete", "namespace", "dev", "--dry-run=server", "--wait=false"])?;
    assert!(dry.status.success(), "{dry:?}");
    let asked = ground.kubectl(OPERATOR, &["delete", "namespace", "dev", "--wait=false"])?;
    assert!(!asked.status.success() && asked.stderr.contains("Approval"), "{asked:?}");
    let approval = ground.pending()?;
    ground.sluice_as("olga", &["leads"], &["approvals", "approve", &approval])?.success()?;
    let done = ground.kubectl(OPERATOR, &["delete", "namespace", "dev", "--wait=false"])?;
    assert!(done.status.success(), "{done:?}");
    let (status, _) = ground.ask_json(OPERATOR, "/api/v1/namespaces/dev", &[])?;
    assert_eq!(status, 404);
    Ok(())
}

#[test]
fn scaling_to_zero_waits_and_deleting_all_is_refused() -> Result<()> {
    let ground = Ground::new()?;
    let some = ground.kubectl(DEVELOPER, &["scale", "deployment/web", "--replicas=1"])?;
    assert!(some.status.success(), "{some:?}");
    let none = ground.kubectl(DEVELOPER, &["scale", "deployment/web", "--replicas=0"])?;
    assert!(!none.status.success() && none.stderr.contains("Approval"), "{none:?}");
    let path = "/api/v1/namespaces/dev/configmaps";
    assert_eq!(ground.ask(OPERATOR, path, &["-X", "DELETE"])?.0, 403);
    assert_eq!(ground.ask(OPERATOR, &format!("{path}?labelSelector=a%3Db"), &["-X", "DELETE"])?.0, 200);
    Ok(())
}

/// K8-03: giving rights is more than writing.
#[test]
fn k8_03_who_may_write_may_not_give_rights() -> Result<()> {
    let ground = Ground::new()?;
    let path = "/apis/rbac.authorization.k8s.io/v1/namespaces/dev/rolebindings";
    let body = r#"{"metadata":{"name":"a"},"roleRef":{"kind":"ClusterRole","name":"cluster-admin"},"subjects":[]}"#;
    let arguments = ["-X", "POST", "-H", JSON, "-d", body];
    let (status, answer, _) = ground.ask(DEVELOPER, path, &arguments)?;
    assert_eq!(status, 403, "{answer}");
    assert_eq!(ground.ask(OPERATOR, path, &arguments)?.0, 201);
    for path in [
        "/api/v1/namespaces/dev/serviceaccounts/default/token",
        "/api/v1/namespaces/dev/pods/web/eviction",
        "/api/v1/namespaces/dev/pods/web/binding",
        "/api/v1/namespaces/dev/pods/web/ephemeralcontainers",
        "/apis/certificates.k8s.io/v1/certificatesigningrequests/a/approval",
    ] {
        let (status, answer, _) = ground.ask(&["nobody"], path, &["-X", "POST", "-H", JSON, "-d", "{}"])?;
        assert_eq!(status, 403, "{path}: {answer}");
    }
    Ok(())
}
