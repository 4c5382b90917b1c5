//! Resources, paths and commands of Kubernetes API servers.

use std::sync::Arc;

use model::decision::Outcome;
use model::effect::{
    Command, Effect, KubernetesCommand, KubernetesPath, KubernetesResource, KubernetesTrait, Object, Verb,
};
use policy::PolicySet;

use crate::common::*;
use crate::golden::kubernetes_effects;

fn set(texts: &[&str]) -> PolicySet {
    load(texts).unwrap_or_else(|errors| panic!("{}", show(&errors)))
}

fn outcome(policies: &PolicySet, verb: Verb, object: Object) -> Outcome {
    let subject = policies.for_subject(&service("deployer", &["shops"]));
    judged(&subject, &target("prod", "prod"), &[Effect::new(verb, object)]).outcome()
}

fn pod(name: &str) -> KubernetesResource {
    KubernetesResource {
        version: "v1".into(),
        resource: "pods".into(),
        namespace: "dev".into(),
        name: name.into(),
        ..KubernetesResource::default()
    }
}

fn object(resource: KubernetesResource) -> Object {
    Object::KubernetesResource(Arc::new(resource))
}

fn command(program: &str, arguments: &[&str]) -> Object {
    let command = Command {
        program: program.into(),
        arguments: arguments.iter().map(|argument| Arc::from(*argument)).collect(),
        line: "a line".into(),
        interactive: true,
    };
    let at = KubernetesResource { subresource: "exec".into(), container: "app".into(), ..pod("web") };
    Object::KubernetesCommand(Arc::new(KubernetesCommand { at, command }))
}

fn check(verb: Verb, object: &Object, conditions: &[(&str, bool)]) {
    for (condition, expected) in conditions {
        let policy =
            format!(r#"@id("p") permit(principal, action == Action::"{verb}", resource) when {{ {condition} }};"#);
        let allowed = outcome(&set(&[&policy]), verb, object.clone()) == Outcome::Allow;
        assert_eq!(allowed, *expected, "{condition}");
    }
}

#[test]
fn every_action_can_be_permitted_and_is_in_its_group() {
    use Verb::*;
    let group = |name: &str| set(&[&format!(r#"@id("p") permit(principal, action in Action::"{name}", resource);"#)]);
    let (read, write, change, any) = (group("read"), group("write"), group("change"), group("any"));
    let reads = [KubernetesGet, KubernetesList, KubernetesWatch, KubernetesLog];
    let writes = [
        KubernetesCreate,
        KubernetesUpdate,
        KubernetesPatch,
        KubernetesDelete,
        KubernetesDeleteCollection,
        KubernetesEvict,
    ];
    let alone = [KubernetesDiscover, KubernetesExec];
    let (nothing, baseline) = (set(&[]), set(&[policy::BASELINE]));
    for Effect { verb, object, .. } in kubernetes_effects() {
        let is_in = |set: &PolicySet| outcome(set, verb, object.clone()) == Outcome::Allow;
        assert!(!is_in(&nothing) && !is_in(&baseline), "{verb}");
        assert_eq!(is_in(&read), reads.contains(&verb), "{verb}");
        assert_eq!(is_in(&write), writes.contains(&verb), "{verb}");
        let is_change = !reads.contains(&verb) && !writes.contains(&verb) && !alone.contains(&verb);
        assert_eq!(is_in(&change), is_change, "{verb}");
        assert!(is_in(&any), "{verb}");
        let own = format!(r#"@id("p") permit(principal, action == Action::"{verb}", resource in Target::"prod");"#);
        assert!(is_in(&set(&[&own])), "{verb}");
    }
}

#[test]
fn policies_see_all_of_a_resource() {
    let traits = [KubernetesTrait::Privileged, KubernetesTrait::HostPath].into();
    let resource = KubernetesResource {
        group: "apps".into(),
        resource: "deployments".into(),
        subresource: "scale".into(),
        container: "app".into(),
        port: "https:443".into(),
        rest: "/a/b".into(),
        dry_run: true,
        traits,
        ..pod("web")
    };
    let conditions = [
        (r#"resource.group == "apps" && resource.version == "v1""#, true),
        (r#"resource.resource == "deployments" && resource.subresource == "scale""#, true),
        (r#"resource.namespace == "dev" && resource.name == "web""#, true),
        (r#"resource.container == "app" && resource.port == "https:443" && resource.path like "/a/*""#, true),
        ("resource.dryRun", true),
        (r#"resource in KubernetesTrait::"privileged""#, true),
        (r#"resource in [KubernetesTrait::"host_path", KubernetesTrait::"unknown"]"#, true),
        (r#"resource in KubernetesTrait::"unknown""#, false),
        (r#"resource in KubernetesNamespace::"prod/dev""#, true),
        (r#"resource in KubernetesNamespace::"prod/prod""#, false),
        (r#"resource == KubernetesResource::"prod/apps/deployments.scale/dev/web""#, true),
        (r#"resource.hasTag("env") && resource.getTag("env") == "prod""#, true),
    ];
    check(Verb::KubernetesPatch, &object(resource), &conditions);
    // What is in no namespace is in none.
    let all = object(KubernetesResource { namespace: "".into(), name: "".into(), ..pod("") });
    check(Verb::KubernetesList, &all, &[(r#"resource in KubernetesNamespace::"prod/""#, false)]);
}

#[test]
fn policies_see_what_is_to_run() {
    let conditions = [
        (r#"resource is KubernetesCommand && resource.program == "/bin/ls" && resource.name == "ls""#, true),
        (r#"resource is KubernetesCommand && resource.arguments.containsAll(["-l", "/srv"])"#, true),
        (r#"resource is KubernetesCommand && resource.pod == "web" && resource.container == "app""#, true),
        (r#"resource is KubernetesCommand && resource.interactive && resource.line == "a line""#, true),
        (r#"resource in KubernetesNamespace::"prod/dev""#, true),
        (r#"resource.namespace == "prod""#, false),
    ];
    check(Verb::KubernetesExec, &command("/bin/ls", &["-l", "/srv"]), &conditions);
}

#[test]
fn a_word_that_no_trait_has_is_a_mistake() {
    let wrong = r#"@id("p") permit(principal, action, resource) when { resource in KubernetesTrait::"privilege" };"#;
    assert!(load(&[wrong]).is_err());
    for one in KubernetesTrait::ALL {
        let right = format!(
            r#"@id("p") permit(principal, action in Action::"write", resource in KubernetesTrait::"{}");"#,
            one.as_str()
        );
        assert!(load(&[&right]).is_ok(), "{right}");
    }
}

/// Discovery is permitted by itself, so that clients find their way with few rights.
#[test]
fn discovery_is_no_right_to_anything_else() {
    let policies = set(&[r#"@id("p") permit(principal, action == Action::"kubernetes:discover", resource);"#]);
    let path =
        |path: &str| Object::KubernetesPath(Arc::new(KubernetesPath { method: "GET".into(), path: path.into() }));
    assert_eq!(outcome(&policies, Verb::KubernetesDiscover, path("/apis")), Outcome::Allow);
    assert_eq!(outcome(&policies, Verb::KubernetesOther, path("/metrics")), Outcome::Deny);
    assert_eq!(outcome(&policies, Verb::KubernetesGet, object(pod("web"))), Outcome::Deny);
    // No other spelling reaches a policy.
    assert_eq!(outcome(&policies, Verb::KubernetesDiscover, path("/apis/../metrics")), Outcome::Deny);
}

/// The example of the documentation does what it says.
#[test]
fn the_example_holds() {
    let policies = set(&[policy::BASELINE, include_str!("../../../../examples/kubernetes.cedar")]);
    let of = |groups: &[&str], verb, resource: KubernetesResource| {
        let subject = policies.for_subject(&service("ann", groups));
        judged(&subject, &target("prod", "prod"), &[Effect::new(verb, object(resource))]).outcome()
    };
    let engineer = ["corp|engineers"];
    let in_prod =
        |resource: &str| KubernetesResource { namespace: "prod".into(), resource: resource.into(), ..pod("a") };
    let asks = |one: KubernetesTrait| KubernetesResource { traits: [one].into(), ..pod("a") };
    assert_eq!(of(&engineer, Verb::KubernetesGet, pod("a")), Outcome::Allow);
    assert_eq!(of(&engineer, Verb::KubernetesCreate, pod("a")), Outcome::Allow);
    assert_eq!(of(&engineer, Verb::KubernetesGet, in_prod("pods")), Outcome::Allow);
    assert_eq!(of(&engineer, Verb::KubernetesGet, in_prod("secrets")), Outcome::Deny);
    assert_eq!(of(&engineer, Verb::KubernetesPatch, in_prod("pods")), Outcome::Deny);
    assert_eq!(of(&engineer, Verb::KubernetesCreate, asks(KubernetesTrait::Privileged)), Outcome::Deny);
    assert_eq!(of(&engineer, Verb::KubernetesPatch, asks(KubernetesTrait::Unknown)), Outcome::Deny);
    assert_eq!(of(&engineer, Verb::KubernetesPatch, asks(KubernetesTrait::ScaleToZero)), Outcome::Ask);
    assert_eq!(of(&[], Verb::KubernetesGet, pod("a")), Outcome::Deny);
}
