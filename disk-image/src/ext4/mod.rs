//! The ext4 file system: a writer that only moves forward, and a reader.

mod changes;
mod crc;
mod directory;
mod encode;
mod error;
mod export;
mod extent;
mod geometry;
mod hash;
mod inode;
mod layout;
mod options;
mod plan;
mod read_xattr;
mod reader;
mod runs;
pub(crate) mod xattr;

pub use changes::{Change, ChangeKind, Changes};
pub use error::Error;
pub use export::Visited;
pub use inode::{FileKind, Inode};
pub use options::FsOptions;
pub use plan::Plan;
pub use reader::{FileReader, NamedInode, Reader};

pub(crate) const BLOCK_SIZE: usize = 4096;
pub(crate) const GROUP_BLOCKS: u64 = 8 * BLOCK_SIZE as u64;
pub(crate) const INODE_SIZE: usize = 256;
pub(crate) const DESCRIPTOR_SIZE: usize = 64;
pub(crate) const ROOT_INODE: u32 = 2;
pub(crate) const JOURNAL_INODE: u32 = 8;
/// The first inode number that is not reserved. It belongs to `lost+found`, if there is one.
pub(crate) const FIRST_INODE: u32 = 11;
