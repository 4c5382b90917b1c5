//! Proposals as lines of `classification.toml`. Names are whatever their owners chose: they stand in a string of TOML as
//! that very name, with nothing in them that an editor or a terminal would obey or hide.

use std::fmt::Write;

use masking::suggest::Confidence;

use super::{Proposed, ScanReport};

/// The lines: those that are sure enough as they are, the others in comments.
pub(super) fn of(report: &ScanReport) -> String {
    let mut out = String::new();
    // Writing to a String cannot fail.
    let _ = writeln!(out, "# proposed by a scan of {}/{}", escaped(&report.target), escaped(&report.database));
    for proposed in &report.proposals {
        out.push_str(&lines(report, proposed));
    }
    out
}

fn lines(report: &ScanReport, proposed: &Proposed) -> String {
    let because = proposed.because.join("; ");
    let class = &proposed.class;
    let confidence = match proposed.confidence {
        Confidence::High => "high",
        Confidence::Medium => "medium",
        Confidence::Low => "low",
    };
    let Some(pattern) = pattern(report, proposed) else {
        let column = escaped(&proposed.column);
        return format!("\n# {confidence}: {column} may be {class} ({because}), and no pattern can name it\n");
    };
    let off = if proposed.confidence == Confidence::Low { "# " } else { "" };
    format!("\n# {confidence}: {because}\n{off}[[column]]\n{off}match = \"{pattern}\"\n{off}classes = [\"{class}\"]\n")
}

/// `target/database/schema.table.column`, escaped. A part of a pattern ends at a dot or a slash, so that a name with one
/// stands as `*` in its place would mark others as well: `None`, as nobody asked for that.
fn pattern(report: &ScanReport, proposed: &Proposed) -> Option<String> {
    let table = &proposed.name.table;
    let parts = [&*report.target, &*report.database, &*table.schema, &*table.name, &*proposed.name.name];
    let is_plain = |part: &&&str| !part.is_empty() && !part.contains(['.', '/', '*']);
    if parts.iter().filter(is_plain).count() < parts.len() {
        return None;
    }
    let [target, database, schema, table, column] = parts.map(escaped);
    Some(format!("{target}/{database}/{schema}.{table}.{column}"))
}

/// A text inside a basic string of TOML 1.0, or in a comment: what is neither a letter, a digit nor plain ASCII is written by
/// its number.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            ' '..='~' => out.push(letter),
            _ if letter.is_alphanumeric() => out.push(letter),
            _ if u32::from(letter) <= 0xffff => {
                let _ = write!(out, "\\u{:04X}", u32::from(letter));
            }
            _ => {
                let _ = write!(out, "\\U{:08X}", u32::from(letter));
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use model::class::DataClass;
    use model::effect::{ColumnName, TableName};

    use super::*;

    fn report(columns: &[(&str, &str, Confidence)]) -> ScanReport {
        let proposed = |(table, column, confidence): &(&str, &str, Confidence)| Proposed {
            column: format!("public.{table}.{column}"),
            type_name: "text".into(),
            class: "email".into(),
            confidence: *confidence,
            values: 1,
            hits: 1,
            because: vec!["its name says email".into()],
            name: ColumnName::new(TableName::new("public", *table), *column),
        };
        ScanReport {
            target: "shop".into(),
            database: "shop".into(),
            relations: 1,
            columns: 1,
            classified: 0,
            values: 1,
            cut: false,
            proposals: columns.iter().map(proposed).collect(),
            contradictions: vec![],
            unsampled: vec![],
            fragment: String::new(),
        }
    }

    #[test]
    fn the_lines_classify_what_was_proposed() {
        let text = of(&report(&[
            ("people", "mail", Confidence::High),
            ("people", "maybe", Confidence::Low),
            ("größe \"x\"", "e\\mail\u{202e}\n", Confidence::Medium),
        ]));
        let read = store::config::parse_classification(&text, Path::new("c.toml")).unwrap();
        let carries = |table: &str, column: &str| {
            let column = ColumnName::new(TableName::new("public", table), column);
            read.marking("shop", "shop", &column).classes().map(DataClass::as_str).any(|class| class == "email")
        };
        assert!(carries("people", "mail") && carries("größe \"x\"", "e\\mail\u{202e}\n"), "{text}");
        assert!(!carries("people", "maybe"), "what is not sure stands in a comment");
        assert!(!text.chars().any(|letter| letter == '\u{202e}'));
    }

    #[test]
    fn no_name_writes_lines_of_its_own() {
        let hostile = "x\"\nclasses = [\"iban\"]\n[[column]]\nmatch = \"*.*.*\"\npublic = true #";
        let text = of(&report(&[
            ("t", hostile, Confidence::High),
            ("t", "a.b", Confidence::High),
            ("a\nb", "*", Confidence::High),
        ]));
        let read = store::config::parse_classification(&text, Path::new("c.toml")).unwrap();
        assert_eq!(read.rules.len(), 0, "a name with a dot or a star is in no pattern: {text}");
        assert!(text.lines().all(|line| line.is_empty() || line.starts_with('#')), "{text}");
    }
}
