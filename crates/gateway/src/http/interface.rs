//! What requests to a target are understood by: what is known of an API, or the interface that every Kubernetes API server has.

use std::sync::Arc;

use effects::http::{Api, Call, Request, TooMuch};
use effects::kubernetes;
use model::http::{FieldRule, Media};

/// The interface of a target that speaks HTTP.
#[derive(Clone, PartialEq, Debug)]
pub(crate) enum Interface {
    /// An API, by its description and what is declared.
    Http(Api),
    /// A Kubernetes API server.
    Kubernetes(kubernetes::Api),
}

impl Interface {
    /// Whether a request has to be read to its end before it is known what it does.
    pub(super) fn looks_into(&self, method: &str, path: &str, media: Option<&Media>) -> bool {
        match self {
            Self::Http(api) => api.looks_into(method, path, media),
            Self::Kubernetes(api) => api.looks_into(method, path),
        }
    }

    /// What a request does.
    ///
    /// # Errors
    /// It is more than is looked at.
    pub(super) fn analyse(&self, call: &Call<'_>) -> Result<Request, TooMuch> {
        match self {
            Self::Http(api) => api.analyse(call),
            Self::Kubernetes(api) => Ok(api.analyse(call)),
        }
    }

    /// What stands in the body of a request that the record and approvers may see only as its caller would see it in an answer.
    pub(super) fn sent(&self, method: &str, path: &str) -> Arc<[FieldRule]> {
        match self {
            Self::Http(_) => Arc::default(),
            Self::Kubernetes(api) => api.sent(method, path),
        }
    }
}
