//! Parses PAX extended headers and applies their records to entries.

use std::collections::BTreeMap;

use super::sparse::Segment;
use super::{Entry, Kind, limit};
use crate::error::LayerProblem;
use crate::limits::{LimitKind, Limits};
use crate::time::Timestamp;

/// The note about a time that is replaced or left out.
pub(super) const ODD_TIME: &str = "the modification time is not a number";

const BAD: LayerProblem = LayerProblem::Malformed("PAX header");

/// The records of one header, or of all global headers so far.
#[derive(Debug, Default)]
pub(super) struct Records {
    values: BTreeMap<Box<[u8]>, Box<[u8]>>,
    /// Values of `GNU.sparse.offset` and `GNU.sparse.numbytes`, which occur repeatedly in version
    /// 0.0.
    pairs: Vec<u64>,
    size: u64,
}

impl Records {
    /// Parses "LENGTH KEY=VALUE\n" records. Values are binary, so only the length determines where
    /// a record ends.
    pub(super) fn merge(&mut self, mut data: &[u8], limits: &Limits) -> Result<(), LayerProblem> {
        while !data.is_empty() {
            let space = data.iter().take(20).position(|&b| b == b' ').ok_or(BAD)?;
            let length = number(&data[..space]).ok_or(BAD)?;
            let length = usize::try_from(length).map_err(|_| BAD)?;
            let record = data.get(space + 1..length).ok_or(BAD)?;
            let record = record.strip_suffix(b"\n").ok_or(BAD)?;
            let equals = record.iter().position(|&b| b == b'=').ok_or(BAD)?;
            let (key, value) = (&record[..equals], &record[equals + 1..]);
            self.size += record.len() as u64;
            if matches!(key, b"GNU.sparse.offset" | b"GNU.sparse.numbytes") {
                let expected = if self.pairs.len().is_multiple_of(2) {
                    "offset"
                } else {
                    "numbytes"
                };
                if !key.ends_with(expected.as_bytes()) {
                    return Err(BAD);
                }
                self.pairs.push(number(value).ok_or(BAD)?);
            } else {
                self.values.insert(key.into(), value.into());
            }
            limit(self.size, limits.extension, LimitKind::Extension)?;
            data = &data[length..];
        }
        Ok(())
    }

    /// Returns whether the records describe a sparse file.
    pub(super) fn is_sparse(&self) -> bool {
        let mut keys = self.values.keys();
        !self.pairs.is_empty() || keys.any(|key| key.starts_with(b"GNU.sparse."))
    }

    fn get(&self, key: &str) -> Option<&[u8]> {
        self.values.get(key.as_bytes()).map(|value| &**value)
    }
}

/// Finds the value of a key. A local record overrides a global one, and an empty local record
/// deletes it.
fn find<'a>(records: [&'a Records; 2], key: &str) -> Option<&'a [u8]> {
    let [local, global] = records;
    local
        .get(key)
        .or_else(|| global.get(key))
        .filter(|value| !value.is_empty())
}

/// Applies what the records say about names, owners, times, sizes and attributes.
pub(super) fn apply(
    records: [&Records; 2],
    entry: &mut Entry,
    stored: &mut u64,
    limits: &Limits,
) -> Result<(), LayerProblem> {
    if let Some(path) = find(records, "path") {
        entry.path = path.to_vec();
    }
    if let Some(path) = find(records, "GNU.sparse.name") {
        entry.path = path.to_vec();
    }
    if let Some(link) = find(records, "linkpath") {
        entry.link = link.to_vec();
    }
    for (key, field) in [
        ("uid", &mut entry.uid),
        ("gid", &mut entry.gid),
        ("size", stored),
    ] {
        if let Some(value) = find(records, key) {
            *field = number(value).ok_or(BAD)?;
        }
    }
    if let Some(value) = find(records, "mtime") {
        match Timestamp::parse(value) {
            Some(time) => entry.mtime = time,
            None => entry.odd.push(ODD_TIME),
        }
    }
    xattrs(records, entry, limits)
}

fn xattrs(records: [&Records; 2], entry: &mut Entry, limits: &Limits) -> Result<(), LayerProblem> {
    const PREFIX: &[u8] = b"SCHILY.xattr.";
    if entry.kind == Kind::HardLink {
        return Ok(());
    }
    let [local, global] = records;
    let mut found: BTreeMap<Box<[u8]>, &[u8]> = BTreeMap::new();
    for records in [global, local] {
        for (key, value) in &records.values {
            if let Some(name) = key.strip_prefix(PREFIX) {
                found.insert(decoded(name), value);
            }
        }
    }
    let total: usize = found
        .iter()
        .map(|(name, value)| name.len() + value.len())
        .sum();
    limit(total as u64, limits.xattrs, LimitKind::Xattrs)?;
    entry.xattrs = found
        .into_iter()
        .map(|(name, value)| (name, value.into()))
        .collect();
    Ok(())
}

/// Encodes the name of an attribute for the key of a record as GNU tar does, because a key ends at
/// its first equals sign.
pub(super) fn encoded(name: &[u8]) -> Vec<u8> {
    let mut key = Vec::with_capacity(name.len());
    for &byte in name {
        match byte {
            b'%' => key.extend_from_slice(b"%25"),
            b'=' => key.extend_from_slice(b"%3D"),
            _ => key.push(byte),
        }
    }
    key
}

/// The reverse of [`encoded`]. Other percent signs are kept.
fn decoded(mut key: &[u8]) -> Box<[u8]> {
    let mut name = Vec::with_capacity(key.len());
    while let Some((&byte, rest)) = key.split_first() {
        let (byte, rest) = match key {
            [b'%', b'2', b'5', rest @ ..] => (b'%', rest),
            [b'%', b'3', b'D', rest @ ..] => (b'=', rest),
            _ => (byte, rest),
        };
        name.push(byte);
        key = rest;
    }
    name.into()
}

/// The format of a PAX sparse map.
pub(super) enum SparseForm {
    /// Versions 0.0 and 0.1: the map is in the records.
    Listed {
        segments: Vec<Segment>,
        size: u64,
    },
    /// Version 1.0: the map precedes the data.
    InData {
        size: u64,
    },
    Unknown,
}

/// Returns the sparse format that the records describe, if any.
pub(super) fn sparse_form(records: [&Records; 2]) -> Option<SparseForm> {
    let [local, _] = records;
    if local.is_sparse() {
        return Some(parse_sparse(records).unwrap_or(SparseForm::Unknown));
    }
    None
}

fn parse_sparse(records: [&Records; 2]) -> Option<SparseForm> {
    let size = |key| find(records, key).and_then(number);
    let version = (
        find(records, "GNU.sparse.major"),
        find(records, "GNU.sparse.minor"),
    );
    match version {
        (Some(b"1"), Some(b"0")) => {
            return Some(SparseForm::InData {
                size: size("GNU.sparse.realsize")?,
            });
        }
        (None, None) | (Some(b"0"), Some(b"0" | b"1")) => {}
        _ => return None,
    }
    let size = size("GNU.sparse.size").or_else(|| size("GNU.sparse.realsize"))?;
    let numbers = match find(records, "GNU.sparse.map") {
        Some(map) => map
            .split(|&b| b == b',')
            .map(number)
            .collect::<Option<Vec<_>>>()?,
        None => records[0].pairs.clone(),
    };
    if numbers.len() % 2 != 0 {
        return None;
    }
    let count = find(records, "GNU.sparse.numblocks").and_then(number);
    if count.is_some_and(|count| count != numbers.len() as u64 / 2) {
        return None;
    }
    let segments = numbers.chunks_exact(2);
    let segments = segments
        .map(|pair| Segment {
            offset: pair[0],
            len: pair[1],
        })
        .collect();
    Some(SparseForm::Listed { segments, size })
}

fn number(text: &[u8]) -> Option<u64> {
    if text.is_empty() || !text.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(text).ok()?.parse().ok()
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
mod tests {
    use super::*;

    fn records(data: &[u8]) -> Result<Records, LayerProblem> {
        let mut records = Records::default();
        records.merge(data, &Limits::default())?;
        Ok(records)
    }

    #[test]
    fn values_may_hold_newlines_and_equal_signs() {
        let records = records(b"13 a=b\nc=d\0e\n5 x=\n").unwrap();
        assert_eq!(records.get("a"), Some(&b"b\nc=d\0e"[..]));
        assert_eq!(records.get("x"), Some(&b""[..]));
    }

    #[test]
    fn lengths_that_lie_are_refused() {
        for data in [
            &b"99 a=b\n"[..],
            b"0 a=b\n",
            b"2 a=b\n",
            b" a=b\n",
            b"7 a=bX",
            b"-7 a=b\n",
        ] {
            assert!(records(data).is_err(), "{}", data.escape_ascii());
        }
    }
}
