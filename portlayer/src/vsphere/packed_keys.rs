//! The keys of one machine in a compact form, for the thousands of machines of an index.

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;

use super::record::Keys;

/// The number of digits of a container's id.
const ID_DIGITS: usize = 64;

/// Stands for the container's id in packed names and values. It occurs in no text.
const ID: u8 = 0xff;

/// Keys and values. Cheap to clone.
///
/// Keys of containers have the same names except for the container's id, and many values contain the
/// id too. So names and values are stored apart with a mark in place of the id, and machines can
/// [share](Names) the names.
#[derive(Clone, Default)]
pub(super) struct PackedKeys {
    names: Arc<[u8]>,
    /// The id, which is empty if no name contains one, and the values in the order of the names.
    values: Arc<[u8]>,
}

impl PackedKeys {
    /// Returns all keys with their values.
    pub(super) fn unpack(&self) -> Keys {
        let mut keys = Vec::new();
        let mut pairs = self.pairs();
        while let Some(value) = pairs.advance() {
            keys.push((pairs.text(&pairs.key), pairs.text(value)));
        }
        keys.into_iter().collect()
    }

    /// Packs keys and values in any order. Of equal keys, the last one counts.
    pub(super) fn pack<K: AsRef<str>>(mut keys: Vec<(K, String)>) -> Self {
        keys.sort_by(|(a, _), (b, _)| a.as_ref().cmp(b.as_ref()));
        let id = keys.iter().find_map(|(key, _)| id_in(key.as_ref()));
        let id = id.unwrap_or_default();
        let (mut names, mut values) = (Vec::new(), Vec::new());
        put(id.as_bytes(), &mut values);
        let (mut before, mut name) = (Vec::new(), Vec::new());
        for (at, (key, value)) in keys.iter().enumerate() {
            let next = keys.get(at + 1).map(|(key, _)| key.as_ref());
            if next == Some(key.as_ref()) {
                continue;
            }
            name.clear();
            mark(key.as_ref(), id, &mut name);
            let is_alike = |(a, b): &(&u8, &u8)| a == b;
            let shared = before.iter().zip(&name).take_while(is_alike).count();
            put_length(shared, &mut names);
            put(name.get(shared..).unwrap_or_default(), &mut names);
            std::mem::swap(&mut before, &mut name);
            let mut marked = Vec::with_capacity(value.len());
            mark(value, id, &mut marked);
            put(&marked, &mut values);
        }
        Self {
            names: names.into(),
            values: values.into(),
        }
    }

    #[cfg(test)]
    pub(super) fn shares_names_with(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.names, &other.names)
    }

    fn pairs(&self) -> Pairs<'_> {
        let mut values = &*self.values;
        Pairs {
            id: take(&mut values).unwrap_or_default(),
            names: &self.names,
            values,
            key: Vec::new(),
        }
    }
}

impl PartialEq for PackedKeys {
    fn eq(&self, other: &Self) -> bool {
        let same = |a: &Arc<[u8]>, b: &Arc<[u8]>| Arc::ptr_eq(a, b) || a == b;
        same(&self.values, &other.values) && same(&self.names, &other.names)
    }
}

impl Eq for PackedKeys {}

impl From<&Keys> for PackedKeys {
    fn from(keys: &Keys) -> Self {
        Self::pack(keys.iter().map(|(key, text)| (key, text.clone())).collect())
    }
}

impl From<Keys> for PackedKeys {
    fn from(keys: Keys) -> Self {
        Self::pack(keys.into_iter().collect())
    }
}

impl fmt::Debug for PackedKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Values may be secret.
        f.debug_set().entries(self.unpack().keys()).finish()
    }
}

/// The names of keys, which the machines of an index share.
#[derive(Debug, Default)]
pub(super) struct Names {
    known: HashSet<Arc<[u8]>>,
    /// The number of names at which unused ones are removed.
    limit: usize,
}

impl Names {
    /// Replaces the names of these keys by equal ones that are shared.
    pub(super) fn share(&mut self, keys: &mut PackedKeys) {
        if let Some(known) = self.known.get(&keys.names) {
            keys.names = Arc::clone(known);
            return;
        }
        if self.known.len() >= self.limit {
            self.known.retain(|names| Arc::strong_count(names) > 1);
            self.limit = 2 * self.known.len() + 64;
        }
        self.known.insert(Arc::clone(&keys.names));
    }
}

/// Iterates over the pairs.
struct Pairs<'p> {
    id: &'p [u8],
    names: &'p [u8],
    values: &'p [u8],
    /// The packed name of the last pair.
    key: Vec<u8>,
}

impl<'p> Pairs<'p> {
    /// Moves on to the next pair, and returns its packed value.
    ///
    /// Each name is stored as the length of what it shares with the previous one, and the rest.
    fn advance(&mut self) -> Option<&'p [u8]> {
        let shared = take_length(&mut self.names)?;
        let own = take(&mut self.names)?;
        self.key.truncate(shared);
        self.key.extend_from_slice(own);
        take(&mut self.values)
    }

    /// Returns a packed text.
    fn text(&self, packed: &[u8]) -> String {
        let mut parts = packed.split(|byte| *byte == ID);
        let mut text = parts.next().unwrap_or_default().to_vec();
        for part in parts {
            text.extend_from_slice(self.id);
            text.extend_from_slice(part);
        }
        String::from_utf8(text).unwrap_or_default()
    }
}

/// Returns the container's id in the name of a key.
fn id_in(key: &str) -> Option<&str> {
    let mut words = key.split(|c: char| !c.is_ascii_alphanumeric());
    words.find(|word| word.len() == ID_DIGITS && word.bytes().all(|b| b.is_ascii_hexdigit()))
}

/// Appends a text with marks in place of the id.
fn mark(text: &str, id: &str, to: &mut Vec<u8>) {
    if id.is_empty() || text.len() < id.len() {
        to.extend_from_slice(text.as_bytes());
        return;
    }
    let (mut rest, id) = (text.as_bytes(), id.as_bytes());
    while let Some(at) = rest.windows(id.len()).position(|part| part == id) {
        let (before, found) = rest.split_at(at);
        to.extend_from_slice(before);
        to.push(ID);
        rest = found.get(id.len()..).unwrap_or_default();
    }
    to.extend_from_slice(rest);
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

    const OF: &str = "4e01";

    proptest! {
        #[test]
        fn packed_keys_are_unpacked_unchanged(
            keys in prop::collection::btree_map("[ab/|é]{0,12}", "(?s).{0,200}", 0..40),
            with_id in prop::collection::btree_map("[ab|]{0,3}", "[ab]{0,3}", 0..4),
        ) {
            let id = OF.repeat(16);
            let mut keys = keys;
            for (key, value) in with_id {
                keys.insert(format!("{key}|{id}|{key}"), format!("{value}{id}{id}"));
                keys.insert(key, id.clone());
            }
            let packed = PackedKeys::from(&keys);
            prop_assert_eq!(&packed.unpack(), &keys);
            prop_assert_eq!(&PackedKeys::from(&packed.unpack()), &packed);
        }
    }

    fn of_container(id: &str) -> Keys {
        let key = |n| format!("guestinfo./sessions|{id}/{n}");
        let keys = (0..100).map(|n| (key(n), "true".to_owned()));
        keys.chain([("id".to_owned(), id.to_owned())]).collect()
    }

    #[test]
    fn keys_of_containers_share_their_names() {
        let (one, other) = (OF.repeat(16), "ab".repeat(32));
        let mut names = Names::default();
        let [a, b, again] = [&one, &other, &one].map(|id| {
            let mut packed = PackedKeys::from(&of_container(id));
            names.share(&mut packed);
            assert_eq!(packed.unpack(), of_container(id));
            packed
        });
        assert!(a.shares_names_with(&b));
        assert!(a != b && a == again);
        // A name takes no memory, and the id takes it once.
        assert!(a.values.len() < 101 * 5 + 70, "{}", a.values.len());
    }

    #[test]
    fn names_that_no_machine_has_are_forgotten() {
        let mut names = Names::default();
        for n in 0..10_000 {
            let keys = Keys::from([(n.to_string(), String::new())]);
            names.share(&mut PackedKeys::from(keys));
        }
        assert!(names.known.len() <= 64);
    }

    #[test]
    fn of_equal_keys_the_last_one_counts() {
        let keys = [("b", "1"), ("a", "2"), ("b", "3")];
        let packed = PackedKeys::pack(keys.map(|(key, text)| (key, text.to_owned())).into());
        let expected = [("a", "2"), ("b", "3")];
        let expected = expected.map(|(key, text)| (key.to_owned(), text.to_owned()));
        assert_eq!(packed.unpack(), Keys::from(expected));
    }

    #[test]
    fn values_are_not_in_debug_output() {
        let keys = Keys::from([("key".to_owned(), "secret".to_owned())]);
        assert_eq!(format!("{:?}", PackedKeys::from(&keys)), r#"{"key"}"#);
    }
}
