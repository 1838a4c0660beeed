//! Points in time as clients give them.

use jiff::Timestamp;

use crate::error::{ApiError, Result};

/// Seconds since 1970, with a fraction perhaps, or RFC 3339.
pub(crate) fn parse(text: &str) -> Result<Timestamp> {
    let refused = || ApiError::bad_request(format!("{text:?} is not a time"));
    if let Ok(time) = text.parse() {
        return Ok(time);
    }
    let (seconds, fraction) = text.split_once('.').unwrap_or((text, ""));
    let seconds: i64 = seconds.parse().map_err(|_| refused())?;
    let nanos = if fraction.is_empty() {
        0
    } else {
        let digits: String = fraction
            .chars()
            .chain("000000000".chars())
            .take(9)
            .collect();
        digits.parse().map_err(|_| refused())?
    };
    Timestamp::new(seconds, nanos).map_err(|_| refused())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a panic is the failure of a test")]

    use super::*;

    #[test]
    fn the_commands_forms_are_read() {
        let expected: Timestamp = "2026-11-25T20:00:00.5Z".parse().unwrap();
        for text in [
            "2026-11-25T20:00:00.5Z",
            "1795636800.500000000",
            "1795636800.5",
        ] {
            assert_eq!(parse(text).unwrap(), expected);
        }
        assert!(parse("yesterday").is_err());
        assert!(parse("99999999999999999").is_err());
    }
}
