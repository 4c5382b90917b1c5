//! The node of a cluster: containerd, and the kubelet that has pods run by it.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};

use super::{LIMIT, Programs, ports};
use crate::command::run;
use crate::keeper::Kept;
use crate::tls::Authority;
use crate::wait::eventually_blocking;

/// How it is called: what the API server reaches it by too.
pub(super) const NAME: &str = "localhost";

const CONTAINERD: &str = r#"
version = 2
root = "@/containerd"
state = "@/containerd-state"
[grpc]
address = "@/containerd.sock"
[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = "sluice.test/busybox:1"
# Where one may not make oneself less likely to be killed.
restrict_oom_score_adj = true
[plugins."io.containerd.grpc.v1.cri".containerd]
snapshotter = "native"
"#;

const KUBELET: &str = r#"
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
authentication: {anonymous: {enabled: false}, webhook: {enabled: false}, x509: {clientCAFile: "@/authority.crt"}}
authorization: {mode: AlwaysAllow}
address: 127.0.0.1
port: #PORT#
healthzPort: 0
tlsCertFile: "@/kubelet-server.crt"
tlsPrivateKeyFile: "@/kubelet-server.key"
cgroupDriver: cgroupfs
cgroupsPerQOS: false
enforceNodeAllocatable: []
failSwapOn: false
oomScoreAdj: 0
podLogsDir: "@/pod-logs"
containerRuntimeEndpoint: "unix://@/containerd.sock"
localStorageCapacityIsolation: false
makeIPTablesUtilChains: false
evictionHard: {memory.available: "0%", nodefs.available: "0%", imagefs.available: "0%"}
"#;

/// A running node.
pub(super) struct Node {
    // The kubelet ends before what it runs pods by.
    _kubelet: Kept,
    _containerd: Kept,
}

impl Node {
    pub(super) fn start(
        programs: &Programs,
        directory: &Path,
        authority: &Authority,
        kubeconfig: &Path,
        image: &Path,
    ) -> Result<Self> {
        let at = |name: &str| directory.join(name);
        let filled = |template: &str| template.replace('@', &directory.display().to_string());
        fs::write(at("containerd.toml"), filled(CONTAINERD))?;
        let mut command = Command::new("containerd");
        command.arg("--config").arg(at("containerd.toml"));
        let containerd = Kept::spawn(&command, "TERM", None, &at("containerd.log"))?;
        import(directory, &containerd, image)
            .with_context(|| fs::read_to_string(at("containerd.log")).unwrap_or_default())?;
        authority.server(&["localhost", "127.0.0.1"])?.write(directory, "kubelet-server")?;
        let [port] = ports()?;
        fs::write(at("kubelet.yaml"), filled(KUBELET).replace("#PORT#", &port.to_string()))?;
        let mut command = Command::new(programs.directory.join("kubelet"));
        command.arg("--config").arg(at("kubelet.yaml")).arg("--kubeconfig").arg(kubeconfig);
        command.args(["--hostname-override", NAME]).arg("--root-dir").arg(at("kubelet"));
        let kubelet = Kept::spawn(&command, "TERM", None, &at("kubelet.log"))?;
        Ok(Self { _kubelet: kubelet, _containerd: containerd })
    }
}

fn import(directory: &Path, containerd: &Kept, image: &Path) -> Result<()> {
    let ctr = |arguments: &[&str]| {
        let mut command = Command::new("ctr");
        command.arg("--address").arg(directory.join("containerd.sock")).args(["--namespace", "k8s.io"]).args(arguments);
        run(command, &[])
    };
    eventually_blocking(LIMIT, "containerd", || {
        ensure!(containerd.is_running(), "it has ended");
        Ok(ctr(&["version"])?.status.success().then_some(()))
    })?;
    let image = image.display().to_string();
    ctr(&["images", "import", &image])?.success().map(drop)
}
