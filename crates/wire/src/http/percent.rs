//! Percent-encoding (RFC 3986, section 2.1).

/// The byte that an escape at the beginning of `text` stands for, `text` being behind the `%`.
pub(super) fn escaped(text: &[u8]) -> Option<u8> {
    let (high, low) = (text.first()?, text.get(1)?);
    let digit = |byte: &u8| char::from(*byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    digit(high)?.checked_mul(16)?.checked_add(digit(low)?)
}

/// Writes a byte as an escape, in upper case.
pub(super) fn push(out: &mut String, byte: u8) {
    const DIGITS: [char; 16] = ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'A', 'B', 'C', 'D', 'E', 'F'];
    let digit = |at: u8| DIGITS.get(usize::from(at)).copied().unwrap_or('0');
    out.extend(['%', digit(byte >> 4), digit(byte & 15)]);
}

/// Whether a character has no other meaning anywhere in a URI (RFC 3986, section 2.3).
pub(super) const fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}
