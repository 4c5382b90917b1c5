//! Durations and sizes as people write them: `2m`, `1MiB`.

use std::time::Duration;

const DURATIONS: [(&str, u64); 5] = [("ms", 1), ("s", 1000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];
const SIZES: [(&str, u64); 4] = [("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30), ("B", 1)];

/// A whole number and a unit, such as `250ms`, `10s`, `2m`, `1h` or `7d`.
pub(super) fn duration(text: &str) -> Option<Duration> {
    amount(text, &DURATIONS).map(Duration::from_millis)
}

/// A whole number and a unit, such as `512B`, `64KiB`, `1MiB` or `2GiB`.
pub(super) fn size(text: &str) -> Option<u64> {
    amount(text, &SIZES)
}

fn amount(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at_checked(digits)?;
    let (_, factor) = units.iter().find(|(name, _)| *name == unit)?;
    number.parse::<u64>().ok()?.checked_mul(*factor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_need_a_number_and_a_unit() {
        assert_eq!(duration("250ms"), Some(Duration::from_millis(250)));
        assert_eq!(duration("2m"), Some(Duration::from_secs(120)));
        assert_eq!(size("1MiB"), Some(1_048_576));
        assert_eq!(size("7B"), Some(7));
        for text in ["", "2", "m", "-2m", "2 m", "2M", "1.5h", "99999999999999999999s", "1e3s", "１m"] {
            assert_eq!(duration(text), None, "{text}");
        }
        for text in ["1", "1MB", "1mib", "18446744073709551615KiB"] {
            assert_eq!(size(text), None, "{text}");
        }
    }
}
