//! An image that can be read.

use std::fmt;
use std::io::{self, Read};
use std::sync::Arc;

use super::{Digest, ImageConfig, ImageId};

/// Opens the bytes of a layer.
///
/// Called on blocking threads, up to twice per import; each call reads from the layer's start.
/// Every `Fn() -> io::Result<Box<dyn Read + Send>>` that can be shared is one.
pub trait OpenLayer: Send + Sync + 'static {
    /// Returns a reader of the layer as it was stored: a tar, possibly compressed by gzip or
    /// zstd, which the reader of the layer recognises by its first bytes.
    ///
    /// # Errors
    /// Whatever keeps the bytes from being read.
    fn open(&self) -> io::Result<Box<dyn Read + Send>>;
}

impl<F> OpenLayer for F
where
    F: Fn() -> io::Result<Box<dyn Read + Send>> + Send + Sync + 'static,
{
    fn open(&self) -> io::Result<Box<dyn Read + Send>> {
        self()
    }
}

/// One layer of an [`Image`].
#[derive(Clone)]
#[non_exhaustive]
pub struct Layer {
    /// The digest of the layer's tar, decompressed.
    pub diff_id: Digest,
    /// The digest of the layer as it is stored, where its source declares one.
    pub blob: Option<Digest>,
    /// The bytes of the layer as it is stored, where its source declares them.
    pub size: Option<u64>,
    open: Arc<dyn OpenLayer>,
}

impl Layer {
    /// The layer whose tar has this digest and that is opened by `open`.
    pub fn new(diff_id: Digest, open: impl OpenLayer) -> Self {
        Self {
            diff_id,
            blob: None,
            size: None,
            open: Arc::new(open),
        }
    }

    /// Declares the digest and the size of the layer as it is stored.
    #[must_use]
    pub fn stored(mut self, blob: Digest, size: u64) -> Self {
        self.blob = Some(blob);
        self.size = Some(size);
        self
    }

    /// Opens the layer at its start. Blocks.
    ///
    /// # Errors
    /// Whatever keeps the bytes from being read.
    pub fn open(&self) -> io::Result<Box<dyn Read + Send>> {
        self.open.open()
    }
}

impl fmt::Debug for Layer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Layer")
            .field("diff_id", &self.diff_id)
            .field("blob", &self.blob)
            .field("size", &self.size)
            .finish_non_exhaustive()
    }
}

/// An image that can be read: its configuration, and its layers, lowest first. Cheap to clone.
///
/// Whatever the layers' source needs (a temporary directory, a connection) is kept alive by their
/// openers.
#[derive(Clone, Debug)]
pub struct Image {
    config: ImageConfig,
    layers: Arc<[Layer]>,
}

impl Image {
    /// An image of this configuration and these layers, lowest first.
    ///
    /// Whether the layers' diff ids are those that the configuration names is checked by
    /// [`Images::import`](super::Images::import).
    pub fn new(config: ImageConfig, layers: impl IntoIterator<Item = Layer>) -> Self {
        Self {
            config,
            layers: layers.into_iter().collect(),
        }
    }

    /// Its identity.
    #[must_use]
    pub fn id(&self) -> ImageId {
        self.config.id()
    }

    /// Its configuration.
    #[must_use]
    pub fn config(&self) -> &ImageConfig {
        &self.config
    }

    /// Its layers, lowest first.
    #[must_use]
    pub fn layers(&self) -> &[Layer] {
        &self.layers
    }
}
