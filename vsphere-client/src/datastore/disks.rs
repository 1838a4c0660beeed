//! Virtual disks that are managed as files, independent of a machine.

use vim25::internal::types::VirtualDiskInfo;
use vim25::types::{
    FileBackedVirtualDiskSpec, FileNotFound, VirtualDiskAdapterType, VirtualDiskType,
};
use vim25::{Call, Outcome, Poly, Ref, TaskOf, mo};

use super::DatastorePath;
use super::files::not_found;
use crate::client::Client;
use crate::error::{EntityKind, Error, Result};
use crate::inventory::Datacenter;

/// The way in which a virtual disk allocates its space.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DiskFormat {
    /// Space is allocated on demand.
    Thin,
    /// Space is allocated at creation, and zeroed on first write.
    Thick,
    /// Space is allocated and zeroed at creation.
    EagerZeroedThick,
}

impl DiskFormat {
    const fn kind(self) -> VirtualDiskType {
        match self {
            Self::Thin => VirtualDiskType::Thin,
            Self::Thick => VirtualDiskType::Preallocated,
            Self::EagerZeroedThick => VirtualDiskType::EagerZeroedThick,
        }
    }
}

/// A virtual disk file, as the server describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct DiskInfo {
    /// The disk's descriptor.
    pub path: DatastorePath,
    /// The allocation, in the server's words: `thin`, `preallocated`, `eagerZeroedThick`,
    /// `delta`, `seSparse`, …
    pub kind: String,
    /// The disk whose content this one continues, if it is a child disk.
    pub parent: Option<DatastorePath>,
}

impl Client {
    /// Returns operations on the virtual disks of a datacenter.
    ///
    /// ```no_run
    /// use vsphere_client::DiskFormat;
    ///
    /// # async fn example(client: &vsphere_client::Client) -> vsphere_client::Result<()> {
    /// let place = client.defaults().await?;
    /// let disks = client.virtual_disks(&place.datacenter);
    /// let disk = place.datastore.path("volumes/a.vmdk");
    /// client.files(&place.datastore).make_directory("volumes", true).await?;
    /// disks.create(&disk, 1 << 30, DiskFormat::Thin).await?;
    /// disks.extend(&disk, 2 << 30, false).await
    /// # }
    /// ```
    #[must_use]
    pub const fn virtual_disks<'c>(&'c self, datacenter: &'c Datacenter) -> VirtualDisks<'c> {
        VirtualDisks {
            client: self,
            datacenter,
        }
    }
}

/// Operations on the virtual disks of a datacenter; returned by
/// [`Client::virtual_disks`]. A disk is named by its descriptor, such as `[datastore1] volumes/a.vmdk`.
#[derive(Clone, Copy, Debug)]
pub struct VirtualDisks<'c> {
    client: &'c Client,
    datacenter: &'c Datacenter,
}

impl VirtualDisks<'_> {
    /// Creates a disk of this many bytes, rounded up to whole KiB. Its directory must
    /// exist.
    ///
    /// # Errors
    /// [`FileAlreadyExists`](vim25::types::FileAlreadyExists) when the disk exists; otherwise
    /// see [`Error`].
    pub async fn create(&self, disk: &DatastorePath, bytes: u64, format: DiskFormat) -> Result<()> {
        let adapter = VirtualDiskAdapterType::LsiLogic;
        let spec =
            FileBackedVirtualDiskSpec::new(format.kind().as_str(), adapter.as_str(), kib(bytes)?);
        let call = self.manager()?.create_virtual_disk(
            &disk.to_string(),
            Some(self.datacenter.reference()),
            &Poly::new(spec),
        );
        self.run(call).await
    }

    /// Copies a disk; with `overwrite`, an existing disk is replaced.
    ///
    /// # Errors
    /// [`Error::NotFound`] when there is no such disk; otherwise see [`Error`].
    pub async fn copy(
        &self,
        from: &DatastorePath,
        to: &DatastorePath,
        overwrite: bool,
    ) -> Result<()> {
        let (source, target) = (from.to_string(), to.to_string());
        let call = self
            .manager()?
            .copy_virtual_disk(&source, &target)
            .source_datacenter(self.datacenter.reference())
            .dest_datacenter(self.datacenter.reference())
            .force(overwrite);
        missing(self.run(call).await, from)
    }

    /// Moves or renames a disk; with `overwrite`, an existing disk is replaced.
    ///
    /// # Errors
    /// [`Error::NotFound`] when there is no such disk; otherwise see [`Error`].
    pub async fn rename(
        &self,
        from: &DatastorePath,
        to: &DatastorePath,
        overwrite: bool,
    ) -> Result<()> {
        let (source, target) = (from.to_string(), to.to_string());
        let call = self
            .manager()?
            .move_virtual_disk(&source, &target)
            .source_datacenter(self.datacenter.reference())
            .dest_datacenter(self.datacenter.reference())
            .force(overwrite);
        missing(self.run(call).await, from)
    }

    /// Extends a disk to `bytes`, rounded up to whole KiB. With `eager`, the new space is
    /// zeroed immediately.
    ///
    /// # Errors
    /// [`Error::NotFound`] when there is no such disk; otherwise see [`Error`].
    pub async fn extend(&self, disk: &DatastorePath, bytes: u64, eager: bool) -> Result<()> {
        let call = self.manager()?.extend_virtual_disk(
            &disk.to_string(),
            Some(self.datacenter.reference()),
            kib(bytes)?,
            Some(eager),
        );
        missing(self.client.run(call).await, disk)
    }

    /// Allocates all space of a thin disk.
    ///
    /// # Errors
    /// [`Error::NotFound`] when there is no such disk; otherwise see [`Error`].
    pub async fn inflate(&self, disk: &DatastorePath) -> Result<()> {
        let datacenter = Some(self.datacenter.reference());
        let call = self
            .manager()?
            .inflate_virtual_disk(&disk.to_string(), datacenter);
        missing(self.client.run(call).await, disk)
    }

    /// Returns the UUID of a disk as the guest sees it, in the server's format: pairs of
    /// hexadecimal digits.
    ///
    /// # Errors
    /// [`Error::NotFound`] when there is no such disk; otherwise see [`Error`].
    pub async fn uuid(&self, disk: &DatastorePath) -> Result<String> {
        let datacenter = Some(self.datacenter.reference());
        let call = self
            .manager()?
            .query_virtual_disk_uuid(&disk.to_string(), datacenter);
        missing(self.client.call(call).await, disk)
    }

    /// Describes a disk and, with `parents`, the disks that it is a child of: itself first,
    /// the base disk last. Parents come from the disks themselves, so this finds out what a
    /// file belongs to without opening it.
    ///
    /// Uses an undocumented method, which every ESXi host and vCenter has.
    ///
    /// # Errors
    /// [`Error::NotFound`] when there is no such disk; otherwise see [`Error`].
    pub async fn info(&self, disk: &DatastorePath, parents: bool) -> Result<Vec<DiskInfo>> {
        let datacenter = Some(self.datacenter.reference());
        let call = self
            .manager()?
            .query_virtual_disk_info(&disk.to_string(), datacenter, parents);
        let found = missing(self.client.run(call).await, disk)?;
        found
            .into_iter()
            .map(|info| self.described(info, disk))
            .collect()
    }

    fn described(&self, info: VirtualDiskInfo, disk: &DatastorePath) -> Result<DiskInfo> {
        let path = |text: &str| {
            text.parse().map_err(|_| {
                let operation = self.client.operation("QueryVirtualDiskInfo_Task", None);
                Error::senseless(operation, format!("{text:?}, of {disk}, is not a path"))
            })
        };
        let parent = info.parent.filter(|parent| !parent.is_empty());
        Ok(DiskInfo {
            path: match &info.unit {
                Some(unit) => path(&unit.name)?,
                None => disk.clone(),
            },
            kind: info.disk_type,
            parent: parent.as_deref().map(path).transpose()?,
        })
    }

    /// Creates a disk that continues the content of `parent`, which must not be written to
    /// any more. Creating a machine with such a disk needs no separate call: see
    /// [`NewDisk::child_of`](crate::device::NewDisk::child_of).
    ///
    /// Uses an undocumented method, which ESXi hosts and vCenter have, but not vcsim.
    ///
    /// # Errors
    /// [`Error::NotFound`] when there is no such parent; otherwise see [`Error`].
    pub async fn create_child(&self, parent: &DatastorePath, child: &DatastorePath) -> Result<()> {
        let datacenter = Some(self.datacenter.reference());
        let call = self.manager()?.create_child_disk(
            &child.to_string(),
            datacenter,
            &parent.to_string(),
            datacenter,
            true,
        );
        missing(self.client.run(call).await, parent)
    }

    /// Deletes a disk: its descriptor and its content.
    ///
    /// # Errors
    /// [`Error::NotFound`] when there is no such disk; otherwise see [`Error`].
    pub async fn delete(&self, disk: &DatastorePath) -> Result<()> {
        let datacenter = Some(self.datacenter.reference());
        let call = self
            .manager()?
            .delete_virtual_disk(&disk.to_string(), datacenter);
        missing(self.client.run(call).await, disk)
    }

    /// Waits for a task and ignores its result: some servers omit it although the API
    /// declares one.
    async fn run<R: Outcome>(&self, call: impl Into<Call<TaskOf<R>>> + Send) -> Result<()> {
        let started = self.client.call(call).await?;
        let task: TaskOf<()> = started.task().clone().into();
        self.client.wait_task(&task).await
    }

    fn manager(&self) -> Result<&Ref<mo::VirtualDiskManager>> {
        let manager = self.client.service_content().virtual_disk_manager.as_ref();
        manager.ok_or_else(|| Error::unsupported("virtual disks as files", self.client.server()))
    }
}

fn kib(bytes: u64) -> Result<i64> {
    i64::try_from(bytes.div_ceil(1024))
        .map_err(|_| Error::config(format!("a disk cannot have {bytes} bytes")))
}

fn missing<T>(outcome: Result<T>, disk: &DatastorePath) -> Result<T> {
    match outcome {
        Err(error) if error.is_fault::<FileNotFound>() => Err(not_found(EntityKind::File, disk)),
        other => other,
    }
}
