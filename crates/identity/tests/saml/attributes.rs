//! From attributes to names and groups.

use identity::saml::SamlError;
use model::issuer::{BareGroups, KindRule};
use model::saml::SubjectName;
use model::subject::SubjectKind;
use serde_json::json;

use crate::support::{ASSERTION, Second, judged, judged_by, provider, refused, with};

const NAME: SamlError = SamlError::Name("subject");

#[test]
fn a_transient_name_or_one_made_for_another_party_names_nobody() {
    let transient = with(&json!({"nameIdentifierFormat": "urn:oasis:names:tc:SAML:2.0:nameid-format:transient"}));
    refused(&transient, &NAME, Second::Accepts("the name is signed, and stands for nobody"));
    let mut by_attribute = provider();
    by_attribute.subject = SubjectName::Attribute("mail".into());
    assert_eq!(&*judged_by(&transient, by_attribute).unwrap().subject.key.id, "etl@example.com");
}

#[test]
fn id_18_names_that_could_be_mistaken_are_refused() {
    for name in
        [" svc:etl", "svc:etl ", "svc\u{a0}etl", "svc:\u{202e}lte", "svc\u{0435}tl", "svc\tetl", &"x".repeat(256)]
    {
        let document = with(&json!({"nameIdentifier": name}));
        assert_eq!(judged(&document).unwrap_err(), NAME, "{name:?}");
    }
    for group in ["", " dba", "dba\u{200b}", &"x".repeat(256)] {
        let document = with(&json!({"attributes": {"groups": [group]}}));
        assert_eq!(judged(&document).unwrap_err(), SamlError::Name("group"), "{group:?}");
    }
}

#[test]
fn id_16_groups_that_are_unknown_are_not_none() {
    let many: Vec<String> = (0..1001).map(|number| format!("group-{number}")).collect();
    let document = with(&json!({"attributes": {"groups": many}}));
    assert_eq!(judged(&document).unwrap_err(), SamlError::Groups("there are too many"));
    let none = judged(&with(&json!({"attributes": {"other": "x"}}))).unwrap();
    assert!(none.subject.groups.is_empty());
}

#[test]
fn groups_carry_the_alias_unless_they_are_mapped() {
    let mut mapped = provider();
    mapped.bare_groups = BareGroups::Only(["ci".into()].into());
    let groups = judged_by(&ASSERTION, mapped).unwrap().subject.groups;
    assert_eq!(groups, ["ci".into(), "corp|data-eng".into()]);
}

#[test]
fn an_attribute_tells_people_from_machines() {
    let mut rule = provider();
    rule.kind = KindRule::UserIf { claim: "mail".into(), value: "etl@example.com".into() };
    assert_eq!(judged_by(&ASSERTION, rule.clone()).unwrap().subject.kind, SubjectKind::User);
    rule.kind = KindRule::UserIf { claim: "mail".into(), value: "other@example.com".into() };
    assert_eq!(judged_by(&ASSERTION, rule).unwrap().subject.kind, SubjectKind::Service);
}

#[test]
fn id_17_a_subject_is_provider_and_name() {
    let mut other = provider();
    other.alias = "other".into();
    assert_ne!(judged_by(&ASSERTION, other).unwrap().subject.key, judged(&ASSERTION).unwrap().subject.key);
}
