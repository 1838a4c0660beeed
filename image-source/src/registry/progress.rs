//! The progress of a fetch.

use portlayer::image::Digest;

/// The stage of a layer's fetch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum LayerStage {
    /// Waiting for other layers.
    Waiting,
    /// Transferring.
    Fetching {
        /// The bytes received, including those of an earlier, interrupted fetch.
        done: u64,
        /// The size of the layer in bytes.
        total: u64,
    },
    /// All bytes were received; the digest is being verified.
    Verifying,
    /// The layer is complete.
    Complete,
}

/// One progress report of a layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LayerProgress {
    /// The position in the image; the lowest is 0.
    pub index: usize,
    /// The digest of the layer as transferred.
    pub digest: Digest,
    /// The current stage.
    pub stage: LayerStage,
}

impl LayerProgress {
    pub(super) fn new(index: usize, digest: Digest, stage: LayerStage) -> Self {
        Self {
            index,
            digest,
            stage,
        }
    }
}

/// A receiver of a fetch's progress, implemented by every shareable `Fn(LayerProgress)`; `()`
/// ignores it. It is called for each block of bytes and should return quickly.
pub trait ObserveFetch: Send + Sync + 'static {
    /// Receives one report.
    fn observe(&self, progress: LayerProgress);
}

impl<F: Fn(LayerProgress) + Send + Sync + 'static> ObserveFetch for F {
    fn observe(&self, progress: LayerProgress) {
        self(progress);
    }
}

impl ObserveFetch for () {
    fn observe(&self, _: LayerProgress) {}
}
