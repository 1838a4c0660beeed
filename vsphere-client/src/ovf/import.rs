//! Imports OVAs: the descriptor first, then each disk as it arrives.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use futures_util::StreamExt;
use tokio::io::AsyncRead;
use vim25::types::{
    KeyValue, OvfCreateImportSpecParams, OvfCreateImportSpecResult, OvfFileItem, OvfNetworkMapping,
};
use vim25::{Fault, IsA, Poly, Ref, mo};

use super::Ovf;
use super::archive::{Archive, Entry};
use super::checked::Checked;
use super::error::{ArchiveError, ArchiveProblem};
use super::manifest::{self, Digests, Finished, Line, plain};
use crate::datastore::TransferProgress;
use crate::error::{Error, Operation, Result};
use crate::nfc::{Lease, Transferred};

/// The maximum length of descriptors and manifests, in bytes.
const TEXT: u64 = 8 << 20;

/// The maximum number of files in an archive.
const FILES: usize = 10_000;

type OnProgress = Arc<Mutex<dyn FnMut(TransferProgress) + Send>>;

/// An import that is being prepared; returned by [`Ovf::import`].
#[must_use = "nothing is imported before a source is given"]
pub struct OvfImport<'c> {
    ovf: Ovf<'c>,
    pool: Ref<mo::ResourcePool>,
    datastore: Ref<mo::Datastore>,
    folder: Option<Ref<mo::Folder>>,
    params: OvfCreateImportSpecParams,
    requires_manifest: bool,
    progress: Option<OnProgress>,
}

/// A finished import.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Imported {
    /// The machine or vApp.
    pub entity: Ref<mo::ManagedEntity>,
    /// What the server found doubtful in the descriptor.
    pub warnings: Vec<Fault>,
}

impl<'c> OvfImport<'c> {
    pub(super) fn new(
        ovf: Ovf<'c>,
        pool: Ref<mo::ResourcePool>,
        datastore: Ref<mo::Datastore>,
    ) -> Self {
        Self {
            ovf,
            pool,
            datastore,
            folder: None,
            params: OvfCreateImportSpecParams::default(),
            requires_manifest: false,
            progress: None,
        }
    }

    /// Sets the folder of the machine. A vCenter requires one.
    pub fn folder(mut self, folder: &Ref<mo::Folder>) -> Self {
        self.folder = Some(folder.clone());
        self
    }

    /// Sets the host of the machine. A vCenter requires one for a cluster without DRS.
    pub fn host(mut self, host: &Ref<mo::HostSystem>) -> Self {
        self.params.host_system = Some(host.clone());
        self
    }

    /// Sets the name of the machine; by default, the one in the descriptor.
    pub fn name(mut self, name: &str) -> Self {
        name.clone_into(&mut self.params.entity_name);
        self
    }

    /// Connects a network of the descriptor to a network.
    pub fn network(mut self, name: &str, network: &Ref<impl IsA<mo::Network>>) -> Self {
        self.params.network_mapping.push(OvfNetworkMapping {
            name: name.to_owned(),
            network: network.upcast(),
        });
        self
    }

    /// Sets a property of the descriptor.
    pub fn property(mut self, key: &str, value: &str) -> Self {
        self.params.property_mapping.push(KeyValue {
            key: key.to_owned(),
            value: value.to_owned(),
        });
        self
    }

    /// Chooses a deployment option of the descriptor; by default, its default.
    pub fn deployment_option(mut self, option: &str) -> Self {
        option.clone_into(&mut self.params.base.deployment_option);
        self
    }

    /// Sets the kind of the disks, such as `thin` or `eagerZeroedThick`; by default, the
    /// datastore's.
    pub fn disk_provisioning(mut self, kind: &str) -> Self {
        self.params.disk_provisioning = Some(kind.to_owned());
        self
    }

    /// Refuses OVAs without a manifest. One that is there is checked in any case.
    pub const fn require_manifest(mut self) -> Self {
        self.requires_manifest = true;
        self
    }

    /// Sets a callback for progress over all disks, called after every piece. It should return
    /// quickly.
    pub fn on_progress(mut self, listener: impl FnMut(TransferProgress) + Send + 'static) -> Self {
        self.progress = Some(Arc::new(Mutex::new(listener)));
        self
    }

    /// Converts a descriptor to the specification of an import: for [`import_vapp`], and with
    /// the files that belong into its lease. [`from_ova`](Self::from_ova) does it itself.
    ///
    /// # Errors
    /// See [`Error`]. A wrong descriptor is no error of the call; see [`Checked::errors`].
    ///
    /// [`import_vapp`]: vim25::Ref::import_vapp
    pub async fn plan(&self, descriptor: &str) -> Result<Checked<OvfCreateImportSpecResult>> {
        let mut params = self.params.clone();
        if params.entity_name.is_empty() {
            let parsed = self.ovf.parse(descriptor).await;
            // vcsim cannot parse descriptors, and whatever is wrong is found below again.
            params.entity_name = parsed
                .map(|parsed| parsed.value.default_entity_name)
                .unwrap_or_default();
        }
        let client = self.ovf.client;
        let params = Poly::new(params);
        let (pool, datastore) = (&self.pool, &self.datastore);
        let manager = self.ovf.manager;
        let call = manager.create_import_spec(descriptor, pool, datastore, &params);
        let operation = client.operation(call.method(), Some(call.this()));
        let mut result = client.call(call).await?;
        let errors = std::mem::take(&mut result.error);
        let warnings = std::mem::take(&mut result.warning);
        Ok(Checked::new(operation, result, warnings, errors))
    }

    /// Imports an OVA from a reader, front to back: nothing is stored on the way, and memory does
    /// not grow with its size.
    ///
    /// The archive must begin with the descriptor; the disks may follow in any order, and the
    /// manifest before or after them. Every file is checked against the manifest, if there is
    /// one, before the import is completed.
    ///
    /// Cancel safe: when the future is dropped, the lease is aborted in the background, which
    /// removes what was created. There is no timeout; wrap it in [`tokio::time::timeout`].
    ///
    /// # Errors
    /// [`Error::Archive`] with the entry and the position when the archive is truncated, in
    /// another order, incomplete, or differs from its manifest; [`Error::Fault`] with the first
    /// error that the server found in the descriptor; otherwise see [`Error`]. Nothing
    /// remains of an import that failed.
    pub async fn from_ova(self, source: impl AsyncRead + Send + 'static) -> Result<Imported> {
        let client = self.ovf.client;
        let operation = client.operation("import of an OVA", Some(&self.pool.upcast()));
        let wrong = |error| Error::archive(&operation, error);
        let archive = Archive::new(source);
        let mut package = Package::default();
        let (descriptor, first) = package.begin(&archive).await.map_err(wrong)?;
        let (plan, warnings) = self.plan(&descriptor).await?.into_result()?;
        drop(descriptor);
        supported(&plan.file_item).map_err(wrong)?;
        let Some(spec) = &plan.import_spec else {
            let what = "the server returned no specification";
            return Err(Error::senseless(operation, what));
        };
        let host = self.params.host_system.as_ref();
        let call = self.pool.import_vapp(spec, self.folder.as_ref(), host);
        let lease = client.lease(call).await?;
        let transfer = Transfer {
            operation: &operation,
            archive: &archive,
            lease: &lease,
            items: &plan.file_item,
            progress: self.progress.as_ref(),
            requires_manifest: self.requires_manifest,
            transferred: Vec::new(),
        };
        match transfer.run(package, first).await {
            Ok(()) => {
                let entity = lease.complete().await?;
                Ok(Imported { entity, warnings })
            }
            Err(error) => {
                if let Err(error) = lease.abort().await {
                    tracing::debug!(%error, "the lease of a failed import was not aborted");
                }
                Err(error)
            }
        }
    }
}

impl fmt::Debug for OvfImport<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OvfImport")
            .field("pool", &self.pool)
            .field("datastore", &self.datastore)
            .field("name", &self.params.entity_name)
            .finish_non_exhaustive()
    }
}

/// Refuses files that cannot be sent as they are.
fn supported(items: &[OvfFileItem]) -> Result<(), ArchiveError> {
    for item in items {
        let method = item.compression_method.as_deref().unwrap_or_default();
        let why = if !matches!(method, "" | "identity") {
            "compressed files are not supported; unpack it and adapt the descriptor"
        } else if item.chunk_size.is_some_and(|size| size > 0) {
            "files in several parts are not supported; join them and adapt the descriptor"
        } else {
            continue;
        };
        return Err(ArchiveError {
            entry: Some(item.path.as_str().into()),
            offset: 0,
            problem: ArchiveProblem::Unsupported(why),
        });
    }
    Ok(())
}

/// What is known of the files of an OVA so far.
#[derive(Default)]
struct Package {
    manifest: Option<Vec<Line>>,
    /// The files that were read, by name.
    read: HashMap<String, Seen>,
}

/// A file that was read.
struct Seen {
    digests: Finished,
    /// The position of its header.
    offset: u64,
    /// Whether a manifest must list it: the descriptor, and the files that it refers to.
    is_needed: bool,
}

impl Package {
    /// Reads the descriptor and, if it is in front, the manifest; also returns the first entry
    /// after them.
    async fn begin(&mut self, archive: &Archive) -> Result<(String, Option<Entry>), ArchiveError> {
        let Some(entry) = archive.next().await? else {
            return Err(ArchiveError {
                entry: None,
                offset: 0,
                problem: ArchiveProblem::Truncated,
            });
        };
        if !has_extension(&entry, ".ovf") {
            return Err(at(&entry, ArchiveProblem::OutOfOrder));
        }
        let bytes = archive.whole(&entry, TEXT).await?;
        let bytes = Bytes::from(bytes);
        let mut digests = Digests::needed(None, "");
        digests.update(&bytes);
        self.note(&entry, digests.finish(), true)?;
        let text = std::str::from_utf8(&bytes);
        let text = text.map_err(|_| at(&entry, ArchiveProblem::Unreadable))?;
        let text = text.to_owned();
        let mut next = archive.next().await?;
        if let Some(entry) = &next
            && has_extension(entry, ".mf")
        {
            self.manifest(archive, entry).await?;
            next = archive.next().await?;
        }
        Ok((text, next))
    }

    /// Reads the manifest, and checks the files that were read before it.
    async fn manifest(&mut self, archive: &Archive, entry: &Entry) -> Result<(), ArchiveError> {
        if self.manifest.is_some() {
            return Err(at(entry, ArchiveProblem::Duplicate));
        }
        let bytes = archive.whole(entry, TEXT).await?;
        let text = std::str::from_utf8(&bytes).ok();
        let lines = text.and_then(manifest::parse);
        let lines = lines.ok_or_else(|| at(entry, ArchiveProblem::Unreadable))?;
        for (name, seen) in &self.read {
            check(&lines, name, seen)?;
        }
        self.manifest = Some(lines);
        Ok(())
    }

    /// Records a file that was read, and checks it if the manifest is known.
    fn note(
        &mut self,
        entry: &Entry,
        digests: Finished,
        is_needed: bool,
    ) -> Result<(), ArchiveError> {
        let name = plain(&entry.name);
        let seen = Seen {
            digests,
            offset: entry.offset,
            is_needed,
        };
        if let Some(lines) = &self.manifest {
            check(lines, name, &seen)?;
        }
        if self.read.len() >= FILES {
            let why = "there are too many files in the archive";
            return Err(at(entry, ArchiveProblem::Malformed(why)));
        }
        match self.read.insert(name.to_owned(), seen) {
            Some(_) => Err(at(entry, ArchiveProblem::Duplicate)),
            None => Ok(()),
        }
    }
}

/// Compares a file with its lines in the manifest.
fn check(lines: &[Line], name: &str, seen: &Seen) -> Result<(), ArchiveError> {
    let wrong = |problem| ArchiveError {
        entry: Some(name.into()),
        offset: seen.offset,
        problem,
    };
    let mut is_listed = false;
    for line in lines.iter().filter(|line| line.file == name) {
        is_listed = true;
        let found = seen.digests.get(line.algorithm).unwrap_or_default();
        if found != line.digest {
            return Err(wrong(ArchiveProblem::Digest {
                expected: line.digest.as_str().into(),
                found: found.into(),
            }));
        }
    }
    if seen.is_needed && !is_listed {
        return Err(wrong(ArchiveProblem::NotInManifest));
    }
    Ok(())
}

fn at(entry: &Entry, problem: ArchiveProblem) -> ArchiveError {
    ArchiveError {
        entry: Some(entry.name.as_str().into()),
        offset: entry.offset,
        problem,
    }
}

fn has_extension(entry: &Entry, extension: &str) -> bool {
    let start = entry.name.len().saturating_sub(extension.len());
    let end = entry.name.get(start..);
    end.is_some_and(|end| end.eq_ignore_ascii_case(extension))
}

/// The transfer of the files to a lease.
struct Transfer<'a> {
    operation: &'a Operation,
    archive: &'a Archive,
    lease: &'a Lease,
    items: &'a [OvfFileItem],
    progress: Option<&'a OnProgress>,
    requires_manifest: bool,
    transferred: Vec<Transferred>,
}

impl Transfer<'_> {
    async fn run(mut self, mut package: Package, first: Option<Entry>) -> Result<()> {
        let wrong = |error| Error::archive(self.operation, error);
        let total = self.items.iter().map(|item| size(item).unwrap_or(0)).sum();
        if total > 0 {
            self.lease.announce(total);
        }
        let mut next = first;
        while let Some(entry) = next {
            let name = plain(&entry.name);
            if has_extension(&entry, ".mf") {
                package
                    .manifest(self.archive, &entry)
                    .await
                    .map_err(wrong)?;
            } else if let Some(item) = self.items.iter().find(|item| plain(&item.path) == name) {
                if package.read.contains_key(name) {
                    return Err(wrong(at(&entry, ArchiveProblem::Duplicate)));
                }
                let digests = self.upload(&package, &entry, item, total).await?;
                package.note(&entry, digests, true).map_err(wrong)?;
            } else if !has_extension(&entry, ".cert") {
                // A file that the descriptor does not refer to; the manifest may.
                let digests = self.hash(&package, &entry).await.map_err(wrong)?;
                package.note(&entry, digests, false).map_err(wrong)?;
            }
            next = self.archive.next().await.map_err(wrong)?;
        }
        self.is_complete(&package).map_err(wrong)?;
        self.lease.check_known(&self.transferred).await
    }

    /// Sends a file to its device.
    async fn upload(
        &mut self,
        package: &Package,
        entry: &Entry,
        item: &OvfFileItem,
        total: u64,
    ) -> Result<Finished> {
        if let Some(expected) = size(item)
            && expected != entry.size
        {
            let problem = ArchiveProblem::Length {
                expected,
                found: entry.size,
            };
            return Err(Error::archive(self.operation, at(entry, problem)));
        }
        let mut devices = self.lease.devices().iter();
        let Some(device) = devices.find(|device| device.import_key() == item.device_id) else {
            let what = format!("the lease has no device {:?}", item.device_id);
            return Err(Error::senseless(self.operation.clone(), what));
        };
        let lines = package.manifest.as_deref();
        let digests = Digests::needed(lines, plain(&entry.name));
        let digests = Arc::new(Mutex::new(digests));
        let hashed = Arc::clone(&digests);
        let content = self.archive.content().inspect(move |piece| {
            if let Ok(piece) = piece {
                let mut digests = hashed.lock().unwrap_or_else(PoisonError::into_inner);
                digests.update(piece);
            }
        });
        let mut upload = self.lease.upload_stream(device, content, Some(entry.size));
        if let Some(listener) = self.progress {
            let listener = Arc::clone(listener);
            let before: u64 = self.transferred.iter().map(|file| file.bytes).sum();
            upload = upload.on_progress(move |own| {
                let mut listener = listener.lock().unwrap_or_else(PoisonError::into_inner);
                listener(TransferProgress {
                    bytes: before + own.bytes,
                    total: (total > 0).then_some(total),
                });
            });
        }
        let mut sent = match upload.await {
            Ok(sent) => sent,
            Err(error) => {
                // What is wrong with the archive explains the failure of the upload.
                let failure = self.archive.failure();
                return Err(failure.map_or(error, |why| Error::archive(self.operation, why)));
            }
        };
        if sent.bytes != entry.size {
            let what = format!(
                "the server took {} of {} bytes of {:?}",
                sent.bytes, entry.size, entry.name
            );
            return Err(Error::senseless(self.operation.clone(), what));
        }
        let digests = digests
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        let digests = digests.finish();
        sent.sha1.clone_from(&digests.sha1);
        sent.sha256.clone_from(&digests.sha256);
        self.transferred.push(sent);
        Ok(digests)
    }

    /// Reads a file that is not sent.
    async fn hash(&self, package: &Package, entry: &Entry) -> Result<Finished, ArchiveError> {
        let lines = package.manifest.as_deref();
        let mut digests = Digests::needed(lines, plain(&entry.name));
        let mut content = self.archive.content();
        while let Some(piece) = content.next().await {
            match piece {
                Ok(piece) => digests.update(&piece),
                Err(error) => {
                    let failure = self.archive.failure();
                    return Err(failure.unwrap_or_else(|| at(entry, ArchiveProblem::Source(error))));
                }
            }
        }
        Ok(digests.finish())
    }

    /// Checks that every file was read that must be there.
    fn is_complete(&self, package: &Package) -> Result<(), ArchiveError> {
        let offset = self.archive.offset();
        let lacks = |name: &str, problem| ArchiveError {
            entry: Some(name.into()),
            offset,
            problem,
        };
        let sent = self.items.iter().map(|item| plain(&item.path));
        let listed = package.manifest.iter().flatten();
        let listed = listed.map(|line| line.file.as_str());
        for name in sent.chain(listed) {
            if !package.read.contains_key(name) {
                return Err(lacks(name, ArchiveProblem::Missing));
            }
        }
        if self.requires_manifest && package.manifest.is_none() {
            return Err(ArchiveError {
                entry: None,
                offset,
                problem: ArchiveProblem::NotInManifest,
            });
        }
        Ok(())
    }
}

/// Returns the length of a file, if the descriptor has it.
fn size(item: &OvfFileItem) -> Option<u64> {
    let size = item.size.and_then(|size| u64::try_from(size).ok());
    size.filter(|size| *size > 0)
}
