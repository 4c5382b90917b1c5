use model::secret::Secret;

use super::*;

const NOTHING: fn(&str) -> Option<String> = |_| None;

fn settings(text: &str) -> Settings {
    toml::from_str(text).unwrap()
}

fn mistakes(text: &str, secret: Option<&str>) -> String {
    let secret = secret.map(|secret| Secret::new(secret.to_owned()));
    settings(text).source(secret, NOTHING).err().map(|error| error.to_string()).unwrap_or_default()
}

#[test]
fn a_file_says_everything_and_its_paths_are_beside_it() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("connect.toml");
    let text = r#"
gateway = "sluice.corp:5432"
ca_file = "ca.pem"
health = "127.0.0.1:0"

[identity]
issuer = "https://issuer.corp"
client_id = "etl"
client_secret_file = "/run/secrets/etl"
wanted = { scope = "db", resource = "urn:sluice" }

[targets.payments]
listen = "127.0.0.1:5432"
password_file = "payments.password"

[targets.orders]
socket = "sockets"
database = "orders_2026"
"#;
    std::fs::write(&path, text).unwrap();
    let settings = Settings::load(&path).unwrap();
    assert_eq!(settings.ca_file, Some(dir.path().join("ca.pem")));
    assert_eq!(settings.identity.client_secret_file, Some("/run/secrets/etl".into()));
    assert_eq!(settings.targets["orders"].socket, Some(dir.path().join("sockets")));
    assert!(matches!(settings.source(None, NOTHING), Ok(Some(Source::Client(_)))));
    std::fs::write(&path, "gatway = 'x'").unwrap();
    let error = Settings::load(&path).err().unwrap().to_string();
    assert!(error.contains("connect.toml") && error.contains("gatway"), "{error}");
}

#[test]
fn one_way_to_an_identity_and_all_of_it() {
    assert!(matches!(settings("").source(None, NOTHING), Ok(None)));
    let two = "identity = { token_file = 't', private_key_file = 'k' }";
    assert!(mistakes(two, None).contains("a token file, a client's private key"), "{}", mistakes(two, None));
    assert!(mistakes("identity = { token_file = 't' }", Some("secret")).contains("alone"));
    let said = mistakes("", Some("secret"));
    assert!(said.contains("issuer") && said.contains("client's id"), "{said}");
    let certificate = "identity = { issuer = 'i', client_id = 'c', client_certificate = true }";
    assert!(mistakes(certificate, None).contains("certificate_file"));
    assert!(
        mistakes("certificate_file = 'c'\nidentity = { issuer = 'i', client_id = 'c' }", Some("s"))
            .contains("together")
    );
}

#[test]
fn a_token_of_the_environment_has_to_be_there() {
    let from = settings("identity = { token_env = 'T' }");
    assert!(from.source(None, NOTHING).is_err());
    assert!(from.source(None, |_| Some(" ".into())).is_err());
    let Ok(Some(Source::Value(value))) = from.source(None, |name| Some(format!("{name}.b.c\n"))) else { panic!() };
    assert_eq!(value.expose(), "T.b.c");
}
