//! The layout of the disk: groups, backup superblocks, and an allocator that only
//! moves forward.

use super::extent::{Extent, MAX_LEN};
use super::{BLOCK_SIZE, DESCRIPTOR_SIZE, GROUP_BLOCKS, INODE_SIZE};

const INODES_PER_BLOCK: u64 = (BLOCK_SIZE / INODE_SIZE) as u64;

/// Fixed properties of a file system.
#[derive(Debug, Clone)]
pub(crate) struct Geometry {
    pub(crate) blocks: u64,
    pub(crate) groups: u64,
    pub(crate) inodes_per_group: u64,
    pub(crate) descriptor_blocks: u64,
}

impl Geometry {
    pub(crate) fn new(blocks: u64, inodes: u64) -> Self {
        let mut groups = blocks.div_ceil(GROUP_BLOCKS);
        // If the last group is too small for its copy of the superblock, it is left unused.
        let last = blocks - (groups - 1) * GROUP_BLOCKS;
        let descriptors =
            |groups: u64| (groups * DESCRIPTOR_SIZE as u64).div_ceil(BLOCK_SIZE as u64);
        let mut blocks = blocks;
        if groups > 1 && last < descriptors(groups) + 50 {
            groups -= 1;
            blocks = groups * GROUP_BLOCKS;
        }
        let per_group = inodes.div_ceil(groups).next_multiple_of(INODES_PER_BLOCK);
        // Limited by the number of bits in a bitmap, and by the 32-bit inode numbers in total.
        let numbers = u64::from(u32::MAX) / groups / INODES_PER_BLOCK * INODES_PER_BLOCK;
        let most = numbers.min(8 * BLOCK_SIZE as u64);
        let inodes_per_group = per_group.clamp(INODES_PER_BLOCK, most);
        Self {
            blocks,
            groups,
            inodes_per_group,
            descriptor_blocks: descriptors(groups),
        }
    }

    pub(crate) fn inodes(&self) -> u64 {
        self.inodes_per_group * self.groups
    }

    pub(crate) fn inode_table_blocks(&self) -> u64 {
        self.inodes_per_group / INODES_PER_BLOCK
    }

    pub(crate) fn group_blocks(&self, group: u64) -> u64 {
        (self.blocks - group * GROUP_BLOCKS).min(GROUP_BLOCKS)
    }

    /// Returns whether a group begins with the superblock or a copy of it.
    pub(crate) fn has_superblock(group: u64) -> bool {
        let power_of = |base: u64| {
            let mut value = base;
            while value < group {
                value *= base;
            }
            value == group
        };
        group <= 1 || power_of(3) || power_of(5) || power_of(7)
    }

    /// Returns the number of blocks of the superblock and the descriptors after it.
    pub(crate) fn head_blocks(&self) -> u64 {
        1 + self.descriptor_blocks
    }
}

/// Allocates blocks in ascending order, skipping the copies of the superblock. It continues past
/// the end of the disk, so that the missing space can be reported.
pub(crate) struct Allocator<'a> {
    geometry: &'a Geometry,
    next: u64,
    /// Ranges of blocks that were skipped to make a contiguous allocation, and stay unused.
    gaps: Vec<(u64, u64)>,
}

impl<'a> Allocator<'a> {
    pub(crate) fn new(geometry: &'a Geometry) -> Self {
        Self {
            geometry,
            next: geometry.head_blocks(),
            gaps: Vec::new(),
        }
    }

    /// Returns an independent copy, for trial allocations.
    pub(crate) fn fork(&self) -> Self {
        Self {
            geometry: self.geometry,
            next: self.next,
            gaps: Vec::new(),
        }
    }

    /// Leaves one block unused.
    pub(crate) fn waste(&mut self) {
        let block = self.one();
        self.gaps.push((block, block + 1));
    }

    /// Returns the first block that is not allocated.
    pub(crate) fn end(&self) -> u64 {
        self.next
    }

    pub(crate) fn into_gaps(self) -> Vec<(u64, u64)> {
        self.gaps
    }

    /// Skips a copy of the superblock if the next block is one, and returns how many blocks follow
    /// before the next copy.
    fn run(&mut self) -> u64 {
        let group = self.next / GROUP_BLOCKS;
        let within = self.next % GROUP_BLOCKS;
        if within < self.geometry.head_blocks() && Geometry::has_superblock(group) {
            self.next = group * GROUP_BLOCKS + self.geometry.head_blocks();
        }
        let mut end = self.next / GROUP_BLOCKS + 1;
        // Looking a few groups ahead is enough, because extents are not longer than that.
        while !Geometry::has_superblock(end) && (end * GROUP_BLOCKS - self.next) < 4 * MAX_LEN {
            end += 1;
        }
        end * GROUP_BLOCKS - self.next
    }

    pub(crate) fn one(&mut self) -> u64 {
        self.run();
        self.next += 1;
        self.next - 1
    }

    /// Allocates `count` contiguous blocks and returns the first.
    pub(crate) fn contiguous(&mut self, count: u64) -> u64 {
        loop {
            let run = self.run();
            if run >= count {
                self.next += count;
                return self.next - count;
            }
            self.gaps.push((self.next, self.next + run));
            self.next += run;
        }
    }

    /// Allocates `count` blocks of a file starting at `logical`, and appends their extents.
    pub(crate) fn extents(&mut self, mut logical: u64, mut count: u64, to: &mut Vec<Extent>) {
        while count > 0 {
            let len = self.run().min(count).min(MAX_LEN);
            to.push(Extent {
                logical: logical as u32,
                len: len as u32,
                physical: self.next,
            });
            self.next += len;
            logical += len;
            count -= len;
        }
    }
}

/// The used blocks, as a whole and per group.
pub(crate) struct Usage<'a> {
    geometry: &'a Geometry,
    /// All blocks before this one are used, except for the gaps.
    end: u64,
    gaps: Vec<(u64, u64)>,
}

impl<'a> Usage<'a> {
    pub(crate) fn new(geometry: &'a Geometry, end: u64, gaps: Vec<(u64, u64)>) -> Self {
        Self {
            geometry,
            end,
            gaps,
        }
    }

    /// Returns the used ranges of a group, as block numbers relative to the group.
    pub(crate) fn of_group(&self, group: u64) -> Vec<(u64, u64)> {
        let start = group * GROUP_BLOCKS;
        let until = start + self.geometry.group_blocks(group);
        let mut used = Vec::new();
        let mut push = |from: u64, to: u64| {
            let (from, to) = (from.max(start), to.min(until));
            if from < to {
                used.push((from - start, to - start));
            }
        };
        if self.end <= start {
            if Geometry::has_superblock(group) {
                push(start, start + self.geometry.head_blocks());
            }
            return used;
        }
        let mut from = start;
        for &(gap_from, gap_to) in &self.gaps {
            if gap_to > start && gap_from < until {
                push(from, gap_from);
                from = gap_to;
            }
        }
        push(from, self.end);
        used
    }

    /// Returns whether the kernel can create the bitmap of a group by itself, because only the copy
    /// of the superblock is used.
    pub(crate) fn is_untouched(&self, group: u64) -> bool {
        self.end <= group * GROUP_BLOCKS && group + 1 < self.geometry.groups
    }

    pub(crate) fn bitmap(&self, group: u64) -> Vec<u8> {
        let mut bitmap = vec![0; BLOCK_SIZE];
        for (from, to) in self.of_group(group) {
            set_bits(&mut bitmap, from as usize, to as usize);
        }
        set_bits(
            &mut bitmap,
            self.geometry.group_blocks(group) as usize,
            8 * BLOCK_SIZE,
        );
        bitmap
    }

    pub(crate) fn free(&self, group: u64) -> u64 {
        let used: u64 = self
            .of_group(group)
            .iter()
            .map(|(from, to)| to - from)
            .sum();
        self.geometry.group_blocks(group) - used
    }
}

pub(crate) fn set_bits(bitmap: &mut [u8], from: usize, to: usize) {
    let mut bit = from;
    while bit < to {
        if bit.is_multiple_of(8) && to - bit >= 8 {
            bitmap[bit / 8] = 0xff;
            bit += 8;
        } else {
            bitmap[bit / 8] |= 1 << (bit % 8);
            bit += 1;
        }
    }
}
