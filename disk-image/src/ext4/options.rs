//! Options of a file system.

use uuid::Uuid;

use crate::{Error, Timestamp};

/// Options of a new file system. The same input and options produce the same bytes: identifiers and
/// times come from nowhere else.
///
/// ```
/// let options = disk_image::FsOptions::new(8 << 30, uuid::Uuid::from_u128(7)).label("container");
/// # let _ = options;
/// ```
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct FsOptions {
    /// The size of the disk in bytes, rounded up to 64 KiB. Free space costs nothing in a
    /// virtual disk, so choose the largest size that the container may need.
    pub size: u64,
    /// The UUID of the file system, which is also the seed of its checksums and hashes.
    pub uuid: Uuid,
    /// The volume label, at most 16 bytes.
    pub label: String,
    /// The time of creation, also used for directories that no layer contains. Default: 1970.
    pub epoch: Timestamp,
    /// The number of inodes; default: one per 16 KiB of disk, and at least what the content
    /// needs plus a reserve.
    pub inodes: Option<u64>,
    /// Whether there is a journal; default: yes, unless the disk is below 8 MiB.
    pub journal: bool,
    /// Whether the root contains a `lost+found`, which `e2fsck` expects. Default: yes.
    pub lost_and_found: bool,
}

/// Granularity of disk sizes in bytes: the grain of a virtual disk.
const GRANULARITY: u64 = 64 << 10;
const LARGEST: u64 = 62 << 40;

impl FsOptions {
    /// Creates options with a size in bytes, a UUID, and defaults.
    pub fn new(size: u64, uuid: Uuid) -> Self {
        Self {
            size,
            uuid,
            label: String::new(),
            epoch: Timestamp::default(),
            inodes: None,
            journal: true,
            lost_and_found: true,
        }
    }

    /// Sets the volume label.
    #[must_use]
    pub fn label(mut self, label: impl Into<String>) -> Self {
        self.label = label.into();
        self
    }

    /// Sets the time of creation.
    #[must_use]
    pub fn epoch(mut self, epoch: Timestamp) -> Self {
        self.epoch = epoch;
        self
    }

    /// Sets the number of inodes, rounded up to whole groups.
    #[must_use]
    pub fn inodes(mut self, inodes: u64) -> Self {
        self.inodes = Some(inodes);
        self
    }

    /// Sets whether there is a journal.
    #[must_use]
    pub fn journal(mut self, journal: bool) -> Self {
        self.journal = journal;
        self
    }

    /// Sets whether the root contains a `lost+found`.
    #[must_use]
    pub fn lost_and_found(mut self, lost_and_found: bool) -> Self {
        self.lost_and_found = lost_and_found;
        self
    }

    pub(crate) fn check(&self) -> Result<(), Error> {
        if self.size > LARGEST {
            return Err(Error::Options("a virtual disk has at most 62 TiB"));
        }
        if self.label.len() > 16 || self.label.contains('\0') {
            return Err(Error::Options("a label has at most 16 bytes"));
        }
        if self.epoch.nanos >= 1_000_000_000 {
            return Err(Error::Options(
                "a second has less than a billion nanoseconds",
            ));
        }
        Ok(())
    }

    /// Returns the size of the disk in bytes, rounded up to the granularity.
    pub(crate) fn rounded_size(&self) -> u64 {
        self.size.next_multiple_of(GRANULARITY)
    }
}
