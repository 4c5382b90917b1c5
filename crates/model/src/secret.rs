//! Values that must leave no trace.

use zeroize::{Zeroize, ZeroizeOnDrop};

/// A value that is wiped when dropped and can be neither printed nor serialized.
///
/// It implements neither `Debug`, `Display`, `Clone` nor `Serialize`:
///
/// ```compile_fail
/// println!("{:?}", model::secret::Secret::new(String::from("x")));
/// ```
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct Secret<T: Zeroize>(T);

impl<T: Zeroize> Secret<T> {
    /// Takes the value in; the caller keeps no copy.
    pub const fn new(value: T) -> Self {
        Self(value)
    }

    /// The value in clear. Each call site is a place where it could leak: keep them few.
    pub const fn expose(&self) -> &T {
        &self.0
    }
}
