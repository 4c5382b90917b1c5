//! Work on policies: history, drafts, proposals, simulations; and what whoever means ill tries with them.

use std::path::PathBuf;
use std::sync::Arc;

use control::shape;
use model::event::Event;
use model::subject::{Binding, Credential, Subject, SubjectKey, SubjectKind};
use model::time::Timestamp;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::world::{Reply, World};

const ON: &str = "[policy]\napply = true\n";
const FILE: &str = "policies/more.cedar";
const MORE: &str =
    "@id(\"guests\")\npermit (principal in Group::\"sluice|guests\", action == Action::\"admin:read\", resource);\n";

async fn start() -> World {
    World::start_in(Arc::new(TempDir::new().unwrap()), ON).await
}

impl World {
    fn file(&self, name: &str) -> PathBuf {
        self.dir.path().join("revision").join(name)
    }

    fn number(&self) -> u64 {
        self.node.revisions.current().id.0
    }

    /// Somebody who may do all that there is to do with policies.
    fn both(&self, name: &str) -> String {
        self.token(name, &["read", "propose", "apply", "audit"])
    }

    fn body(&self, files: Value) -> Value {
        json!({ "files": files, "reason": "guests look around", "base": self.number() })
    }

    async fn propose(&self, who: &str, files: Value) -> shape::ProposalFilesView {
        let reply = self.post("/v1/proposals", &self.both(who), &self.body(files)).await;
        assert_eq!(reply.status, 201, "{}", reply.body);
        serde_json::from_str(&reply.body).unwrap()
    }

    async fn act(&self, who: &str, id: &str, how: &str, digest: &str) -> Reply {
        self.post(&format!("/v1/proposals/{id}/{how}"), &self.both(who), &json!({ "digest": digest })).await
    }

    async fn agreed(&self, files: Value) -> shape::ProposalView {
        let proposal = self.propose("ann", files).await.proposal;
        let reply = self.act("bob", &proposal.id, "approve", &proposal.digest).await;
        assert_eq!(reply.status, 200, "{}", reply.body);
        proposal
    }

    fn actions(&self) -> Vec<(String, String, String)> {
        let action = |event| match event {
            Event::AdminAction { subject, action, object, outcome } if action.starts_with("policy.") => {
                Some((format!("{} {outcome:?}", subject.id), action.to_string(), object.to_string()))
            }
            _ => None,
        };
        self.journal().into_iter().filter_map(action).collect()
    }
}

fn says(reply: &Reply, status: u16, part: &str) {
    assert_eq!(reply.status, status, "{}", reply.body);
    assert!(reply.body.contains(part), "{part}: {}", reply.body);
}

#[tokio::test]
async fn history_shows_what_each_revision_said_and_what_changed() {
    let world = World::start().await;
    let token = world.token("reader", &["read"]);
    std::fs::write(world.file(FILE), MORE).unwrap();
    let (state, recorder) = (world.node.state.as_ref(), &world.node.recorder);
    world.node.revisions.reload(state, recorder, &world.node.metrics);
    let listed: Vec<shape::KeptRevisionView> =
        serde_json::from_str(&world.get("/v1/revisions", &token).await.body).unwrap();
    assert_eq!(listed.iter().map(|kept| kept.revision).collect::<Vec<_>>(), [2, 1]);
    assert!(listed.iter().all(|kept| kept.has_files && kept.proposal.is_none()));
    let first: shape::RevisionFilesView =
        serde_json::from_str(&world.get("/v1/revisions/1", &token).await.body).unwrap();
    let text = |name: &str| first.files.iter().find(|file| file.path == name).map(|file| file.text.as_deref());
    assert_eq!(text("policies/baseline.cedar"), Some(Some(policy::BASELINE)));
    assert_eq!(text("targets.toml"), Some(None), "where targets are is not in history");
    let diff: shape::RevisionDiffView =
        serde_json::from_str(&world.get("/v1/revisions/2/diff", &token).await.body).unwrap();
    assert_eq!((diff.against, diff.files.len(), &*diff.files[0].path, &*diff.files[0].what), (1, 1, FILE, "added"));
    assert!(diff.files[0].diff.as_deref().unwrap().contains("+@id(\"guests\")"));
    let back: shape::RevisionDiffView =
        serde_json::from_str(&world.get("/v1/revisions/1/diff?against=2", &token).await.body).unwrap();
    assert_eq!(&*back.files[0].what, "removed");
    let whole: shape::RevisionDiffView =
        serde_json::from_str(&world.get("/v1/revisions/1/diff", &token).await.body).unwrap();
    assert!(whole.against == 0 && whole.files.iter().all(|file| file.what == "added"));
    for missing in ["/v1/revisions/3", "/v1/revisions/0", "/v1/revisions/3/diff"] {
        assert_eq!(world.get(missing, &token).await.status, 404, "{missing}");
    }
}

#[tokio::test]
async fn a_draft_is_checked_and_its_cases_run_where_it_would_stand() {
    let world = World::start().await;
    let token = world.token("ann", &["propose", "read"]);
    let files: shape::ChangeableFilesView =
        serde_json::from_str(&world.get("/v1/revision/files", &token).await.body).unwrap();
    assert!(files.files.iter().any(|file| file.name == "classification.toml"));
    assert!(!files.files.iter().any(|file| file.name.contains("targets")) && !files.may_apply);
    let check = async |files: Value| -> shape::CheckedView {
        let reply = world.post("/v1/policy/check", &token, &json!({ "files": files })).await;
        assert_eq!(reply.status, 200, "{}", reply.body);
        serde_json::from_str(&reply.body).unwrap()
    };
    assert!(check(json!({ FILE: MORE })).await.digest.is_some());
    let broken = MORE.replace("admin:read", "admin:reed");
    let found = check(json!({ FILE: broken })).await;
    assert!(found.digest.is_none());
    let mistake = found.mistakes.iter().find(|mistake| mistake.message.contains("admin:reed")).unwrap();
    assert_eq!((&*mistake.file, mistake.line), (FILE, 2), "{mistake}");
    assert!(mistake.column > 50 && mistake.length >= "Action::\"admin:reed\"".len(), "{mistake:?}");
    // Where a piece of the text is meant, all of it is.
    let unfinished = check(json!({ FILE: "permit (principal, action, resource) when { principal.nothing };" })).await;
    assert!(unfinished.mistakes.iter().any(|mistake| mistake.length > 1), "{:?}", unfinished.mistakes);
    let classes = check(json!({ "classification.toml": "[[column]]\nmatch = \"x\"\n" })).await;
    let place = |mistake: &shape::MistakeView| (mistake.file.clone(), mistake.line);
    assert!(classes.mistakes.iter().map(place).any(|found| found == ("classification.toml".into(), 2)), "{classes:?}");
    // The same id as a policy that stays.
    let twice = check(json!({ FILE: MORE.replace("guests\")\n", "only-read\")\n") })).await;
    assert!(twice.mistakes.iter().any(|mistake| mistake.message.contains("@id")), "{:?}", twice.mistakes);
    assert!(!world.file(FILE).exists());
}

/// Cases beside a catalog that a target's was saved as.
fn cases(decision: &str, catalog: &str) -> String {
    format!(
        "catalog = \"{catalog}\"\ntarget = \"payments\"\n[subject.orders]\nid = \"sluice|order-service\"\n\
         groups = [\"sluice|orders\"]\n[[case]]\nname = \"a constant\"\nsubject = \"orders\"\nstatement = \"SELECT 1\"\n\
         decision = \"{decision}\"\n"
    )
}

fn save_catalog(world: &World) {
    let saved = std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/policies/shop.catalog"));
    std::fs::create_dir_all(world.file("tests")).unwrap();
    std::fs::write(world.file("tests/shop.catalog"), saved.unwrap()).unwrap();
}

#[tokio::test]
async fn cases_that_fail_keep_a_change_out_of_force() {
    let world = start().await;
    save_catalog(&world);
    let token = world.both("ann");
    let test = async |decision: &str| -> shape::ExaminedView {
        let files = json!({ "files": { "tests/orders.toml": cases(decision, "shop.catalog") } });
        let reply = world.post("/v1/policy/test", &token, &files).await;
        assert_eq!(reply.status, 200, "{}", reply.body);
        serde_json::from_str(&reply.body).unwrap()
    };
    let right = test("allow").await;
    assert!(right.failed == 0 && right.cases.len() == 1 && right.cases[0].ok && right.mistakes.is_empty(), "{right:?}");
    let wrong = test("deny").await;
    assert!(wrong.failed == 1 && wrong.cases[0].differences[0].found == "allow", "{wrong:?}");
    let proposal = world.agreed(json!({ "tests/orders.toml": cases("deny", "shop.catalog") })).await;
    says(&world.act("bob", &proposal.id, "apply", &proposal.digest).await, 409, "1 of 1 cases");
    assert!(!world.file("tests/orders.toml").exists());
    let proposal = world.agreed(json!({ "tests/orders.toml": cases("allow", "shop.catalog") })).await;
    let before = world.number();
    says(&world.act("bob", &proposal.id, "apply", &proposal.digest).await, 200, "applied");
    assert!(world.file("tests/orders.toml").exists());
    assert_eq!(world.number(), before, "cases are no part of the revision");
}

#[tokio::test]
async fn a_change_is_proposed_agreed_to_and_in_force() {
    let world = start().await;
    let guest = world.token("guest", &["guests"]);
    assert_eq!(world.get("/v1/revision", &guest).await.status, 403);
    let proposed = world.propose("ann", json!({ FILE: MORE })).await;
    let (id, digest) = (proposed.proposal.id.clone(), proposed.proposal.digest.clone());
    assert!(proposed.diffs[0].diff.as_deref().unwrap().contains("+++ b/policies/more.cedar"));
    assert_eq!(proposed.examined.map(|examined| examined.mistakes), Some(vec![]));
    says(&world.act("ann", &id, "approve", &digest).await, 403, "nobody agrees to their own");
    says(&world.act("ann", &id, "apply", &digest).await, 409, "0 of 1 others agreed");
    says(&world.act("bob", &id, "approve", &digest).await, 200, "open");
    says(&world.act("bob", &id, "approve", &digest).await, 409, "already");
    let applied: shape::AppliedView =
        serde_json::from_str(&world.act("ann", &id, "apply", &digest).await.body).unwrap();
    assert_eq!((applied.revision, applied.proposal.revision, &*applied.proposal.status), (2, Some(2), "applied"));
    assert_eq!(std::fs::read_to_string(world.file(FILE)).unwrap(), MORE);
    assert_eq!(world.get("/v1/revision", &guest).await.status, 200, "it decides at once");
    says(&world.act("bob", &id, "apply", &digest).await, 409, "not open");
    let listed: Vec<shape::KeptRevisionView> =
        serde_json::from_str(&world.get("/v1/revisions", &world.both("bob")).await.body).unwrap();
    assert_eq!((listed[0].revision, listed[0].proposal.as_ref()), (2, Some(&id)));
    assert_eq!(listed[0].by.as_ref().map(|by| &*by.id), Some("ann"));
    let actions = world.actions();
    let find = |who: &str, action: &str| {
        actions.iter().find(|known| known.0 == who && known.1 == action).map(|known| &known.2)
    };
    assert_eq!(find("ann Allow", "policy.propose"), Some(&format!("{id} {digest}")));
    assert_eq!(find("ann Deny", "policy.approve"), Some(&id));
    assert_eq!(find("bob Allow", "policy.approve"), Some(&format!("{id} {digest}")));
    let applied = find("ann Allow", "policy.apply").unwrap();
    assert!(applied.starts_with(&format!("{id} {digest} by sluice|ann, agreed to by sluice|bob, makes ")), "{applied}");
    let in_force = world.node.revisions.current().digest;
    assert!(applied.ends_with(&in_force.to_string()), "{applied}");
}

#[tokio::test]
async fn an_agreement_counts_for_what_was_looked_at_alone() {
    let world = start().await;
    let proposal = world.agreed(json!({ FILE: MORE })).await;
    let (id, first) = (&*proposal.id, &*proposal.digest);
    let worse = MORE.replace("admin:read", "admin:audit");
    let change = format!("/v1/proposals/{id}/change");
    says(&world.post(&change, &world.both("bob"), &world.body(json!({ FILE: worse }))).await, 403, "somebody else's");
    let changed = world.post(&change, &world.both("ann"), &world.body(json!({ FILE: worse }))).await;
    let changed: shape::ProposalFilesView = serde_json::from_str(&changed.body).unwrap();
    let second = &*changed.proposal.digest;
    assert!(changed.proposal.agreements.is_empty() && second != first);
    // The agreement to the first text, and the wish to have it: again, as they were.
    says(&world.act("bob", id, "approve", first).await, 409, "changed since");
    says(&world.act("bob", id, "apply", first).await, 409, "changed since");
    says(&world.act("bob", id, "apply", second).await, 409, "0 of 1");
    // Back to the first text: it has to be agreed to anew.
    let back = world.post(&change, &world.both("ann"), &world.body(json!({ FILE: MORE }))).await;
    says(&back, 200, first);
    says(&world.act("bob", id, "apply", first).await, 409, "0 of 1");
    assert!(world.actions().iter().any(|known| known.1 == "policy.change"));
    let withdraw = format!("/v1/proposals/{id}/withdraw");
    says(&world.post(&withdraw, &world.both("bob"), &json!({})).await, 403, "somebody else's");
    says(&world.post(&withdraw, &world.both("ann"), &json!({})).await, 200, "withdrawn");
    assert!(world.actions().iter().any(|known| known.1 == "policy.withdraw"));
    says(&world.act("bob", id, "approve", first).await, 409, "not open");
    assert!(!world.file(FILE).exists());
}

#[tokio::test]
async fn a_change_of_another_revision_is_a_conflict() {
    let world = start().await;
    let (one, other) = (world.agreed(json!({ FILE: MORE })).await, world.agreed(json!({ FILE: "// other" })).await);
    let another = MORE.replace("guests\")\n", "visitors\")\n");
    let third = world.agreed(json!({ "policies/third.cedar": another })).await;
    says(&world.act("bob", &one.id, "apply", &one.digest).await, 200, "applied");
    for late in [&other, &third] {
        says(&world.act("bob", &late.id, "apply", &late.digest).await, 409, "revision 1 is not in force");
    }
    let mut stale = world.body(json!({ FILE: "// stale" }));
    stale["base"] = json!(1);
    says(&world.post("/v1/proposals", &world.both("ann"), &stale).await, 409, "revision 2 is in force");
    // Somebody edits the directory, and what they wrote is refused: what is in force is not what is there.
    let proposal = world.agreed(json!({ FILE: null })).await;
    std::fs::write(world.file("policies/odd.cedar"), "permit (").unwrap();
    says(&world.act("bob", &proposal.id, "apply", &proposal.digest).await, 409, "not what is in force");
    says(
        &world.post("/v1/proposals", &world.both("ann"), &world.body(json!({ FILE: "// x" }))).await,
        400,
        "odd.cedar",
    );
    std::fs::remove_file(world.file("policies/odd.cedar")).unwrap();
    says(&world.act("bob", &proposal.id, "apply", &proposal.digest).await, 200, "applied");
    assert!(!world.file(FILE).exists());
}

#[tokio::test]
async fn of_many_who_apply_at_once_one_does() {
    let world = start().await;
    let proposal = world.agreed(json!({ FILE: MORE })).await;
    let rival = world.agreed(json!({ FILE: "// another" })).await;
    let apply = |of: &shape::ProposalView| {
        let (id, digest) = (of.id.clone(), of.digest.clone());
        let world = &world;
        async move { world.act("bob", &id, "apply", &digest).await.status }
    };
    let all = tokio::join!(apply(&proposal), apply(&rival), apply(&proposal), apply(&rival), apply(&proposal));
    let mut all = [all.0, all.1, all.2, all.3, all.4];
    all.sort_unstable();
    assert_eq!(all, [200, 409, 409, 409, 409]);
    assert_eq!(world.number(), 2);
    let text = std::fs::read_to_string(world.file(FILE)).unwrap();
    assert!(text == MORE || text == "// another", "{text}");
}

#[tokio::test]
async fn only_policies_can_be_named_and_only_so_much_of_them() {
    let world = start().await;
    let token = world.both("ann");
    for name in [
        "targets.toml",
        "ssh_keys.toml",
        "../sluice.toml",
        "policies/../targets.toml",
        "/etc/passwd",
        "policies/.x.cedar",
        "apis/a.json",
        "policies/a/b.cedar",
        "policies/\u{202e}a.cedar",
        "",
    ] {
        for path in ["/v1/proposals", "/v1/policy/check", "/v1/policy/test"] {
            let body = match path {
                "/v1/proposals" => world.body(json!({ name: "x" })),
                _ => json!({ "files": { name: "x" } }),
            };
            says(&world.post(path, &token, &body).await, 400, "cannot be changed here");
        }
    }
    let many: serde_json::Map<String, Value> =
        (0..101).map(|at| (format!("policies/{at}.cedar"), json!("// a"))).collect();
    says(&world.post("/v1/proposals", &token, &world.body(many.into())).await, 400, "1 to 100 files");
    says(&world.post("/v1/proposals", &token, &world.body(json!({}))).await, 400, "1 to 100 files");
    let large = "/".repeat((1 << 20) + 1);
    says(&world.post("/v1/proposals", &token, &world.body(json!({ FILE: large }))).await, 400, "larger than 1 MiB");
    let huge = "/".repeat(5 << 20);
    says(&world.post("/v1/proposals", &token, &world.body(json!({ FILE: huge }))).await, 413, "too large");
    says(&world.post("/v1/proposals", &token, &world.body(json!({ FILE: "permit (" }))).await, 400, "more.cedar:1");
    says(&world.post("/v1/proposals", &token, &world.body(json!({ "classification.toml": null }))).await, 400, "empty");
    says(&world.post("/v1/proposals", &token, &world.body(json!({ "classification.toml": "" }))).await, 409, "nothing");
    // A case reads no file outside of the revision, and learns of none.
    let outside = world.dir.path().join("outside.catalog");
    std::fs::write(&outside, "secret").unwrap();
    for catalog in ["../../outside.catalog", outside.to_str().unwrap(), "/etc/passwd", "../../nowhere"] {
        let files = json!({ "files": { "tests/a.toml": cases("allow", catalog) } });
        let reply = world.post("/v1/policy/test", &token, &files).await;
        says(&reply, 200, "there is no such file in the revision");
        assert!(!reply.body.contains("secret") && !reply.body.contains("root:"), "{}", reply.body);
    }
    assert_eq!(world.actions().len(), 0, "none of it came to be");
}

#[tokio::test]
async fn what_gives_itself_rights_takes_two_as_well() {
    let world = start().await;
    let (author, nobody) = (world.token("ann", &["propose", "read"]), world.token("eve", &["read"]));
    let grab =
        "@id(\"grab\")\npermit (principal == Service::\"sluice|ann\", action in Action::\"admin:any\", resource);\n";
    let body = world.body(json!({ FILE: grab }));
    says(&world.post("/v1/proposals", &nobody, &body).await, 403, "admin:propose");
    let reply = world.post("/v1/proposals", &author, &body).await;
    let proposal = serde_json::from_str::<shape::ProposalFilesView>(&reply.body).unwrap().proposal;
    for how in ["approve", "apply"] {
        let path = format!("/v1/proposals/{}/{how}", proposal.id);
        for token in [&author, &nobody] {
            says(&world.post(&path, token, &json!({ "digest": proposal.digest })).await, 403, "admin:apply");
        }
    }
    // The same person by another name of theirs.
    let upper = world.token("ANN", &["apply"]);
    let path = format!("/v1/proposals/{}/approve", proposal.id);
    says(&world.post(&path, &upper, &json!({ "digest": proposal.digest })).await, 403, "their own");
    assert_eq!(world.number(), 1);
}

#[tokio::test]
async fn an_agreement_of_somebody_who_was_revoked_since_does_not_count() {
    let world = start().await;
    let proposal = world.agreed(json!({ FILE: MORE })).await;
    let revoke = json!({ "subject": "sluice|bob", "reason": "the laptop was stolen" });
    let revoked = world.post("/v1/revocations", &world.token("ops", &["sessions"]), &revoke).await;
    assert!(revoked.status < 300, "{}", revoked.body);
    let apply = async || world.act("eve", &proposal.id, "apply", &proposal.digest).await;
    says(&apply().await, 409, "0 of 1");
    let refusals = world.actions().into_iter().filter(|known| known.0 == "eve Deny" && known.1 == "policy.apply");
    assert_eq!(refusals.count(), 1);
    says(&world.act("carol", &proposal.id, "approve", &proposal.digest).await, 200, "open");
    says(&apply().await, 200, "applied");
}

#[tokio::test]
async fn an_agreement_by_a_token_that_was_revoked_since_does_not_count() {
    let world = start().await;
    let proposal = world.propose("ann", json!({ FILE: MORE })).await.proposal;
    let (path, digest) = (format!("/v1/proposals/{}/approve", proposal.id), json!({ "digest": proposal.digest }));
    says(&world.post(&path, &world.token_of("bob", &["read", "apply"], "stolen"), &digest).await, 200, "open");
    let revoke = json!({ "token_id": "sluice|stolen", "reason": "it was in a log" });
    let revoked = world.post("/v1/revocations", &world.token("ops", &["sessions"]), &revoke).await;
    assert!(revoked.status < 300, "{}", revoked.body);
    says(&world.act("eve", &proposal.id, "apply", &proposal.digest).await, 409, "0 of 1");
    says(&world.act("carol", &proposal.id, "approve", &proposal.digest).await, 200, "open");
    says(&world.act("eve", &proposal.id, "apply", &proposal.digest).await, 200, "applied");
}

#[tokio::test]
async fn what_is_changed_elsewhere_is_not_changed_here() {
    let world = World::start().await;
    let proposal = world.agreed(json!({ FILE: MORE })).await;
    says(&world.act("bob", &proposal.id, "apply", &proposal.digest).await, 409, "[policy] apply is off");
    let world = start().await;
    let proposal = world.agreed(json!({ FILE: MORE })).await;
    let (policies, moved) = (world.file("policies"), world.dir.path().join("moved"));
    std::fs::rename(&policies, &moved).unwrap();
    std::os::unix::fs::symlink(&moved, &policies).unwrap();
    says(&world.act("bob", &proposal.id, "apply", &proposal.digest).await, 409, "symbolic link");
    std::fs::remove_file(&policies).unwrap();
    std::fs::rename(&moved, &policies).unwrap();
    // A directory in the way of what would be written first.
    std::fs::create_dir(world.file("policies/.more.cedar.sluice-new")).unwrap();
    says(&world.act("bob", &proposal.id, "apply", &proposal.digest).await, 409, "directory cannot be changed");
    assert!(!world.file(FILE).exists());
    std::fs::remove_dir(world.file("policies/.more.cedar.sluice-new")).unwrap();
    says(&world.act("bob", &proposal.id, "apply", &proposal.digest).await, 200, "applied");
}

#[tokio::test]
async fn op_02_what_was_begun_is_finished_by_the_next_start_and_noted() {
    let world = start().await;
    let proposal = world.agreed(json!({ FILE: MORE })).await;
    let kept = world.node.state.proposal(proposal.id.parse().unwrap()).unwrap().unwrap();
    let by = SubjectKey { issuer: "sluice".into(), id: "bob".into() };
    let dir = world.stop().await;
    // What the process does that applies it, up to the moment at which it is killed.
    let pending = store::revision::Pending {
        proposal: kept.id,
        digest: kept.digest,
        by,
        at: Timestamp(1),
        changes: kept.changes.clone(),
    };
    store::revision::begin(&dir.path().join("data"), &dir.path().join("revision"), &pending).unwrap();
    assert!(!dir.path().join("revision").join(FILE).exists());
    let world = World::start_in(Arc::clone(&dir), ON).await;
    assert_eq!(std::fs::read_to_string(world.file(FILE)).unwrap(), MORE);
    let reply = world.get(&format!("/v1/proposals/{}", proposal.id), &world.both("bob")).await;
    let found: shape::ProposalFilesView = serde_json::from_str(&reply.body).unwrap();
    assert_eq!((&*found.proposal.status, found.proposal.revision), ("applied", Some(2)));
    assert!(!dir.path().join("data/revision.pending").exists());
}

/// A session of the order service in the journal.
fn opened(world: &World) {
    let subject = Subject {
        key: SubjectKey { issuer: "sluice".into(), id: "order-service".into() },
        kind: SubjectKind::Service,
        groups: vec!["sluice|orders".into()],
        on_behalf_of: vec![],
        expires_at: Timestamp(u64::MAX),
        binding: Binding::Bearer,
        token_id: None,
        credential: Credential::default(),
    };
    let session = model::id::SessionId::from_bits(77);
    let (target, database) = (Arc::from("payments"), Arc::from("payments"));
    let (source, application) = ("127.0.0.1".parse().unwrap(), Arc::from(""));
    let revision = world.node.revisions.current().id;
    world.node.recorder.note(Event::SessionOpened {
        session,
        subject,
        target,
        database,
        source,
        application,
        revision,
    });
    world.node.recorder.flush();
}

async fn ended(world: &World, id: &str) -> shape::SimulationView {
    let token = world.both("ann");
    for _ in 0..1000 {
        let reply = world.get(&format!("/v1/policy/simulations/{id}?limit=1"), &token).await;
        let view: shape::SimulationView = serde_json::from_str(&reply.body).unwrap();
        if view.status != "running" {
            return view;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    panic!("it does not end");
}

#[tokio::test]
async fn a_simulation_lists_what_would_go_otherwise_for_its_starter_alone() {
    let world = World::start().await;
    opened(&world);
    let without = crate::world::POLICIES.replace(
        "Group::\"sluice|orders\", action == Action::\"connect\"",
        "Group::\"sluice|x\", action == Action::\"connect\"",
    );
    assert_ne!(without, crate::world::POLICIES);
    let files = json!({ "policies/test.cedar": without });
    let wanted = json!({ "files": files, "since": "2020-01-01T00:00:00Z" });
    let simulate = async |token: &str, body: &Value| world.post("/v1/policy/simulations", token, body).await;
    says(&simulate(&world.token("eve", &["propose"]), &wanted).await, 403, "admin:audit");
    let begun: shape::SimulationView = serde_json::from_str(&simulate(&world.both("ann"), &wanted).await.body).unwrap();
    let found = ended(&world, &begun.id).await;
    assert_eq!((&*found.status, found.different, found.read), ("done", 1, found.entries));
    let counts = found.counts.unwrap();
    assert_eq!((counts.sessions, counts.changed_sessions, counts.changed_requests), (1, 1, 0));
    let change = &found.changes[0];
    assert_eq!((&*change.subject.id, &*change.target, change.count), ("order-service", "payments", 1));
    assert!(change.change.starts_with("connect: allow -> deny"), "{}", change.change);
    let path = format!("/v1/policy/simulations/{}", begun.id);
    assert_eq!(world.get(&path, &world.both("bob")).await.status, 404, "others do not learn of it");
    assert_eq!(world.post(&format!("{path}/cancel"), &world.both("bob"), &json!({})).await.status, 404);
    // What is done stays done.
    says(&world.post(&format!("{path}/cancel"), &world.both("ann"), &json!({})).await, 200, "done");
    let page = world.get(&format!("{path}?offset=1"), &world.both("ann")).await.json();
    assert_eq!((page["changes"].as_array().unwrap().len(), &page["different"]), (0, &json!(1)));
    assert!(world.actions().iter().any(|known| known.1 == "policy.simulate" && known.2.starts_with(&begun.id)));
    // A proposal is simulated by its id; what is not right is not simulated.
    let proposal = world.propose("ann", files).await.proposal;
    let of_it = json!({ "proposal": proposal.id, "since": "2020-01-01T00:00:00Z" });
    let begun: shape::SimulationView = serde_json::from_str(&simulate(&world.both("ann"), &of_it).await.body).unwrap();
    assert_eq!(ended(&world, &begun.id).await.different, 1);
    let broken = json!({ "files": { FILE: "permit (" }, "since": "2020-01-01T00:00:00Z" });
    says(&simulate(&world.both("ann"), &broken).await, 400, "more.cedar:1");
    says(&simulate(&world.both("ann"), &json!({ "since": "2020-01-01T00:00:00Z" })).await, 400, "either");
    // Sluice is to stop: nothing long goes on.
    world.stopping.draining.cancel();
    let begun: shape::SimulationView = serde_json::from_str(&simulate(&world.both("ann"), &wanted).await.body).unwrap();
    assert_eq!(ended(&world, &begun.id).await.status, "cancelled");
}
