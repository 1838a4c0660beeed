//! Errors, with the layer, entry and offset where they occurred.

use std::fmt;
use std::io;
use std::path::PathBuf;

use crate::limits::LimitKind;
use crate::{Digest, ext4, vmdk};

/// The reason why a disk could not be created, read or unpacked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A layer is damaged, hostile, or could not be read.
    #[error("cannot read layer {layer}")]
    Layer {
        /// The position of the layer; the lowest is 0.
        layer: usize,
        /// The position in the layer, and the problem.
        #[source]
        source: Box<LayerError>,
    },
    /// An earlier layer could not be merged, so the tree is incomplete.
    #[error("a layer could not be merged, so the merge is incomplete and has to be repeated")]
    IncompleteMerge,
    /// The content does not fit into a disk of the requested size.
    #[error("the content needs a disk of {needed} bytes, the disk has {size}")]
    DiskTooSmall {
        /// The requested size in bytes.
        size: u64,
        /// The smallest size in bytes that fits the content with the same options.
        needed: u64,
    },
    /// The content cannot be stored in a file system of any size.
    #[error("cannot store {} in ext4: {reason}", Name(path))]
    Unstorable {
        /// The path in the merged tree.
        path: Box<[u8]>,
        /// The exceeded limit of the file system.
        reason: &'static str,
    },
    /// An option has an invalid value.
    #[error("cannot use the options: {0}")]
    Options(&'static str),
    /// The operation was cancelled through its [`Monitor`](crate::Monitor).
    #[error("cancelled")]
    Cancelled,
    /// Writing the output failed.
    #[error("cannot write the image")]
    Write(#[source] io::Error),
    /// A file could not be unpacked into the directory.
    #[error("cannot unpack to {}", path.display())]
    Unpack {
        /// The file to create.
        path: PathBuf,
        /// The error of the operating system.
        #[source]
        source: io::Error,
    },
    /// An ext4 file system could not be read.
    #[error("cannot read the file system")]
    Ext4(#[source] ext4::Error),
    /// A virtual disk could not be read or created.
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

/// A problem in a layer, and its position.
#[derive(Debug)]
pub struct LayerError {
    pub(crate) entry: Option<Box<[u8]>>,
    pub(crate) offset: u64,
    pub(crate) problem: LayerProblem,
}

impl LayerError {
    /// Returns the error of an operation on the layer at this position.
    pub(crate) fn of_layer(self: Box<Self>, layer: usize) -> Error {
        let is_cancelled = |error: &io::Error| {
            let inner = error.get_ref().and_then(|inner| inner.downcast_ref());
            matches!(inner, Some(Error::Cancelled))
        };
        match &self.problem {
            LayerProblem::Read(error) if is_cancelled(error) => Error::Cancelled,
            _ => Error::Layer {
                layer,
                source: self,
            },
        }
    }

    /// Returns the verbatim name of the entry, if the problem concerns one.
    pub fn entry(&self) -> Option<&[u8]> {
        self.entry.as_deref()
    }

    /// Returns the byte offset in the unpacked layer at which reading stopped.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// Returns the problem.
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

/// The problem in a layer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LayerProblem {
    /// The source failed, or its compression is damaged.
    #[error("the source failed")]
    Read(#[source] io::Error),
    /// A temporary file of [`Merge::spool`](crate::Merge::spool) cannot be created, written or read.
    #[error("the temporary file for the unpacked layer failed")]
    Spool(#[source] io::Error),
    /// The layer ends in the middle of an entry.
    #[error("the layer ends in the middle of an entry")]
    Truncated,
    /// A tar header, or an extension of one, is invalid.
    #[error("malformed tar: {0}")]
    Malformed(&'static str),
    /// The layer uses an unsupported feature.
    #[error("{0} is not supported")]
    Unsupported(&'static str),
    /// The path or the link target of the entry leaves the tree.
    #[error("the path leaves the tree")]
    Escapes,
    /// A name that no file system can store.
    #[error("the name {0}")]
    Name(&'static str),
    /// The parent path of the entry contains too many symbolic links, or one whose target is longer
    /// than 4,095 bytes.
    #[error("the path leads through too many or too long symbolic links")]
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
        /// The limit that was exceeded.
        kind: LimitKind,
        /// The value of the limit.
        limit: u64,
    },
    /// The content does not match its digest.
    #[error("the {what} is {found} and should be {expected}")]
    WrongDigest {
        /// Which digest did not match: of the blob, or of its unpacked form.
        what: &'static str,
        /// The expected digest.
        expected: Box<Digest>,
        /// The actual digest.
        found: Box<Digest>,
    },
    /// The source returned different content when it was read for the second time.
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
