//! The keys of one machine in a compact form, for the thousands of machines of an index.

use std::fmt;

use super::record::Keys;

/// Keys and values in one allocation, in the order of the keys.
///
/// Neighbouring keys usually begin alike, for example with `guestinfo./sessions|` and an id of 64
/// digits. So each key is stored as the length of what it shares with the previous key, and the
/// rest. A container's keys take about a fifth of the memory of a map. A look-up costs as much as
/// there are keys.
#[derive(Clone, Default, PartialEq, Eq)]
pub(super) struct PackedKeys(Box<[u8]>);

impl PackedKeys {
    /// Returns the value of a key.
    pub(super) fn get(&self, key: &str) -> Option<String> {
        let mut pairs = self.pairs();
        while let Some(value) = pairs.advance() {
            if pairs.key == key.as_bytes() {
                return Some(text(value));
            }
        }
        None
    }

    /// Returns all keys with their values.
    pub(super) fn unpack(&self) -> Keys {
        let mut keys = Keys::new();
        let mut pairs = self.pairs();
        while let Some(value) = pairs.advance() {
            keys.insert(text(&pairs.key), text(value));
        }
        keys
    }

    fn pairs(&self) -> Pairs<'_> {
        Pairs {
            rest: &self.0,
            key: Vec::new(),
        }
    }
}

impl From<&Keys> for PackedKeys {
    fn from(keys: &Keys) -> Self {
        let mut packed = Vec::new();
        let mut before: &[u8] = &[];
        for (key, value) in keys {
            let key = key.as_bytes();
            let is_alike = |(a, b): &(&u8, &u8)| a == b;
            let shared = before.iter().zip(key).take_while(is_alike).count();
            let own = key.get(shared..).unwrap_or_default();
            put_length(shared, &mut packed);
            put(own, &mut packed);
            put(value.as_bytes(), &mut packed);
            before = key;
        }
        Self(packed.into())
    }
}

impl From<Keys> for PackedKeys {
    fn from(keys: Keys) -> Self {
        Self::from(&keys)
    }
}

impl fmt::Debug for PackedKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Values may be secret.
        f.debug_set().entries(self.unpack().keys()).finish()
    }
}

/// Iterates over the pairs.
struct Pairs<'p> {
    rest: &'p [u8],
    /// The key of the last pair.
    key: Vec<u8>,
}

impl<'p> Pairs<'p> {
    /// Moves on to the next pair, and returns its value.
    fn advance(&mut self) -> Option<&'p [u8]> {
        let shared = take_length(&mut self.rest)?;
        let own = take(&mut self.rest)?;
        self.key.truncate(shared);
        self.key.extend_from_slice(own);
        take(&mut self.rest)
    }
}

/// Returns bytes that were packed from a text.
fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn put(bytes: &[u8], to: &mut Vec<u8>) {
    put_length(bytes.len(), to);
    to.extend_from_slice(bytes);
}

fn take<'p>(from: &mut &'p [u8]) -> Option<&'p [u8]> {
    let length = take_length(from)?;
    let (bytes, rest) = from.split_at_checked(length)?;
    *from = rest;
    Some(bytes)
}

/// Appends a length in groups of seven bits, the lowest first; all but the last have the top bit.
fn put_length(mut length: usize, to: &mut Vec<u8>) {
    while length >= 0x80 {
        to.push((length & 0x7f) as u8 | 0x80);
        length >>= 7;
    }
    to.push(length as u8);
}

fn take_length(from: &mut &[u8]) -> Option<usize> {
    let (mut length, mut shift) = (0, 0);
    loop {
        let (group, rest) = from.split_first()?;
        *from = rest;
        length |= usize::from(group & 0x7f).checked_shl(shift)?;
        if group & 0x80 == 0 {
            return Some(length);
        }
        shift += 7;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn packed_keys_are_unpacked_unchanged(
            keys in prop::collection::btree_map("[ab/|é]{0,12}", "(?s).{0,200}", 0..40),
        ) {
            let packed = PackedKeys::from(&keys);
            prop_assert_eq!(&packed.unpack(), &keys);
            for (key, value) in &keys {
                prop_assert_eq!(packed.get(key), Some(value.clone()));
            }
            prop_assert_eq!(packed.get("missing"), None);
        }
    }

    #[test]
    fn keys_that_begin_alike_take_little_memory() {
        let id = "4e01".repeat(16);
        let keys: Keys = (0..100)
            .map(|n| (format!("guestinfo./sessions|{id}/{n}"), "true".to_owned()))
            .collect();
        let length: usize = keys
            .iter()
            .map(|(key, value)| key.len() + value.len())
            .sum();
        assert!(PackedKeys::from(&keys).0.len() * 5 < length);
    }

    #[test]
    fn values_are_not_in_debug_output() {
        let keys = Keys::from([("key".to_owned(), "secret".to_owned())]);
        assert_eq!(format!("{:?}", PackedKeys::from(&keys)), r#"{"key"}"#);
    }
}
