//! The locations of a file's data, found incrementally: extents, or the block maps of
//! older file systems.

use super::error::Error;
use super::extent::MAGIC;
use super::inode::{FLAG_EXTENTS, Inode};
use super::reader::Reader;
use crate::block::BlockRead;
use crate::le;

/// Blocks of a file that follow each other on the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Run {
    pub(super) logical: u64,
    pub(super) len: u64,
    pub(super) physical: u64,
}

/// Finds the runs of a file in order; what is between is a hole.
pub(super) struct Runs {
    inode: u32,
    kind: Kind,
    /// Blocks that the size of the file covers.
    blocks: u64,
    /// Runs have to ascend.
    next: u64,
    /// Blocks of all runs: not more than the file system has.
    total: u64,
}

enum Kind {
    Extents {
        /// Nodes from the root down, with the next entry of each.
        nodes: Vec<Node>,
        /// First block of the file that the next entry may be about.
        floor: u64,
    },
    Map {
        root: [u8; 60],
        cached: Cached,
    },
    Nothing,
}

/// The blocks of a map on the way to the last block that was looked up.
#[derive(Default)]
struct Cached {
    blocks: Vec<(u64, Vec<u8>)>,
    /// Look-ups since the last one that found data.
    fruitless: u32,
}

/// A kernel frees blocks of a map in which nothing is left, so that there are hardly any.
/// A hostile map may refer to one of them billions of times.
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
        // What is allocated behind the end is no content.
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
    /// Checks the header. `depth` is what the node above says. Only the root may be empty.
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

/// The entries of a sound tree ascend, so that no node is visited twice.
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
        // Longer means allocated and never written: it reads as zeros, as a hole.
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

/// The next mapped blocks from `from`: 12 in the inode, then trees of one, two and three
/// levels.
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

/// The block, or 0 and how many blocks are absent at least.
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
                // Up to the next entry of this block that is not zero.
                let (rest, _) = entries[entry * 4..].as_chunks::<4>();
                let zeros = rest.iter().take_while(|word| **word == [0; 4]).count();
                return Ok((0, zeros as u64 * span - index % span));
            }
        }
        return Ok((block, 1));
    }
    // Larger than can be mapped: a hole without end.
    Ok((0, u64::MAX - logical))
}
