//! Images that can be read.

use std::fmt;
use std::io::{self, Read, Seek};
use std::sync::Arc;

use super::{Digest, ImageConfig, ImageId};

/// Opens the bytes of a layer.
///
/// Called on blocking threads, up to twice per import; each call reads from the layer's start.
/// Implemented by every shareable `Fn() -> io::Result<Box<dyn Read + Send>>`.
pub trait OpenLayer: Send + Sync + 'static {
    /// Returns a reader of the layer as stored: a tar, possibly compressed with gzip or
    /// zstd, which is detected by its first bytes.
    ///
    /// # Errors
    /// Any error that prevents reading.
    fn open(&self) -> io::Result<Box<dyn Read + Send>>;

    /// Returns a reader of the same bytes that can seek. `None`, as the provided method returns: the
    /// layer can only be read from its start.
    ///
    /// Worth implementing for files: of a tar that is not compressed, an import then reads only
    /// parts to lay out the disk, and reads and verifies all of it when it writes the disk.
    ///
    /// # Errors
    /// Any error that prevents reading.
    fn open_seekable(&self) -> io::Result<Option<Box<dyn ReadSeek>>> {
        Ok(None)
    }
}

/// A reader that can seek. Implemented by every type that can do both.
pub trait ReadSeek: Read + Seek + Send {}

impl<T: Read + Seek + Send + ?Sized> ReadSeek for T {}

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
    /// The digest of the stored layer, if its source declares one.
    pub blob: Option<Digest>,
    /// The size of the stored layer in bytes, if its source declares it.
    pub size: Option<u64>,
    open: Arc<dyn OpenLayer>,
}

impl Layer {
    /// Creates a layer from the digest of its tar and a function that opens it.
    pub fn new(diff_id: Digest, open: impl OpenLayer) -> Self {
        Self {
            diff_id,
            blob: None,
            size: None,
            open: Arc::new(open),
        }
    }

    /// Declares the digest and the size of the stored layer.
    #[must_use]
    pub fn stored(mut self, blob: Digest, size: u64) -> Self {
        self.blob = Some(blob);
        self.size = Some(size);
        self
    }

    /// Opens the layer at its start. Blocks.
    ///
    /// # Errors
    /// Any error that prevents reading.
    pub fn open(&self) -> io::Result<Box<dyn Read + Send>> {
        self.open.open()
    }

    /// Opens the layer at its start for reading at any offset; `None` if its source cannot seek.
    /// Blocks.
    ///
    /// # Errors
    /// Any error that prevents reading.
    pub fn open_seekable(&self) -> io::Result<Option<Box<dyn ReadSeek>>> {
        self.open.open_seekable()
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
/// Resources that reading the layers needs (a temporary directory, a connection) are kept alive by
/// the layers' openers.
#[derive(Clone, Debug)]
pub struct Image {
    config: ImageConfig,
    layers: Arc<[Layer]>,
}

impl Image {
    /// Creates an image from its configuration and layers, lowest first.
    ///
    /// [`Images::import`](super::Images::import) verifies that the layers' diff ids are those in
    /// the configuration.
    pub fn new(config: ImageConfig, layers: impl IntoIterator<Item = Layer>) -> Self {
        Self {
            config,
            layers: layers.into_iter().collect(),
        }
    }

    /// Returns the identity of the image.
    #[must_use]
    pub fn id(&self) -> ImageId {
        self.config.id()
    }

    /// Returns the configuration.
    #[must_use]
    pub fn config(&self) -> &ImageConfig {
        &self.config
    }

    /// Returns the layers, lowest first.
    #[must_use]
    pub fn layers(&self) -> &[Layer] {
        &self.layers
    }
}
