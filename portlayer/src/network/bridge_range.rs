//! The range from which bridge scopes get their subnets.

use std::net::Ipv4Addr;

use ipnet::Ipv4Net;
use serde::{Deserialize, Serialize};

/// The range of a host from which bridge scopes get their subnets, and the prefix length of a
/// subnet.
///
/// ```
/// use portlayer::network::BridgeRange;
///
/// let range = BridgeRange::new("10.64.0.0/16".parse()?, 24)?;
/// assert_eq!(range.subnets(), 256);
/// assert_eq!(BridgeRange::default().to_string(), "172.16.0.0/12 in subnets of /20");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "Parts", into = "Parts")]
pub struct BridgeRange {
    range: Ipv4Net,
    prefix_len: u8,
}

#[derive(Serialize, Deserialize)]
struct Parts {
    range: Ipv4Net,
    prefix_len: u8,
}

impl TryFrom<Parts> for BridgeRange {
    type Error = BridgeRangeError;

    fn try_from(parts: Parts) -> Result<Self, Self::Error> {
        Self::new(parts.range, parts.prefix_len)
    }
}

impl From<BridgeRange> for Parts {
    fn from(range: BridgeRange) -> Self {
        Self {
            range: range.range,
            prefix_len: range.prefix_len,
        }
    }
}

/// The reason why a range cannot be divided into subnets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BridgeRangeError {
    /// Bits of the host part are set.
    #[error("{0} has bits of the host part set: its network is {net}", net = .0.trunc())]
    HostBits(Ipv4Net),
    /// The range is not allowed for private subnets.
    #[error(
        "{0} is not a range for containers: it is unspecified, loopback, multicast or reserved"
    )]
    Unusable(Ipv4Net),
    /// The prefix length is not between the range's own and 30.
    #[error("a subnet of {range} must have a prefix length of {low} to 30, not {prefix_len}", low = .range.prefix_len())]
    Prefix {
        /// The range.
        range: Ipv4Net,
        /// The requested prefix length.
        prefix_len: u8,
    },
}

impl Default for BridgeRange {
    /// Returns VIC's default, 172.16.0.0/12, divided into 256 subnets with 4093 container addresses
    /// each.
    fn default() -> Self {
        Self {
            range: Ipv4Net::new_assert(Ipv4Addr::new(172, 16, 0, 0), 12),
            prefix_len: 20,
        }
    }
}

impl std::fmt::Display for BridgeRange {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} in subnets of /{}", self.range, self.prefix_len)
    }
}

impl BridgeRange {
    /// Creates a range with the prefix length of its subnets.
    ///
    /// # Errors
    /// Returns a [`BridgeRangeError`] if the range cannot be divided into such subnets.
    pub fn new(range: Ipv4Net, prefix_len: u8) -> Result<Self, BridgeRangeError> {
        if range != range.trunc() {
            return Err(BridgeRangeError::HostBits(range));
        }
        if !is_usable(range) {
            return Err(BridgeRangeError::Unusable(range));
        }
        if !(range.prefix_len()..=30).contains(&prefix_len) {
            return Err(BridgeRangeError::Prefix { range, prefix_len });
        }
        Ok(Self { range, prefix_len })
    }

    /// Returns the range.
    #[must_use]
    pub fn range(&self) -> Ipv4Net {
        self.range
    }

    /// Returns the prefix length of a subnet.
    #[must_use]
    pub fn prefix_len(&self) -> u8 {
        self.prefix_len
    }

    /// Returns the network mask of a subnet.
    #[must_use]
    pub fn mask(&self) -> Ipv4Addr {
        let bits = u32::MAX << (32 - u32::from(self.prefix_len));
        bits.into()
    }

    /// Returns the number of subnets.
    #[must_use]
    pub fn subnets(&self) -> u32 {
        1_u32
            .checked_shl(u32::from(self.prefix_len - self.range.prefix_len()))
            .unwrap_or(u32::MAX)
    }

    /// Returns the first subnet that overlaps none of the taken networks.
    pub(super) fn choose(&self, taken: impl IntoIterator<Item = Ipv4Net>) -> Option<Ipv4Net> {
        let mut taken: Vec<_> = taken
            .into_iter()
            .map(|net| (u32::from(net.network()), u32::from(net.broadcast())))
            .collect();
        taken.sort_unstable();
        let (mut next, end) = (
            u32::from(self.range.network()),
            u32::from(self.range.broadcast()),
        );
        let size = (u64::from(u32::MAX) + 1) >> self.prefix_len;
        let mut taken = taken.into_iter().peekable();
        loop {
            let last = u32::try_from(u64::from(next) + size - 1).ok()?;
            if last > end {
                return None;
            }
            // A network that ends before this candidate cannot overlap a later candidate either.
            while taken.next_if(|(_, to)| *to < next).is_some() {}
            match taken.peek() {
                Some((from, to)) if *from <= last => {
                    let past = (u64::from(*to) / size + 1) * size;
                    next = u32::try_from(past).ok()?;
                }
                _ => return Ipv4Net::new(next.into(), self.prefix_len).ok(),
            }
        }
    }
}

/// Returns whether containers can have addresses in this network.
pub(super) fn is_usable(net: Ipv4Net) -> bool {
    let overlaps = |a: u8, prefix: u8| {
        let other = Ipv4Net::new_assert(Ipv4Addr::new(a, 0, 0, 0), prefix);
        overlap(net, other)
    };
    !overlaps(0, 8) && !overlaps(127, 8) && !overlaps(224, 3)
}

/// Returns whether two networks have an address in common. Networks are either disjoint or nested,
/// so this is exact.
pub(super) fn overlap(one: Ipv4Net, other: Ipv4Net) -> bool {
    one.contains(&other.network()) || other.contains(&one.network())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a panic is the failure of a test")]

    use super::*;
    use proptest::prelude::*;

    fn net(text: &str) -> Ipv4Net {
        text.parse().unwrap()
    }

    #[test]
    fn two_hundred_scopes_fit_the_default() {
        let (range, mut taken) = (BridgeRange::default(), Vec::new());
        for _ in 0..range.subnets() {
            taken.push(range.choose(taken.iter().copied()).unwrap());
        }
        assert_eq!(taken.len(), 256);
        assert_eq!(range.choose(taken.iter().copied()), None);
        taken.remove(77);
        assert_eq!(range.choose(taken), Some(net("172.20.208.0/20")));
    }

    #[test]
    fn a_bad_range_is_refused() {
        let bad = |text: &str, prefix: u8| BridgeRange::new(net(text), prefix).unwrap_err();
        let range = net("10.0.0.1/8");
        assert_eq!(bad("10.0.0.1/8", 16), BridgeRangeError::HostBits(range));
        for text in ["0.0.0.0/0", "127.0.0.0/16", "224.0.0.0/8", "240.0.0.0/4"] {
            assert_eq!(bad(text, 24), BridgeRangeError::Unusable(net(text)));
        }
        for prefix_len in [7, 31, 32, 200] {
            let range = net("10.0.0.0/8");
            let expected = BridgeRangeError::Prefix { range, prefix_len };
            assert_eq!(bad("10.0.0.0/8", prefix_len), expected);
        }
        let json = r#"{"range":"10.0.0.0/8","prefix_len":31}"#;
        assert!(serde_json::from_str::<BridgeRange>(json).is_err());
    }

    proptest! {
        /// Compares the chosen subnet with a linear search for the first candidate that overlaps
        /// nothing.
        #[test]
        fn the_first_free_subnet_is_chosen(
            taken in prop::collection::vec((0..1u32 << 12, 20..=30u8), 0..12),
            prefix in 20..=26u8,
        ) {
            let range = BridgeRange::new(net("10.0.0.0/20"), prefix).unwrap();
            let taken: Vec<_> = taken
                .into_iter()
                .map(|(n, prefix)| Ipv4Net::new((0x0a00_0000 + n).into(), prefix).unwrap().trunc())
                .collect();
            let expected = range
                .range()
                .subnets(prefix)
                .unwrap()
                .find(|subnet| !taken.iter().any(|net| overlap(*net, *subnet)));
            prop_assert_eq!(range.choose(taken.iter().copied()), expected);
        }

        #[test]
        fn overlap_is_exact(a: u8, b: u8, p in 24..=32u8, q in 24..=32u8) {
            let net = |n: u8, prefix| Ipv4Net::new(Ipv4Addr::new(10, 0, 0, n), prefix).unwrap().trunc();
            let (one, other) = (net(a, p), net(b, q));
            let inside = |net: Ipv4Net, n: u8| net.contains(&Ipv4Addr::new(10, 0, 0, n));
            let expected = (0..=255u8).any(|n| inside(one, n) && inside(other, n));
            prop_assert_eq!(overlap(one, other), expected);
            prop_assert_eq!(overlap(other, one), expected);
        }
    }
}
