use std::path::Path;

use super::super::super::{ConfigError, OAuth2Proof, PemSource, Speaks, TargetConfig, parse_targets};
use super::*;

fn targets(text: &str) -> Result<Vec<TargetConfig>, Vec<ConfigError>> {
    parse_targets(text, Path::new("/r/targets.toml"))
}

/// A target of five lines, in which `from` stands as `to`.
fn billing(from: &str, to: &str) -> String {
    let text = "[billing]\nprotocol = \"http\"\naddress = \"billing:443\"\nhosts = [\"billing.example.com\"]\n\
                credential = { bearer = { env = \"T\" } }\n";
    assert!(text.contains(from), "{from}");
    text.replace(from, to)
}

fn http(text: &str) -> HttpTarget {
    let read = targets(text).unwrap_or_else(|errors| panic!("{text}\n{errors:?}"));
    match &read[0].speaks {
        Speaks::Http(http) => (**http).clone(),
        Speaks::Postgres(_) | Speaks::Ssh(_) => panic!("{text}"),
    }
}

#[track_caller]
fn assert_mistake(text: &str, line: usize, key: &str, says: &str) {
    let errors = targets(text).unwrap_err();
    let found: Vec<_> = errors.iter().map(|error| (error.line, error.key.as_str())).collect();
    assert_eq!(found, [(Some(line), key)], "{errors:?}");
    assert!(errors[0].to_string().contains(says), "{}", errors[0]);
}

#[test]
fn an_api_is_read_as_meant() {
    let read = http(&billing("", ""));
    assert_eq!(read.hosts, [Arc::from("billing.example.com")]);
    assert_eq!(read.tls.mode, TlsMode::VerifyFull);
    assert_eq!(read.credential, HttpCredential::Bearer(CredentialSource::Env("T".to_owned())));
    assert_eq!((read.max_body, read.max_inspected_body, read.tape_body), (64 << 20, 1 << 20, 1 << 20));
    assert!(!read.tunnel && http(&billing("\nhosts", "\ntunnel = true\nhosts")).tunnel);
    let more = billing(
        "hosts = [\"billing.example.com\"]\n",
        "path_prefix = \"/a/b/\"\nversion = \"http2\"\nauthority = \"b:8\"\n",
    );
    let read = http(&more);
    assert_eq!((read.path_prefix.as_deref(), read.authority.as_deref()), (Some("/a/b"), Some("b:8")));
    assert_eq!((read.hosts.len(), read.version), (0, HttpVersion::Two));
}

#[test]
fn each_way_to_prove_who_sluice_is_is_read() {
    let with = |credential: &str| http(&billing("{ bearer = { env = \"T\" } }", credential)).credential;
    let file = CredentialSource::File("/r/p".into());
    assert_eq!(with("{ none = true }"), HttpCredential::None);
    assert_eq!(
        with("{ user = \"u\", password = { file = \"p\" } }"),
        HttpCredential::Basic { user: Some("u".into()), password: PasswordSource::Stored(file.clone()) }
    );
    assert_eq!(
        with("{ header = \"X-Api-Key\", value = { file = \"p\" } }"),
        HttpCredential::Header { name: "x-api-key".into(), value: file }
    );
}

#[test]
fn an_issuer_gives_tokens_to_sluice_itself() {
    let with = |oauth2: &str| {
        let credential = format!("{{ oauth2 = {{ token_url = \"https://i/token\", client_id = \"s\", {oauth2} }} }}");
        http(&billing("{ bearer = { env = \"T\" } }", &credential)).credential
    };
    let client = |credential: HttpCredential| match credential {
        HttpCredential::OAuth2(PasswordSource::OAuth2(client)) => client,
        other => panic!("{other:?}"),
    };
    let secret = CredentialSource::Vault("v".to_owned());
    let read = client(with("client_secret = { vault = \"v\" }, scope = \"a b\", audience = \"x\""));
    assert_eq!((&*read.token_url, &*read.id), ("https://i/token", "s"));
    assert_eq!(read.proof, OAuth2Proof::Basic(secret.clone()));
    assert_eq!(read.asks, [("scope", "a b".to_owned()), ("audience", "x".to_owned())]);
    let read = client(with("client_secret = { vault = \"v\" }, auth = \"post\""));
    assert_eq!(read.proof, OAuth2Proof::Post(secret.clone()));
    let read = client(with("client_key = { vault = \"v\" }, key_id = \"k\""));
    assert_eq!(read.proof, OAuth2Proof::Key { key: secret, id: Some("k".to_owned()), audience: None });
    let wrong = |oauth2: &str, key: &str, says: &str| {
        let text = billing("{ bearer = { env = \"T\" } }", &format!("{{ oauth2 = {oauth2} }}"));
        assert_mistake(&text, 5, &format!("billing.credential.oauth2{key}"), says);
    };
    let client = "client_id = \"s\", client_secret = { env = \"S\" }";
    wrong(&format!("{{ {client} }}"), ".token_url", "absent");
    wrong(&format!("{{ token_url = \"http://i/token\", {client} }}"), ".token_url", "safely");
    wrong("{ token_url = \"https://i/t\", client_id = \"s\" }", ".client_secret", "absent");
    let both = format!("{{ token_url = \"https://i/t\", {client}, client_key = {{ env = \"K\" }} }}");
    wrong(&both, "", "several ways");
    let literal = "{ token_url = \"https://i/t\", client_id = \"s\", client_secret = \"hunter2\" }";
    wrong(literal, ".client_secret", "must not stand");
}

#[test]
fn requests_to_aws_are_signed_as_an_account() {
    let aws = "[[aws]]\nname = \"prod\"\nregion = \"eu-central-1\"\n\
               access = { key_id = \"AKIA\", secret = { env = \"S\" } }\n";
    let with = |sigv4: &str| {
        let text = billing("{ bearer = { env = \"T\" } }", &format!("{{ sigv4 = \"prod\"{sigv4} }}"));
        format!("{text}{aws}")
    };
    let signing = |text: &str| match http(text).credential {
        HttpCredential::SigV4(signing) => signing,
        other => panic!("{other:?}"),
    };
    let read = signing(&with(", service = \"execute-api\""));
    assert_eq!((&*read.service, &*read.region), ("execute-api", "eu-central-1"));
    assert_eq!(read.keys.to_string(), "sigv4:prod");
    assert_eq!(signing(&with(", service = \"s3\", region = \"us-east-1\"")).region, "us-east-1");
    assert_mistake(&with(""), 5, "billing.credential.service", "absent");
    assert_mistake(&with(", service = \"S3\""), 5, "billing.credential.service", "not understood");
    let other = with(", service = \"s3\"").replace("sigv4 = \"prod\"", "sigv4 = \"dev\"");
    assert_mistake(&other, 5, "billing.credential.sigv4", "[[aws]]");
}

#[test]
fn a_client_certificate_is_in_files_or_where_secrets_are() {
    let none = billing("{ bearer = { env = \"T\" } }", "{ none = true }");
    let with = |lines: &str| format!("{none}{lines}");
    let client = |lines: &str| http(&with(lines)).tls.client.unwrap();
    let read = client("client_cert = \"c.pem\"\nclient_key = { vault = \"key\" }\n");
    assert_eq!(read.cert, PemSource::File("/r/c.pem".into()));
    assert_eq!(read.key, PemSource::Secret(CredentialSource::Vault("key".to_owned())));
    let read = client("client_cert = { env = \"C\" }\nclient_key = \"k.pem\"\n");
    assert_eq!(read.key.to_string(), "/r/k.pem");
    assert_mistake(&with("client_cert = \"c.pem\"\n"), 1, "billing.client_key", "absent");
    assert_mistake(&with("client_cert = \"c.pem\"\nclient_key = {}\n"), 7, "billing.client_key", "no source");
    let literal = with("client_cert = \"c.pem\"\nclient_key = \"-----BEGIN PRIVATE KEY-----hunter2\"\n");
    assert_mistake(&literal, 7, "billing.client_key", "no path");
    assert!(!targets(&literal).unwrap_err()[0].to_string().contains("hunter2"));
}

#[test]
fn what_cannot_be_meant_is_a_mistake() {
    let credential = "credential = { bearer = { env = \"T\" } }";
    let host = "hosts = [\"billing.example.com\"]\n";
    assert_mistake(&billing(host, ""), 1, "billing.hosts", "path_prefix");
    for wrong in ["Billing.example.com", "a:1", "", "a b"] {
        let errors = targets(&billing("billing.example.com", wrong)).unwrap_err();
        assert!(errors[0].key.ends_with("hosts"), "{errors:?}");
    }
    for wrong in ["/", "billing", "/a/../b", "/a//b", "/a%2fb", "/ä"] {
        let text = billing(host, &format!("path_prefix = \"{wrong}\"\n"));
        assert_mistake(&text, 4, "billing.path_prefix", "not understood");
    }
    let secret = billing(credential, "credential = { bearer = \"hunter2\" }");
    assert_mistake(&secret, 5, "billing.credential.bearer", "must not stand");
    let two = billing(credential, "credential = { none = true, bearer = { env = \"T\" } }");
    assert_mistake(&two, 5, "billing.credential", "several ways");
    assert_mistake(&billing(credential, "credential = {}"), 5, "billing.credential", "no way");
    let colon = billing(credential, "credential = { user = \"a:b\", password = { env = \"T\" } }");
    assert_mistake(&colon, 5, "billing.credential.user", "not understood");
    let host_field = billing(credential, "credential = { header = \"Host\", value = { env = \"T\" } }");
    assert_mistake(&host_field, 5, "billing.credential.header", "no other's");
    let anybody = billing(credential, &format!("{credential}\ntls = \"require\""));
    assert_mistake(&anybody, 5, "billing.credential", "whoever answers");
    let document = billing(host, &format!("{host}openapi = \"../x.json\"\n"));
    assert_mistake(&document, 5, "billing.openapi", "apis/");
}

#[test]
fn a_name_and_a_path_lead_to_one_target() {
    let other = billing("[billing]", "[other]");
    assert_mistake(&(billing("", "") + &other), 9, "other.hosts", "claims \"billing.example.com\" too");
    let below =
        |name: &str| billing("[billing]", name).replace("hosts = [\"billing.example.com\"]", "path_prefix = \"/b\"");
    assert_mistake(&(below("[billing]") + &below("[other]")), 9, "other.path_prefix", "claims \"/b\" too");
}

#[test]
fn nothing_else_is_at_an_address_that_a_tunnel_leads_to() {
    let at = |name: &str, address: &str, more: &str| {
        let text = billing("[billing]", &format!("[{name}]")).replace("billing:443", address);
        text.replace("billing.example.com", &format!("{name}.example.com")) + more
    };
    let tunnel = "tunnel = true\n";
    for (one, other) in [
        ("api.internal:443", "api.internal:443"),
        ("api.internal:443", "API.internal.:443"),
        ("10.0.0.1:443", "[::ffff:10.0.0.1]:443"),
        ("[::1]:443", "[0:0::1]:443"),
    ] {
        let (first, second) = (at("a", one, tunnel), at("b", other, ""));
        assert_mistake(&(first + &second), 9, "b.address", "target \"a\" has this address too, and \"a\" has `tunnel`");
        let (first, second) = (at("a", one, ""), at("b", other, tunnel));
        assert_mistake(&(first + &second), 8, "b.address", "target \"a\" has this address too, and \"b\" has `tunnel`");
        // Without a tunnel each is asked for what is its own.
        assert!(targets(&(at("a", one, "") + &at("b", other, ""))).is_ok());
    }
    for other in ["api.internal:8443", "api2.internal:443"] {
        assert!(targets(&(at("a", "api.internal:443", tunnel) + &at("b", other, tunnel))).is_ok(), "{other}");
    }
    let api_server = "[k]\nprotocol = \"kubernetes\"\naddress = \"api.internal:443\"\nhosts = [\"k.example.com\"]\n\
                      credential = { bearer = { env = \"T\" } }\n";
    assert_mistake(&(at("a", "api.internal:443", tunnel) + api_server), 9, "k.address", "leads to both");
}
