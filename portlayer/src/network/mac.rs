//! MAC addresses.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest as _, Sha256};

/// A 48-bit MAC address, written with colons in lower case.
///
/// ```
/// use portlayer::network::MacAddress;
///
/// let mac: MacAddress = "00:50:56:00:AB:01".parse()?;
/// assert_eq!(mac.to_string(), "00:50:56:00:ab:01");
/// # Ok::<(), portlayer::network::ParseMacAddressError>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MacAddress([u8; 6]);

impl MacAddress {
    /// Creates an address from its six bytes.
    #[must_use]
    pub const fn new(bytes: [u8; 6]) -> Self {
        Self(bytes)
    }

    /// Returns the six bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 6] {
        &self.0
    }

    /// Derives an address from a seed deterministically. It is in the range that vSphere reserves
    /// for manually assigned addresses, `00:50:56:00:00:00` to `00:50:56:3f:ff:ff`. The range has
    /// only four million addresses, so the caller has to handle seeds that collide.
    #[must_use]
    pub fn from_seed(seed: &[u8]) -> Self {
        let digest = Sha256::digest(seed);
        let [a, b, c] = [0, 1, 2].map(|n| digest.get(n).copied().unwrap_or(0));
        Self([0x00, 0x50, 0x56, a & 0x3f, b, c])
    }

    /// Returns whether a single network card can have this address: it is neither a group address
    /// nor all zero.
    #[must_use]
    pub fn is_unicast(&self) -> bool {
        !self.is_multicast() && self.0 != [0; 6]
    }

    /// Returns whether this is a multicast address, which no network card can have as its own.
    #[must_use]
    pub const fn is_multicast(&self) -> bool {
        self.0[0] & 1 != 0
    }
}

impl fmt::Display for MacAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

impl fmt::Debug for MacAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// An error for text that is not six pairs of hexadecimal digits separated by colons.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a MAC address is six pairs of hexadecimal digits, as in 00:50:56:00:00:01")]
pub struct ParseMacAddressError;

impl FromStr for MacAddress {
    type Err = ParseMacAddressError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut bytes = [0; 6];
        let mut pairs = text.split(':');
        for byte in &mut bytes {
            let pair = pairs.next().ok_or(ParseMacAddressError)?;
            if pair.len() != 2 || !pair.bytes().all(|digit| digit.is_ascii_hexdigit()) {
                return Err(ParseMacAddressError);
            }
            *byte = u8::from_str_radix(pair, 16).map_err(|_| ParseMacAddressError)?;
        }
        if pairs.next().is_some() {
            return Err(ParseMacAddressError);
        }
        Ok(Self(bytes))
    }
}

impl Serialize for MacAddress {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for MacAddress {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn text_round_trips(bytes: [u8; 6]) {
            let mac = MacAddress::new(bytes);
            prop_assert_eq!(mac.to_string().parse(), Ok(mac));
        }

        #[test]
        fn a_seed_gives_one_address_that_a_station_can_have(seed: Vec<u8>) {
            let mac = MacAddress::from_seed(&seed);
            prop_assert_eq!(mac, MacAddress::from_seed(&seed));
            prop_assert!(mac.is_unicast());
            prop_assert!(mac >= MacAddress::new([0, 0x50, 0x56, 0, 0, 0]));
            prop_assert!(mac <= MacAddress::new([0, 0x50, 0x56, 0x3f, 0xff, 0xff]));
        }

        #[test]
        fn any_text_is_answered_without_panic(text: String) {
            let _ = text.parse::<MacAddress>();
        }
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for text in [
            "",
            "00:50:56:00:00",
            "00:50:56:00:00:01:02",
            "+0:50:56:00:00:01",
            "0:5:5:0:0:1",
        ] {
            assert_eq!(
                text.parse::<MacAddress>(),
                Err(ParseMacAddressError),
                "{text}"
            );
        }
    }
}
