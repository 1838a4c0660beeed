//! How far a fetch is.

use portlayer::image::Digest;

/// What happens to a layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum LayerStage {
    /// Others are fetched first.
    Waiting,
    /// It is fetched: bytes that are there, of the bytes it has.
    Fetching {
        /// Bytes that are there, including those of an earlier, interrupted fetch.
        done: u64,
        /// Bytes it has.
        total: u64,
    },
    /// All bytes are there; its digest is checked.
    Verifying,
    /// It is complete.
    Complete,
}

/// One report about a layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LayerProgress {
    /// Its place in the image, 0 for the lowest.
    pub index: usize,
    /// Its digest as it is transferred.
    pub digest: Digest,
    /// What happens to it.
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

/// Receives the progress of a fetch. Every `Fn(LayerProgress)` that can be shared is one; `()`
/// ignores it. It is called for each block of bytes and should return quickly.
pub trait ObserveFetch: Send + Sync + 'static {
    /// Takes one report.
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
