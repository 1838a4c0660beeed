//! Identifiers of machines, network cards and SAS controllers.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use crate::error::ValueError;
use crate::value::Value;

use super::typed_setting::{Setting, read_as};

/// A UUID of a machine.
///
/// Files store it as `56 4d 5b 11 ..-.. .. ..`, sixteen bytes with one dash in the
/// middle. The API uses the same bytes in the same order, as 8-4-4-4-12 digits, which is
/// the form that `Display` prints. [`FromStr`] accepts both forms.
///
/// ```
/// let uuid: vmx::view::Uuid = "56 4d 5b 11 1a 2b 3c 4d-5e 6f 70 81 92 a3 b4 c5".parse()?;
/// assert_eq!(uuid.to_string(), "564d5b11-1a2b-3c4d-5e6f-708192a3b4c5");
/// assert_eq!(uuid.to_file_form(), "56 4d 5b 11 1a 2b 3c 4d-5e 6f 70 81 92 a3 b4 c5");
/// # Ok::<(), vmx::view::IdentityError>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Uuid([u8; 16]);

/// A hardware address of a network card; `Display` prints `00:50:56:..` in lower case.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MacAddress([u8; 6]);

/// The worldwide name (WWN) of a SAS controller; `Display` prints eight bytes as files
/// store them, `50 05 05 6b ..`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SasWwid([u8; 8]);

/// Text that is not a valid UUID, hardware address or SAS worldwide name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected {expected} hexadecimal bytes")]
pub struct IdentityError {
    expected: usize,
}

impl Uuid {
    /// Creates a UUID from bytes in the order of the file.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// Returns the bytes in the order of the file.
    #[must_use]
    pub const fn to_bytes(self) -> [u8; 16] {
        self.0
    }

    /// Returns the UUID in the form used in files.
    #[must_use]
    pub fn to_file_form(self) -> String {
        let (first, second) = self.0.split_at(8);
        format!("{}-{}", joined(first, " "), joined(second, " "))
    }
}

impl MacAddress {
    /// Creates an address from bytes in transmission order.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 6]) -> Self {
        Self(bytes)
    }

    /// Returns the bytes in transmission order.
    #[must_use]
    pub const fn to_bytes(self) -> [u8; 6] {
        self.0
    }
}

impl SasWwid {
    /// Creates a worldwide name from bytes in the order of the file.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 8]) -> Self {
        Self(bytes)
    }

    /// Returns the bytes in the order of the file.
    #[must_use]
    pub const fn to_bytes(self) -> [u8; 8] {
        self.0
    }
}

fn joined(bytes: &[u8], separator: &str) -> String {
    let digits: Vec<_> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    digits.join(separator)
}

/// Parses exactly `N` hexadecimal bytes, with any of `separators` between digits.
fn hexadecimal<const N: usize>(text: &str, separators: &[char]) -> Result<[u8; N], IdentityError> {
    let error = IdentityError { expected: N };
    let mut digits = text
        .chars()
        .filter(|c| !separators.contains(c))
        .map(|c| c.to_digit(16));
    let mut bytes = [0; N];
    for byte in &mut bytes {
        let mut digit = || digits.next().flatten().ok_or(error);
        *byte = (digit()? << 4 | digit()?) as u8;
    }
    if digits.next().is_some() {
        Err(error)
    } else {
        Ok(bytes)
    }
}

impl FromStr for Uuid {
    type Err = IdentityError;

    fn from_str(text: &str) -> Result<Self, IdentityError> {
        hexadecimal(text, &[' ', '-']).map(Self)
    }
}

impl FromStr for MacAddress {
    type Err = IdentityError;

    fn from_str(text: &str) -> Result<Self, IdentityError> {
        hexadecimal(text, &[':', '-']).map(Self)
    }
}

impl FromStr for SasWwid {
    type Err = IdentityError;

    fn from_str(text: &str) -> Result<Self, IdentityError> {
        hexadecimal(text, &[' ', '-', ':']).map(Self)
    }
}

impl fmt::Display for Uuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, byte) in self.0.iter().enumerate() {
            if matches!(index, 4 | 6 | 8 | 10) {
                f.write_str("-")?;
            }
            write!(f, "{byte:02x}")?;
        }
        Ok(())
    }
}

impl fmt::Display for MacAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&joined(&self.0, ":"))
    }
}

impl fmt::Display for SasWwid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&joined(&self.0, " "))
    }
}

macro_rules! shown_as_text {
    ($($type:ty)*) => {$(
        impl fmt::Debug for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        #[cfg(feature = "serde")]
        impl serde::Serialize for $type {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }
    )*};
}

shown_as_text!(Uuid MacAddress SasWwid);

impl Setting for Uuid {
    fn read(value: Value<'_>) -> Result<Self, ValueError> {
        read_as(value, "a UUID of 16 hexadecimal bytes", |text| {
            text.parse().ok()
        })
    }

    fn write(&self) -> Cow<'_, str> {
        self.to_file_form().into()
    }
}

impl Setting for MacAddress {
    fn read(value: Value<'_>) -> Result<Self, ValueError> {
        read_as(value, "a hardware address of 6 hexadecimal bytes", |text| {
            text.parse().ok()
        })
    }

    fn write(&self) -> Cow<'_, str> {
        self.to_string().into()
    }
}

impl Setting for SasWwid {
    fn read(value: Value<'_>) -> Result<Self, ValueError> {
        read_as(value, "a SAS identity of 8 hexadecimal bytes", |text| {
            text.parse().ok()
        })
    }

    fn write(&self) -> Cow<'_, str> {
        self.to_string().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_identity_is_refused() {
        for text in [
            "",
            "56 4d",
            "zz:00:00:00:00:00",
            "00:50:56:00:00:00:00",
            "00:50:56:00:00:0é",
        ] {
            assert!(text.parse::<MacAddress>().is_err(), "{text}");
            assert!(text.parse::<Uuid>().is_err(), "{text}");
        }
        assert_eq!(
            "00-50-56-AB-cd-0F"
                .parse::<MacAddress>()
                .map(|m| m.to_string()),
            Ok("00:50:56:ab:cd:0f".into())
        );
    }
}
