//! The zero of each type (`on_unmaskable = type_default`), for clients whose types know no NULL.

use super::types::{Kind, Width};

/// Days from PostgreSQL's epoch (2000-01-01) to Unix's.
const UNIX_EPOCH_DAYS: i32 = -10_957;

/// Microseconds from PostgreSQL's epoch to Unix's.
const UNIX_EPOCH_MICROS: i64 = -946_684_800_000_000;

/// The zero of a type as a value in text or binary; none for types whose values are not known.
pub(crate) fn of(kind: Kind, binary: bool) -> Option<Vec<u8>> {
    if binary { binary_zero(kind) } else { text_zero(kind).map(|text| text.as_bytes().to_vec()) }
}

/// Dates are in the ISO style, which is the server's default.
fn text_zero(kind: Kind) -> Option<&'static str> {
    Some(match kind {
        Kind::Text | Kind::Char | Kind::Xml | Kind::Bits => "",
        Kind::Json | Kind::Jsonb => "null",
        Kind::Bool => "f",
        Kind::Integer(_) | Kind::Float(_) | Kind::Numeric => "0",
        Kind::Money => "$0.00",
        Kind::Bytea => "\\x",
        Kind::Date => "1970-01-01",
        Kind::Time => "00:00:00",
        Kind::TimeTz => "00:00:00+00",
        Kind::Timestamp => "1970-01-01 00:00:00",
        Kind::TimestampTz => "1970-01-01 00:00:00+00",
        Kind::Interval => "00:00:00",
        Kind::Uuid => "00000000-0000-0000-0000-000000000000",
        Kind::Inet => "0.0.0.0",
        Kind::Cidr => "0.0.0.0/32",
        Kind::MacAddr => "00:00:00:00:00:00",
        Kind::MacAddr8 => "00:00:00:00:00:00:00:00",
        Kind::Array(_) | Kind::Multirange => "{}",
        Kind::Range => "empty",
        Kind::Record | Kind::Opaque | Kind::Other => return None,
    })
}

fn binary_zero(kind: Kind) -> Option<Vec<u8>> {
    /// IPv4, a full mask, whether it is a network, four bytes of address (`network_send`).
    const INET: [u8; 8] = [2, 32, 0, 4, 0, 0, 0, 0];
    const CIDR: [u8; 8] = [2, 32, 1, 4, 0, 0, 0, 0];
    Some(match kind {
        Kind::Text | Kind::Xml | Kind::Bytea => Vec::new(),
        Kind::Json => b"null".to_vec(),
        Kind::Jsonb => b"\x01null".to_vec(),
        Kind::Bool | Kind::Char => vec![0],
        Kind::Integer(Width::Two) => vec![0; 2],
        Kind::Integer(Width::Four) | Kind::Float(Width::Four) | Kind::Bits | Kind::Multirange => vec![0; 4],
        Kind::Integer(Width::Eight) | Kind::Float(Width::Eight) | Kind::Numeric | Kind::Money | Kind::Time => {
            vec![0; 8]
        }
        Kind::Float(Width::Two) => return None,
        Kind::Date => UNIX_EPOCH_DAYS.to_be_bytes().to_vec(),
        Kind::Timestamp | Kind::TimestampTz => UNIX_EPOCH_MICROS.to_be_bytes().to_vec(),
        Kind::TimeTz => vec![0; 12],
        Kind::Interval | Kind::Uuid => vec![0; 16],
        Kind::Inet => INET.to_vec(),
        Kind::Cidr => CIDR.to_vec(),
        Kind::MacAddr => vec![0; 6],
        Kind::MacAddr8 => vec![0; 8],
        // No dimensions, no NULLs, the element's oid.
        Kind::Array(element) => [[0; 4], [0; 4], element.to_be_bytes()].concat(),
        // RANGE_EMPTY.
        Kind::Range => vec![1],
        Kind::Record | Kind::Opaque | Kind::Other => return None,
    })
}
