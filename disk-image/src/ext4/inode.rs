//! Decodes inodes.

use super::crc::crc32c;
use super::error::Error;
use crate::le;
use crate::time::Timestamp;

pub(super) const FLAG_EXTENTS: u32 = 0x8_0000;
pub(super) const FLAG_INLINE: u32 = 0x1000_0000;
pub(super) const FLAG_ENCRYPTED: u32 = 0x800;

/// The type of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum FileKind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A symbolic link.
    Symlink,
    /// A character device with its major and minor number.
    Char(u32, u32),
    /// A block device with its major and minor number.
    Block(u32, u32),
    /// A named pipe.
    Fifo,
    /// A socket.
    Socket,
}

/// A file, without its name.
#[derive(Debug, Clone)]
pub struct Inode {
    pub(super) number: u32,
    pub(super) mode: u16,
    pub(super) uid: u32,
    pub(super) gid: u32,
    pub(super) size: u64,
    pub(super) links: u16,
    pub(super) flags: u32,
    pub(super) mtime: Timestamp,
    pub(super) atime: Timestamp,
    pub(super) ctime: Timestamp,
    pub(super) block: [u8; 60],
    pub(super) xattr_block: u64,
    /// The bytes after the fixed fields, which contain extended attributes.
    pub(super) rest: Box<[u8]>,
    pub(super) kind: FileKind,
}

impl Inode {
    pub(super) fn decode(
        raw: &mut [u8],
        number: u32,
        checksum_seed: Option<u32>,
    ) -> Result<Self, Error> {
        let damaged = |what| Error::Damaged {
            inode: number,
            what,
        };
        let extra = if raw.len() > 128 {
            le::u16_at(raw, 0x80) as usize
        } else {
            0
        };
        if extra > raw.len().saturating_sub(128) || !extra.is_multiple_of(4) {
            return Err(damaged("size"));
        }
        if let Some(seed) = checksum_seed {
            verify(raw, number, seed, extra).map_err(damaged)?;
        }
        let time = |low: usize, high: usize| {
            // The seconds are signed; two more bits extend the range to 2446.
            let seconds = i64::from(le::u32_at(raw, low) as i32);
            if extra + 128 < high + 4 {
                return Timestamp::from_seconds(seconds);
            }
            let more = le::u32_at(raw, high);
            let nanos = (more >> 2).min(999_999_999);
            Timestamp {
                seconds: seconds + (i64::from(more & 3) << 32),
                nanos,
            }
        };
        let mode = le::u16_at(raw, 0);
        let mut block = [0; 60];
        block.copy_from_slice(&raw[0x28..0x28 + 60]);
        let split = |low: usize, high: usize| {
            u32::from(le::u16_at(raw, low)) | u32::from(le::u16_at(raw, high)) << 16
        };
        let kind = kind_of(mode, &block).ok_or_else(|| damaged("mode"))?;
        let mut size = u64::from(le::u32_at(raw, 0x04));
        if matches!(kind, FileKind::File | FileKind::Directory) {
            size |= u64::from(le::u32_at(raw, 0x6c)) << 32;
        }
        Ok(Self {
            number,
            mode,
            uid: split(0x02, 0x78),
            gid: split(0x18, 0x7a),
            size,
            links: le::u16_at(raw, 0x1a),
            flags: le::u32_at(raw, 0x20),
            mtime: time(0x10, 0x88),
            atime: time(0x08, 0x8c),
            ctime: time(0x0c, 0x84),
            block,
            xattr_block: u64::from(le::u32_at(raw, 0x68)) | u64::from(le::u16_at(raw, 0x76)) << 32,
            rest: raw.get(128 + extra..).unwrap_or_default().into(),
            kind,
        })
    }

    /// Returns its number in the file system, which is the same for all names of a file.
    pub fn number(&self) -> u32 {
        self.number
    }

    /// Returns the type of the file.
    pub fn kind(&self) -> FileKind {
        self.kind
    }

    /// Returns the permissions with the set-id and sticky bits: `0o7777` at most.
    pub fn permissions(&self) -> u32 {
        u32::from(self.mode & 0o7777)
    }

    /// Returns the owner.
    pub fn uid(&self) -> u32 {
        self.uid
    }

    /// Returns the group.
    pub fn gid(&self) -> u32 {
        self.gid
    }

    /// Returns the size in bytes of a regular file, or of the target of a symbolic link.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Returns the number of names (hard links) of the file.
    pub fn links(&self) -> u32 {
        u32::from(self.links)
    }

    /// Returns the time of the last change of the file's content.
    pub fn modified(&self) -> Timestamp {
        self.mtime
    }

    /// Returns the time of the last read access, as far as the file system recorded it.
    pub fn accessed(&self) -> Timestamp {
        self.atime
    }

    /// Returns the time of the last change of the inode.
    pub fn changed(&self) -> Timestamp {
        self.ctime
    }
}

/// Verifies the checksum of an inode, which is computed with both checksum fields set to zero.
fn verify(raw: &mut [u8], number: u32, seed: u32, extra: usize) -> Result<(), &'static str> {
    if raw.iter().all(|&byte| byte == 0) {
        return Err("entry, which is not in use,");
    }
    let has_high = raw.len() > 128 && extra >= 4;
    let low = le::u16_at(raw, 0x7c);
    le::put_u16(raw, 0x7c, 0);
    let mut expected = u32::from(low);
    if has_high {
        expected |= u32::from(le::u16_at(raw, 0x82)) << 16;
        le::put_u16(raw, 0x82, 0);
    }
    let generation = le::u32_at(raw, 0x64).to_le_bytes();
    let seed = crc32c(crc32c(seed, &number.to_le_bytes()), &generation);
    let found = crc32c(seed, raw);
    let mask = if has_high { u32::MAX } else { 0xffff };
    if found & mask == expected {
        Ok(())
    } else {
        Err("checksum")
    }
}

fn kind_of(mode: u16, block: &[u8; 60]) -> Option<FileKind> {
    let device = || match le::u32_at(block, 0) {
        0 => {
            let new = le::u32_at(block, 4);
            (new >> 8 & 0xfff, new & 0xff | new >> 12 & 0xf_ff00)
        }
        old => (old >> 8 & 0xff, old & 0xff),
    };
    Some(match mode & 0o170_000 {
        0o100_000 => FileKind::File,
        0o040_000 => FileKind::Directory,
        0o120_000 => FileKind::Symlink,
        0o020_000 => FileKind::Char(device().0, device().1),
        0o060_000 => FileKind::Block(device().0, device().1),
        0o010_000 => FileKind::Fifo,
        0o140_000 => FileKind::Socket,
        _ => return None,
    })
}
