//! Text that comes in pieces: what is decided of it, what is held back, and what was shown.
//!
//! A [`Window`] holds what may still become a value. What it lets go of it gives to a [`Paint`], which writes it as the
//! protocol wants it; what it finds an [`Account`] counts.

mod account;
mod run;
mod stars;
mod window;

pub(crate) use account::Account;
#[cfg(test)]
pub(crate) use run::LONGEST_KEY;
pub(crate) use run::Shown;
pub(crate) use stars::stars;
pub(crate) use window::Window;

use crate::mask::Mask;

/// Writes what a [`Window`] lets go of, in the order of the text.
pub(crate) trait Paint {
    /// Text as it is.
    fn plain(&mut self, text: &[u8]);

    /// A star for each column of it.
    fn stars(&mut self, text: &[u8]);

    /// What stands for a value.
    fn masked(&mut self, mask: &Mask, value: &[u8]);

    /// What stands for a value that is not known to its end.
    fn redacted(&mut self, mask: &Mask, value: &[u8]);

    /// How the rest is shown of a value that began with [`Paint::redacted`].
    fn goes_on(&self) -> Shown;

    /// More of a value.
    fn run(&mut self, shown: Shown, value: &[u8]) {
        match shown {
            Shown::Clear => self.plain(value),
            Shown::Stars => self.stars(value),
            Shown::Nothing => self.nothing(value),
        }
    }

    /// Text that goes out in no form.
    fn nothing(&mut self, text: &[u8]);
}
