//! Values that must leave no trace.

use zeroize::{Zeroize, ZeroizeOnDrop};

/// A value that is wiped when dropped and can be neither printed nor serialized.
///
/// It implements neither `Debug`, `Display`, `Clone` nor `Serialize`:
///
/// ```compile_fail,E0277
/// fn is_told<T: std::fmt::Debug>() {}
/// is_told::<model::secret::Secret<String>>();
/// ```
///
/// ```compile_fail,E0277
/// fn is_shown<T: std::fmt::Display>() {}
/// is_shown::<model::secret::Secret<String>>();
/// ```
///
/// ```compile_fail,E0277
/// fn is_cloned<T: Clone>() {}
/// is_cloned::<model::secret::Secret<String>>();
/// ```
///
/// ```compile_fail,E0277
/// fn is_written<T: serde::Serialize>() {}
/// is_written::<model::secret::Secret<String>>();
/// ```
///
/// ```
/// fn is_wiped<T: zeroize::ZeroizeOnDrop>() {}
/// is_wiped::<model::secret::Secret<String>>();
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
