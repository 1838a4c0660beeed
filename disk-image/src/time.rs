//! File timestamps.

/// Seconds since 1970, negative for earlier times, and the nanoseconds after that second.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp {
    /// Seconds since 1970-01-01 UTC.
    pub seconds: i64,
    /// Nanoseconds after the second, below 1,000,000,000.
    pub nanos: u32,
}

impl Timestamp {
    /// Creates a timestamp from whole seconds.
    pub fn from_seconds(seconds: i64) -> Self {
        Self { seconds, nanos: 0 }
    }

    /// Parses a decimal number of seconds, such as `-1.25`. Digits beyond nanoseconds are ignored.
    pub(crate) fn parse(text: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(text).ok()?;
        let (negative, text) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
        let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        if whole.is_empty() || !digits(whole) || !digits(fraction) {
            return None;
        }
        // A value that overflows an `i64` exceeds what file systems store, and is clamped.
        let seconds = whole.parse().unwrap_or(i64::MAX);
        let mut nanos = 0;
        for index in 0..9 {
            let digit = fraction
                .as_bytes()
                .get(index)
                .map_or(0, |byte| u32::from(byte - b'0'));
            nanos = nanos * 10 + digit;
        }
        Some(match (negative, nanos) {
            (false, _) => Self { seconds, nanos },
            (true, 0) => Self {
                seconds: -seconds,
                nanos,
            },
            (true, _) => Self {
                seconds: (-seconds).saturating_sub(1),
                nanos: 1_000_000_000 - nanos,
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimal_seconds_are_parsed_before_and_after_1970() {
        let time = |seconds, nanos| Some(Timestamp { seconds, nanos });
        assert_eq!(Timestamp::parse(b"12.5"), time(12, 500_000_000));
        assert_eq!(Timestamp::parse(b"12.1234567899"), time(12, 123_456_789));
        assert_eq!(Timestamp::parse(b"-1.25"), time(-2, 750_000_000));
        assert_eq!(Timestamp::parse(b"-3"), time(-3, 0));
        assert_eq!(Timestamp::parse(b"99999999999999999999"), time(i64::MAX, 0));
        for text in [&b"NaN"[..], b"", b"-", b".5", b"1e3", b"+1", b"inf"] {
            assert_eq!(Timestamp::parse(text), None);
        }
    }
}
