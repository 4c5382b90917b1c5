use std::path::Path;

use model::issuer::{BareGroups, KindRule};
use model::saml::SubjectName;

use crate::config::{Config, ConfigError, MetadataSource, SamlConfig};

const PROVIDER: &str = "[[saml]]\nalias = \"adfs\"\nentity_id = \"https://idp.example/saml\"\naudience = \"urn:sluice\"\n\
                        recipient = \"https://sluice.example/token\"\n";

fn providers(text: &str) -> Result<Vec<SamlConfig>, Vec<ConfigError>> {
    Config::parse(text, Path::new("/etc/sluice/sluice.toml")).map(|config| config.saml)
}

fn mistake(text: &str) -> (usize, String) {
    let errors = providers(text).unwrap_err();
    assert_eq!(errors.len(), 1, "{errors:?}");
    (errors[0].line.unwrap(), errors[0].key.clone())
}

#[test]
fn a_provider_with_what_it_must_have() {
    let found = providers(&format!("{PROVIDER}metadata_file = \"idp.xml\"\n")).unwrap();
    let provider = &found[0].provider;
    assert_eq!((&*provider.alias, &*provider.entity_id), ("adfs", "https://idp.example/saml"));
    assert!(provider.audiences.contains("urn:sluice") && provider.recipients.contains("https://sluice.example/token"));
    assert_eq!((provider.max_lifetime, provider.leeway, provider.solicited), (3600, 0, false));
    assert_eq!((&provider.subject, &provider.kind), (&SubjectName::NameId, &KindRule::Service));
    assert_eq!(found[0].metadata, MetadataSource::File { path: "/etc/sluice/idp.xml".into(), signer: None });
}

#[test]
fn a_provider_with_all_that_it_may_have() {
    let text = "metadata_url = \"https://idp.example/metadata\"\nmetadata_cert = \"fed.pem\"\nca_file = \"ca.pem\"\n\
                subject_attribute = \"uid\"\ngroups_attribute = \"groups\"\nbare_groups = [\"dba\"]\nkind = \"user\"\n\
                max_lifetime = \"10m\"\nleeway = \"30s\"\nsolicited = true\n";
    let found = &providers(&format!("{PROVIDER}{text}")).unwrap()[0];
    let provider = &found.provider;
    assert_eq!(provider.subject, SubjectName::Attribute("uid".into()));
    assert_eq!((provider.groups_attribute.as_deref(), &provider.kind), (Some("groups"), &KindRule::User));
    assert_eq!(provider.bare_groups, BareGroups::Only(["dba".into()].into()));
    assert_eq!((provider.max_lifetime, provider.leeway, provider.solicited), (600, 30, true));
    let (ca_file, signer) = (Some("/etc/sluice/ca.pem".into()), Some("/etc/sluice/fed.pem".into()));
    assert_eq!(found.metadata, MetadataSource::Url { url: "https://idp.example/metadata".into(), ca_file, signer });
}

#[test]
fn the_recipient_is_the_token_endpoint_where_that_has_a_url() {
    let without: String = PROVIDER.lines().filter(|line| !line.starts_with("recipient")).collect::<Vec<_>>().join("\n");
    let text = format!("{without}\nmetadata_file = \"idp.xml\"\n");
    assert_eq!(mistake(&text), (1, "saml.recipient".into()));
    let found = providers(&format!("{text}[tokens]\nissuer = \"https://sluice.example:7632\"\n")).unwrap();
    assert!(found[0].provider.recipients.contains("https://sluice.example:7632/token"));
}

#[test]
fn metadata_comes_from_one_place_that_can_be_trusted() {
    assert_eq!(mistake(PROVIDER), (1, "saml.metadata_file".into()));
    let both = "metadata_file = \"a\"\nmetadata_url = \"https://idp.example/m\"\n";
    assert_eq!(mistake(&format!("{PROVIDER}{both}")), (7, "saml.metadata_url".into()));
    let useless = "metadata_file = \"a\"\nca_file = \"ca.pem\"\n";
    assert_eq!(mistake(&format!("{PROVIDER}{useless}")), (7, "saml.ca_file".into()));
    for url in ["http://idp.example/m", "http://127.0.0.1:1/m", "https://idp.example/m?x", "ftp://idp.example"] {
        assert_eq!(mistake(&format!("{PROVIDER}metadata_url = \"{url}\"\n")), (6, "saml.metadata_url".into()), "{url}");
    }
    let near = "metadata_url = \"http://127.0.0.1:1/m\"\nallow_http = true\n";
    assert!(providers(&format!("{PROVIDER}{near}")).is_ok());
}

#[test]
fn providers_and_issuers_have_names_of_their_own() {
    let one = format!("{PROVIDER}metadata_file = \"idp.xml\"\n");
    let issuer = "[[issuer]]\nalias = \"adfs\"\nurl = \"https://id.example\"\naudience = \"sluice\"\n";
    assert_eq!(mistake(&format!("{issuer}{one}")), (6, "saml.alias".into()));
    assert_eq!(mistake(&one.replace("adfs", "sluice")), (2, "saml.alias".into()));
    assert_eq!(mistake(&format!("{one}{}", one.replace("adfs", "other"))), (9, "saml.entity_id".into()));
    assert_eq!(mistake(&format!("{one}{}", one.replace("idp.example", "two.example"))), (8, "saml.alias".into()));
}
