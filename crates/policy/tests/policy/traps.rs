//! The traps of policy languages, one test each.

use model::approval::{Answer, Consumed};
use model::class::{Labels, Transform};
use model::decision::{Outcome, Reveal};
use model::effect::Verb;
use model::id::{ApprovalId, Digest, RequestId, SessionId};
use model::target::{Durability, Level};
use model::time::Timestamp;
use policy::{Approved, Decision, PolicySet, Recording, RevealQuestion, Verdict, decide, reveal};

use crate::common::*;

/// What targets ask for unless they say otherwise.
const AUTO: Recording = Recording { durability: Durability::Auto, shows: false };

const READ_WRITE: &str = r#"@id("all") permit(principal, action in [Action::"read", Action::"write"], resource);"#;

fn set(texts: &[&str]) -> PolicySet {
    load(texts).unwrap_or_else(|errors| panic!("{}", show(&errors)))
}

fn delete_orders(policies: &PolicySet, groups: &[&str]) -> Verdict {
    let policies = policies.for_subject(&service("app", groups));
    judged(&policies, &target("payments", "prod"), &[on_table(Verb::Delete, "orders")])
}

fn ids(verdict: &Verdict) -> Vec<&str> {
    verdict.policies().iter().map(|id| &**id).collect()
}

#[test]
fn nothing_loaded_denies() {
    let verdict = delete_orders(&set(&[]), &[]);
    assert_eq!(verdict.outcome(), Outcome::Deny);
    let denial = verdict.denial().unwrap();
    assert_eq!((&*denial.message, &*denial.missing), ("no policy permits it", "delete table public.orders"));
}

#[test]
fn no_effects_deny() {
    let policies = set(&[READ_WRITE]).for_subject(&service("app", &[]));
    assert_eq!(judged(&policies, &target("payments", "prod"), &[]).outcome(), Outcome::Deny);
}

/// Cedar skips a policy that fails; a forbid that fails must not let the request through.
#[test]
fn a_policy_that_fails_denies() {
    let overflow = r#"@id("overflow") forbid(principal, action in Action::"any", resource)
        when { context.session.ageSeconds + 9223372036854775807 > 0 } unless { context.now < datetime("2000-01-01") };"#;
    let verdict = delete_orders(&set(&[READ_WRITE, overflow]), &[]);
    assert_eq!(verdict.outcome(), Outcome::Deny);
    assert!(verdict.denial().unwrap().message.contains("could not be evaluated"));
}

const DBA: &str = r#"@id("dba") @require_approval("dba") forbid(principal, action == Action::"delete", resource)
    unless { context has approval && context.approval.groups.contains("dba") };"#;
const SECURITY: &str = r#"@id("security") @require_approval("security,ciso") @approvals("2") @approval_ttl("90s")
    forbid(principal, action == Action::"delete", resource)
    unless { context has approval && context.approval.groups.containsAny(["security", "ciso"])
             && context.approval.count >= 2 };"#;

#[test]
fn an_approval_never_grants() {
    let verdict = delete_orders(&set(&[DBA]), &[]);
    assert_eq!(verdict.outcome(), Outcome::Deny);
    assert_eq!(&*verdict.denial().unwrap().message, "no policy permits it");
}

#[test]
fn what_an_approval_would_change_is_asked() {
    let verdict = delete_orders(&set(&[READ_WRITE, DBA]), &[]);
    assert_eq!(verdict.outcome(), Outcome::Ask);
    assert_eq!(ids(&verdict), ["dba"]);
}

#[test]
fn a_forbid_that_no_approval_lifts_is_not_asked_about() {
    let never = r#"@id("never") @message("not here") forbid(principal, action == Action::"delete", resource)
        when { resource is Table && resource.name == "orders" };"#;
    let verdict = delete_orders(&set(&[READ_WRITE, DBA, never]), &[]);
    let denial = verdict.denial().unwrap();
    assert_eq!((&*denial.message, ids(&verdict)), ("not here", vec!["never"]));
}

/// The annotation says any of two groups, the condition wants both: no single group's approval would do.
#[test]
fn an_approval_that_would_not_be_enough_is_not_asked_for() {
    let both = r#"@id("both") @require_approval("dba,security") forbid(principal, action == Action::"delete", resource)
        unless { context has approval && context.approval.groups.contains("dba")
                 && context.approval.groups.contains("security") };"#;
    assert_eq!(delete_orders(&set(&[READ_WRITE, both]), &[]).outcome(), Outcome::Deny);
}

#[test]
fn two_forbids_are_both_needed_and_the_quorum_is_supposed() {
    let verdict = delete_orders(&set(&[READ_WRITE, DBA, SECURITY]), &[]);
    let needs: Vec<_> = verdict.needs().iter().map(|need| (&*need.policy, need.groups.len(), need.quorum)).collect();
    assert_eq!(needs, [("dba", 1, 1), ("security", 2, 2)]);
    assert_eq!(verdict.approval_ttl().as_secs(), 90);
}

#[test]
fn needs_of_several_effects_add_up_and_one_denial_wins() {
    let policies = set(&[READ_WRITE, DBA]).for_subject(&service("app", &[]));
    let prod = target("payments", "prod");
    let asked = [on_table(Verb::Select, "orders"), on_table(Verb::Delete, "orders")];
    assert_eq!(judged(&policies, &prod, &asked).outcome(), Outcome::Ask);
    let refused = [on_table(Verb::Delete, "orders"), on_table(Verb::Ddl, "orders")];
    assert_eq!(judged(&policies, &prod, &refused).outcome(), Outcome::Deny);
}

fn request(number: u64) -> RequestId {
    SessionId::from_bits(7).request(number)
}

fn answer(approver: &str, group: &str) -> Answer {
    Answer {
        approver: key(approver),
        groups: vec![group.into()],
        approve: true,
        reason: None,
        at: Timestamp::default(),
    }
}

#[allow(clippy::disallowed_methods, reason = "stands in for `store`")]
fn consumed(request: RequestId, digest: Digest, answers: Vec<Answer>) -> Consumed {
    Consumed::attest(ApprovalId::from_bits(1), digest, request, answers)
}

#[test]
fn an_approval_permits_only_what_it_was_spent_on() {
    let verdict = delete_orders(&set(&[READ_WRITE, DBA, SECURITY]), &[]);
    let (mine, digest) = (request(3), Digest([1; 32]));
    let enough = || vec![answer("ann", "dba"), answer("bob", "security"), answer("eve", "ciso")];
    let with = |consumed: &Consumed, asked: &[_], now: Digest| {
        let decision = decide(&verdict, mine, Some(Approved { consumed, asked, digest: now }), AUTO);
        matches!(decision, Decision::Allow(_))
    };
    let needs = verdict.needs();
    assert!(with(&consumed(mine, digest, enough()), needs, digest));
    // AP-01, AP-08: another request, or the same one changed since.
    assert!(!with(&consumed(request(4), digest, enough()), needs, digest));
    assert!(!with(&consumed(mine, digest, enough()), needs, Digest([2; 32])));
    // RULES 22: the policies that ask have changed.
    assert!(!with(&consumed(mine, digest, enough()), &needs[..1], digest));
    let mut edited = needs.to_vec();
    edited[0].policy_digest = Digest([9; 32]);
    assert!(!with(&consumed(mine, digest, enough()), &edited, digest));
    // AP-04: a quorum counts people. AP-03: never the requester.
    for answers in [
        vec![],
        vec![answer("ann", "dba"), answer("bob", "security")],
        vec![answer("ann", "dba"), answer("bob", "security"), answer("bob", "ciso")],
        vec![answer("ann", "dba"), answer("bob", "security"), answer("eve", "other")],
        vec![answer("ann", "dba"), answer("bob", "security"), Answer { approve: false, ..answer("eve", "ciso") }],
        vec![answer("app", "dba"), answer("bob", "security"), answer("eve", "ciso")],
    ] {
        assert!(!with(&consumed(mine, digest, answers), needs, digest));
    }
}

/// RULES 26: what has to survive a power cut before it is sent is in the permit, whoever asks for it.
#[test]
fn a_permit_says_how_safely_it_has_to_be_recorded() {
    let policies = set(&[READ_WRITE]).for_subject(&service("app", &[]));
    let of = |verbs: &[Verb]| {
        let one = |verb: &Verb| judged(&policies, &target("payments", "prod"), &[on_table(*verb, "orders")]);
        Verdict::of_all(verbs.iter().map(one).collect())
    };
    let level =
        |verdict: &Verdict, durability, shows| match decide(verdict, request(1), None, Recording { durability, shows })
        {
            Decision::Allow(permit) => {
                assert_eq!(permit.continuation().unwrap().level(), permit.level());
                permit.level()
            }
            other => panic!("{other:?}"),
        };
    let (read, write) = (of(&[Verb::Select]), of(&[Verb::Insert]));
    let mixed = [of(&[Verb::Select, Verb::Insert]), of(&[Verb::Insert, Verb::Select])];
    assert_eq!(level(&read, Durability::Auto, false), Level::Process);
    assert_eq!(level(&read, Durability::Auto, true), Level::Power);
    for writes in mixed.iter().chain([&write]) {
        assert_eq!(level(writes, Durability::Auto, false), Level::Power);
    }
    for verdict in [&read, &write] {
        assert_eq!(level(verdict, Durability::Power, false), Level::Power);
        assert_eq!(level(verdict, Durability::Process, true), Level::Process);
    }
    assert_eq!(policy::prepare(&write, request(1)).unwrap().level(), Level::Process, "it runs nothing");
    // What was approved is grave, whatever it does.
    let ask = r#"@id("ask") @require_approval("dba") forbid(principal, action == Action::"select", resource)
        unless { context has approval && context.approval.groups.contains("dba") };"#;
    let policies = set(&[READ_WRITE, ask]).for_subject(&service("app", &[]));
    let verdict = judged(&policies, &target("payments", "prod"), &[on_table(Verb::Select, "orders")]);
    let consumed = consumed(request(1), Digest::default(), vec![answer("ann", "dba")]);
    let approved = Approved { consumed: &consumed, asked: verdict.needs(), digest: Digest::default() };
    let Decision::Allow(permit) = decide(&verdict, request(1), Some(approved), AUTO) else { panic!("not allowed") };
    assert_eq!(permit.level(), Level::Power);
}

#[test]
fn only_an_allowed_request_gets_a_permit() {
    let allowed = judged(
        &set(&[READ_WRITE]).for_subject(&service("app", &[])),
        &target("payments", "prod"),
        &[on_table(Verb::Select, "orders")],
    );
    let Decision::Allow(permit) = decide(&allowed, request(1), None, AUTO) else { panic!("not allowed") };
    assert_eq!(permit.request(), request(1));
    assert_eq!(permit.continuation().unwrap().kind(), policy::PermitKind::Continuation);
    assert!(policy::Permit::protocol(policy::ProtocolAct::Sync, request(0)).continuation().is_none());
    // An approval of something else does not fit a request that needs none.
    let other = consumed(request(9), Digest::default(), vec![]);
    let approved = Approved { consumed: &other, asked: &[], digest: Digest::default() };
    assert!(matches!(decide(&allowed, request(1), Some(approved), AUTO), Decision::Deny(_)));
    // Nor does any approval help against a denial.
    let denied = delete_orders(&set(&[]), &[]);
    let mine = consumed(request(1), Digest::default(), vec![answer("ann", "dba")]);
    let approved = Approved { consumed: &mine, asked: &[], digest: Digest::default() };
    assert!(matches!(decide(&denied, request(1), Some(approved), AUTO), Decision::Deny(_)));
}

#[test]
fn break_glass_waives_what_says_so_and_grants_nothing() {
    let waivable = DBA.replace("@id", r#"@break_glass("fire") @id"#);
    let both = set(&[READ_WRITE, &waivable, SECURITY]);
    let verdict = delete_orders(&set(&[READ_WRITE, &waivable]), &["fire"]);
    assert_eq!(verdict.outcome(), Outcome::Allow);
    assert_eq!(verdict.waived().iter().map(|need| &*need.policy).collect::<Vec<_>>(), ["dba"]);
    assert_eq!(delete_orders(&set(&[READ_WRITE, &waivable]), &["other"]).outcome(), Outcome::Ask);
    // What does not say so still asks; and where nothing permits, nothing is waived.
    let verdict = delete_orders(&both, &["fire"]);
    assert_eq!((verdict.outcome(), ids(&verdict), verdict.waived().len()), (Outcome::Ask, vec!["security"], 1));
    let verdict = delete_orders(&set(&[&waivable]), &["fire"]);
    assert_eq!((verdict.outcome(), verdict.waived().len()), (Outcome::Deny, 0));
}

/// OP-03: a policy that denies everybody.
#[test]
fn a_lockout_is_refused_or_can_be_broken() {
    for scope in ["action, resource", "action in Action::\"admin:any\", resource is Control"] {
        let errors = load(&[&format!("@id(\"lockout\") forbid(principal, {scope});")]).unwrap_err();
        assert!(show(&errors).contains("nobody could take it back"), "{}", show(&errors));
    }
    let freeze = r#"@id("freeze") @break_glass("fire") @message("incident: all traffic is stopped")
        forbid(principal, action in Action::"any", resource);"#;
    let frozen = set(&[READ_WRITE, freeze]);
    assert_eq!(&*delete_orders(&frozen, &[]).denial().unwrap().message, "incident: all traffic is stopped");
    assert_eq!(delete_orders(&frozen, &["fire"]).outcome(), Outcome::Allow);
}

#[test]
fn the_strictest_mask_wins() {
    let mask = |id: &str, mask: &str| {
        format!(
            r#"@id("{id}") @mask({mask}) forbid(principal, action == Action::"reveal",
            resource in DataClass::"card_number");"#
        )
    };
    let permit = r#"@id("show") permit(principal, action == Action::"reveal", resource);"#;
    let asked = |texts: &[&str]| {
        let policies = set(texts).for_subject(&service("app", &[]));
        let number = column("cards.number");
        let class = model::class::DataClass::new("card_number");
        let ask = |question| reveal(&policies, &target("payments", "prod"), "shop", question, &labels(), &context());
        let of_column = ask(RevealQuestion::Column(&number, &class));
        assert_eq!(of_column, ask(RevealQuestion::Column(&number, &class)), "the remembered answer is another one");
        assert_eq!(of_column, ask(RevealQuestion::Class(&class)));
        of_column
    };
    let partial = mask("a", r#""partial") @mask_args("keep_last=6""#);
    let less = mask("b", r#""partial") @mask_args("keep_last=2""#);
    let (token, null) = (mask("c", r#""token""#), mask("d", r#""null""#));
    let unnamed = r#"@id("e") forbid(principal, action == Action::"reveal", resource in DataClass::"card_number");"#;
    assert_eq!(asked(&[permit]), Reveal::Clear);
    assert_eq!(asked(&[]), Reveal::Masked(None));
    assert_eq!(asked(&[permit, unnamed]), Reveal::Masked(None));
    assert_eq!(asked(&[permit, &partial, unnamed]), Reveal::Masked(Some(Transform::Partial { keep_last: 6 })));
    assert_eq!(asked(&[permit, &partial, &less]), Reveal::Masked(Some(Transform::Partial { keep_last: 2 })));
    assert_eq!(asked(&[permit, &partial, &token]), Reveal::Masked(Some(Transform::Token)));
    assert_eq!(asked(&[permit, &null, &token, &partial]), Reveal::Masked(Some(Transform::Null)));
}

/// What is remembered of one catalog is not the answer by another: a table that becomes a partition is in its parent.
#[test]
fn what_a_table_inherits_from_is_no_matter_of_memory() {
    let show = r#"@id("show") permit(principal, action == Action::"reveal", resource);"#;
    let hide = r#"@id("hide") forbid(principal, action == Action::"reveal",
        resource in Table::"payments/shop/public/orders");"#;
    let policies = set(&[show, hide]).for_subject(&service("app", &[]));
    let (card, class) = (column("orders_2026.card"), model::class::DataClass::new("card_number"));
    let by = |labels: &Labels| {
        let question = RevealQuestion::Column(&card, &class);
        reveal(&policies, &target("payments", "prod"), "shop", question, labels, &context())
    };
    let attached = labels();
    let mut alone = attached.clone();
    alone.parents.clear();
    assert_eq!(by(&alone), Reveal::Clear);
    assert_eq!(by(&attached), Reveal::Masked(None));
    assert_eq!(by(&alone), Reveal::Clear);
    // Further up counts as well, and a circle ends.
    let mut further = alone.clone();
    let (child, between, top) = (card.table.clone(), column("between.x").table, column("orders.x").table);
    further.parents.extend([(child.clone(), vec![between.clone()]), (between, vec![top, child])]);
    assert_eq!(by(&further), Reveal::Masked(None));
}

#[test]
fn a_class_that_the_revision_does_not_have_is_masked() {
    let policies = set(&[r#"@id("show") permit(principal, action == Action::"reveal", resource);"#])
        .for_subject(&service("app", &[]));
    let class = model::class::DataClass::new("invented");
    for question in [RevealQuestion::Class(&class), RevealQuestion::Column(&column("orders.id"), &class)] {
        let answer = reveal(&policies, &target("payments", "prod"), "shop", question, &labels(), &context());
        assert_eq!(answer, Reveal::Masked(None));
    }
}

/// A permit for one of a column's classes does not show the others.
#[test]
fn a_column_of_two_classes_needs_both() {
    let permit = |class: &str| {
        format!("@id(\"{class}\") permit(principal, action == Action::\"reveal\", resource in DataClass::\"{class}\");")
    };
    let (email, phone) = (permit("email"), permit("phone"));
    let contact = column("customers.contact");
    let seen = |texts: &[&str]| {
        let policies = set(texts).for_subject(&service("app", &[]));
        let class = model::class::DataClass::new("email");
        let question = RevealQuestion::Column(&contact, &class);
        reveal(&policies, &target("payments", "prod"), "shop", question, &labels(), &context())
    };
    assert_eq!(seen(&[&email]), Reveal::Masked(Some(Transform::FormatPreserving)));
    assert_eq!(seen(&[&phone]), Reveal::Masked(Some(Transform::Redact)));
    assert_eq!(seen(&[]), Reveal::Masked(Some(Transform::Redact)));
    assert_eq!(seen(&[&email, &phone]), Reveal::Clear);
}

#[test]
fn what_would_ask_may_be_prepared_but_not_run() {
    let asking = delete_orders(&set(&[READ_WRITE, DBA]), &[]);
    let permit = policy::prepare(&asking, request(1)).unwrap();
    assert_eq!(permit.kind(), policy::PermitKind::Preparation);
    assert_eq!(permit.continuation().unwrap().kind(), policy::PermitKind::Preparation);
    assert!(policy::prepare(&delete_orders(&set(&[]), &[]), request(1)).is_err());
}

/// What a partition's parent may not, the partition may not either.
#[test]
fn partitions_inherit() {
    let only_parent = r#"@id("p") permit(principal, action in Action::"read",
        resource in Table::"payments/shop/public/orders");"#;
    let policies = set(&[only_parent]).for_subject(&service("app", &[]));
    let prod = target("payments", "prod");
    let read = |name| judged(&policies, &prod, &[on_table(Verb::Select, name)]).outcome();
    assert_eq!((read("orders"), read("orders_2026"), read("cards")), (Outcome::Allow, Outcome::Allow, Outcome::Deny));
}

/// AP-03: neither identity of a delegation approves.
#[test]
fn whom_it_acts_for_does_not_approve_either() {
    let subject = model::subject::Subject { on_behalf_of: vec![key("ann")], ..service("app", &[]) };
    let policies = set(&[READ_WRITE, DBA]).for_subject(&subject);
    let user = key("eve");
    let context = policy::Context { on_behalf_of: Some(&user), ..context() };
    let prod = target("payments", "prod");
    let verdict = judged_with(&policies, &prod, &[on_table(Verb::Delete, "orders")], &bounded(), &context);
    for (approver, expected) in [("app", false), ("ann", false), ("eve", false), ("bob", true)] {
        let consumed = consumed(request(1), Digest::default(), vec![answer(approver, "dba")]);
        let approved = Approved { consumed: &consumed, asked: verdict.needs(), digest: Digest::default() };
        let allowed = matches!(decide(&verdict, request(1), Some(approved), AUTO), Decision::Allow(_));
        assert_eq!(allowed, expected, "{approver}");
    }
}

/// Two functions of one name may be of two classes.
#[test]
fn an_overload_does_not_lend_its_class() {
    use model::effect::{Effect, FunctionClass, Object};
    let safe = r#"@id("safe") permit(principal, action == Action::"execute", resource in FunctionClass::"safe");"#;
    let policies = set(&[safe]).for_subject(&service("app", &[]));
    let call = |class| Effect::new(Verb::Execute, Object::Function(table("pg_catalog.ts_rewrite"), class));
    let outcome = |effects: &[Effect]| judged(&policies, &target("payments", "prod"), effects).outcome();
    assert_eq!(outcome(&[call(FunctionClass::Safe)]), Outcome::Allow);
    assert_eq!(outcome(&[call(FunctionClass::Safe), call(FunctionClass::DynamicSql)]), Outcome::Deny);
}

/// Policies see who is behind a request, why, and from where; an IPv4 client on an IPv6 socket is an IPv4 client.
#[test]
fn circumstances_are_what_they_are() {
    let rule = r#"@id("p") permit(principal, action in Action::"read", resource) when {
        context has reason && context.reason like "INC-*" && context.sourceIp.isInRange(ip("10.0.0.0/8")) &&
        context has onBehalfOf && context.onBehalfOf == User::"corp|eve" && context.onBehalfOf.issuer == "corp" &&
        context.session.binding == Binding::"bearer" && context.now > datetime("2026-01-01") &&
        context.target.hasTag("env") && context.target.getTag("env") == "prod" &&
        context.statement has estimatedRows && context.statement.estimatedRows < 10 };"#;
    let policies = set(&[rule]).for_subject(&service("app", &[]));
    let user = key("eve");
    let right = policy::Context {
        reason: Some("INC-1"),
        on_behalf_of: Some(&user),
        source: "::ffff:10.1.2.3".parse().unwrap(),
        estimated_rows: Some(3),
        ..context()
    };
    let prod = target("payments", "prod");
    let ask = |context: &policy::Context<'_>, target: &_| {
        judged_with(&policies, target, &[on_table(Verb::Select, "orders")], &bounded(), context).outcome()
    };
    assert_eq!(ask(&right, &prod), Outcome::Allow);
    assert_eq!(ask(&right, &target("payments", "dev")), Outcome::Deny);
    assert_eq!(ask(&policy::Context { reason: None, ..right }, &prod), Outcome::Deny);
    assert_eq!(ask(&policy::Context { on_behalf_of: None, ..right }, &prod), Outcome::Deny);
    assert_eq!(ask(&policy::Context { estimated_rows: Some(10), ..right }, &prod), Outcome::Deny);
    // Somebody who acts for themselves.
    let eve = set(&[rule]).for_subject(&subject(model::subject::SubjectKind::User, "eve", &[]));
    let verdict = judged_with(&eve, &prod, &[on_table(Verb::Select, "orders")], &bounded(), &right);
    assert_eq!(verdict.outcome(), Outcome::Allow);
}

#[test]
fn what_a_reveal_depends_on_the_filter_depends_on() {
    let by_day = r#"@id("day") permit(principal, action == Action::"reveal", resource)
        when { context.now.toTime() < duration("18h") };"#;
    let policies = set(&[READ_WRITE, policy::BASELINE, by_day]).for_subject(&service("app", &[]));
    let validity = |path| judged(&policies, &target("payments", "dev"), &[on_column(Verb::Filter, path)]).validity();
    assert!(validity("cards.number").timed);
    assert!(!validity("orders.total").timed);
}

#[test]
fn policies_can_be_shared_between_tasks() {
    fn shared<T: Send + Sync>() {}
    shared::<PolicySet>();
    shared::<policy::SubjectPolicies>();
}

#[test]
fn quoted_names_cannot_pose_as_other_objects() {
    let one = r#"@id("p") permit(principal, action == Action::"select",
        resource in Table::"payments/shop/public/orders");"#;
    let policies = set(&[one]).for_subject(&service("app", &[]));
    let posing = model::effect::TableName::new("public/orders", "x");
    let effect =
        model::effect::Effect::new(Verb::Select, model::effect::Object::Table(posing, model::effect::TableKind::Table));
    assert_eq!(judged(&policies, &target("payments", "prod"), &[effect]).outcome(), Outcome::Deny);
    assert_eq!(
        judged(&policies, &target("payments/shop", "x"), &[on_table(Verb::Select, "orders")]).outcome(),
        Outcome::Deny
    );
}

#[test]
fn what_an_answer_depends_on_is_said() {
    let rule = |condition: &str| {
        format!(r#"@id("p") permit(principal, action in Action::"read", resource) when {{ {condition} }};"#)
    };
    let validity = |condition: &str| {
        let policies = set(&[&rule(condition)]).for_subject(&service("app", &[]));
        let validity = judged(&policies, &target("payments", "prod"), &[on_table(Verb::Select, "orders")]).validity();
        (validity.timed, validity.reason, validity.on_behalf_of, validity.estimated_rows)
    };
    for (condition, expected) in [
        ("context.statement.bounded", (false, false, false, false)),
        ("context.session.binding == Binding::\"mtls\"", (false, false, false, false)),
        ("context.sourceIp.isInRange(ip(\"10.0.0.0/8\"))", (false, false, false, false)),
        ("context.now.toTime() < duration(\"18h\")", (true, false, false, false)),
        ("context.session.ageSeconds < 60", (true, false, false, false)),
        ("context has reason && context.reason like \"INC-*\"", (false, true, false, false)),
        ("context has onBehalfOf", (false, false, true, false)),
        ("context.statement has estimatedRows && context.statement.estimatedRows < 100", (false, false, false, true)),
    ] {
        assert_eq!(validity(condition), expected, "{condition}");
    }
}
