use std::path::Path;

use super::super::{ConfigError, CredentialSource, TargetConfig, parse_targets};
use super::*;

const BAO: &str = "[[openbao]]\nname = \"corp\"\nurl = \"https://bao:8200/\"\nnamespace = \"team/a\"\n\
                   auth = { approle = \"r\", secret_id = { env = \"S\" } }\n";
const AWS: &str =
    "[[aws]]\nname = \"prod\"\nregion = \"eu-central-1\"\naccess = { key_id = \"A\", secret = { env = \"S\" } }\n";

fn targets(before: &str, credential: &str) -> Result<Vec<TargetConfig>, Vec<ConfigError>> {
    let text = format!(
        "{before}[payments]\nprotocol = \"postgres\"\naddress = \"db:5432\"\ndatabases = [\"payments\"]\ncredential = {{ {credential} }}\n"
    );
    parse_targets(&text, Path::new("/r/targets.toml"))
}

#[track_caller]
fn credential(before: &str, credential: &str) -> Credential {
    let mut found = targets(before, credential).unwrap();
    assert_eq!(found.len(), 1);
    found.pop().unwrap().postgres().unwrap().credential.clone()
}

#[track_caller]
fn mistake(before: &str, credential: &str) -> String {
    let errors = targets(before, credential).unwrap_err();
    errors.iter().map(|error| format!("{error}\n")).collect()
}

#[test]
fn every_source_is_read_as_meant() {
    let kv = credential(BAO, "user = \"u\", password = { openbao = \"corp\", kv = \"secret/data/payments\" }");
    assert_eq!(kv.password.as_ref().unwrap().to_string(), "openbao:corp:secret/data/payments#password");
    let Some(PasswordSource::OpenBao(secret)) = kv.password else { panic!("no secret of OpenBao") };
    assert_eq!((&*secret.server.url, secret.server.namespace.as_deref()), ("https://bao:8200", Some("team/a")));
    let auth = OpenBaoAuth::AppRole {
        mount: "approle".into(),
        role_id: "r".into(),
        secret_id: CredentialSource::Env("S".into()),
    };
    assert_eq!(secret.server.auth, auth);
    let lease = credential(BAO, "password = { openbao = \"corp\", lease = \"database/creds/payments\" }");
    assert_eq!(
        (lease.user, lease.password.unwrap().to_string()),
        (None, "openbao:corp:database/creds/payments".into())
    );
    let secret = "password = { aws = \"prod\", secret = \"pay\", field = \"password\", user_field = \"username\" }";
    let secret = credential(AWS, secret);
    assert_eq!(secret.password.as_ref().unwrap().to_string(), "aws:prod:pay");
    let Some(PasswordSource::AwsSecret(secret)) = secret.password else { panic!("no secret of AWS") };
    assert_eq!(secret.account.secrets_url, "https://secretsmanager.eu-central-1.amazonaws.com");
    let token = credential(AWS, "user = \"u\", password = { aws = \"prod\", rds_token = true }");
    assert_eq!(token.password.unwrap().to_string(), "rds:prod");
    let exec = credential("", "password = { exec = [\"pw\", \"-x\"], reference = \"r\", environment = [\"HOME\"] }");
    let Some(PasswordSource::Exec(plugin)) = exec.password else { panic!("no program") };
    assert_eq!((plugin.program.as_path(), plugin.arguments.as_slice()), (Path::new("/r/pw"), &["-x".to_owned()][..]));
    let role = "user = \"u\", password = { env = \"P\" }, ephemeral_role = { in_role = [\"a\", \"b\"] }";
    let role = credential("", role).ephemeral_role.unwrap();
    assert_eq!((role.in_role.len(), role.owned), (2, OwnedObjects::Reassign("a".into())));
}

#[test]
fn every_way_to_log_in_is_read_as_meant() {
    let server = |auth: &str| {
        let before = format!("[[openbao]]\nname = \"corp\"\nurl = \"http://127.0.0.1:1\"\nauth = {auth}\n");
        let found = credential(&before, "password = { openbao = \"corp\", lease = \"database/creds/p\" }");
        let Some(PasswordSource::OpenBao(secret)) = found.password else { panic!("no secret of OpenBao") };
        secret.server.auth.clone()
    };
    let token = || CredentialSource::File("/var/run/token".into());
    let jwt = |mount: &str| OpenBaoAuth::Jwt { mount: mount.into(), role: "sluice".into(), token: token() };
    assert_eq!(server("{ token = { file = \"/var/run/token\" } }"), OpenBaoAuth::Token(token()));
    assert_eq!(server("{ jwt = \"sluice\", token = { file = \"/var/run/token\" }, mount = \"ci\" }"), jwt("ci"));
    assert_eq!(server("{ kubernetes = \"sluice\", token = { file = \"/var/run/token\" } }"), jwt("kubernetes"));
    let account = |access: &str| {
        let before = format!("[[aws]]\nname = \"prod\"\nregion = \"cn-north-1\"\naccess = {access}\n");
        let found = credential(&before, "user = \"u\", password = { aws = \"prod\", rds_token = true }");
        let Some(PasswordSource::RdsToken(account)) = found.password else { panic!("no token") };
        account.access.clone()
    };
    let role = account("{ role_arn = \"arn:aws-cn:iam::1:role/s\", token = { file = \"/var/run/token\" } }");
    assert_eq!(role, AwsAccess::WebIdentity { role_arn: "arn:aws-cn:iam::1:role/s".into(), token: token() });
    let container =
        account("{ container = \"http://169.254.170.23/v1/credentials\", token = { file = \"/var/run/token\" } }");
    assert_eq!(
        container,
        AwsAccess::Container { url: "http://169.254.170.23/v1/credentials".into(), token: Some(token()) }
    );
}

#[test]
fn what_makes_no_sense_is_refused_where_it_stands() {
    let password = |rest: &str| mistake(BAO, &format!("user = \"u\", password = {{ {rest} }}"));
    let cases = [
        (password("openbao = \"other\", kv = \"secret/data/p\""), "password.openbao"),
        (password("openbao = \"corp\""), "password.openbao"),
        (password("openbao = \"corp\", kv = \"secret/p\""), "password.kv"),
        (password("openbao = \"corp\", kv = \"secret/data/../../sys/x\""), "password.kv"),
        (password("openbao = \"corp\", lease = \"database/creds/p?x\""), "password.lease"),
        (password("openbao = \"corp\", lease = \"database/creds/p\", field = \"f\""), "password.lease"),
        (password("openbao = \"corp\", kv = \"secret/data/p\", env = \"P\""), "several sources"),
        (password("env = \"P\", reference = \"r\""), "password.reference"),
        (password("exec = []"), "password.exec"),
        (password("exec = [\"p\"], timeout = \"2h\""), "password.timeout"),
        (password("aws = \"prod\", rds_token = true"), "password.aws"),
        (mistake("", "password = { env = \"P\" }"), "credential.user"),
        (mistake("", "user = \"u\", password = { env = \"P\" }, ephemeral_role = {}"), "ephemeral_role.in_role"),
        (
            mistake("", "user = \"u\", password = { env = \"P\" }, ephemeral_role = { in_role = [] }"),
            "ephemeral_role.in_role",
        ),
        (
            mistake(
                "",
                "user = \"u\", password = { env = \"P\" }, ephemeral_role = { in_role = [\"a\"], owned = \"drop\", reassign_to = \"b\" }",
            ),
            "ephemeral_role.reassign_to",
        ),
        (mistake(&BAO.replace("https://bao:8200/", "http://bao:8200"), ""), "openbao.url"),
        (mistake(&BAO.replace("https://bao:8200/", "https://bao:8200/?x"), ""), "openbao.url"),
        (mistake(&format!("{BAO}{BAO}"), ""), "openbao.name"),
        (mistake(&BAO.replace("approle = \"r\", ", ""), ""), "openbao.auth"),
        (mistake(&BAO.replace("{ env = \"S\" }", "\"hunter2\""), ""), "openbao.auth.secret_id"),
        (mistake(&AWS.replace("eu-central-1", "eu central"), ""), "aws.region"),
        (mistake(&AWS.replace("{ env = \"S\" }", "\"hunter2\""), ""), "aws.access.secret"),
        (
            mistake(&AWS.replace("key_id = \"A\", secret = { env = \"S\" }", "container = \"http://10.0.0.1/\""), ""),
            "aws.access.container",
        ),
    ];
    for (number, (told, wanted)) in cases.iter().enumerate() {
        assert!(told.contains(wanted) && !told.contains("hunter2"), "case {number}: {told}");
    }
}

#[test]
fn a_token_of_rds_goes_nowhere_in_clear() {
    let text = format!(
        "{AWS}[payments]\nprotocol = \"postgres\"\naddress = \"db:5432\"\ndatabases = [\"payments\"]\ntls = \"require\"\n\
         credential = {{ user = \"u\", password = {{ aws = \"prod\", rds_token = true }} }}\n"
    );
    let errors = parse_targets(&text, Path::new("/r/targets.toml")).unwrap_err();
    assert!(errors.iter().any(|error| error.key == "payments.tls"), "{errors:?}");
}
