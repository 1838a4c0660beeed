//! The identity of a container.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

const BYTES: usize = 32;
const HEX: usize = BYTES * 2;
const SHORT: usize = 12;

/// The identity of a container: 256 bits, written as 64 lower-case hexadecimal digits.
///
/// The caller chooses the id, so that a create whose outcome is unknown can be retried without
/// creating a second container. Docker and other container front ends write ids in the same form.
///
/// ```
/// use portlayer::ContainerId;
///
/// let id = ContainerId::generate();
/// assert_eq!(id.to_string().len(), 64);
/// assert_eq!(id.to_string().parse::<ContainerId>(), Ok(id));
/// assert!(id.to_string().starts_with(&id.short()));
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ContainerId([u8; BYTES]);

impl ContainerId {
    /// The lowest identity.
    pub(crate) const FIRST: Self = Self([0; BYTES]);

    /// Generates a random identity from two version 4 UUIDs, which together have 244 random bits.
    #[must_use]
    pub fn generate() -> Self {
        let mut bytes = [0; BYTES];
        bytes[..16].copy_from_slice(uuid::Uuid::new_v4().as_bytes());
        bytes[16..].copy_from_slice(uuid::Uuid::new_v4().as_bytes());
        Self(bytes)
    }

    /// Creates an identity from its 32 bytes.
    #[must_use]
    pub fn from_bytes(bytes: [u8; BYTES]) -> Self {
        Self(bytes)
    }

    /// Returns the lowest identity whose text begins with these digits; `None` if there is no such
    /// identity.
    #[cfg(feature = "vsphere")]
    pub(crate) fn first_with_prefix(digits: &str) -> Option<Self> {
        format!("{digits:0<HEX$}").parse().ok()
    }

    /// Returns the 32 bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; BYTES] {
        &self.0
    }

    /// Returns the first 12 digits, the short form that users see and type.
    #[must_use]
    pub fn short(&self) -> String {
        let mut text = self.to_string();
        text.truncate(SHORT);
        text
    }
}

#[cfg(feature = "vsphere")]
impl ContainerId {
    /// Returns the 64 hexadecimal digits, without an allocation.
    pub(crate) fn digits(&self) -> [u8; HEX] {
        crate::hex::digits(&self.0)
    }
}

impl fmt::Display for ContainerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        crate::hex::write(&self.0, f)
    }
}

impl fmt::Debug for ContainerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ContainerId({self})")
    }
}

impl FromStr for ContainerId {
    type Err = ParseContainerIdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let digits = text.as_bytes();
        if digits.len() != HEX {
            return Err(ParseContainerIdError::Length(text.len()));
        }
        let mut bytes = [0; BYTES];
        for (position, digit) in digits.iter().enumerate() {
            let value = match digit {
                b'0'..=b'9' => digit - b'0',
                b'a'..=b'f' => digit - b'a' + 10,
                _ => return Err(ParseContainerIdError::Digit(position)),
            };
            bytes[position / 2] = bytes[position / 2] << 4 | value;
        }
        Ok(Self(bytes))
    }
}

impl Serialize for ContainerId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ContainerId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(serde::de::Error::custom)
    }
}

/// The reason why a text is not a [`ContainerId`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParseContainerIdError {
    /// The text is not 64 characters long; contains its length in bytes.
    #[error("a container id has 64 hexadecimal digits, this text has {0} bytes")]
    Length(usize),
    /// The byte at this offset is not one of `0` to `9` and `a` to `f`.
    #[error("the byte at offset {0} is not a lower-case hexadecimal digit")]
    Digit(usize),
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a panic is the failure of a test")]

    use super::*;
    use proptest::prelude::*;

    #[test]
    fn refuses_what_is_not_an_id() {
        let good = "0123456789abcdef".repeat(4);
        assert!(good.parse::<ContainerId>().is_ok());
        assert_eq!(
            good[1..].parse::<ContainerId>(),
            Err(ParseContainerIdError::Length(63))
        );
        assert_eq!(
            good.replacen('a', "A", 1).parse::<ContainerId>(),
            Err(ParseContainerIdError::Digit(10))
        );
    }

    #[test]
    fn generated_ids_differ() {
        assert_ne!(ContainerId::generate(), ContainerId::generate());
    }

    proptest! {
        #[test]
        fn text_and_json_round_trip(bytes: [u8; 32]) {
            let id = ContainerId::from_bytes(bytes);
            prop_assert_eq!(id.to_string().parse::<ContainerId>(), Ok(id));
            let json = serde_json::to_string(&id).unwrap();
            prop_assert_eq!(&json, &format!("\"{id}\""));
            prop_assert_eq!(serde_json::from_str::<ContainerId>(&json).unwrap(), id);
        }

        #[test]
        fn any_text_is_answered_without_panic(text: String) {
            let _ = text.parse::<ContainerId>();
        }
    }
}
