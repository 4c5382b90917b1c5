//! Who may have a token of Sluice's own, and who may act for whom.

use model::subject::SubjectKind;
use policy::{BASELINE, may_act_for, may_exchange};

use crate::common::{context, load, service, subject};

#[test]
fn nobody_has_a_token_or_acts_for_anybody_unless_a_policy_says_so() {
    let (app, jane) = (service("app", &["agents"]), subject(SubjectKind::User, "jane", &["customers"]));
    let nothing = load(&[]).unwrap().for_subject(&app);
    assert!(may_exchange(&nothing, &context()).is_err() && may_act_for(&nothing, &jane, &context()).is_err());
    let baseline = load(&[BASELINE]).unwrap().for_subject(&app);
    assert!(may_exchange(&baseline, &context()).is_ok());
    assert_eq!(&*may_act_for(&baseline, &jane, &context()).unwrap_err().missing, "delegate");
}

#[test]
fn both_sides_of_a_delegation_can_be_named() {
    let text = r#"@id("agents") permit (principal in Group::"agents", action == Action::"delegate",
                  resource in Group::"customers") unless { resource.id == "vip" };"#;
    let policies = load(&[text]).unwrap();
    let may = |actor: &[&str], kind, id: &str, groups: &[&str]| {
        may_act_for(&policies.for_subject(&service("app", actor)), &subject(kind, id, groups), &context()).is_ok()
    };
    assert!(may(&["agents"], SubjectKind::User, "jane", &["customers"]));
    assert!(may(&["agents"], SubjectKind::Service, "shop", &["customers"]));
    assert!(!may(&[], SubjectKind::User, "jane", &["customers"]));
    assert!(!may(&["agents"], SubjectKind::User, "jane", &["staff"]));
    assert!(!may(&["agents"], SubjectKind::User, "vip", &["customers"]));
    assert!(!may(&["customers"], SubjectKind::User, "jane", &["agents"]));
}
