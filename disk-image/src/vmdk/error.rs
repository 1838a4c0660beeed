//! Why a virtual disk cannot be used.

use std::io;
use std::path::PathBuf;

/// Why a virtual disk cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The file is no virtual disk of a form that is known here.
    #[error("the file is no virtual disk that can be read: {0}")]
    Unsupported(&'static str),
    /// A header, table or marker contradicts itself or the file.
    #[error("the virtual disk is damaged: its {what} at byte {offset}")]
    Damaged {
        /// Which structure.
        what: &'static str,
        /// Where in the file.
        offset: u64,
    },
    /// The text descriptor makes no sense.
    #[error("line {line} of the descriptor {reason}")]
    Descriptor {
        /// Counted from 1; 0: the descriptor as a whole.
        line: usize,
        /// What is wrong.
        reason: &'static str,
    },
    /// The parent has changed since the child was made of it.
    #[error("the parent has the content id {found:08x} and the child was made of {expected:08x}")]
    ParentChanged {
        /// What the child expects.
        expected: u32,
        /// What the parent has.
        found: u32,
    },
    /// The chain of parents is too long, or leads back to itself.
    #[error("more than {0} disks in a chain of parents")]
    ChainTooLong(usize),
    /// The disk names a file outside of the directory it was confined to.
    #[error("the disk refers to {}, outside of its directory", .0.display())]
    Outside(PathBuf),
    /// The options make no disk.
    #[error("cannot make such a disk: {0}")]
    Options(&'static str),
    /// A part of the disk was to be read that it does not have.
    #[error("{len} bytes from {offset} are beyond the end of the disk")]
    OutOfRange {
        /// First byte.
        offset: u64,
        /// Number of bytes.
        len: u64,
    },
    /// A file could not be opened, read or written.
    #[error("cannot {action} {}", path.display())]
    File {
        /// What was tried.
        action: &'static str,
        /// Which file; empty: a stream that was handed in.
        path: PathBuf,
        /// What the operating system answered.
        #[source]
        source: io::Error,
    },
    /// A stream could not be read.
    #[error("cannot read the stream at byte {offset}")]
    Read {
        /// Where.
        offset: u64,
        /// Why.
        #[source]
        source: io::Error,
    },
}
