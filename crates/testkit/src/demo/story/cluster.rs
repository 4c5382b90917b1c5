//! A cluster behind the same gate: what kubectl may see and do, and what waits for a human.

use anyhow::Result;

use super::super::stage::Stage;
use super::approvals::as_person;

pub(super) fn tell(stage: &mut Stage<'_>) -> Result<()> {
    stage.part(
        "Kubernetes, by kubectl as it is",
        "policies/60-cluster.cedar lets kim work in one namespace. `sluice connect --kubeconfig` wrote $KUBECONFIG, which names\n\
         the program that gets her token, and holds none. The cluster's own token is Sluice's.",
    )?;
    let shown = stage.shell("kubectl -n dev get pods")?;
    stage.check("she sees the pods of her namespace", shown.succeeded && shown.has(&["web", "db"]))?;
    let shown = stage.shell("kubectl -n dev get secret db -o yaml")?;
    let password = "Y2FuYXJ5LWRldi1wYXNzd29yZA";
    stage.check("a secret has its name, and no value", shown.has(&["password:"]) && !shown.has(&[password]))?;
    stage.terminal.remark("What no policy permits is the API server's own kind of refusal:");
    let shown = stage.shell("kubectl -n prod get pods")?;
    stage.check("Forbidden, and the request to look up", shown.has(&["Error from server (Forbidden)", "request "]))?;
    privileged(stage)?;
    zero_waits(stage)
}

fn privileged(stage: &Stage<'_>) -> Result<()> {
    stage.terminal.remark("The body of a request counts too: this pod would have the rights of its node.");
    let privileged = r#"{"spec":{"containers":[{"name":"a","image":"a","securityContext":{"privileged":true}}]}}"#;
    let shown = stage.shell(&format!("kubectl -n dev run a --image=a --overrides='{privileged}'"))?;
    stage.check("it is not made", shown.has(&["rights on their node"]))
}

fn zero_waits(stage: &Stage<'_>) -> Result<()> {
    stage.terminal.remark("Scaling to nothing waits:");
    let mut waiting = stage.begin("kubectl -n dev scale deployment/web --replicas=0")?;
    let approval = stage.eventually("the question", || {
        let shown = stage.quietly(&as_person("dana", "approvals list"))?;
        let line = shown.text.lines().find(|line| line.contains("kim"));
        Ok(line.and_then(|line| line.split_whitespace().next()).map(str::to_owned))
    })?;
    let shown = stage.shell(&as_person("dana", &format!("approvals show {approval}")))?;
    stage.check("dana sees what is asked", shown.has(&["deployments", "scale", "kim"]))?;
    let shown = stage.shell(&as_person("dana", &format!("approvals approve {approval}")))?;
    stage.check("she approves", shown.succeeded)?;
    let answer = waiting.finish()?;
    stage.terminal.output(&answer);
    let patched = stage.cluster().reached()?.into_iter().filter(|one| one.method == "PATCH").count();
    stage.check("it was done, once", answer.contains("scaled") && patched == 1)?;
    stage.terminal.remark("And the record has it, beside everything else that kim did:");
    let (search, all) = (as_person("vera", "audit search --target prod --limit 20"), ["scale", "secrets"]);
    // The index is a moment behind the journal.
    stage.eventually("the index", || Ok(stage.quietly(&search)?.has(&all).then_some(())))?;
    let shown = stage.shell(&search)?;
    stage.check("all of it is found", shown.succeeded && shown.has(&all))
}
