//! Messages that are whole when they come, as WebSocket has them.

use super::body::Body;
use super::error::Unmaskable;
use super::plan::Plan;
use crate::masked::Masked;

/// A text as it may be seen. One that is JSON is read as JSON; where something is hidden by its place, every text has to be.
///
/// # Errors
/// [`Unmaskable`]: it may not go out.
pub fn text(message: &str, plan: &Plan) -> Result<Masked, Unmaskable> {
    let by_place = plan.hides_by_place();
    if by_place || message.trim_start().starts_with(['{', '[', '"']) {
        match whole(b"application/json", message.as_bytes(), plan) {
            Ok(masked) => return Ok(masked),
            Err(error) if by_place => return Err(error),
            Err(_) => {}
        }
    }
    whole(b"text/plain; charset=utf-8", message.as_bytes(), plan)
}

/// Bytes as they may be seen: not at all, or as they are, where something may have to be hidden
/// ([`Opaque`](super::Opaque)).
///
/// # Errors
/// [`Unmaskable`]: they may not go out.
pub fn binary(message: &[u8], plan: &Plan) -> Result<Masked, Unmaskable> {
    whole(b"application/octet-stream", message, plan)
}

fn whole(media: &[u8], message: &[u8], plan: &Plan) -> Result<Masked, Unmaskable> {
    let mut body = Body::new(&[media], &[], plan)?;
    let (mut bytes, mut disclosure) = body.push(message)?.into_parts();
    let (rest, more) = body.end()?.into_parts();
    bytes.extend_from_slice(&rest);
    disclosure.add(&more);
    Ok(Masked::new(bytes, disclosure))
}
