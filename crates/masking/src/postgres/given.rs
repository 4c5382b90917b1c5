//! Values that a caller gives, looked at for masks.

use model::class::DataClass;

use super::array;
use super::value::Written;
use crate::Lens;

/// The text type (pg_type.dat), which an array's elements are taken for.
const TEXT: u32 = 25;

/// Whether a value, or an element of it if it is an array, has the form of a mask of one of `classes`.
pub fn holds_mask<'c>(lens: &Lens, value: &[u8], classes: impl Iterator<Item = &'c DataClass> + Clone) -> bool {
    let is_mask = |value: &[u8]| {
        let text = std::str::from_utf8(value).ok();
        text.is_some_and(|text| classes.clone().any(|class| lens.is_mask(text, class)))
    };
    let has_mask = |binary: bool| {
        let mut found = false;
        // What is not an array has been looked at as a whole.
        let _ = array::rewrite(value, binary, TEXT, &mut Vec::new(), |_, element, _| {
            found |= is_mask(element);
            Ok(Written::Same)
        });
        found
    };
    is_mask(value) || has_mask(false) || has_mask(true)
}
