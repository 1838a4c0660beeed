//! Decoding for the guest, a reader that can ask for a key but cannot list keys.

use std::collections::{BTreeMap, BTreeSet};

use super::{Decode, Decoded, GuestInfo};
use crate::dialect::Dialect;

/// The answers so far: the value of a key, or `None` if it does not exist.
pub(crate) type Known = BTreeMap<String, Option<String>>;

/// A decode that reports, round by round, which keys it needs.
///
/// A list's length and a map's keys must be known before their elements can be requested,
/// so a value takes one round more than its nesting depth. The keys of one round are
/// independent and can be requested at once.
///
/// ```
/// use guestinfo::{Decode, Dialect, Rounds, View};
/// use guestinfo::vic::ExecutorConfig;
///
/// let host = |key: &str| match key {
///     "guestinfo.vice./layerid" => Some("layer1".to_owned()),
///     _ => None,
/// };
/// let mut rounds = Rounds::<ExecutorConfig>::new(
///     Decode::new().view(View::Guest),
///     Dialect::Vic1,
/// );
/// let decoded = loop {
///     let keys = rounds.keys();
///     if keys.is_empty() {
///         break rounds.finish();
///     }
///     for key in keys {
///         let value = host(&key);
///         rounds.answer(key, value);
///     }
/// };
/// assert_eq!(decoded.value.layer_id, "layer1");
/// ```
#[derive(Debug)]
pub struct Rounds<'a, T> {
    decode: Decode<'a>,
    dialect: Dialect,
    known: Known,
    last: Option<Decoded<T>>,
}

impl<'a, T: GuestInfo + Default> Rounds<'a, T> {
    /// Starts a decode in this dialect. A guest detects its dialect by asking for a key
    /// that every machine of one dialect has.
    #[must_use]
    pub fn new(decode: Decode<'a>, dialect: Dialect) -> Self {
        Self {
            decode,
            dialect,
            known: BTreeMap::new(),
            last: None,
        }
    }

    /// Returns the keys to request in this round, sorted; empty when everything is known.
    #[must_use = "the decode cannot go on without the answers"]
    pub fn keys(&mut self) -> BTreeSet<String> {
        let mut asked = BTreeSet::new();
        let decoded = self
            .decode
            .run_rounds(self.dialect, &self.known, &mut asked);
        self.last = asked.is_empty().then_some(decoded);
        asked
    }

    /// Adds an answer: the stored text, or `None` if the key does not exist.
    pub fn answer(&mut self, key: String, value: Option<String>) {
        self.last = None;
        self.known.insert(key, value);
    }

    /// Returns the decoded value; keys that were never answered count as missing.
    #[must_use]
    pub fn finish(mut self) -> Decoded<T> {
        self.last.take().unwrap_or_else(|| {
            self.decode
                .run_rounds(self.dialect, &self.known, &mut BTreeSet::new())
        })
    }
}
