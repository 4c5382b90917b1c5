//! Whether what comes in pieces is UTF-8, which JSON is (RFC 8259, 8.1). Who reads what is not may leave bytes out, and so
//! make a value of parts that are none.

use crate::http::error::Unmaskable;

/// The beginning of a character that was cut.
#[derive(Default)]
pub(super) struct Utf8 {
    cut: [u8; 4],
    length: usize,
}

impl Utf8 {
    /// Looks at the next bytes.
    pub(super) fn check(&mut self, mut bytes: &[u8]) -> Result<(), Unmaskable> {
        while self.length > 0 {
            let Some((next, rest)) = bytes.split_first() else { return Ok(()) };
            if let Some(slot) = self.cut.get_mut(self.length) {
                *slot = *next;
            }
            (self.length, bytes) = (self.length.saturating_add(1), rest);
            match std::str::from_utf8(self.cut.get(..self.length).unwrap_or_default()) {
                Ok(_) => self.length = 0,
                Err(error) if error.error_len().is_some() => return Err(Unmaskable::Malformed),
                Err(_) => {}
            }
        }
        match std::str::from_utf8(bytes) {
            Ok(_) => Ok(()),
            Err(error) if error.error_len().is_some() => Err(Unmaskable::Malformed),
            Err(error) => {
                let cut = bytes.get(error.valid_up_to()..).unwrap_or_default();
                self.cut.iter_mut().zip(cut).for_each(|(slot, byte)| *slot = *byte);
                self.length = cut.len();
                Ok(())
            }
        }
    }

    /// Nothing more comes.
    pub(super) const fn end(&self) -> Result<(), Unmaskable> {
        if self.length > 0 { Err(Unmaskable::Malformed) } else { Ok(()) }
    }
}
