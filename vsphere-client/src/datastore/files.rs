//! Lists, creates, copies, moves and deletes files.

use vim25::types::{
    FileAlreadyExists, FileNotFound, FileQueryFlags, FolderFileInfo, HostDatastoreBrowserSearchSpec,
};
use vim25::{Ref, Timestamp, mo, props};

use super::DatastorePath;
use crate::client::Client;
use crate::error::{EntityKind, Error, Result, SearchScope};
use crate::inventory::Datastore;

impl Client {
    /// Returns access to the files of a datastore.
    ///
    /// ```no_run
    /// # async fn example(client: &vsphere_client::Client, image: Vec<u8>) -> vsphere_client::Result<()> {
    /// let inventory = client.inventory();
    /// let datacenter = inventory.datacenter(None).await?;
    /// let datastore = inventory.datastore(&datacenter, None).await?;
    /// let files = client.files(&datastore);
    /// files.make_directory("vch", true).await?;
    /// files
    ///     .upload_bytes("vch/bootstrap.iso", image)
    ///     .on_progress(|progress| println!("{} bytes", progress.bytes))
    ///     .await
    /// # }
    /// ```
    #[must_use]
    pub const fn files<'c>(&'c self, datastore: &'c Datastore) -> Files<'c> {
        Files {
            client: self,
            datastore,
            direct: false,
        }
    }
}

/// The files of a datastore; returned by [`Client::files`]. Paths are relative to its
/// top directory.
#[derive(Clone, Copy, Debug)]
pub struct Files<'c> {
    pub(super) client: &'c Client,
    pub(super) datastore: &'c Datastore,
    pub(super) direct: bool,
}

/// One entry of a directory listing.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct FileEntry {
    /// The name of the entry in its directory.
    pub name: String,
    /// Whether the entry is a directory.
    pub is_directory: bool,
    /// The size in bytes, if the server reported it.
    pub size: Option<u64>,
    /// The time when the content was last changed, if the server reported it.
    pub modified: Option<Timestamp>,
}

impl Files<'_> {
    /// Sets whether contents are transferred straight from and to a host that mounts the
    /// datastore, instead of through vCenter, which is often slower. Default: through vCenter.
    /// On an ESXi host, this has no effect.
    ///
    /// The host must be reachable by the name that it has in vCenter, and must present the
    /// certificate that vCenter reports for it. Each request is authenticated by a ticket that
    /// is valid once; the session is not shown to the host. A transfer for which no host can be
    /// used goes through vCenter, with a warning in the log. The hosts and their certificates are
    /// read at most once a minute, and again after none of them could be used.
    ///
    /// On vcsim, transfers always go through the server: as an ESXi host it is the host, and as a
    /// vCenter its hosts have made-up names, such as `DC0_H0`.
    #[must_use]
    pub const fn direct(mut self, direct: bool) -> Self {
        self.direct = direct;
        self
    }
}

impl Files<'_> {
    /// Lists a directory; the empty path is the top directory.
    ///
    /// # Errors
    /// [`Error::NotFound`] when there is no such directory; otherwise see [`Error`].
    pub async fn list(&self, directory: &str) -> Result<Vec<FileEntry>> {
        self.search(directory, "*").await
    }

    /// Lists the entries of a directory that match a pattern with `*` and `?`.
    ///
    /// # Errors
    /// [`Error::NotFound`] when there is no such directory; otherwise see [`Error`].
    pub async fn search(&self, directory: &str, pattern: &str) -> Result<Vec<FileEntry>> {
        let place = self.datastore.path(directory);
        let browser = self
            .client
            .get(self.datastore.reference(), props::datastore::BROWSER)
            .await?;
        let spec = HostDatastoreBrowserSearchSpec {
            details: Some(Box::new(FileQueryFlags {
                file_type: true,
                file_size: true,
                modification: true,
                file_owner: false,
            })),
            match_pattern: vec![pattern.to_owned()],
            ..HostDatastoreBrowserSearchSpec::default()
        };
        let search = browser.search_datastore(&place.to_string(), Some(&spec));
        let found = match self.client.run(search).await {
            Err(error) if error.is_fault::<FileNotFound>() => {
                return Err(not_found(EntityKind::Directory, &place));
            }
            other => other?,
        };
        let entry = |file: &vim25::Poly<vim25::types::FileInfo>| {
            let is_directory = file.is::<FolderFileInfo>();
            let file = file.view::<vim25::types::FileInfo>()?;
            Some(FileEntry {
                name: file.path.clone(),
                is_directory,
                size: file.file_size.and_then(|size| u64::try_from(size).ok()),
                modified: file.modification,
            })
        };
        Ok(found.file.iter().filter_map(entry).collect())
    }

    /// Returns the directory entry of a file or directory.
    ///
    /// # Errors
    /// [`Error::NotFound`] when it does not exist; otherwise see [`Error`].
    pub async fn stat(&self, path: &str) -> Result<FileEntry> {
        let place = self.datastore.path(path);
        if place.file_name().is_empty() {
            return Ok(FileEntry {
                name: String::new(),
                is_directory: true,
                size: None,
                modified: None,
            });
        }
        // Brackets have a special meaning in patterns.
        let pattern = place.file_name().replace(['[', ']'], "?");
        let found = match self.search(place.parent().path(), &pattern).await {
            Err(Error::NotFound { .. }) => Vec::new(),
            other => other?,
        };
        found
            .into_iter()
            .find(|entry| entry.name == place.file_name())
            .ok_or_else(|| not_found(EntityKind::FileOrDirectory, &place))
    }

    /// Returns whether a file or directory with this path exists.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn exists(&self, path: &str) -> Result<bool> {
        match self.stat(path).await {
            Ok(_) => Ok(true),
            Err(Error::NotFound { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Copies a file or directory on the server, also to another datastore. To copy a virtual
    /// disk, use [`Client::virtual_disks`]: this method copies only its descriptor.
    ///
    /// # Errors
    /// [`Error::NotFound`] when it does not exist; [`FileAlreadyExists`] when the destination
    /// exists and `overwrite` is false; otherwise see [`Error`].
    pub async fn copy(&self, from: &str, to: &DatastorePath, overwrite: bool) -> Result<()> {
        let place = self.datastore.path(from);
        let datacenter = self.datastore.datacenter().reference();
        let (source, target) = (place.to_string(), to.to_string());
        let call = self
            .manager()?
            .copy_datastore_file(&source, &target)
            .source_datacenter(datacenter)
            .destination_datacenter(datacenter)
            .force(overwrite);
        self.moved(self.client.run(call).await, &place)
    }

    /// Moves or renames a file or directory on the server, also to another datastore.
    ///
    /// # Errors
    /// As for [`copy`](Self::copy).
    pub async fn rename(&self, from: &str, to: &DatastorePath, overwrite: bool) -> Result<()> {
        let place = self.datastore.path(from);
        let datacenter = self.datastore.datacenter().reference();
        let (source, target) = (place.to_string(), to.to_string());
        let call = self
            .manager()?
            .move_datastore_file(&source, &target)
            .source_datacenter(datacenter)
            .destination_datacenter(datacenter)
            .force(overwrite);
        self.moved(self.client.run(call).await, &place)
    }

    fn moved(&self, outcome: Result<()>, place: &DatastorePath) -> Result<()> {
        match outcome {
            Err(error) if error.is_fault::<FileNotFound>() => {
                Err(not_found(EntityKind::FileOrDirectory, place))
            }
            other => other,
        }
    }

    /// Deletes a file, or a directory with all its content.
    ///
    /// # Errors
    /// [`Error::NotFound`] when it does not exist; otherwise see [`Error`].
    pub async fn delete(&self, path: &str) -> Result<()> {
        let place = self.datastore.path(path);
        if place.file_name().is_empty() {
            return Err(Error::config(format!(
                "will not delete everything on {place}: name a file"
            )));
        }
        let datacenter = Some(self.datastore.datacenter().reference());
        let call = self
            .manager()?
            .delete_datastore_file(&place.to_string(), datacenter);
        match self.client.run(call).await {
            Err(error) if error.is_fault::<FileNotFound>() => {
                Err(not_found(EntityKind::File, &place))
            }
            other => other,
        }
    }

    /// Creates a directory; with `parents`, missing parents are created too. An existing
    /// directory counts as success.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn make_directory(&self, path: &str, parents: bool) -> Result<()> {
        let place = self.datastore.path(path).to_string();
        let datacenter = Some(self.datastore.datacenter().reference());
        let call = self
            .manager()?
            .make_directory(&place, datacenter, Some(parents));
        match self.client.call(call).await {
            Err(error) if error.is_fault::<FileAlreadyExists>() => Ok(()),
            other => other,
        }
    }

    pub(super) fn manager(&self) -> Result<&Ref<mo::FileManager>> {
        let manager = self.client.service_content().file_manager.as_ref();
        manager.ok_or_else(|| Error::unsupported("file management", self.client.server()))
    }
}

pub(super) fn not_found(kind: EntityKind, place: &DatastorePath) -> Error {
    let on = format!("[{}]", place.datastore());
    Error::not_found(kind, place.path(), SearchScope::new(on, Vec::new()))
}
