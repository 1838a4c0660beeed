//! Values of entries, and the ways in which VMware reads them.

use std::borrow::Cow;
use std::fmt;

use crate::encoding::{Encoding, ascii};
use crate::error::ValueError;
use crate::escape::unescape;

/// The value of an entry. It is unescaped, decoded and parsed only on request.
///
/// `Debug` prints only the length, because values can be secrets.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Value<'a> {
    raw: &'a [u8],
    /// `None` if the file declares an unknown charset.
    encoding: Option<Encoding>,
}

/// A switch that can be left to the product.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
pub enum Tristate {
    /// On.
    True,
    /// Off.
    False,
    /// The product decides.
    Default,
}

impl<'a> Value<'a> {
    pub(crate) const fn new(raw: &'a [u8], encoding: Option<Encoding>) -> Self {
        Self { raw, encoding }
    }

    /// Returns the bytes as they are in the file, without the quotes.
    #[must_use]
    pub const fn raw(self) -> &'a [u8] {
        self.raw
    }

    /// Returns the unescaped bytes. An escaped NUL ends the value, as in VMware.
    #[must_use]
    pub fn bytes(self) -> Cow<'a, [u8]> {
        let mut bytes = unescape(self.raw);
        if let Cow::Owned(bytes) = &mut bytes
            && let Some(end) = bytes.iter().position(|&byte| byte == 0)
        {
            bytes.truncate(end);
        }
        bytes
    }

    /// Returns the text, decoded with the charset of the file.
    ///
    /// # Errors
    ///
    /// Fails if the bytes are not valid in that charset; the error contains them.
    pub fn text(self) -> Result<Cow<'a, str>, ValueError> {
        match self.bytes() {
            Cow::Borrowed(bytes) => self.decode(bytes),
            Cow::Owned(bytes) => self
                .decode(&bytes)
                .map(|text| Cow::Owned(text.into_owned())),
        }
    }

    fn decode(self, bytes: &[u8]) -> Result<Cow<'_, str>, ValueError> {
        if let Some(text) = ascii(bytes) {
            return Ok(Cow::Borrowed(text));
        }
        self.encoding
            .and_then(|encoding| encoding.decode(bytes))
            .ok_or_else(|| ValueError::Undecodable {
                encoding: self.encoding,
                bytes: bytes.into(),
            })
    }

    /// Whether the value is empty. As a boolean, an empty value is TRUE.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.bytes().is_empty()
    }

    /// Reads a boolean, ignoring case: `true t yes y on 1` and the empty string are true,
    /// `false f no n off 0` are false.
    ///
    /// # Errors
    ///
    /// Fails for anything else. VMware logs such a value and uses FALSE.
    pub fn boolean(self) -> Result<bool, ValueError> {
        boolean(&self.bytes()).ok_or_else(|| self.unfit("a boolean, such as TRUE or FALSE"))
    }

    /// Reads a boolean that may also be `default`, `dontcare` or `auto`.
    ///
    /// # Errors
    ///
    /// Fails for anything else.
    pub fn tristate(self) -> Result<Tristate, ValueError> {
        let bytes = self.bytes();
        if [&b"default"[..], b"dontcare", b"auto"]
            .iter()
            .any(|word| bytes.eq_ignore_ascii_case(word))
        {
            return Ok(Tristate::Default);
        }
        match boolean(&bytes) {
            Some(true) => Ok(Tristate::True),
            Some(false) => Ok(Tristate::False),
            None => Err(self.unfit("TRUE, FALSE or default")),
        }
    }

    /// Reads a whole number like C's `strtoll` with base 0: `0x` is hexadecimal, a
    /// leading `0` octal (`010` is 8), and leading white space is allowed.
    ///
    /// # Errors
    ///
    /// Fails if there are no digits, if anything follows the number, or if it exceeds 64
    /// bits.
    pub fn integer(self) -> Result<i64, ValueError> {
        integer(&self.bytes()).ok_or_else(|| self.unfit("a whole number of at most 64 bits"))
    }

    /// Reads an [`integer`](Self::integer) as another type, such as `i32` or `u16`.
    ///
    /// # Errors
    ///
    /// Fails like [`integer`](Self::integer), and if the type cannot hold the number.
    pub fn number<N: TryFrom<i64>>(self) -> Result<N, ValueError> {
        N::try_from(self.integer()?).map_err(|_| {
            self.unfit(match size_of::<N>() {
                1 => "a whole number of at most 8 bits",
                2 => "a whole number of at most 16 bits",
                4 => "a whole number of at most 32 bits",
                _ => "a whole number in range",
            })
        })
    }

    /// Reads an [`integer`](Self::integer) that is never negative and may need all 64
    /// bits.
    ///
    /// # Errors
    ///
    /// Fails like [`integer`](Self::integer), and for a number below zero.
    pub fn unsigned(self) -> Result<u64, ValueError> {
        match sign_and_magnitude(&self.bytes()) {
            Some((false, number) | (true, number @ 0)) => Ok(number),
            _ => Err(self.unfit("a whole number of at most 64 bits, not below zero")),
        }
    }

    /// Reads a number with a fraction, in decimal notation.
    ///
    /// # Errors
    ///
    /// Fails for anything else. Hexadecimal floats, which C's `strtod` accepts, are not
    /// read.
    pub fn float(self) -> Result<f64, ValueError> {
        std::str::from_utf8(&self.bytes())
            .ok()
            .and_then(|text| text.trim_start().parse().ok())
            .ok_or_else(|| self.unfit("a number"))
    }

    /// Returns an error that quotes this value.
    pub(crate) fn unfit(self, expected: &'static str) -> ValueError {
        ValueError::Unfit {
            bytes: self.bytes().into(),
            expected,
        }
    }
}

impl fmt::Debug for Value<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Value({} bytes)", self.raw.len())
    }
}

fn boolean(bytes: &[u8]) -> Option<bool> {
    let is = |words: &[&[u8]]| words.iter().any(|word| bytes.eq_ignore_ascii_case(word));
    if bytes.is_empty() || is(&[b"true", b"t", b"yes", b"y", b"on", b"1"]) {
        Some(true)
    } else if is(&[b"false", b"f", b"no", b"n", b"off", b"0"]) {
        Some(false)
    } else {
        None
    }
}

/// Parses an integer like C with base 0; returns whether it is negative, and its
/// magnitude.
fn sign_and_magnitude(bytes: &[u8]) -> Option<(bool, u64)> {
    let is_space = |byte: &&u8| matches!(byte, b' ' | 0x09..=0x0D);
    let start = bytes.iter().take_while(is_space).count();
    let (negative, digits) = match &bytes[start..] {
        [b'-', digits @ ..] => (true, digits),
        [b'+', digits @ ..] => (false, digits),
        digits => (false, digits),
    };
    let (radix, digits) = match digits {
        [b'0', b'x' | b'X', digits @ ..] => (16, digits),
        [b'0', rest @ ..] if !rest.is_empty() => (8, rest),
        digits => (10, digits),
    };
    // `from_str_radix` would accept a second sign.
    if !digits.first().is_some_and(u8::is_ascii_hexdigit) {
        return None;
    }
    let magnitude = u64::from_str_radix(std::str::from_utf8(digits).ok()?, radix).ok()?;
    Some((negative, magnitude))
}

fn integer(bytes: &[u8]) -> Option<i64> {
    let (negative, magnitude) = sign_and_magnitude(bytes)?;
    if negative {
        0i64.checked_sub_unsigned(magnitude)
    } else {
        i64::try_from(magnitude).ok()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;

    fn value(raw: &str) -> Value<'_> {
        Value::new(raw.as_bytes(), Some(Encoding::UTF_8))
    }

    #[test]
    fn booleans() {
        for word in ["TRUE", "true", "t", "Yes", "Y", "on", "1", ""] {
            assert_eq!(value(word).boolean(), Ok(true), "{word:?}");
        }
        for word in ["FALSE", "false", "F", "no", "n", "OFF", "0"] {
            assert_eq!(value(word).boolean(), Ok(false), "{word:?}");
        }
        for word in ["2", "tru", " true", "-", "enabled"] {
            assert!(value(word).boolean().is_err(), "{word:?}");
        }
        assert_eq!(value("DontCare").tristate(), Ok(Tristate::Default));
        assert_eq!(value("auto").tristate(), Ok(Tristate::Default));
        assert_eq!(value("").tristate(), Ok(Tristate::True));
    }

    #[test]
    fn integers_are_read_with_base_0() {
        for (raw, number) in [
            ("10", 10),
            ("010", 8),
            ("0x10", 16),
            ("0XfF", 255),
            ("-0x10", -16),
            (" +7", 7),
            ("0", 0),
            ("-9223372036854775808", i64::MIN),
            ("9223372036854775807", i64::MAX),
        ] {
            assert_eq!(value(raw).integer(), Ok(number), "{raw:?}");
        }
        for raw in [
            "",
            "-",
            "1 ",
            "1k",
            "08",
            "0x",
            "0x-1",
            "--1",
            "9223372036854775808",
            "1.0",
        ] {
            assert!(value(raw).integer().is_err(), "{raw:?}");
        }
        assert_eq!(value("0xFFFFFFFFFFFFFFFF").unsigned(), Ok(u64::MAX));
        assert_eq!(value("-0").unsigned(), Ok(0));
        for raw in ["-1", "18446744073709551616", ""] {
            assert!(value(raw).unsigned().is_err(), "{raw:?}");
        }
        assert_eq!(
            value("-1").number::<u32>().unwrap_err().to_string(),
            "value \"-1\" is not a whole number of at most 32 bits"
        );
    }

    #[test]
    fn an_escaped_nul_ends_the_value() {
        assert_eq!(value("x|00y").text().unwrap(), "x");
    }

    #[test]
    fn undecodable_bytes_are_kept_in_the_error() {
        let bad = Value::new(b"a\xFF", Some(Encoding::UTF_8));
        assert!(
            matches!(bad.text(), Err(ValueError::Undecodable { bytes, .. }) if *bytes == *b"a\xFF")
        );
        assert_eq!(Value::new(b"plain", None).text().unwrap(), "plain");
    }
}
