//! Virtual disks in VMware's formats: streamOptimized for transport, monolithicSparse,
//! flat extents with a text descriptor, and children that hold what differs from a
//! parent.

mod deflate;
mod descriptor;
mod disk;
mod error;
mod flat_disk;
mod grains;
mod header;
mod sparse_disk;
mod stream_reader;
mod stream_writer;

pub use deflate::Level;
pub use descriptor::{Access, CreateType, Descriptor, Extent, ExtentKind};
pub use disk::{Disk, read_descriptor};
pub use error::Error;
pub use flat_disk::FlatDisk;
pub use sparse_disk::{ChildForm, Replacement, SparseDisk};
pub use stream_reader::StreamReader;
pub use stream_writer::{StreamOptions, StreamWriter};

/// Unit of all offsets in the formats.
pub const SECTOR: u64 = 512;
/// Bytes of a grain: the unit in which sparse extents are allocated.
pub const GRAIN: u64 = 64 << 10;
/// Grains of one grain table.
pub(crate) const TABLE_ENTRIES: u64 = 512;
/// A content identifier that says that there is no parent.
pub const NO_PARENT: u32 = u32::MAX;
