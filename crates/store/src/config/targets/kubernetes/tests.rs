use std::path::Path;

use super::super::super::{ConfigError, parse_targets};
use super::*;

fn read(more: &str) -> Result<HttpTarget, Vec<ConfigError>> {
    let text = format!(
        "[prod]\nprotocol = \"kubernetes\"\naddress = \"10.0.0.1:6443\"\nhosts = [\"prod.example.com\"]\n\
         credential = {{ bearer = {{ env = \"T\" }} }}\n{more}"
    );
    let read = parse_targets(&text, Path::new("/r/targets.toml"))?;
    assert_eq!(&*read[0].target.protocol, "kubernetes");
    Ok((**read[0].http().unwrap()).clone())
}

#[test]
fn an_api_server_is_read_as_meant() {
    let target = read("").unwrap();
    assert_eq!(target.kubernetes, Some(KubernetesTarget::default()));
    assert_eq!(target.max_inspected_body, 3 << 20);
    assert_eq!(read("max_inspected_body = \"1MiB\"\n").unwrap().max_inspected_body, 1 << 20);
    assert!(read("filter = true\n").unwrap().kubernetes.unwrap().filter);
}

#[test]
fn as_whom_it_is_asked_is_read() {
    let with = |text: &str| read(&format!("impersonate = {text}\n")).unwrap().kubernetes.unwrap().impersonate;
    assert_eq!(with("false"), None);
    assert_eq!(with("true"), Some(Impersonate::default()));
    let all =
        with("{ user = \"sluice:{id}\", groups = [\"sluice:{group}\", \"view\"], uid = \"{subject}\", extra = true }");
    let expected = Impersonate {
        user: "sluice:{id}".into(),
        groups: vec!["sluice:{group}".into(), "view".into()],
        uid: Some("{subject}".into()),
        extra: true,
    };
    assert_eq!(all, Some(expected));
}

#[test]
fn mistakes_are_told() {
    for (more, key) in [
        ("impersonate = \"yes\"\n", "prod.impersonate"),
        ("impersonate = { user = \"{name}\" }\n", "prod.impersonate.user"),
        ("impersonate = { groups = [\"{user}\"] }\n", "prod.impersonate.groups"),
        ("impersonate = { group = \"a\" }\n", "prod.impersonate.group"),
        ("openapi = \"a.json\"\n", "prod.openapi"),
        ("tunnel = true\n", "prod.tunnel"),
        ("encoded_slash = true\n", "prod.encoded_slash"),
    ] {
        let errors = read(more).unwrap_err();
        assert_eq!(errors[0].key, key, "{errors:?}");
    }
}
