//! In-memory images: layers are read and verified, but only the metadata and the way to read the
//! layers again is kept.

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use jiff::Timestamp;
use sha2::{Digest as _, Sha256};

use super::MemoryExec;
#[cfg(feature = "vsphere")]
use crate::archive::TarStream;
use crate::exec::ContainerInfo;
use crate::image::{
    ChainId, Digest, Image, ImageId, ImageInfo, ImageListing, ImageUsage, Images, ImportOptions,
    ImportPhase, ImportProgress, Layer,
    platform::{self, AMD64},
};
use crate::queue::Queues;
use crate::{Error, Resource, Result};

/// The default capacity of an image: 8 GiB.
const CAPACITY: u64 = 8 << 30;

/// An in-memory store of images. Clones share the images.
///
/// Layers are read to their end. Uncompressed layers are verified against their diff ids; for
/// compressed ones, only a declared digest of the stored bytes is verified. Images have to be for
/// `amd64`, as those of a host are.
///
/// An [`export`](Images::export) opens the layers again, so what they are read from must still
/// exist. It needs the feature `vsphere`, whose disks merge the layers.
#[derive(Clone, Debug, Default)]
pub struct MemoryImages {
    shared: Arc<Shared>,
    containers: Option<MemoryExec>,
}

#[derive(Debug, Default)]
struct Shared {
    images: Mutex<BTreeMap<ImageId, Stored>>,
    chains: Queues<ChainId>,
}

#[derive(Clone, Debug)]
struct Stored {
    info: ImageInfo,
    /// The image with layers that were read and verified.
    image: Image,
}

impl MemoryImages {
    /// Creates an empty store.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Creates an empty store whose images are used by these containers.
    #[must_use]
    pub fn of(containers: MemoryExec) -> Self {
        Self {
            containers: Some(containers),
            ..Self::default()
        }
    }

    fn users(&self, id: &ImageId) -> Vec<ContainerInfo> {
        let all = self.containers.iter().flat_map(MemoryExec::all);
        all.filter(|container| container.root.image_id() == Some(id))
            .collect()
    }

    fn find(&self, id: &ImageId) -> Result<Stored> {
        let found = self.lock().get(id).cloned();
        found.ok_or_else(|| Error::not_found(Resource::image(id)))
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<ImageId, Stored>> {
        let images = self.shared.images.lock();
        images.unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns a stored image with these layers.
    fn with_layers(&self, chain: &ChainId) -> Option<Stored> {
        let images = self.lock();
        let mut images = images.values();
        images
            .find(|stored| stored.info.config.chain_id() == *chain)
            .cloned()
    }
}

#[async_trait]
impl Images for MemoryImages {
    async fn import(&self, image: Image, options: ImportOptions) -> Result<ImageInfo> {
        let resource = Resource::image(image.id());
        let refuse = |reason: String| Error::invalid_argument(resource.clone(), "layers", reason);
        let chain = image.config().chain_id();
        let _turn = self.shared.chains.turn(chain).await;
        if let Some(stored) = self.lock().get(&image.id()) {
            return Ok(stored.info.clone());
        }
        platform::check(&image, AMD64)?;
        let declared = image.config().diff_ids();
        let given = image.layers().iter().map(|layer| &layer.diff_id);
        if !given.eq(declared) {
            return Err(refuse("they differ from those in the configuration".into()));
        }
        let (layers, size, capacity) = match self.with_layers(&chain) {
            Some(Stored { info, image }) => (image, info.size, info.capacity),
            None => {
                let reading = (image.clone(), options.clone());
                let size = tokio::task::spawn_blocking(move || read(&reading.0, &reading.1))
                    .await
                    .map_err(|error| Error::internal(resource.clone(), error))?
                    .map_err(refuse)?;
                (image.clone(), size, options.capacity.unwrap_or(CAPACITY))
            }
        };
        let mut info = ImageInfo::new(image.config().clone(), size, capacity);
        info.imported = Some(Timestamp::now());
        info.labels = options.labels.clone();
        report(&options, ImportPhase::Record);
        let stored = Stored {
            info: info.clone(),
            image: Image::new(image.config().clone(), layers.layers().iter().cloned()),
        };
        self.lock().insert(info.id, stored);
        Ok(info)
    }

    #[cfg(feature = "vsphere")]
    async fn export(&self, id: &ImageId) -> Result<TarStream> {
        crate::disk::files::merged(self.find(id)?.image).await
    }

    async fn inspect(&self, id: &ImageId) -> Result<ImageInfo> {
        Ok(self.find(id)?.info)
    }

    async fn list(&self) -> Result<ImageListing> {
        let stored = self.lock();
        let mut images: Vec<_> = stored.values().map(|stored| stored.info.clone()).collect();
        images.sort_by_key(|image| (image.imported, image.id));
        Ok(ImageListing::new(images))
    }

    async fn remove(&self, id: &ImageId) -> Result<()> {
        let users = self.users(id);
        let mut images = self.lock();
        if images.contains_key(id) && !users.is_empty() {
            let names: Vec<_> = users.into_iter().map(|user| user.name).collect();
            return Err(Error::in_use(Resource::image(id), names.join(", ")));
        }
        let removed = images.remove(id);
        removed
            .map(drop)
            .ok_or_else(|| Error::not_found(Resource::image(id)))
    }

    async fn usage(&self) -> Result<ImageUsage> {
        let chains: BTreeMap<_, _> = self
            .lock()
            .values()
            .map(|stored| (stored.info.config.chain_id(), stored.info.size))
            .collect();
        let bytes = chains.values().sum();
        let images = self.list().await?.images;
        let mut used = BTreeMap::new();
        let mut usage = ImageUsage::new(bytes, 0);
        for image in images {
            let users = self.users(&image.id);
            if !users.is_empty() {
                used.insert(image.config.chain_id(), image.size);
                let ids = users.into_iter().map(|user| user.id).collect();
                usage.users.insert(image.id, ids);
            }
        }
        usage.reclaimable = bytes - used.values().sum::<u64>();
        Ok(usage)
    }

    async fn prune(&self) -> Result<Vec<String>> {
        Ok(Vec::new())
    }
}

fn report(options: &ImportOptions, phase: ImportPhase) {
    if let Some(observer) = &options.observer {
        observer.observe(ImportProgress::new(phase, 0, None));
    }
}

/// Reads all layers. Returns their total size, or the reason why one is invalid.
fn read(image: &Image, options: &ImportOptions) -> Result<u64, String> {
    let mut size = 0;
    for layer in image.layers() {
        let diff_id = layer.diff_id;
        report(options, ImportPhase::Verify { layer: diff_id });
        size += verify(layer).map_err(|reason| format!("layer {diff_id}: {reason}"))?;
    }
    Ok(size)
}

fn verify(layer: &Layer) -> Result<u64, String> {
    let text = |error: io::Error| error.to_string();
    let mut reader = layer.open().map_err(text)?;
    let mut digest = Sha256::new();
    let mut size = 0;
    let mut is_compressed = false;
    let mut piece = vec![0; 64 << 10];
    loop {
        let read = reader.read(&mut piece).map_err(text)?;
        let Some(read) = piece.get(..read).filter(|read| !read.is_empty()) else {
            break;
        };
        if size == 0 {
            is_compressed = read.starts_with(b"\x1f\x8b") || read.starts_with(b"\x28\xb5\x2f\xfd");
        }
        digest.update(read);
        size += read.len() as u64;
    }
    let digest = Digest::from_bytes(digest.finalize().into());
    if layer.blob.is_some_and(|blob| blob != digest) {
        return Err(format!("its stored bytes have the digest {digest}"));
    }
    if !is_compressed && digest != layer.diff_id {
        return Err(format!("its content has the digest {digest}"));
    }
    Ok(size)
}
