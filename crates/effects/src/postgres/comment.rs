//! The trailing sqlcommenter comment (RULES.md 19).

/// What a trailing comment says.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Comment {
    /// The W3C trace context.
    pub traceparent: Option<String>,
    /// A token of the user on whose behalf the statement is: verified before it is believed, never recorded.
    pub user_token: Option<String>,
    /// All other keys and values, URL-decoded.
    pub others: Vec<(String, String)>,
}

impl std::fmt::Debug for Comment {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Comment").field("traceparent", &self.traceparent).finish_non_exhaustive()
    }
}

/// Splits a trailing sqlcommenter comment off; everything else about the request comes from the first part alone.
pub fn split(text: &str) -> (&str, Option<Comment>) {
    (text, None)
}
