//! A real Kubernetes cluster on loopback: etcd and kube-apiserver, and a node of kubelet, containerd and runc.
//!
//! There is neither a scheduler nor a controller: what runs names its node, and nothing is made of a Deployment.

mod node;

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;

use self::node::Node;
use crate::command::{Output, run};
use crate::keeper::Kept;
use crate::tls::{Authority, CertificateFiles};
use crate::wait::eventually_blocking;

/// How long a part of it may take to start.
const LIMIT: Duration = Duration::from_secs(120);

/// What is there to start it with.
#[derive(Clone, Debug)]
pub struct Programs {
    /// Where `kube-apiserver` and `kubelet` are.
    pub directory: PathBuf,
    /// `kubectl`.
    pub kubectl: PathBuf,
}

/// A running cluster; it ends with the value.
pub struct Cluster {
    // In this order: the processes end before their directory goes.
    node: Option<Node>,
    api: Kept,
    _etcd: Kept,
    programs: Programs,
    authority: Authority,
    port: u16,
    directory: TempDir,
}

impl Cluster {
    /// Starts the API server and its store.
    pub fn start(programs: &Programs) -> Result<Self> {
        let directory = tempfile::Builder::new().prefix("cluster-").tempdir()?;
        let [port, store, peers] = ports()?;
        let etcd = start_etcd(directory.path(), store, peers)?;
        let authority = Authority::generate("cluster")?;
        let api = start_api(programs, directory.path(), &authority, port, store)?;
        let cluster = Self { node: None, api, _etcd: etcd, programs: programs.clone(), authority, port, directory };
        cluster.write_kubeconfig("admin", "admin", "system:masters")?;
        let is_ready = || {
            ensure!(cluster.api.is_running(), "it has ended");
            Ok(cluster.kubectl(&["get", "--raw", "/readyz"])?.status.success().then_some(()))
        };
        eventually_blocking(LIMIT, "kube-apiserver", is_ready).with_context(|| cluster.log("apiserver"))?;
        Ok(cluster)
    }

    /// Starts its node, on which images of `image` can run, and waits until it is there. It has no network of its own: pods run in
    /// that of the host.
    pub fn start_node(&mut self, image: &Path) -> Result<()> {
        let kubeconfig = self.write_kubeconfig("kubelet", &format!("system:node:{}", node::NAME), "system:nodes")?;
        let node = Node::start(&self.programs, self.directory.path(), &self.authority, &kubeconfig, image)?;
        self.node = Some(node);
        let is_there = || Ok(self.kubectl(&["get", "node", node::NAME])?.status.success().then_some(()));
        eventually_blocking(LIMIT, "the node", is_there).with_context(|| self.log("kubelet"))
    }

    /// `https://127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        format!("https://127.0.0.1:{}", self.port)
    }

    /// The port of the API server.
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// What vouches for the API server, PEM.
    pub fn authority_pem(&self) -> &str {
        self.authority.certificate_pem()
    }

    /// A certificate of somebody whom the cluster knows by it.
    pub fn member(&self, user: &str, group: &str) -> Result<CertificateFiles> {
        self.authority.member(user, group)?.write(self.directory.path(), &user.replace(':', "-"))
    }

    /// Runs `kubectl` at the cluster itself, as its administrator.
    pub fn kubectl(&self, arguments: &[&str]) -> Result<Output> {
        self.kubectl_with(arguments, &[])
    }

    /// The same, with an input.
    pub fn kubectl_with(&self, arguments: &[&str], input: &[u8]) -> Result<Output> {
        let mut command = Command::new(&self.programs.kubectl);
        command.arg("--kubeconfig").arg(self.path("admin.kubeconfig")).args(arguments);
        command.env("HOME", self.directory.path());
        run(command, input)
    }

    /// The same, for what has to succeed: what it wrote.
    pub fn direct(&self, arguments: &[&str]) -> Result<String> {
        self.kubectl(arguments)?.success()
    }

    /// Applies a manifest.
    pub fn apply(&self, manifest: &str) -> Result<String> {
        self.kubectl_with(&["apply", "-f", "-"], manifest.as_bytes())?.success()
    }

    /// The audit log of the API server: an event of `audit.k8s.io/v1` on each line.
    pub fn audit(&self) -> Result<String> {
        Ok(fs::read_to_string(self.path("audit.log"))?)
    }

    /// What a part of it logged: `apiserver`, `etcd`, `containerd` or `kubelet`.
    pub fn log(&self, part: &str) -> String {
        fs::read_to_string(self.path(&format!("{part}.log"))).unwrap_or_default()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn write_kubeconfig(&self, name: &str, user: &str, group: &str) -> Result<PathBuf> {
        let files = self.authority.member(user, group)?.write(self.directory.path(), name)?;
        let path = self.path(&format!("{name}.kubeconfig"));
        let content = format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: it\n\
             clusters: [{{name: it, cluster: {{server: \"{}\", certificate-authority: {}}}}}]\n\
             users: [{{name: it, user: {{client-certificate: {}, client-key: {}}}}}]\n\
             contexts: [{{name: it, context: {{cluster: it, user: it}}}}]\n",
            self.url(),
            self.path("authority.crt").display(),
            files.certificate.display(),
            files.key.display(),
        );
        fs::write(&path, content)?;
        Ok(path)
    }
}

fn start_etcd(directory: &Path, store: u16, peers: u16) -> Result<Kept> {
    let (store, peers) = (format!("http://127.0.0.1:{store}"), format!("http://127.0.0.1:{peers}"));
    let mut command = Command::new("etcd");
    command.arg("--data-dir").arg(directory.join("etcd")).args(["--listen-client-urls", &store]);
    command.args(["--advertise-client-urls", &store, "--listen-peer-urls", &peers]);
    // What a test wrote is worth nothing after a crash.
    command.arg("--unsafe-no-fsync");
    Kept::spawn(&command, "TERM", None, &directory.join("etcd.log"))
}

fn start_api(programs: &Programs, directory: &Path, authority: &Authority, port: u16, store: u16) -> Result<Kept> {
    let at = |name: &str| directory.join(name);
    fs::write(at("authority.crt"), authority.certificate_pem())?;
    let server = authority.server(&["localhost", "127.0.0.1"])?.write(directory, "apiserver")?;
    let to_kubelet = authority.member("kube-apiserver", "system:masters")?.write(directory, "to-kubelet")?;
    let signing = authority.client("service-accounts")?.write(directory, "service-accounts")?;
    fs::write(at("audit.yaml"), "apiVersion: audit.k8s.io/v1\nkind: Policy\nrules: [{level: Metadata}]\n")?;
    let mut command = Command::new(programs.directory.join("kube-apiserver"));
    let mut option = |name: &str, value: &str| {
        command.arg(format!("--{name}={value}"));
    };
    let file = |path: &Path| path.display().to_string();
    option("etcd-servers", &format!("http://127.0.0.1:{store}"));
    option("secure-port", &port.to_string());
    option("bind-address", "127.0.0.1");
    option("advertise-address", "127.0.0.1");
    option("endpoint-reconciler-type", "none");
    option("tls-cert-file", &file(&server.certificate));
    option("tls-private-key-file", &file(&server.key));
    option("client-ca-file", &file(&at("authority.crt")));
    option("authorization-mode", "Node,RBAC");
    option("service-account-issuer", "https://kubernetes.default.svc");
    option("service-account-key-file", &file(&signing.certificate));
    option("service-account-signing-key-file", &file(&signing.key));
    // Nobody makes the default account of a namespace, nor takes the taint off a node that is ready.
    option("disable-admission-plugins", "ServiceAccount,TaintNodesByCondition");
    option("kubelet-client-certificate", &file(&to_kubelet.certificate));
    option("kubelet-client-key", &file(&to_kubelet.key));
    option("kubelet-certificate-authority", &file(&at("authority.crt")));
    option("kubelet-preferred-address-types", "Hostname");
    option("service-cluster-ip-range", "10.96.0.0/16");
    option("audit-policy-file", &file(&at("audit.yaml")));
    option("audit-log-path", &file(&at("audit.log")));
    option("allow-privileged", "true");
    Kept::spawn(&command, "TERM", None, &at("apiserver.log"))
}

/// Ports that nobody listens on: the programs cannot say which they got.
fn ports<const COUNT: usize>() -> Result<[u16; COUNT]> {
    let listeners: Vec<TcpListener> =
        (0..COUNT).map(|_| TcpListener::bind("127.0.0.1:0")).collect::<std::io::Result<_>>()?;
    let mut ports = [0; COUNT];
    for (port, listener) in ports.iter_mut().zip(&listeners) {
        *port = listener.local_addr()?.port();
    }
    Ok(ports)
}
