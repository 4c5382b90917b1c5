//! Logins, commands, files and endpoints of SSH hosts.

use model::decision::Outcome;
use model::effect::{Effect, Endpoint, Object, Verb};
use policy::PolicySet;

use crate::common::*;
use crate::golden::host_effects;

fn set(texts: &[&str]) -> PolicySet {
    load(texts).unwrap_or_else(|errors| panic!("{}", show(&errors)))
}

/// The answer to one effect by these policies alone, for the login `shop` of the host `web1`.
fn outcome(policies: &PolicySet, verb: Verb, object: Object) -> Outcome {
    outcome_at(policies, "web1", verb, object)
}

fn outcome_at(policies: &PolicySet, host: &str, verb: Verb, object: Object) -> Outcome {
    let subject = policies.for_subject(&service("backup-robot", &[]));
    judged(&subject, &target(host, "prod"), &[Effect::new(verb, object)]).outcome()
}

const BELOW_THE_HOST: &str = r#"@id("p") permit(principal, action, resource in Target::"web1");"#;

/// Each action can be permitted by its own name and forbidden by it, and nothing is without a permit.
#[test]
fn every_action_can_be_permitted_and_forbidden() {
    for Effect { verb, object, .. } in host_effects() {
        let named =
            format!(r#"@id("p") permit(principal, action == Action::"{verb}", resource in Login::"web1/shop");"#);
        let forbid = format!(r#"@id("f") forbid(principal, action == Action::"{verb}", resource in Target::"web1");"#);
        let answer = |texts: &[&str]| outcome(&set(texts), verb, object.clone());
        assert_eq!(answer(&[]), Outcome::Deny, "{verb}");
        assert_eq!(answer(&[&named]), Outcome::Allow, "{verb}");
        assert_eq!(answer(&[&named, &forbid]), Outcome::Deny, "{verb}");
        assert_eq!(outcome_at(&set(&[&named]), "web2", verb, object.clone()), Outcome::Deny, "{verb}");
        assert_eq!(outcome_at(&set(&[BELOW_THE_HOST]), "web1", verb, object), Outcome::Allow, "{verb}");
    }
}

#[test]
fn the_groups_hold_what_they_say() {
    let group = |name: &str| set(&[&format!(r#"@id("p") permit(principal, action in Action::"{name}", resource);"#)]);
    let (read, write, change) = (group("read"), group("write"), group("change"));
    let (any, reads) = (group("any"), [Verb::ReadFile, Verb::ListDirectory, Verb::StatFile]);
    let changes = [Verb::Opaque, Verb::Forward, Verb::ListenForward, Verb::AgentForward, Verb::X11];
    for Effect { verb, object, .. } in host_effects() {
        let is_in = |set: &PolicySet| outcome(set, verb, object.clone()) == Outcome::Allow;
        assert_eq!(is_in(&read), reads.contains(&verb), "{verb}");
        assert_eq!(is_in(&write), FILE_VERBS.contains(&verb) && !reads.contains(&verb), "{verb}");
        assert_eq!(is_in(&change), changes.contains(&verb), "{verb}");
        assert_eq!(is_in(&any), verb != Verb::Connect, "{verb}");
    }
}

#[test]
fn the_baseline_lets_nobody_touch_anything() {
    let baseline = set(&[policy::BASELINE]);
    for Effect { verb, object, .. } in host_effects() {
        let expected = if matches!(verb, Verb::Pty | Verb::Sftp) { Outcome::Allow } else { Outcome::Deny };
        assert_eq!(outcome(&baseline, verb, object), expected, "{verb}");
    }
}

/// The sample of the documentation: one program, by its path or its name.
#[test]
fn a_robot_may_run_one_program() {
    let policies = set(&[r#"@id("backup-rsync")
        permit(principal == Service::"corp|backup-robot", action == Action::"ssh:exec", resource in Login::"web1/shop")
        when { resource.program == "rsync" || resource.program == "/usr/bin/rsync" };"#]);
    let answer = |program, arguments: &[&str]| outcome(&policies, Verb::Exec, command(program, arguments));
    assert_eq!(answer("rsync", &["--server", ".", "/srv"]), Outcome::Allow);
    assert_eq!(answer("/usr/bin/rsync", &[]), Outcome::Allow);
    for program in ["/tmp/rsync", "rsync2", "./rsync", "Rsync", "/usr/bin/../../tmp/rsync", "rm"] {
        assert_eq!(answer(program, &[]), Outcome::Deny, "{program}");
    }
    let both = [command("rsync", &[]), command("rm", &["-rf", "/"])].map(|command| Effect::new(Verb::Exec, command));
    let subject = policies.for_subject(&service("backup-robot", &[]));
    assert_eq!(judged(&subject, &target("web1", "prod"), &both).outcome(), Outcome::Deny);
}

#[test]
fn policies_see_all_of_a_command() {
    let ls = || command("/bin/ls", &["-l", "/srv"]);
    for (condition, expected) in [
        ("resource.name == \"ls\"", true),
        ("resource.name == \"/bin/ls\"", false),
        ("resource.program == \"/bin/ls\"", true),
        ("resource.line like \"* -l *\"", true),
        ("resource.arguments.contains(\"-l\")", true),
        ("resource.arguments.contains(\"-a\")", false),
        ("[\"-l\", \"/srv\"].containsAll(resource.arguments)", true),
        ("resource.interactive", false),
        ("resource.login == \"shop\" && resource.target == \"web1\"", true),
        ("resource.hasTag(\"env\") && resource.getTag(\"env\") == \"prod\"", true),
    ] {
        let policy = format!(
            r#"@id("p") permit(principal, action == Action::"ssh:exec", resource is Command) when {{ {condition} }};"#
        );
        let answer = outcome(&set(&[&policy]), Verb::Exec, ls());
        assert_eq!(answer == Outcome::Allow, expected, "{condition}");
    }
}

/// SH-06: what is inside a directory is decided by the path's own names, and no other spelling reaches a policy.
#[test]
fn sh_06_a_directory_cannot_be_left_by_another_spelling() {
    let policies = set(&[r#"@id("p") permit(principal, action in [Action::"read", Action::"write"],
        resource in Directory::"web1/shop/srv/data");"#]);
    let all = set(&[BELOW_THE_HOST]);
    for inside in ["/srv/data", "/srv/data/a", "/srv/data/a/b c/%2F/..x"] {
        assert_eq!(outcome(&policies, Verb::ReadFile, file(inside)), Outcome::Allow, "{inside}");
    }
    for outside in ["/", "/srv", "/srv/database", "/etc/srv/data", "/srv%2Fdata/a", "/srv/data%2Fa", "~/srv/data"] {
        assert_eq!(outcome(&policies, Verb::ReadFile, file(outside)), Outcome::Deny, "{outside}");
        assert_eq!(outcome(&all, Verb::ReadFile, file(outside)), Outcome::Allow, "{outside}");
    }
    for spelled in
        ["/srv/data/../etc/passwd", "/srv/data/./a", "/srv/data//a", "/srv/data/", "srv/data/a", "", "~root/a"]
    {
        for policies in [&policies, &all] {
            assert_eq!(outcome(policies, Verb::ReadFile, file(spelled)), Outcome::Deny, "{spelled}");
        }
    }
}

#[test]
fn the_home_and_the_root_are_directories_too() {
    let directory = |id: &str| {
        set(&[&format!(r#"@id("p") permit(principal, action == Action::"file:read", resource in Directory::"{id}");"#)])
    };
    let read = |policies: &PolicySet, path: &str| outcome(policies, Verb::ReadFile, file(path)) == Outcome::Allow;
    let (home, root) = (directory("web1/shop/~"), directory("web1/shop"));
    assert!(read(&home, "~") && read(&home, "~/a"));
    assert!(!read(&home, "/~/a") && !read(&home, "/home/shop/a"));
    assert!(read(&root, "/") && read(&root, "/etc/passwd") && read(&root, "~/a"));
}

#[test]
fn names_with_separators_are_not_other_objects() {
    let one = |entity: &str, verb: &str| {
        set(&[&format!(r#"@id("p") permit(principal, action == Action::"{verb}", resource == {entity});"#)])
    };
    let file_a = one(r#"File::"web1/shop/srv/a""#, "file:read");
    assert_eq!(outcome(&file_a, Verb::ReadFile, file("/srv/a")), Outcome::Allow);
    assert_eq!(outcome(&file_a, Verb::ReadFile, file("/srv%2Fa")), Outcome::Deny);
    assert_eq!(outcome_at(&file_a, "web1/shop", Verb::ReadFile, file("/a")), Outcome::Deny);
    let program = one(r#"Command::"web1/shop/%2Fusr%2Fbin%2Frsync""#, "ssh:exec");
    assert_eq!(outcome(&program, Verb::Exec, command("/usr/bin/rsync", &["a"])), Outcome::Allow);
    assert_eq!(outcome(&program, Verb::Exec, command("%2Fusr%2Fbin%2Frsync", &[])), Outcome::Deny);
    let endpoint = one(r#"Endpoint::"web1/shop/db.internal/5432""#, "ssh:forward");
    assert_eq!(outcome(&endpoint, Verb::Forward, tcp("db.internal", 5432, "10.0.0.5")), Outcome::Allow);
    assert_eq!(outcome(&endpoint, Verb::Forward, tcp("db.internal/5432", 1, "10.0.0.5")), Outcome::Deny);
    let socket = Object::Endpoint(Endpoint::Socket("db.internal/5432".into()));
    assert_eq!(outcome(&endpoint, Verb::Forward, socket), Outcome::Deny);
}

/// SH-03: a name that resolves elsewhere is not what was permitted.
#[test]
fn sh_03_forwarding_is_decided_on_the_resolved_address() {
    let policies = set(&[r#"@id("p") permit(principal, action == Action::"ssh:forward", resource is Endpoint)
        when { resource.kind == EndpointKind::"tcp" && resource.port == 5432 &&
               resource has address && resource.address.isInRange(ip("10.0.0.0/24")) };"#]);
    let answer = |object| outcome(&policies, Verb::Forward, object);
    assert_eq!(answer(tcp("db.internal", 5432, "10.0.0.5")), Outcome::Allow);
    assert_eq!(answer(tcp("db.internal", 5432, "::ffff:10.0.0.5")), Outcome::Allow);
    assert_eq!(answer(tcp("db.internal", 5432, "169.254.169.254")), Outcome::Deny);
    assert_eq!(answer(tcp("db.internal", 22, "10.0.0.5")), Outcome::Deny);
    assert_eq!(answer(tcp("db.internal", 5432, "unknown")), Outcome::Deny);
    assert_eq!(answer(Object::Endpoint(Endpoint::Socket("/run/docker.sock".into()))), Outcome::Deny);
}

/// An answer is remembered for what was asked alone: neither another argument nor a longer path gets it.
#[test]
fn an_answer_about_one_command_is_not_one_about_another() {
    let policies = set(&[r#"@id("p") permit(principal, action in [Action::"ssh:exec", Action::"file:read"], resource)
        when { (resource is Command && resource.arguments == ["a"]) || (resource is File && resource.name == "a") };"#]);
    let subject = policies.for_subject(&service("app", &[]));
    let answer = |verb, object: Object| {
        judged(&subject, &target("web1", "prod"), &[Effect::new(verb, object)]).outcome() == Outcome::Allow
    };
    for _ in 0..2 {
        assert!(answer(Verb::Exec, command("x", &["a"])) && answer(Verb::ReadFile, file("/a")));
        assert!(!answer(Verb::Exec, command("x", &["a", "b"])) && !answer(Verb::ReadFile, file("/a/b")));
        let long = "b".repeat(1000);
        assert!(!answer(Verb::Exec, command("x", &[&long])) && !answer(Verb::ReadFile, file(&format!("/{long}"))));
    }
}
