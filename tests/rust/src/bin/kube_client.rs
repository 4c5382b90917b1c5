//! kube-rs: what it does with an API server behind Sluice.

use anyhow::{Context, Result, ensure};
use futures_util::TryStreamExt;
use k8s_openapi::api::core::v1::{ConfigMap, Pod, Secret};
use kube::api::{DeleteParams, ListParams, LogParams, Patch, PatchParams, PostParams, WatchEvent, WatchParams};
use kube::{Api, Client, Error, ResourceExt};
use serde_json::json;

#[tokio::main]
async fn main() -> Result<()> {
    let client = Client::try_default().await?;
    let pods: Api<Pod> = Api::namespaced(client.clone(), "dev");
    let mut names: Vec<_> = pods.list(&ListParams::default()).await?.iter().map(ResourceExt::name_any).collect();
    names.sort();
    ensure!(names == ["db", "web"], "{names:?}");

    let secret = Api::<Secret>::namespaced(client.clone(), "dev").get("db").await?;
    ensure!(secret.data.is_some_and(|data| !data["password"].0.is_empty()), "a secret without its password");

    let maps: Api<ConfigMap> = Api::namespaced(client.clone(), "dev");
    let mine = serde_json::from_value(json!({ "metadata": { "name": "rust" }, "data": { "a": "b" } }))?;
    maps.create(&PostParams::default(), &mine).await?;
    maps.patch("rust", &PatchParams::default(), &Patch::Merge(json!({ "data": { "a": "c" } }))).await?;
    let read = maps.get("rust").await?;
    ensure!(read.data.as_ref().is_some_and(|data| data["a"] == "c"), "{read:?}");

    let mut seen = Vec::new();
    let events = maps.watch(&WatchParams::default().timeout(10), "0").await?;
    futures_util::pin_mut!(events);
    while seen.len() < 2 {
        if let WatchEvent::Added(map) = events.try_next().await?.context("the watch ended")? {
            seen.push(map.name_any());
        }
    }
    seen.sort();
    ensure!(seen == ["rust", "settings"], "{seen:?}");

    maps.delete("rust", &DeleteParams::default()).await?;
    let logs = pods.logs("web", &LogParams::default()).await?;
    ensure!(logs.contains("starting web"), "{logs}");

    let elsewhere = Api::<Pod>::namespaced(client, "prod").list(&ListParams::default()).await;
    match elsewhere {
        Err(Error::Api(status)) => ensure!(status.code == 403 && status.reason == "Forbidden", "{status:?}"),
        other => anyhow::bail!("another namespace was shown: {other:?}"),
    }
    println!("all is well");
    Ok(())
}
