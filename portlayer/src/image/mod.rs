//! Images: the origin of a container's root file system.
//!
//! An [`Image`] is the source: a configuration and ordered layers that can be opened. The trait
//! [`Images`] stores images where containers can use them, and describes a stored image with an
//! [`ImageInfo`]. Names and tags belong to the front end: the port layer identifies an image by
//! its [`ImageId`], the digest of its configuration.

mod config;
mod digest;
pub(crate) mod platform;
mod progress;
mod source;

use std::collections::BTreeMap;

use async_trait::async_trait;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

pub use config::{History, ImageConfig, ParseImageConfigError, Process};
pub use digest::{ChainId, Digest, ImageId, ParseDigestError};
pub use progress::{ImportPhase, ImportProgress, ObserveImport};
pub use source::{Image, Layer, OpenLayer, ReadSeek};

use crate::archive::TarStream;
use crate::{Capability, ContainerId, Error, Resource, Result};

/// The images of one virtual container host.
///
/// # Guarantees
/// - **Verified or absent.** An image is listed only once every layer was read to its end and its
///   diff id verified. An import that failed, was dropped or was killed leaves nothing that
///   [`list`](Self::list) shows; [`prune`](Self::prune) removes its leftovers from the back end.
/// - **Idempotent.** Importing an existing image returns it without reading a layer.
///   Two concurrent imports of one image both succeed and store it once.
/// - **Shared.** Images with the same layers share one copy of them; containers share their
///   image's copy. Removing a container never removes or changes its image.
/// - **Readable.** The files that come out of an image are those that its layers put in: an
///   [`export`](Self::export) has every file with its content, owner, mode, time, links, extended
///   attributes and device numbers.
/// - **Dropping a future is safe.** A dropped import stops and is cleaned up in the background. So
///   does a dropped export, also when its stream is dropped before the end.
///
/// # After a failure
/// Each method is safe to repeat after any error, and after its future was dropped: `import` returns
/// the image if an earlier import succeeded, `remove` returns
/// [`NotFound`](crate::ErrorKind::NotFound) if an earlier removal did, and the others do not change
/// images.
#[async_trait]
pub trait Images: std::fmt::Debug + Send + Sync + 'static {
    /// Stores an image and returns its description once containers can be created from it.
    ///
    /// This reads and writes all layers, and reports its progress to
    /// `options`' observer. Layers are opened up to twice, on blocking threads.
    ///
    /// # Errors
    /// - [`InvalidArgument`](crate::ErrorKind::InvalidArgument) naming the layer whose content is
    ///   damaged, has another digest than declared, or exceeds a limit, or the configuration's
    ///   field that cannot be used. `os` and `architecture` are refused before a layer is read if
    ///   the image's programs cannot run on the back end's machines.
    /// - [`Exhausted`](crate::ErrorKind::Exhausted) when there is no space, or no room for another
    ///   image.
    async fn import(&self, image: Image, options: ImportOptions) -> Result<ImageInfo>;

    /// Returns all files of an image as a tar stream: the layers merged, without whiteouts. A
    /// directory comes before its content, the root directory first as `.`. Exports of the same
    /// image have the same bytes. The layers themselves, and with them their digests, are not
    /// returned: a back end may store them merged.
    ///
    /// The stream may need temporary disk space up to the size of the image, but no more memory for
    /// a larger image, except for the names of files with several hard links. While a back end
    /// prepares the stream, the image cannot be removed; afterwards, removing it does not affect
    /// the stream.
    ///
    /// # Errors
    /// - [`NotFound`](crate::ErrorKind::NotFound).
    /// - [`Exhausted`](crate::ErrorKind::Exhausted) when there is no temporary space.
    /// - [`Unsupported`](crate::ErrorKind::Unsupported) without
    ///   [`DiskContents`](Capability::DiskContents), as the provided method does.
    async fn export(&self, id: &ImageId) -> Result<TarStream> {
        Err(Error::unsupported(
            Resource::image(id),
            Capability::DiskContents,
        ))
    }

    /// Returns the description of one image.
    ///
    /// # Errors
    /// [`NotFound`](crate::ErrorKind::NotFound).
    async fn inspect(&self, id: &ImageId) -> Result<ImageInfo>;

    /// Returns all images, sorted by the time of their import and then by id, and those that
    /// cannot be read.
    ///
    /// # Errors
    /// Only errors that affect the whole back end.
    async fn list(&self) -> Result<ImageListing>;

    /// Removes an image, and its layers unless another image shares them.
    ///
    /// # Errors
    /// - [`NotFound`](crate::ErrorKind::NotFound).
    /// - [`InUse`](crate::ErrorKind::InUse) naming the containers made from it.
    async fn remove(&self, id: &ImageId) -> Result<()>;

    /// Returns how much space the images occupy and which containers use them.
    ///
    /// # Errors
    /// Only errors that affect the whole back end.
    async fn usage(&self) -> Result<ImageUsage>;

    /// Removes the leftovers of interrupted imports, except those of active writers. Complete
    /// images are kept. Returns a description of each removed object.
    ///
    /// # Errors
    /// Only errors that affect the whole back end; what could not be removed is left for the next
    /// call.
    async fn prune(&self) -> Result<Vec<String>>;
}

/// Options of [`Images::import`].
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct ImportOptions {
    /// The capacity of the root file system in bytes, the same for every container of the image.
    /// `None`: the back end's default (8 GiB), or more if the image needs it.
    pub capacity: Option<u64>,
    /// The receiver of progress reports.
    pub observer: Option<std::sync::Arc<dyn ObserveImport>>,
    /// Limits for hostile layers.
    pub limits: ImportLimits,
    /// Free text stored with the image, such as the reference it was pulled by.
    pub labels: BTreeMap<String, String>,
}

impl ImportOptions {
    /// Creates the default options.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the capacity of the root file system in bytes.
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

    /// Sets the limits for hostile layers.
    #[must_use]
    pub fn limits(mut self, limits: ImportLimits) -> Self {
        self.limits = limits;
        self
    }

    /// Adds a label to store with the image.
    #[must_use]
    pub fn label(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.labels.insert(name.into(), value.into());
        self
    }
}

/// Limits for the content of an image, all layers together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ImportLimits {
    /// The number of entries in the layers. Default: 5 million.
    pub entries: u64,
    /// The size after decompression in bytes. Default: 64 GiB.
    pub unpacked_bytes: u64,
    /// The maximum compression ratio of a layer. Default: 1,000.
    pub ratio: u32,
    /// The depth of directories. Default: 4,096.
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

/// The description of a stored image.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ImageInfo {
    /// The identity of the image: the digest of its configuration.
    pub id: ImageId,
    /// The configuration of the image.
    pub config: ImageConfig,
    /// The total size of its files after decompression in bytes.
    pub size: u64,
    /// The capacity of the root file system in bytes.
    pub capacity: u64,
    /// The time of the import, if the back end recorded it.
    pub imported: Option<Timestamp>,
    /// The labels from its import.
    pub labels: BTreeMap<String, String>,
}

impl ImageInfo {
    /// Creates a description from configuration, size and capacity.
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

/// The result of [`Images::list`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ImageListing {
    /// The complete images.
    pub images: Vec<ImageInfo>,
    /// Images that cannot be read: a label to find each, and the reason.
    pub quarantined: Vec<(String, String)>,
}

impl ImageListing {
    /// Creates a listing of these images.
    #[must_use]
    pub fn new(images: Vec<ImageInfo>) -> Self {
        Self {
            images,
            quarantined: Vec::new(),
        }
    }
}

/// The space that the images of a host occupy.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ImageUsage {
    /// The size of all images in bytes, each shared copy counted once.
    pub bytes: u64,
    /// The size in bytes of images that no container uses.
    pub reclaimable: u64,
    /// The containers created from each image in use.
    pub users: BTreeMap<ImageId, Vec<ContainerId>>,
}

impl ImageUsage {
    /// Creates a usage with total and reclaimable bytes.
    #[must_use]
    pub fn new(bytes: u64, reclaimable: u64) -> Self {
        Self {
            bytes,
            reclaimable,
            users: BTreeMap::new(),
        }
    }
}
