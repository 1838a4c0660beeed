//! Encodes extended attributes, in the inode or in a separate block.

use std::borrow::Cow;

use super::BLOCK_SIZE;
use super::crc::crc32c;
use crate::le;
use crate::tree::Xattr;

pub(crate) const MAGIC: u32 = 0xea02_0000;
/// Bytes available for attributes in an inode of 256 bytes, after the magic number.
const IN_INODE: usize = 256 - 128 - 32 - 4;
const BLOCK_HEADER: usize = 32;

/// Prefixes that are stored as a number; longer prefixes come first, so that the first match is the
/// longest.
pub(crate) const PREFIXES: [(u8, &[u8]); 6] = [
    (2, b"system.posix_acl_access"),
    (3, b"system.posix_acl_default"),
    (1, b"user."),
    (4, b"trusted."),
    (6, b"security."),
    (7, b"system."),
];

/// Returns whether ext4 can store an attribute.
pub(crate) fn is_storable(name: &[u8], value: &[u8]) -> bool {
    match split(name) {
        Some((2 | 3, b"")) => acl_to_disk(value).is_some(),
        Some((1 | 4 | 6, suffix)) => {
            !suffix.is_empty() && suffix.len() <= 255 && !suffix.contains(&0)
        }
        _ => false,
    }
}

fn split(name: &[u8]) -> Option<(u8, &[u8])> {
    PREFIXES
        .iter()
        .find_map(|&(index, prefix)| Some((index, name.strip_prefix(prefix)?)))
}

struct Encoded<'a> {
    index: u8,
    suffix: &'a [u8],
    value: Cow<'a, [u8]>,
}

impl<'a> Encoded<'a> {
    fn new((name, value): &'a Xattr) -> Option<Self> {
        let (index, suffix) = split(name)?;
        let value = match index {
            2 | 3 => Cow::Owned(acl_to_disk(value)?),
            _ => Cow::Borrowed(&**value),
        };
        Some(Self {
            index,
            suffix,
            value,
        })
    }

    fn entry_size(&self) -> usize {
        (16 + self.suffix.len()).next_multiple_of(4)
    }

    fn size(&self) -> usize {
        self.entry_size() + self.value.len().next_multiple_of(4)
    }

    /// Returns the hash of an entry, which is stored with attributes in a separate block.
    fn hash(&self) -> u32 {
        let name = self
            .suffix
            .iter()
            .fold(0u32, |hash, &byte| hash.rotate_left(5) ^ u32::from(byte));
        let (words, rest) = self.value.as_chunks::<4>();
        let mut last = [0; 4];
        last[..rest.len()].copy_from_slice(rest);
        let tail = (!rest.is_empty()).then_some(last);
        words.iter().copied().chain(tail).fold(name, |hash, word| {
            hash.rotate_left(16) ^ u32::from_le_bytes(word)
        })
    }
}

/// The division of one inode's attributes between the inode and a block.
pub(crate) struct Division<'a> {
    inode: Vec<Encoded<'a>>,
    block: Vec<Encoded<'a>>,
}

impl<'a> Division<'a> {
    /// Divides the attributes; returns `None` if they do not fit into the inode and one block.
    pub(crate) fn new(xattrs: &'a [Xattr]) -> Option<Self> {
        let all: Vec<Encoded<'a>> = xattrs.iter().filter_map(Encoded::new).collect();
        let total = |set: &[Encoded<'_>]| set.iter().map(Encoded::size).sum::<usize>() + 4;
        if total(&all) <= IN_INODE {
            return Some(Self {
                inode: all,
                block: Vec::new(),
            });
        }
        let mut division = Self {
            inode: Vec::new(),
            block: Vec::new(),
        };
        let mut left = IN_INODE - 4;
        let overflows = total(&all) > BLOCK_SIZE - BLOCK_HEADER;
        for entry in all {
            if overflows && entry.size() <= left {
                left -= entry.size();
                division.inode.push(entry);
            } else {
                division.block.push(entry);
            }
        }
        division.block.sort_by(|a, b| {
            let key = |e: &Encoded<'a>| (e.index, e.suffix.len());
            key(a).cmp(&key(b)).then(a.suffix.cmp(b.suffix))
        });
        (total(&division.block) <= BLOCK_SIZE - BLOCK_HEADER).then_some(division)
    }

    pub(crate) fn needs_block(&self) -> bool {
        !self.block.is_empty()
    }

    /// Writes the attributes stored in the inode into `area`, the bytes after its fixed fields.
    pub(crate) fn write_inode(&self, area: &mut [u8]) {
        if !self.inode.is_empty() {
            le::put_u32(area, 0, MAGIC);
            write_entries(&mut area[4..], 0, &self.inode, false);
        }
    }

    /// Returns the encoded attribute block, for divisions that need one.
    pub(crate) fn block(&self, number: u64, seed: u32) -> Vec<u8> {
        let mut block = vec![0; BLOCK_SIZE];
        le::put_u32(&mut block, 0, MAGIC);
        le::put_u32(&mut block, 4, 1);
        le::put_u32(&mut block, 8, 1);
        let hash = self
            .block
            .iter()
            .fold(0u32, |hash, entry| hash.rotate_left(16) ^ entry.hash());
        le::put_u32(&mut block, 12, hash);
        write_entries(&mut block, BLOCK_HEADER, &self.block, true);
        let checksum = crc32c(crc32c(seed, &number.to_le_bytes()), &block);
        le::put_u32(&mut block, 16, checksum);
        block
    }
}

/// Writes entries from `at` upwards, and their values from the end of the area downwards.
fn write_entries(area: &mut [u8], mut at: usize, set: &[Encoded<'_>], hash: bool) {
    let mut end = area.len();
    for entry in set {
        if !entry.value.is_empty() {
            end -= entry.value.len().next_multiple_of(4);
            area[end..end + entry.value.len()].copy_from_slice(&entry.value);
            le::put_u16(area, at + 2, end as u16);
        }
        area[at] = entry.suffix.len() as u8;
        area[at + 1] = entry.index;
        le::put_u32(area, at + 8, entry.value.len() as u32);
        if hash {
            le::put_u32(area, at + 12, entry.hash());
        }
        area[at + 16..at + 16 + entry.suffix.len()].copy_from_slice(entry.suffix);
        at += entry.entry_size();
    }
}

/// Tags of access control list entries that have a user or group id.
const NAMED: [u16; 2] = [2, 8];

/// Converts an access control list from the format that programs see to the on-disk format.
fn acl_to_disk(value: &[u8]) -> Option<Vec<u8>> {
    let entries = value.strip_prefix(&2u32.to_le_bytes())?;
    let (entries, rest) = entries.as_chunks::<8>();
    if !rest.is_empty() {
        return None;
    }
    let mut disk = 1u32.to_le_bytes().to_vec();
    for entry in entries {
        let named = NAMED.contains(&u16::from_le_bytes([entry[0], entry[1]]));
        disk.extend_from_slice(&entry[..if named { 8 } else { 4 }]);
    }
    Some(disk)
}

/// Converts an access control list from the on-disk format to the one that programs see: the
/// reverse of [`acl_to_disk`].
pub(crate) fn acl_from_disk(disk: &[u8]) -> Option<Vec<u8>> {
    let mut rest = disk.strip_prefix(&1u32.to_le_bytes())?;
    let mut value = 2u32.to_le_bytes().to_vec();
    while !rest.is_empty() {
        let tag = u16::from_le_bytes([*rest.first()?, *rest.get(1)?]);
        let length = if NAMED.contains(&tag) { 8 } else { 4 };
        value.extend_from_slice(rest.get(..length)?);
        if length == 4 {
            value.extend_from_slice(&u32::MAX.to_le_bytes());
        }
        rest = &rest[length..];
    }
    Some(value)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
mod tests {
    use super::*;

    #[test]
    fn access_control_lists_change_their_form_and_back() {
        let mut value = 2u32.to_le_bytes().to_vec();
        for (tag, id) in [
            (1u16, u32::MAX),
            (2, 1000),
            (4, u32::MAX),
            (16, u32::MAX),
            (32, u32::MAX),
        ] {
            value.extend(tag.to_le_bytes());
            value.extend(6u16.to_le_bytes());
            value.extend(id.to_le_bytes());
        }
        let disk = acl_to_disk(&value).unwrap();
        assert_eq!(disk.len(), 4 + 4 * 4 + 8);
        assert_eq!(acl_from_disk(&disk), Some(value));
        assert_eq!(acl_to_disk(b"nonsense"), None);
    }
}
