//! What requests to a Kubernetes API server act on.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{Command, Plain};

/// What the body of a request says that matters beyond its kind.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KubernetesTrait {
    /// What it leads to cannot be told from the body: it was not read, is of a form that is not, or copies from what is there.
    Unknown,
    /// A container that is privileged, of Linux or of Windows.
    Privileged,
    /// A directory or file of the node in a pod.
    HostPath,
    /// The node's network, or a port of the node.
    HostNetwork,
    /// The node's processes.
    HostPid,
    /// The node's shared memory and semaphores.
    HostIpc,
    /// Capabilities beyond those that a container has by itself.
    Capabilities,
    /// A container that says it may gain privileges.
    PrivilegeEscalation,
    /// Less of the kernel's confinement: seccomp, AppArmor, SELinux, `/proc`, sysctls.
    Unconfined,
    /// A container that says it runs as root.
    Root,
    /// A pod that names the service account it acts as.
    ServiceAccount,
    /// So many replicas: none.
    ScaleToZero,
    /// Rights to every verb or resource, or to what others are given them by: bind, escalate, impersonate.
    BroadRights,
    /// The role `cluster-admin`, or the group `system:masters`.
    ClusterAdmin,
    /// What Sluice puts in place of a secret, which would become the secret.
    Masked,
}

impl KubernetesTrait {
    /// Every one, in the order of the Cedar schema.
    pub const ALL: [Self; 15] = [
        Self::Unknown,
        Self::Privileged,
        Self::HostPath,
        Self::HostNetwork,
        Self::HostPid,
        Self::HostIpc,
        Self::Capabilities,
        Self::PrivilegeEscalation,
        Self::Unconfined,
        Self::Root,
        Self::ServiceAccount,
        Self::ScaleToZero,
        Self::BroadRights,
        Self::ClusterAdmin,
        Self::Masked,
    ];

    /// The word, as policies spell it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Privileged => "privileged",
            Self::HostPath => "host_path",
            Self::HostNetwork => "host_network",
            Self::HostPid => "host_pid",
            Self::HostIpc => "host_ipc",
            Self::Capabilities => "capabilities",
            Self::PrivilegeEscalation => "privilege_escalation",
            Self::Unconfined => "unconfined",
            Self::Root => "root",
            Self::ServiceAccount => "service_account",
            Self::ScaleToZero => "scale_to_zero",
            Self::BroadRights => "broad_rights",
            Self::ClusterAdmin => "cluster_admin",
            Self::Masked => "masked",
        }
    }
}

/// A resource, as one request names it. What a request does not name is empty.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Default, Serialize, Deserialize)]
pub struct KubernetesResource {
    /// The API group; empty for the core group.
    pub group: Arc<str>,
    /// Its version.
    pub version: Arc<str>,
    /// The resource, such as `pods`.
    pub resource: Arc<str>,
    /// The part of it, such as `log` or `scale`.
    pub subresource: Arc<str>,
    /// The namespace; empty where it is in none, and where all of them are meant. Of a namespace itself its own name.
    pub namespace: Arc<str>,
    /// The object's name. What a proxy's name has in front of it or behind, its scheme and port, is not here.
    pub name: Arc<str>,
    /// The container that is meant; empty for the pod's default.
    pub container: Arc<str>,
    /// The port that a proxy leads to; empty for its default.
    pub port: Arc<str>,
    /// What stands behind the subresource: of a proxy, the path that it leads to.
    pub rest: Arc<str>,
    /// Whether nothing is to be kept of it.
    pub dry_run: bool,
    /// What the body says.
    pub traits: BTreeSet<KubernetesTrait>,
}

impl fmt::Display for KubernetesResource {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}", Plain(&self.resource))?;
        if !self.subresource.is_empty() {
            write!(out, "/{}", Plain(&self.subresource))?;
        }
        if !self.group.is_empty() {
            write!(out, ".{}", Plain(&self.group))?;
        }
        if !self.name.is_empty() {
            write!(out, " {}", Plain(&self.name))?;
        }
        for (what, value) in [("container", &self.container), ("port", &self.port), ("path", &self.rest)] {
            if !value.is_empty() {
                write!(out, " {what} {}", Plain(value))?;
            }
        }
        match &*self.namespace {
            "" => {}
            namespace => write!(out, " in {}", Plain(namespace))?,
        }
        if self.dry_run {
            out.write_str(" (dry run)")?;
        }
        for (at, one) in self.traits.iter().enumerate() {
            write!(out, "{}{}", if at == 0 { ": " } else { ", " }, one.as_str())?;
        }
        Ok(())
    }
}

/// A path of an API server that is no resource, such as `/metrics`.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub struct KubernetesPath {
    /// The method as it was sent.
    pub method: Arc<str>,
    /// The path in its one canonical form.
    pub path: Arc<str>,
}

impl fmt::Display for KubernetesPath {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} {}", Plain(&self.method), Plain(&self.path))
    }
}

/// One command of what is to run in a container.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub struct KubernetesCommand {
    /// Where it runs: a pod, and its container.
    pub at: KubernetesResource,
    /// What runs there.
    pub command: Command,
}

impl fmt::Display for KubernetesCommand {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} in {}", self.command, self.at)
    }
}
