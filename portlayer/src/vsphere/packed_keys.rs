//! The keys of one machine in a compact form, for the thousands of machines of an index.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use memchr::memmem::Finder;

use super::record::Keys;

/// The number of digits of a container's id.
const ID_DIGITS: usize = 64;

/// Stands for the container's id in packed names and values. It occurs in no text.
const ID: u8 = 0xff;

/// Keys and values. Cheap to clone.
///
/// Keys of containers have the same names except for the container's id, and many values contain the
/// id too. So names and values are stored apart with a mark in place of the id, and machines can
/// [share](Names) the names and the values that most of them have.
#[derive(Clone, Default)]
pub(super) struct PackedKeys {
    names: Arc<[u8]>,
    /// The id, which is empty if no name contains one, and the values in the order of the names. The
    /// length of each value is incremented; zero stands for the usual value.
    values: Arc<[u8]>,
    /// The values of another machine with the same names, in the same form but complete.
    usual: Option<Arc<[u8]>>,
}

impl PackedKeys {
    /// Returns all keys with their values.
    pub(super) fn unpack(&self) -> Keys {
        let expanded = self.expand();
        let keys = expanded.iter();
        keys.map(|(key, text)| (key.to_owned(), text.to_owned()))
            .collect()
    }

    /// Returns all keys with their values, without an allocation for each.
    pub(super) fn expand(&self) -> Expanded {
        let mut expanded = Expanded {
            text: String::with_capacity(self.names.len() + 2 * self.values.len()),
            ends: Vec::new(),
        };
        let mut pairs = self.pairs();
        while let Some(value) = pairs.advance() {
            pairs.write(&pairs.key, &mut expanded.text);
            let key = expanded.text.len();
            pairs.write(value, &mut expanded.text);
            expanded.ends.push((key, expanded.text.len()));
        }
        expanded
    }

    /// Packs keys and values in any order. Of equal keys, the last one counts.
    pub(super) fn pack<K: AsRef<str>, V: AsRef<str>>(mut keys: Vec<(K, V)>) -> Self {
        keys.sort_by(|(a, _), (b, _)| a.as_ref().cmp(b.as_ref()));
        let id = keys.iter().find_map(|(key, _)| id_in(key.as_ref()));
        let id = id.unwrap_or_default();
        let finder = Finder::new(id);
        let length = keys.iter().map(|(key, text)| (key.as_ref(), text.as_ref()));
        let length = length.fold(id.len(), |length, (_, text): (_, &str)| length + text.len());
        // Each value has a length, which usually takes one byte.
        let mut values = Vec::with_capacity(length + 2 * keys.len());
        let mut names = Vec::new();
        put(id.as_bytes(), &mut values);
        let (mut before, mut name, mut marked) = (Vec::new(), Vec::new(), Vec::new());
        for (at, (key, value)) in keys.iter().enumerate() {
            let next = keys.get(at + 1).map(|(key, _)| key.as_ref());
            if next == Some(key.as_ref()) {
                continue;
            }
            name.clear();
            mark(key.as_ref(), &finder, &mut name);
            let is_alike = |(a, b): &(&u8, &u8)| a == b;
            let shared = before.iter().zip(&name).take_while(is_alike).count();
            put_length(shared, &mut names);
            put(name.get(shared..).unwrap_or_default(), &mut names);
            std::mem::swap(&mut before, &mut name);
            marked.clear();
            mark(value.as_ref(), &finder, &mut marked);
            put_value(&marked, &mut values);
        }
        Self {
            names: names.into(),
            values: values.into(),
            usual: None,
        }
    }

    #[cfg(test)]
    pub(super) fn shares_names_with(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.names, &other.names)
    }

    fn pairs(&self) -> Pairs<'_> {
        let mut values = &*self.values;
        let mut usual = self.usual.as_deref().unwrap_or_default();
        let id = take(&mut values).unwrap_or_default();
        take(&mut usual);
        Pairs {
            id,
            names: &self.names,
            values,
            usual,
            key: Vec::new(),
        }
    }

    /// Leaves out the values that are equal to the usual ones.
    fn leave_out(&mut self, usual: &Arc<[u8]>) {
        let mut values = Vec::with_capacity(self.values.len());
        let mut pairs = self.pairs();
        put(pairs.id, &mut values);
        let mut others = &**usual;
        take(&mut others);
        while let Some(value) = pairs.advance() {
            match take_value(&mut others) {
                Some(other) if other == value => put_length(0, &mut values),
                _ => put_value(value, &mut values),
            }
        }
        self.values = values.into();
        self.usual = Some(Arc::clone(usual));
    }
}

impl PartialEq for PackedKeys {
    fn eq(&self, other: &Self) -> bool {
        let same = |a: &Arc<[u8]>, b: &Arc<[u8]>| Arc::ptr_eq(a, b) || a == b;
        if !same(&self.names, &other.names) {
            return false;
        }
        let has_same_usual = match (&self.usual, &other.usual) {
            (None, None) => true,
            (Some(a), Some(b)) => Arc::ptr_eq(a, b),
            _ => false,
        };
        if has_same_usual {
            return same(&self.values, &other.values);
        }
        let (mut a, mut b) = (self.pairs(), other.pairs());
        if a.id != b.id {
            return false;
        }
        loop {
            match (a.advance(), b.advance()) {
                (None, None) => return true,
                (a, b) if a != b => return false,
                _ => {}
            }
        }
    }
}

impl Eq for PackedKeys {}

impl From<&Keys> for PackedKeys {
    fn from(keys: &Keys) -> Self {
        Self::pack(keys.iter().collect())
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

/// The names of keys and their usual values, which the machines of an index share.
#[derive(Default)]
pub(super) struct Names {
    /// The values of the first machine with these names.
    known: HashMap<Arc<[u8]>, Arc<[u8]>>,
    /// The number of names at which unused ones are removed.
    limit: usize,
}

impl Names {
    /// Replaces the names of these keys by equal ones that are shared, and leaves out usual values.
    pub(super) fn share(&mut self, keys: &mut PackedKeys) {
        if let Some((known, usual)) = self.known.get_key_value(&keys.names) {
            keys.names = Arc::clone(known);
            if keys.usual.is_none() && !Arc::ptr_eq(&keys.values, usual) {
                keys.leave_out(usual);
            }
            return;
        }
        if self.known.len() >= self.limit {
            self.known.retain(|names, _| Arc::strong_count(names) > 1);
            self.limit = 2 * self.known.len() + 64;
        }
        if keys.usual.is_none() {
            let usual = Arc::clone(&keys.values);
            self.known.insert(Arc::clone(&keys.names), usual);
        }
    }
}

impl fmt::Debug for Names {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Values may be secret.
        f.debug_struct("Names")
            .field("known", &self.known.len())
            .finish_non_exhaustive()
    }
}

/// Iterates over the pairs.
struct Pairs<'p> {
    id: &'p [u8],
    names: &'p [u8],
    values: &'p [u8],
    usual: &'p [u8],
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
        let usual = take_value(&mut self.usual);
        match take_length(&mut self.values)?.checked_sub(1) {
            Some(length) => take_bytes(&mut self.values, length),
            None => usual,
        }
    }

    /// Appends a packed text.
    fn write(&self, packed: &[u8], to: &mut String) {
        let mut parts = packed.split(|byte| *byte == ID).map(str::from_utf8);
        // Everything that was packed was text.
        to.push_str(parts.next().and_then(Result::ok).unwrap_or_default());
        for part in parts {
            to.push_str(str::from_utf8(self.id).unwrap_or_default());
            to.push_str(part.unwrap_or_default());
        }
    }
}

/// The keys of one machine and their values, in the order of the keys.
pub(super) struct Expanded {
    text: String,
    /// The ends of each key and of its value in the text. A key begins where the previous value
    /// ends.
    ends: Vec<(usize, usize)>,
}

impl Expanded {
    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &str)> + Clone {
        let begins = std::iter::once(0).chain(self.ends.iter().map(|(_, end)| *end));
        begins.zip(&self.ends).map(|(begin, (key, end))| {
            let part = |from, to| self.text.get(from..to).unwrap_or_default();
            (part(begin, *key), part(*key, *end))
        })
    }

    /// Returns the value of a key, if it is there and not empty.
    pub(super) fn get(&self, key: &str) -> Option<&str> {
        let value = self.iter().find(|(other, _)| *other == key);
        value.map(|(_, text)| text).filter(|text| !text.is_empty())
    }

    /// Returns whether the key is there.
    pub(super) fn contains(&self, key: &str) -> bool {
        self.iter().any(|(other, _)| other == key)
    }
}

/// Returns the container's id in the name of a key.
fn id_in(key: &str) -> Option<&str> {
    if key.len() < ID_DIGITS {
        return None;
    }
    let mut words = key.split(|c: char| !c.is_ascii_alphanumeric());
    words.find(|word| word.len() == ID_DIGITS && word.bytes().all(|b| b.is_ascii_hexdigit()))
}

/// Appends a text with marks in place of the id.
fn mark(text: &str, id: &Finder<'_>, to: &mut Vec<u8>) {
    let (text, length) = (text.as_bytes(), id.needle().len());
    let mut begin = 0;
    if length > 0 && text.len() >= length {
        for at in id.find_iter(text) {
            to.extend_from_slice(text.get(begin..at).unwrap_or_default());
            to.push(ID);
            begin = at + length;
        }
    }
    to.extend_from_slice(text.get(begin..).unwrap_or_default());
}

fn put(bytes: &[u8], to: &mut Vec<u8>) {
    put_length(bytes.len(), to);
    to.extend_from_slice(bytes);
}

fn put_value(bytes: &[u8], to: &mut Vec<u8>) {
    put_length(bytes.len() + 1, to);
    to.extend_from_slice(bytes);
}

fn take<'p>(from: &mut &'p [u8]) -> Option<&'p [u8]> {
    let length = take_length(from)?;
    take_bytes(from, length)
}

/// Takes a value that is not the usual one.
fn take_value<'p>(from: &mut &'p [u8]) -> Option<&'p [u8]> {
    let length = take_length(from)?.checked_sub(1)?;
    take_bytes(from, length)
}

fn take_bytes<'p>(from: &mut &'p [u8], length: usize) -> Option<&'p [u8]> {
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
        let (one, other_id) = (OF.repeat(16), "ab".repeat(32));
        let mut names = Names::default();
        let [a, b, again] = [&one, &other_id, &one].map(|id| {
            let mut packed = PackedKeys::from(&of_container(id));
            names.share(&mut packed);
            assert_eq!(packed.unpack(), of_container(id));
            packed
        });
        assert!(a.shares_names_with(&b));
        assert!(a != b && a == again);
        // The id takes memory once, and names and values that others have too take none.
        assert!(a.values.len() < 101 * 5 + 70, "{}", a.values.len());
        assert!(b.values.len() < 101 + 70, "{}", b.values.len());
        let mut other = of_container(&other_id);
        other.insert("id".to_owned(), "another".to_owned());
        let mut other = PackedKeys::from(&other);
        assert!(other != b);
        names.share(&mut other);
        assert!(other != b && other.unpack()["id"] == "another");
        assert_eq!(PackedKeys::from(&b.unpack()), b);
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
