//! Leases on machines whose disks are on their way in or out.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{RwLock, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use vim25::{Ref, mo};

use crate::datastore::path::DatastorePath;

/// What the API does not show of a lease.
#[derive(Debug)]
pub(crate) struct Lease {
    /// What admits to its URLs: never from the seed.
    pub(crate) token: String,
    pub(crate) direction: Direction,
    pub(crate) vm: Ref<mo::VirtualMachine>,
    /// The task that goes on until the lease ends.
    pub(crate) task: Ref<mo::Task>,
    pub(crate) devices: Vec<Device>,
    /// Cancelled when the lease ends.
    pub(crate) over: CancellationToken,
    /// Held for reading by every transfer.
    pub(crate) gate: Arc<RwLock<()>>,
    /// When the client last told its progress.
    pub(crate) alive: watch::Sender<Instant>,
}

/// Which way the disks go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    Import,
    Export,
}

/// A disk under a lease.
#[derive(Debug)]
pub(crate) struct Device {
    pub(crate) key: String,
    pub(crate) import_key: String,
    /// Its name in the URL.
    pub(crate) file: String,
    pub(crate) path: DatastorePath,
    pub(crate) bytes: u64,
    pub(crate) is_child: bool,
    moved: Mutex<Option<Moved>>,
    /// Held by the one transfer of the disk.
    pub(crate) busy: tokio::sync::Mutex<()>,
}

/// What was transferred of a disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Moved {
    /// Bytes of the stream.
    pub(crate) size: u64,
    /// Bytes of the disk that are not holes.
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
