//! What a request to a Kubernetes API server does.
//!
//! [`RequestInfo`] is what the API server itself makes of a method, a path and a query; what it authorises by. Over it stand
//! Sluice's own verbs: what runs something, connects somewhere or gives rights is a verb of its own, whatever method it comes
//! by (K8-01, K8-03), since an upgrade by GET does what POST does. [`Api::analyse`] looks at the body as well: what it asks for
//! that matters is a [`model::effect::KubernetesTrait`] of the resource.
//!
//! What cannot be told is said to be unknown, and never taken for harmless.

mod api;
mod body;
mod exec;
mod fields;
mod forward;
mod info;
mod protobuf;
mod selector;
mod traits;
mod verbs;

pub use api::{Api, MOST_OF_A_BODY, impersonation};
pub use exec::command_line;
pub use forward::at_port;
pub use info::RequestInfo;
pub use selector::is_true;
