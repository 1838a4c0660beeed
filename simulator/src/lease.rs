//! State of an NFC lease that its managed object does not show.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{RwLock, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use vim25::{Ref, mo};

use crate::datastore::path::DatastorePath;

/// An import or export in progress.
#[derive(Debug)]
pub(crate) struct Lease {
    /// The secret part of the lease's URLs; random, not derived from the seed.
    pub(crate) token: String,
    pub(crate) direction: Direction,
    pub(crate) vm: Ref<mo::VirtualMachine>,
    /// The task that runs until the lease ends.
    pub(crate) task: Ref<mo::Task>,
    pub(crate) devices: Vec<Device>,
    /// Cancelled when the lease ends.
    pub(crate) over: CancellationToken,
    /// Read-locked by every transfer; write-locked before the machine is destroyed.
    pub(crate) gate: Arc<RwLock<()>>,
    /// The time of the client's last progress report.
    pub(crate) alive: watch::Sender<Instant>,
}

/// Direction of the transfers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    Import,
    Export,
}

/// A disk that is transferred under a lease.
#[derive(Debug)]
pub(crate) struct Device {
    pub(crate) key: String,
    pub(crate) import_key: String,
    /// The file name in the disk's URL.
    pub(crate) file: String,
    pub(crate) path: DatastorePath,
    pub(crate) bytes: u64,
    pub(crate) is_child: bool,
    moved: Mutex<Option<Moved>>,
    /// Serializes uploads to the disk.
    pub(crate) busy: tokio::sync::Mutex<()>,
}

/// A completed transfer, as manifests report it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Moved {
    /// Bytes of the VMDK stream.
    pub(crate) size: u64,
    /// Bytes of the disk that are not zero, in whole grains.
    pub(crate) populated: u64,
    pub(crate) sha1: String,
    pub(crate) sha256: String,
}

impl Device {
    pub(crate) fn new(
        key: String,
        import_key: String,
        file: String,
        path: DatastorePath,
        bytes: u64,
        is_child: bool,
    ) -> Self {
        Self {
            key,
            import_key,
            file,
            path,
            bytes,
            is_child,
            moved: Mutex::new(None),
            busy: tokio::sync::Mutex::new(()),
        }
    }

    pub(crate) fn moved(&self) -> Option<Moved> {
        let moved = self.moved.lock().unwrap_or_else(PoisonError::into_inner);
        moved.clone()
    }

    pub(crate) fn set_moved(&self, moved: Moved) {
        *self.moved.lock().unwrap_or_else(PoisonError::into_inner) = Some(moved);
    }
}
