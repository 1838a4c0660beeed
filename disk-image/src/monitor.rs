//! Progress and cancellation of a running operation.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crate::Error;

/// Reports the progress of an operation, and cancels it, from another thread.
///
/// Clones share the same state: pass one clone to the operation, and use the other to read the
/// progress or to cancel. All functions of this crate block; async callers run them with
/// `run_blocking`, behind the feature `tokio`, and poll their clone.
#[derive(Debug, Clone, Default)]
pub struct Monitor {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    cancelled: AtomicBool,
    /// Number of checks after which a test cancels, counted down.
    #[cfg(test)]
    checks: Option<AtomicU64>,
    bytes: AtomicU64,
    entries: AtomicU64,
}

impl Monitor {
    /// Creates a monitor with both counters at 0.
    pub fn new() -> Self {
        Self::default()
    }

    /// Asks the operation to stop. It returns [`Error::Cancelled`] soon after, and its output is
    /// incomplete.
    pub fn cancel(&self) {
        self.shared.cancelled.store(true, Ordering::Relaxed);
    }

    /// Returns whether [`Monitor::cancel`] was called.
    pub fn is_cancelled(&self) -> bool {
        self.shared.cancelled.load(Ordering::Relaxed)
    }

    /// Returns the number of bytes of unpacked input processed so far by all operations that share
    /// this monitor.
    pub fn bytes(&self) -> u64 {
        self.shared.bytes.load(Ordering::Relaxed)
    }

    /// Returns the number of entries (files, directories, links) processed so far.
    pub fn entries(&self) -> u64 {
        self.shared.entries.load(Ordering::Relaxed)
    }

    pub(crate) fn add_bytes(&self, bytes: u64) {
        self.shared.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(crate) fn add_entry(&self) {
        self.shared.entries.fetch_add(1, Ordering::Relaxed);
    }

    /// Creates a monitor that cancels at a check.
    #[cfg(test)]
    pub(crate) fn cancelling_at(check: u64) -> Self {
        let shared = Shared {
            checks: Some(AtomicU64::new(check)),
            ..Shared::default()
        };
        Self {
            shared: Arc::new(shared),
        }
    }

    pub(crate) fn check(&self) -> Result<(), Error> {
        #[cfg(test)]
        if let Some(checks) = &self.shared.checks
            && checks.fetch_sub(1, Ordering::Relaxed) == 0
        {
            self.cancel();
        }
        if self.is_cancelled() {
            Err(Error::Cancelled)
        } else {
            Ok(())
        }
    }
}
