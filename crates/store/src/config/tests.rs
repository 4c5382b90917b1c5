use std::path::Path;

use model::class::{DataClass, Transform};
use model::effect::{ColumnName, TableName};
use model::issuer::{BareGroups, KindRule, Profile};
use model::target::{Durability, OnUnmaskable, TapeMode};
use proptest::prelude::*;

use super::*;

const FILE: &str = "/etc/sluice/sluice.toml";

fn config(text: &str) -> Result<Config, Vec<ConfigError>> {
    Config::parse(text, Path::new(FILE))
}

fn targets(text: &str) -> Result<Vec<TargetConfig>, Vec<ConfigError>> {
    parse_targets(text, Path::new("/r/targets.toml"))
}

fn lines(errors: &[ConfigError]) -> String {
    errors.iter().map(|error| format!("{error}\n")).collect()
}

/// Whether exactly one mistake is found, on this line, about this setting.
#[track_caller]
fn assert_mistake<T: std::fmt::Debug>(result: Result<T, Vec<ConfigError>>, line: usize, key: &str) {
    let errors = result.unwrap_err();
    let found: Vec<_> = errors.iter().map(|error| (error.line, error.key.as_str())).collect();
    assert_eq!(found, [(Some(line), key)], "{}", lines(&errors));
}

const ISSUER: &str = "[[issuer]]\nalias = \"corp\"\nurl = \"https://id.example.com\"\naudience = \"sluice\"\n";
const TARGET: &str = "[payments]\nprotocol = \"postgres\"\naddress = \"db:5432\"\ndatabases = [\"payments\"]\n\
                      credential = { user = \"u\", password = { env = \"P\" } }\n";

#[test]
fn the_templates_are_right_and_say_the_defaults() {
    let template = config(TEMPLATE_SLUICE_TOML).unwrap();
    assert_eq!(template, config("").unwrap());
    assert_eq!(template.data_dir, Path::new("/etc/sluice/data"));
    assert_eq!(template.postgres.listen.address.to_string(), "127.0.0.1:6432");
    assert_eq!(template.admin.address.to_string(), "127.0.0.1:7632");
    assert_eq!(template.approvals.hold_max.as_secs(), 120);
    assert_eq!(template.journal.wait_deadline.as_secs(), 5);
    assert_eq!(template.limits.max_statement, 1 << 20);
    assert_eq!(template.sessions.grace.as_secs(), 0);
    assert_eq!(targets(TEMPLATE_TARGETS_TOML).unwrap().len(), 1);
    parse_classification(TEMPLATE_CLASSIFICATION_TOML, Path::new("c.toml")).unwrap();
    assert_eq!(parse_ssh_keys(TEMPLATE_SSH_KEYS_TOML, Path::new("k.toml"), None).unwrap().iter().count(), 0);
    assert_eq!(template.ssh, None);
}

/// Every setting that a template shows as a comment is a setting, and its value is allowed.
#[test]
fn what_the_templates_comment_out_is_right_too() {
    let uncomment = |text: &str| {
        let lines = text.lines().map(|line| {
            let setting = line.strip_prefix("# ").filter(|rest| {
                rest.starts_with("[[")
                    || rest.starts_with("[issuer.")
                    || rest.starts_with("[vault")
                    || rest.starts_with("[tapes")
                    || rest.starts_with("[archive")
                    || rest.starts_with("[listen.ssh")
                    || rest.starts_with("[listen.http")
                    || rest.starts_with("[console")
                    || rest.starts_with("[web1")
                    || rest.starts_with("[billing")
                    || rest.starts_with("[classes")
                    || is_setting(rest)
            });
            format!("{}\n", setting.unwrap_or(line))
        });
        lines.collect::<String>()
    };
    let is_both = |line: &&str| {
        !["ca_file", "key_env", "workload_api", "metadata_url"].iter().any(|other| line.starts_with(other))
    };
    let text = uncomment(TEMPLATE_SLUICE_TOML);
    let text: String = text.lines().filter(is_both).map(|line| format!("{line}\n")).collect();
    let all = config(&text).unwrap();
    assert_eq!((all.issuers.len(), all.saml.len()), (1, 1));
    assert_eq!((all.trust_domains.len(), all.trust_domains[0].domain.groups.len()), (1, 2));
    let archive = all.archive.unwrap();
    assert_eq!((&*archive.bucket, &*archive.prefix, &*archive.endpoint), ("tapes", "sluice", "https://s3.example.com"));
    assert_eq!(archive.keep_local, Duration::from_secs(7 * 86_400));
    assert_eq!(all.sinks.iter().map(|sink| &*sink.name).collect::<Vec<_>>(), ["archive", "siem", "hook"]);
    assert_eq!(all.vault_key, Some(KeyLocation::File("/etc/sluice/vault.key".into())));
    assert_eq!(all.tape_key, Some(KeyLocation::File("/etc/sluice/tapes.key".into())));
    assert_eq!(Limits { idle_timeout: None, ..all.limits }, config("").unwrap().limits);
    assert_eq!(all.witnesses.len(), 1);
    assert_eq!(all.journal.tiles_dir.as_deref(), Some(Path::new("/etc/sluice/tlog")));
    let journal = JournalConfig { tiles_dir: None, ..all.journal };
    assert_eq!((all.approvals, journal, all.log, all.sessions), {
        let default = config("").unwrap();
        (default.approvals, default.journal, default.log, default.sessions)
    });
    let console = all.console.unwrap();
    assert_eq!((&*console.issuer, console.client_id.as_str()), ("corp", "sluice-console"));
    assert_eq!(console.public_url.as_deref(), Some("https://sluice.example.com:7632"));
    let ssh = all.ssh.unwrap();
    assert_eq!(ssh.address.to_string(), "127.0.0.1:2222");
    assert_eq!(ssh.host_certificate.as_deref(), Some(Path::new("/etc/sluice/ssh/host_key-cert.pub")));
    assert_eq!(ssh.max_session, Duration::from_secs(12 * 3600));
    let targets = targets(&uncomment(TEMPLATE_TARGETS_TOML)).unwrap();
    assert_eq!(targets.iter().map(|target| &*target.target.protocol).collect::<Vec<_>>(), ["http", "postgres", "ssh"]);
    assert_eq!(targets[0], defaults_of_an_api());
    let http = all.http.unwrap();
    assert_eq!(
        config("[listen.http]\naddress = \"127.0.0.1:8443\"\n").unwrap().http.unwrap(),
        HttpListen { tls: None, forward: None, ..http }
    );
    let keys = parse_ssh_keys(&uncomment(TEMPLATE_SSH_KEYS_TOML), Path::new("k.toml"), Some(&targets)).unwrap();
    assert_eq!(keys.iter().count(), 1);
    parse_classification(&uncomment(TEMPLATE_CLASSIFICATION_TOML), Path::new("c.toml")).unwrap();
}

/// The template's API with what it has by default left out.
fn defaults_of_an_api() -> TargetConfig {
    let text = "[billing]\nprotocol = \"http\"\naddress = \"billing.internal:443\"\nhosts = [\"billing.example.com\"]\n\
                path_prefix = \"/billing\"\nauthority = \"billing.internal\"\nca_file = \"tls/billing-ca.pem\"\n\
                credential = { bearer = { env = \"BILLING_TOKEN\" } }\nopenapi = \"billing.json\"\n\
                routes = [\"GET /v1/customers/{id}\"]\ngraphql = [\"/graphql\"]\njson_rpc = [\"/rpc\"]\nmcp = [\"/mcp\"]\n\
                identity = { header = \"Sluice-Identity\" }\ndescriptors = \"billing.binpb\"\n";
    targets(text).unwrap().remove(0)
}

fn is_setting(line: &str) -> bool {
    let name = line.split(" = ").next().unwrap();
    line.contains(" = ") && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_' || byte.is_ascii_digit())
}

#[test]
fn memory_is_locked_as_the_setting_says() {
    let lock = |text: &str| config(text).map(|config| config.lock_memory).map_err(|errors| lines(&errors));
    for (text, meant) in [
        ("", LockMemory::Auto),
        ("lock_memory = \"auto\"", LockMemory::Auto),
        ("lock_memory = \"on\"", LockMemory::On),
        ("lock_memory = \"off\"", LockMemory::Off),
    ] {
        assert_eq!(lock(text), Ok(meant), "{text}");
    }
    assert!(lock("lock_memory = \"yes\"").unwrap_err().contains("write \"auto\", \"on\", \"off\""));
}

#[test]
fn every_mistake_is_reported_with_its_line() {
    let text = "data_dri = \"x\"\n[listen.postgres]\naddress = \"localhost\"\ntls_cert = \"a\"\n[limits]\n\
                max_statement = 5\nlogin_timeout = \"10\"\n[log]\nlevel = \"loud\"\n[[issuer]]\nalias = \"A|b\"\n";
    let errors = config(text).unwrap_err();
    let expected = [
        "/etc/sluice/sluice.toml:1: data_dri: there is no such setting; the settings here are: listen, data_dir, issuer, \
         console, tokens, trust_domain, saml, revision_dir, lock_memory, limits, approvals, policy, journal, vault, tapes, witness, log, \
         sessions, sink, archive",
        "/etc/sluice/sluice.toml:2: listen.postgres.tls_key: it is absent; write the path of the certificate's private key",
        "/etc/sluice/sluice.toml:3: listen.postgres.address: \"localhost\" is not understood; write an IP address and a \
         port, such as \"127.0.0.1:6432\" or \"[::]:6432\"",
        "/etc/sluice/sluice.toml:6: limits.max_statement: it is an integer, not a text; write a size such as \"512B\", \
         \"64KiB\", \"1MiB\", from 1024 to 16777216 bytes",
        "/etc/sluice/sluice.toml:7: limits.login_timeout: \"10\" is not understood; write a duration such as \"250ms\", \
         \"10s\", \"2m\", \"1h\", from 1s to 300s",
        "/etc/sluice/sluice.toml:9: log.level: \"loud\" is not understood; write \"error\", \"warn\", \"info\", \"debug\", \
         \"trace\"",
        "/etc/sluice/sluice.toml:10: issuer.audience: it is absent; write the `aud` that means Sluice, such as \"sluice\"",
        "/etc/sluice/sluice.toml:10: issuer.url: it is absent; write the `iss` of its tokens, such as \
         \"https://id.example.com\"",
        "/etc/sluice/sluice.toml:11: issuer.alias: \"A|b\" is not understood; write a short name of a-z, 0-9, - and _",
    ];
    assert_eq!(lines(&errors), expected.map(|line| format!("{line}\n")).concat());
}

#[test]
fn sinks_are_read_as_meant() {
    let text = "[[sink]]\nname = \"a\"\nkind = \"file\"\npath = \"e.jsonl\"\nevents = [\"gap\", \"decided\"]\n\
                [[sink]]\nname = \"b\"\nkind = \"syslog\"\naddress = \"[::1]:6514\"\nformat = \"ocsf\"\nfrom = \"start\"\n\
                [[sink]]\nname = \"c\"\nkind = \"otlp\"\nurl = \"http://127.0.0.1:4318/v1/logs\"\nallow_http = true\n\
                [[sink]]\nname = \"d\"\nkind = \"webhook\"\nurl = \"https://h/x?y=z\"\nsecret = { file = \"k\" }\n";
    let sinks = config(text).unwrap().sinks;
    assert_eq!(sinks[0].kind, SinkKind::File("/etc/sluice/e.jsonl".into()));
    assert_eq!(sinks[0].events, Some(["decided", "gap"].into()));
    assert_eq!((sinks[0].format, sinks[0].from), (SinkFormat::Json, SinkStart::Now));
    assert_eq!(sinks[1].kind, SinkKind::Syslog { host: "::1".into(), port: 6514, tls: true, ca_file: None });
    assert_eq!((sinks[1].format, sinks[1].from), (SinkFormat::Ocsf, SinkStart::Start));
    let SinkKind::Otlp(receiver) = &sinks[2].kind else { panic!("{:?}", sinks[2]) };
    assert_eq!(receiver.url, "http://127.0.0.1:4318/v1/logs");
    let SinkKind::Webhook { receiver, secret } = &sinks[3].kind else { panic!("{:?}", sinks[3]) };
    assert_eq!((&*receiver.url, secret), ("https://h/x?y=z", &CredentialSource::File("/etc/sluice/k".into())));
    assert!(!format!("{sinks:?}").contains("https://"), "a URL may hold a secret");
}

#[test]
fn mistakes_in_sinks_are_found_and_show_no_secret() {
    let sink = |rest: &str| config(&format!("[[sink]]\nname = \"a\"\n{rest}"));
    assert_mistake(sink("kind = \"stdout\"\npath = \"x\""), 4, "sink.path");
    assert_mistake(sink("kind = \"file\""), 1, "sink.path");
    assert_mistake(sink("path = \"x\""), 1, "sink.kind");
    assert_mistake(sink("kind = \"stdout\"\nevents = [\"decided\", \"drank\"]"), 4, "sink.events");
    assert_mistake(sink("kind = \"syslog\"\naddress = \"siem\""), 4, "sink.address");
    assert_mistake(sink("kind = \"syslog\"\naddress = \"s:1\"\ntls = false\nca_file = \"x\""), 6, "sink.ca_file");
    assert_mistake(sink("kind = \"otlp\"\nurl = \"https://c/v1/logs\"\nformat = \"ocsf\""), 5, "sink.format");
    assert_mistake(sink("kind = \"webhook\"\nurl = \"https://h/\""), 1, "sink.secret");
    assert_mistake(config("[[sink]]\nname = \"A\"\nkind = \"stdout\""), 2, "sink.name");
    let two = "[[sink]]\nname = \"a\"\nkind = \"stdout\"\n[[sink]]\nname = \"NAME\"\nkind = \"stdout\"\n";
    assert_mistake(config(&two.replace("NAME", "b")), 6, "sink.kind");
    for (url, more) in [
        ("http://127.0.0.1/s3cret", ""),
        ("http://example.com/s3cret", "allow_http = true\n"),
        ("ftp://example.com/s3cret", ""),
        ("https://user:s3cret@example.com/", ""),
    ] {
        let errors = sink(&format!("kind = \"otlp\"\n{more}url = \"{url}\"\n")).unwrap_err();
        assert_eq!(errors.iter().map(|error| &*error.key).collect::<Vec<_>>(), ["sink.url"], "{url}");
        assert!(!lines(&errors).contains("s3cret"), "{}", lines(&errors));
    }
    let errors = sink("kind = \"webhook\"\nurl = \"https://h/\"\nsecret = \"s3cret\"").unwrap_err();
    assert!(errors.len() == 1 && !lines(&errors).contains("s3cret"), "{}", lines(&errors));
}

#[test]
fn a_witness_is_read_as_meant() {
    let witness = "[[witness]]\nname = \"w1\"\nurl = \"https://w.example:7633/\"\nkey = \"w.pub\"\n";
    let read = config(&format!("[journal]\nname = \"a.example/j\"\n{witness}ca_file = \"ca.pem\"\n")).unwrap();
    let expected = WitnessConfig {
        name: String::from("w1"),
        url: String::from("https://w.example:7633"),
        key: WitnessKeySource::File("/etc/sluice/w.pub".into()),
        ca_file: Some("/etc/sluice/ca.pem".into()),
    };
    assert_eq!((read.witnesses, read.journal.name.as_str()), (vec![expected], "a.example/j"));
    let text = config(&witness.replace("w.pub", "w+01234567+BAAA")).unwrap().witnesses;
    assert_eq!(text[0].key, WitnessKeySource::Text(String::from("w+01234567+BAAA")));
    assert_mistake(config(&witness.replace("\"w1\"", "\"a.b\"")), 2, "witness.name");
    assert_mistake(config(&format!("{witness}{witness}")), 6, "witness.name");
    let plain = witness.replace("https", "http");
    assert_mistake(config(&plain), 3, "witness.url");
    assert_mistake(config(&format!("{plain}allow_http = true\n")), 3, "witness.url");
    config(&format!("{}allow_http = true\n", plain.replace("w.example", "127.0.0.1"))).unwrap();
    assert_mistake(config(&witness.replace("key = \"w.pub\"\n", "")), 1, "witness.key");
    assert_mistake(config("[journal]\nname = \"a b\"\n"), 2, "journal.name");
}

#[test]
fn mistakes_of_syntax_are_reported_alone() {
    let errors = config("data_dir = \n[limits\nmax = 1").unwrap_err();
    assert!(errors.iter().all(|error| error.key.is_empty() && error.line.is_some()), "{}", lines(&errors));
    assert_eq!(errors.first().and_then(|error| error.line), Some(1));
    assert!(config("data_dir = \"a\"\ndata_dir = \"b\"").is_err());
}

#[test]
fn an_issuer_is_read_as_meant() {
    let text = format!(
        "{ISSUER}profile = \"keycloak\"\nalgorithms = [\"RS256\"]\nkind = {{ claim = \"account\", user = \"person\" }}\n\
         id_claim = \"client_id\"\ngroups_claim = \"realm_access.roles\"\nbare_groups = [\"dba\"]\nmax_lifetime = \"5m\"\n\
         leeway = \"10s\"\nevents = true\nca_file = \"ca.pem\"\n"
    );
    let issuers = config(&text).unwrap().issuers;
    let IssuerConfig { issuer, keys, introspection } = &issuers[0];
    assert_eq!(*introspection, None);
    assert_eq!((&*issuer.alias, &*issuer.url, issuer.profile), ("corp", "https://id.example.com", Profile::Keycloak));
    assert_eq!(issuer.audiences, ["sluice".into()].into());
    assert_eq!(issuer.algorithms, ["RS256".parse().unwrap()].into());
    assert_eq!(issuer.kind, KindRule::UserIf { claim: "account".into(), value: "person".into() });
    assert_eq!(issuer.groups_claim.as_ref().unwrap().names(), ["realm_access".into(), "roles".into()]);
    assert_eq!(issuer.bare_groups, BareGroups::Only(["dba".into()].into()));
    assert_eq!((issuer.max_lifetime, issuer.leeway, &*issuer.id_claim), (300, 10, "client_id"));
    assert!(issuer.events);
    assert_eq!(*keys, KeySource::Discovery { ca_file: Some("/etc/sluice/ca.pem".into()) });
    let dotted =
        config(&format!("{ISSUER}groups_claim = [\"https://a.b/groups\"]\nbare_groups = \"*\"\nkind = \"user\""));
    let issuer = &dotted.unwrap().issuers[0].issuer;
    assert_eq!(issuer.groups_claim.as_ref().unwrap().names(), ["https://a.b/groups".into()]);
    assert_eq!((&issuer.bare_groups, &issuer.kind), (&BareGroups::All, &KindRule::User));
    assert!(!issuer.events, "only who is asked to may send events");
}

#[test]
fn claims_that_make_groups_are_read_as_meant() {
    let read = |text: &str| config(&format!("{ISSUER}group_claims = {text}\n"));
    let shown = |text: &str| {
        let claims = &read(text).unwrap().issuers[0].issuer.group_claims;
        claims.iter().map(|claim| format!("{}={}", claim.prefix, claim.path)).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(shown("[\"repository\", \"a.b\"]"), "repository=repository a.b=a.b");
    let table = "{ namespace = [\"kubernetes.io\", \"namespace\"], repo = \"repository\" }";
    assert_eq!(shown(table), "namespace=kubernetes.io.namespace repo=repository");
    assert_eq!(read(table).unwrap().issuers[0].issuer.group_claims[0].path.names().len(), 2);
    for wrong in ["[]", "[\"a:b\"]", "[\"a|b\"]", "[\"a b\"]", "\"repository\"", "[7]"] {
        assert_mistake(read(wrong), 5, "issuer.group_claims");
    }
    for wrong in ["{ \"a:b\" = \"c\" }", "{ a = [] }", "{ a = 7 }"] {
        assert!(read(wrong).is_err(), "{wrong}");
    }
}

const ASKED: &str = "[issuer.introspection]\nclient_id = \"sluice\"\nclient_secret = { env = \"CORP_SECRET\" }\n";

#[test]
fn an_issuer_is_asked_about_opaque_tokens_as_meant() {
    let read = |text: &str| config(text).map(|config| config.issuers[0].introspection.clone().unwrap());
    let asked = read(&format!("{ISSUER}ca_file = \"ca.pem\"\n{ASKED}")).unwrap();
    assert_eq!((asked.url, &*asked.client_id, asked.method), (None, "sluice", ClientAuthentication::Basic));
    assert_eq!(asked.client_secret, CredentialSource::Env("CORP_SECRET".into()));
    assert_eq!((asked.max_age, asked.max_outage), (Duration::from_secs(30), Duration::from_secs(300)));
    assert_eq!((asked.token_prefix, asked.ca_file), (None, Some("/etc/sluice/ca.pem".into())));
    let file = format!("{ISSUER}jwks_file = \"keys.json\"\n{ASKED}");
    assert_mistake(config(&file), 6, "issuer.introspection.url");
    let url = format!(
        "{file}url = \"https://id.example.com/introspect\"\ntoken_prefix = \"gho_\"\nmethod = \"client_secret_post\"\n"
    );
    assert_eq!(read(&url).unwrap().token_prefix.as_deref(), Some("gho_"));
}

#[test]
fn no_token_is_shown_to_an_issuer_that_did_not_make_it() {
    for wrong in
        ["url = \"http://id.example.com/\"", "url = \"https://id.example.com/?x\"", "url = \"http://127.0.0.1/\""]
    {
        assert_mistake(config(&format!("{ISSUER}{ASKED}{wrong}\n")), 8, "issuer.introspection.url");
    }
    for wrong in ["e", "ey", "eyJ", "a b", "a=", "", "ü"] {
        let text = format!("{ISSUER}{ASKED}token_prefix = \"{wrong}\"\n");
        assert_mistake(config(&text), 8, "issuer.introspection.token_prefix");
    }
    let second = ISSUER.replace("corp", "other").replace("id.example", "id2.example");
    let both = |first: &str, other: &str| config(&format!("{ISSUER}{ASKED}{first}\n{second}{ASKED}{other}\n"));
    let prefix = |text: &str| format!("token_prefix = \"{text}\"");
    assert!(both(&prefix("a_"), &prefix("b_")).is_ok());
    assert!(both(&prefix("a_"), "").is_ok());
    for (first, other) in [(String::new(), String::new()), (prefix("a_"), prefix("a_b")), (prefix("a_b"), prefix("a_"))]
    {
        assert_mistake(both(&first, &other), 13, "issuer.introspection");
    }
}

#[test]
fn a_secret_of_introspection_is_never_in_the_file() {
    for secret in ["\"hunter2\"", "{ env = \"hunter2 x\" }"] {
        let text = format!("{ISSUER}[issuer.introspection]\nclient_id = \"sluice\"\nclient_secret = {secret}\n");
        let errors = config(&text).unwrap_err();
        assert!(!lines(&errors).contains("hunter2"), "{}", lines(&errors));
    }
    let none = format!("{ISSUER}[issuer.introspection]\nclient_id = \"sluice\"\n");
    assert_mistake(config(&none), 5, "issuer.introspection.client_secret");
}

#[test]
fn every_table_of_the_guides_is_read_as_it_stands_there() {
    let pages = [include_str!("../../../../docs/identity.md"), include_str!("../../../../docs/identity/issuers.md")];
    let blocks = |page: &'static str| page.split("```toml\n").skip(1).filter_map(|rest| rest.split("```").next());
    let mut aliases = Vec::new();
    for block in pages.into_iter().flat_map(blocks) {
        match config(block) {
            Ok(config) => aliases.extend(config.issuers.iter().map(|issuer| issuer.issuer.alias.to_string())),
            Err(errors) => panic!("{block}\n{}", lines(&errors)),
        }
    }
    let expected = ["keycloak", "entra", "okta", "auth0", "google", "k8s", "github", "gitlab", "aws", "bao", "corp"];
    assert_eq!(aliases, expected);
}

#[test]
fn keys_are_never_fetched_in_clear_from_elsewhere() {
    let with_url = |url: &str, rest: &str| {
        config(&format!("[[issuer]]\nalias = \"corp\"\nurl = \"{url}\"\naudience = \"sluice\"\n{rest}"))
    };
    for url in ["http://127.0.0.1:8080", "http://localhost", "http://[::1]:80/realm"] {
        assert!(with_url(url, "allow_http = true").is_ok(), "{url}");
        assert_mistake(with_url(url, ""), 3, "issuer.url");
        assert_mistake(with_url(url, "allow_http = false"), 3, "issuer.url");
    }
    for url in [
        "http://id.example.com",
        "http://localhost.example.com",
        "http://localhost@example.com",
        "http://127.0.0.1.example.com",
        "http://example.com/127.0.0.1",
        "ftp://127.0.0.1",
        "https://",
        "https:///x",
        "https://id.example.com?x",
        "https://id.example.com#x",
        "https://a b",
        "https://u:p@id.example.com",
        "",
    ] {
        assert_mistake(with_url(url, "allow_http = true"), 3, "issuer.url");
        assert_mistake(with_url(url, ""), 3, "issuer.url");
    }
    // With a file nothing is fetched, so any name will do.
    let local = with_url("urn:local", "jwks_file = \"keys.json\"").unwrap();
    assert_eq!(local.issuers[0].keys, KeySource::File("/etc/sluice/keys.json".into()));
}

#[test]
fn issuers_have_names_of_their_own() {
    let second = ISSUER.replace("id.example", "id2.example");
    assert_mistake(config(&format!("{ISSUER}{second}")), 6, "issuer.alias");
    assert_mistake(config(&format!("{ISSUER}{}", ISSUER.replace("corp", "other"))), 7, "issuer.url");
    assert_mistake(config(&ISSUER.replace("corp", "sluice")), 2, "issuer.alias");
    assert_mistake(config(&ISSUER.replace("\"sluice\"", "[]")), 4, "issuer.audience");
    assert_mistake(config(&ISSUER.replace("\"sluice\"", "[\"\"]")), 4, "issuer.audience");
    assert_mistake(config(&format!("{ISSUER}algorithms = [\"HS256\"]")), 5, "issuer.algorithms");
    assert_mistake(config(&format!("{ISSUER}algorithms = [\"none\"]")), 5, "issuer.algorithms");
    assert_mistake(config(&format!("{ISSUER}max_lifetime = \"0s\"")), 5, "issuer.max_lifetime");
}

#[test]
fn a_mistake_in_one_issuer_hides_none_in_the_next() {
    let text = "[[issuer]]\nalias = 7\nurl = \"x\"\n[[issuer]]\nalias = 7\naudience = \"\"\n";
    let errors = config(text).unwrap_err();
    let found: Vec<_> = errors.iter().map(|error| (error.line.unwrap(), &*error.key)).collect();
    let expected = [
        (1, "issuer.audience"),
        (2, "issuer.alias"),
        (3, "issuer.url"),
        (4, "issuer.url"),
        (5, "issuer.alias"),
        (6, "issuer.audience"),
    ];
    assert_eq!(found, expected);
}

#[test]
fn settings_that_contradict_each_other_are_refused() {
    assert_mistake(config("[vault]\nkey_file = \"a\"\nkey_env = \"B\""), 1, "vault");
    assert_mistake(config("[vault]"), 1, "vault.key_file");
    assert_mistake(config("[vault]\nkey = \"hunter2\"\nkey_env = \"B\""), 2, "vault.key");
    assert_mistake(config("[limits]\nmax_statement = \"1MiB\"\nmax_message = \"64KiB\""), 3, "limits.max_message");
    assert_mistake(
        config("[listen]\npostgres.address = \"0.0.0.0:9\"\nadmin.address = \"0.0.0.0:9\""),
        1,
        "listen.admin.address",
    );
    let ssh = |address: &str| config(&format!("[listen]\nssh.address = \"{address}\"\n"));
    assert_mistake(ssh("127.0.0.1:6432"), 1, "listen.ssh.address");
    assert_mistake(ssh("127.0.0.1:7632"), 1, "listen.ssh.address");
    assert!(ssh("127.0.0.1:22").is_ok());
    let http =
        |address: &str| config(&format!("[listen]\nhttp.address = \"{address}\"\nssh.address = \"127.0.0.1:22\"\n"));
    for taken in ["127.0.0.1:6432", "127.0.0.1:7632", "127.0.0.1:22"] {
        assert_mistake(http(taken), 1, "listen.http.address");
    }
    assert!(http("127.0.0.1:443").is_ok());
    assert_mistake(config("[listen.http]\n"), 1, "listen.http.address");
    let forward = |text: &str| config(&format!("[listen.http]\naddress = \"127.0.0.1:8443\"\n{text}"));
    assert_eq!(forward("").unwrap().http.unwrap().forward, None);
    assert_eq!(forward("[listen.http.forward]\n").unwrap().http.unwrap().forward, Some(ForwardProxy { ca: None }));
    let ca = CertificateFiles { cert: "/etc/sluice/ca.crt".into(), key: "/etc/sluice/ca.key".into() };
    let both = "[listen.http.forward]\nca_cert = \"ca.crt\"\nca_key = \"ca.key\"\n";
    assert_eq!(forward(both).unwrap().http.unwrap().forward, Some(ForwardProxy { ca: Some(ca) }));
    assert_mistake(forward("[listen.http.forward]\nca_cert = \"ca.crt\"\n"), 3, "listen.http.forward.ca_key");
    assert_mistake(forward("[listen.http.forward]\nca = \"ca.crt\"\n"), 4, "listen.http.forward.ca");
    assert!(config("[listen]\npostgres.address = \"127.0.0.1:0\"\nadmin.address = \"127.0.0.1:0\"").is_ok());
    assert_mistake(config("limits = 7"), 1, "limits");
    assert_mistake(config("issuer = { alias = \"a\" }"), 1, "issuer");
}

#[test]
fn a_target_is_read_as_meant() {
    let text = "[payments]\nprotocol = \"postgres\"\naddress = \"[::1]:5433\"\ndatabases = [\"*\"]\ntls = \"require\"\n\
                client_cert = \"c.pem\"\nclient_key = \"k.pem\"\nlabels = { env = \"prod\" }\ncredential.user = \"sluice\"\n\
                durability = \"power\"\ntape = \"requests\"\ntape_cap = \"1GiB\"\ntape_part = \"64KiB\"\ntape_part_age = \"1h\"\nretention = \"400d\"\non_unmaskable = \"refuse\"\n";
    let target = &targets(text).unwrap()[0];
    assert_eq!((&*target.target.name, &*target.target.protocol), ("payments", "postgres"));
    assert_eq!(target.target.labels["env"], "prod");
    assert_eq!((&*target.host, target.port), ("::1", 5433));
    let postgres = target.postgres().unwrap();
    assert_eq!(postgres.databases, Databases::All);
    assert_eq!(postgres.tls.mode, TlsMode::Require);
    assert_eq!(postgres.tls.client.as_ref().unwrap().key, PemSource::File("/r/k.pem".into()));
    assert_eq!(postgres.credential, Credential { user: Some("sluice".into()), password: None, ephemeral_role: None });
    assert_eq!((target.durability, target.tape), (Durability::Power, TapeMode::Requests));
    assert_eq!((target.tape_cap, target.retention), (Some(1 << 30), Some(Duration::from_secs(400 * 86_400))));
    assert_eq!(target.tape_part, PartLimits { size: 64 << 10, age: Duration::from_secs(3600) });
    assert_eq!((postgres.on_unmaskable, postgres.allow_md5), (OnUnmaskable::Refuse, false));
    let target = &targets(TARGET).unwrap()[0];
    assert_eq!(target.postgres().unwrap().tls, TargetTls { mode: TlsMode::VerifyFull, ca_file: None, client: None });
    assert_eq!((target.durability, target.tape), (Durability::Auto, TapeMode::Full));
    assert_eq!(target.tape_part, PartLimits { size: 1 << 30, age: Duration::from_secs(86_400) });
    assert_eq!(target.password(), Some(&PasswordSource::Stored(CredentialSource::Env("P".into()))));
}

#[test]
fn a_secret_in_the_file_is_refused_and_never_repeated() {
    for password in
        ["\"hunter2\"", "[\"hunter2\"]", "{ env = \"hunter2!\" }", "{ env = 7 }", "{ plain = \"hunter2\" }", "{}"]
    {
        let errors = targets(&TARGET.replace("{ env = \"P\" }", password)).unwrap_err();
        let text = lines(&errors);
        assert!(text.starts_with("/r/targets.toml:5: payments.credential.password"), "{text}");
        assert!(!text.contains("hunter2"), "{text}");
    }
    let connection_string = targets(&TARGET.replace("db:5432", "postgres://u:hunter2@db:5432/payments"));
    assert!(!lines(&connection_string.unwrap_err()).contains("hunter2"));
    let literal = lines(&targets(&TARGET.replace("{ env = \"P\" }", "\"hunter2\"")).unwrap_err());
    assert!(literal.contains("{ env = \"VARIABLE\" }, { file = \"path\" }, { vault = \"name\" }"), "{literal}");
    let sources = "{ env = \"A\", vault = \"b\" }";
    assert_mistake(targets(&TARGET.replace("{ env = \"P\" }", sources)), 5, "payments.credential.password");
    assert_mistake(targets(&TARGET.replace(", password = { env = \"P\" }", "")), 5, "payments.credential.password");
}

#[test]
fn a_database_name_leads_to_one_target() {
    let second = TARGET.replace("[payments]", "[replica]");
    assert_mistake(targets(&format!("{TARGET}{second}")), 9, "replica.databases");
    let all = |name: &str| TARGET.replace("[payments]", &format!("[{name}]")).replace("[\"payments\"]", "[\"*\"]");
    assert!(targets(&format!("{TARGET}{}", all("rest"))).is_ok());
    assert_mistake(targets(&format!("{}{}", all("a"), all("b"))), 9, "b.databases");
    assert_mistake(targets(&TARGET.replace("[\"payments\"]", "[]")), 4, "payments.databases");
    assert_mistake(targets(&TARGET.replace("[\"payments\"]", "[\"a\", \"*\"]")), 4, "payments.databases");
}

#[test]
fn targets_that_would_be_unsafe_are_refused() {
    for (rest, line, key) in [
        ("tls = \"off\"\nallow_md5 = true", 7, "payments.allow_md5"),
        ("tls = \"require\"\nca_file = \"a\"", 7, "payments.ca_file"),
        ("tls = \"off\"\nclient_cert = \"a\"\nclient_key = \"b\"", 7, "payments.client_cert"),
        ("tls = \"prefer\"", 6, "payments.tls"),
        ("tls = false", 6, "payments.tls"),
        ("labels = { env = 1 }", 6, "payments.labels.env"),
        ("sslmode = \"disable\"", 6, "payments.sslmode"),
    ] {
        assert_mistake(targets(&format!("{TARGET}{rest}")), line, key);
    }
    assert_mistake(targets(&TARGET.replace("[payments]", "[\"pay/ments\"]")), 1, "pay/ments");
    for address in ["db", "db:0", "db:65536", ":5432", "[db]:5432", "::1:5432", "db:5432/x", "u@db:5432", "db :5432"] {
        assert_mistake(targets(&TARGET.replace("db:5432", address)), 3, "payments.address");
    }
    assert_mistake(targets("x = 1"), 1, "x");
}

#[test]
fn a_classification_is_read_as_meant() {
    let text = "[classes.card_number]\nmask = \"partial\"\nkeep_last = 6\n[classes.salary]\nmask = \"null\"\n\
                [[column]]\nmatch = \"payments/payments/public.cards.number\"\nclasses = [\"card_number\"]\n\
                [[column]]\nmatch = \"*.*.salary\"\nclasses = [\"salary\"]\n[[column]]\nmatch = \"*.*.id\"\npublic = true\n";
    let read = parse_classification(text, Path::new("c.toml")).unwrap();
    assert_eq!(read.classes[&DataClass::new("card_number")], Transform::Partial { keep_last: 6 });
    assert_eq!(read.classes[&DataClass::new("salary")], Transform::Null);
    assert_eq!(read.classes.len(), DataClass::BUILT_IN.len() + 1);
    let marking = |target, database, table: &str, column: &str| {
        read.marking(target, database, &ColumnName::new(TableName::new("public", table), column))
    };
    let classes = marking("payments", "payments", "cards", "number");
    assert_eq!(classes.classes().map(DataClass::as_str).collect::<Vec<_>>(), ["card_number"]);
    assert_eq!(marking("other", "payments", "cards", "number"), model::class::Marking::Unmarked);
    assert_eq!(marking("other", "any", "staff", "id"), model::class::Marking::Public);
    assert_eq!(marking("other", "any", "staff", "salary").classes().count(), 1);
}

#[test]
fn fields_of_answers_are_classified() {
    let text = "[[field]]\nroute = \"billing/GET /v1/customers/{id}\"\npath = \"$.email\"\nclasses = [\"email\"]\n\
                [[field]]\nroute = \"POST /graphql\"\npath = \"$..ssn\"\nclasses = [\"us_ssn\"]\n\
                [[field]]\nroute = \"*\"\npath = \"$..card\"\nclasses = [\"card_number\"]\n";
    let read = parse_classification(text, Path::new("c.toml")).unwrap();
    let found = |target: &str, method: &str, template: &str| -> Vec<String> {
        let fields = read.fields.iter().filter(|rule| rule.covers(target, method, template));
        fields.map(|rule| rule.field.path.to_string()).collect()
    };
    assert_eq!(found("billing", "GET", "/v1/customers/{id}"), ["$.email", "$..card"]);
    assert_eq!(found("shop", "GET", "/v1/customers/{id}"), ["$..card"]);
    assert_eq!(found("shop", "POST", "/graphql"), ["$..ssn", "$..card"]);
    let rule = |text: &str| parse_classification(&format!("[[field]]\n{text}\n"), Path::new("c.toml"));
    for (text, line, key) in [
        ("route = \"*\"\npath = \"$.a\"\nclasses = [\"e_mail\"]", 4, "field.classes"),
        ("route = \"*\"\npath = \"$.a\"\nclasses = []", 4, "field.classes"),
        ("route = \"*\"\npath = \"$.a\"", 1, "field.classes"),
        ("route = \"*\"\npath = \"a\"\nclasses = [\"email\"]", 3, "field.path"),
        ("route = \"*\"\npath = \"$.a[0]\"\nclasses = [\"email\"]", 3, "field.path"),
        ("route = \"*\"\nclasses = [\"email\"]", 1, "field.path"),
        ("path = \"$.a\"\nclasses = [\"email\"]", 1, "field.route"),
        ("route = \"/v1\"\npath = \"$.a\"\nclasses = [\"email\"]", 2, "field.route"),
        ("route = \"GET v1\"\npath = \"$.a\"\nclasses = [\"email\"]", 2, "field.route"),
        ("route = \"/GET /v1\"\npath = \"$.a\"\nclasses = [\"email\"]", 2, "field.route"),
        ("route = \"*\"\npath = \"$.a\"\nclasses = [\"email\"]\npublic = true", 5, "field.public"),
    ] {
        assert_mistake(rule(text), line, key);
    }
}

#[test]
fn a_classification_that_would_not_protect_is_refused() {
    let rule = |text: &str| parse_classification(&format!("[[column]]\n{text}\n"), Path::new("c.toml"));
    for (text, line, key) in [
        ("match = \"*.*.ssn\"\nclasses = [\"us_snn\"]", 3, "column.classes"),
        ("match = \"*.*.ssn\"", 1, "column"),
        ("match = \"*.*.ssn\"\nclasses = []", 1, "column"),
        ("match = \"*.*.ssn\"\npublic = false", 1, "column"),
        ("match = \"*.*.ssn\"\nclasses = [\"us_ssn\"]\npublic = true", 1, "column"),
        ("classes = [\"us_ssn\"]", 1, "column.match"),
        ("match = \"ssn\"\nclasses = [\"us_ssn\"]", 2, "column.match"),
        ("match = \"t/public.a.ssn\"\nclasses = [\"us_ssn\"]", 2, "column.match"),
        ("match = \"t/d/x/public.a.ssn\"\nclasses = [\"us_ssn\"]", 2, "column.match"),
        ("match = \"a.b.c.d\"\nclasses = [\"us_ssn\"]", 2, "column.match"),
        ("match = \".b.c\"\nclasses = [\"us_ssn\"]", 2, "column.match"),
    ] {
        assert_mistake(rule(text), line, key);
    }
    let class = |text: &str| parse_classification(&format!("[classes.email]\n{text}\n"), Path::new("c.toml"));
    assert_mistake(class("mask = \"none\""), 2, "classes.email.mask");
    assert_mistake(class(""), 1, "classes.email.mask");
    assert_mistake(class("mask = \"null\"\nkeep_last = 4"), 3, "classes.email.keep_last");
    assert_mistake(class("mask = \"partial\"\nkeep_last = 33"), 3, "classes.email.keep_last");
}

proptest! {
    #[test]
    fn any_text_is_read_or_refused_without_panic(text in ".{0,200}") {
        let _ = (config(&text), targets(&text), parse_classification(&text, Path::new("c.toml")));
    }

    #[test]
    fn a_damaged_template_is_read_or_refused_without_panic(at: prop::sample::Index, with in "[\"{}=\\[\\]\n#a0.]{0,3}") {
        for template in [TEMPLATE_SLUICE_TOML, TEMPLATE_TARGETS_TOML, TEMPLATE_CLASSIFICATION_TOML] {
            let mut text = template.to_owned();
            let at = (0..=at.index(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap();
            text.insert_str(at, &with);
            let _ = (config(&text), targets(&text), parse_classification(&text, Path::new("c.toml")));
        }
    }
}

#[test]
fn an_archive_is_safe_or_refused() {
    let with = |lines: &str| {
        let all = "[archive]\nurl = \"s3://b/p\"\nregion = \"r\"\nkey_id = \"k\"\nsecret = { env = \"X\" }\n";
        config(&format!("{all}{lines}\n")).map(|config| config.archive.unwrap())
    };
    assert_eq!(with("").unwrap().endpoint, "https://s3.r.amazonaws.com");
    assert_eq!(with("endpoint = \"http://127.0.0.1:9/\"\nallow_http = true").unwrap().endpoint, "http://127.0.0.1:9");
    for bad in [
        "endpoint = \"http://127.0.0.1:9\"",
        "endpoint = \"http://s3.example.com\"\nallow_http = true",
        "endpoint = \"https://user@s3.example.com\"",
        "keep_local = \"-1s\"",
    ] {
        assert!(with(bad).is_err(), "{bad}");
    }
    for bad in ["s3://", "s3://b/../c", "s3://b//c", "https://b", "s3://b/c d", "s3://b?x"] {
        let text = format!("[archive]\nurl = \"{bad}\"\nregion = \"r\"\nkey_id = \"k\"\nsecret = {{ env = \"X\" }}\n");
        assert!(config(&text).is_err(), "{bad}");
    }
    let shown = config("[archive]\nsecret = \"hunter2\"\n").unwrap_err();
    assert_eq!(shown.len(), 4, "{shown:?}");
    assert!(!format!("{shown:?}").contains("hunter2"));
}

const DOMAIN: &str = "[[trust_domain]]\nname = \"prod.acme\"\nalias = \"prod\"\n";

#[test]
fn a_trust_domain_is_read() {
    let text = format!(
        "{DOMAIN}workload_api = \"/run/agent.sock\"\naudience = [\"sluice\", \"gateway\"]\nmax_lifetime = \"5m\"\n\
         [trust_domain.groups]\norders = [\"/ns/orders/**\"]\n"
    );
    let config = config(&text).unwrap();
    let [TrustDomainConfig { domain, bundle }] = config.trust_domains.as_slice() else { panic!("{config:?}") };
    assert_eq!(*bundle, BundleSource::WorkloadApi("/run/agent.sock".into()));
    assert_eq!((&*domain.name, &*domain.issuer.alias, domain.certificates), ("prod.acme", "prod", true));
    assert_eq!((domain.issuer.profile, domain.issuer.max_lifetime), (Profile::JwtSvid, 300));
    assert_eq!(domain.issuer.audiences.len(), 2);
    assert_eq!(domain.groups.len(), 1);
}

#[test]
fn a_trust_domain_has_a_name_an_alias_and_a_bundle_of_its_own() {
    let file = "bundle_file = \"b.pem\"\n";
    assert_mistake(config(DOMAIN), 1, "trust_domain.bundle_file");
    assert_mistake(config(&format!("{DOMAIN}{file}workload_api = \"/s\"\n")), 4, "trust_domain.bundle_file");
    let named = |name: &str| config(&format!("{DOMAIN}{file}").replace("prod.acme", name));
    for wrong in ["", "Prod.acme", "spiffe://prod.acme", "prod.acme/x", "prod acme"] {
        assert_mistake(named(wrong), 2, "trust_domain.name");
    }
    let two = |second: &str| config(&format!("{DOMAIN}{file}{}{file}", DOMAIN.replace("prod.acme", second)));
    assert_mistake(two("other.acme"), 7, "trust_domain.alias");
    let same = DOMAIN.replace("\"prod\"", "\"other\"");
    assert_mistake(config(&format!("{DOMAIN}{file}{same}{file}")), 6, "trust_domain.name");
    assert_mistake(config(&format!("{ISSUER}{DOMAIN}{file}").replace("\"prod\"", "\"corp\"")), 7, "trust_domain.alias");
    assert_mistake(config(&format!("{DOMAIN}{file}").replace("\"prod\"", "\"sluice\"")), 3, "trust_domain.alias");
    assert_mistake(config(&format!("{DOMAIN}{file}certificates = false\n")), 5, "trust_domain.certificates");
    for wrong in ["[]", "[\"ns\"]", "\"/ns\"", "[\"/**/a\"]"] {
        assert_mistake(config(&format!("{DOMAIN}{file}groups = {{ a = {wrong} }}\n")), 5, "trust_domain.groups.a");
    }
    assert_mistake(config(&format!("{DOMAIN}{file}groups = {{ \"a|b\" = [\"/x\"] }}\n")), 5, "trust_domain.groups.a|b");
}

#[test]
fn what_is_issued_is_bounded_and_its_issuer_is_an_origin() {
    let read =
        config("[tokens]\nissuer = \"https://sluice.example.com:7632\"\nmax_lifetime = \"5m\"\n").unwrap().tokens;
    assert_eq!(read.issuer.as_deref(), Some("https://sluice.example.com:7632"));
    assert_eq!((read.max_lifetime.as_secs(), read.max_passwords_per_subject), (300, 50));
    assert!(config("[tokens]\nissuer = \"http://127.0.0.1:7632\"\n").is_ok());
    for wrong in [
        "http://sluice.example.com",
        "https://sluice.example.com/",
        "https://sluice.example.com/x",
        "https://sluice.example.com?x",
        "https://user@sluice.example.com",
        "https://Sluice.example.com",
        "https://",
        "sluice.example.com",
    ] {
        assert_mistake(config(&format!("[tokens]\nissuer = \"{wrong}\"\n")), 2, "tokens.issuer");
    }
    assert_mistake(config("[tokens]\nmax_lifetime = \"2h\"\n"), 2, "tokens.max_lifetime");
    assert_mistake(config(&format!("[tokens]\nissuer = \"https://id.example.com\"\n{ISSUER}")), 2, "tokens.issuer");
}

#[test]
fn an_ssh_listener_is_read_as_meant() {
    let read = |text: &str| config(text).map(|config| config.ssh);
    assert_eq!(read(""), Ok(None));
    let all = "[listen.ssh]\naddress = \"[::]:22\"\nhost_key = \"k\"\nhost_certificate = \"c.pub\"\n";
    let ssh = read(all).unwrap().unwrap();
    assert_eq!((ssh.address.to_string().as_str(), ssh.host_key), ("[::]:22", Some("/etc/sluice/k".into())));
    assert_eq!(ssh.host_certificate, Some("/etc/sluice/c.pub".into()));
    assert_mistake(read("[listen.ssh]\n"), 1, "listen.ssh.address");
    assert_mistake(read("[listen.ssh]\naddress = \"ssh.example.com:22\"\n"), 2, "listen.ssh.address");
    assert_mistake(read(&all.replace("host_key = \"k\"\n", "")), 1, "listen.ssh.host_key");
    assert_mistake(read(&format!("{all}tls_cert = \"x\"\n")), 5, "listen.ssh.tls_cert");
}

#[test]
fn a_console_has_an_issuer_and_a_client_there() {
    let least = format!("[console]\nclient_id = \"sluice-console\"\n{ISSUER}");
    let console = config(&least).unwrap().console.unwrap();
    assert_eq!((&*console.issuer, console.scope.as_str(), console.client_secret), ("corp", "openid", None));
    assert_eq!((console.public_url, console.idle_timeout), (None, Duration::from_secs(1800)));
    assert_eq!(config("").unwrap().console, None);
    assert_mistake(config(&format!("[console]\nissuer = \"corp\"\n{ISSUER}")), 1, "console.client_id");
    let with = |line: &str| config(&format!("[console]\nclient_id = \"c\"\n{line}\n{ISSUER}"));
    assert_mistake(with("issuer = \"other\""), 3, "console.issuer");
    assert_mistake(with("scope = \"profile\""), 3, "console.scope");
    assert_mistake(with("public_url = \"http://sluice.example.com\""), 3, "console.public_url");
    assert_mistake(with("public_url = \"https://sluice.example.com/console\""), 3, "console.public_url");
    assert_mistake(config("[console]\nclient_id = \"c\"\n"), 1, "console.issuer");
    let elsewhere = format!("[listen.admin]\naddress = \"[::]:7632\"\n{least}");
    assert_mistake(config(&elsewhere), 3, "console.public_url");
}
