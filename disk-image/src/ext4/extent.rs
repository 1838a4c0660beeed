//! Encodes extents, which describe where the blocks of a file are.

use super::BLOCK_SIZE;
use super::crc::crc32c;
use crate::le;

pub(crate) const MAGIC: u16 = 0xf30a;
/// Maximum number of entries in the inode.
const IN_INODE: usize = 4;
const IN_BLOCK: usize = (BLOCK_SIZE - 12 - 4) / 12;
/// Maximum number of blocks in one written extent; a larger length marks an unwritten extent.
pub(crate) const MAX_LEN: u64 = 32768;

/// Maps `len` blocks of a file starting at `logical` to blocks on the disk starting at `physical`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Extent {
    pub(crate) logical: u32,
    pub(crate) len: u32,
    pub(crate) physical: u64,
}

/// Returns the number of blocks in each level of the extent tree, leaves first; empty if all
/// `extents` fit into the inode.
fn levels(extents: usize) -> Vec<usize> {
    let mut levels = Vec::new();
    let mut below = extents;
    while below > IN_INODE {
        below = below.div_ceil(IN_BLOCK);
        levels.push(below);
    }
    levels
}

/// Returns the number of blocks that the extent tree needs in addition to the inode.
pub(crate) fn tree_blocks(extents: usize) -> usize {
    levels(extents).iter().sum()
}

/// Returns the root of the extent tree, which is stored in the inode. `blocks` are the blocks of
/// the tree, leaves first.
pub(crate) fn root(extents: &[Extent], blocks: &[u64]) -> [u8; 60] {
    let mut root = [0; 60];
    let levels = levels(extents.len());
    header(&mut root, 0, IN_INODE, levels.len());
    match levels.last() {
        None => write_leaf(&mut root, extents),
        Some(&top) => {
            let first = blocks.len() - top;
            let span = span(levels.len() - 1);
            write_index(&mut root, &blocks[first..], span, extents);
        }
    }
    root
}

/// Returns the encoded block `index` of the extent tree, with its checksum.
pub(crate) fn tree_block(extents: &[Extent], blocks: &[u64], index: usize, seed: u32) -> Vec<u8> {
    let mut block = vec![0; BLOCK_SIZE];
    let mut first = 0;
    let mut below = 0;
    for (level, count) in levels(extents.len()).into_iter().enumerate() {
        if index < first + count {
            header(&mut block, 0, IN_BLOCK, level);
            let position = index - first;
            if level == 0 {
                let from = position * IN_BLOCK;
                let until = extents.len().min(from + IN_BLOCK);
                write_leaf(&mut block, &extents[from..until]);
            } else {
                let from = below + position * IN_BLOCK;
                let until = first.min(from + IN_BLOCK);
                let span = span(level - 1);
                let skip = position * IN_BLOCK * span;
                write_index(&mut block, &blocks[from..until], span, &extents[skip..]);
            }
            break;
        }
        below = first;
        first += count;
    }
    let end = BLOCK_SIZE - 4;
    let checksum = crc32c(seed, &block[..end]);
    le::put_u32(&mut block, end, checksum);
    block
}

/// Returns the maximum number of extents below one block of a level.
fn span(level: usize) -> usize {
    IN_BLOCK.pow(level as u32 + 1)
}

fn header(to: &mut [u8], entries: usize, max: usize, depth: usize) {
    le::put_u16(to, 0, MAGIC);
    le::put_u16(to, 2, entries as u16);
    le::put_u16(to, 4, max as u16);
    le::put_u16(to, 6, depth as u16);
}

fn write_leaf(to: &mut [u8], extents: &[Extent]) {
    le::put_u16(to, 2, extents.len() as u16);
    for (extent, at) in extents.iter().zip((12..).step_by(12)) {
        le::put_u32(to, at, extent.logical);
        le::put_u16(to, at + 4, extent.len as u16);
        le::put_u16(to, at + 6, (extent.physical >> 32) as u16);
        le::put_u32(to, at + 8, extent.physical as u32);
    }
}

fn write_index(to: &mut [u8], blocks: &[u64], span: usize, extents: &[Extent]) {
    le::put_u16(to, 2, blocks.len() as u16);
    for ((position, &block), at) in blocks.iter().enumerate().zip((12..).step_by(12)) {
        let logical = extents
            .get(position * span)
            .map_or(0, |extent| extent.logical);
        le::put_u32(to, at, logical);
        le::put_u32(to, at + 4, block as u32);
        le::put_u16(to, at + 8, (block >> 32) as u16);
    }
}
