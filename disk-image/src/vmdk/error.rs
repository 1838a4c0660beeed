//! Errors of virtual disks.

use std::io;
use std::path::PathBuf;

/// The reason why a virtual disk cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The file is not a virtual disk of a supported format.
    #[error("the file is not a supported virtual disk: {0}")]
    Unsupported(&'static str),
    /// A header, table or marker contradicts itself or the file.
    #[error("the virtual disk is damaged: its {what} at byte {offset}")]
    Damaged {
        /// The damaged structure.
        what: &'static str,
        /// The byte offset in the file.
        offset: u64,
    },
    /// The text descriptor is invalid.
    #[error("line {line} of the descriptor {reason}")]
    Descriptor {
        /// The line number, from 1; 0: the descriptor as a whole.
        line: usize,
        /// What is wrong.
        reason: &'static str,
    },
    /// The parent was changed after the child was created.
    #[error("the parent has the content id {found:08x}, the child expects {expected:08x}")]
    ParentChanged {
        /// The content id that the child expects.
        expected: u32,
        /// The content id of the parent.
        found: u32,
    },
    /// The chain of parents is too long, or contains a cycle.
    #[error("more than {0} disks in a chain of parents")]
    ChainTooLong(usize),
    /// The disk refers to a file outside of the directory it was confined to.
    #[error("the disk refers to {}, outside of its directory", .0.display())]
    Outside(PathBuf),
    /// The options are invalid.
    #[error("cannot create the disk: {0}")]
    Options(&'static str),
    /// A read beyond the end of the disk.
    #[error("{len} bytes from {offset} are beyond the end of the disk")]
    OutOfRange {
        /// The first byte.
        offset: u64,
        /// The number of bytes.
        len: u64,
    },
    /// A file could not be opened, read or written.
    #[error("cannot {action} {}", path.display())]
    File {
        /// The attempted operation.
        action: &'static str,
        /// The path of the file; empty for a stream from the caller.
        path: PathBuf,
        /// The error of the operating system.
        #[source]
        source: io::Error,
    },
    /// A stream could not be read.
    #[error("cannot read the stream at byte {offset}")]
    Read {
        /// The byte offset.
        offset: u64,
        /// The cause.
        #[source]
        source: io::Error,
    },
}
