//! Values whose stored form is one plain text.

use crate::codec::{Decoder, Describer, Encoder, GuestInfo, Shape};

/// The stored form of empty text, because the platform treats an empty value as a
/// deletion.
pub(crate) const NIL: &str = "<nil>";

/// Returns the reason if a text cannot be stored, because the API transports values as
/// XML.
pub(crate) fn unstorable(text: &str) -> Option<&'static str> {
    // Checking bytes suffices to find the few characters that XML does not allow.
    let control = text
        .bytes()
        .any(|b| b < 0x20 && !matches!(b, b'\t' | b'\n' | b'\r'));
    if control {
        return Some("control characters other than tab and line breaks cannot be stored");
    }
    if !text.is_ascii() && text.contains(['\u{fffe}', '\u{ffff}']) {
        return Some("the characters U+FFFE and U+FFFF cannot be stored");
    }
    None
}

/// Implements [`GuestInfo`] for a type of [`Shape::Text`].
macro_rules! text_value {
    ($type:ty, $expected:literal, $shape:expr, |$value:ident, $out:ident| $push:expr, |$text:ident| $parse:expr $(, { $($extra:tt)* })? $(,)?) => {
        impl GuestInfo for $type {
            const SHAPE: Shape = $shape;

            fn encode(&self, encoder: &mut Encoder) {
                let mut text = String::new();
                match self.push_text(&mut text) {
                    Ok(()) => encoder.text(text),
                    Err(reason) => encoder.unstorable(reason),
                }
            }

            fn decode(decoder: &mut Decoder<'_>) -> Option<Self> {
                decoder.parse(concat!("expected ", $expected), Self::parse_text)
            }

            fn describe(describer: &mut Describer) {
                describer.text();
            }

            fn push_text(&self, $out: &mut String) -> Result<(), &'static str> {
                let $value = self;
                $push;
                Ok(())
            }

            fn parse_text($text: &str) -> Option<Self> {
                $parse
            }

            $($($extra)*)?
        }
    };
}
pub(crate) use text_value;

text_value!(
    bool,
    "`true` or `false`",
    Shape::Text,
    |value, out| out.push_str(if *value { "true" } else { "false" }),
    |text| match text {
        "1" | "t" | "T" | "TRUE" | "true" | "True" => Some(true),
        "0" | "f" | "F" | "FALSE" | "false" | "False" => Some(false),
        _ => None,
    }
);

text_value!(
    String,
    "text",
    Shape::Text,
    |value, out| out.push_str(value),
    |text| Some(text.to_owned())
);

macro_rules! integers {
    ($($type:ty),*) => {$(
        text_value!(
            $type,
            "a whole number that fits the field",
            Shape::Text,
            |value, out| push_integer(out, *value as i128),
            |text| text.parse().ok()
        );
    )*};
}
integers!(i8, i16, i32, i64, isize, u16, u32, u64, usize);

text_value!(
    u8,
    "a whole number from 0 to 255",
    Shape::Byte,
    |value, out| push_integer(out, i128::from(*value)),
    |text| text.parse().ok(),
    {
        fn to_byte(&self) -> u8 {
            *self
        }

        fn from_byte(byte: u8) -> Option<Self> {
            Some(byte)
        }
    }
);

text_value!(
    i128,
    "a whole number that fits the field",
    Shape::Text,
    |value, out| out.push_str(&value.to_string()),
    |text| text.parse().ok()
);
text_value!(
    u128,
    "a whole number that fits the field",
    Shape::Text,
    |value, out| out.push_str(&value.to_string()),
    |text| text.parse().ok()
);

macro_rules! non_zero {
    ($($type:ident),*) => {$(
        text_value!(
            std::num::$type,
            "a whole number that fits the field and is not 0",
            Shape::Text,
            |value, out| out.push_str(&value.to_string()),
            |text| text.parse().ok()
        );
    )*};
}
non_zero!(
    NonZeroI8,
    NonZeroI16,
    NonZeroI32,
    NonZeroI64,
    NonZeroI128,
    NonZeroIsize,
    NonZeroU8,
    NonZeroU16,
    NonZeroU32,
    NonZeroU64,
    NonZeroU128,
    NonZeroUsize
);

text_value!(
    std::path::PathBuf,
    "a path",
    Shape::Text,
    |value, out| out.push_str(value.to_str().ok_or("a path that is not UTF-8")?),
    |text| Some(Self::from(text))
);

text_value!(
    std::net::SocketAddr,
    "an address and a port, such as `10.0.0.1:80` or `[fe80::1]:80`",
    Shape::Text,
    |value, out| out.push_str(&value.to_string()),
    |text| text.parse().ok()
);

fn push_integer(out: &mut String, value: i128) {
    use std::fmt::Write as _;
    // Writing to a string cannot fail.
    let _ = match i64::try_from(value) {
        Ok(value) => write!(out, "{value}"),
        Err(_) => write!(out, "{value}"),
    };
}
