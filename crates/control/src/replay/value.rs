//! Values as text, as far as they can be read without the target.

use std::fmt::Write;

use wire::postgres::part::Format;

/// A value as text: as it is in the text format; decoded from the binary format for the types whose form is simple, and
/// in hexadecimal otherwise. Text never holds a NUL, so a value with one is binary whatever was described.
pub(super) fn shown(bytes: &[u8], type_oid: u32, format: Format) -> String {
    let as_text = || std::str::from_utf8(bytes).ok().filter(|text| !text.contains('\0')).map(str::to_owned);
    let known = match format {
        Format::Text => as_text().or_else(|| binary(bytes, type_oid)),
        Format::Binary => binary(bytes, type_oid),
    };
    known.unwrap_or_else(|| hexadecimal(bytes))
}

/// Data of a COPY: text, or hexadecimal in COPY BINARY.
pub(super) fn copied(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) if !text.contains('\0') => text.to_owned(),
        Ok(_) | Err(_) => hexadecimal(bytes),
    }
}

/// The binary forms of `pg_type`'s commonest types (the `*send` functions of the server).
fn binary(bytes: &[u8], type_oid: u32) -> Option<String> {
    match type_oid {
        16 => bytes.first().map(|byte| String::from(if *byte == 0 { "f" } else { "t" })),
        20 => bytes.try_into().ok().map(i64::from_be_bytes).map(|number| number.to_string()),
        21 => bytes.try_into().ok().map(i16::from_be_bytes).map(|number| number.to_string()),
        23 => bytes.try_into().ok().map(i32::from_be_bytes).map(|number| number.to_string()),
        26 => bytes.try_into().ok().map(u32::from_be_bytes).map(|number| number.to_string()),
        700 => bytes.try_into().ok().map(f32::from_be_bytes).map(|number| number.to_string()),
        701 => bytes.try_into().ok().map(f64::from_be_bytes).map(|number| number.to_string()),
        // jsonb: a version byte, then text.
        3802 => bytes.strip_prefix(&[1]).and_then(plain),
        2950 => uuid(bytes),
        // bytea is never text, whatever its bytes spell.
        17 => None,
        // char, name, text, json, xml, bpchar, varchar, and values of no known type.
        0 | 18 | 19 | 25 | 114 | 142 | 705 | 1042 | 1043 => plain(bytes),
        _ => None,
    }
}

fn plain(bytes: &[u8]) -> Option<String> {
    std::str::from_utf8(bytes).ok().filter(|text| !text.contains('\0')).map(str::to_owned)
}

fn uuid(bytes: &[u8]) -> Option<String> {
    let digits = hexadecimal(bytes);
    let digits = digits.strip_prefix("\\x").filter(|digits| digits.len() == 32)?;
    let part = |from: usize, to: usize| digits.get(from..to);
    Some([part(0, 8)?, part(8, 12)?, part(12, 16)?, part(16, 20)?, part(20, 32)?].join("-"))
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().fold(String::from("\\x"), |mut out, byte| {
        // Writing to a String cannot fail.
        let _ = write!(out, "{byte:02x}");
        out
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_either_format() {
        assert_eq!(shown(b"42", 23, Format::Text), "42");
        assert_eq!(shown(&[0, 0, 0, 42], 23, Format::Binary), "42");
        assert_eq!(shown(&[0, 0, 0, 42], 23, Format::Text), "42", "described as text, but text holds no NUL");
        assert_eq!(shown(&[1, b'{', b'}'], 3802, Format::Binary), "{}");
        assert_eq!(shown(&[0xff, 0xfe], 25, Format::Text), "\\xfffe");
        assert_eq!(shown(b"ab", 17, Format::Binary), "\\x6162");
        assert_eq!(shown(&[0x11; 16], 2950, Format::Binary), "11111111-1111-1111-1111-111111111111");
        assert_eq!(shown(&[1], 16, Format::Binary), "t");
    }
}
