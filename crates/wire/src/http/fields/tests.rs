//! Which fields pass.

use proptest::prelude::*;

use super::*;

#[test]
fn ht_01_no_field_that_names_the_caller_passes() {
    for name in [
        "X-Forwarded-User",
        "x-forwarded-user",
        "X_Forwarded_User",
        "X-Forwarded_User",
        "X.Forwarded.User",
        "X-Forwarded-User ",
        "X-Forwarded-Email",
        "X-Forwarded-Preferred-Username",
        "X-Forwarded-Client-Cert",
        "X-Auth-Request-Email",
        "X-Remote-User",
        "Remote-User",
        "REMOTE_USER",
        "X-Goog-Authenticated-User-Email",
        "X-Amzn-Oidc-Identity",
        "X-MS-CLIENT-PRINCIPAL-NAME",
        "X-SSL-Client-DN",
        "Client-Cert",
        "Impersonate-User",
        "Impersonate_Group",
    ] {
        assert_eq!(request_fate(name), Fate::Identity, "{name}");
        assert!(!trailer_passes(name), "{name}");
    }
    assert_eq!(request_fate("Sluice-Identity"), Fate::Own);
    assert_eq!(request_fate("X_Sluice_Identity"), Fate::Own);
    for name in ["Authorization", "Proxy-Authorization", "DPoP"] {
        assert_eq!(request_fate(name), Fate::Credential, "{name}");
    }
}

#[test]
fn ht_03_no_field_that_names_another_path_passes() {
    for name in [
        "X-Original-URL",
        "X-Rewrite-URL",
        "X_Original_Url",
        "Forwarded",
        "X-Forwarded-For",
        "X-Forwarded-Host",
        "X-Forwarded-Prefix",
        "X-Forwarded",
        "X-Real-IP",
        "Via",
        "X-Host",
        "X-Envoy-Original-Path",
        "X-Middleware-Subrequest",
        "Content_Length",
        "Content_Type",
    ] {
        assert_eq!(request_fate(name), Fate::Routing, "{name}");
    }
}

#[test]
fn ht_04_no_field_asks_for_another_method() {
    for name in ["X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override", "x_http_method_override"] {
        assert_eq!(request_fate(name), Fate::Method, "{name}");
    }
}

#[test]
fn what_is_about_the_connection_ends_with_it() {
    for name in ["Connection", "Keep-Alive", "TE", "Transfer-Encoding", "transfer_encoding", "Upgrade", "Trailer"] {
        assert_eq!(request_fate(name), Fate::Hop, "{name}");
        assert!(!answer_passes(name), "{name}");
    }
    for name in
        ["Accept", "Content-Type", "content-length", "Cookie", "X-Request-Id", "traceparent", "X-Api-Key", "Host"]
    {
        assert_eq!(request_fate(name), Fate::Passes, "{name}");
        assert!(answer_passes(name), "{name}");
    }
    assert!(answer_passes("X-Forwarded-For") && answer_passes("WWW-Authenticate") && !answer_passes("Sluice-Request"));
}

#[test]
fn ht_06_no_trailer_changes_the_head() {
    for name in [
        "Authorization",
        "Host",
        "Content-Length",
        "content_length",
        "Transfer-Encoding",
        "X-Forwarded-For",
        "X-Forwarded-User",
        "X-Original-URL",
        "X-HTTP-Method-Override",
        "Cookie",
        "Set-Cookie",
        "If-Match",
        "Cache-Control",
        "Access-Control-Allow-Origin",
        "Location",
        "Trailer",
        "Sluice-Reason",
    ] {
        assert!(!trailer_passes(name), "{name}");
    }
    for name in ["grpc-status", "grpc-message", "grpc-status-details-bin", "Server-Timing", "x-checksum", "Repr-Digest"]
    {
        assert!(trailer_passes(name), "{name}");
    }
}

fn options(values: &[&str]) -> Result<ConnectionOptions, FieldError> {
    ConnectionOptions::parse(values.iter().map(|value| value.as_bytes()))
}

#[test]
fn ht_01_a_connection_takes_out_what_is_about_it_alone() {
    let read = options(&["close, X-Trace ,", "Keep-Alive"]).unwrap();
    assert!(read.names("x-trace") && read.names("X_Trace") && read.names("keep-alive") && !read.names("accept"));
    assert!(read.close() && !read.upgrade());
    assert!(options(&["Upgrade"]).unwrap().upgrade());
    assert_eq!(options(&[]), Ok(ConnectionOptions::default()));
    for value in ["Host", "content-length", "close, Authorization", "Content_Type", "cookie"] {
        assert_eq!(options(&[value]), Err(FieldError::EndToEnd), "{value}");
    }
    for value in ["a b", "a;b", "\"close\"", "é", "a\0"] {
        assert_eq!(options(&[value]), Err(FieldError::Connection), "{value}");
    }
    assert_eq!(ConnectionOptions::parse([&b"\xff"[..]]), Err(FieldError::Connection));
    let many: Vec<String> = (0..=ConnectionOptions::MOST).map(|number| format!("x-{number}")).collect();
    assert!(options(&[&many[1..].join(",")]).is_ok());
    assert_eq!(options(&[&many.join(",")]), Err(FieldError::TooMany));
    assert_eq!(FieldError::TooMany.kind(), ErrorKind::Client);
}

proptest! {
    #[test]
    fn a_name_has_one_fate_however_its_signs_are_written(name in "[A-Za-z]{1,6}[-_.][A-Za-z]{1,6}([-_.][A-Za-z]{1,6})?") {
        let plain = normal(&name).into_owned();
        prop_assert_eq!(normal(&plain).into_owned(), plain.clone());
        prop_assert_eq!(normal(&name.to_ascii_uppercase()).into_owned(), plain.clone());
        if request_fate(&plain) != Fate::Passes {
            prop_assert_eq!(request_fate(&name), request_fate(&plain));
        }
    }
}
