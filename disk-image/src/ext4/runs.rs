//! The locations of a file's data, found incrementally: extents, or the block maps of
//! older file systems.

use super::error::Error;
use super::extent::MAGIC;
use super::inode::{FLAG_EXTENTS, Inode};
use super::reader::Reader;
use crate::block::BlockRead;
use crate::le;

/// A range of file blocks that is contiguous on the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Run {
    pub(super) logical: u64,
    pub(super) len: u64,
    pub(super) physical: u64,
}

/// Finds the runs of a file in order. The blocks between runs are holes.
pub(super) struct Runs {
    inode: u32,
    kind: Kind,
    /// Number of blocks that the size of the file covers.
    blocks: u64,
    /// The lowest block at which the next run may start, because runs have to ascend.
    next: u64,
    /// Total number of blocks of all runs so far, which may not exceed the size of the file system.
    total: u64,
}

enum Kind {
    Extents {
        /// The nodes from the root to the current one, each with its next entry.
        nodes: Vec<Node>,
        /// The first block of the file that the next entry may describe.
        floor: u64,
    },
    Map {
        root: [u8; 60],
        cached: Cached,
    },
    Nothing,
}

/// A cache of the map blocks on the path to the block that was last looked up.
#[derive(Default)]
struct Cached {
    blocks: Vec<(u64, Vec<u8>)>,
    /// Number of consecutive lookups that found no data.
    fruitless: u32,
}

/// Maximum number of consecutive lookups that find no data. The kernel frees map blocks that become
/// empty, so they are rare, but a hostile map may refer to an empty block billions of times.
const MAX_FRUITLESS: u32 = 1 << 16;

struct Node {
    bytes: Vec<u8>,
    entry: usize,
    entries: usize,
    depth: u16,
}

const MAX_DEPTH: u16 = 5;

impl Runs {
    pub(super) fn new(inode: &Inode, block_size: u64) -> Result<Self, Error> {
        let blocks = inode.size.div_ceil(block_size);
        let kind = if blocks == 0 {
            Kind::Nothing
        } else if inode.flags & FLAG_EXTENTS != 0 {
            let root = Node::new(inode.block.to_vec(), None);
            let root = root.ok_or(Error::Damaged {
                inode: inode.number,
                what: "extent tree",
            })?;
            Kind::Extents {
                nodes: vec![root],
                floor: 0,
            }
        } else {
            Kind::Map {
                root: inode.block,
                cached: Cached::default(),
            }
        };
        Ok(Self {
            inode: inode.number,
            kind,
            blocks,
            next: 0,
            total: 0,
        })
    }

    pub(super) fn next<D: BlockRead>(
        &mut self,
        reader: &Reader<D>,
    ) -> Result<Option<Run>, crate::Error> {
        let run = match &mut self.kind {
            Kind::Nothing => None,
            Kind::Extents { nodes, floor } => next_extent(nodes, floor, reader, self.inode)?,
            Kind::Map { root, cached } => {
                let run = next_mapped(root, cached, reader, self.inode, self.next, self.blocks)?;
                cached.fruitless = 0;
                run
            }
        };
        let Some(mut run) = run else { return Ok(None) };
        let damaged = Error::Damaged {
            inode: self.inode,
            what: "map of blocks",
        };
        self.total = self.total.saturating_add(run.len);
        if self.total > reader.blocks()
            || run.logical < self.next
            || run.len == 0
            || !reader.is_inside(run.physical, run.len)
        {
            return Err(damaged.into());
        }
        self.next = run.logical + run.len;
        // Blocks allocated beyond the end of the file are not part of its content.
        if run.logical >= self.blocks {
            return Ok(None);
        }
        run.len = run.len.min(self.blocks - run.logical);
        Ok(Some(run))
    }
}

impl Cached {
    fn block<D: BlockRead>(
        &mut self,
        level: usize,
        number: u64,
        reader: &Reader<D>,
    ) -> Result<&[u8], crate::Error> {
        if self.blocks.get(level).is_none_or(|(at, _)| *at != number) {
            self.blocks.truncate(level);
            self.blocks.push((number, reader.block(number)?));
        }
        Ok(&self.blocks[level].1)
    }
}

impl Node {
    /// Creates a node after checking its header. `depth` is the value expected by the node above.
    /// Only the root may be empty.
    fn new(bytes: Vec<u8>, depth: Option<u16>) -> Option<Self> {
        let entries = le::u16_at(&bytes, 2) as usize;
        let found = le::u16_at(&bytes, 6);
        let fits = 12 + entries * 12 <= bytes.len();
        let expected = depth.is_none_or(|depth| depth == found && entries > 0);
        (le::u16_at(&bytes, 0) == MAGIC && fits && expected && found <= MAX_DEPTH).then_some(Self {
            bytes,
            entry: 0,
            entries,
            depth: found,
        })
    }
}

/// Returns the next extent. Entries are required to ascend, so no node is visited twice.
fn next_extent<D: BlockRead>(
    nodes: &mut Vec<Node>,
    floor: &mut u64,
    reader: &Reader<D>,
    inode: u32,
) -> Result<Option<Run>, crate::Error> {
    while let Some(node) = nodes.last_mut() {
        if node.entry == node.entries {
            nodes.pop();
            continue;
        }
        let at = 12 + node.entry * 12;
        node.entry += 1;
        let bytes = &node.bytes;
        let logical = u64::from(le::u32_at(bytes, at));
        let damaged = || Error::Damaged {
            inode,
            what: "extent tree",
        };
        if logical < *floor {
            return Err(damaged().into());
        }
        if node.depth > 0 {
            let block =
                u64::from(le::u32_at(bytes, at + 4)) | u64::from(le::u16_at(bytes, at + 8)) << 32;
            let depth = node.depth - 1;
            let below = Node::new(reader.block(block)?, Some(depth));
            nodes.push(below.ok_or_else(damaged)?);
            continue;
        }
        let len = u64::from(le::u16_at(bytes, at + 4));
        let covered = if len > 32768 { len - 32768 } else { len };
        if covered == 0 {
            return Err(damaged().into());
        }
        *floor = logical + covered;
        let physical =
            u64::from(le::u16_at(bytes, at + 6)) << 32 | u64::from(le::u32_at(bytes, at + 8));
        // A greater length marks an extent that was allocated but never written, which reads as
        // zeros like a hole.
        if len <= 32768 {
            return Ok(Some(Run {
                logical,
                len,
                physical,
            }));
        }
    }
    Ok(None)
}

/// Returns the next mapped blocks at or after `from`. The inode maps 12 blocks directly, and the
/// others through trees of one, two and three levels.
fn next_mapped<D: BlockRead>(
    root: &[u8; 60],
    cached: &mut Cached,
    reader: &Reader<D>,
    inode: u32,
    from: u64,
    blocks: u64,
) -> Result<Option<Run>, crate::Error> {
    let mut run: Option<Run> = None;
    let mut logical = from;
    while logical < blocks {
        let (physical, absent) = lookup(root, cached, reader, logical)?;
        match &mut run {
            None if physical == 0 => {
                logical += absent;
                cached.fruitless += 1;
                if cached.fruitless > MAX_FRUITLESS {
                    let what = "map of blocks";
                    return Err(Error::Damaged { inode, what }.into());
                }
            }
            None => {
                run = Some(Run {
                    logical,
                    len: 1,
                    physical,
                });
                logical += 1;
            }
            Some(run) if physical == run.physical + run.len && physical != 0 => {
                run.len += 1;
                logical += 1;
            }
            Some(_) => break,
        }
    }
    Ok(run)
}

/// Returns the block on the disk; or 0, and the minimum number of unmapped blocks from here on.
fn lookup<D: BlockRead>(
    root: &[u8; 60],
    cached: &mut Cached,
    reader: &Reader<D>,
    logical: u64,
) -> Result<(u64, u64), crate::Error> {
    if logical < 12 {
        return Ok((u64::from(le::u32_at(root, logical as usize * 4)), 1));
    }
    let per_block = reader.block_size() / 4;
    let mut index = logical - 12;
    let mut span = per_block;
    for levels in 1..=3u32 {
        if index >= span {
            index -= span;
            span = span.saturating_mul(per_block);
            continue;
        }
        let mut block = u64::from(le::u32_at(root, (11 + levels as usize) * 4));
        if block == 0 {
            return Ok((0, span - index));
        }
        for level in 0..levels as usize {
            span /= per_block;
            let entries = cached.block(level, block, reader)?;
            let entry = (index / span % per_block) as usize;
            block = u64::from(le::u32_at(entries, entry * 4));
            if block == 0 {
                // The unmapped range extends to the next nonzero entry of this block.
                let (rest, _) = entries[entry * 4..].as_chunks::<4>();
                let zeros = rest.iter().take_while(|word| **word == [0; 4]).count();
                return Ok((0, zeros as u64 * span - index % span));
            }
        }
        return Ok((block, 1));
    }
    // The maps cannot address blocks this far into the file, so the rest is a hole.
    Ok((0, u64::MAX - logical))
}
