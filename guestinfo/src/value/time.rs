//! Times and durations.

use std::fmt::Write as _;
use std::time::Duration;

use jiff::civil::{Date, DateTime, Time};
use jiff::tz::{Offset, TimeZone};
use jiff::{SignedDuration, Timestamp};

use super::text::text_value;
use crate::codec::{Decoder, Describer, Encoder, GuestInfo, Shape};

// VIC stores nanoseconds in 64 bits.
const TOO_LONG: &str = "the duration is longer than 292 years";

text_value!(
    SignedDuration,
    "a number of nanoseconds",
    Shape::Text,
    |value, out| push_nanos(out, value.as_nanos())?,
    |text| text.parse::<i64>().ok().map(Self::from_nanos)
);

text_value!(
    Duration,
    "a number of nanoseconds, not negative",
    Shape::Text,
    |value, out| push_nanos(out, i128::try_from(value.as_nanos()).map_err(|_| TOO_LONG)?)?,
    |text| {
        let nanos: i64 = text.parse().ok()?;
        u64::try_from(nanos).ok().map(Self::from_nanos)
    }
);

fn push_nanos(out: &mut String, nanos: i128) -> Result<(), &'static str> {
    let nanos = i64::try_from(nanos).map_err(|_| TOO_LONG)?;
    out.push_str(&nanos.to_string());
    Ok(())
}

/// Stored the way Go prints a time, always in UTC; any offset is accepted.
impl GuestInfo for Timestamp {
    fn encode(&self, encoder: &mut Encoder) {
        let time = TimeZone::UTC.to_datetime(*self);
        if !(0..=9999).contains(&time.year()) {
            return encoder
                .unstorable_value("years before 0 have no stored form", self.to_string());
        }
        let mut text = String::with_capacity(40);
        // Writing to a string cannot fail.
        let _ = write!(
            text,
            "{:04}-{:02}-{:02} {:02}:{:02}:{:02}",
            time.year(),
            time.month(),
            time.day(),
            time.hour(),
            time.minute(),
            time.second()
        );
        if time.subsec_nanosecond() != 0 {
            let fraction = format!(".{:09}", time.subsec_nanosecond());
            text.push_str(fraction.trim_end_matches('0'));
        }
        text.push_str(" +0000 UTC");
        encoder.text(text);
    }

    fn decode(decoder: &mut Decoder<'_>) -> Option<Self> {
        decoder.parse(
            "expected a time such as `2009-11-10 23:00:00 +0000 UTC`",
            parse_go_time,
        )
    }

    fn describe(describer: &mut Describer) {
        describer.text();
    }
}

/// Parses `2016-07-01 12:30:45.123456789 -0700 PDT`, with or without the name of the zone
/// and the monotonic reading ` m=+0.1` that newer Go versions append.
fn parse_go_time(text: &str) -> Option<Timestamp> {
    let mut words = text.split(' ');
    let (date, time, offset) = (words.next()?, words.next()?, words.next()?);
    // Zone names are ambiguous; the offset suffices.
    let rest: Vec<_> = words.collect();
    if rest.len() > 2 || (rest.len() == 2 && !rest[1].starts_with("m=")) {
        return None;
    }

    let mut parts = date.splitn(3, '-');
    let date = Date::new(
        digits(parts.next()?, 4)?,
        digits(parts.next()?, 2)?,
        digits(parts.next()?, 2)?,
    )
    .ok()?;
    let (clock, fraction) = time.split_once('.').unwrap_or((time, ""));
    let mut parts = clock.splitn(3, ':');
    if fraction.len() > 9 || !fraction.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let nanos: i32 = format!("{fraction:0<9}").parse().ok()?;
    let time = Time::new(
        digits(parts.next()?, 2)?,
        digits(parts.next()?, 2)?,
        digits(parts.next()?, 2)?,
        nanos,
    )
    .ok()?;

    let (sign, hours_minutes) = match offset.as_bytes().first()? {
        b'+' => (1, &offset[1..]),
        b'-' => (-1, &offset[1..]),
        _ => return None,
    };
    let minutes: i32 = digits(hours_minutes, 4)?;
    let seconds = sign * ((minutes / 100) * 3600 + (minutes % 100) * 60);
    let offset = Offset::from_seconds(seconds).ok()?;
    offset.to_timestamp(DateTime::from_parts(date, time)).ok()
}

/// Parses a number of exactly `len` digits.
fn digits<T: std::str::FromStr>(text: &str, len: usize) -> Option<T> {
    (text.len() == len && text.bytes().all(|b| b.is_ascii_digit()))
        .then(|| text.parse().ok())
        .flatten()
}
