//! Archives: copying a container's files in and out, as tar streams.

use async_trait::async_trait;
use bytes::Bytes;
use futures_core::stream::BoxStream;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{ContainerId, Result};

/// An uncompressed tar stream. An error item is always the last item.
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

    /// Unpacks a tar stream into an existing directory. If an entry fails, the entries before it
    /// stay unpacked.
    ///
    /// # Errors
    /// - [`NotFound`](crate::ErrorKind::NotFound) for the container or the directory.
    /// - [`InvalidArgument`](crate::ErrorKind::InvalidArgument) naming the refused entry.
    /// - [`Exhausted`](crate::ErrorKind::Exhausted) if there is no space left.
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

/// A difference between a container's files and those of its image.
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
    /// The size of the file's content in bytes.
    pub size: u64,
    /// The type and the permissions of the file, encoded like Linux's `st_mode`.
    pub mode: u32,
    /// The time of the last change of the file's content.
    pub modified: Timestamp,
    /// The target, if the file is a symbolic link.
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
