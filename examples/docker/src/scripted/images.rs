//! Images of which only the descriptions are stored.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use jiff::Timestamp;
use portlayer::image::{
    Digest, Image, ImageId, ImageInfo, ImageListing, ImageUsage, Images, ImportOptions,
    ImportPhase, ImportProgress,
};
use portlayer::{Error, Resource, Result};

const CAPACITY: u64 = 8 << 30;

/// Reads images to their end and stores their configurations.
#[derive(Debug, Default)]
pub(super) struct ScriptedImages {
    images: Mutex<BTreeMap<ImageId, ImageInfo>>,
}

impl ScriptedImages {
    fn with<T>(&self, f: impl FnOnce(&mut BTreeMap<ImageId, ImageInfo>) -> T) -> T {
        f(&mut self.images.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[async_trait]
impl Images for ScriptedImages {
    async fn import(&self, image: Image, options: ImportOptions) -> Result<ImageInfo> {
        let id = image.id();
        if let Some(known) = self.with(|images| images.get(&id).cloned()) {
            return Ok(known);
        }
        let mut size = 0;
        for layer in image.layers().to_vec() {
            let diff_id = layer.diff_id;
            let observer = options.observer.clone();
            let read = tokio::task::spawn_blocking(move || {
                let mut count = 0;
                let mut block = vec![0; 64 * 1024];
                let mut reader = layer.open()?;
                loop {
                    let read = reader.read(&mut block)?;
                    if read == 0 {
                        return Ok::<u64, std::io::Error>(count);
                    }
                    count += read as u64;
                    if let Some(observer) = &observer {
                        let phase = ImportPhase::Verify { layer: diff_id };
                        observer.observe(ImportProgress::new(phase, count, layer.size));
                    }
                }
            });
            let refused = |error: std::io::Error| {
                Error::invalid_argument(Resource::image(id), "layers", error)
            };
            size += read
                .await
                .map_err(|error| Error::internal(Resource::image(id), error))?
                .map_err(refused)?;
        }
        let mut info = ImageInfo::new(image.config().clone(), size, CAPACITY);
        info.imported = Some(Timestamp::now());
        info.labels = options.labels;
        Ok(self.with(|images| images.entry(id).or_insert(info).clone()))
    }

    async fn inspect(&self, id: &ImageId) -> Result<ImageInfo> {
        self.with(|images| images.get(id).cloned())
            .ok_or_else(|| Error::not_found(Resource::image(id)))
    }

    async fn list(&self) -> Result<ImageListing> {
        let images = self.with(|images| images.values().cloned().collect());
        Ok(ImageListing::new(images))
    }

    async fn remove(&self, id: &ImageId) -> Result<()> {
        self.with(|images| images.remove(id))
            .map(drop)
            .ok_or_else(|| Error::not_found(Resource::image(id)))
    }

    async fn usage(&self) -> Result<ImageUsage> {
        let mut stacks: BTreeMap<Digest, u64> = BTreeMap::new();
        self.with(|images| {
            for image in images.values() {
                stacks.insert(*image.config.chain_id().digest(), image.size);
            }
        });
        Ok(ImageUsage::new(stacks.values().sum(), 0))
    }

    async fn prune(&self) -> Result<Vec<String>> {
        Ok(Vec::new())
    }
}
