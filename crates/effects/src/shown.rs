//! What the record may have of what a caller wrote.

use model::event::Shown;

/// How much of one value the record has in clear, in bytes; [`Shown::Clear`] says so.
const MOST_OF_A_VALUE: usize = 256;
/// How much of all values it has in clear, in bytes: an entry of the journal has room for 65,535 in all.
const MOST_OF_ALL: usize = 8 * 1024;

/// What stands where a secret stood.
pub(crate) const MARK: &str = "[secret]";

/// The class that the record names for it.
pub(crate) const CLASS: &str = "secret";

/// How much may still be shown.
pub(crate) struct Room(usize);

impl Default for Room {
    fn default() -> Self {
        Self(MOST_OF_ALL)
    }
}

impl Room {
    /// A value as the record may have it.
    pub(crate) fn clear(&mut self, value: &str) -> Shown {
        let cut = cut(value, MOST_OF_A_VALUE);
        match self.0.checked_sub(cut.len()) {
            Some(left) => {
                self.0 = left;
                Shown::Clear(cut.to_owned())
            }
            None => Shown::Length(u64::try_from(value.len()).unwrap_or(u64::MAX)),
        }
    }

    /// A value that holds a secret: not even how long it is.
    pub(crate) fn secret() -> Shown {
        Shown::Masked(CLASS.into())
    }
}

/// At most so many bytes of a text, whole characters.
pub(crate) fn cut(text: &str, most: usize) -> &str {
    let mut end = most.min(text.len());
    while !text.is_char_boundary(end) {
        end = end.saturating_sub(1);
    }
    text.get(..end).unwrap_or_default()
}
