//! Archives: copying a container's files in and out, as tar streams.

use async_trait::async_trait;
use bytes::Bytes;
use futures_core::stream::BoxStream;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{ContainerId, Result};

/// A tar stream, uncompressed. After an error item it ends.
pub type TarStream = BoxStream<'static, Result<Bytes>>;

/// Access to the files of the containers on one virtual container host.
///
/// Paths are absolute within the container; symbolic links are resolved inside its file system
/// and never lead out of it.
#[async_trait]
pub trait Archive: std::fmt::Debug + Send + Sync + 'static {
    /// Returns a path, with everything below it, as a tar stream.
    ///
    /// # Errors
    /// [`NotFound`](crate::ErrorKind::NotFound) for the container or the path.
    async fn export(&self, id: &ContainerId, path: &str) -> Result<TarStream>;

    /// Unpacks a tar stream below a directory that exists. Entries before the one that fails
    /// stay unpacked.
    ///
    /// # Errors
    /// - [`NotFound`](crate::ErrorKind::NotFound) for the container or the directory.
    /// - [`InvalidArgument`](crate::ErrorKind::InvalidArgument) naming the entry that is refused.
    /// - [`Exhausted`](crate::ErrorKind::Exhausted) without space.
    async fn import(&self, id: &ContainerId, path: &str, tar: TarStream) -> Result<()>;

    /// Returns the differences from the container's image, sorted by path.
    ///
    /// # Errors
    /// [`NotFound`](crate::ErrorKind::NotFound).
    async fn diff(&self, id: &ContainerId) -> Result<Vec<Change>>;

    /// Returns the metadata of a path, without following a symbolic link.
    ///
    /// # Errors
    /// [`NotFound`](crate::ErrorKind::NotFound) for the container or the path.
    async fn stat(&self, id: &ContainerId, path: &str) -> Result<FileStat>;
}

/// A difference between a container's files and its image's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Change {
    /// The path of the file.
    pub path: String,
    /// The kind of the difference.
    pub kind: ChangeKind,
}

impl Change {
    /// Creates a change of a path.
    pub fn new(path: impl Into<String>, kind: ChangeKind) -> Self {
        Self {
            path: path.into(),
            kind,
        }
    }
}

/// The kind of a difference.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ChangeKind {
    /// The path is not in the image.
    Added,
    /// The path differs from the image.
    Modified,
    /// The path is only in the image.
    Deleted,
}

/// The metadata of a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct FileStat {
    /// The last component of the path.
    pub name: String,
    /// The size of its content in bytes.
    pub size: u64,
    /// Type and permissions, as in `st_mode` of Linux.
    pub mode: u32,
    /// The time of the last change of its content.
    pub modified: Timestamp,
    /// The target of a symbolic link.
    pub link_target: Option<String>,
}

impl FileStat {
    /// Creates the metadata of a file with this name, size, mode and time.
    pub fn new(name: impl Into<String>, size: u64, mode: u32, modified: Timestamp) -> Self {
        Self {
            name: name.into(),
            size,
            mode,
            modified,
            link_target: None,
        }
    }
}
