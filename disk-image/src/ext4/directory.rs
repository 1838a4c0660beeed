//! Encodes directory blocks: a single block in name order, or several in hash order.

use super::BLOCK_SIZE;
use super::crc::crc32c;
use super::hash::half_md4;
use crate::le;

/// Bytes available for entries in a block, before the checksum.
const ROOM: usize = BLOCK_SIZE - 12;
/// Number of bytes to fill in a leaf. The rest is left free, so that the first new name does not
/// split the leaf.
const FILL: usize = ROOM - ROOM / 8;
const ROOT_ENTRIES: usize = (BLOCK_SIZE - 32 - 8) / 8;
const NODE_ENTRIES: usize = (BLOCK_SIZE - 8 - 8) / 8;
/// Number of leaves that a two-level index can address.
const MAX_LEAVES: usize = ROOT_ENTRIES * NODE_ENTRIES;

/// One name in a directory.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Entry<'a> {
    pub(crate) name: &'a [u8],
    pub(crate) inode: u32,
    /// The file type, encoded as in a directory entry.
    pub(crate) kind: u8,
}

impl Entry<'_> {
    fn size(&self) -> usize {
        size_of_name(self.name.len())
    }
}

fn size_of_name(length: usize) -> usize {
    (8 + length).next_multiple_of(4)
}

/// How a directory is divided into blocks.
pub(crate) struct Division<'a> {
    /// The entries of all leaves in order, each with the hash of its name.
    entries: Vec<(u32, Entry<'a>)>,
    /// Position of the first entry of each leaf. Empty if the directory is one block without an
    /// index.
    leaves: Vec<usize>,
}

impl<'a> Division<'a> {
    /// Divides the names into blocks; returns `None` if there are more names than the index can
    /// hold.
    pub(crate) fn new(names: impl Iterator<Item = Entry<'a>>, seed: &[u32; 4]) -> Option<Self> {
        let mut entries: Vec<(u32, Entry<'a>)> = names.map(|entry| (0, entry)).collect();
        let total: usize = entries.iter().map(|(_, entry)| entry.size()).sum();
        if size_of_name(1) + size_of_name(2) + total <= ROOM {
            return Some(Self {
                entries,
                leaves: Vec::new(),
            });
        }
        let mut minors = Vec::with_capacity(entries.len());
        for (hash, entry) in &mut entries {
            let (major, minor) = half_md4(entry.name, seed);
            *hash = major;
            minors.push((major, minor, *entry));
        }
        minors.sort_by(|a, b| (a.0, a.1, a.2.name).cmp(&(b.0, b.1, b.2.name)));
        entries.clear();
        let mut leaves = Vec::new();
        let mut used = usize::MAX;
        for (hash, _, entry) in minors {
            if used.saturating_add(entry.size()) > FILL {
                leaves.push(entries.len());
                used = 0;
            }
            used += entry.size();
            entries.push((hash, entry));
        }
        (leaves.len() <= MAX_LEAVES).then_some(Self { entries, leaves })
    }

    pub(crate) fn is_indexed(&self) -> bool {
        !self.leaves.is_empty()
    }

    pub(crate) fn blocks(&self) -> usize {
        1 + self.nodes() + self.leaves.len()
    }

    /// Returns the number of index blocks below the root.
    fn nodes(&self) -> usize {
        if self.leaves.len() <= ROOT_ENTRIES {
            0
        } else {
            self.leaves.len().div_ceil(NODE_ENTRIES)
        }
    }

    /// Returns all blocks, concatenated. `seed` is the checksum seed of the inode.
    pub(crate) fn encode(&self, own: u32, parent: u32, seed: u32) -> Vec<u8> {
        let mut out = vec![0; self.blocks() * BLOCK_SIZE];
        let dot = Entry {
            name: b".",
            inode: own,
            kind: 2,
        };
        let dots = Entry {
            name: b"..",
            inode: parent,
            kind: 2,
        };
        let (first, rest) = out.split_at_mut(BLOCK_SIZE);
        if !self.is_indexed() {
            let entries = self.entries.iter().map(|(_, entry)| *entry);
            write_leaf(first, [dot, dots].into_iter().chain(entries), seed);
            return out;
        }
        let (nodes, leaves) = rest.split_at_mut(self.nodes() * BLOCK_SIZE);
        for (index, block) in leaves.chunks_exact_mut(BLOCK_SIZE).enumerate() {
            let end = self
                .leaves
                .get(index + 1)
                .copied()
                .unwrap_or(self.entries.len());
            let entries = &self.entries[self.leaves[index]..end];
            write_leaf(block, entries.iter().map(|(_, entry)| *entry), seed);
        }
        let first_leaf = 1 + self.nodes() as u32;
        let leaf = |index: usize| (self.leaf_hash(index), first_leaf + index as u32);
        for (node, block) in nodes.chunks_exact_mut(BLOCK_SIZE).enumerate() {
            let from = node * NODE_ENTRIES;
            let until = self.leaves.len().min(from + NODE_ENTRIES);
            le::put_u16(block, 4, BLOCK_SIZE as u16);
            write_index(block, 8, NODE_ENTRIES, (from..until).map(leaf), seed);
        }
        write_entry(first, 0, &dot, 12);
        write_entry(first, 12, &dots, BLOCK_SIZE - 12);
        first[28] = 1; // half MD4
        first[29] = 8;
        if self.nodes() == 0 {
            write_index(
                first,
                32,
                ROOT_ENTRIES,
                (0..self.leaves.len()).map(leaf),
                seed,
            );
        } else {
            first[30] = 1;
            let node = |node: usize| (self.leaf_hash(node * NODE_ENTRIES), 1 + node as u32);
            write_index(first, 32, ROOT_ENTRIES, (0..self.nodes()).map(node), seed);
        }
        out
    }

    /// Returns the lowest hash of a leaf. Its lowest bit is set if the previous leaf ends with the
    /// same hash.
    fn leaf_hash(&self, leaf: usize) -> u32 {
        let start = self.leaves[leaf];
        let hash = self.entries[start].0;
        let continued = start
            .checked_sub(1)
            .is_some_and(|before| self.entries[before].0 == hash);
        hash | u32::from(continued)
    }
}

/// Returns the blocks of an empty directory with several blocks, such as `lost+found`.
pub(crate) fn encode_empty(own: u32, parent: u32, blocks: usize, seed: u32) -> Vec<u8> {
    let mut out = vec![0; blocks * BLOCK_SIZE];
    for (index, block) in out.chunks_exact_mut(BLOCK_SIZE).enumerate() {
        let dot = Entry {
            name: b".",
            inode: own,
            kind: 2,
        };
        let dots = Entry {
            name: b"..",
            inode: parent,
            kind: 2,
        };
        let entries = [dot, dots].into_iter().take(if index == 0 { 2 } else { 0 });
        write_leaf(block, entries, seed);
    }
    out
}

fn write_leaf<'a>(block: &mut [u8], entries: impl Iterator<Item = Entry<'a>>, seed: u32) {
    let mut at = 0;
    let mut last = 0;
    for entry in entries {
        last = at;
        write_entry(block, at, &entry, entry.size());
        at += entry.size();
    }
    // The last entry extends to the checksum; in a block without entries, an unused entry does.
    le::put_u16(block, last + 4, (ROOM - last) as u16);
    le::put_u16(block, ROOM + 4, 12);
    block[ROOM + 7] = 0xde;
    let checksum = crc32c(seed, &block[..ROOM]);
    le::put_u32(block, ROOM + 8, checksum);
}

fn write_entry(block: &mut [u8], at: usize, entry: &Entry<'_>, size: usize) {
    le::put_u32(block, at, entry.inode);
    le::put_u16(block, at + 4, size as u16);
    block[at + 6] = entry.name.len() as u8;
    block[at + 7] = entry.kind;
    block[at + 8..at + 8 + entry.name.len()].copy_from_slice(entry.name);
}

/// Writes the count and entries of an index at `at`, and the checksum after the space for the
/// maximum number of entries.
fn write_index(
    block: &mut [u8],
    at: usize,
    limit: usize,
    entries: impl ExactSizeIterator<Item = (u32, u32)>,
    seed: u32,
) {
    let count = entries.len();
    for (index, (hash, target)) in entries.enumerate() {
        le::put_u32(block, at + index * 8, hash);
        le::put_u32(block, at + index * 8 + 4, target);
    }
    // The first entry has no hash: the limit and count are stored in its place.
    le::put_u16(block, at, limit as u16);
    le::put_u16(block, at + 2, count as u16);
    let tail = at + limit * 8;
    let checksum = crc32c(crc32c(seed, &block[..at + count * 8]), &[0; 8]);
    le::put_u32(block, tail + 4, checksum);
}
