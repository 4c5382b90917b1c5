//! Moments as people write them.

use std::fmt;
use std::str::FromStr;

use model::time::Timestamp;
use serde::Deserialize;

/// A moment in RFC 3339, such as `2026-11-23T02:00:00Z` or `2026-11-23T03:00:00.5+01:00`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Deserialize)]
#[serde(try_from = "String")]
pub struct Moment(pub Timestamp);

/// The text is not a moment in RFC 3339.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("not a moment: write it as 2026-11-23T02:00:00Z (RFC 3339)")]
pub struct NotAMoment;

impl TryFrom<String> for Moment {
    type Error = NotAMoment;

    fn try_from(text: String) -> Result<Self, NotAMoment> {
        text.parse()
    }
}

impl fmt::Display for Moment {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(out)
    }
}

impl FromStr for Moment {
    type Err = NotAMoment;

    fn from_str(text: &str) -> Result<Self, NotAMoment> {
        Timestamp::from_rfc_3339(text).map(Self).ok_or(NotAMoment)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_with_zones_and_fractions() {
        let millis = |text: &str| text.parse::<Moment>().map(|moment| moment.0.0);
        assert_eq!(millis("1970-01-01T00:00:00Z"), Ok(0));
        assert_eq!(millis("2026-11-23T04:00:00Z"), Ok(1_795_406_400_000));
        assert_eq!(millis("2026-11-23T05:00:00.25+01:00"), Ok(1_795_406_400_250));
        assert_eq!(millis("2000-02-29T00:00:00.123456Z"), Ok(951_782_400_123));
        for text in [
            "",
            "2026-11-23",
            "2026-02-29T00:00:00Z",
            "2026-13-01T00:00:00Z",
            "2026-11-23T24:00:00Z",
            "2026-11-23T00:00:60Z",
            "2026-11-23T00:00:00",
            "2026-11-23T00:00:00.Z",
            "2026-11-23T00:00:00+1:00",
            "1969-12-31T23:59:59Z",
            "２026-11-23T00:00:00Z",
        ] {
            assert_eq!(millis(text), Err(NotAMoment), "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn what_is_shown_is_read_again(millis in 0u64..253_402_300_800_000) {
            let shown = Timestamp(millis).to_string();
            assert_eq!(shown.parse(), Ok(Moment(Timestamp(millis))), "{shown}");
        }

        #[test]
        fn other_text_never_panics(text in ".{0,40}") {
            let _ = text.parse::<Moment>();
        }
    }
}
