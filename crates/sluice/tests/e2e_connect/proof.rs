//! Workloads of SPIFFE, and tokens that are bound to a certificate.

use anyhow::Result;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::json;
use testkit::command::run;
use testkit::demo::site::{ORDER_SERVICE, Tuning};
use testkit::spiffe::WorkloadApi;
use testkit::spiffe::clients::trusting;

use crate::support::door::{Caller, Open};
use crate::support::site;

/// The SVID is fetched at the agent, which is other people's code, and again when the agent was restarted with a new key.
#[test]
fn a_workload_is_who_its_agent_says() -> Result<()> {
    let mut agent = WorkloadApi::start()?;
    let endpoint = format!("unix://{}", agent.socket().display());
    let bundles = format!("workload_api = \"{}\"\n", agent.socket().display());
    let site = &site("connect_spiffe", trusting(&bundles))?;
    let caller = Caller::nobody()?;
    let command = ["--", "psql", "-X", "-At", "-c", "SELECT count(*) FROM orders"];
    let connect = |arguments: &[&str]| caller.anybody(site, &[&[site.database()], arguments, &command].concat());
    let counted = run(connect(&["--workload-api", &endpoint])?, b"")?;
    assert_eq!(counted.success()?.trim(), "300");
    let mut by_variable = connect(&[])?;
    by_variable.env("SPIFFE_ENDPOINT_SOCKET", &endpoint);
    assert_eq!(run(by_variable, b"")?.success()?.trim(), "300");
    // For somebody else: Sluice does not take it.
    let refused = run(connect(&["--workload-api", &endpoint, "--audience", "other"])?, b"")?;
    assert!(refused.stderr.contains("the connection is not allowed"), "{}", refused.stderr);
    agent.end();
    agent.begin()?;
    testkit::wait::eventually_blocking(crate::support::LIMIT, "the new agent's SVID to be believed", || {
        Ok(run(connect(&["--workload-api", &endpoint])?, b"")?.status.success().then_some(()))
    })
}

/// RFC 8705: whoever has the token and not the certificate is nobody.
#[test]
fn a_bound_token_goes_through_the_door_of_whoever_has_its_certificate_and_is_renewed_there() -> Result<()> {
    let site = &site("connect_bound", Tuning::default())?;
    let caller = Caller::nobody()?;
    let own = rcgen::generate_simple_self_signed(["workload".to_owned()])?;
    std::fs::write(caller.home.path().join("own.crt"), own.cert.pem())?;
    std::fs::write(caller.home.path().join("own.key"), own.signing_key.serialize_pem())?;
    let bound = |lifetime: u64| -> Result<()> {
        let thumbprint = json!({ "x5t#S256": URL_SAFE_NO_PAD.encode(identity::thumbprint(own.cert.der()).0) });
        let grant = ORDER_SERVICE.grant().lifetime(std::time::Duration::from_secs(lifetime));
        let token = site.issuer().issue(grant.claim("cnf", thumbprint))?;
        // Whoever reads sees one token whole, or the other.
        let path = caller.home.path().join("token");
        std::fs::write(path.with_extension("new"), token)?;
        Ok(std::fs::rename(path.with_extension("new"), path)?)
    };
    bound(300)?;
    let without = [site.database(), "--token-file", "token"];
    let command = ["--", "psql", "-X", "-At", "-c", "SELECT 1"];
    let refused = run(caller.anybody(site, &[&without[..], &command].concat())?, b"")?;
    assert!(refused.stderr.contains("the connection is not allowed"), "{}", refused.stderr);
    let with = [&without[..], &["--certificate-file", "own.crt", "--key-file", "own.key"]].concat();
    let open = Open::start(&caller.anybody(site, &[&with[..], &["--no-password"]].concat())?, caller.log())?;
    let (host, port) = (open.address()?.ip().to_string(), open.address()?.port().to_string());
    let environment = [("PGHOST", host.as_str()), ("PGPORT", &port), ("PGUSER", "me"), ("PGDATABASE", site.database())];
    // A session that lives while the file gets another token.
    let mut client = testkit::command::client_command("psql")?;
    client.args(["-X", "-At"]).envs(environment);
    client.stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::piped());
    let mut client = client.spawn()?;
    testkit::wait::eventually_blocking(crate::support::LIMIT, "a session", || {
        let live = site.metric("sluice_sessions")?;
        Ok((live >= Some(1)).then_some(()))
    })?;
    bound(301)?;
    open.running.wait_for("sessions renewed", 1)?;
    std::io::Write::write_all(client.stdin.as_mut().expect("piped"), b"SELECT 7;\n")?;
    let output = client.wait_with_output()?;
    assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), "7");
    Ok(())
}
