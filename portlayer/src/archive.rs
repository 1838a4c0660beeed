//! Archives: a container's files in and out, as tar streams.

use async_trait::async_trait;
use bytes::Bytes;
use futures_core::stream::BoxStream;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{ContainerId, Result};

/// A tar stream, uncompressed. An error item is the last.
pub type TarStream = BoxStream<'static, Result<Bytes>>;

/// The files of the containers of one virtual container host.
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

    /// Returns what differs from the container's image, sorted by path.
    ///
    /// # Errors
    /// [`NotFound`](crate::ErrorKind::NotFound).
    async fn diff(&self, id: &ContainerId) -> Result<Vec<Change>>;

    /// Returns what is at a path, without following a symbolic link there.
    ///
    /// # Errors
    /// [`NotFound`](crate::ErrorKind::NotFound) for the container or the path.
    async fn stat(&self, id: &ContainerId, path: &str) -> Result<FileStat>;
}

/// A difference between a container's files and its image's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Change {
    /// The path.
    pub path: String,
    /// What happened to it.
    pub kind: ChangeKind,
}

impl Change {
    /// This happened to this path.
    pub fn new(path: impl Into<String>, kind: ChangeKind) -> Self {
        Self {
            path: path.into(),
            kind,
        }
    }
}

/// What happened to a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ChangeKind {
    /// It is not in the image.
    Added,
    /// It is different from the image.
    Modified,
    /// It is only in the image.
    Deleted,
}

/// What is at a path.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct FileStat {
    /// The last part of the path.
    pub name: String,
    /// Bytes of its content.
    pub size: u64,
    /// Type and permissions, as `st_mode` of Linux has them.
    pub mode: u32,
    /// When its content was changed last.
    pub modified: Timestamp,
    /// Where a symbolic link points.
    pub link_target: Option<String>,
}

impl FileStat {
    /// A file of this name, size, mode and time.
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
