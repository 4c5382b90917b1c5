//! A tape that is long or old goes on in its next part, beside its session.

use model::event::Shown;
use model::id::RequestId;

use super::session::Session;

impl Session {
    /// Notes a request on the tape.
    pub(super) fn tape_request(&mut self, request: RequestId, statement: &str, values: &[Shown]) {
        let is_fresh = self.pipeline.is_empty() && self.staged.is_empty() && self.outbox.is_empty();
        self.rotate_tape(is_fresh);
        self.tape.request(request, statement, values);
    }

    /// Has the tape go on in its next part, if it is time for that.
    pub(super) fn rotate_tape(&mut self, is_fresh: bool) {
        self.tape.rotate(&self.node, is_fresh);
    }
}
