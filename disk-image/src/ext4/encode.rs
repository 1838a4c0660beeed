//! Encodes the superblock, group descriptors, inodes and journal.

use super::crc::crc32c;
use super::extent::{self, Extent};
use super::geometry::{Geometry, Usage, set_bits};
use super::layout::{Layout, Placed, Survey};
use super::options::FsOptions;
use super::{BLOCK_SIZE, DESCRIPTOR_SIZE, FIRST_INODE, GROUP_BLOCKS, INODE_SIZE, JOURNAL_INODE};
use crate::le;
use crate::time::Timestamp;

pub(super) const MAGIC: u16 = 0xef53;

/// Compatible features: has_journal, ext_attr, dir_index.
const COMPAT: u32 = 0x4 | 0x8 | 0x20;
/// Incompatible features: filetype, extents, 64bit, flex_bg.
const INCOMPAT: u32 = 0x2 | 0x40 | 0x80 | 0x200;
/// Read-only compatible features: sparse_super, large_file, huge_file, dir_nlink, extra_isize,
/// metadata_csum.
const RO_COMPAT: u32 = 0x1 | 0x2 | 0x8 | 0x20 | 0x40 | 0x400;

/// Inode flag: the file uses extents.
pub(super) const EXTENTS: u32 = 0x8_0000;
pub(super) const INDEXED: u32 = 0x1000;

/// Encodes the structures with a fixed place, from the layout and the options.
pub(super) struct Encoder<'a> {
    pub(super) layout: &'a Layout,
    pub(super) options: &'a FsOptions,
    survey: &'a Survey,
    usage: Usage<'a>,
    /// Number of directories in each group.
    directories: Vec<u32>,
    used_inodes: u64,
    /// Seed of all checksums.
    pub(super) seed: u32,
}

impl<'a> Encoder<'a> {
    pub(super) fn new(
        layout: &'a Layout,
        survey: &'a Survey,
        options: &'a FsOptions,
        is_directory: impl Fn(u32) -> bool,
    ) -> Self {
        let per_group = layout.geometry.inodes_per_group;
        let mut directories = vec![0; layout.geometry.groups as usize];
        directories[0] = 1; // the root
        for (position, number) in (0..survey.inodes.len() as u32).zip(FIRST_INODE..) {
            if is_directory(position) {
                directories[((u64::from(number) - 1) / per_group) as usize] += 1;
            }
        }
        Self {
            layout,
            options,
            survey,
            usage: layout.usage(),
            directories,
            used_inodes: u64::from(FIRST_INODE) - 1 + survey.inodes.len() as u64,
            seed: crc32c(!0, options.uuid.as_bytes()),
        }
    }

    fn geometry(&self) -> &Geometry {
        &self.layout.geometry
    }

    /// Returns the number of inodes in use in a group, which are always its first ones.
    pub(super) fn used_inodes_of(&self, group: u64) -> u64 {
        let per_group = self.geometry().inodes_per_group;
        self.used_inodes
            .saturating_sub(group * per_group)
            .min(per_group)
    }

    /// Returns the block that contains the superblock, or its copy at the start of a group.
    pub(super) fn superblock(&self, group: u64) -> Vec<u8> {
        let mut block = vec![0; BLOCK_SIZE];
        // The first 1024 bytes of the disk are reserved for a boot sector.
        let at = if group == 0 { 1024 } else { 0 };
        self.write_superblock(&mut block[at..at + 1024], group);
        block
    }

    fn write_superblock(&self, sb: &mut [u8], group: u64) {
        let geometry = self.geometry();
        let free_blocks: u64 = (0..geometry.groups)
            .map(|group| self.usage.free(group))
            .sum();
        // The superblock's times have 40 bits and no sign.
        let epoch = self.options.epoch.seconds.clamp(0, (1 << 40) - 1);
        let has_journal = !self.layout.journal.is_empty();
        le::put_u32(sb, 0x00, geometry.inodes() as u32);
        put_split(sb, 0x04, 0x150, geometry.blocks);
        put_split(sb, 0x0c, 0x158, free_blocks);
        le::put_u32(sb, 0x10, (geometry.inodes() - self.used_inodes) as u32);
        le::put_u32(sb, 0x18, 2);
        le::put_u32(sb, 0x1c, 2);
        le::put_u32(sb, 0x20, GROUP_BLOCKS as u32);
        le::put_u32(sb, 0x24, GROUP_BLOCKS as u32);
        le::put_u32(sb, 0x28, geometry.inodes_per_group as u32);
        for (low, high) in [(0x30, 0x274), (0x40, 0x277), (0x108, 0x276)] {
            le::put_u32(sb, low, epoch as u32);
            sb[high] = (epoch >> 32) as u8;
        }
        le::put_u16(sb, 0x36, 0xffff);
        le::put_u16(sb, 0x38, MAGIC);
        le::put_u16(sb, 0x3a, 1); // clean
        le::put_u16(sb, 0x3c, 1); // on errors, continue
        le::put_u32(sb, 0x4c, 1);
        le::put_u32(sb, 0x54, FIRST_INODE);
        le::put_u16(sb, 0x58, INODE_SIZE as u16);
        le::put_u16(sb, 0x5a, group as u16);
        le::put_u32(sb, 0x5c, if has_journal { COMPAT } else { COMPAT & !4 });
        le::put_u32(sb, 0x60, INCOMPAT);
        le::put_u32(sb, 0x64, RO_COMPAT);
        sb[0x68..0x78].copy_from_slice(self.options.uuid.as_bytes());
        let label = self.options.label.as_bytes();
        sb[0x78..0x78 + label.len()].copy_from_slice(label);
        for (index, &word) in self.survey.hash_seed.iter().enumerate() {
            le::put_u32(sb, 0xec + index * 4, word);
        }
        sb[0xfc] = 1; // half MD4
        le::put_u16(sb, 0xfe, DESCRIPTOR_SIZE as u16);
        le::put_u32(sb, 0x100, 0xc); // user_xattr, acl
        if has_journal {
            le::put_u32(sb, 0xe0, JOURNAL_INODE);
            sb[0xfd] = 1;
            sb[0x10c..0x10c + 60].copy_from_slice(&extent::root(&self.layout.journal, &[]));
            let size = extents_end(&self.layout.journal);
            le::put_u32(sb, 0x10c + 60, (size >> 32) as u32);
            le::put_u32(sb, 0x10c + 64, size as u32);
        }
        le::put_u16(sb, 0x15c, 32);
        le::put_u16(sb, 0x15e, 32);
        le::put_u32(sb, 0x160, 2); // names are hashed as unsigned bytes
        sb[0x174] = 4; // 16 groups are one flexible group
        sb[0x175] = 1; // CRC-32C
        let checksum = crc32c(!0, &sb[..0x3fc]);
        le::put_u32(sb, 0x3fc, checksum);
    }

    /// Returns the descriptors of all groups.
    pub(super) fn descriptors(&self) -> Vec<u8> {
        let geometry = self.geometry();
        let mut table = vec![0; geometry.descriptor_blocks as usize * BLOCK_SIZE];
        for (group, descriptor) in (0..geometry.groups).zip(table.chunks_exact_mut(DESCRIPTOR_SIZE))
        {
            self.write_descriptor(descriptor, group);
        }
        table
    }

    fn write_descriptor(&self, to: &mut [u8], group: u64) {
        let index = group as usize;
        put_split(to, 0x00, 0x20, self.layout.block_bitmaps[index]);
        put_split(to, 0x04, 0x24, self.layout.inode_bitmaps[index]);
        put_split(to, 0x08, 0x28, self.layout.inode_tables[index]);
        let per_group = self.geometry().inodes_per_group;
        let used = self.used_inodes_of(group);
        put_split_u16(to, 0x0c, 0x2c, self.usage.free(group) as u32);
        put_split_u16(to, 0x0e, 0x2e, (per_group - used) as u32);
        put_split_u16(to, 0x10, 0x30, self.directories[index]);
        put_split_u16(to, 0x1c, 0x32, (per_group - used) as u32);
        let mut flags = 4; // the inode table is zero where it is not used
        match self.block_bitmap(group) {
            Some(bitmap) => put_split_u16(to, 0x18, 0x38, crc32c(self.seed, &bitmap)),
            None => flags |= 2,
        }
        match self.inode_bitmap(group) {
            Some(bitmap) => {
                let checksum = crc32c(self.seed, &bitmap[..per_group as usize / 8]);
                put_split_u16(to, 0x1a, 0x3a, checksum);
            }
            None => flags |= 1,
        }
        le::put_u16(to, 0x12, flags);
        let checksum = crc32c(crc32c(self.seed, &(group as u32).to_le_bytes()), to);
        le::put_u16(to, 0x1e, checksum as u16);
    }

    /// Returns the block bitmap of a group; `None` if the group is untouched, in which case the
    /// kernel creates the bitmap when it needs it.
    pub(super) fn block_bitmap(&self, group: u64) -> Option<Vec<u8>> {
        (!self.usage.is_untouched(group)).then(|| self.usage.bitmap(group))
    }

    pub(super) fn inode_bitmap(&self, group: u64) -> Option<Vec<u8>> {
        let used = self.used_inodes_of(group);
        if used == 0 {
            return None;
        }
        let mut bitmap = vec![0; BLOCK_SIZE];
        set_bits(&mut bitmap, 0, used as usize);
        set_bits(
            &mut bitmap,
            self.geometry().inodes_per_group as usize,
            8 * BLOCK_SIZE,
        );
        Some(bitmap)
    }

    /// Returns the seed for the checksums of an inode and of its blocks.
    pub(super) fn inode_seed(&self, number: u32) -> u32 {
        crc32c(crc32c(self.seed, &number.to_le_bytes()), &[0; 4])
    }

    pub(super) fn write_inode(&self, to: &mut [u8], number: u32, inode: &InodeFields<'_>) {
        le::put_u16(to, 0x00, inode.mode);
        le::put_u16(to, 0x02, inode.uid as u16);
        le::put_u16(to, 0x78, (inode.uid >> 16) as u16);
        le::put_u16(to, 0x18, inode.gid as u16);
        le::put_u16(to, 0x7a, (inode.gid >> 16) as u16);
        put_split(to, 0x04, 0x6c, inode.size);
        let (low, extra) = encode_time(inode.mtime);
        for (field, extra_field) in [(0x08, 0x8c), (0x0c, 0x84), (0x10, 0x88)] {
            le::put_u32(to, field, low);
            le::put_u32(to, extra_field, extra);
        }
        let (low, extra) = encode_time(self.options.epoch);
        le::put_u32(to, 0x90, low);
        le::put_u32(to, 0x94, extra);
        le::put_u16(to, 0x1a, inode.links);
        let data: u64 = inode
            .placed
            .extents
            .iter()
            .map(|extent| u64::from(extent.len))
            .sum();
        let blocks = data + inode.placed.tree.len() as u64 + u64::from(inode.placed.xattr != 0);
        let sectors = blocks * (BLOCK_SIZE as u64 / 512);
        le::put_u32(to, 0x1c, sectors as u32);
        le::put_u16(to, 0x74, (sectors >> 32) as u16);
        le::put_u32(to, 0x20, inode.flags);
        to[0x28..0x28 + 60].copy_from_slice(&inode.block);
        le::put_u32(to, 0x68, inode.placed.xattr as u32);
        le::put_u16(to, 0x76, (inode.placed.xattr >> 32) as u16);
        le::put_u16(to, 0x80, 32);
        if let Some(xattrs) = inode.xattrs {
            xattrs.write_inode(&mut to[128 + 32..INODE_SIZE]);
        }
        let checksum = crc32c(self.inode_seed(number), to);
        le::put_u16(to, 0x7c, checksum as u16);
        le::put_u16(to, 0x82, (checksum >> 16) as u16);
    }

    /// Returns the first block of the journal, which marks the journal as empty.
    pub(super) fn journal(&self) -> Vec<u8> {
        let mut block = vec![0; BLOCK_SIZE];
        let length = (extents_end(&self.layout.journal) / BLOCK_SIZE as u64) as u32;
        for (at, value) in [
            (0x00, 0xc03b_3998),
            (0x04, 4),
            (0x0c, BLOCK_SIZE as u32),
            (0x10, length),
            (0x14, 1), // first block of the log
            (0x18, 1), // first sequence number
            (0x40, 1), // users
        ] {
            block[at..at + 4].copy_from_slice(&u32::to_be_bytes(value));
        }
        block[0x30..0x40].copy_from_slice(self.options.uuid.as_bytes());
        block
    }
}

/// The parts of an inode that differ between inodes.
pub(super) struct InodeFields<'a> {
    pub(super) mode: u16,
    pub(super) uid: u32,
    pub(super) gid: u32,
    pub(super) size: u64,
    pub(super) mtime: Timestamp,
    pub(super) links: u16,
    pub(super) flags: u32,
    pub(super) block: [u8; 60],
    pub(super) placed: &'a Placed,
    pub(super) xattrs: Option<&'a super::xattr::Division<'a>>,
}

/// Returns the file offset in bytes at which the last extent ends.
pub(super) fn extents_end(extents: &[Extent]) -> u64 {
    let end = extents
        .last()
        .map_or(0, |e| u64::from(e.logical) + u64::from(e.len));
    end * BLOCK_SIZE as u64
}

/// Encodes a time as the low 32 bits of its seconds, and a second word with the nanoseconds and two
/// more bits of the seconds. Times outside the years 1901 to 2446 are clamped to the nearest
/// representable time.
fn encode_time(time: Timestamp) -> (u32, u32) {
    const FIRST: i64 = i32::MIN as i64;
    const LAST: i64 = FIRST + (1 << 34) - 1;
    let seconds = time.seconds.clamp(FIRST, LAST);
    let nanos = if seconds == time.seconds {
        time.nanos
    } else {
        0
    };
    let epoch = ((seconds - i64::from(seconds as i32)) >> 32) as u32 & 3;
    (seconds as u32, nanos << 2 | epoch)
}

fn put_split(to: &mut [u8], low: usize, high: usize, value: u64) {
    le::put_u32(to, low, value as u32);
    le::put_u32(to, high, (value >> 32) as u32);
}

fn put_split_u16(to: &mut [u8], low: usize, high: usize, value: u32) {
    le::put_u16(to, low, value as u16);
    le::put_u16(to, high, (value >> 16) as u16);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_clamped_and_not_wrapped() {
        let encode = |seconds| encode_time(Timestamp { seconds, nanos: 5 });
        assert_eq!(encode(0), (0, 5 << 2));
        assert_eq!(encode(-1), (u32::MAX, 5 << 2));
        assert_eq!(encode(1 << 31), (1 << 31, 5 << 2 | 1));
        assert_eq!(encode(15_032_385_535), (0x7fff_ffff, 5 << 2 | 3));
        assert_eq!(encode(15_032_385_536), (0x7fff_ffff, 3));
        assert_eq!(encode(16_725_225_600), (0x7fff_ffff, 3));
        assert_eq!(encode(i64::MIN), (0x8000_0000, 0));
    }
}
