//! What a request to an HTTP API does.
//!
//! An [`Api`] is what is known of a target's routes: from an OpenAPI document, from declared patterns, or nothing. A request
//! ([`Call`]) is looked up in it, and [`Api::analyse`] says what it does:
//!
//! - by its method on a route, with what stands for the names of the route's template;
//! - on a route that speaks GraphQL, every field that is selected; gRPC, the method of the service; JSON-RPC, each method
//!   that is called; MCP, the tool, resource or prompt. The route itself is then no effect: what is called says more.
//!
//! A path that nobody described is [`model::effect::RouteKind::Undocumented`], and a described one with another method is a kind of its
//! own. What a route's protocol does not let one understand is [`model::effect::Verb::Opaque`], beside the route.

mod answer;
mod api;
mod arguments;
mod call;
mod canonical;
mod form;
mod graphql;
mod grpc;
mod mcp;
mod message;
mod method;
mod openapi;
mod request;
mod rpc;
mod schema;
mod template;
mod tunnel;

pub use answer::Answer;
pub use api::{Api, ApiError, Declared, Speaks};
pub use arguments::names;
pub use call::{Body, Call, MOST_OF_A_BODY, Pair};
pub use canonical::{SELECTED, canonical};
pub(crate) use request::query;
pub use request::{Request, TooMuch};
pub use tunnel::tunnel;
