//! Uploads the boot images of a host: both at the same time, with retries. An installation that is
//! resumed sends only what an earlier one has not uploaded completely.

use sha2::{Digest as _, Sha256};
use tokio::io::AsyncReadExt as _;
use tokio::sync::Mutex;
use vim25::{Ref, mo};

use super::install::{Job, Reporter};
use super::lookup::{APPLIANCE_ISO, BOOTSTRAP_ISO, Found};
use super::undo::Made;
use super::{HostSpec, InstallStatus, InstallStep, Iso, Shared};
use crate::vsphere::host_record::{HostRecord, Uploaded};
use crate::vsphere::kind;
use crate::vsphere::space;
use crate::{Error, ErrorKind, Resource, Result};

/// Maximum number of attempts of an upload, as in VIC's installer.
const UPLOADS: u32 = 5;

/// Size of the buffer with which a local file is read.
const BUFFER: usize = 256 << 10;

/// One image to upload.
struct Image<'a> {
    step: InstallStep,
    file: &'static str,
    iso: &'a Iso,
}

impl Shared {
    /// Uploads both images, and records each when it is complete. If one cannot be uploaded, the
    /// other upload is stopped.
    pub(super) async fn upload_images(
        &self,
        job: &Job<'_>,
        vm: &Ref<mo::VirtualMachine>,
        report: &Reporter<'_>,
        made: &mut Made,
    ) -> Result<(), (InstallStep, Error)> {
        let directory = made.directory();
        let images = images(job.spec);
        // From here on, the files or parts of them may exist.
        for image in &images {
            let path = format!("{directory}/{}", image.file);
            made.files.push((image.step, path));
        }
        let unfinished = job.resolved.unfinished.as_ref();
        let recorded = unfinished.map_or(&[][..], |found| &found.record.uploaded);
        let complete = Mutex::new(Vec::new());
        let upload = async |image: &Image<'_>| {
            let upload = async {
                let known = describe(image, &job.host).await?;
                let path = format!("{directory}/{}", image.file);
                if recorded.contains(&known) && self.is_uploaded(&path, known.size, job).await? {
                    tracing::debug!(path, "an earlier installation has uploaded it");
                    let (done, total) = (known.size, Some(known.size));
                    let status = InstallStatus::Transferred { done, total };
                    report.tell(image.step, status);
                } else {
                    self.send(job, image, (&path, known.size), report).await?;
                }
                // The endpoint changes a machine only once at a time.
                let mut complete = complete.lock().await;
                complete.push(known);
                let keys = HostRecord::uploaded_key(&complete, self.options.dialect)
                    .map_err(|error| Error::internal(job.host.clone(), error))?;
                self.write_owned(vm, keys, job).await
            };
            report.step(image.step, upload).await
        };
        let [first, second] = &images;
        tokio::try_join!(upload(first), upload(second))?;
        Ok(())
    }

    /// Returns whether an unfinished installation has uploaded these images.
    pub(super) async fn has_images(&self, spec: &HostSpec, unfinished: &Found) -> Result<bool> {
        for image in images(spec) {
            let known = describe(&image, &kind::host(&spec.name)).await?;
            if !unfinished.record.uploaded.contains(&known) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Returns whether a file has this size on the datastore.
    async fn is_uploaded(&self, path: &str, size: u64, job: &Job<'_>) -> Result<bool> {
        let datastore = &job.resolved.datastore;
        let resource = Resource::new(kind::FILE, path);
        let found = self.endpoint.file_size(datastore, path, &resource).await?;
        Ok(found == Some(size))
    }

    async fn send(
        &self,
        job: &Job<'_>,
        image: &Image<'_>,
        (path, size): (&str, u64),
        report: &Reporter<'_>,
    ) -> Result<()> {
        let step = image.step;
        let progress = |done, total| report.tell(step, InstallStatus::Transferred { done, total });
        let datastore = &job.resolved.datastore;
        let mut attempt = 1;
        loop {
            let sent = self.endpoint.upload(datastore, path, image.iso, &progress);
            let Err(mut error) = sent.await else {
                return Ok(());
            };
            if let ErrorKind::OutcomeUnknown { .. } = error.kind {
                // Whatever became of the file, sending it again replaces it.
                error.kind = ErrorKind::Unavailable { retry_after: None };
            }
            let resource = Resource::new(kind::FILE, path);
            let remedy = "free space on it, or choose another with `datastore`";
            let needs = (Some(size), remedy);
            let error = space::explain_on(&self.endpoint, datastore, &resource, needs, error).await;
            let may_pass = matches!(
                error.kind,
                ErrorKind::Unavailable { .. } | ErrorKind::Timeout { .. }
            );
            if attempt == UPLOADS || !may_pass {
                return Err(error);
            }
            tracing::warn!(path, %error, "retrying the upload");
            attempt += 1;
        }
    }
}

/// Returns the images of a host.
fn images(spec: &HostSpec) -> [Image<'_>; 2] {
    let image = |step, file, iso| Image { step, file, iso };
    [
        image(
            InstallStep::ApplianceIso,
            APPLIANCE_ISO,
            &spec.appliance_iso,
        ),
        image(
            InstallStep::BootstrapIso,
            BOOTSTRAP_ISO,
            &spec.bootstrap_iso,
        ),
    ]
}

/// Returns the size and the checksum of an image.
async fn describe(image: &Image<'_>, host: &Resource) -> Result<Uploaded> {
    let unreadable = |error: std::io::Error| {
        let field = match image.step {
            InstallStep::ApplianceIso => "appliance_iso",
            _ => "bootstrap_iso",
        };
        Error::invalid_argument(host.clone(), field, error)
    };
    let (size, digest) = checksum(image.iso).await.map_err(unreadable)?;
    Ok(Uploaded {
        file: image.file.to_owned(),
        size,
        sha256: digest.iter().map(|byte| format!("{byte:02x}")).collect(),
    })
}

async fn checksum(iso: &Iso) -> std::io::Result<(u64, [u8; 32])> {
    let path = match iso {
        Iso::Bytes(content) => {
            let size = content.len().try_into().unwrap_or(u64::MAX);
            return Ok((size, Sha256::digest(content).into()));
        }
        Iso::File(path) => path,
    };
    let mut file = tokio::fs::File::open(path).await?;
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; BUFFER];
    let mut size = 0;
    loop {
        let read = file.read(&mut buffer).await?;
        let Some(part) = buffer.get(..read).filter(|part| !part.is_empty()) else {
            return Ok((size, hasher.finalize().into()));
        };
        hasher.update(part);
        size += u64::try_from(read).unwrap_or_default();
    }
}
