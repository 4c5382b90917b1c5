//! What callers may see.

use anyhow::Result;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use model::event::Event;

use crate::ground::{CLEARED, DEVELOPER, Ground};

/// What stands in the secrets of the API server, in both of its forms.
fn shows_a_secret(text: &str) -> bool {
    let canary = "canary-dev-password";
    text.contains(canary) || text.contains(&STANDARD.encode(canary))
}

/// MK-24, K8-10: a secret is masked whichever door it comes by.
#[test]
fn mk_24_secrets_are_masked_by_every_door() -> Result<()> {
    let ground = Ground::new()?;
    let one = "/api/v1/namespaces/dev/secrets/db";
    let all = "/api/v1/namespaces/dev/secrets";
    let table = "Accept: application/json;as=Table;v=v1;g=meta.k8s.io,application/json";
    let protobuf = "Accept: application/vnd.kubernetes.protobuf, application/json";
    for (path, accept) in [
        (one.to_owned(), "Accept: application/json"),
        (one.to_owned(), protobuf),
        (one.to_owned(), "Accept: */*"),
        (all.to_owned(), "Accept: application/json"),
        (all.to_owned(), protobuf),
        (format!("{all}?includeObject=Object"), table),
        (format!("{all}?watch=1&timeoutSeconds=1"), "Accept: application/json"),
        (format!("{all}?watch=1&timeoutSeconds=1&includeObject=Object"), table),
        ("/api/v1/watch/namespaces/dev/secrets?timeoutSeconds=1&watch=1".to_owned(), "Accept: application/json"),
    ] {
        let (status, body, _) = ground.ask(DEVELOPER, &path, &["-H", accept])?;
        assert!(!shows_a_secret(&body), "{path} {accept}: {body}");
        if path.starts_with("/api/v1/namespaces") {
            assert_eq!(status, 200, "{path}");
            assert!(body.contains("\"password\":\""), "{path}: {body}");
            let (_, clear, _) = ground.ask(CLEARED, &path, &["-H", accept])?;
            assert!(shows_a_secret(&clear), "{path}: {clear}");
        }
    }
    for accept in ["application/vnd.kubernetes.protobuf", "application/cbor", "application/yaml"] {
        let (status, body, _) = ground.ask(DEVELOPER, one, &["-H", &format!("Accept: {accept}")])?;
        assert_eq!(status, 406, "{accept}: {body}");
    }
    // Nor was it asked for otherwise.
    for reached in ground.api.reached()? {
        let accept = reached.field("accept").unwrap_or_default();
        let is_cleared = accept.contains("protobuf");
        assert!(!accept.contains("cbor") && (!is_cleared || accept.contains("json")), "{accept}");
    }
    Ok(())
}

/// What stands for a secret is base64 still, so that clients can read the object.
#[test]
fn what_stands_for_a_secret_can_be_read() -> Result<()> {
    let ground = Ground::new()?;
    let (_, secret) = ground.ask_json(DEVELOPER, "/api/v1/namespaces/dev/secrets/db", &[])?;
    let password = secret["data"]["password"].as_str().unwrap();
    assert_eq!(STANDARD.decode(password)?, b"[secret]");
    let annotation = &secret["metadata"]["annotations"]["kubectl.kubernetes.io/last-applied-configuration"];
    assert_eq!(*annotation, "{}");
    let described = ground.kubectl(DEVELOPER, &["describe", "secret", "db"])?;
    assert!(described.status.success() && described.stdout.contains("8 bytes"), "{described:?}");
    let printed = ground.kubectl(DEVELOPER, &["get", "secret", "db", "-o", "yaml"])?;
    assert!(printed.status.success() && !shows_a_secret(&printed.stdout), "{printed:?}");
    Ok(())
}

#[test]
fn server_side_apply_answers_with_no_secret() -> Result<()> {
    let ground = Ground::new()?;
    let manifest = "{\"apiVersion\":\"v1\",\"kind\":\"Secret\",\"metadata\":{\"name\":\"new\"},\
                    \"stringData\":{\"password\":\"canary-dev-password\"}}";
    let arguments = ["apply", "--server-side", "--validate=false", "-o", "yaml", "-f", "-"];
    let applied = ground.kubectl_with(DEVELOPER, &arguments, manifest)?;
    assert!(applied.status.success() && !shows_a_secret(&applied.stdout), "{applied:?}");
    let (_, new) = ground.ask_json(CLEARED, "/api/v1/namespaces/dev/secrets/new", &[])?;
    assert_eq!(new["data"]["password"], STANDARD.encode("canary-dev-password"));
    Ok(())
}

/// A mask never becomes data: what was read masked and is put back is refused.
#[test]
fn a_mask_is_not_put_back_as_a_secret() -> Result<()> {
    let ground = Ground::new()?;
    let path = "/api/v1/namespaces/dev/secrets/db";
    let (_, masked) = ground.ask_json(DEVELOPER, path, &[])?;
    let body = masked.to_string();
    let arguments = ["-X", "PUT", "-H", "Content-Type: application/json", "-d", &body];
    let (status, answer, _) = ground.ask(DEVELOPER, path, &arguments)?;
    assert_eq!(status, 403, "{answer}");
    let (_, still) = ground.ask_json(CLEARED, path, &[])?;
    assert_eq!(still["data"]["password"], STANDARD.encode("canary-dev-password"));
    Ok(())
}

#[test]
fn values_are_masked_by_what_they_are() -> Result<()> {
    let ground = Ground::new()?;
    for path in ["configmaps/settings", "pods/web", "pods/web/log", "configmaps?watch=1&timeoutSeconds=1"] {
        let (status, body, _) = ground.ask(DEVELOPER, &format!("/api/v1/namespaces/dev/{path}"), &[])?;
        assert_eq!(status, 200, "{path}");
        assert!(!body.contains("4111 1111") && !body.contains("41111111"), "{path}: {body}");
        let (_, clear, _) = ground.ask(CLEARED, &format!("/api/v1/namespaces/dev/{path}"), &[])?;
        assert!(clear.contains("4111 1111 1111 1111") || clear.contains("4111111111111111"), "{path}: {clear}");
    }
    Ok(())
}

/// LK-04: neither the journal nor the tape has a secret that is written.
#[test]
fn lk_04_secrets_that_are_written_are_in_no_record() -> Result<()> {
    let ground = Ground::new()?;
    let secret = r#"{"kind":"Secret","metadata":{"name":"s"},"stringData":{"p":"canary-dev-password"}}"#;
    let made = ground.make(DEVELOPER, secret)?;
    assert!(made.status.success() && !shows_a_secret(&made.stdout), "{made:?}");
    let body = r#"[{"op":"replace","path":"/data/p","value":"canary-dev-password"}]"#;
    let arguments = ["-X", "PATCH", "-H", "Content-Type: application/json-patch+json", "-d", body];
    let (status, answer, _) = ground.ask(DEVELOPER, "/api/v1/namespaces/dev/secrets/s", &arguments)?;
    assert_eq!(status, 200, "{answer}");
    let events = crate::support::record::events(&ground.site)?;
    assert!(!shows_a_secret(&format!("{events:?}")), "it is in the journal");
    let opened = |event: &Event| match event {
        Event::SessionOpened { session, .. } => Some(session.to_string()),
        _ => None,
    };
    let mut tapes = String::new();
    for session in events.iter().filter_map(opened) {
        tapes += &ground.sluice_as("ada", &["sluice-admin"], &["sessions", "export", &session])?.success()?;
    }
    assert!(
        tapes.contains("/api/v1/namespaces/dev/secrets/s") && !shows_a_secret(&tapes),
        "it is on the tape: {tapes}"
    );
    Ok(())
}

/// Where policy lets somebody list everything and get some of it, the rest is left out.
#[test]
fn lists_and_watches_leave_out_what_may_not_be_got() -> Result<()> {
    let ground = Ground::with("filter = true")?;
    let listing: &[&str] = &["developers", "listers"];
    let all = ground.kubectl(listing, &["get", "pods", "--all-namespaces"])?;
    assert!(all.status.success() && all.stdout.contains("dev") && !all.stdout.contains("prod"), "{all:?}");
    let names = ground.kubectl(listing, &["get", "namespaces", "-o", "name"])?;
    assert_eq!(names.stdout.trim(), "namespace/dev", "{names:?}");
    for path in ["/api/v1/pods", "/api/v1/pods?watch=1&timeoutSeconds=1", "/api/v1/configmaps"] {
        for accept in ["Accept: application/json", "Accept: application/vnd.kubernetes.protobuf,application/json"] {
            let (status, body, _) = ground.ask(listing, path, &["-H", accept, "-H", "Accept-Encoding: gzip"])?;
            assert_eq!(status, 200, "{path}: {body}");
            assert!(
                body.contains("\"namespace\":\"dev\"") && !body.contains("\"namespace\":\"prod\""),
                "{path}: {body}"
            );
        }
    }
    let everything = ground.kubectl(&["operators"], &["get", "pods", "--all-namespaces"])?;
    assert!(everything.stdout.contains("prod"), "{everything:?}");
    Ok(())
}
