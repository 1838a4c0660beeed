//! Defects of exports.
#![allow(clippy::unwrap_used, reason = "a panic is the failure of a test")]

use std::collections::BTreeMap;
use std::io::Read;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use portlayer::archive::TarStream;
use portlayer::conformance::{self, Fixture, Process};
use portlayer::exec::Command;
use portlayer::image::{
    Image, ImageId, ImageInfo, ImageListing, ImageUsage, Images, ImportOptions,
};
use portlayer::memory::{MemoryExec, MemoryImages};
use portlayer::{Error, PortLayer, Resource, Result};

#[derive(Clone, Copy, Debug, PartialEq)]
enum Broken {
    /// Only the files of the lowest layer are exported.
    LowestLayer,
    /// All files belong to root.
    LosesOwners,
    /// A stream ends early, without an error.
    EndsEarly,
    /// Two exports of one image differ.
    Varies,
    /// An unknown image has no files.
    UnknownIsEmpty,
    /// An image whose stream was dropped cannot be removed.
    StaysInUse,
    /// A stream fails when its image is removed.
    NeedsTheImage,
}

const FILES: &str = "the_files_of_an_image_are_read_back";
const DROPPED: &str = "an_export_is_dropped_repeated_and_outlives_the_image";

const ALL: [(Broken, &str); 7] = [
    (Broken::LowestLayer, FILES),
    (Broken::LosesOwners, FILES),
    (Broken::EndsEarly, FILES),
    (Broken::Varies, FILES),
    (Broken::UnknownIsEmpty, FILES),
    (Broken::StaysInUse, DROPPED),
    (Broken::NeedsTheImage, DROPPED),
];

#[derive(Clone, Debug)]
struct Breaking {
    broken: Broken,
    images: MemoryImages,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    imported: BTreeMap<ImageId, Image>,
    exports: usize,
    /// Streams that were dropped before their end.
    dropped: bool,
}

/// Notices that a stream is dropped before its end.
struct Watch {
    state: Arc<Mutex<State>>,
    ended: bool,
}

impl Drop for Watch {
    fn drop(&mut self) {
        if !self.ended {
            self.state.lock().unwrap().dropped = true;
        }
    }
}

fn of(bytes: Vec<u8>) -> TarStream {
    stream::iter([Ok(Bytes::from(bytes))]).boxed()
}

async fn collect(mut stream: TarStream) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    while let Some(piece) = stream.next().await {
        bytes.extend_from_slice(&piece?);
    }
    Ok(bytes)
}

/// Sets the owners of plain headers to 0, without touching the content of files.
fn without_owners(mut tar: Vec<u8>) -> Vec<u8> {
    let mut at = 0;
    while tar[at] != 0 {
        let header = &mut tar[at..at + 512];
        header[108..124].copy_from_slice(b"0000000\x000000000\0");
        header[148..156].fill(b' ');
        let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
        header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        let size = std::str::from_utf8(&header[124..135]).unwrap();
        let size = usize::from_str_radix(size, 8).unwrap();
        at += 512 + size.next_multiple_of(512);
    }
    tar
}

#[async_trait]
impl Images for Breaking {
    async fn import(&self, image: Image, options: ImportOptions) -> Result<ImageInfo> {
        let info = self.images.import(image.clone(), options).await?;
        self.state.lock().unwrap().imported.insert(info.id, image);
        Ok(info)
    }

    async fn export(&self, id: &ImageId) -> Result<TarStream> {
        let exported = match self.images.export(id).await {
            Err(_) if self.broken == Broken::UnknownIsEmpty => return Ok(of(vec![0; 1024])),
            exported => exported?,
        };
        let number = {
            let mut state = self.state.lock().unwrap();
            state.exports += 1;
            state.exports
        };
        Ok(match self.broken {
            Broken::LowestLayer => {
                let image = self.state.lock().unwrap().imported[id].clone();
                let mut bytes = Vec::new();
                let mut layer = image.layers()[0].open().unwrap();
                layer.read_to_end(&mut bytes).unwrap();
                of(bytes)
            }
            Broken::LosesOwners => of(without_owners(collect(exported).await?)),
            Broken::EndsEarly => {
                let mut bytes = collect(exported).await?;
                bytes.truncate(bytes.len() / 2);
                of(bytes)
            }
            Broken::Varies => {
                let mut bytes = collect(exported).await?;
                bytes.resize(bytes.len() + number * 512, 0);
                of(bytes)
            }
            Broken::StaysInUse => {
                let state = Arc::clone(&self.state);
                let watch = Watch {
                    state,
                    ended: false,
                };
                let watched =
                    stream::unfold((exported, watch), |(mut exported, mut watch)| async {
                        let piece = exported.next().await;
                        watch.ended = piece.is_none();
                        piece.map(|piece| (piece, (exported, watch)))
                    });
                watched.boxed()
            }
            Broken::NeedsTheImage => {
                let (images, id) = (self.images.clone(), *id);
                let checked = exported.then(move |piece| {
                    let images = images.clone();
                    async move {
                        images.inspect(&id).await?;
                        piece
                    }
                });
                checked.boxed()
            }
            Broken::UnknownIsEmpty => exported,
        })
    }

    async fn inspect(&self, id: &ImageId) -> Result<ImageInfo> {
        self.images.inspect(id).await
    }

    async fn list(&self) -> Result<ImageListing> {
        self.images.list().await
    }

    async fn remove(&self, id: &ImageId) -> Result<()> {
        if self.broken == Broken::StaysInUse && self.state.lock().unwrap().dropped {
            return Err(Error::in_use(Resource::image(id), "an export"));
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
        let exec = MemoryExec::new(conformance::memory::behaviour);
        Ok(PortLayer::new(exec).with_exportable_images(Arc::new(self.clone())))
    }

    fn command(&self, process: Process) -> Command {
        conformance::memory::command(process)
    }
}

#[tokio::test]
async fn every_broken_promise_about_exports_is_noticed() {
    for (broken, expected) in ALL {
        let fixture = Breaking {
            broken,
            images: MemoryImages::new(),
            state: Arc::default(),
        };
        for case in conformance::cases() {
            if case.name != expected {
                continue;
            }
            let verdict = case.run_alone(&fixture).await;
            assert!(
                matches!(verdict, conformance::Verdict::Failed(_)),
                "{broken:?} went unnoticed: {verdict:?}"
            );
        }
    }
}

#[tokio::test]
async fn a_part_that_only_describes_images_names_what_it_lacks() {
    let layer = PortLayer::new(MemoryExec::new(conformance::memory::behaviour))
        .with_images(Arc::new(MemoryImages::new()));
    let capabilities = layer.capabilities();
    assert!(capabilities.contains(portlayer::Capability::Images));
    assert!(!capabilities.contains(portlayer::Capability::DiskContents));
}
