//! What everyday traffic needs.

use std::process::Command;

use anyhow::Result;
use serde_json::Value;
use testkit::api::Options;
use testkit::command::{run, workspace_root};

use crate::ground::{CALLER, CLEARED, Ground, Tuning};
use crate::support::memory;

#[test]
fn requests_and_answers_pass_in_both_versions_to_both() -> Result<()> {
    for two in [false, true] {
        let api = Options { two, ..Options::default() };
        let ground = Ground::tuned(Tuning { api, ..Tuning::default() })?;
        for (version, argument) in [("1.1", "--http1.1"), ("2", "--http2")] {
            let arguments =
                [argument, "-X", "PUT", "-H", "Content-Type: text/plain", "-d", "hello", "-H", "X-Mine: yes"];
            let answer = ground.ask(CALLER, "/echo?b=2&a=1", &arguments)?;
            assert_eq!((answer.status, answer.version.as_str()), (200, version), "{answer:?}");
            let seen = answer.json();
            assert_eq!(seen["method"], "PUT");
            assert_eq!((&seen["path"], &seen["body"]), (&"/echo?b=2&a=1".into(), &"hello".into()));
            assert!(answer.field("sluice-request").is_some());
        }
        let reached = ground.api.reached()?;
        assert_eq!(reached.len(), 2);
        for one in reached {
            assert_eq!(one.version, if two { "2.0" } else { "1.1" });
            assert_eq!((one.field("x-mine"), one.field("authorization")), (Some("yes"), None), "{one:?}");
        }
    }
    Ok(())
}

#[test]
fn a_target_is_found_by_its_host_or_below_its_path() -> Result<()> {
    let ground = Ground::new()?;
    let answer = ground.ask(CLEARED, "/v1/customers/7", &[])?;
    assert_eq!((answer.status, &answer.json()["id"]), (200, &7.into()));
    let address = ground.site.process()?.address("http")?;
    let token = ground.token("erin", CLEARED)?;
    let mut command = ground.curl(&["-D", "-", "-o", "-", "-H", &format!("Authorization: Bearer {token}")])?;
    command.arg(format!("https://127.0.0.1:{}/shop/v1/customers/8?x=y", address.port()));
    let answer = crate::ground::answer(&run(command, b"")?)?;
    assert_eq!((answer.status, &answer.json()["id"]), (200, &8.into()), "{answer:?}");
    let paths: Vec<_> = ground.api.reached()?.into_iter().map(|one| one.path).collect();
    assert_eq!(paths, ["/v1/customers/7", "/v1/customers/8?x=y"]);
    Ok(())
}

#[test]
fn pythons_client_keeps_its_connection_and_streams() -> Result<()> {
    let ground = Ground::new()?;
    let port = ground.site.process()?.address("http")?.port().to_string();
    let mut command = Command::new("python3");
    command.arg(workspace_root().join("tests/python/http_client.py")).arg(port).arg(ground.site.ca());
    command.arg(ground.token("erin", CLEARED)?);
    let said: Value = serde_json::from_str(&run(command, b"")?.success()?)?;
    let statuses: Vec<_> = said["seen"].as_array().unwrap().iter().map(|one| one["status"].as_u64().unwrap()).collect();
    assert_eq!(statuses, [200, 200, 200, 200, 200, 403, 200], "{said}");
    assert_eq!((&said["one_connection"], &said["seen"][4]["length"]), (&true.into(), &3_000_000.into()), "{said}");
    let reached = ground.api.reached()?;
    let sizes: Vec<_> = reached.iter().map(|one| (one.method.as_str(), one.bytes)).collect();
    assert_eq!(sizes[1..3], [("POST", 64 * 7 * 2048), ("PUT", 100_000)]);
    Ok(())
}

#[test]
fn streams_of_one_connection_run_side_by_side() -> Result<()> {
    let ground = Ground::new()?;
    let bearer = format!("Authorization: Bearer {}", ground.token("erin", CALLER)?);
    let mut command = ground.curl(&["--http2", "-Z", "--parallel-max", "40", "-H", &bearer])?;
    command.args(["-o", "/dev/null", "-w", "%{http_code}\n", &ground.url("/v1/customers/[1-200]")?]);
    let codes = run(command, b"")?.success()?;
    assert_eq!(codes.lines().filter(|code| *code == "200").count(), 200, "{codes}");
    assert_eq!(ground.api.reached()?.len(), 200);
    Ok(())
}

#[test]
fn a_large_answer_and_a_large_body_cost_little_memory() -> Result<()> {
    const SIZE: usize = 32 << 20;
    let ground = Ground::tuned(Tuning { target: "max_body = \"1GiB\"\n".to_owned(), ..Tuning::default() })?;
    ground.ask(CALLER, "/echo", &[])?;
    let before = memory(&ground.site)?;
    let bearer = format!("Authorization: Bearer {}", ground.token("erin", CALLER)?);
    let mut command = ground.curl(&["-H", &bearer, "-o", "/dev/null", "-w", "%{size_download}"])?;
    command.arg(ground.url(&format!("/large?bytes={SIZE}"))?);
    assert_eq!(run(command, b"")?.success()?, SIZE.to_string());
    let file = ground.folder.path().join("large");
    std::fs::File::create(&file)?.set_len(u64::try_from(SIZE)?)?;
    let data = format!("@{}", file.display());
    let answer = ground.ask(
        CALLER,
        "/echo",
        &["-X", "PUT", "-H", "Content-Type: application/octet-stream", "-T", &data[1..]],
    )?;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(ground.api.reached()?[2].bytes, u64::try_from(SIZE)?);
    let after = memory(&ground.site)?;
    assert!(after < before + (24 << 20), "{before} {after}");
    Ok(())
}
