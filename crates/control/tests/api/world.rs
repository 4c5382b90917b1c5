//! A node with its listeners, and a client that says exactly what a test wants it to.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use control::Stopping;
use gateway::node::{LOCAL_AUDIENCE, LOCAL_ISSUER_URL, Node, StartError, local_key};
use identity::Claims;
use model::event::Event;
use serde_json::Value;
use store::config::Config;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

const SLUICE: &str = "[listen.postgres]\naddress = \"127.0.0.1:0\"\n[listen.admin]\naddress = \"127.0.0.1:0\"\n";
const TARGETS: &str = r#"
[payments]
protocol = "postgres"
address = "127.0.0.1:1"
databases = ["payments"]
labels = { env = "prod" }
credential = { user = "sluice", password = { env = "NOT_USED" } }
retention = "400d"

[web1]
protocol = "ssh"
address = "127.0.0.1:1"
logins = ["deploy", "backup"]
host_keys = ["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIIbnx30wS9/8yPUhuDtlqfcnCCQFIMYEr7x3ozzzMve+"]
credential = { certificate = true }
"#;
pub(crate) const POLICIES: &str = include_str!("policies.cedar");

pub(crate) struct World {
    pub(crate) node: Arc<Node>,
    pub(crate) address: SocketAddr,
    pub(crate) stopping: Stopping,
    pub(crate) dir: Arc<TempDir>,
    serving: Vec<JoinHandle<()>>,
}

/// What came back.
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Reply {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }
}

impl World {
    pub(crate) async fn start() -> Self {
        let dir = Arc::new(TempDir::new().unwrap());
        Self::start_in(dir, "").await
    }

    /// In a directory that may have been used before, with more in its configuration.
    pub(crate) async fn start_in(dir: Arc<TempDir>, more: &str) -> Self {
        Self::start_with(dir, more, POLICIES).await
    }

    /// Likewise, with these policies beside the baseline.
    pub(crate) async fn start_with(dir: Arc<TempDir>, more: &str, test_policies: &str) -> Self {
        Self::start_of(dir, more, test_policies, "").await
    }

    /// Likewise, with more targets.
    pub(crate) async fn start_of(dir: Arc<TempDir>, more: &str, test_policies: &str, targets: &str) -> Self {
        let policies = dir.path().join("revision/policies");
        std::fs::create_dir_all(&policies).unwrap();
        let file = dir.path().join("sluice.toml");
        std::fs::write(&file, format!("{SLUICE}{more}")).unwrap();
        std::fs::write(dir.path().join("revision/targets.toml"), format!("{TARGETS}{targets}")).unwrap();
        std::fs::write(dir.path().join("revision/classification.toml"), "").unwrap();
        std::fs::write(policies.join("baseline.cedar"), policy::BASELINE).unwrap();
        std::fs::write(policies.join("test.cedar"), test_policies).unwrap();
        let node = loop {
            // What the one before had begun may still hold the journal for a moment.
            match Node::open(Config::load(&file).unwrap()) {
                Err(StartError::Journal(ledger::OpenError::InUse)) => {
                    tokio::time::sleep(Duration::from_millis(10)).await
                }
                result => break result.unwrap(),
            }
        };
        let stopping = Stopping::default();
        let postgres = gateway::postgres::Listener::bind(&node).await.unwrap();
        let admin = control::Listener::bind(&node).await.unwrap();
        let address = admin.address();
        let serving = vec![
            tokio::spawn(gateway::serve(Arc::clone(&node), postgres, stopping.stop.clone())),
            tokio::spawn(control::serve(Arc::clone(&node), admin, stopping.clone())),
        ];
        Self { node, address, stopping, dir, serving }
    }

    /// Ends it in order, and gives its directory back.
    pub(crate) async fn stop(mut self) -> Arc<TempDir> {
        self.stopping.stop.cancel();
        for task in self.serving.drain(..) {
            task.await.unwrap();
        }
        Arc::clone(&self.dir)
    }

    /// A token for `sluice|NAME` in the groups `sluice|GROUP`.
    pub(crate) fn token(&self, name: &str, groups: &[&str]) -> String {
        self.token_of(name, groups, "test")
    }

    /// Likewise, with this id.
    pub(crate) fn token_of(&self, name: &str, groups: &[&str], token_id: &str) -> String {
        let groups: Vec<Arc<str>> = groups.iter().map(|group| Arc::from(*group)).collect();
        let claims = Claims {
            issuer: LOCAL_ISSUER_URL,
            audience: LOCAL_AUDIENCE,
            subject: name,
            groups: &groups,
            lifetime: 300,
            token_id,
        };
        local_key(&self.node.layout()).unwrap().sign(&claims, gateway::clock::now()).expose().clone()
    }

    pub(crate) async fn get(&self, path: &str, token: &str) -> Reply {
        self.send("GET", path, &[("Authorization", &format!("Bearer {token}"))], "").await
    }

    pub(crate) async fn post(&self, path: &str, token: &str, body: &Value) -> Reply {
        let headers = [("Authorization", format!("Bearer {token}")), ("Content-Type", "application/json".into())];
        let headers = headers.each_ref().map(|(name, value)| (*name, value.as_str()));
        self.send("POST", path, &headers, &body.to_string()).await
    }

    /// With the right Host, unless the headers name another one.
    pub(crate) async fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Reply {
        let mut request = format!("{method} {path} HTTP/1.1\r\nConnection: close\r\n");
        if !headers.iter().any(|(name, _)| *name == "Host") {
            request.push_str(&format!("Host: {}\r\n", self.address));
        }
        headers.iter().for_each(|(name, value)| request.push_str(&format!("{name}: {value}\r\n")));
        request.push_str(&format!("Content-Length: {}\r\n\r\n{body}", body.len()));
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        // A refusal may come before the end of the request.
        let _ = stream.write_all(request.as_bytes()).await;
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer).await;
        let answer = String::from_utf8(answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no answer: {answer:?}"));
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        let is_chunked = head.to_ascii_lowercase().contains("transfer-encoding: chunked");
        Reply { status, head: head.into(), body: if is_chunked { unchunk(body) } else { body.into() } }
    }

    /// Every event in the journal, in order.
    pub(crate) fn journal(&self) -> Vec<Event> {
        self.node.recorder.flush();
        let mut reader = self.node.recorder.journal().reader(0);
        std::iter::from_fn(move || reader.next().unwrap()).map(|(_, entry)| entry.event).collect()
    }

    /// Waits until the index has caught up with the journal.
    pub(crate) async fn indexed(&self) {
        self.node.recorder.flush();
        let until = Instant::now() + Duration::from_secs(10);
        let all = self.node.recorder.journal().size();
        while self.node.state.indexed_to().unwrap().is_none_or(|position| position + 1 < all) {
            assert!(Instant::now() < until, "the index does not follow");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.stopping.stop.cancel();
    }
}

fn unchunk(mut body: &str) -> String {
    let mut out = String::new();
    while let Some((size, rest)) = body.split_once("\r\n") {
        let size = usize::from_str_radix(size, 16).unwrap();
        out.push_str(&rest[..size]);
        body = &rest[(size + 2).min(rest.len())..];
        if size == 0 {
            break;
        }
    }
    out
}
