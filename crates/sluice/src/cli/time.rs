//! Durations and moments as people type them.

use std::time::Duration;

use control::time::Moment;
use gateway::clock;
use model::time::Timestamp;

const UNITS: [(&str, u64); 5] = [("s", 1), ("m", 60), ("h", 3600), ("d", 86_400), ("w", 604_800)];

/// `30s`, `15m`, `24h`, `7d`, `2w`.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let parts = text.split_at_checked(digits);
    let seconds = parts.and_then(|(number, unit)| {
        let (_, factor) = UNITS.iter().find(|(name, _)| *name == unit)?;
        number.parse::<u64>().ok()?.checked_mul(*factor)
    });
    seconds.map(Duration::from_secs).ok_or_else(|| String::from("write a duration such as 15m, 24h or 7d"))
}

/// A duration before now, or a moment in RFC 3339.
pub(super) fn since(text: &str) -> Result<Moment, String> {
    since_from(text, clock::now())
}

fn since_from(text: &str, now: Timestamp) -> Result<Moment, String> {
    match duration(text) {
        Ok(ago) => {
            let millis = u64::try_from(ago.as_millis()).unwrap_or(u64::MAX);
            Ok(Moment(Timestamp(now.0.saturating_sub(millis))))
        }
        Err(_) => text
            .parse()
            .map_err(|_| String::from("write a duration such as 24h, or a moment such as 2026-11-23T02:00:00Z")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_and_moments() {
        assert_eq!(duration("15m"), Ok(Duration::from_secs(900)));
        assert_eq!(duration("2w"), Ok(Duration::from_secs(1_209_600)));
        let now = Timestamp::from_seconds(1_000_000);
        assert_eq!(since_from("1h", now), Ok(Moment(Timestamp::from_seconds(996_400))));
        assert_eq!(since_from("1000d", now), Ok(Moment(Timestamp(0))));
        assert_eq!(since_from("1970-01-02T00:00:00Z", now), Ok(Moment(Timestamp(86_400_000))));
        for text in ["", "5", "m", "-1h", "1.5h", "1y", "yesterday", "99999999999999999999d"] {
            assert!(duration(text).is_err() && since_from(text, now).is_err(), "{text}");
        }
    }
}
