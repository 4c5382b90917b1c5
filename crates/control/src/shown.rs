//! What others wrote, as people may see it: nothing in it is hidden, and nothing turns what stands beside it (AP-07).

use std::fmt::Write;

/// Characters that are not seen, or change how others are seen.
pub fn is_hidden(character: char) -> bool {
    character.is_control()
        || (character.is_whitespace() && character != ' ')
        || matches!(character,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}'
            | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
            | '\u{2800}' | '\u{3164}' | '\u{e000}'..='\u{f8ff}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}'
            | '\u{fff0}'..='\u{fffb}' | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}'
            | '\u{e0000}'..='\u{e0fff}' | '\u{f0000}'..='\u{10ffff}')
}

/// A warning where a text has letters that could be mistaken for others.
pub fn foreign_letters(text: &str) -> Option<String> {
    let mut found: Vec<char> = text.chars().filter(|letter| !letter.is_ascii()).collect();
    found.sort_unstable();
    found.dedup();
    if found.is_empty() {
        return None;
    }
    let shown: Vec<String> = found.iter().take(20).map(|letter| format!("U+{:04X}", u32::from(*letter))).collect();
    let more = if found.len() > 20 { " and more" } else { "" };
    Some(format!("careful: it has characters outside ASCII, which may look like others: {}{more}", shown.join(" ")))
}

/// A text on one line in which each hidden character stands as its name, such as `⟨RLO U+202E⟩`, as the console shows it.
pub fn plain(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    text.chars().for_each(|character| push(&mut out, character));
    out
}

/// A text on as many lines as it has, each behind a margin, so that none can pass for Sluice's own words.
pub fn quoted(text: &str) -> String {
    let line =
        |line: &str| format!("| {}\n", plain(line.strip_suffix('\r').unwrap_or(line)).replace("⟨HT U+0009⟩", "\t"));
    text.split('\n').map(line).collect()
}

/// JSON for programs whose hidden characters are escaped, which changes nothing of its meaning.
pub(crate) fn json(value: &serde_json::Value) -> String {
    let mut out = String::new();
    for character in value.to_string().chars() {
        if is_hidden(character) {
            let mut units = [0; 2];
            for unit in character.encode_utf16(&mut units) {
                // Writing to a String cannot fail.
                let _ = write!(out, "\\u{unit:04x}");
            }
        } else {
            out.push(character);
        }
    }
    out
}

fn push(out: &mut String, character: char) {
    // The brackets too, so that no name can be feigned.
    if !is_hidden(character) && !matches!(character, '⟨' | '⟩') {
        out.push(character);
        return;
    }
    let point = u32::from(character);
    let name = NAMES.iter().find(|(known, _)| *known == point).map_or(String::new(), |(_, name)| format!("{name} "));
    // Writing to a String cannot fail.
    let _ = write!(out, "⟨{name}U+{point:04X}⟩");
}

/// The names that people know them by.
const NAMES: [(u32, &str); 33] = [
    (0x00, "NUL"),
    (0x07, "BEL"),
    (0x08, "BS"),
    (0x09, "HT"),
    (0x0a, "LF"),
    (0x0b, "VT"),
    (0x0c, "FF"),
    (0x0d, "CR"),
    (0x1b, "ESC"),
    (0x7f, "DEL"),
    (0x85, "NEL"),
    (0xa0, "NBSP"),
    (0xad, "SHY"),
    (0x61c, "ALM"),
    (0x180e, "MVS"),
    (0x200b, "ZWSP"),
    (0x200c, "ZWNJ"),
    (0x200d, "ZWJ"),
    (0x200e, "LRM"),
    (0x200f, "RLM"),
    (0x2028, "LS"),
    (0x2029, "PS"),
    (0x202a, "LRE"),
    (0x202b, "RLE"),
    (0x202c, "PDF"),
    (0x202d, "LRO"),
    (0x202e, "RLO"),
    (0x2060, "WJ"),
    (0x2066, "LRI"),
    (0x2067, "RLI"),
    (0x2068, "FSI"),
    (0x2069, "PDI"),
    (0xfeff, "BOM"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_hidden_stands_as_its_name_and_no_name_can_be_feigned() {
        assert_eq!(plain("a\u{202e}b\nc"), "a⟨RLO U+202E⟩b⟨LF U+000A⟩c");
        assert_eq!(plain("⟨RLO U+202E⟩"), "⟨U+27E8⟩RLO U+202E⟨U+27E9⟩");
        assert_eq!(plain("\u{e0041}"), "⟨U+E0041⟩");
        assert_eq!(quoted("SELECT 1\r\n\tFROM t\nStatus: approved"), "| SELECT 1\n| \tFROM t\n| Status: approved\n");
    }

    #[test]
    fn json_says_the_same_in_characters_that_hide_nothing() {
        let value = serde_json::json!({ "a": "x\u{202e}y\u{1f600}\u{e0041}" });
        let text = json(&value);
        assert!(!text.contains('\u{202e}') && text.contains("\\u202e"), "{text}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&text).unwrap(), value);
    }
}
