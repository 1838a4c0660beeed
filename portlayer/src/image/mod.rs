//! Images: what a container's root file system starts from.
//!
//! An [`Image`] is the source: a configuration and ordered layers that can be opened. The trait
//! [`Images`] stores images where containers can use them; what it stores is described by
//! [`ImageInfo`]. Names and tags are the front end's business: the port layer knows an image by
//! its [`ImageId`], the digest of its configuration.

mod config;
mod digest;
mod progress;
mod source;

use std::collections::BTreeMap;

use async_trait::async_trait;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

pub use config::{History, ImageConfig, ParseImageConfigError, Process};
pub use digest::{ChainId, Digest, ImageId, ParseDigestError};
pub use progress::{ImportPhase, ImportProgress, ObserveImport};
pub use source::{Image, Layer, OpenLayer};

use crate::{ContainerId, Result};

/// The images of one virtual container host.
///
/// # What every implementation keeps
/// - **Verified or absent.** An image is listed only once every layer was read to its end and its
///   diff id compared. An import that failed, was dropped or was killed leaves nothing that
///   [`list`](Self::list) shows; [`prune`](Self::prune) removes what it left in the back end.
/// - **Idempotent.** Importing an image that is there already returns it without reading a layer.
///   Two concurrent imports of one image both succeed and store it once.
/// - **Shared.** Images with the same layers share one copy of them; containers share their
///   image's copy. Removing a container never removes or changes its image.
/// - **Dropping a future is safe.** A dropped import stops and is cleaned up in the background.
#[async_trait]
pub trait Images: std::fmt::Debug + Send + Sync + 'static {
    /// Stores an image and returns its description once containers can be created from it.
    ///
    /// Takes as long as the layers need to be read and written; progress is reported to
    /// `options`' observer. Layers are opened up to twice, on blocking threads.
    ///
    /// # Errors
    /// - [`InvalidArgument`](crate::ErrorKind::InvalidArgument) naming the layer whose content is
    ///   damaged, has another digest than declared, or exceeds a limit, or the configuration's
    ///   field that cannot be used.
    /// - [`Exhausted`](crate::ErrorKind::Exhausted) when there is no space, or no room for another
    ///   image.
    async fn import(&self, image: Image, options: ImportOptions) -> Result<ImageInfo>;

    /// Returns the description of one image.
    ///
    /// # Errors
    /// [`NotFound`](crate::ErrorKind::NotFound).
    async fn inspect(&self, id: &ImageId) -> Result<ImageInfo>;

    /// Returns all images, sorted by the time of their import and then by id, and those that
    /// cannot be read.
    ///
    /// # Errors
    /// Only those that concern the whole back end.
    async fn list(&self) -> Result<ImageListing>;

    /// Removes an image, and its layers unless another image shares them.
    ///
    /// # Errors
    /// - [`NotFound`](crate::ErrorKind::NotFound).
    /// - [`InUse`](crate::ErrorKind::InUse) naming the containers made from it.
    async fn remove(&self, id: &ImageId) -> Result<()>;

    /// Returns how much the images occupy and who uses them.
    ///
    /// # Errors
    /// Only those that concern the whole back end.
    async fn usage(&self) -> Result<ImageUsage>;

    /// Removes what interrupted imports left and no live writer is making. Complete images stay.
    /// Returns a description of each thing removed.
    ///
    /// # Errors
    /// Only those that concern the whole back end; what could not be removed is left for the next
    /// call.
    async fn prune(&self) -> Result<Vec<String>>;
}

/// How [`Images::import`] works.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct ImportOptions {
    /// The capacity of the root file system in bytes, the same for every container of the image.
    /// `None`: the back end's default (8 GiB), or more if the image needs it.
    pub capacity: Option<u64>,
    /// Receives the progress.
    pub observer: Option<std::sync::Arc<dyn ObserveImport>>,
    /// Bounds for hostile layers.
    pub limits: ImportLimits,
    /// Free text kept with the image, such as the reference it was pulled by.
    pub labels: BTreeMap<String, String>,
}

impl ImportOptions {
    /// The defaults.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The capacity of the root file system in bytes.
    #[must_use]
    pub fn capacity(mut self, bytes: u64) -> Self {
        self.capacity = Some(bytes);
        self
    }

    /// Reports progress to `observer`.
    #[must_use]
    pub fn observer(mut self, observer: impl ObserveImport) -> Self {
        self.observer = Some(std::sync::Arc::new(observer));
        self
    }

    /// Replaces the bounds for hostile layers.
    #[must_use]
    pub fn limits(mut self, limits: ImportLimits) -> Self {
        self.limits = limits;
        self
    }

    /// Keeps a label with the image.
    #[must_use]
    pub fn label(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.labels.insert(name.into(), value.into());
        self
    }
}

/// Bounds for the content of an image, all layers together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ImportLimits {
    /// Entries of the layers. Default: 5 million.
    pub entries: u64,
    /// Bytes after decompression. Default: 64 GiB.
    pub unpacked_bytes: u64,
    /// How many times larger a layer may be unpacked than packed. Default: 1,000.
    pub ratio: u32,
    /// Depth of the directories. Default: 4,096.
    pub depth: u32,
}

impl Default for ImportLimits {
    fn default() -> Self {
        Self {
            entries: 5_000_000,
            unpacked_bytes: 64 << 30,
            ratio: 1_000,
            depth: 4_096,
        }
    }
}

/// An image as the back end has it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ImageInfo {
    /// Its identity: the digest of its configuration.
    pub id: ImageId,
    /// Its configuration.
    pub config: ImageConfig,
    /// Bytes of its files after decompression, all layers together.
    pub size: u64,
    /// Capacity of the root file system in bytes.
    pub capacity: u64,
    /// When it was imported, if the back end recorded that.
    pub imported: Option<Timestamp>,
    /// The labels of its import.
    pub labels: BTreeMap<String, String>,
}

impl ImageInfo {
    /// An image of this configuration and size.
    #[must_use]
    pub fn new(config: ImageConfig, size: u64, capacity: u64) -> Self {
        Self {
            id: config.id(),
            config,
            size,
            capacity,
            imported: None,
            labels: BTreeMap::new(),
        }
    }
}

/// The images of a host.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ImageListing {
    /// Those that are complete.
    pub images: Vec<ImageInfo>,
    /// What looks like an image and cannot be read: a label for finding it, and the reason.
    pub quarantined: Vec<(String, String)>,
}

impl ImageListing {
    /// A listing of these images.
    #[must_use]
    pub fn new(images: Vec<ImageInfo>) -> Self {
        Self {
            images,
            quarantined: Vec::new(),
        }
    }
}

/// What the images of a host occupy.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ImageUsage {
    /// Bytes that all images occupy, each shared copy counted once.
    pub bytes: u64,
    /// Bytes of images that no container uses.
    pub reclaimable: u64,
    /// The containers made from each image that has any.
    pub users: BTreeMap<ImageId, Vec<ContainerId>>,
}

impl ImageUsage {
    /// Usage of this many bytes, of which so many are reclaimable.
    #[must_use]
    pub fn new(bytes: u64, reclaimable: u64) -> Self {
        Self {
            bytes,
            reclaimable,
            users: BTreeMap::new(),
        }
    }
}
