//! Virtual disks in VMware's formats: streamOptimized for transport, monolithicSparse, flat extents
//! with a text descriptor, and children, which store only the differences from their parent.

mod deflate;
mod descriptor;
mod disk;
mod error;
mod flat_disk;
mod grains;
mod header;
mod inflate;
mod merge;
mod pool;
mod sparse_disk;
mod stream_reader;
mod stream_writer;

pub use deflate::CompressionLevel;
pub use descriptor::{Access, CreateType, Descriptor, Extent, ExtentKind};
pub use disk::{Disk, read_descriptor};
pub use error::Error;
pub use flat_disk::FlatDisk;
pub use merge::merge_into_parent;
pub use sparse_disk::{ChildForm, Replacement, SparseDisk};
pub use stream_reader::StreamReader;
pub use stream_writer::{StreamOptions, StreamWriter};

/// The unit of all offsets in the formats, in bytes.
pub const SECTOR: u64 = 512;
/// The size of a grain, the allocation unit of sparse extents, in bytes.
pub const GRAIN: u64 = 64 << 10;
/// The number of entries of a grain table.
pub(crate) const TABLE_ENTRIES: u64 = 512;
/// The parent content id of a disk without a parent.
pub const NO_PARENT: u32 = u32::MAX;
