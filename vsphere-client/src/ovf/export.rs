//! Exports machines to directories and OVAs, in one pass and with little memory.

use std::fmt;
use std::io::SeekFrom;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::StreamExt;
use sha2::{Digest, Sha256};
use tokio::fs::{File, OpenOptions};
use tokio::io::{AsyncSeekExt, AsyncWriteExt};
use vim25::types::{HttpNfcLeaseManifestEntry, OvfCreateDescriptorParams, OvfFile};
use vim25::{Fault, Ref, mo, props};

use super::Ovf;
use super::archive::{header, padded};
use super::manifest;
use crate::datastore::{TransferProgress, unusable};
use crate::error::{Error, Operation, Result};
use crate::nfc::{Lease, LeaseDevice, Transferred, hexadecimal};

/// The room in an OVA by which the final descriptor may be longer than the preliminary one, in
/// bytes.
const ROOM: u64 = 16 << 10;
/// The maximum length of the name of an OVA without its extension, in bytes: the names of its
/// files have up to 20 bytes more and must fit into the headers.
const STEM: usize = 80;

type OnProgress = Arc<Mutex<dyn FnMut(TransferProgress) + Send>>;

/// An export that is being prepared; returned by [`Ovf::export`].
#[must_use = "nothing is exported before a destination is given"]
pub struct OvfExport<'c> {
    ovf: Ovf<'c>,
    machine: Ref<mo::VirtualMachine>,
    params: OvfCreateDescriptorParams,
    progress: Option<OnProgress>,
}

/// A finished export.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Exported {
    /// The files that were written: the OVA, or the descriptor, the manifest and the disks.
    pub files: Vec<PathBuf>,
    /// What the server could not describe completely.
    pub warnings: Vec<Fault>,
}

impl<'c> OvfExport<'c> {
    pub(super) fn new(ovf: Ovf<'c>, machine: Ref<mo::VirtualMachine>) -> Self {
        Self {
            ovf,
            machine,
            params: OvfCreateDescriptorParams::default(),
            progress: None,
        }
    }

    /// Sets the name of the machine in the descriptor; by default, its own.
    pub fn name(mut self, name: &str) -> Self {
        self.params.name = Some(name.to_owned());
        self
    }

    /// Sets the description in the descriptor; by default, the machine's annotation.
    pub fn description(mut self, text: &str) -> Self {
        self.params.description = Some(text.to_owned());
        self
    }

    /// Adds an option of the server, such as `extraconfig`; the property
    /// [`OVF_EXPORT_OPTION`](props::ovf_manager::OVF_EXPORT_OPTION) lists them.
    pub fn option(mut self, option: &str) -> Self {
        self.params.export_option.push(option.to_owned());
        self
    }

    /// Sets a callback for progress over all disks, called after every piece. Their length is
    /// not known before. It should return quickly.
    pub fn on_progress(mut self, listener: impl FnMut(TransferProgress) + Send + 'static) -> Self {
        self.progress = Some(Arc::new(Mutex::new(listener)));
        self
    }

    /// Writes the machine to a directory, which must exist: `NAME.ovf`, `NAME.mf` and
    /// `NAME-disk1.vmdk` and so on, where `NAME` is the name of the machine. Existing files
    /// are not replaced. The descriptor is written last, so a directory with a descriptor is
    /// complete.
    ///
    /// Cancel safe: when the future is dropped, the files that it wrote are removed, and the lease
    /// is aborted in the background.
    ///
    /// # Errors
    /// `InvalidPowerState` when the machine is on; [`Error::LocalFile`] when a file exists or
    /// cannot be written; [`Error::Fault`] with the first error of the server when the machine
    /// cannot be described; otherwise see [`Error`]. No files remain.
    pub async fn to_directory(self, directory: impl AsRef<Path>) -> Result<Exported> {
        let directory = directory.as_ref();
        let client = self.ovf.client;
        let name = match &self.params.name {
            Some(name) => name.clone(),
            None => {
                let name = props::virtual_machine::NAME;
                client.get(&self.machine, name).await?
            }
        };
        let stem = file_name(&name);
        let lease = client.lease(self.machine.export_vm()).await?;
        self.finish(lease, async |export, lease| {
            let mut written = Unfinished::default();
            let mut parts = Parts::default();
            for (name, device) in names(&stem, lease.devices()) {
                let path = directory.join(&name);
                let mut file = written.create(path.clone()).await?;
                let moved = parts.bytes();
                let part = export
                    .download(lease, device, &mut file, &path, moved)
                    .await?;
                file.sync_all()
                    .await
                    .map_err(|error| unusable("write", &path, error))?;
                parts.all.push(Part { name, ..part });
            }
            let (text, warnings) = export.describe(lease, &mut parts).await?;
            let descriptor = format!("{stem}.ovf");
            let manifest = parts.manifest(&descriptor, text.as_bytes());
            for (name, text) in [(format!("{stem}.mf"), manifest), (descriptor, text)] {
                let path = directory.join(name);
                let mut file = written.create(path.clone()).await?;
                let wrong = |error| unusable("write", &path, error);
                file.write_all(text.as_bytes()).await.map_err(wrong)?;
                file.sync_all().await.map_err(wrong)?;
            }
            Ok((written, warnings))
        })
        .await
    }

    /// Writes the machine to an OVA, which must not exist: the descriptor, the manifest, and
    /// then the disks, as the standard demands. While it is written, its name ends with `.part`.
    ///
    /// Disks are written as they arrive. The length of the descriptor is known only after them, so
    /// room for it is left in front and filled with blanks.
    ///
    /// Cancel safe: when the future is dropped, the file is removed, and the lease is aborted in
    /// the background.
    ///
    /// # Errors
    /// [`Error::Config`] when the name is too long for the format; otherwise as for
    /// [`to_directory`](Self::to_directory).
    pub async fn to_ova(self, path: impl AsRef<Path>) -> Result<Exported> {
        let path = path.as_ref();
        let stem = path.file_stem().unwrap_or_default().to_string_lossy();
        let stem = file_name(&stem);
        if stem.len() > STEM {
            return Err(Error::config(format!(
                "the name {stem:?} is too long for an OVA, whose files are named after it; use at most {STEM} bytes"
            )));
        }
        let exists = tokio::fs::try_exists(path).await;
        if exists.map_err(|error| unusable("write", path, error))? {
            return Err(unusable(
                "write",
                path,
                std::io::ErrorKind::AlreadyExists.into(),
            ));
        }
        let client = self.ovf.client;
        let lease = client.lease(self.machine.export_vm()).await?;
        self.finish(lease, async |export, lease| {
            let mut part = path.as_os_str().to_owned();
            part.push(".part");
            let mut written = Unfinished::default();
            let part = PathBuf::from(part);
            let file = written.create(part.clone()).await?;
            let (file, warnings) = export.pack(lease, &stem, &part, file).await?;
            let wrong = |error| unusable("write", path, error);
            file.sync_all().await.map_err(wrong)?;
            drop(file);
            tokio::fs::rename(&part, path).await.map_err(wrong)?;
            written.files = vec![path.to_owned()];
            Ok((written, warnings))
        })
        .await
    }

    /// Does the work under a lease and ends the lease.
    async fn finish(
        self,
        lease: Lease,
        work: impl AsyncFnOnce(&Self, &Lease) -> Result<(Unfinished, Vec<Fault>)>,
    ) -> Result<Exported> {
        match work(&self, &lease).await {
            Ok((mut written, warnings)) => {
                lease.complete().await?;
                let files = std::mem::take(&mut written.files);
                Ok(Exported { files, warnings })
            }
            Err(error) => {
                if let Err(error) = lease.abort().await {
                    tracing::debug!(%error, "the lease of a failed export was not aborted");
                }
                Err(error)
            }
        }
    }

    /// Writes an archive.
    async fn pack(
        &self,
        lease: &Lease,
        stem: &str,
        path: &Path,
        mut file: File,
    ) -> Result<(File, Vec<Fault>)> {
        let operation = self.operation();
        let wrong = |error| unusable("write", path, error);
        let modified = u64::try_from(vim25::Timestamp::now().as_second()).unwrap_or(0);
        let head = |name: &str, size| {
            header(name, size, modified).ok_or_else(|| {
                Error::config(format!("the name {name:?} is too long for an archive"))
            })
        };
        // The preliminary descriptor and manifest say how much room the final ones need.
        let mut parts = Parts::default();
        for (name, device) in names(stem, lease.devices()) {
            parts.all.push(Part {
                name,
                key: device.key().to_owned(),
                bytes: i64::MAX as u64,
                sha256: "0".repeat(64),
                entry: None,
            });
        }
        let descriptor_name = format!("{stem}.ovf");
        let manifest_name = format!("{stem}.mf");
        let (preliminary, _) = self.describe_parts(&parts).await?;
        let descriptor_room = padded(preliminary.len() as u64 + ROOM);
        let manifest_length = parts.manifest(&descriptor_name, b"").len() as u64;
        drop(preliminary);
        let manifest_at = 512 + descriptor_room;
        let mut at = manifest_at + 512 + padded(manifest_length);
        let mut parts = Parts::default();
        for (name, device) in names(stem, lease.devices()) {
            file.seek(SeekFrom::Start(at + 512)).await.map_err(wrong)?;
            let moved = parts.bytes();
            let part = self.download(lease, device, &mut file, path, moved).await?;
            file.seek(SeekFrom::Start(at)).await.map_err(wrong)?;
            let head = head(&name, part.bytes)?;
            file.write_all(&head).await.map_err(wrong)?;
            at += 512 + padded(part.bytes);
            parts.all.push(Part { name, ..part });
        }
        // The end of the archive: two blocks of zeros.
        file.flush().await.map_err(wrong)?;
        file.set_len(at + 1_024).await.map_err(wrong)?;
        let (text, warnings) = self.describe(lease, &mut parts).await?;
        let Some(blanks) = descriptor_room.checked_sub(text.len() as u64) else {
            let what = "the final descriptor is much longer than the preliminary one";
            return Err(Error::senseless(operation, what));
        };
        let mut text = text.into_bytes();
        text.extend(std::iter::repeat_n(
            b'\n',
            usize::try_from(blanks).unwrap_or(0),
        ));
        let manifest = parts.manifest(&descriptor_name, &text);
        file.seek(SeekFrom::Start(0)).await.map_err(wrong)?;
        let head_of_descriptor = head(&descriptor_name, descriptor_room)?;
        file.write_all(&head_of_descriptor).await.map_err(wrong)?;
        file.write_all(&text).await.map_err(wrong)?;
        let head_of_manifest = head(&manifest_name, manifest.len() as u64)?;
        file.write_all(&head_of_manifest).await.map_err(wrong)?;
        file.write_all(manifest.as_bytes()).await.map_err(wrong)?;
        file.flush().await.map_err(wrong)?;
        Ok((file, warnings))
    }

    fn operation(&self) -> Operation {
        let client = self.ovf.client;
        client.operation("export", Some(&self.machine.upcast()))
    }

    /// Writes the content of a device at the current position of a file. `before` bytes were
    /// written for other devices.
    async fn download(
        &self,
        lease: &Lease,
        device: &LeaseDevice,
        file: &mut File,
        path: &Path,
        before: u64,
    ) -> Result<Part> {
        let mut download = lease.download(device).await?;
        let mut digest = Sha256::new();
        let mut bytes = 0;
        while let Some(piece) = download.next().await {
            let piece = piece?;
            digest.update(&piece);
            file.write_all(&piece)
                .await
                .map_err(|error| unusable("write", path, error))?;
            bytes += piece.len() as u64;
            if let Some(listener) = &self.progress {
                let mut listener = listener.lock().unwrap_or_else(PoisonError::into_inner);
                listener(TransferProgress {
                    bytes: before + bytes,
                    total: None,
                });
            }
        }
        Ok(Part {
            name: String::new(),
            key: device.key().to_owned(),
            bytes,
            sha256: hexadecimal(&digest.finalize()),
            entry: None,
        })
    }

    /// Compares the parts with the server's manifest, and makes their descriptor.
    async fn describe(&self, lease: &Lease, parts: &mut Parts) -> Result<(String, Vec<Fault>)> {
        let transferred: Vec<_> = parts.all.iter().map(Part::transferred).collect();
        lease.check_known(&transferred).await?;
        // Without a manifest, the descriptor lacks the sizes of the disks' contents.
        let manifest = lease.manifest().await.unwrap_or_default();
        for part in &mut parts.all {
            let entry = manifest.iter().find(|entry| entry.key == part.key);
            part.entry = entry.cloned();
        }
        self.describe_parts(parts).await
    }

    async fn describe_parts(&self, parts: &Parts) -> Result<(String, Vec<Fault>)> {
        let params = OvfCreateDescriptorParams {
            ovf_files: parts.all.iter().map(Part::file).collect(),
            ..self.params.clone()
        };
        let described = self.ovf.describe(&self.machine, &params).await?;
        described.into_result()
    }
}

impl fmt::Debug for OvfExport<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OvfExport")
            .field("machine", &self.machine)
            .field("params", &self.params)
            .finish_non_exhaustive()
    }
}

/// A file of the package that belongs to a device.
struct Part {
    name: String,
    key: String,
    bytes: u64,
    sha256: String,
    entry: Option<HttpNfcLeaseManifestEntry>,
}

impl Part {
    fn file(&self) -> OvfFile {
        let entry = self.entry.as_ref();
        OvfFile {
            device_id: self.key.clone(),
            path: self.name.clone(),
            size: i64::try_from(self.bytes).unwrap_or(i64::MAX),
            capacity: entry.and_then(|entry| entry.capacity),
            populated_size: entry.and_then(|entry| entry.populated_size),
            ..OvfFile::default()
        }
    }

    fn transferred(&self) -> Transferred {
        Transferred {
            key: self.key.clone(),
            bytes: self.bytes,
            sha1: None,
            sha256: Some(self.sha256.clone()),
        }
    }
}

#[derive(Default)]
struct Parts {
    all: Vec<Part>,
}

impl Parts {
    fn bytes(&self) -> u64 {
        self.all.iter().map(|part| part.bytes).sum()
    }

    /// Returns the manifest of these parts and their descriptor.
    fn manifest(&self, name: &str, descriptor: &[u8]) -> String {
        let own = hexadecimal(&Sha256::digest(descriptor));
        let mut text = manifest::format(name, &own);
        for part in &self.all {
            text.push_str(&manifest::format(&part.name, &part.sha256));
        }
        text
    }
}

/// Files that are removed again unless the export succeeds.
#[derive(Default)]
struct Unfinished {
    files: Vec<PathBuf>,
}

impl Unfinished {
    async fn create(&mut self, path: PathBuf) -> Result<File> {
        let mut options = OpenOptions::new();
        let created = options.write(true).create_new(true).open(&path).await;
        let file = created.map_err(|error| unusable("write", &path, error))?;
        self.files.push(path);
        Ok(file)
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        for file in &self.files {
            let _ = std::fs::remove_file(file);
        }
    }
}

/// Returns the devices with the names of their files. The names are our own: those that a server
/// suggests could lead out of the directory.
fn names<'d>(
    stem: &str,
    devices: &'d [LeaseDevice],
) -> impl Iterator<Item = (String, &'d LeaseDevice)> {
    let (mut disks, mut others) = (0, 0);
    let name = move |device: &LeaseDevice| {
        if device.is_disk() {
            disks += 1;
            return format!("{stem}-disk{disks}.vmdk");
        }
        others += 1;
        let extension = device.target().and_then(|target| target.rsplit_once('.'));
        let extension = extension
            .map(|(_, extension)| extension)
            .filter(|extension| {
                extension.len() <= 5 && extension.bytes().all(|byte| byte.is_ascii_alphanumeric())
            });
        format!("{stem}-file{others}.{}", extension.unwrap_or("bin"))
    };
    let named: Vec<_> = devices.iter().map(name).collect();
    named.into_iter().zip(devices)
}

/// Returns a name without what file systems and descriptors do not accept in names of files.
fn file_name(name: &str) -> String {
    let is_plain = |c: char| !c.is_control() && !"/\\:*?\"<>|%".contains(c);
    let plain: String = name
        .chars()
        .map(|c| if is_plain(c) { c } else { '_' })
        .collect();
    match plain.trim_matches(['.', ' ']) {
        "" => "machine".to_owned(),
        plain => plain.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::file_name;

    #[test]
    fn names_of_files_stay_in_their_directory() {
        for (name, expected) in [
            ("web-1", "web-1"),
            ("a/b\\c", "a_b_c"),
            ("..", "machine"),
            ("../../etc/passwd", "_.._etc_passwd"),
            ("a%2fb", "a_2fb"),
            ("", "machine"),
        ] {
            assert_eq!(file_name(name), expected);
        }
    }
}
