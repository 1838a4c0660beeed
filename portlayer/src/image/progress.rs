//! How far an import is.

use super::Digest;

/// What an import is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ImportPhase {
    /// It reads a layer and verifies its digests.
    Verify {
        /// The layer's diff id.
        layer: Digest,
    },
    /// It writes the disk.
    Write,
    /// It records the image.
    Record,
}

/// One report about an import.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ImportProgress {
    /// What it is doing.
    pub phase: ImportPhase,
    /// Bytes done in this phase.
    pub done: u64,
    /// Bytes to be done in this phase, where known.
    pub total: Option<u64>,
}

impl ImportProgress {
    /// A report of this phase.
    #[must_use]
    pub const fn new(phase: ImportPhase, done: u64, total: Option<u64>) -> Self {
        Self { phase, done, total }
    }
}

/// Receives the progress of an import. Every `Fn(ImportProgress)` that can be shared is one. It is
/// called from several threads and should return quickly.
pub trait ObserveImport: Send + Sync + 'static {
    /// Takes one report.
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
