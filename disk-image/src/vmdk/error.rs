//! Errors of virtual disks.

use std::io;
use std::path::PathBuf;

/// The reason why a virtual disk cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The file is not a virtual disk of a supported format.
    #[error("unsupported virtual disk: {0}")]
    Unsupported(&'static str),
    /// A header, table or marker is invalid or missing.
    #[error("the virtual disk is damaged: {what} at byte {offset}")]
    Damaged {
        /// The damaged structure.
        what: &'static str,
        /// The byte offset in the file.
        offset: u64,
    },
    /// The text descriptor is invalid.
    #[error("invalid {}: {reason}", descriptor_line(*line))]
    Descriptor {
        /// The line number, from 1; 0 if the error concerns the descriptor as a whole.
        line: usize,
        /// What is wrong.
        reason: &'static str,
    },
    /// The parent was changed after the child was created.
    #[error(
        "the parent was changed: its content id is {found:08x}, but the child expects {expected:08x}"
    )]
    ParentChanged {
        /// The content id that the child expects.
        expected: u32,
        /// The content id of the parent.
        found: u32,
    },
    /// The chain of parents has more disks than this limit, or contains a cycle.
    #[error("the chain of parents has more than {0} disks, or a cycle")]
    ChainTooLong(usize),
    /// The disk refers to this file, which is outside of the directory given to
    /// [`Disk::open_within`](super::Disk::open_within), or is not the file given to
    /// [`Disk::from_file`](super::Disk::from_file).
    #[error("the disk refers to {}, which it may not use", .0.display())]
    Outside(PathBuf),
    /// The disk cannot be created with these options.
    #[error("cannot create the disk: {0}")]
    Options(&'static str),
    /// A read or write beyond the end of the disk.
    #[error("{len} bytes from {offset} are beyond the end of the disk")]
    OutOfRange {
        /// The first byte.
        offset: u64,
        /// The number of bytes.
        len: u64,
    },
    /// An operation on a file failed.
    #[error("cannot {action} {}", path.display())]
    File {
        /// The attempted operation.
        action: &'static str,
        /// The path of the file; empty for a stream from the caller.
        path: PathBuf,
        /// The underlying error.
        #[source]
        source: io::Error,
    },
    /// A stream could not be read.
    #[error("cannot read the stream at byte {offset}")]
    Read {
        /// The byte offset.
        offset: u64,
        /// The underlying error.
        #[source]
        source: io::Error,
    },
}

fn descriptor_line(line: usize) -> String {
    match line {
        0 => "descriptor".to_owned(),
        line => format!("line {line} of the descriptor"),
    }
}
