//! Parses times as clients send them.

use std::time::Duration;

use jiff::Timestamp;

use crate::error::{ApiError, Result};

/// Parses seconds since 1970 with an optional fraction, RFC 3339, or a duration before now, such as
/// `1h30m`.
pub(crate) fn parse(text: &str) -> Result<Timestamp> {
    let refused = || ApiError::bad_request(format!("{text:?} is not a time"));
    if let Some(ago) = duration(text) {
        let time = Timestamp::now().checked_sub(ago);
        return time.map_err(|_| refused());
    }
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

/// Parses a duration in Go's notation, in whole units: `1h30m`, `10s`.
fn duration(text: &str) -> Option<Duration> {
    const UNITS: [(&str, u64); 6] = [
        ("ns", 1),
        ("us", 1_000),
        ("ms", 1_000_000),
        ("s", 1_000_000_000),
        ("m", 60_000_000_000),
        ("h", 3_600_000_000_000),
    ];
    let mut rest = text;
    let mut total = None;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let number: u64 = rest[..digits].parse().ok()?;
        rest = &rest[digits..];
        let unit = rest
            .find(|c: char| c.is_ascii_digit())
            .unwrap_or(rest.len());
        let (_, nanos) = UNITS.iter().find(|(name, _)| *name == &rest[..unit])?;
        let part = Duration::from_nanos(number.checked_mul(*nanos)?);
        total = Some(total.unwrap_or(Duration::ZERO).checked_add(part)?);
        rest = &rest[unit..];
    }
    total
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
        assert_eq!(duration("1h30m"), Some(Duration::from_secs(5400)));
        assert_eq!(duration("10s"), Some(Duration::from_secs(10)));
        for text in ["", "10", "s", "1x", "h1"] {
            assert_eq!(duration(text), None, "{text}");
        }
        assert!(parse("1h").unwrap() < Timestamp::now());
        assert!(parse("yesterday").is_err());
        assert!(parse("99999999999999999").is_err());
    }
}
