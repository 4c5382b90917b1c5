//! What requests to HTTP APIs act on.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::Plain;

/// A name with a value.
pub type Named = (Arc<str>, Arc<str>);

/// How a request relates to what is known of its target's API.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RouteKind {
    /// The API's description, or a declared pattern, has this path with this method.
    Documented,
    /// It has the path, but not with this method.
    OtherMethod,
    /// It has no such path.
    Undocumented,
}

impl RouteKind {
    /// The word, as policies spell it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Documented => "documented",
            Self::OtherMethod => "other_method",
            Self::Undocumented => "undocumented",
        }
    }
}

/// A route, as one request goes to it.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub struct Route {
    /// Whether the API is known to have it.
    pub kind: RouteKind,
    /// The method as it was sent; methods have case.
    pub method: Arc<str>,
    /// The host that is asked, in lower case and without a port.
    pub host: Arc<str>,
    /// The path in its one canonical form, which is the one that the target gets.
    pub path: Arc<str>,
    /// The path's template, such as `/v1/customers/{id}`; empty where there is none.
    pub template: Arc<str>,
    /// The operation's name (`operationId`); empty where it has none.
    pub operation: Arc<str>,
    /// What stands for the template's names, decoded.
    pub parameters: Vec<Named>,
    /// The query's names and values in their order, decoded; a secret is not here, but a mark.
    pub query: Vec<Named>,
}

impl fmt::Display for Route {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} {}{}", Plain(&self.method), Plain(&self.host), Plain(&self.path))?;
        match self.kind {
            RouteKind::Documented => write!(out, " ({})", Plain(&self.template)),
            kind => write!(out, " ({})", kind.as_str().replace('_', " ")),
        }
    }
}

/// What a GraphQL operation is.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum GraphqlKind {
    /// Reads.
    Query,
    /// Changes.
    Mutation,
    /// Is told of changes.
    Subscription,
}

impl GraphqlKind {
    /// The word, as GraphQL and policies spell it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Query => "query",
            Self::Mutation => "mutation",
            Self::Subscription => "subscription",
        }
    }
}

/// A field that a GraphQL operation selects.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub struct GraphqlField {
    /// The canonical path of the route.
    pub route: Arc<str>,
    /// What the operation is.
    pub kind: GraphqlKind,
    /// The operation's name; empty where it has none. The caller chose it.
    pub operation: Arc<str>,
    /// From the operation's root to the field, by the names that the schema has and not by aliases. Never empty.
    pub path: Vec<Arc<str>>,
}

impl fmt::Display for GraphqlField {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} {}", self.kind.as_str(), Plain(&self.path.join(".")))
    }
}

/// A method that is called by gRPC.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub struct GrpcMethod {
    /// The canonical path of the route.
    pub route: Arc<str>,
    /// The service with its package, such as `shop.v1.Orders`.
    pub service: Arc<str>,
    /// The method.
    pub method: Arc<str>,
}

impl fmt::Display for GrpcMethod {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}/{}", Plain(&self.service), Plain(&self.method))
    }
}

/// A method that is called by gRPC, with what its one message holds.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub struct GrpcCall {
    /// The method.
    pub method: GrpcMethod,
    /// Every scalar of the message, with the declared names that lead to it joined by `.`; a secret is not here, but a mark.
    pub arguments: Vec<Named>,
}

impl fmt::Display for GrpcCall {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}", self.method)?;
        with(&self.arguments, out)
    }
}

/// A method that is called by JSON-RPC.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub struct RpcMethod {
    /// The canonical path of the route.
    pub route: Arc<str>,
    /// The method; empty for an answer to a call of the target's own.
    pub method: Arc<str>,
}

impl fmt::Display for RpcMethod {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &*self.method {
            "" => out.write_str("(an answer)"),
            method => write!(out, "{}", Plain(method)),
        }
    }
}

/// A method that is called by JSON-RPC, with its parameters.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub struct RpcCall {
    /// The method.
    pub method: RpcMethod,
    /// Every scalar of the parameters, with the names that lead to it joined by `.`, or the number of its place; a secret is
    /// not here, but a mark.
    pub arguments: Vec<Named>,
}

impl fmt::Display for RpcCall {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}", self.method)?;
        with(&self.arguments, out)
    }
}

/// Arguments, behind what they are given to.
fn with(arguments: &[Named], out: &mut fmt::Formatter<'_>) -> fmt::Result {
    arguments.iter().try_for_each(|(name, value)| write!(out, " {}={}", Plain(name), Plain(value)))
}

/// What the Model Context Protocol has.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum McpKind {
    /// Something to call.
    Tool,
    /// Something to read, by its URI.
    Resource,
    /// A text to ask a model with.
    Prompt,
}

impl McpKind {
    /// The word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Tool => "tool",
            Self::Resource => "resource",
            Self::Prompt => "prompt",
        }
    }
}

/// A tool, resource or prompt, as one request asks for it.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub struct McpItem {
    /// The canonical path of the route.
    pub route: Arc<str>,
    /// What it is.
    pub kind: McpKind,
    /// Its name; of a resource, its URI.
    pub name: Arc<str>,
    /// Every scalar of the arguments, with the names that lead to it joined by `.`; a secret is not here, but a mark.
    pub arguments: Vec<Named>,
}

impl fmt::Display for McpItem {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} {}", self.kind.as_str(), Plain(&self.name))?;
        with(&self.arguments, out)
    }
}
