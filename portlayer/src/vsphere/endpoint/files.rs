//! Reads, writes and deletes files on datastores.

use std::time::Duration;

use bytes::Bytes;
use tokio::sync::watch;
use vim25::types::{FileNotFound, NotFound};
use vim25::{Ref, mo};
use vsphere_client::{
    Datacenter, Datastore, DatastorePath, Error as ClientError, FileEntry, TransferProgress,
};

use super::Endpoint;
use crate::vsphere::fault;
use crate::vsphere::host_objects::HostObjects;
use crate::vsphere::hosts::Iso;
use crate::vsphere::kind;
use crate::{Error, Resource, Result};

/// Maximum size of a configuration file: hosts refuse those of 1 MiB or more.
const MAX_VMX: u64 = 16 << 20;

impl Endpoint {
    /// Checks that a boot image can be read, before anything is created for it.
    pub(in crate::vsphere) async fn can_read(&self, iso: &Iso) -> std::io::Result<()> {
        match iso {
            Iso::Bytes(_) => Ok(()),
            Iso::File(path) => {
                let file = tokio::fs::File::open(path).await?;
                if file.metadata().await?.is_file() {
                    return Ok(());
                }
                Err(std::io::Error::other(format!(
                    "{} is not a file",
                    path.display()
                )))
            }
        }
    }

    /// Writes a file to `[datastore] path`, replacing an existing one.
    pub(in crate::vsphere) async fn upload(
        &self,
        datastore: &Datastore,
        path: &str,
        iso: &Iso,
        progress: &(dyn Fn(u64, Option<u64>) + Send + Sync),
    ) -> Result<()> {
        let resource = Resource::new(kind::FILE, path);
        let path = on(datastore, path, &resource)?;
        let files = self.client.files(datastore);
        let upload = match iso {
            Iso::Bytes(content) => files.upload_bytes(path.path(), content.clone()),
            Iso::File(source) => {
                let unreadable = |error: std::io::Error| {
                    let source = Resource::new(kind::FILE, source.display());
                    Error::invalid_argument(source, "content", error)
                };
                let file = tokio::fs::File::open(source).await.map_err(unreadable)?;
                let length = file.metadata().await.map_err(unreadable)?.len();
                files.upload(path.path(), file, length)
            }
        };
        // The listener must be `'static`, but the caller's listener is not.
        let (tell, mut told) = watch::channel(None);
        let upload = upload.on_progress(move |so_far: TransferProgress| {
            tell.send_replace(Some(so_far));
        });
        let mut upload = std::pin::pin!(upload.into_future());
        let sent = loop {
            tokio::select! {
                sent = &mut upload => break sent,
                // The sender lives as long as the upload.
                Ok(()) = told.changed() => {
                    if let Some(so_far) = *told.borrow_and_update() {
                        progress(so_far.bytes, so_far.total);
                    }
                }
            }
        };
        // A short upload may end before its last progress report was received.
        if let Some(so_far) = *told.borrow() {
            progress(so_far.bytes, so_far.total);
        }
        sent.map_err(|error| fault::error(&resource, error))
    }

    /// Writes a small file to `[datastore] path`, replacing an existing one. A file of an interrupted
    /// call may be incomplete.
    pub(in crate::vsphere) async fn write_file(
        &self,
        datastore: &Datastore,
        path: &str,
        content: Vec<u8>,
        resource: &Resource,
    ) -> Result<()> {
        self.fence.check(resource)?;
        let path = on(datastore, path, resource)?;
        let files = self.client.files(datastore);
        let written = files.upload_bytes(path.path(), content).await;
        written.map_err(|error| fault::error(resource, error))
    }

    /// Reads a file at `[datastore] path`, up to a maximum size in bytes.
    pub(in crate::vsphere) async fn read_file(
        &self,
        datastore: &Datastore,
        path: &str,
        max: u64,
        resource: &Resource,
    ) -> Result<Bytes> {
        let path = on(datastore, path, resource)?;
        let wrap = |error| fault::error(resource, error);
        let files = self.client.files(datastore);
        let file = files.download(path.path()).await.map_err(wrap)?;
        file.read_to_end(max).await.map_err(wrap)
    }

    /// Returns the names of the files in the directory `[datastore] path` that match a pattern with
    /// `*` and `?`. A directory that does not exist has none.
    pub(in crate::vsphere) async fn files_like(
        &self,
        datastore: &Datastore,
        directory: &str,
        pattern: &str,
        resource: &Resource,
    ) -> Result<Vec<String>> {
        let directory = on(datastore, directory, resource)?;
        let files = self.client.files(datastore);
        match files.search(directory.path(), pattern).await {
            Err(ClientError::NotFound { .. }) => Ok(Vec::new()),
            Err(error) => Err(fault::error(resource, error)),
            Ok(entries) => Ok(entries.into_iter().map(|entry| entry.name).collect()),
        }
    }

    /// Reads the machine's configuration file at `[datastore] path`.
    pub(in crate::vsphere) async fn vmx(
        &self,
        datastore: &Datastore,
        path: &str,
        resource: &Resource,
    ) -> Result<Bytes> {
        self.read_file(datastore, path, MAX_VMX, resource).await
    }

    /// Reads `length` bytes of the file at `[datastore] path` from an offset on. Also returns the
    /// length of the file.
    pub(in crate::vsphere) async fn read_part(
        &self,
        datastore: &Datastore,
        path: &str,
        (offset, length): (u64, u64),
        resource: &Resource,
    ) -> Result<(Bytes, u64)> {
        let path = on(datastore, path, resource)?;
        let files = self.client.files(datastore);
        let part = files.read_part(path.path(), offset, length).await;
        let part = part.map_err(|error| fault::error(resource, error))?;
        Ok((part.bytes, part.total))
    }

    /// Returns the datastore of the file at `[datastore] path`, usually that of the host's machines.
    pub(in crate::vsphere) async fn datastore_of(
        &self,
        objects: &HostObjects,
        path: &str,
        resource: &Resource,
    ) -> Result<Datastore> {
        let parsed: DatastorePath = path
            .parse()
            .map_err(|error| Error::internal(resource.clone(), error))?;
        if parsed.datastore() == objects.datastore.name() {
            return Ok(objects.datastore.clone());
        }
        let name = Some(parsed.datastore());
        self.datastore(&objects.datacenter, name).await
    }

    /// Returns the length of the file at `[datastore] path`; `None` if it does not exist.
    pub(in crate::vsphere) async fn length(
        &self,
        datastore: &Datastore,
        path: &str,
        resource: &Resource,
    ) -> Result<Option<u64>> {
        match self.read_part(datastore, path, (0, 1), resource).await {
            Ok((_, length)) => Ok(Some(length)),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Renames a file; both names are `[datastore] path`. A file that does not exist counts as
    /// success, so that an interrupted call can be repeated.
    pub(in crate::vsphere) async fn rename_file(
        &self,
        datastore: &Datastore,
        from: &str,
        to: &str,
        resource: &Resource,
    ) -> Result<()> {
        self.fence.check(resource)?;
        let (from, to) = (on(datastore, from, resource)?, on(datastore, to, resource)?);
        let files = self.client.files(datastore);
        match files.rename(from.path(), &to, false).await {
            Err(ClientError::NotFound { .. }) => Ok(()),
            renamed => renamed.map_err(|error| fault::error(resource, error)),
        }
    }

    /// Deletes a file, or a directory with its content. An absent file counts as success.
    pub(in crate::vsphere) async fn delete_file(
        &self,
        datastore: &Datastore,
        path: &str,
        resource: &Resource,
    ) -> Result<()> {
        self.fence.check(resource)?;
        let path = on(datastore, path, resource)?;
        match self.client.files(datastore).delete(path.path()).await {
            Err(ClientError::NotFound { .. }) => Ok(()),
            deleted => deleted.map_err(|error| fault::error(resource, error)),
        }
    }

    /// Lists the top-level directories of a datastore.
    pub(in crate::vsphere) async fn directories(
        &self,
        datastore: &Datastore,
        resource: &Resource,
    ) -> Result<Vec<String>> {
        let entries = self.client.files(datastore).list("").await;
        let entries = entries.map_err(|error| fault::error(resource, error))?;
        let directories = entries.into_iter().filter(|entry| entry.is_directory);
        Ok(directories.map(|entry| entry.name).collect())
    }

    /// Returns whether the directory at `[datastore] path` contains a machine.
    pub(in crate::vsphere) async fn has_machine_in(
        &self,
        datastore: &Datastore,
        directory: &str,
        resource: &Resource,
    ) -> Result<bool> {
        let directory = on(datastore, directory, resource)?;
        match self.client.files(datastore).list(directory.path()).await {
            Err(ClientError::NotFound { .. }) => Ok(false),
            Err(error) => Err(fault::error(resource, error)),
            Ok(entries) => Ok(entries.iter().any(is_machine)),
        }
    }

    /// Returns the size of the file at `[datastore] path`; `None` if there is none, or the endpoint
    /// does not report its size.
    pub(in crate::vsphere) async fn file_size(
        &self,
        datastore: &Datastore,
        path: &str,
        resource: &Resource,
    ) -> Result<Option<u64>> {
        let path = on(datastore, path, resource)?;
        match self.client.files(datastore).stat(path.path()).await {
            Err(ClientError::NotFound { .. }) => Ok(None),
            found => Ok(found.map_err(|error| fault::error(resource, error))?.size),
        }
    }

    /// Lists the disks in the directory at `[datastore] path`, each as `[datastore] path`.
    pub(in crate::vsphere) async fn disks_in(
        &self,
        datastore: &Datastore,
        directory: &str,
        resource: &Resource,
    ) -> Result<Vec<String>> {
        let path = on(datastore, directory, resource)?;
        let entries = match self.client.files(datastore).list(path.path()).await {
            Err(ClientError::NotFound { .. }) => Vec::new(),
            listed => listed.map_err(|error| fault::error(resource, error))?,
        };
        let disks = entries.iter().filter(|file| is_disk(&file.name));
        Ok(disks
            .map(|file| format!("{directory}/{}", file.name))
            .collect())
    }

    /// Returns whether the directory contains no machine and nothing in it changed for this long,
    /// by the endpoint's clock. Returns `false` if that cannot be determined.
    pub(in crate::vsphere) async fn is_abandoned(
        &self,
        datastore: &Datastore,
        directory: &str,
        since: Duration,
        resource: &Resource,
    ) -> Result<bool> {
        let files = self.client.files(datastore);
        let wrap = |error| fault::error(resource, error);
        let (itself, entries) = match tokio::try_join!(files.stat(directory), files.list(directory))
        {
            Err(ClientError::NotFound { .. }) => return Ok(false),
            found => found.map_err(wrap)?,
        };
        if entries.iter().any(is_machine) {
            return Ok(false);
        }
        let service: Ref<mo::ServiceInstance> = Ref::new("ServiceInstance");
        let now = self.call(service.current_time(), resource).await?;
        let is_old = |entry: &FileEntry| {
            entry.modified.is_some_and(|modified| {
                let age = now.duration_since(modified);
                Duration::try_from(age).is_ok_and(|age| age >= since)
            })
        };
        // Not every endpoint reports when a directory changed.
        let is_itself_old = itself.modified.is_none() || is_old(&itself);
        let is_known = itself.modified.is_some() || !entries.is_empty();
        Ok(is_known && is_itself_old && entries.iter().all(is_old))
    }

    /// Deletes one disk without its parents. An absent disk counts as success.
    pub(in crate::vsphere) async fn delete_disk(
        &self,
        datacenter: &Datacenter,
        path: &str,
        resource: &Resource,
    ) -> Result<()> {
        let Some(manager) = self.client.service_content().virtual_disk_manager.clone() else {
            return Err(Error::internal(
                self.resource(),
                "disks cannot be deleted on it",
            ));
        };
        let call = manager.delete_virtual_disk(path, Some(datacenter.reference()));
        match self.attempt(call, resource).await? {
            Err(error) if error.is_fault::<FileNotFound>() || error.is_fault::<NotFound>() => {
                Ok(())
            }
            deleted => deleted.map_err(|error| fault::error(resource, error)),
        }
    }
}

/// Returns whether a file is the configuration file of a machine.
fn is_machine(file: &FileEntry) -> bool {
    file.name.ends_with(".vmx")
}

/// Returns whether a file is the descriptor of a disk, not one of the files with its content.
fn is_disk(name: &str) -> bool {
    const CONTENTS: [&str; 4] = ["-flat", "-delta", "-sesparse", "-ctk"];
    let stem = name.strip_suffix(".vmdk");
    stem.is_some_and(|stem| CONTENTS.iter().all(|content| !stem.ends_with(content)))
}

/// Returns the path if it is on this datastore, an error if it is on another one.
pub(super) fn on(datastore: &Datastore, path: &str, resource: &Resource) -> Result<DatastorePath> {
    let refuse = |reason: String| Error::internal(resource.clone(), reason);
    let path: DatastorePath = path
        .parse()
        .map_err(|error| Error::internal(resource.clone(), error))?;
    if path.datastore() != datastore.name() {
        return Err(refuse(format!(
            "{path} is not on datastore {:?}",
            datastore.name()
        )));
    }
    Ok(path)
}
