//! Why an OVA cannot be imported.

use std::fmt;

/// A problem of an OVA, and where it is.
#[derive(Debug)]
#[non_exhaustive]
pub struct ArchiveError {
    /// The name of the entry, if the problem is within one.
    pub entry: Option<Box<str>>,
    /// The position in the archive in bytes: where an entry begins that is not as it must be, or
    /// where reading ended.
    pub offset: u64,
    /// What is wrong.
    pub problem: ArchiveProblem,
}

/// What is wrong with an OVA.
#[derive(Debug)]
#[non_exhaustive]
pub enum ArchiveProblem {
    /// The archive ends too early.
    Truncated,
    /// It is not a tar archive, or one of its headers is damaged.
    Malformed(&'static str),
    /// The entry is a link or a device.
    NotAFile,
    /// The archive does not begin with the descriptor, or the manifest is before it.
    OutOfOrder,
    /// A file is in the archive twice.
    Duplicate,
    /// A file that the descriptor or the manifest lists is not in the archive.
    Missing,
    /// The descriptor or the manifest is too long.
    TooLong {
        /// The allowed number of bytes.
        limit: u64,
    },
    /// The descriptor is not UTF-8, or a line of the manifest is malformed.
    Unreadable,
    /// The length of a file is not the one in the descriptor.
    Length {
        /// The length in the descriptor.
        expected: u64,
        /// The length in the archive.
        found: u64,
    },
    /// The digest of a file is not the one in the manifest: its content was changed or damaged.
    Digest {
        /// The digest in the manifest.
        expected: Box<str>,
        /// The digest of the content.
        found: Box<str>,
    },
    /// The archive has no manifest, although one is [required](super::OvfImport::require_manifest),
    /// or the manifest does not list the file.
    NotInManifest,
    /// The file is compressed or split, which cannot be streamed to a lease.
    Unsupported(&'static str),
    /// Reading the archive failed.
    Source(std::io::Error),
}

impl fmt::Display for ArchiveError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.entry {
            Some(entry) => write!(f, "entry {entry:?} at offset {}: ", self.offset)?,
            None => write!(f, "at offset {}: ", self.offset)?,
        }
        self.problem.fmt(f)
    }
}

impl fmt::Display for ArchiveProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Truncated => f.write_str("the archive ends too early; was it copied completely?"),
            Self::Malformed(what) => f.write_str(what),
            Self::NotAFile => f.write_str("it is not a regular file"),
            Self::OutOfOrder => f.write_str(
                "an OVA must begin with its descriptor (.ovf); repack it with the descriptor first",
            ),
            Self::Duplicate => f.write_str("the archive contains the file twice"),
            Self::Missing => f.write_str("the archive does not contain the file"),
            Self::TooLong { limit } => write!(f, "it is longer than {limit} bytes"),
            Self::Unreadable => f.write_str("its text cannot be read"),
            Self::Length { expected, found } => write!(
                f,
                "it has {found} bytes, but the descriptor says {expected}"
            ),
            Self::Digest { expected, found } => write!(
                f,
                "the content was changed: its digest is {found}, the manifest says {expected}"
            ),
            Self::NotInManifest => f.write_str("no manifest vouches for it"),
            Self::Unsupported(what) => f.write_str(what),
            Self::Source(_) => f.write_str("the archive cannot be read"),
        }
    }
}

impl std::error::Error for ArchiveError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.problem {
            ArchiveProblem::Source(error) => Some(error),
            _ => None,
        }
    }
}
