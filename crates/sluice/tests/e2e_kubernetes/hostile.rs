//! What is not taken from callers, or from an API server.

use anyhow::Result;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use testkit::api::Scripted;

use crate::ground::{DEVELOPER, Ground, OPERATOR};

/// K8-04: whoever asks to be somebody else is refused, in every spelling.
#[test]
fn k8_04_nobody_is_somebody_else() -> Result<()> {
    let ground = Ground::with("impersonate = true")?;
    for field in [
        "Impersonate-User: admin",
        "impersonate-user: admin",
        "IMPERSONATE-GROUP: system:masters",
        "Impersonate_User: admin",
        "Impersonate-Uid: 1",
        "Impersonate-Extra-scopes: all",
    ] {
        for arguments in [&["-H", field][..], &["-H", field, "-H", field], &["--http1.1", "-H", field]] {
            let (status, body, _) = ground.ask(OPERATOR, "/api/v1/namespaces/dev/pods", arguments)?;
            assert_eq!(status, 403, "{field}: {body}");
        }
    }
    let kubectl = ground.kubectl(OPERATOR, &["get", "pods", "--as", "admin", "--as-group", "system:masters"])?;
    assert!(!kubectl.status.success() && kubectl.stderr.contains("Forbidden"), "{kubectl:?}");
    assert!(ground.api.reached()?.iter().all(|one| one.field("impersonate-user") != Some("admin")));
    Ok(())
}

/// K8-05: no field of Sluice's is taken out by what a caller says of its connection.
#[test]
fn k8_05_connection_options_take_no_field_of_sluices_out() -> Result<()> {
    let ground = Ground::with("impersonate = true")?;
    let arguments = ["--http1.1", "-H", "Connection: keep-alive, Impersonate-User, Impersonate-Group"];
    let (status, body, _) = ground.ask(OPERATOR, "/api/v1/namespaces/dev/pods", &arguments)?;
    assert_eq!(status, 200, "{body}");
    for one in ground.api.reached()? {
        assert!(one.field("impersonate-user").is_some_and(|user| user.contains("erin")), "{one:?}");
        assert!(!one.field("connection").unwrap_or_default().to_ascii_lowercase().contains("impersonate"), "{one:?}");
    }
    Ok(())
}

/// K8-06: a path has one form, or none.
#[test]
fn k8_06_a_path_is_canonical_or_refused() -> Result<()> {
    let ground = Ground::new()?;
    for path in [
        "//api/v1/namespaces/prod/pods",
        "/api/v1/namespaces/dev/../prod/pods",
        "/api/v1/./namespaces/prod/pods",
        "/api/v1/namespaces/dev/%2e%2e/prod/pods",
        "/api/v1/namespaces/prod/pods/",
        "/api/v1/namespaces/%70rod/pods",
        "/api/v1/watch/namespaces/prod/pods",
        "/api/v1/namespaces/prod/secrets/db",
        "/apis/unknown.example/v1/namespaces/prod/things",
    ] {
        assert_eq!(ground.ask(DEVELOPER, path, &[])?.0, 403, "{path}");
    }
    for path in [
        "/api/v1/namespaces/dev%2f..%2fprod/pods",
        "/api/v1/namespaces/dev/pods/web;x/exec",
        "/api/v1/namespaces/dev/pods/web%2Fexec",
        "/api/v1/namespaces/dev/pods/%252e%252e",
        "/api/v1/namespaces/dev\\prod/pods",
    ] {
        assert_eq!(ground.ask(DEVELOPER, path, &[])?.0, 400, "{path}");
    }
    for path in ["/api/v1//namespaces/dev/pods", "/api/v1/namespaces/x/../dev/pods"] {
        assert_eq!(ground.ask(DEVELOPER, path, &[])?.0, 200, "{path}");
    }
    // What was decided on is what arrived.
    let paths: Vec<_> = ground.api.reached()?.into_iter().map(|one| one.path).collect();
    assert_eq!(paths, ["/api/v1/namespaces/dev/pods", "/api/v1/namespaces/dev/pods"]);
    Ok(())
}

/// K8-07: no method is another one.
#[test]
fn k8_07_a_method_is_the_one_that_was_sent() -> Result<()> {
    let ground = Ground::new()?;
    let path = "/api/v1/namespaces/prod/configmaps/settings";
    for arguments in [
        &["-X", "HEAD", "--head"][..],
        &["-X", "OPTIONS"],
        &["-H", "X-HTTP-Method-Override: GET", "-X", "DELETE"],
        &["-X", "DELETE"],
        &["-X", "PATCH", "-H", "Content-Type: application/merge-patch+json", "-d", "{}"],
    ] {
        assert_eq!(ground.ask(DEVELOPER, path, arguments)?.0, 403, "{arguments:?}");
    }
    let (status, ..) = ground.ask(
        DEVELOPER,
        "/api/v1/namespaces/dev/configmaps/settings",
        &["-H", "X-HTTP-Method-Override: DELETE"],
    )?;
    assert_eq!(status, 200);
    let reached = ground.api.reached()?;
    assert_eq!(reached.len(), 1);
    assert_eq!((reached[0].method.as_str(), reached[0].field("x-http-method-override")), ("GET", None));
    Ok(())
}

/// K8-08: a redirection is neither followed nor handed on.
#[test]
fn k8_08_a_redirection_leads_nowhere() -> Result<()> {
    let ground = Ground::new()?;
    let (status, body, head) = ground.ask(OPERATOR, "/api/v1/namespaces/dev/services/web/proxy", &[])?;
    assert_eq!(status, 502, "{body}");
    assert!(!head.contains("location:") && !body.contains("169.254"), "{head}{body}");
    Ok(())
}

/// K8-10: an answer of another kind than was asked for is not shown.
#[test]
fn k8_10_an_answer_that_cannot_be_masked_is_not_shown() -> Result<()> {
    for media in ["application/vnd.kubernetes.protobuf", "application/cbor", "application/octet-stream"] {
        let said = format!("HTTP/1.1 200 OK\r\ncontent-type: {media}\r\ncontent-length: 10\r\n\r\nk8s\0canary");
        let server = Scripted::start(vec![said.into_bytes()])?;
        let ground = Ground::at(Some(server.address().to_string()), "")?;
        let (status, body, _) = ground.ask(DEVELOPER, "/api/v1/namespaces/dev/secrets/db", &[])?;
        assert!(status == 502 && !body.contains("canary"), "{media}: {status} {body}");
    }
    Ok(())
}

/// K8-11: nobody is known by what an API server would take for a credential, and Sluice does not.
#[test]
fn k8_11_no_other_credential_of_kubernetes_counts() -> Result<()> {
    let ground = Ground::new()?;
    let token = URL_SAFE_NO_PAD.encode(ground.token("erin", OPERATOR)?);
    let protocol = format!("Sec-WebSocket-Protocol: base64url.bearer.authorization.k8s.io.{token}, v5.channel.k8s.io");
    for field in [
        &*protocol,
        "X-Remote-User: admin",
        "X-Remote-Group: system:masters",
        "X-Client-Cert: O=system:masters",
        "Authorization: Basic YWRtaW46YWRtaW4=",
    ] {
        let (status, body, _) = ground.ask_as_nobody("/api/v1/namespaces/dev/pods", &["-H", field])?;
        assert_eq!(status, 401, "{field}: {body}");
        assert!(body.contains("\"reason\":\"Unauthorized\""), "{body}");
    }
    assert!(ground.api.reached()?.is_empty());
    Ok(())
}
