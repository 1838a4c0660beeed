//! Key lookup as on the platform, ignoring case.

use std::cell::Cell;
use std::hash::{BuildHasher, RandomState};
use std::sync::OnceLock;

/// Borrowed keys and values in a hash table that ignores ASCII case and tracks which
/// entries were read.
pub(crate) struct Index<'a> {
    entries: Vec<Entry<'a>>,
    /// Positions in `entries` plus one; 0 marks a free slot. The length is a power of
    /// two, and the table is at most half full.
    table: Vec<u32>,
}

struct Entry<'a> {
    key: &'a str,
    value: &'a str,
    hash: u32,
    read: Cell<bool>,
}

impl<'a> Index<'a> {
    pub(crate) fn with_capacity(keys: usize) -> Self {
        Self {
            entries: Vec::with_capacity(keys),
            table: vec![0; (keys.max(8) * 2).next_power_of_two()],
        }
    }

    /// Indexes all keys and values. Also returns, for each key that equals an earlier
    /// one, both keys.
    pub(crate) fn of<K, V>(
        keys: impl IntoIterator<Item = (&'a K, &'a V)>,
    ) -> (Self, Vec<(&'a str, &'a str)>)
    where
        K: AsRef<str> + ?Sized + 'a,
        V: AsRef<str> + ?Sized + 'a,
    {
        let keys = keys.into_iter();
        let mut index = Self::with_capacity(keys.size_hint().0);
        let mut duplicates = Vec::new();
        for (key, value) in keys {
            let key = key.as_ref();
            if let Err(first) = index.insert(key, value.as_ref()) {
                duplicates.push((first, key));
            }
        }
        (index, duplicates)
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Adds an entry. If an equal key exists, keeps it and returns it as the error.
    pub(crate) fn insert(&mut self, key: &'a str, value: &'a str) -> Result<(), &'a str> {
        if (self.entries.len() + 1) * 2 > self.table.len() {
            self.grow();
        }
        let hash = fold_hash(key.as_bytes());
        match self.find(key, hash) {
            Ok(found) => Err(self.entries[found].key),
            Err(slot) => {
                self.entries.push(Entry {
                    key,
                    value,
                    hash,
                    read: Cell::new(false),
                });
                self.table[slot] = self.entries.len() as u32;
                Ok(())
            }
        }
    }

    /// Returns the value of a key and marks it as read.
    pub(crate) fn read(&self, key: &str) -> Option<&'a str> {
        let found = self.find(key, fold_hash(key.as_bytes())).ok()?;
        let entry = &self.entries[found];
        entry.read.set(true);
        Some(entry.value)
    }

    /// Returns the stored spelling and the value of a key.
    pub(crate) fn get(&self, key: &str) -> Option<(&'a str, &'a str)> {
        let found = self.find(key, fold_hash(key.as_bytes())).ok()?;
        let entry = &self.entries[found];
        Some((entry.key, entry.value))
    }

    /// Returns all keys.
    pub(crate) fn keys(&self) -> impl Iterator<Item = &'a str> {
        self.entries.iter().map(|entry| entry.key)
    }

    /// Returns the keys that have not been read.
    pub(crate) fn unread(&self) -> impl Iterator<Item = &'a str> {
        self.entries
            .iter()
            .filter(|entry| !entry.read.get())
            .map(|entry| entry.key)
    }

    fn find(&self, key: &str, hash: u32) -> Result<usize, usize> {
        let mask = self.table.len() - 1;
        let mut slot = hash as usize & mask;
        loop {
            let position = self.table[slot] as usize;
            if position == 0 {
                return Err(slot);
            }
            let entry = &self.entries[position - 1];
            if entry.hash == hash && (entry.key == key || entry.key.eq_ignore_ascii_case(key)) {
                return Ok(position - 1);
            }
            slot = (slot + 1) & mask;
        }
    }

    fn grow(&mut self) {
        let mut table = vec![0; self.table.len() * 2];
        let mask = table.len() - 1;
        for (at, entry) in self.entries.iter().enumerate() {
            let mut slot = entry.hash as usize & mask;
            while table[slot] != 0 {
                slot = (slot + 1) & mask;
            }
            table[slot] = at as u32 + 1;
        }
        self.table = table;
    }
}

/// A hash that is equal for keys that differ only in ASCII case. It is seeded, because a
/// guest can choose key names.
fn fold_hash(key: &[u8]) -> u32 {
    static SEED: OnceLock<[u64; 2]> = OnceLock::new();
    // Setting bit 5 folds letters. It also makes some other characters equal, which only
    // costs an extra comparison.
    const FOLD: u64 = 0x2020_2020_2020_2020;
    let &[seed, multiplier] = SEED.get_or_init(|| {
        let state = RandomState::new();
        [state.hash_one(0), state.hash_one(1) | 1]
    });
    let mix = |hash: u64, word: u64| {
        let product = u128::from(hash ^ (word | FOLD)) * u128::from(multiplier);
        product as u64 ^ (product >> 64) as u64
    };
    let mut hash = seed ^ key.len() as u64;
    let (words, tail) = key.as_chunks::<8>();
    for word in words {
        hash = mix(hash, u64::from_le_bytes(*word));
    }
    if !tail.is_empty() {
        let mut word = [0; 8];
        word[..tail.len()].copy_from_slice(tail);
        hash = mix(hash, u64::from_le_bytes(word));
    }
    hash as u32 ^ (hash >> 32) as u32
}
