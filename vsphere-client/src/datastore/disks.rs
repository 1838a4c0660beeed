//! Virtual disks that are managed as files, independent of a machine.

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
