//! Floating point numbers, in Go's shortest `E` form.

use std::fmt::Write as _;

use super::text::text_value;
use crate::codec::{Decoder, Describer, Encoder, GuestInfo, Shape};

// VIC widens `float32` before formatting, so 3.14 is stored as `3.140000104904175E+00`.
text_value!(
    f32,
    "a floating point number",
    Shape::Text,
    |value, out| push_float(out, f64::from(*value)),
    |text| parse_float(text).map(|value| value as Self)
);
text_value!(
    f64,
    "a floating point number",
    Shape::Text,
    |value, out| push_float(out, *value),
    |text| parse_float(text)
);

fn push_float(out: &mut String, value: f64) {
    if value.is_nan() {
        return out.push_str("NaN");
    }
    if value.is_infinite() {
        return out.push_str(if value > 0.0 { "+Inf" } else { "-Inf" });
    }
    let text = format!("{value:E}");
    let (digits, exponent) = text.split_once('E').unwrap_or((&text, "0"));
    let (sign, exponent) = match exponent.strip_prefix('-') {
        Some(exponent) => ('-', exponent),
        None => ('+', exponent),
    };
    // Writing to a string cannot fail.
    let _ = write!(out, "{digits}E{sign}{exponent:0>2}");
}

fn parse_float(text: &str) -> Option<f64> {
    // Go and Rust parse the same decimal forms. Go also parses hexadecimal forms, but no
    // program writes them.
    text.parse().ok()
}
