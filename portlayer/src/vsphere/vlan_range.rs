//! Ranges of VLAN ids.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A range of VLAN ids from the first to the last, both included, written as `100-199`.
///
/// ```
/// use portlayer::vsphere::VlanRange;
///
/// let vlans: VlanRange = "100-199".parse()?;
/// assert_eq!(vlans, VlanRange::new(100, 199)?);
/// assert_eq!(vlans.iter().count(), 100);
/// # Ok::<(), portlayer::vsphere::VlanRangeError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct VlanRange {
    first: u16,
    last: u16,
}

/// The reason why something is not a range of VLAN ids.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum VlanRangeError {
    /// An id is not a number from 1 to 4094. Port groups use 0 for no VLAN and 4095 for all.
    #[error("{0:?} is not a VLAN id from 1 to 4094")]
    Id(String),
    /// The first id is above the last.
    #[error("the range {0}-{1} is reversed")]
    Reversed(u16, u16),
}

impl VlanRange {
    /// Creates a range from the first id to the last.
    ///
    /// # Errors
    /// Returns a [`VlanRangeError`] if an id is invalid or the range is reversed.
    pub fn new(first: u16, last: u16) -> Result<Self, VlanRangeError> {
        for id in [first, last] {
            if !(1..=4094).contains(&id) {
                return Err(VlanRangeError::Id(id.to_string()));
            }
        }
        if first > last {
            return Err(VlanRangeError::Reversed(first, last));
        }
        Ok(Self { first, last })
    }

    /// Returns whether the range includes this id.
    #[must_use]
    pub const fn contains(self, id: u16) -> bool {
        self.first <= id && id <= self.last
    }

    /// Iterates over the ids of the range in ascending order.
    pub fn iter(self) -> impl ExactSizeIterator<Item = u16> {
        // A range of `u16` has an exact size only if its end is excluded.
        self.first..self.last + 1
    }
}

impl fmt::Display for VlanRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.first, self.last)
    }
}

impl FromStr for VlanRange {
    type Err = VlanRangeError;

    /// Parses `100-199`; a single id is a range of one.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let id = |text: &str| {
            let is_number = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
            let id = text.parse().ok().filter(|_| is_number);
            id.ok_or_else(|| VlanRangeError::Id(text.to_owned()))
        };
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        Self::new(id(first)?, id(last)?)
    }
}

impl TryFrom<String> for VlanRange {
    type Error = VlanRangeError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<VlanRange> for String {
    fn from(range: VlanRange) -> Self {
        range.to_string()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a panic is the failure of a test")]

    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_is_no_range_is_refused_with_the_part() {
        let id = |text: &str| Err(VlanRangeError::Id(text.to_owned()));
        for (text, expected) in [
            ("", id("")),
            ("0", id("0")),
            ("4095", id("4095")),
            ("1-4095", id("4095")),
            ("70000", id("70000")),
            ("+1", id("+1")),
            ("1-2-3", id("2-3")),
            ("9-8", Err(VlanRangeError::Reversed(9, 8))),
            ("7", VlanRange::new(7, 7)),
        ] {
            assert_eq!(text.parse::<VlanRange>(), expected, "{text}");
        }
        assert!(serde_json::from_str::<VlanRange>("\"9-8\"").is_err());
    }

    proptest! {
        #[test]
        fn text_round_trips(first in 1..=4094u16, more in 0..4094u16) {
            let range = VlanRange::new(first, first.saturating_add(more).min(4094)).unwrap();
            prop_assert_eq!(range.to_string().parse(), Ok(range));
            let json = serde_json::to_string(&range).unwrap();
            prop_assert_eq!(serde_json::from_str::<VlanRange>(&json).unwrap(), range);
            prop_assert_eq!(range.iter().count(), range.iter().len());
        }
    }
}
