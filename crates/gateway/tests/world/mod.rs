//! A whole small world in one process: a PostgreSQL server, an issuer, and a node in between.
#![allow(dead_code, unreachable_pub, missing_docs, reason = "each test program uses a part of it")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

pub mod client;
pub mod disk;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use gateway::node::Node;
use gateway::postgres::Listener;
use testkit::command::{Output, psql_with_input};
use testkit::issuer::{Grant, Issuer};
use testkit::payments::{self, Payments};
use testkit::postgres::Postgres;
use tokio_util::sync::CancellationToken;

/// The story's policies: order-service reads, with everything classified masked; cashier writes; dba approves.
pub const POLICIES: &str = r#"
@id("connect")
permit (principal in Group::"apps", action == Action::"connect", resource);

@id("order-service-reads")
permit (principal in Group::"readers", action in Action::"read", resource in Namespace::"payments/payments/public");

@id("cashier-writes")
permit (principal in Group::"cashiers", action in Action::"write", resource)
when {
  resource in Table::"payments/payments/public/orders" ||
  resource in Table::"payments/payments/public/payments" ||
  resource in Table::"payments/payments/public/refunds"
};

@id("migrations")
permit (principal in Group::"migrations", action, resource in Database::"payments/payments")
unless { action in Action::"admin:any" };

@id("migrations-set")
permit (principal in Group::"migrations", action == Action::"set", resource in SettingClass::"meaning");

@id("pathfinders")
permit (principal in Group::"pathfinders", action in Action::"read", resource in Namespace::"payments/payments/hidden");

@id("pathfinders-set")
permit (principal in Group::"pathfinders", action == Action::"set", resource);

@id("writers")
permit (principal in Group::"writers", action in Action::"write", resource in Namespace::"payments/payments/public");

@id("reasoners")
permit (principal in Group::"reasoners", action == Action::"reveal", resource) when { context has reason };

@id("supporters-see")
permit (principal in Group::"supporters", action == Action::"reveal", resource);

@id("supporters-see-no-ssn")
forbid (principal in Group::"supporters", action == Action::"reveal", resource is Column)
when { resource.table == "customers" && resource.name == "ssn" };

@id("see-all")
permit (principal in Group::"cleared", action == Action::"reveal", resource);

@id("prod-delete-needs-dba")
@require_approval("dba")
@message("DELETE on production tables needs approval by group dba")
forbid (principal, action in [Action::"delete", Action::"truncate"], resource is Table)
when { resource.hasTag("env") && resource.getTag("env") == "prod" }
unless { context has approval && context.approval.groups.contains("dba") };
"#;

/// Which columns of the demo database are classified.
pub const CLASSIFICATION: &str = r#"
[classes.card_number]
mask = "partial"
keep_last = 4

[[column]]
match = "public.cards.number"
classes = ["card_number"]
[[column]]
match = "public.cards.cvv"
classes = ["card_cvv"]
[[column]]
match = "public.customers.email"
classes = ["email"]
[[column]]
match = "public.customers.ssn"
classes = ["us_ssn"]
[[column]]
match = "public.dues.ssn"
classes = ["us_ssn"]
[[column]]
match = "public.customers.phone"
classes = ["phone"]
"#;

/// The world; it ends when it is dropped.
pub struct World {
    pub issuer: Issuer,
    pub payments: Payments,
    pub server: Postgres,
    pub node: Arc<Node>,
    pub address: SocketAddr,
    pub dir: tempfile::TempDir,
    stop: CancellationToken,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl World {
    /// Starts everything, with a demo database of `rows` rows.
    pub fn start(rows: usize) -> Self {
        Self::start_with(rows, |_, _, _| {})
    }

    /// Starts everything; `more` may put other databases beside the demo's, and change the configuration for them.
    pub fn start_with(rows: usize, more: impl FnOnce(&Postgres, &Payments, &std::path::Path)) -> Self {
        Self::start_on(Arc::new(ledger::RealDisk), rows, more)
    }

    /// As [`World::start_with`], with the journal and the tapes on this disk.
    pub fn start_on(
        disk: Arc<dyn ledger::Disk>,
        rows: usize,
        more: impl FnOnce(&Postgres, &Payments, &std::path::Path),
    ) -> Self {
        let server = Postgres::start(testkit::postgres::Options::default()).expect("PostgreSQL starts");
        let payments = payments::load(&server, rows).expect("the demo database loads");
        let issuer = Issuer::start().expect("the issuer starts");
        let dir = tempfile::tempdir().unwrap();
        write_configuration(&dir, &server, &payments, &issuer);
        more(&server, &payments, dir.path());
        let _ = tracing_subscriber::fmt()
            .with_env_filter(std::env::var("SLUICE_LOG").unwrap_or_default())
            .with_test_writer()
            .try_init();
        let config = store::config::Config::load(&dir.path().join("sluice.toml")).expect("the configuration is right");
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let (node, listener) = runtime.block_on(async {
            let opening = tokio::task::spawn_blocking(move || Node::open_on(config, disk));
            let node = opening.await.unwrap().expect("the node opens");
            let listener = Listener::bind(&node).await.expect("the listener binds");
            (node, listener)
        });
        let (address, stop) = (listener.address(), CancellationToken::new());
        let (served, stopped) = (Arc::clone(&node), stop.clone());
        let thread = std::thread::spawn(move || runtime.block_on(gateway::serve(served, listener, stopped)));
        Self { issuer, payments, server, node, address, dir, stop, thread: Some(thread) }
    }

    /// A token for a subject in groups.
    pub fn token(&self, subject: &str, groups: &[&str]) -> String {
        self.issuer.issue(Grant::new(subject).groups(groups.iter().copied())).unwrap()
    }

    /// order-service, which reads.
    pub fn reader(&self) -> String {
        self.token("order-service", &["apps", "readers"])
    }

    /// Runs psql through Sluice.
    pub fn psql(&self, token: &str, arguments: &[&str]) -> Output {
        self.psql_with(token, arguments, "")
    }

    /// Runs psql through Sluice with a script on its standard input.
    pub fn psql_with(&self, token: &str, arguments: &[&str], input: &str) -> Output {
        let environment = self.environment(token);
        let environment: Vec<_> = environment.iter().map(|(name, value)| (*name, value.as_str())).collect();
        psql_with_input(arguments, &environment, input.as_bytes()).unwrap()
    }

    /// What psql needs to know to come in.
    pub fn environment(&self, token: &str) -> [(&'static str, String); 8] {
        [
            ("PGHOST", self.address.ip().to_string()),
            ("PGPORT", self.address.port().to_string()),
            ("PGUSER", "app".into()),
            ("PGDATABASE", "payments".into()),
            ("PGPASSWORD", token.into()),
            ("PGSSLMODE", "verify-full".into()),
            ("PGSSLROOTCERT", self.ca().display().to_string()),
            ("PGCONNECT_TIMEOUT", "20".into()),
        ]
    }

    /// One statement's rows as psql prints them unaligned.
    pub fn rows(&self, token: &str, sql: &str) -> String {
        self.psql(token, &["-X", "-A", "-t", "-c", sql]).success().unwrap()
    }

    /// Tells the node to stop.
    pub fn stop(&self) {
        self.stop.cancel();
    }

    fn ca(&self) -> PathBuf {
        self.node.layout().tls().join("ca.pem")
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.stop.cancel();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn write_configuration(dir: &tempfile::TempDir, server: &Postgres, payments: &Payments, issuer: &Issuer) {
    use std::os::unix::fs::PermissionsExt;
    let at = |name: &str| dir.path().join(name);
    std::fs::create_dir_all(at("revision/policies")).unwrap();
    std::fs::write(at("password"), &payments.login.password).unwrap();
    std::fs::set_permissions(at("password"), std::fs::Permissions::from_mode(0o600)).unwrap();
    let sluice = format!(
        r#"data_dir = "data"
revision_dir = "revision"
[listen.postgres]
address = "127.0.0.1:0"
[listen.admin]
address = "127.0.0.1:0"
[[issuer]]
alias = "corp"
url = "{}"
allow_http = true
audience = "sluice"
groups_claim = "groups"
bare_groups = "*"
"#,
        issuer.url()
    );
    std::fs::write(at("sluice.toml"), sluice).unwrap();
    let targets = format!(
        r#"[payments]
protocol = "postgres"
address = "{}:{}"
databases = ["payments"]
labels = {{ env = "prod" }}
credential = {{ user = "{}", password = {{ file = "{}" }} }}
ca_file = "{}"
"#,
        server.host(),
        server.port(),
        payments.login.user,
        at("password").display(),
        server.ca_certificate().display(),
    );
    std::fs::write(at("revision/targets.toml"), targets).unwrap();
    std::fs::write(at("revision/classification.toml"), CLASSIFICATION).unwrap();
    std::fs::write(at("revision/policies/baseline.cedar"), policy::BASELINE).unwrap();
    std::fs::write(at("revision/policies/story.cedar"), POLICIES).unwrap();
}
