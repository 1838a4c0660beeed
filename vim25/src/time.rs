//! Parsing and printing of `xsd:dateTime`.
//!
//! The calendar is jiff's; only the text format is ours. jiff's own parser and printer
//! support far more than XML does (time zone names, annotations), and a program
//! that reads a single date would link all of it.

use std::fmt::Write as _;

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::Offset;

/// Parses a point in time. Fractions are kept to the nanosecond; a time without an
/// offset is UTC, which is what servers mean. `None` for any other text, and for a
/// date that does not exist.
pub(crate) fn parse(text: &str) -> Option<Timestamp> {
    let mut text = Text(text.trim_ascii().as_bytes());
    let before_christ = text.take(b"-");
    let year = text.number(4)?;
    text.expect(b"-")?;
    let month = text.number(2)?;
    text.expect(b"-")?;
    let day = text.number(2)?;
    text.expect(b"Tt ")?;
    let hour = text.number(2)?;
    text.expect(b":")?;
    let minute = text.number(2)?;
    text.expect(b":")?;
    let second = text.number(2)?;
    let nanosecond = if text.take(b".") { text.fraction()? } else { 0 };
    let offset = text.offset()?;
    if !text.0.is_empty() {
        return None;
    }
    // XML Schema allows 24:00:00. A leap second is mapped to the second before it.
    let ends = hour == 24 && minute == 0 && second == 0 && nanosecond == 0;
    let hour = if ends { 0 } else { hour };
    let second = if second == 60 { 59 } else { second };
    let year = if before_christ { -year } else { year };
    let small = |number: i32| i8::try_from(number).ok();
    let civil = DateTime::new(
        i16::try_from(year).ok()?,
        small(month)?,
        small(day)?,
        small(hour)?,
        small(minute)?,
        small(second)?,
        nanosecond,
    );
    let start = offset.to_timestamp(civil.ok()?).ok()?;
    if !ends {
        return Some(start);
    }
    let day_later = start.as_second().checked_add(24 * 60 * 60)?;
    Timestamp::new(day_later, 0).ok()
}

/// Appends a point in time, in UTC and without trailing zeros.
pub(crate) fn print(time: Timestamp, out: &mut String) {
    let civil = Offset::UTC.to_datetime(time);
    let year = i32::from(civil.year());
    if year < 0 {
        out.push('-');
    }
    // Writing to a string cannot fail.
    let _ = write!(
        out,
        "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}",
        year.unsigned_abs(),
        civil.month(),
        civil.day(),
        civil.hour(),
        civil.minute(),
        civil.second()
    );
    if civil.subsec_nanosecond() != 0 {
        let _ = write!(out, ".{:09}", civil.subsec_nanosecond());
        out.truncate(out.trim_end_matches('0').len());
    }
    out.push('Z');
}

/// The rest of the text.
struct Text<'t>(&'t [u8]);

impl Text<'_> {
    /// Consumes the next byte if it is one of these.
    fn take(&mut self, any: &[u8]) -> bool {
        match self.0 {
            [first, rest @ ..] if any.contains(first) => {
                self.0 = rest;
                true
            }
            _ => false,
        }
    }

    fn expect(&mut self, any: &[u8]) -> Option<()> {
        self.take(any).then_some(())
    }

    /// Parses a number with exactly this many digits.
    fn number(&mut self, digits: usize) -> Option<i32> {
        let (number, rest) = self.0.split_at_checked(digits)?;
        self.0 = rest;
        let digit = |value: i32, byte: &u8| {
            let digit = byte.is_ascii_digit().then(|| i32::from(byte - b'0'))?;
            Some(value * 10 + digit)
        };
        number.iter().try_fold(0, digit)
    }

    /// Parses the digits after the decimal point, at least one, as nanoseconds.
    fn fraction(&mut self) -> Option<i32> {
        let length = self.0.iter().take_while(|b| b.is_ascii_digit()).count();
        let (digits, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        let digit = |at: usize| digits.get(at).map_or(0, |byte| i32::from(byte - b'0'));
        (length > 0).then(|| (0..9).fold(0, |value, at| value * 10 + digit(at)))
    }

    fn offset(&mut self) -> Option<Offset> {
        if self.0.is_empty() || self.take(b"Zz") {
            return Some(Offset::UTC);
        }
        let west = self.take(b"-");
        if !west {
            self.expect(b"+")?;
        }
        let hours = self.number(2)?;
        let minutes = if self.0.is_empty() {
            0
        } else {
            self.take(b":");
            self.number(2)?
        };
        if minutes > 59 {
            return None;
        }
        let seconds = (hours * 60 + minutes) * 60;
        Offset::from_seconds(if west { -seconds } else { seconds }).ok()
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails where it unwraps")]

    use proptest::prelude::*;

    use super::*;

    fn printed(time: Timestamp) -> String {
        let mut out = String::new();
        print(time, &mut out);
        out
    }

    #[test]
    fn the_forms_that_servers_write_are_read() {
        for (text, utc) in [
            ("2025-03-01T10:11:12.123456Z", "2025-03-01T10:11:12.123456Z"),
            ("2025-03-01T10:11:12", "2025-03-01T10:11:12Z"),
            (" 1970-01-01T00:00:00Z\n", "1970-01-01T00:00:00Z"),
            ("2025-03-01T10:11:12+02:00", "2025-03-01T08:11:12Z"),
            ("2025-03-01T00:30:00.5-08:30", "2025-03-01T09:00:00.5Z"),
            ("2025-03-01T10:11:12+0200", "2025-03-01T08:11:12Z"),
            ("2025-12-31T24:00:00Z", "2026-01-01T00:00:00Z"),
            ("2016-12-31T23:59:60Z", "2016-12-31T23:59:59Z"),
            (
                "2025-03-01T10:11:12.1234567891Z",
                "2025-03-01T10:11:12.123456789Z",
            ),
        ] {
            assert_eq!(printed(parse(text).unwrap()), utc, "{text}");
        }
    }

    #[test]
    fn what_is_no_time_is_refused() {
        for text in [
            "",
            "2025",
            "2025-03-01",
            "2025-02-30T00:00:00Z",
            "2025-03-01T24:00:01Z",
            "2025-03-01T10:61:00Z",
            "2025-03-01T10:11:12.Z",
            "2025-03-01T10:11:12+02:60",
            "2025-03-01T10:11:12+99:00",
            "2025-03-01T10:11:12Zulu",
            "20250301T101112Z",
            "12025-03-01T10:11:12Z",
            "\u{661}025-03-01T10:11:12Z",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_jiff_prints_is_read_and_printed_alike(
            second in -377_705_116_800_i64..=253_402_207_200,
            nanosecond in 0..1_000_000_000_i32,
        ) {
            // From year 0 on, both write the year with four digits.
            let second = second.max(-62_167_219_200);
            let time = Timestamp::new(second, nanosecond).unwrap();
            prop_assert_eq!(printed(time), time.to_string());
            prop_assert_eq!(parse(&time.to_string()), Some(time));
        }

        #[test]
        fn every_time_is_read_back(second in -377_705_023_201_i64..=253_402_207_200) {
            let time = Timestamp::from_second(second).unwrap();
            prop_assert_eq!(parse(&printed(time)), Some(time));
        }

        #[test]
        fn no_text_makes_it_panic(text in "\\PC*") {
            let _ = parse(&text);
        }
    }
}
