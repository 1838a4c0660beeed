//! Converts container layers to disks: tar layers to ext4 to VMDK, and back.
//!
//! The disk depends only on the layers and the options: the same input produces the same bytes. No
//! Linux, mounts, loop devices or privileges are needed.
//!
//! ```no_run
//! use std::sync::Arc;
//!
//! use disk_image::{FileLayer, FsOptions, LayerDigests, Limits, Merge, Monitor, StreamOptions};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let monitor = Monitor::new();
//! let mut merge = Merge::new(Limits::default());
//! let diff_id = "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
//! let digests = LayerDigests::none().diff_id(diff_id.parse()?);
//! let layer = Arc::new(FileLayer::new("layer.tar.gz"));
//! merge.layer(layer, digests, &monitor)?;
//!
//! // All sizes are known here, before anything is written.
//! let plan = merge.plan(&FsOptions::new(8 << 30, uuid::Uuid::from_u128(1)).label("container"))?;
//! let file = std::fs::File::create("disk.vmdk")?;
//! plan.write_stream_optimized(file, &StreamOptions::new(), &monitor)?;
//! # Ok(())
//! # }
//! ```
//!
//! # Overview
//!
//! - [`Merge`] reads layers (tar, gzip, zstd) and merges them by the rules of the OCI image
//!   specification. [`Merge::plan`] lays the tree out as ext4; [`Merge::unpack`] unpacks it
//!   into a directory.
//! - [`Plan`] writes the disk: raw, as a streamOptimized VMDK, or into any [`Sink`].
//! - [`vmdk`] supports virtual disks in all formats: [`vmdk::Disk`] reads one with its parents,
//!   [`vmdk::StreamReader`] reads an upload, [`vmdk::SparseDisk`] and [`vmdk::FlatDisk`] can be
//!   written, and [`copy`] copies one into another.
//! - [`ext4::Reader`] reads file systems written by a kernel, [`ext4::Changes`] compares two.
//! - A [`Monitor`] reports progress and cancels. All functions block: async callers use a
//!   blocking thread.
//!
//! # Limits
//!
//! The file system has blocks of 4 KiB, 64-bit block numbers, metadata checksums and a
//! journal. Extended attributes of one file must fit into its inode and one block.
//! Times are clamped to the years 1901 to 2446. Growing the file system with a kernel is not
//! tested, so create it as large as it may ever need to be: free space costs nothing. The reader
//! refuses a file system whose journal has to be replayed. The streams are tested with QEMU, but
//! not with an ESXi host.
//!
//! # Hostile archives
//!
//! `tests/it/hostile.rs` verifies this table. The behaviour of umoci 0.4.7 was observed by
//! unpacking the same archives with it; "inside" means resolved inside the tree.
//!
//! | archive | this crate | umoci |
//! | --- | --- | --- |
//! | path with `..` out of the tree | refused | created inside |
//! | `a/../b`, `/abs` | `b`, `abs` | the same |
//! | symbolic link out of the tree as a parent | inside | inside |
//! | dangling symbolic link as a parent | its target is created inside | the same |
//! | loop of symbolic links as a parent | refused | refused |
//! | file of the same layer as a parent | refused | refused |
//! | file of a lower layer as a parent | hidden by the directory | not tried |
//! | hard link out of the tree, to nothing, itself, a directory | refused | refused |
//! | name of 256 bytes, NUL in a name | refused | refused |
//! | target of a symbolic link of 5,000 bytes | an error when planning a disk | refused |
//! | empty target of a symbolic link | refused | refused |
//! | `.wh.` | refused | refused |
//! | `.wh...` | refused | accepted |
//! | opaque root | hides lower layers | accepted |
//! | file as the root, with a trailing slash in its name | treated as the directory | refused |
//! | link as the root | refused | refused |
//! | truncated, wrong checksum, sizes of 2^62 and more | refused | refused |
//! | time that is not a number | the header's time, with a [`MergeNote`] | refused |
//! | attribute of an unknown namespace | skipped with a [`MergeNote`] | skipped |
//! | attribute of 60,000 bytes | an error when planning a disk | refused by the file system |
//! | sparse map that overlaps, GNU.sparse of an unknown version | refused | refused (the first) |
//! | entry of an unknown type | refused | refused |
//! | directory with data | refused | not tried |
//! | parent through a symbolic link of more than 4,095 bytes | refused | not tried |
//! | 5,000 nested directories | created | not tried |
//! | more than a limit of [`Limits`] | refused | has no limits |
//!
//! The fuzz targets in `fuzz/` ran with overflow checks on 2026-11-26, on two busy cores and for
//! less than the intended hour each: `merge` for 386,000 executions in 23 minutes of processor time
//! without a finding; `vmdk` for 428,000 executions in 74 seconds and `descriptor` for 12,000
//! executions in one second, until they found an overflow and a lost line, which are fixed. `ext4`
//! has not run.
//!
//! # Features
//!
//! - `command`: the command `disk-image`, which creates, converts, checks, lists, extracts
//!   and compares disks.

mod archive;
mod block;
mod digest;
mod error;
pub mod ext4;
mod layer;
mod le;
mod limits;
mod merge;
#[cfg(unix)]
mod merge_unpack;
mod monitor;
mod ranges;
mod sink;
mod time;
mod tree;
#[cfg(unix)]
mod unpack;
pub mod vmdk;

pub use block::{BlockRead, RawDisk, copy};
pub use digest::{Digest, ParseDigestError};
pub use error::{Error, LayerError, LayerProblem};
pub use ext4::{FsOptions, Plan};
pub use layer::{FileLayer, LayerDigests, LayerSource};
pub use limits::{LimitKind, Limits};
pub use merge::{LayerSummary, Merge, MergeNote};
pub use monitor::Monitor;
pub use sink::{RawFile, Sink};
pub use time::Timestamp;
pub use tree::Xattr;
#[cfg(unix)]
pub use unpack::{Refused, RefusedKind, UnpackOptions, Unpacked};
pub use vmdk::{CompressionLevel, StreamOptions};
