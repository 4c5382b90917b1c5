//! The names of things in Cedar: entity types, and ids that cannot be confused.

use std::borrow::Cow;
use std::fmt::Write;

use cedar_policy::{EntityId, EntityTypeName, EntityUid, ParseErrors};

/// The entity types of the schema, parsed once.
#[derive(Debug)]
pub(crate) struct Types {
    pub(crate) service: EntityTypeName,
    pub(crate) user: EntityTypeName,
    pub(crate) group: EntityTypeName,
    pub(crate) data_class: EntityTypeName,
    pub(crate) target: EntityTypeName,
    pub(crate) database: EntityTypeName,
    pub(crate) namespace: EntityTypeName,
    pub(crate) table: EntityTypeName,
    pub(crate) table_kind: EntityTypeName,
    pub(crate) column: EntityTypeName,
    pub(crate) function: EntityTypeName,
    pub(crate) function_class: EntityTypeName,
    pub(crate) setting: EntityTypeName,
    pub(crate) setting_class: EntityTypeName,
    pub(crate) channel: EntityTypeName,
    pub(crate) login: EntityTypeName,
    pub(crate) command: EntityTypeName,
    pub(crate) directory: EntityTypeName,
    pub(crate) file: EntityTypeName,
    pub(crate) endpoint: EntityTypeName,
    pub(crate) endpoint_kind: EntityTypeName,
    pub(crate) http_path: EntityTypeName,
    pub(crate) http_route: EntityTypeName,
    pub(crate) route_kind: EntityTypeName,
    pub(crate) parameters: EntityTypeName,
    pub(crate) values: EntityTypeName,
    pub(crate) graphql_field: EntityTypeName,
    pub(crate) graphql_kind: EntityTypeName,
    pub(crate) grpc_service: EntityTypeName,
    pub(crate) grpc_method: EntityTypeName,
    pub(crate) rpc_method: EntityTypeName,
    pub(crate) mcp_tool: EntityTypeName,
    pub(crate) mcp_resource: EntityTypeName,
    pub(crate) mcp_prompt: EntityTypeName,
    pub(crate) kubernetes_namespace: EntityTypeName,
    pub(crate) kubernetes_trait: EntityTypeName,
    pub(crate) kubernetes_resource: EntityTypeName,
    pub(crate) kubernetes_path: EntityTypeName,
    pub(crate) kubernetes_command: EntityTypeName,
    pub(crate) binding: EntityTypeName,
    pub(crate) mask: EntityTypeName,
    pub(crate) control: EntityTypeName,
}

impl Types {
    pub(crate) fn new() -> Result<Self, Box<ParseErrors>> {
        Ok(Self {
            service: named("Service")?,
            user: named("User")?,
            group: named("Group")?,
            data_class: named("DataClass")?,
            target: named("Target")?,
            database: named("Database")?,
            namespace: named("Namespace")?,
            table: named("Table")?,
            table_kind: named("TableKind")?,
            column: named("Column")?,
            function: named("Function")?,
            function_class: named("FunctionClass")?,
            setting: named("Setting")?,
            setting_class: named("SettingClass")?,
            channel: named("Channel")?,
            login: named("Login")?,
            command: named("Command")?,
            directory: named("Directory")?,
            file: named("File")?,
            endpoint: named("Endpoint")?,
            endpoint_kind: named("EndpointKind")?,
            http_path: named("HttpPath")?,
            http_route: named("HttpRoute")?,
            route_kind: named("RouteKind")?,
            parameters: named("Parameters")?,
            values: named("Values")?,
            graphql_field: named("GraphqlField")?,
            graphql_kind: named("GraphqlKind")?,
            grpc_service: named("GrpcService")?,
            grpc_method: named("GrpcMethod")?,
            rpc_method: named("RpcMethod")?,
            mcp_tool: named("McpTool")?,
            mcp_resource: named("McpResource")?,
            mcp_prompt: named("McpPrompt")?,
            kubernetes_namespace: named("KubernetesNamespace")?,
            kubernetes_trait: named("KubernetesTrait")?,
            kubernetes_resource: named("KubernetesResource")?,
            kubernetes_path: named("KubernetesPath")?,
            kubernetes_command: named("KubernetesCommand")?,
            binding: named("Binding")?,
            mask: named("Mask")?,
            control: named("Control")?,
        })
    }
}

fn named(name: &str) -> Result<EntityTypeName, Box<ParseErrors>> {
    name.parse().map_err(Box::new)
}

/// An entity of this type whose id is exactly this text.
pub(crate) fn uid(of: &EntityTypeName, id: impl AsRef<str>) -> EntityUid {
    EntityUid::from_type_name_and_id(of.clone(), EntityId::new(id))
}

/// Names joined by `/`. A quoted identifier may hold anything, so `%` and `/` inside a name are written `%25` and `%2F`:
/// then different paths are different ids.
pub(crate) fn path(names: &[&str]) -> String {
    let length = names.iter().fold(names.len(), |sum, name| sum.saturating_add(name.len()));
    let mut out = String::with_capacity(length);
    for (index, name) in names.iter().enumerate() {
        let separator = if index == 0 { "" } else { "/" };
        // Writing to a String does not fail.
        let _ = write!(out, "{separator}{}", escaped(name));
    }
    out
}

fn escaped(name: &str) -> Cow<'_, str> {
    if name.contains(['%', '/']) {
        Cow::Owned(name.replace('%', "%25").replace('/', "%2F"))
    } else {
        Cow::Borrowed(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_hold_separators_are_escaped() {
        assert_eq!(path(&["payments", "shop", "public", "orders"]), "payments/shop/public/orders");
        assert_eq!(path(&["a/b", "c%2Fd"]), "a%2Fb/c%252Fd");
    }

    proptest::proptest! {
        #[test]
        fn different_paths_are_different_ids(
            left in proptest::collection::vec("[ab/%2F5]{0,4}", 1..4),
            right in proptest::collection::vec("[ab/%2F5]{0,4}", 1..4),
        ) {
            let ids = [&left, &right].map(|names| path(&names.iter().map(String::as_str).collect::<Vec<_>>()));
            assert_eq!(ids[0] == ids[1], left == right);
        }
    }
}
