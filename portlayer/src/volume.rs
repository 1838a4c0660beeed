//! Volumes: disks that outlive the containers that mount them.

use std::collections::BTreeMap;

use async_trait::async_trait;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{ContainerId, Result};

/// The volumes of one virtual container host.
///
/// # Guarantees
/// - A volume's content survives the containers that mount it, and their removal.
/// - Dropping a future is safe; a dropped `create` may leave the volume created.
#[async_trait]
pub trait Volumes: std::fmt::Debug + Send + Sync + 'static {
    /// Creates an empty, formatted volume.
    ///
    /// # Errors
    /// - [`InvalidArgument`](crate::ErrorKind::InvalidArgument) naming the invalid field.
    /// - [`AlreadyExists`](crate::ErrorKind::AlreadyExists) if a volume has this name.
    /// - [`Exhausted`](crate::ErrorKind::Exhausted) if there is no space left.
    async fn create(&self, spec: VolumeSpec) -> Result<VolumeInfo>;

    /// Returns the description of one volume.
    ///
    /// # Errors
    /// [`NotFound`](crate::ErrorKind::NotFound).
    async fn inspect(&self, name: &str) -> Result<VolumeInfo>;

    /// Returns all volumes, sorted by name.
    ///
    /// # Errors
    /// Returns only errors that affect the whole back end.
    async fn list(&self) -> Result<Vec<VolumeInfo>>;

    /// Removes a volume with its content.
    ///
    /// # Errors
    /// - [`NotFound`](crate::ErrorKind::NotFound).
    /// - [`InUse`](crate::ErrorKind::InUse) naming the containers that mount it.
    async fn remove(&self, name: &str) -> Result<()>;
}

/// The specification of a volume.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct VolumeSpec {
    /// The name: 1 to 64 letters, digits, `_`, `.` and `-`, the first a letter or a digit.
    pub name: String,
    /// The capacity in bytes. `None`: the back end's default.
    #[serde(default)]
    pub capacity: Option<u64>,
    /// The name of the volume store, which was defined at the host's installation. `None`: the
    /// default store.
    #[serde(default)]
    pub store: Option<String>,
    /// The labels of the volume.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
}

impl VolumeSpec {
    /// Creates a specification with this name and the back end's defaults.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            capacity: None,
            store: None,
            labels: BTreeMap::new(),
        }
    }

    /// Sets the capacity in bytes.
    #[must_use]
    pub fn capacity(mut self, bytes: u64) -> Self {
        self.capacity = Some(bytes);
        self
    }

    /// Sets the volume store.
    #[must_use]
    pub fn store(mut self, name: impl Into<String>) -> Self {
        self.store = Some(name.into());
        self
    }

    /// Adds a label.
    #[must_use]
    pub fn label(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.labels.insert(name.into(), value.into());
        self
    }
}

/// The description of a volume.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct VolumeInfo {
    /// The specification that the volume was created from.
    pub spec: VolumeSpec,
    /// The time of creation, if the back end recorded it.
    pub created: Option<Timestamp>,
    /// The containers that mount the volume.
    pub users: Vec<ContainerId>,
}

impl VolumeInfo {
    /// Creates the description of a volume with this specification.
    #[must_use]
    pub fn new(spec: VolumeSpec) -> Self {
        Self {
            spec,
            created: None,
            users: Vec::new(),
        }
    }
}

/// A mount in a container's file system.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Mount {
    /// What is mounted.
    pub source: MountSource,
    /// The absolute path of the mount in the container.
    pub target: String,
    /// Whether the mount is read-only for the container.
    #[serde(default)]
    pub read_only: bool,
}

/// The source of a [`Mount`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum MountSource {
    /// The volume with this name.
    Volume(String),
    /// A file system in memory with at most this many bytes. `None`: half of the machine's memory.
    Memory(Option<u64>),
}

impl Mount {
    /// Creates a writable mount of a source at an absolute path.
    pub fn new(source: MountSource, target: impl Into<String>) -> Self {
        Self {
            source,
            target: target.into(),
            read_only: false,
        }
    }

    /// Makes the mount read-only.
    #[must_use]
    pub fn read_only(mut self) -> Self {
        self.read_only = true;
        self
    }
}
