//! Defects of the storage of images.
#![allow(clippy::unwrap_used, reason = "a panic is the failure of a test")]

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use portlayer::conformance::{self, Fixture, Process};
use portlayer::exec::Command;
use portlayer::image::{
    ChainId, Image, ImageId, ImageInfo, ImageListing, ImageUsage, Images, ImportOptions,
};
use portlayer::memory::{MemoryExec, MemoryImages};
use portlayer::{Error, ErrorKind, PortLayer, Resource, Result};

#[derive(Clone, Copy, Debug, PartialEq)]
enum Broken {
    /// Labels are not stored.
    LosesLabels,
    /// Every import opens the layers.
    ReadsAgain,
    /// Removing an image removes those with the same layers.
    RemovesTheLayers,
    /// Only one of several concurrent imports succeeds.
    ImportsAlone,
    /// A damaged layer is an internal error.
    DamageIsInternal,
    /// Images for every platform are accepted.
    IgnoresPlatforms,
    /// An import that was dropped locks the image.
    StaysLocked,
    /// An image is removed although a container uses it.
    RemovesUsed,
}

const ALL: [(Broken, &str); 8] = [
    (Broken::LosesLabels, "an_import_is_described_and_removed"),
    (
        Broken::ReadsAgain,
        "an_image_that_is_there_is_not_read_again",
    ),
    (
        Broken::RemovesTheLayers,
        "images_with_the_same_layers_live_apart",
    ),
    (Broken::ImportsAlone, "of_many_imports_all_succeed"),
    (
        Broken::DamageIsInternal,
        "a_damaged_layer_is_refused_and_nothing_is_listed",
    ),
    (
        Broken::IgnoresPlatforms,
        "an_image_for_another_platform_is_refused_unread",
    ),
    (Broken::StaysLocked, "a_dropped_import_can_be_repeated"),
    (Broken::RemovesUsed, "an_image_in_use_is_not_removed"),
];

#[derive(Clone, Debug)]
struct Breaking {
    broken: Broken,
    exec: MemoryExec,
    images: MemoryImages,
    /// The images that are being imported, or whose import was dropped.
    busy: Arc<Mutex<BTreeSet<ImageId>>>,
}

impl Breaking {
    fn new(broken: Broken) -> Self {
        let exec = MemoryExec::new(conformance::memory::behaviour);
        let images = match broken {
            Broken::RemovesUsed => MemoryImages::new(),
            _ => MemoryImages::of(exec.clone()),
        };
        Self {
            broken,
            exec,
            images,
            busy: Arc::default(),
        }
    }

    async fn of_chain(&self, chain: ChainId) -> Result<Vec<ImageId>> {
        let images = self.images.list().await?.images.into_iter();
        let same = images.filter(|info| info.config.chain_id() == chain);
        Ok(same.map(|info| info.id).collect())
    }
}

#[async_trait]
impl Images for Breaking {
    async fn import(&self, image: Image, options: ImportOptions) -> Result<ImageInfo> {
        let id = image.id();
        let resource = Resource::image(id);
        let is_exclusive = matches!(self.broken, Broken::ImportsAlone | Broken::StaysLocked);
        if is_exclusive && !self.busy.lock().unwrap().insert(id) {
            return Err(Error::conflict(resource, []));
        }
        match self.broken {
            // Longer than the first time-outs of the case.
            Broken::StaysLocked => tokio::time::sleep(Duration::from_millis(30)).await,
            _ => tokio::task::yield_now().await,
        }
        if self.broken == Broken::ReadsAgain {
            for layer in image.layers() {
                layer
                    .open()
                    .map_err(|error| Error::internal(resource.clone(), error))?;
            }
        }
        let options = match self.broken {
            Broken::LosesLabels => ImportOptions::new().capacity(16 << 20),
            _ => options,
        };
        let imported = self.images.import(image.clone(), options).await;
        if is_exclusive {
            self.busy.lock().unwrap().remove(&id);
        }
        match (self.broken, imported) {
            (Broken::DamageIsInternal, Err(error)) => Err(Error::internal(resource, error)),
            (
                Broken::IgnoresPlatforms,
                Err(Error {
                    kind: ErrorKind::InvalidArgument { field },
                    ..
                }),
            ) if field != "layers" => Ok(ImageInfo::new(image.config().clone(), 0, 0)),
            (_, imported) => imported,
        }
    }

    async fn inspect(&self, id: &ImageId) -> Result<ImageInfo> {
        self.images.inspect(id).await
    }

    async fn list(&self) -> Result<ImageListing> {
        self.images.list().await
    }

    async fn remove(&self, id: &ImageId) -> Result<()> {
        if self.broken == Broken::RemovesTheLayers {
            let chain = self.inspect(id).await?.config.chain_id();
            for id in self.of_chain(chain).await? {
                self.images.remove(&id).await?;
            }
            return Ok(());
        }
        self.images.remove(id).await
    }

    async fn usage(&self) -> Result<ImageUsage> {
        self.images.usage().await
    }

    async fn prune(&self) -> Result<Vec<String>> {
        self.images.prune().await
    }
}

#[async_trait]
impl Fixture for Breaking {
    async fn open(&self) -> Result<PortLayer> {
        Ok(PortLayer::new(self.exec.clone()).with_images(Arc::new(self.clone())))
    }

    fn command(&self, process: Process) -> Command {
        conformance::memory::command(process)
    }
}

#[tokio::test]
async fn every_broken_promise_about_images_is_noticed() {
    for (broken, expected) in ALL {
        let case = conformance::cases()
            .iter()
            .find(|case| case.name == expected);
        let verdict = case.unwrap().run_alone(&Breaking::new(broken)).await;
        assert!(
            matches!(verdict, conformance::Verdict::Failed(_)),
            "{broken:?} went unnoticed: {verdict:?}"
        );
    }
}
