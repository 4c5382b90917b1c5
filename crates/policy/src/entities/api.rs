//! The entities of HTTP APIs: routes, fields of GraphQL, methods of gRPC and JSON-RPC, and what MCP has.
//!
//! Names and values that a caller chose are tags of an entity beside the resource, since no schema can list them: those of
//! a path have one value each, those of a query or of arguments a set, as a name can be given more than once. So a policy
//! can compare them with whatever else it sees, such as `resource.parameters.getTag("tenant") == principal.id`.

use std::collections::BTreeMap;

use cedar_policy::{Entity, EntityUid, RestrictedExpression};
use model::effect::{GraphqlField, GrpcMethod, McpItem, McpKind, Named, Route, RouteKind, RpcMethod};

use super::{Attributes, Place, Resource, text, texts};
use crate::vocabulary::{path, uid};

/// How many names a path may have: each is an entity that the route is in. A longer one is refused.
const MOST_NAMES: usize = 128;

/// How many fields may be around a field. One that is deeper is refused.
const MOST_FIELDS: usize = 64;

/// The id of the entity that has a path's parameters, a query's or arguments' values: there is one of each per request.
const OF_REQUEST: &str = "request";

/// Whether the path has the one spelling that a request's path has, so that no policy takes it for another one: absolute,
/// without `.`, `..`, doubled `/` and what stands in no URI.
fn is_canonical(path: &str) -> bool {
    let Some(below) = path.strip_prefix('/') else { return false };
    let plain = |name: &str| !matches!(name, "." | "..") && name.bytes().all(|byte| byte.is_ascii_graphic());
    let names = below.split('/').count();
    names <= MOST_NAMES && !path.contains("//") && !path.contains('\\') && below.split('/').all(plain)
}

/// Whether the resource is what its type promises, so far as policies hang on it.
pub(super) fn is_sound(resource: &Resource<'_>) -> bool {
    match resource {
        Resource::Route(route) => is_canonical(&route.path),
        Resource::GraphqlField(field) => {
            is_canonical(&field.route) && !field.path.is_empty() && field.path.len() <= MOST_FIELDS
        }
        Resource::GrpcMethod(method, _) => is_canonical(&method.route),
        Resource::RpcMethod(method, _) => is_canonical(&method.route),
        Resource::Mcp(item) => is_canonical(&item.route),
        Resource::KubernetesPath(path) => is_canonical(&path.path),
        _ => true,
    }
}

fn route_path<'a>(resource: &Resource<'a>) -> Option<&'a str> {
    Some(match resource {
        Resource::Route(route) => &route.path,
        Resource::GraphqlField(field) => &field.route,
        Resource::GrpcMethod(method, _) => &method.route,
        Resource::RpcMethod(method, _) => &method.route,
        Resource::Mcp(item) => &item.route,
        Resource::KubernetesPath(path) => &path.path,
        _ => return None,
    })
}

impl Place<'_> {
    /// Method and template, such as `billing/GET/v1/customers/{id}`; the method alone where nobody knows the path.
    pub(super) fn route_uid(&self, route: &Route) -> EntityUid {
        let template = match route.kind {
            RouteKind::Undocumented => None,
            RouteKind::Documented | RouteKind::OtherMethod => route.template.strip_prefix('/'),
        };
        let names = template.map(|template| template.split('/')).into_iter().flatten();
        let all: Vec<&str> = [&*self.target.name, &*route.method].into_iter().chain(names).collect();
        uid(&self.types.http_route, path(&all))
    }

    pub(super) fn field_uid(&self, field: &GraphqlField) -> EntityUid {
        self.field_uid_of(field, field.path.len())
    }

    /// The field that is so many steps from the operation.
    fn field_uid_of(&self, field: &GraphqlField, steps: usize) -> EntityUid {
        let names = field.path.iter().take(steps).map(|name| &**name);
        let all: Vec<&str> = [&*self.target.name, field.kind.as_str()].into_iter().chain(names).collect();
        uid(&self.types.graphql_field, path(&all))
    }

    pub(super) fn grpc_uid(&self, method: &GrpcMethod) -> EntityUid {
        uid(&self.types.grpc_method, path(&[&self.target.name, &method.service, &method.method]))
    }

    pub(super) fn rpc_uid(&self, method: &RpcMethod) -> EntityUid {
        uid(&self.types.rpc_method, path(&[&self.target.name, &method.method]))
    }

    pub(super) fn mcp_uid(&self, item: &McpItem) -> EntityUid {
        let kind = match item.kind {
            McpKind::Tool => &self.types.mcp_tool,
            McpKind::Resource => &self.types.mcp_resource,
            McpKind::Prompt => &self.types.mcp_prompt,
        };
        uid(kind, path(&[&self.target.name, &item.name]))
    }

    /// The target, every path above with the route's own, and what else the resource is in.
    pub(super) fn api_ancestors(&self, resource: &Resource<'_>) -> Vec<EntityUid> {
        let mut above = vec![&*self.target.name];
        let mut out = vec![self.target_uid(), uid(&self.types.http_path, path(&above))];
        let names = route_path(resource).unwrap_or_default().split('/').filter(|name| !name.is_empty());
        for name in names {
            above.push(name);
            out.push(uid(&self.types.http_path, path(&above)));
        }
        match resource {
            Resource::GraphqlField(field) => {
                out.extend((1..field.path.len()).map(|steps| self.field_uid_of(field, steps)));
            }
            Resource::GrpcMethod(method, _) => {
                out.push(uid(&self.types.grpc_service, path(&[&self.target.name, &method.service])));
            }
            _ => {}
        }
        out
    }

    pub(super) fn api_attributes(&self, resource: &Resource<'_>) -> Attributes {
        let target = ("target", &*self.target.name);
        match resource {
            Resource::Route(route) => self.route_attributes(route),
            Resource::GraphqlField(field) => {
                let (path, kind) = (field.path.join("."), uid(&self.types.graphql_kind, field.kind.as_str()));
                let name = field.path.last().map_or("", |name| &**name);
                let operation = ("operation", &*field.operation);
                let mut out = texts(&[target, ("route", &field.route), operation, ("path", &path), ("name", name)]);
                out.push(("kind".to_owned(), RestrictedExpression::new_entity_uid(kind)));
                out
            }
            Resource::GrpcMethod(method, arguments) => {
                let service = ("service", &*method.service);
                let mut out = texts(&[target, ("route", &method.route), service, ("name", &method.method)]);
                out.extend(arguments.map(|_| self.values("arguments")));
                out
            }
            Resource::RpcMethod(method, arguments) => {
                let mut out = texts(&[target, ("route", &method.route), ("name", &method.method)]);
                out.extend(arguments.map(|_| self.values("arguments")));
                out
            }
            Resource::Mcp(item) => {
                let name = if item.kind == McpKind::Resource { "uri" } else { "name" };
                let mut out = texts(&[target, ("route", &item.route), (name, &item.name)]);
                if item.kind != McpKind::Resource {
                    out.push(self.values("arguments"));
                }
                out
            }
            _ => vec![],
        }
    }

    fn route_attributes(&self, route: &Route) -> Attributes {
        let mut out = texts(&[
            ("target", &self.target.name),
            ("method", &route.method),
            ("host", &route.host),
            ("path", &route.path),
            ("template", &route.template),
            ("operation", &route.operation),
        ]);
        let kind = uid(&self.types.route_kind, route.kind.as_str());
        let parameters = uid(&self.types.parameters, OF_REQUEST);
        out.push(("kind".to_owned(), RestrictedExpression::new_entity_uid(kind)));
        out.push(("parameters".to_owned(), RestrictedExpression::new_entity_uid(parameters)));
        out.push(self.values("query"));
        out
    }

    fn values(&self, name: &str) -> (String, RestrictedExpression) {
        (name.to_owned(), RestrictedExpression::new_entity_uid(uid(&self.types.values, OF_REQUEST)))
    }

    /// What stands beside the resource, for policies to look into; `None` if Cedar refuses it.
    pub(super) fn beside_api(&self, resource: &Resource<'_>) -> Option<Vec<Entity>> {
        match resource {
            Resource::Route(route) => Some(vec![self.parameters(&route.parameters)?, self.value_sets(&route.query)?]),
            Resource::Mcp(item) => Some(vec![self.value_sets(&item.arguments)?]),
            Resource::GrpcMethod(_, Some(arguments)) | Resource::RpcMethod(_, Some(arguments)) => {
                Some(vec![self.value_sets(arguments)?])
            }
            _ => Some(vec![]),
        }
    }

    fn parameters(&self, named: &[Named]) -> Option<Entity> {
        let tags: BTreeMap<String, RestrictedExpression> =
            named.iter().map(|(name, value)| (name.to_string(), text(value))).collect();
        // A template has each name once.
        (tags.len() == named.len()).then_some(())?;
        Entity::new_with_tags(uid(&self.types.parameters, OF_REQUEST), [], [], tags).ok()
    }

    fn value_sets(&self, named: &[Named]) -> Option<Entity> {
        let mut sets: BTreeMap<&str, Vec<RestrictedExpression>> = BTreeMap::new();
        for (name, value) in named {
            sets.entry(name).or_default().push(text(value));
        }
        let tags = sets.into_iter().map(|(name, values)| (name.to_owned(), RestrictedExpression::new_set(values)));
        Entity::new_with_tags(uid(&self.types.values, OF_REQUEST), [], [], tags).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_has_one_spelling() {
        for path in ["/", "/v1", "/v1/", "/v1/a%20b", "/v1/..a", "/a;b"] {
            assert!(is_canonical(path), "{path}");
        }
        for path in ["", "v1", "//", "/v1//a", "/./a", "/a/../b", "/..", "/a b", "/é", "/a\\b", "/a\0", "*"] {
            assert!(!is_canonical(path), "{path}");
        }
        assert!(is_canonical(&"/a".repeat(MOST_NAMES)) && !is_canonical(&"/a".repeat(MOST_NAMES + 1)));
    }
}
