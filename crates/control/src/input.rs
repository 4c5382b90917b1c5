//! What callers send, read strictly: an unknown name is a mistake, never something to pass over.

use axum::body::Bytes;
use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use axum::http::{header, request::Parts};
use serde::de::DeserializeOwned;

use crate::problem::Problem;

/// The longest body that any call has.
pub(crate) const MAX_BODY: usize = 64 * 1024;

/// The query of a URL.
pub(crate) struct Params<T>(pub(crate) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Params<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Problem> {
        let query = Query::<T>::try_from_uri(&parts.uri).map_err(|error| Problem::bad(error.body_text()))?;
        Ok(Self(query.0))
    }
}

/// A JSON body.
pub(crate) struct Body<T>(pub(crate) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Body<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let kind = request.headers().get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        // A form that a page submits elsewhere cannot have this type.
        if kind.split(';').next().map(str::trim) != Some("application/json") {
            return Err(Problem::bad("send the body as application/json"));
        }
        let bytes = Bytes::from_request(request, state).await.map_err(|_| Problem::too_large())?;
        serde_json::from_slice(&bytes).map(Self).map_err(|error| Problem::bad(format!("the body: {error}")))
    }
}

/// The id in a path.
pub(crate) struct Id<T>(pub(crate) T);

impl<T: std::str::FromStr, S: Send + Sync> FromRequestParts<S> for Id<T>
where
    T::Err: std::fmt::Display,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let text = Path::<String>::from_request_parts(parts, state).await;
        let Path(text) = text.map_err(|error| Problem::bad(error.body_text()))?;
        text.parse().map(Self).map_err(|error: T::Err| Problem::bad(error.to_string()))
    }
}

/// A text that people wrote and that goes into the journal: not empty, and short enough to be read.
pub(crate) fn reason(text: Option<String>) -> Result<Option<String>, Problem> {
    const LONGEST: usize = 1000;
    let text = text.map(|text| text.trim().to_owned()).filter(|text| !text.is_empty());
    match &text {
        Some(text) if text.chars().count() > LONGEST => {
            Err(Problem::bad(format!("a reason has at most {LONGEST} characters")))
        }
        Some(_) | None => Ok(text),
    }
}
