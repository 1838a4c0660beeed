//! The progress of an import.

use super::Digest;

/// The current phase of an import.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ImportPhase {
    /// Reading a layer and verifying its digests. If the layer is not compressed and its source can
    /// seek, it is verified while the disk is written.
    Verify {
        /// The layer's diff id.
        layer: Digest,
    },
    /// Writing the disk.
    Write,
    /// Recording the image.
    Record,
}

/// One progress report of an import.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ImportProgress {
    /// The current phase.
    pub phase: ImportPhase,
    /// The bytes done in this phase.
    pub done: u64,
    /// The total bytes of this phase, if known.
    pub total: Option<u64>,
}

impl ImportProgress {
    /// Creates a report of this phase.
    #[must_use]
    pub const fn new(phase: ImportPhase, done: u64, total: Option<u64>) -> Self {
        Self { phase, done, total }
    }
}

/// A receiver of an import's progress, implemented by every shareable `Fn(ImportProgress)`. It is
/// called from several threads and should return quickly.
pub trait ObserveImport: Send + Sync + 'static {
    /// Receives one report.
    fn observe(&self, progress: ImportProgress);
}

impl<F: Fn(ImportProgress) + Send + Sync + 'static> ObserveImport for F {
    fn observe(&self, progress: ImportProgress) {
        self(progress);
    }
}

impl std::fmt::Debug for dyn ObserveImport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ObserveImport")
    }
}
