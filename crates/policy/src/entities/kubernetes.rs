//! The entities of a Kubernetes API server: resources, paths that are none, and commands in containers.

use cedar_policy::{EntityUid, RestrictedExpression};
use model::effect::{KubernetesCommand, KubernetesPath, KubernetesResource};

use super::{Attributes, Place, Resource, host, text, texts};
use crate::vocabulary::{path, uid};

impl Place<'_> {
    /// Group, resource with its part, namespace and name, such as `prod/apps/deployments/dev/web`.
    pub(super) fn kubernetes_uid(&self, resource: &KubernetesResource) -> EntityUid {
        let KubernetesResource { group, resource: kind, subresource, namespace, name, .. } = resource;
        let kind = match &**subresource {
            "" => kind.to_string(),
            part => format!("{kind}.{part}"),
        };
        uid(&self.types.kubernetes_resource, path(&[&self.target.name, group, &kind, namespace, name]))
    }

    pub(super) fn kubernetes_path_uid(&self, of: &KubernetesPath) -> EntityUid {
        let names = of.path.split('/').filter(|name| !name.is_empty());
        let all: Vec<&str> = [&*self.target.name].into_iter().chain(names).collect();
        uid(&self.types.kubernetes_path, path(&all))
    }

    pub(super) fn kubernetes_command_uid(&self, command: &KubernetesCommand) -> EntityUid {
        let KubernetesResource { namespace, name, .. } = &command.at;
        uid(&self.types.kubernetes_command, path(&[&self.target.name, namespace, name, &command.command.program]))
    }

    fn kubernetes_namespace_uid(&self, namespace: &str) -> Option<EntityUid> {
        let known = (!namespace.is_empty()).then(|| path(&[&self.target.name, namespace]));
        known.map(|id| uid(&self.types.kubernetes_namespace, id))
    }

    /// The target, the namespace, and what the body asks for.
    pub(super) fn kubernetes_ancestors(&self, resource: &Resource<'_>) -> Vec<EntityUid> {
        let mut out = vec![self.target_uid()];
        match resource {
            Resource::Kubernetes(resource) => {
                out.extend(self.kubernetes_namespace_uid(&resource.namespace));
                out.extend(resource.traits.iter().map(|one| uid(&self.types.kubernetes_trait, one.as_str())));
            }
            Resource::KubernetesCommand(command) => out.extend(self.kubernetes_namespace_uid(&command.at.namespace)),
            _ => {}
        }
        out
    }

    pub(super) fn kubernetes_attributes(&self, resource: &Resource<'_>) -> Attributes {
        let target = ("target", &*self.target.name);
        match resource {
            Resource::Kubernetes(resource) => {
                let mut out = texts(&[
                    target,
                    ("group", &resource.group),
                    ("version", &resource.version),
                    ("resource", &resource.resource),
                    ("subresource", &resource.subresource),
                    ("namespace", &resource.namespace),
                    ("name", &resource.name),
                    ("container", &resource.container),
                    ("port", &resource.port),
                    ("path", &resource.rest),
                ]);
                out.push(("dryRun".to_owned(), RestrictedExpression::new_bool(resource.dry_run)));
                out
            }
            Resource::KubernetesPath(path) => texts(&[target, ("method", &path.method), ("path", &path.path)]),
            Resource::KubernetesCommand(command) => {
                let (at, command) = (&command.at, &command.command);
                let mut out = texts(&[
                    target,
                    ("namespace", &at.namespace),
                    ("pod", &at.name),
                    ("container", &at.container),
                    ("program", &command.program),
                    ("name", host::base(&command.program)),
                    ("line", &command.line),
                ]);
                let arguments = command.arguments.iter().map(|argument| text(argument));
                out.push(("arguments".to_owned(), RestrictedExpression::new_set(arguments)));
                out.push(("interactive".to_owned(), RestrictedExpression::new_bool(command.interactive)));
                out
            }
            _ => vec![],
        }
    }
}
