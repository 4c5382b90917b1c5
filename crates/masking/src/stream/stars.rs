//! Stars in place of characters.

/// Writes a star for each column that `text` takes on a terminal. Line ends and other control characters stay, so that the
/// layout does; of what is not UTF-8, every byte becomes a star.
pub(crate) fn stars(text: &[u8], out: &mut Vec<u8>) {
    for chunk in text.utf8_chunks() {
        for symbol in chunk.valid().chars() {
            match u8::try_from(symbol) {
                Ok(control) if control.is_ascii_control() => out.push(control),
                _ => out.extend_from_slice(STARS.get(..width(symbol)).unwrap_or(STARS)),
            }
        }
        out.extend(chunk.invalid().iter().map(|_| b'*'));
    }
}

const STARS: &[u8] = b"**";

/// How many columns a character takes (Unicode Standard Annex 11, by blocks): an estimate, as terminals differ.
const fn width(symbol: char) -> usize {
    match symbol {
        '\u{300}'..='\u{36f}' | '\u{200b}'..='\u{200f}' | '\u{fe00}'..='\u{fe0f}' => 0,
        '\u{1100}'..='\u{115f}'
        | '\u{2e80}'..='\u{303e}'
        | '\u{3041}'..='\u{a4cf}'
        | '\u{ac00}'..='\u{d7a3}'
        | '\u{f900}'..='\u{faff}'
        | '\u{fe30}'..='\u{fe6f}'
        | '\u{ff00}'..='\u{ff60}'
        | '\u{ffe0}'..='\u{ffe6}'
        | '\u{1f300}'..='\u{1f64f}'
        | '\u{1f900}'..='\u{1f9ff}'
        | '\u{20000}'..='\u{3fffd}' => 2,
        _ => 1,
    }
}
