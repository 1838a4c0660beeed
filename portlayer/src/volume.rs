//! Volumes: disks that outlive the containers that mount them.

use std::collections::BTreeMap;

use async_trait::async_trait;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{ContainerId, Result};

/// The volumes of one virtual container host.
///
/// # What every implementation keeps
/// - A volume's content survives the containers that mount it, and their removal.
/// - Dropping a future is safe; a dropped `create` may leave the volume created.
#[async_trait]
pub trait Volumes: std::fmt::Debug + Send + Sync + 'static {
    /// Makes an empty, formatted volume.
    ///
    /// # Errors
    /// - [`InvalidArgument`](crate::ErrorKind::InvalidArgument) naming the field.
    /// - [`AlreadyExists`](crate::ErrorKind::AlreadyExists) for a second volume of one name.
    /// - [`Exhausted`](crate::ErrorKind::Exhausted) without space.
    async fn create(&self, spec: VolumeSpec) -> Result<VolumeInfo>;

    /// Returns the description of one volume.
    ///
    /// # Errors
    /// [`NotFound`](crate::ErrorKind::NotFound).
    async fn inspect(&self, name: &str) -> Result<VolumeInfo>;

    /// Returns all volumes, sorted by name.
    ///
    /// # Errors
    /// Only those that concern the whole back end.
    async fn list(&self) -> Result<Vec<VolumeInfo>>;

    /// Removes a volume with its content.
    ///
    /// # Errors
    /// - [`NotFound`](crate::ErrorKind::NotFound).
    /// - [`InUse`](crate::ErrorKind::InUse) naming the containers that mount it.
    async fn remove(&self, name: &str) -> Result<()>;
}

/// A volume as it is asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct VolumeSpec {
    /// Its name: 1 to 64 letters, digits, `_`, `.` and `-`, the first a letter or a digit.
    pub name: String,
    /// Its capacity in bytes. `None`: the back end's default.
    #[serde(default)]
    pub capacity: Option<u64>,
    /// Where it is kept, by a name that the host's installation defined. `None`: the default.
    #[serde(default)]
    pub store: Option<String>,
    /// Labels.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
}

impl VolumeSpec {
    /// A volume of this name with the back end's defaults.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            capacity: None,
            store: None,
            labels: BTreeMap::new(),
        }
    }

    /// Its capacity in bytes.
    #[must_use]
    pub fn capacity(mut self, bytes: u64) -> Self {
        self.capacity = Some(bytes);
        self
    }

    /// Where it is kept.
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

/// A volume as the back end has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct VolumeInfo {
    /// What it was made from.
    pub spec: VolumeSpec,
    /// When it was made, if the back end recorded that.
    pub created: Option<Timestamp>,
    /// The containers that mount it.
    pub users: Vec<ContainerId>,
}

impl VolumeInfo {
    /// A volume made from this specification.
    #[must_use]
    pub fn new(spec: VolumeSpec) -> Self {
        Self {
            spec,
            created: None,
            users: Vec::new(),
        }
    }
}

/// Something mounted into a container's file system.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Mount {
    /// What is mounted.
    pub source: MountSource,
    /// The absolute path in the container.
    pub target: String,
    /// Whether the container may only read it.
    #[serde(default)]
    pub read_only: bool,
}

/// What a [`Mount`] mounts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum MountSource {
    /// The volume of this name.
    Volume(String),
    /// Memory of at most this many bytes; `None`: half of the machine's memory.
    Memory(Option<u64>),
}

impl Mount {
    /// Mounts this at an absolute path, writable.
    pub fn new(source: MountSource, target: impl Into<String>) -> Self {
        Self {
            source,
            target: target.into(),
            read_only: false,
        }
    }

    /// Mounts it so that the container may only read it.
    #[must_use]
    pub fn read_only(mut self) -> Self {
        self.read_only = true;
        self
    }
}
