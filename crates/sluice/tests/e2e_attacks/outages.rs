//! Everything around Sluice down, two at a time (OP-06).

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use testkit::demo::site::{ORDER_SERVICE, Site, Tuning};
use testkit::issuer::Fault;
use testkit::postgres::{Options, Postgres};
use testkit::process::sluice;
use testkit::wait::eventually_blocking;

use crate::support::raw::Raw;
use crate::support::{LIMIT, binary};

/// What Sluice needs, or sends to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Around {
    Issuer,
    Witness,
    Sink,
    Target,
}

/// A receiver of a webhook. While it is down it closes every connection without a word.
struct Hook {
    address: SocketAddr,
    is_down: Arc<AtomicBool>,
    got: Arc<Mutex<BTreeSet<u64>>>,
}

impl Hook {
    /// The thread ends with the test's process.
    fn start() -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let hook = Self { address: listener.local_addr()?, is_down: Arc::default(), got: Arc::default() };
        let (is_down, got) = (Arc::clone(&hook.is_down), Arc::clone(&hook.got));
        std::thread::spawn(move || {
            for stream in listener.incoming().filter(|_| !is_down.load(Ordering::Relaxed)) {
                let mut stream = BufReader::new(stream.unwrap());
                let mut length = 0;
                let mut line = String::new();
                while line != "\r\n" {
                    line.clear();
                    if stream.read_line(&mut line).unwrap() == 0 {
                        break;
                    }
                    if let Some(value) = line.to_lowercase().strip_prefix("content-length:") {
                        length = value.trim().parse().unwrap();
                    }
                }
                let mut body = vec![0; length];
                if stream.read_exact(&mut body).is_err() {
                    continue;
                }
                let events: Vec<serde_json::Value> = serde_json::from_slice(&body).unwrap();
                got.lock().unwrap().extend(events.iter().map(|event| event["position"].as_u64().unwrap()));
                let _ =
                    stream.get_mut().write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
            }
        });
        Ok(hook)
    }
}

/// Sluice, and all that is around it.
struct Scene {
    site: Site,
    server: Postgres,
    hook: Hook,
    witness: Option<Child>,
    witness_address: String,
    /// What was answered: all of it, and nothing else, was executed.
    answered: BTreeSet<String>,
}

impl Drop for Scene {
    fn drop(&mut self) {
        self.end_witness();
    }
}

impl Scene {
    fn start() -> Result<Self> {
        let server = Postgres::start(Options::default())?;
        let payments = testkit::payments::load_into(&server, "outages", 100)?;
        let hook = Hook::start()?;
        let sluice_toml = format!(
            "[journal]\ncheckpoint_interval = \"1s\"\n[[sink]]\nname = \"hook\"\nkind = \"webhook\"\nurl = \"http://{}/\"\n\
             allow_http = true\nfrom = \"start\"\nsecret = {{ env = \"SLUICE_HOOK_SECRET\" }}\n",
            hook.address
        );
        let environment = vec![("SLUICE_HOOK_SECRET".into(), "of the hook".into())];
        let tuning = Tuning { sluice_toml, environment, ..Tuning::default() };
        let mut site = Site::prepare(&server, &payments, binary(), &tuning)?;
        // The witness has to have the journal's key first.
        site.start()?;
        site.stop()?;
        let mut scene = Self {
            site,
            server,
            hook,
            witness: None,
            witness_address: "127.0.0.1:0".into(),
            answered: BTreeSet::new(),
        };
        scene.start_witness()?;
        let configured = format!(
            "{}[[witness]]\nname = \"w1\"\nurl = \"http://{}\"\nkey = \"witness/witness.pub\"\nallow_http = true\n",
            std::fs::read_to_string(scene.site.config())?,
            scene.witness_address
        );
        std::fs::write(scene.site.config(), configured)?;
        scene.site.start()?;
        Ok(scene)
    }

    /// At the address that it had, if it had one.
    fn start_witness(&mut self) -> Result<()> {
        let mut command = Command::new(self.site.binary());
        command.args(["audit", "witness", "--name", "w.example", "--listen", &self.witness_address]);
        command
            .arg("--dir")
            .arg(self.site.home().join("witness"))
            .arg("--log")
            .arg(self.site.data().join("journal.pub"));
        let mut witness = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?;
        let mut line = String::new();
        BufReader::new(witness.stdout.as_mut().context("it is piped")?).read_line(&mut line)?;
        self.witness = Some(witness);
        self.witness_address = line.trim().rsplit(' ').next().context("it says where it listens")?.to_owned();
        Ok(())
    }

    fn end_witness(&mut self) {
        if let Some(mut witness) = self.witness.take() {
            let _ = witness.kill();
            let _ = witness.wait();
        }
    }

    fn take_down(&mut self, what: Around) -> Result<()> {
        match what {
            Around::Issuer => self.site.issuer().fail(Fault::Down),
            Around::Witness => self.end_witness(),
            Around::Sink => self.hook.is_down.store(true, Ordering::Relaxed),
            Around::Target => self.server.stop()?,
        }
        Ok(())
    }

    fn bring_back(&mut self, what: Around) -> Result<()> {
        match what {
            Around::Issuer => self.site.issuer().fail(Fault::None),
            Around::Witness => self.start_witness()?,
            Around::Sink => self.hook.is_down.store(false, Ordering::Relaxed),
            Around::Target => self.server.start_again()?,
        }
        Ok(())
    }

    async fn login(&self) -> Result<Raw> {
        Raw::login(&self.site, &self.site.token(&ORDER_SERVICE)?).await
    }

    /// Why a login with this token is refused.
    async fn refused(&self, token: &str) -> Result<String> {
        Ok(format!("{:#}", Raw::login(&self.site, token).await.err().context("it was let in")?))
    }

    /// A session is served as ever: what is permitted is answered, and what is not is refused.
    async fn is_served(&mut self, client: &mut Raw, name: String) -> Result<()> {
        let answer = client.simple(&format!("SELECT 7 AS {name}")).await?;
        ensure!(answer.errors().is_empty() && answer.column() == ["7"], "{name}: {answer:?}");
        ensure!(client.simple(&format!("SELECT pg_read_file('{name}')")).await?.errors() == ["42501"], "{name}");
        ensure!(self.answered.insert(name));
        Ok(())
    }

    /// Everything is as if nothing had been: who sends and who signs has caught up with the journal.
    fn is_healed(&self) -> Result<()> {
        let metric = |name: &str| self.site.metric(name);
        let written = u64::try_from(crate::support::record::events(&self.site)?.len())?;
        let caught_up = || {
            let witnessed = metric("sluice_witness_size{witness=\"w1\"}")?;
            let sent = metric("sluice_sink_lag_entries{sink=\"hook\"}")? == Some(0);
            Ok((witnessed.is_some_and(|size| size >= written) && sent).then_some(()))
        };
        eventually_blocking(LIMIT, "witness and sink to catch up", caught_up)?;
        for metric in ["sluice_sink_running{sink=\"hook\"}", "sluice_journal_writable"] {
            ensure!(self.site.metric(metric)? == Some(1), "{metric}");
        }
        ensure!(self.site.metric("sluice_witness_contradicts{witness=\"w1\"}")? != Some(1), "it contradicts");
        Ok(())
    }

    async fn outage(&mut self, pair: [Around; 2]) -> Result<()> {
        let name = format!("{:?}_{:?}", pair[0], pair[1]).to_lowercase();
        let mut live = self.login().await?;
        self.is_served(&mut live, format!("{name}_before")).await?;
        for what in pair {
            self.take_down(what)?;
        }
        let stranger = testkit::issuer::Issuer::start()?.issue(ORDER_SERVICE.grant())?;
        assert!(self.refused(&stranger).await?.contains("28000"), "{name}");
        if pair.contains(&Around::Target) {
            let ended = live.end().await?;
            assert!(matches!(ended.as_deref(), Some("08006" | "57P01" | "57P02")), "{name}: {ended:?}");
            assert!(self.refused(&self.site.token(&ORDER_SERVICE)?).await?.contains("08006"), "{name}");
        } else {
            // What is known of the issuer is believed, and nothing waits for a witness or a sink.
            self.is_served(&mut live, format!("{name}_during")).await?;
            let mut fresh = self.login().await?;
            self.is_served(&mut fresh, format!("{name}_fresh")).await?;
        }
        let (status, body) = self.site.process()?.get("/readyz")?;
        assert_eq!((status, body.trim()), (200, "ready"), "{name}: it can record, and so it is ready");
        for what in pair {
            self.bring_back(what)?;
        }
        let mut after = self.login().await.with_context(|| name.clone())?;
        self.is_served(&mut after, format!("{name}_after")).await?;
        self.is_healed().with_context(|| name.clone())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn op_06_two_things_at_a_time_are_down_and_nothing_gets_through_that_should_not() -> Result<()> {
    let mut scene = Scene::start()?;
    let all = [Around::Target, Around::Sink, Around::Witness, Around::Issuer];
    for (number, first) in all.into_iter().enumerate() {
        for second in &all[number + 1..] {
            scene.outage([first, *second]).await?;
        }
    }
    // A key that the issuer began to use while it was down is believed when it is back, and not before.
    scene.take_down(Around::Issuer)?;
    scene.site.issuer().rotate_keys(true)?;
    assert!(scene.refused(&scene.site.token(&ORDER_SERVICE)?).await?.contains("28000"));
    scene.bring_back(Around::Issuer)?;
    eventually_blocking(Duration::from_secs(100), "the issuer's new key", || {
        let token = scene.site.token(&ORDER_SERVICE)?;
        Ok(crate::support::rows(&scene.site, &token, "SELECT 7 AS rotated").ok().map(drop))
    })?;
    scene.answered.insert("rotated".into());

    let executed = scene.server.statement_log()?;
    let named = |text: &str| text.strip_prefix("SELECT 7 AS ").map(str::to_owned);
    let executed_names: BTreeSet<_> = executed.iter().filter_map(|entry| named(&entry.text)).collect();
    assert_eq!(executed_names, scene.answered, "executed is what was answered");
    assert!(!executed.iter().any(|entry| entry.text.contains("pg_read_file")), "what is refused is not executed");

    scene.site.stop()?;
    let (config, key) = (scene.site.config(), scene.site.home().join("witness/witness.pub"));
    let (config, key) = (config.display().to_string(), key.display().to_string());
    let verify = ["audit", "verify", "--witness-key", &key];
    sluice(scene.site.binary(), &verify, &[("SLUICE_CONFIG", config.as_str())])?.success()?;
    let entries = u64::try_from(crate::support::record::events(&scene.site)?.len())?;
    let got = scene.hook.got.lock().unwrap();
    assert_eq!(*got, (0..entries).collect(), "the receiver has every entry");
    Ok(())
}
