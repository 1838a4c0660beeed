//! Maps.
//!
//! VIC stores a map as `k` = its sorted keys joined with `|`, and each entry at `k|name`.
//! If a name contains a bar, we additionally write the exact names one by one at `k~|N`,
//! where VIC never looks:
//!
//! ```text
//! {"a|b": 1, "c": 2}    k = a|b|c    k~|0 = a|b    k~|1 = c    k|a|b = 1    k|c = 2
//! ```
//!
//! The exact names are read only if joined they equal `k`, and if no piece of `k` that is
//! neither an exact name nor below one has an entry. So when an older program changes the map,
//! even to `{"a", "b", "c"}`, its change takes effect.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::hash::{BuildHasher, Hash};

use crate::codec::{Decoder, Describer, Encoder, GuestInfo, IssueKind, NoteKind, unwritable_name};
use crate::dialect::Dialect;
use crate::key::{containing_paths, path_of_name};

/// A type whose values can be keys of a stored map: text, whole numbers, `bool`, paths,
/// socket addresses, enums of names, and structs of one unnamed field of such a type.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be the key of a stored map",
    note = "keys of stored maps are `String`, whole numbers, `bool`, `PathBuf`, `SocketAddr`, derived enums of names, and derived structs of one unnamed field of these"
)]
pub trait MapKey: GuestInfo {}

macro_rules! map_keys {
    ($($type:ty),*) => { $(impl MapKey for $type {})* };
}
map_keys!(
    String,
    bool,
    i8,
    i16,
    i32,
    i64,
    i128,
    isize,
    u8,
    u16,
    u32,
    u64,
    u128,
    usize,
    std::path::PathBuf,
    std::net::SocketAddr
);

impl<K: MapKey + Ord, V: GuestInfo> GuestInfo for BTreeMap<K, V> {
    fn encode(&self, encoder: &mut Encoder) {
        encode(encoder, self.iter());
    }

    fn encode_some(&self, encoder: &mut Encoder) {
        if self.is_empty() {
            return encoder.text("");
        }
        self.encode(encoder);
    }

    fn decode(decoder: &mut Decoder<'_>) -> Option<Self> {
        let mut map = Self::new();
        decode(decoder, |name, value| map.insert(name, value).is_none())?;
        Some(map)
    }

    fn describe(describer: &mut Describer) {
        describe::<V>(describer);
    }

    fn absent(_: Dialect) -> Option<Self> {
        Some(Self::new())
    }
}

impl<K, V, S> GuestInfo for HashMap<K, V, S>
where
    K: MapKey + Eq + Hash,
    V: GuestInfo,
    S: BuildHasher + Default,
{
    fn encode(&self, encoder: &mut Encoder) {
        encode(encoder, self.iter());
    }

    fn encode_some(&self, encoder: &mut Encoder) {
        if self.is_empty() {
            return encoder.text("");
        }
        self.encode(encoder);
    }

    fn decode(decoder: &mut Decoder<'_>) -> Option<Self> {
        let mut map = Self::default();
        decode(decoder, |name, value| map.insert(name, value).is_none())?;
        Some(map)
    }

    fn describe(describer: &mut Describer) {
        describe::<V>(describer);
    }

    fn absent(_: Dialect) -> Option<Self> {
        Some(Self::default())
    }
}

fn encode<'m, K: MapKey + 'm, V: GuestInfo + 'm>(
    encoder: &mut Encoder,
    entries: impl Iterator<Item = (&'m K, &'m V)>,
) {
    let named = entries.map(|(key, value)| {
        let mut name = String::new();
        key.push_text(&mut name).map(|()| (name, value))
    });
    let mut entries: Vec<(String, &V)> = match named.collect() {
        Ok(entries) => entries,
        Err(reason) => return encoder.unstorable(reason),
    };
    if entries.is_empty() || !encoder.count(entries.len()) {
        return;
    }
    // Sorted as text, even for numbers: 1, 10, 2.
    entries.sort_by(|a, b| a.0.cmp(&b.0));

    let mut joined = String::new();
    let mut faults = Vec::with_capacity(entries.len());
    for (at, (name, _)) in entries.iter().enumerate() {
        faults.push(encoder.map_key_fault(name));
        if at > 0 {
            joined.push('|');
        }
        joined.push_str(name);
    }
    let first_fault = faults.iter().find_map(|fault| *fault);
    encoder.collection(|encoder| {
        encoder.with_fault(first_fault, |encoder| encoder.text(joined));
        encoder.members(|| entries.iter().map(|(name, _)| name.clone()).collect());
        if entries.iter().any(|(name, _)| name.contains('|')) {
            encoder.joined(|encoder| {
                for (at, (name, _)) in entries.iter().enumerate() {
                    encoder.entry_text(&at.to_string(), name);
                }
            });
        }
        for ((name, value), fault) in entries.into_iter().zip(faults) {
            encoder.with_fault(fault, |encoder| encoder.entry(&name, value));
        }
    });
}

fn decode<K: MapKey, V: GuestInfo>(
    decoder: &mut Decoder<'_>,
    mut insert: impl FnMut(K, V) -> bool,
) -> Option<()> {
    let joined = decoder.text()?;
    if joined.is_empty() {
        return Some(());
    }
    decoder.collection(|decoder| {
        let exact = decode_names::<V>(decoder, &joined);
        let names: Vec<&str> = match &exact {
            Some(exact) => exact.iter().map(String::as_str).collect(),
            None => joined.split('|').collect(),
        };
        for name in names {
            if !decoder.has_room() {
                decoder.too_many();
                break;
            }
            let key = K::parse_text(name).filter(|_| !name.is_empty());
            // A name that is listed but has no entry, and below which no key can be
            // written, could never get its entry from an update.
            let is_only_listed = unwritable_name(name).is_some()
                && !decoder.entry(name, |decoder| decoder.probe::<V>());
            let value = if is_only_listed {
                decoder.malformed("an entry without keys has a name that cannot be written");
                None
            } else if key.is_some() {
                decoder.entry(name, |decoder| decoder.value())
            } else {
                decoder.malformed("an entry has a name that is not of the map's key type");
                rewrite_names(decoder);
                None
            };
            let counted = match (key, value) {
                (Some(key), Some(value)) => {
                    let counted = decoder.take_element();
                    if counted && !insert(key, value) {
                        rewrite_names(decoder);
                        decoder.report(IssueKind::Duplicate, "a name is listed twice");
                    }
                    counted
                }
                _ => {
                    rewrite_names(decoder);
                    decoder.take_absent()
                }
            };
            if !counted {
                decoder.too_many();
                break;
            }
        }
    });
    Some(())
}

/// Makes an update write the names again, including the exact names.
fn rewrite_names(decoder: &mut Decoder<'_>) {
    decoder.note(NoteKind::RewriteKey);
    decoder.joined(|decoder| decoder.note(NoteKind::RewriteList));
}

/// Reads the exact names, if they agree with the joined ones.
fn decode_names<V: GuestInfo>(decoder: &mut Decoder<'_>, joined: &str) -> Option<Vec<String>> {
    let mut names: Vec<String> = Vec::new();
    let mut rest = joined;
    let mut agrees = true;
    decoder.joined(|decoder| {
        while !rest.is_empty() {
            let name = decoder.entry(&names.len().to_string(), Decoder::text);
            let Some(name) = name.filter(|name| !name.is_empty()) else {
                agrees = false;
                break;
            };
            match rest.strip_prefix(&*name) {
                Some(tail) if tail.is_empty() => rest = tail,
                Some(tail) if tail.starts_with('|') && tail.len() > 1 => rest = &tail[1..],
                _ => agrees = false,
            }
            names.push(name.into_owned());
            if !agrees {
                break;
            }
        }
    });
    if names.is_empty() {
        return None;
    }
    if agrees {
        // An entry for a piece that is not an exact name was written by an older program.
        // A piece that differs from a name only in ways the platform ignores is that
        // name, and the keys of a piece such as `a~` or `a/b` may be those of an entry
        // named `a`.
        let exact: HashSet<String> = names.iter().map(|name| path_of_name(name)).collect();
        let others: BTreeSet<&str> = joined
            .split('|')
            .filter(|piece| {
                let path = path_of_name(piece);
                !piece.is_empty() && !containing_paths(&path).any(|path| exact.contains(path))
            })
            .collect();
        agrees = !others.into_iter().any(|piece| {
            // The number of lookups is limited, too, so that a guest cannot make it
            // endless.
            !decoder.take_absent() || decoder.entry(piece, |decoder| decoder.probe::<V>())
        });
    }
    if !agrees {
        decoder.joined(|d| {
            d.report(
                IssueKind::Stale,
                "the exact names of the entries differ from the joined ones, which take precedence",
            );
        });
        return None;
    }
    Some(names)
}

fn describe<V: GuestInfo>(describer: &mut Describer) {
    describer.text();
    describer.joined(|describer| describer.entry(Describer::text));
    describer.entry(V::describe);
}
