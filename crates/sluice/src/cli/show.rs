//! What people see. Whatever callers, targets and tapes brought is escaped: it can neither drive a terminal nor look
//! like something else (AP-07, RC-13).

use std::fmt::Write;

pub(super) use control::shown::{foreign_letters, is_hidden};
use model::time::Timestamp;
use serde_json::Value;

/// A text on one line, in which nothing is hidden: control, invisible and direction-changing characters are shown as
/// escapes, and so is a backslash, so that an escape cannot be feigned.
pub(super) fn safe(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    text.chars().for_each(|character| push(&mut out, character));
    out
}

fn push(out: &mut String, character: char) {
    match character {
        '\n' => out.push_str("\\n"),
        '\r' => out.push_str("\\r"),
        '\t' => out.push_str("\\t"),
        '\\' => out.push_str("\\\\"),
        character if is_hidden(character) => {
            // Writing to a String cannot fail.
            let _ = write!(out, "\\u{{{:x}}}", u32::from(character));
        }
        character => out.push(character),
    }
}

/// A text on as many lines as it has, each behind a margin, so that none can pass for Sluice's own words.
pub(super) fn quoted(text: &str) -> String {
    let lines = text.split('\n').map(|line| format!("  | {}\n", safe(line.strip_suffix('\r').unwrap_or(line))));
    lines.collect()
}

/// JSON for programs. What a terminal would obey or hide is escaped here too, which changes nothing of the meaning.
pub(super) fn json(value: &Value) -> String {
    let mut out = String::new();
    for character in format!("{value:#}").chars() {
        if is_hidden(character) && character != '\n' {
            let mut units = [0; 2];
            for unit in character.encode_utf16(&mut units) {
                let _ = write!(out, "\\u{unit:04x}");
            }
        } else {
            out.push(character);
        }
    }
    out.push('\n');
    out
}

/// At most `most` characters on one line.
pub(super) fn cut(text: &str, most: usize) -> String {
    let flat = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if flat.chars().count() <= most {
        return flat;
    }
    flat.chars().take(most.saturating_sub(1)).chain(['…']).collect()
}

/// The widest that a column is made for the sake of one long cell.
const WIDEST: usize = 200;

/// Rows under their headings, escaped.
pub(super) fn table(headings: &[&str], rows: &[Vec<String>]) -> String {
    let rows: Vec<Vec<String>> = rows.iter().map(|row| row.iter().map(|cell| safe(cell)).collect()).collect();
    let width = |at: usize, heading: &str| {
        let cells = rows.iter().filter_map(|row| row.get(at)).map(|cell| cell.chars().count());
        cells.max().unwrap_or(0).max(heading.chars().count()).min(WIDEST)
    };
    let widths: Vec<usize> = headings.iter().enumerate().map(|(at, heading)| width(at, heading)).collect();
    let line = |cells: &mut dyn Iterator<Item = &str>| {
        let padded: Vec<String> = cells.zip(&widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        format!("{}\n", padded.join("  ").trim_end())
    };
    let mut out = line(&mut headings.iter().copied());
    rows.iter().for_each(|row| out.push_str(&line(&mut row.iter().map(String::as_str))));
    out
}

/// Rows under their headings as comma-separated values (RFC 4180). A cell that a spreadsheet would run as a formula, or
/// that holds what could drive a terminal, is escaped.
pub(super) fn csv(headings: &[&str], rows: &[Vec<String>]) -> String {
    let mut out = format!("{}\r\n", headings.join(","));
    for row in rows {
        let cells: Vec<String> = row.iter().map(|cell| csv_cell(&safe(cell))).collect();
        out.push_str(&format!("{}\r\n", cells.join(",")));
    }
    out
}

fn csv_cell(text: &str) -> String {
    let is_formula = text.starts_with(['=', '+', '-', '@']);
    let quoted = text.contains([',', '"']).then(|| text.replace('"', "\"\""));
    match (is_formula, quoted) {
        (true, quoted) => format!("\"'{}\"", quoted.unwrap_or_else(|| text.to_owned())),
        (false, Some(quoted)) => format!("\"{quoted}\""),
        (false, None) => text.to_owned(),
    }
}

/// Names and what they are, one on a line; what is empty is left out.
pub(super) fn facts(facts: &[(&str, String)]) -> String {
    let width = facts.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    let shown = facts.iter().filter(|(_, value)| !value.is_empty());
    shown.map(|(name, value)| format!("{name:<width$}  {}\n", safe(value))).collect()
}

/// The text at a place in an answer (RFC 6901); numbers too; empty if there is nothing.
pub(super) fn text(value: &Value, place: &str) -> String {
    match value.pointer(place) {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    }
}

/// The number at a place; 0 if there is none.
pub(super) fn number(value: &Value, place: &str) -> u64 {
    value.pointer(place).and_then(Value::as_u64).unwrap_or(0)
}

/// The list at a place; empty if there is none.
pub(super) fn list<'a>(value: &'a Value, place: &str) -> &'a [Value] {
    value.pointer(place).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

/// The texts at a place, joined.
pub(super) fn joined(value: &Value, place: &str) -> String {
    list(value, place).iter().map(|item| text(item, "")).collect::<Vec<_>>().join(", ")
}

/// The subject at a place, as `alias|id`.
pub(super) fn subject(value: &Value, place: &str) -> String {
    match value.pointer(place) {
        Some(subject) if subject.is_object() => format!("{}|{}", text(subject, "/issuer"), text(subject, "/id")),
        Some(_) | None => String::from("(not known)"),
    }
}

/// The subjects at a place, the nearest first.
pub(super) fn subjects(value: &Value, place: &str) -> String {
    list(value, place).iter().map(|one| subject(one, "")).collect::<Vec<_>>().join(" for ")
}

/// The moment at a place, in UTC to the second.
pub(super) fn moment(value: &Value, place: &str) -> String {
    match value.pointer(place).and_then(Value::as_u64) {
        Some(millis) => instant(Timestamp(millis)),
        None => String::new(),
    }
}

/// A moment, in UTC to the second.
pub(super) fn instant(at: Timestamp) -> String {
    format!("{}Z", at.to_string().split('.').next().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_of_any_length_is_shown_and_pads_no_other() {
        let long = "x".repeat(100_000);
        let shown = table(&["a", "b"], &[vec![long.clone(), "1".into()], vec!["y".into(), "2".into()]]);
        assert!(shown.contains(&format!("{long}  1\n")) && shown.len() < 101_000);
    }

    #[test]
    fn nothing_is_hidden() {
        assert_eq!(safe("\u{1b}[2Jx"), "\\u{1b}[2Jx");
        assert_eq!(safe("DELETE\u{202e}x\u{200b}"), "DELETE\\u{202e}x\\u{200b}");
        assert_eq!(safe("a\nb\tc\\n"), "a\\nb\\tc\\\\n");
        assert_eq!(safe("\u{9b}31m"), "\\u{9b}31m", "CSI in one byte");
        assert_eq!(safe("naïve — ok"), "naïve — ok");
    }

    #[test]
    fn lines_stay_behind_the_margin() {
        assert_eq!(quoted("a\napproved by dba\r\n"), "  | a\n  | approved by dba\n  | \n");
        assert!(foreign_letters("pаyments").is_some_and(|warning| warning.contains("U+0430")));
        assert_eq!(foreign_letters("payments"), None);
    }

    #[test]
    fn json_means_the_same() {
        let value = serde_json::json!({ "a": "\u{1b}]52;c;x\u{7}\u{202e}\u{e0041}\u{7f}\u{9b}" });
        let shown = json(&value);
        assert!(shown.chars().all(|character| !is_hidden(character) || character == '\n'), "{shown}");
        assert_eq!(serde_json::from_str::<Value>(&shown).unwrap(), value);
    }

    proptest::proptest! {
        #[test]
        fn no_text_reaches_a_terminal_raw(text in "\\PC*|[\\x00-\\x9f\\u{2000}-\\u{206f}]*") {
            proptest::prop_assert!(!safe(&text).chars().any(is_hidden));
            let shown = table(&["a"], &[vec![text.clone()]]);
            proptest::prop_assert_eq!(shown.lines().count(), 2);
        }
    }
}
