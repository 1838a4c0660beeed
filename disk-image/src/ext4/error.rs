//! Errors of reading an ext4 file system.

use std::io;

use crate::LimitKind;

/// The reason why an ext4 file system cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The disk does not start with an ext4 superblock.
    #[error("the disk contains no ext4 file system")]
    NotExt4,
    /// The file system uses an unsupported feature.
    #[error("the file system has the feature {0}, which is not supported")]
    Feature(&'static str),
    /// The file system was not unmounted cleanly: its journal has to be replayed first.
    #[error("the journal has to be replayed first, for example by mounting the file system")]
    NeedsRecovery,
    /// A structure contradicts itself or the rest of the file system.
    #[error("the {what} of inode {inode} is damaged")]
    Damaged {
        /// The number of the damaged inode; 0 stands for the file system as a whole.
        inode: u32,
        /// The damaged structure.
        what: &'static str,
    },
    /// Reading exceeds one of the [`Limits`](crate::Limits) of the reader.
    #[error("more than {limit} {kind}")]
    Limit {
        /// The limit that was exceeded.
        kind: LimitKind,
        /// The value of the limit.
        limit: u64,
    },
    /// The content of a directory, device or other special file was requested.
    #[error("inode {0} is not a regular file")]
    NotAFile(u32),
    /// An archive of something other than a directory was requested.
    #[error("inode {0} is not a directory")]
    NotADirectory(u32),
    /// A path does not exist.
    #[error("no such file: {0}")]
    NotFound(String),
    /// The disk could not be read.
    #[error("cannot read the disk at byte {offset}")]
    Read {
        /// The byte offset on the disk.
        offset: u64,
        /// The error of the operating system.
        #[source]
        source: io::Error,
    },
}
