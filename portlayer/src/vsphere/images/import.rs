//! Imports an image: converts the layers to a disk, uploads it, and records the image.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use disk_image::Monitor;
use futures_util::TryFutureExt;
use jiff::Timestamp;
use tokio::sync::watch;
use tracing::Instrument;
use uuid::Uuid;
use vim25::types::VirtualMachineConfigSpec;
use vim25::{Ref, mo};
use vsphere_client::nfc::Lease;

use super::Shared;
use super::lookup::Found;
use super::machine;
use super::record::{self, ImageRecord, TooLarge};
use crate::disk::layers::{self, report};
use crate::disk::spool::Spool;
use crate::image::{Image, ImageInfo, ImportOptions, ImportPhase, platform};
use crate::vsphere::endpoint::Written;
use crate::vsphere::index::Seen;
use crate::vsphere::machine_spec::options;
use crate::vsphere::record::Keys;
use crate::vsphere::{room, space};
use crate::{Error, ErrorKind, Resource, Result};

/// Maximum number of attempts of an import while other writers overtake or interrupt it.
const ROUNDS: u32 = 5;

/// The names of the imports of this process that are in progress.
#[derive(Debug, Default)]
pub(super) struct Live {
    writers: Mutex<BTreeSet<String>>,
}

impl Live {
    pub(super) fn contains(&self, writer: &str) -> bool {
        let writers = self.writers.lock().unwrap_or_else(PoisonError::into_inner);
        writers.contains(writer)
    }

    fn begin(self: &Arc<Self>) -> Writer {
        let name = Uuid::new_v4().simple().to_string();
        let mut writers = self.writers.lock().unwrap_or_else(PoisonError::into_inner);
        writers.insert(name.clone());
        Writer {
            name,
            live: Arc::clone(self),
        }
    }
}

/// One import of this process, identified by a random name.
struct Writer {
    name: String,
    live: Arc<Live>,
}

impl Drop for Writer {
    fn drop(&mut self) {
        let writers = self.live.writers.lock();
        let mut writers = writers.unwrap_or_else(PoisonError::into_inner);
        writers.remove(&self.name);
    }
}

/// The rest of an import that no longer needs the layers.
enum Prepared {
    /// The disk exists: the image has to be recorded on it.
    Present(Box<Found>),
    /// The disk was uploaded: the lease has to be completed.
    Sent(Box<Sent>),
}

struct Sent {
    lease: Lease,
    info: ImageInfo,
    writer: Writer,
    /// The number of bytes that the disk occupies.
    /// The unpacked size of the files in bytes.
    size: u64,
}

/// Runs an import in a separate task. Dropping the future stops the import where it leaves nothing
/// behind; an import that only has to be recorded is finished.
pub(super) async fn start(
    shared: Arc<Shared>,
    image: Image,
    options: ImportOptions,
) -> Result<ImageInfo> {
    validate(&image, &shared.options.architecture)?;
    let resource = Resource::image(image.id());
    // Dropped together with this future, which notifies the task.
    let (_caller, stop) = watch::channel(());
    let import = async move { shared.import(&image, &options, stop).await };
    tokio::spawn(import.in_current_span())
        .unwrap_or_else(|error| Err(Error::internal(resource, error)))
        .await
}

/// Checks everything that can be checked without reading a layer.
fn validate(image: &Image, architecture: &str) -> Result<()> {
    platform::check(image, architecture)?;
    let refuse = |field, reason: String| {
        Err(Error::invalid_argument(
            Resource::image(image.id()),
            field,
            reason,
        ))
    };
    let declared = image.config().diff_ids();
    let layers = image.layers();
    if layers.len() != declared.len() {
        return refuse(
            "layers",
            format!(
                "there are {} layers, but the configuration names {}",
                layers.len(),
                declared.len()
            ),
        );
    }
    for (number, (layer, diff_id)) in layers.iter().zip(declared).enumerate() {
        if layer.diff_id != *diff_id {
            return refuse(
                "layers",
                format!(
                    "layer {number} is {}, but the configuration names {diff_id}",
                    layer.diff_id
                ),
            );
        }
    }
    Ok(())
}

impl Shared {
    async fn import(
        &self,
        image: &Image,
        options: &ImportOptions,
        mut stop: watch::Receiver<()>,
    ) -> Result<ImageInfo> {
        let resource = Resource::image(image.id());
        let chain = image.config().chain_id();
        let monitor = Monitor::new();
        let mut rounds = 0;
        loop {
            let prepare = async {
                let turn = self.chains.turn(chain).await;
                let prepared = self.prepare(image, options, &monitor).await?;
                Ok::<_, Error>((turn, prepared))
            };
            let (turn, prepared) = tokio::select! {
                prepared = prepare => prepared?,
                () = dropped(&mut stop) => {
                    monitor.cancel();
                    return Err(Error::internal(resource, "the import was dropped"));
                }
            };
            report(options, ImportPhase::Record, 0, None);
            let finished = match prepared {
                Prepared::Present(found) => self.add(*found, image, options).await?,
                Prepared::Sent(sent) => self.complete(*sent, image).await?,
            };
            drop(turn);
            rounds += 1;
            match finished {
                Some(info) => return Ok(info),
                None if rounds < ROUNDS => {}
                None => return Err(Error::conflict(resource, [])),
            }
        }
    }

    /// Performs the part of an import that can be cancelled.
    async fn prepare(
        &self,
        image: &Image,
        options: &ImportOptions,
        monitor: &Monitor,
    ) -> Result<Prepared> {
        let chain = image.config().chain_id();
        let mut rounds = 0;
        loop {
            match self.find_chain(&chain).await? {
                Some(found) if found.is_done() => return Ok(Prepared::Present(Box::new(found))),
                Some(found) => self.settle(&found).await?,
                None => match self.send(image, options, monitor).await {
                    // Another writer started an import of the same layers concurrently.
                    Err(Error {
                        kind: ErrorKind::AlreadyExists,
                        ..
                    }) if rounds < ROUNDS => rounds += 1,
                    sent => return Ok(Prepared::Sent(Box::new(sent?))),
                },
            }
        }
    }

    /// Creates the disk and uploads it.
    async fn send(
        &self,
        image: &Image,
        options: &ImportOptions,
        monitor: &Monitor,
    ) -> Result<Sent> {
        let resource = Resource::image(image.id());
        // The semaphore is never closed.
        let _slot = self.transfers.acquire().await.ok();
        let chain = image.config().chain_id();
        let uuid = Uuid::new_v5(&Uuid::NAMESPACE_OID, chain.to_string().as_bytes());
        let directory = self.options.temporary_directory.clone();
        let directory = directory.unwrap_or_else(std::env::temp_dir);
        let laid = {
            let (image, options, monitor) = (image.clone(), options.clone(), monitor.clone());
            let directory = directory.clone();
            blocking(&resource, move || {
                layers::lay_out(&image, &directory, &options, uuid, &monitor)
            })
            .await?
        };
        let (size, capacity) = (laid.size, laid.capacity);
        let spool = {
            let (image, options, monitor) = (image.clone(), options.clone(), monitor.clone());
            blocking(&resource, move || {
                Spool::write(&laid, &directory, &image, &options, &monitor)
            })
            .await?
        };

        let writer = self.live.begin();
        let info = describe(image, options, size, capacity);
        let mut record = ImageRecord::new(chain, writer.name.clone(), size, capacity);
        record.images.push(info.clone());
        let keys = record.keys().map_err(|error| too_large(&resource, error))?;
        let spec = machine::spec(&self.objects, &chain, capacity, keys);
        let objects = &self.objects;
        let folder = objects.image_folder.as_ref().unwrap_or(&objects.folder);
        let lease = self
            .endpoint
            .import(folder, &self.objects.pool, spec, &resource)
            .await;
        let lease = match lease {
            Ok(lease) => lease,
            Err(error) => {
                let (endpoint, objects) = (&self.endpoint, &self.objects);
                let (index, needed) = (&self.index, Some(size));
                return Err(
                    room::explain(endpoint, objects, index, &resource, needed, error).await,
                );
            }
        };
        if let Err(error) = self.upload(&lease, spool, options, &resource).await {
            // The lease is kept until the free space is known, because its end frees some.
            return Err(self.explain(&resource, size, error).await);
        }
        Ok(Sent {
            lease,
            info,
            writer,
            size,
        })
    }

    async fn upload(
        &self,
        lease: &Lease,
        spool: Spool,
        options: &ImportOptions,
        resource: &Resource,
    ) -> Result<()> {
        let length = spool.length;
        let observer = options.observer.clone();
        let progress = move |done| {
            let options = ImportOptions {
                observer: observer.clone(),
                ..ImportOptions::default()
            };
            report(&options, ImportPhase::Write, done, Some(length));
        };
        let file = tokio::fs::File::from_std(spool.file);
        self.endpoint
            .send_disk(lease, file, length, progress, resource)
            .await
    }

    /// Returns the error of an import whose files have this `size`: says so if there is no
    /// space for them.
    async fn explain(&self, resource: &Resource, size: u64, error: Error) -> Error {
        let (endpoint, objects) = (&self.endpoint, &self.objects);
        space::explain(endpoint, objects, resource, Some(size), error).await
    }

    /// Completes an uploaded image. Returns `None` if another writer took it over.
    async fn complete(&self, sent: Sent, image: &Image) -> Result<Option<ImageInfo>> {
        let resource = Resource::image(image.id());
        let Sent {
            lease,
            info,
            writer,
            size,
        } = sent;
        let vm = match self.endpoint.complete(lease, &resource).await {
            Ok(vm) => vm,
            Err(error) => return Err(self.explain(&resource, size, error).await),
        };
        match self.mark(&vm, &writer, &resource).await {
            Ok(true) => {
                self.endpoint.disable_destroy(&vm, &resource).await;
                self.make_template(&vm, &resource).await;
                tracing::debug!(image = %info.id, "imported");
                Ok(Some(info))
            }
            Ok(false) => Ok(None),
            Err(error) => {
                let error = self.explain(&resource, size, error).await;
                // Best effort: the next import or `prune` finds the leftovers.
                if let Err(error) = self.discard(&vm, &resource).await {
                    tracing::warn!(%error, image = %info.id, "left behind by a failed import");
                }
                Err(error)
            }
        }
    }

    /// Marks the disk as complete, as the last write of an import. Returns whether this writer
    /// still owns the machine.
    async fn mark(
        &self,
        vm: &Ref<mo::VirtualMachine>,
        writer: &Writer,
        resource: &Resource,
    ) -> Result<bool> {
        let mut tries = 0;
        let mut is_protected = false;
        loop {
            let Some(found) = self.reread(vm, resource).await? else {
                return Ok(false);
            };
            if found.record.writer != writer.name {
                return Ok(false);
            }
            // This fails if the endpoint did not create the disk.
            let root = self.root_of(&found, resource).await?;
            if !is_protected {
                // Best effort: an endpoint without descriptors stores the image all the same.
                let datastore = &self.objects.datastore;
                self.endpoint
                    .set_protected(datastore, &root.file, true, resource)
                    .await?;
                is_protected = true;
            }
            match self
                .write(&found, record::done(Timestamp::now()), resource)
                .await
            {
                Err(error) if error.is_conflict() && tries < self.conflict_retries() => {
                    tries += 1;
                }
                Err(error) if error.is_not_found() => return Ok(false),
                written => return written.map(|()| true),
            }
        }
    }

    /// Records an image on a complete disk. Returns `None` if the disk was removed.
    async fn add(
        &self,
        mut found: Found,
        image: &Image,
        options: &ImportOptions,
    ) -> Result<Option<ImageInfo>> {
        let resource = Resource::image(image.id());
        let mut tries = 0;
        loop {
            if let Some(info) = found.record.image(&image.id()) {
                return Ok(Some(info.clone()));
            }
            let (size, capacity) = (found.record.size, found.record.capacity);
            let info = describe(image, options, size, capacity);
            let entry = found.record.entry(&info);
            let keys = entry.map_err(|error| too_large(&resource, error))?;
            match self.write(&found, keys, &resource).await {
                Ok(()) => {
                    self.make_template(&found.machine.vm, &resource).await;
                    return Ok(Some(info));
                }
                Err(error) if error.is_conflict() && tries < self.conflict_retries() => {
                    tries += 1;
                }
                Err(error) if error.is_not_found() => return Ok(None),
                Err(error) => return Err(error),
            }
            found = match self.reread(&found.machine.vm, &resource).await? {
                Some(again) if again.is_done() => again,
                _ => return Ok(None),
            };
        }
    }

    /// Changes keys of an image's machine; an empty value removes a key. Fails if the machine was
    /// changed after it was read. Returns when the index shows the change.
    pub(super) async fn write(&self, found: &Found, keys: Keys, resource: &Resource) -> Result<()> {
        let wanted = keys.clone();
        let found = self.changeable(found, resource).await?;
        let change = VirtualMachineConfigSpec {
            change_version: found.machine.change_version.clone(),
            extra_config: options(keys),
            ..VirtualMachineConfigSpec::default()
        };
        let vm = &found.machine.vm;
        if let Err(error) = self.endpoint.reconfigure(vm, &change, resource).await {
            return Err(self.refused(resource, error));
        }
        let shows = |seen: &Seen| {
            let keys = seen.keys.unpack();
            let value = |key| keys.get(key).map_or("", String::as_str);
            wanted.iter().all(|(key, text)| value(key) == text)
        };
        let written = self.index.written(vm, resource, Written::Change, shows);
        if let Err(error) = written.await {
            // The change itself has been made.
            tracing::debug!(%resource, %error, "a change may not be visible yet");
        }
        Ok(())
    }

    /// Reads the machine again; returns `None` if it was removed or does not belong to an image.
    pub(super) async fn reread(
        &self,
        vm: &Ref<mo::VirtualMachine>,
        resource: &Resource,
    ) -> Result<Option<Found>> {
        match self.index.read(vm, resource).await {
            Ok(machine) => match machine.image() {
                Some(Ok(_)) => Ok(Found::new(&machine)),
                Some(Err(reason)) => Err(Error::internal(resource.clone(), reason.to_owned())),
                None => Ok(None),
            },
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// Waits until the caller of an operation has dropped its future.
pub(super) async fn dropped(stop: &mut watch::Receiver<()>) {
    while stop.changed().await.is_ok() {}
}

async fn blocking<T: Send + 'static>(
    resource: &Resource,
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    let span = tracing::Span::current();
    let work = move || span.in_scope(work);
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|error| Err(Error::internal(resource.clone(), error)))
}

fn describe(image: &Image, options: &ImportOptions, size: u64, capacity: u64) -> ImageInfo {
    let mut info = ImageInfo::new(image.config().clone(), size, capacity);
    // Only whole seconds are stored, because clocks are not more precise.
    info.imported = Timestamp::from_second(Timestamp::now().as_second()).ok();
    info.labels = options.labels.clone();
    info
}

fn too_large(resource: &Resource, error: TooLarge) -> Error {
    Error::invalid_argument(resource.clone(), error.field(), error)
}
