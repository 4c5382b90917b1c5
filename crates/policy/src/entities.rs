//! The objects of effects as Cedar entities.
//!
//! An entity names all of its ancestors itself, and carries names as text, so that a request needs no other entity than
//! its own resource and those that this one has beside it: nothing that a policy can look at is ever missing, which would
//! make a `forbid` not match.

mod api;
mod host;
mod kubernetes;

use cedar_policy::{Entity, EntityUid, RestrictedExpression};
use model::class::{DataClass, Labels};
use model::effect::{
    ColumnName, Command, Endpoint, FunctionClass, GraphqlField, GrpcMethod, KubernetesCommand, KubernetesPath,
    KubernetesResource, McpItem, Named, Object, Route, RpcMethod, SettingClass, TableKind, TableName,
};
use model::target::Target;

use crate::vocabulary::{Types, path, uid};

/// What a Cedar request is about.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Resource<'a> {
    Target,
    Database,
    Namespace(&'a str),
    Table(&'a TableName, TableKind),
    /// A column and the classes that it carries.
    Column(&'a ColumnName, Vec<&'a DataClass>),
    Function(&'a TableName, FunctionClass),
    Setting(&'a str, SettingClass),
    Channel(&'a str),
    Login,
    Command(&'a Command),
    File(&'a str),
    Endpoint(&'a Endpoint),
    Route(&'a Route),
    GraphqlField(&'a GraphqlField),
    /// A method, and what its message holds, if that is known.
    GrpcMethod(&'a GrpcMethod, Option<&'a [Named]>),
    /// A method and its parameters, if those are known.
    RpcMethod(&'a RpcMethod, Option<&'a [Named]>),
    Mcp(&'a McpItem),
    Kubernetes(&'a KubernetesResource),
    KubernetesPath(&'a KubernetesPath),
    KubernetesCommand(&'a KubernetesCommand),
    Class(&'a DataClass),
}

impl<'a> Resource<'a> {
    pub(crate) fn of(object: &'a Object, labels: &'a Labels) -> Self {
        match object {
            Object::Target => Self::Target,
            Object::Database => Self::Database,
            Object::Namespace(name) => Self::Namespace(name),
            Object::Table(name, kind) => Self::Table(name, *kind),
            Object::Column(name, _) => Self::column(name, labels),
            Object::Function(name, class) => Self::Function(name, *class),
            Object::Setting(name, class) => Self::Setting(name, *class),
            Object::Channel(name) => Self::Channel(name),
            Object::Login => Self::Login,
            Object::Command(command) => Self::Command(command),
            Object::File(path) => Self::File(path),
            Object::Endpoint(endpoint) => Self::Endpoint(endpoint),
            Object::Route(route) => Self::Route(route),
            Object::GraphqlField(field) => Self::GraphqlField(field),
            Object::GrpcMethod(method) => Self::GrpcMethod(method, None),
            Object::GrpcCall(call) => Self::GrpcMethod(&call.method, Some(&call.arguments)),
            Object::RpcMethod(method) => Self::RpcMethod(method, None),
            Object::RpcCall(call) => Self::RpcMethod(&call.method, Some(&call.arguments)),
            Object::Mcp(item) => Self::Mcp(item),
            Object::KubernetesResource(resource) => Self::Kubernetes(resource),
            Object::KubernetesPath(path) => Self::KubernetesPath(path),
            Object::KubernetesCommand(command) => Self::KubernetesCommand(command),
        }
    }

    pub(crate) fn column(name: &'a ColumnName, labels: &'a Labels) -> Self {
        Self::Column(name, labels.marking(name).classes().collect())
    }

    /// The classes that the resource carries or is.
    pub(crate) fn classes(&self) -> &[&'a DataClass] {
        match self {
            Self::Column(_, classes) => classes,
            Self::Class(class) => std::slice::from_ref(class),
            _ => &[],
        }
    }
}

/// Where the resources are.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place<'a> {
    pub(crate) types: &'a Types,
    pub(crate) target: &'a Target,
    pub(crate) database: &'a str,
    pub(crate) labels: &'a Labels,
}

/// An entity's attributes.
type Attributes = Vec<(String, RestrictedExpression)>;

impl Place<'_> {
    pub(crate) fn uid(&self, resource: &Resource<'_>) -> EntityUid {
        let types = self.types;
        let (target, database) = (&*self.target.name, self.database);
        match resource {
            Resource::Target => self.target_uid(),
            Resource::Database => self.database_uid(),
            Resource::Namespace(name) => self.namespace_uid(name),
            Resource::Table(name, _) => self.table_uid(name),
            Resource::Column(column, _) => {
                let table = &column.table;
                uid(&types.column, path(&[target, database, &table.schema, &table.name, &column.name]))
            }
            Resource::Function(name, _) => uid(&types.function, path(&[target, database, &name.schema, &name.name])),
            Resource::Setting(name, _) => uid(&types.setting, path(&[target, name])),
            Resource::Channel(name) => uid(&types.channel, path(&[target, database, name])),
            Resource::Login => self.login_uid(),
            Resource::Command(command) => self.command_uid(command),
            Resource::File(path) => self.file_uid(path),
            Resource::Endpoint(endpoint) => self.endpoint_uid(endpoint),
            Resource::Route(route) => self.route_uid(route),
            Resource::GraphqlField(field) => self.field_uid(field),
            Resource::GrpcMethod(method, _) => self.grpc_uid(method),
            Resource::RpcMethod(method, _) => self.rpc_uid(method),
            Resource::Mcp(item) => self.mcp_uid(item),
            Resource::Kubernetes(resource) => self.kubernetes_uid(resource),
            Resource::KubernetesPath(path) => self.kubernetes_path_uid(path),
            Resource::KubernetesCommand(command) => self.kubernetes_command_uid(command),
            Resource::Class(class) => uid(&types.data_class, class.as_str()),
        }
    }

    /// The entity; `None` if Cedar refuses its attributes, which are plain text, and for a path that is not what
    /// [`Object::File`] or [`Route`] promises: no policy is asked about something that it could take for another.
    pub(crate) fn entity(&self, resource: &Resource<'_>) -> Option<Entity> {
        let is_sound = match resource {
            Resource::File(path) => host::is_normal(path),
            resource => api::is_sound(resource),
        };
        if !is_sound {
            return None;
        }
        let uid = self.uid(resource);
        if let Resource::Class(_) = resource {
            return Some(Entity::with_uid(uid));
        }
        let tags = self.target.labels.iter().map(|(name, value)| (name.clone(), text(value)));
        Entity::new_with_tags(uid, self.attributes(resource), self.ancestors(resource), tags).ok()
    }

    /// The entity and those that stand beside it, which it has as attributes.
    pub(crate) fn entities(&self, resource: &Resource<'_>) -> Option<Vec<Entity>> {
        let mut out = vec![self.entity(resource)?];
        out.extend(self.beside_api(resource)?);
        Some(out)
    }

    fn target_uid(&self) -> EntityUid {
        uid(&self.types.target, path(&[&self.target.name]))
    }

    fn database_uid(&self) -> EntityUid {
        uid(&self.types.database, path(&[&self.target.name, self.database]))
    }

    fn namespace_uid(&self, schema: &str) -> EntityUid {
        uid(&self.types.namespace, path(&[&self.target.name, self.database, schema]))
    }

    fn table_uid(&self, name: &TableName) -> EntityUid {
        uid(&self.types.table, path(&[&self.target.name, self.database, &name.schema, &name.name]))
    }

    fn attributes(&self, resource: &Resource<'_>) -> Attributes {
        let target = ("target", &*self.target.name);
        let database = ("database", self.database);
        match resource {
            Resource::Target => texts(&[("name", &self.target.name), ("protocol", &self.target.protocol)]),
            Resource::Database => texts(&[target, ("name", self.database)]),
            Resource::Namespace(name) | Resource::Channel(name) => texts(&[target, database, ("name", name)]),
            Resource::Table(name, kind) => {
                let mut out = texts(&[target, database, ("schema", &name.schema), ("name", &name.name)]);
                let kind = uid(&self.types.table_kind, kind.as_str());
                out.push(("kind".to_owned(), RestrictedExpression::new_entity_uid(kind)));
                out
            }
            Resource::Column(column, _) => {
                let table = &column.table;
                let (schema, table) = (("schema", &*table.schema), ("table", &*table.name));
                texts(&[target, database, schema, table, ("name", &column.name)])
            }
            Resource::Function(name, _) => texts(&[target, database, ("schema", &name.schema), ("name", &name.name)]),
            Resource::Setting(name, _) => texts(&[target, ("name", name)]),
            Resource::Login | Resource::Command(_) | Resource::File(_) | Resource::Endpoint(_) => {
                self.host_attributes(resource)
            }
            Resource::Route(_)
            | Resource::GraphqlField(_)
            | Resource::GrpcMethod(..)
            | Resource::RpcMethod(..)
            | Resource::Mcp(_) => self.api_attributes(resource),
            Resource::Kubernetes(_) | Resource::KubernetesPath(_) | Resource::KubernetesCommand(_) => {
                self.kubernetes_attributes(resource)
            }
            Resource::Class(_) => vec![],
        }
    }

    /// Everything that the resource is in.
    fn ancestors(&self, resource: &Resource<'_>) -> Vec<EntityUid> {
        let mut out = match resource {
            Resource::Target | Resource::Class(_) => return vec![],
            Resource::Setting(_, class) => {
                return vec![self.target_uid(), uid(&self.types.setting_class, class.as_str())];
            }
            Resource::Login => return vec![self.target_uid()],
            Resource::Command(_) | Resource::Endpoint(_) => return vec![self.login_uid(), self.target_uid()],
            Resource::File(path) => return self.file_ancestors(path),
            Resource::Route(_)
            | Resource::GraphqlField(_)
            | Resource::GrpcMethod(..)
            | Resource::RpcMethod(..)
            | Resource::Mcp(_)
            | Resource::KubernetesPath(_) => return self.api_ancestors(resource),
            Resource::Kubernetes(_) | Resource::KubernetesCommand(_) => {
                return self.kubernetes_ancestors(resource);
            }
            Resource::Database => vec![],
            Resource::Namespace(_) | Resource::Channel(_) => vec![self.database_uid()],
            Resource::Table(name, _) => self.table_ancestors(name),
            Resource::Column(column, classes) => {
                let mut out = self.table_ancestors(&column.table);
                out.push(self.table_uid(&column.table));
                out.extend(classes.iter().map(|class| uid(&self.types.data_class, class.as_str())));
                out
            }
            Resource::Function(name, class) => {
                let class = uid(&self.types.function_class, class.as_str());
                vec![self.namespace_uid(&name.schema), self.database_uid(), class]
            }
        };
        if !matches!(resource, Resource::Database) && !out.contains(&self.database_uid()) {
            out.push(self.database_uid());
        }
        out.push(self.target_uid());
        out
    }

    /// The schema of the relation, and the relations that it inherits from with theirs.
    fn table_ancestors(&self, name: &TableName) -> Vec<EntityUid> {
        let mut out = vec![self.namespace_uid(&name.schema)];
        for parent in self.labels.ancestors(name) {
            out.push(self.table_uid(parent));
            out.push(self.namespace_uid(&parent.schema));
        }
        out
    }
}

fn text(value: &str) -> RestrictedExpression {
    RestrictedExpression::new_string(value.to_owned())
}

fn texts(values: &[(&str, &str)]) -> Attributes {
    values.iter().map(|(name, value)| ((*name).to_owned(), text(value))).collect()
}
