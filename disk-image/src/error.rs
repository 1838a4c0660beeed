//! What can go wrong, with the layer, the entry and the offset where it did.

use std::fmt;
use std::io;
use std::path::PathBuf;

use crate::limits::LimitKind;
use crate::{Digest, ext4, vmdk};

/// Why a disk could not be made, read or unpacked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A layer is damaged, hostile, or could not be read.
    #[error("cannot read layer {layer}")]
    Layer {
        /// Position of the layer, the lowest is 0.
        layer: usize,
        /// Where in the layer, and what is wrong with it.
        #[source]
        source: Box<LayerError>,
    },
    /// The content does not fit into the disk that was asked for.
    #[error("the content needs a disk of {needed} bytes and the disk has {size}")]
    DiskTooSmall {
        /// Size that was asked for, in bytes.
        size: u64,
        /// Smallest size that holds the content with the same options, in bytes.
        needed: u64,
    },
    /// The content cannot be expressed in the file system, whatever its size.
    #[error("cannot store {} in ext4: {reason}", Name(path))]
    Unstorable {
        /// Path in the merged tree.
        path: Box<[u8]>,
        /// Which limit of the file system it passes.
        reason: &'static str,
    },
    /// An option has a value that cannot be used.
    #[error("cannot use the options: {0}")]
    Options(&'static str),
    /// The operation was cancelled through its [`Monitor`](crate::Monitor).
    #[error("cancelled")]
    Cancelled,
    /// What we write to refused to take more.
    #[error("cannot write the image")]
    Write(#[source] io::Error),
    /// A file could not be unpacked into the directory.
    #[error("cannot unpack to {}", path.display())]
    Unpack {
        /// The file that was to be made.
        path: PathBuf,
        /// What the operating system answered.
        #[source]
        source: io::Error,
    },
    /// An ext4 file system could not be read.
    #[error("cannot read the file system")]
    Ext4(#[source] ext4::Error),
    /// A virtual disk could not be read or made.
    #[error("cannot use the virtual disk")]
    Vmdk(#[source] vmdk::Error),
}

impl From<ext4::Error> for Error {
    fn from(error: ext4::Error) -> Self {
        Self::Ext4(error)
    }
}

impl From<vmdk::Error> for Error {
    fn from(error: vmdk::Error) -> Self {
        Self::Vmdk(error)
    }
}

/// Where in a layer something is wrong, and what.
#[derive(Debug)]
pub struct LayerError {
    pub(crate) entry: Option<Box<[u8]>>,
    pub(crate) offset: u64,
    pub(crate) problem: LayerProblem,
}

impl LayerError {
    /// Name of the entry as the layer has it, if the problem is with one.
    pub fn entry(&self) -> Option<&[u8]> {
        self.entry.as_deref()
    }

    /// Offset in bytes in the unpacked layer at which reading stopped.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// What is wrong.
    pub fn problem(&self) -> &LayerProblem {
        &self.problem
    }
}

impl fmt::Display for LayerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(entry) = &self.entry {
            write!(f, "entry {} ", Name(entry))?;
        }
        write!(f, "at byte {}", self.offset)
    }
}

impl std::error::Error for LayerError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.problem)
    }
}

/// What is wrong with a layer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LayerProblem {
    /// The source failed, or its compression is damaged.
    #[error("the source failed")]
    Read(#[source] io::Error),
    /// The layer ends in the middle of an entry.
    #[error("the layer ends in the middle of an entry")]
    Truncated,
    /// A tar header or an extension of it makes no sense.
    #[error("the tar {0} is malformed")]
    Malformed(&'static str),
    /// The layer uses something that this crate does not read.
    #[error("{0} cannot be read")]
    Unsupported(&'static str),
    /// The path or the link target of the entry leaves the tree.
    #[error("the path leaves the tree")]
    Escapes,
    /// A name that no file system can store.
    #[error("the name {0}")]
    Name(&'static str),
    /// The parent of the entry leads through too many symbolic links.
    #[error("the path leads through too many symbolic links")]
    LinkLoop,
    /// The parent of the entry exists and is not a directory.
    #[error("the parent is not a directory")]
    ParentNotDirectory,
    /// The target of a hard link cannot be linked to.
    #[error("the target of the hard link {0}")]
    HardLink(&'static str),
    /// The layer exceeds one of the [`Limits`](crate::Limits).
    #[error("more than {limit} {kind}")]
    Limit {
        /// Which limit.
        kind: LimitKind,
        /// Its value.
        limit: u64,
    },
    /// The bytes are not those that the digest names.
    #[error("the {what} is {found} and should be {expected}")]
    WrongDigest {
        /// Which digest: that of the blob or that of its unpacked form.
        what: &'static str,
        /// What the caller expected.
        expected: Box<Digest>,
        /// What was read.
        found: Box<Digest>,
    },
    /// The source returned something else when it was read for the second time.
    #[error("the source changed between two reads")]
    Changed,
}

/// Shows bytes that are usually text.
pub(crate) struct Name<'a>(pub(crate) &'a [u8]);

impl fmt::Display for Name<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN: usize = 200;
        let (shown, rest) = self.0.split_at(self.0.len().min(SHOWN));
        write!(f, "\"{}", shown.escape_ascii())?;
        f.write_str(if rest.is_empty() { "\"" } else { "...\"" })
    }
}
