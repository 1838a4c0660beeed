//! Images: stored completely or not at all, once, and with shared layers.

use std::io::{self, Cursor, Read};
use std::sync::Arc;
use std::time::Duration;

use crate::ContainerId;
use crate::conformance::Process;
use crate::conformance::check::{Bench, Check, Failure, ensure, ensure_eq};
use crate::conformance::tar::{self, BLOCK, Entry};
use crate::exec::RootFs;
use crate::image::{
    Digest, Image, ImageConfig, ImageId, ImportOptions, Layer, OpenLayer, ReadSeek,
};
use crate::{Error, ErrorKind, Result};

/// Returns a unique layer: a tar with one small file.
fn tar() -> Vec<u8> {
    let content = ContainerId::generate().to_string();
    tar::write(&[Entry::file("conformance", content)])
}

pub(super) fn layer(diff_id: Digest, tar: &[u8]) -> Layer {
    let tar: Arc<[u8]> = tar.into();
    Layer::new(diff_id, move || {
        Ok(Box::new(Cursor::new(Arc::clone(&tar))) as Box<dyn Read + Send>)
    })
}

/// Returns a layer that can be read at any offset, as from a file.
pub(super) fn seekable(diff_id: Digest, tar: &[u8]) -> Layer {
    Layer::new(diff_id, InMemory(tar.into()))
}

struct InMemory(Arc<[u8]>);

impl OpenLayer for InMemory {
    fn open(&self) -> io::Result<Box<dyn Read + Send>> {
        Ok(Box::new(Cursor::new(Arc::clone(&self.0))))
    }

    fn open_seekable(&self) -> io::Result<Option<Box<dyn ReadSeek>>> {
        Ok(Some(Box::new(Cursor::new(Arc::clone(&self.0)))))
    }
}

fn unreadable(diff_id: Digest) -> Layer {
    Layer::new(diff_id, || {
        Err(io::Error::other("the layer must not be read"))
    })
}

pub(super) fn config(diff_id: Digest, command: &str) -> Result<ImageConfig, Failure> {
    config_for("linux", "amd64", diff_id, command)
}

fn config_for(
    os: &str,
    architecture: &str,
    diff_id: Digest,
    command: &str,
) -> Result<ImageConfig, Failure> {
    let json = format!(
        r#"{{"os":"{os}","architecture":"{architecture}","config":{{"Cmd":["{command}"]}},
            "rootfs":{{"type":"layers","diff_ids":["{diff_id}"]}}}}"#
    );
    ImageConfig::parse(json).map_err(Failure::new)
}

/// Returns options with a small capacity, to keep the cases fast.
pub(super) fn options() -> ImportOptions {
    ImportOptions::new().capacity(16 << 20)
}

/// Imports an image for a container of another case. If images are not supported, only returns an
/// id.
pub(super) async fn stored(bench: &Bench<'_>) -> Result<ImageId, Failure> {
    let tar = tar();
    let diff_id = Digest::of(&tar);
    let image = Image::new(config(diff_id, "/a")?, [layer(diff_id, &tar)]);
    if bench.has_images() {
        bench.images().import(image.clone(), options()).await?;
    }
    Ok(image.id())
}

/// Removes the image.
pub(super) async fn clear(bench: &Bench<'_>, image: &ImageId) -> Check {
    if bench.has_images() {
        bench.images().remove(image).await?;
    }
    Ok(())
}

pub(super) async fn an_import_is_described_and_removed(bench: &Bench<'_>) -> Check {
    let images = bench.images();
    let tar = tar();
    let diff_id = Digest::of(&tar);
    let image = Image::new(config(diff_id, "/a")?, [layer(diff_id, &tar)]);
    let id = image.id();
    ensure!(images.inspect(&id).await, Err(ref error) if error.is_not_found());
    let labelled = options().label("reference", "conformance:latest");
    let info = images.import(image.clone(), labelled).await?;
    ensure_eq!(info.id, id);
    ensure_eq!(&info.config, image.config());
    ensure_eq!(info.capacity, 16 << 20);
    ensure!(
        info.labels.get("reference").map(String::as_str),
        Some("conformance:latest")
    );
    ensure_eq!(images.inspect(&id).await?, info);
    let again = bench.reopen().await?;
    let listed = again.images().list().await?.images;
    ensure_eq!(
        listed.into_iter().find(|image| image.id == id),
        Some(info.clone())
    );
    again.images().prune().await?;
    ensure_eq!(images.inspect(&id).await?, info);
    let usage = images.usage().await?;
    ensure!(usage.users.get(&id), None);

    images.remove(&id).await?;
    ensure!(images.inspect(&id).await, Err(ref error) if error.is_not_found());
    ensure!(images.remove(&id).await, Err(ref error) if error.is_not_found());
    let listed = again.images().list().await?.images;
    ensure!(listed.iter().find(|image| image.id == id), None);
    Ok(())
}

pub(super) async fn an_image_that_is_there_is_not_read_again(bench: &Bench<'_>) -> Check {
    let images = bench.images();
    let tar = tar();
    let diff_id = Digest::of(&tar);
    let config = config(diff_id, "/a")?;
    let image = Image::new(config.clone(), [layer(diff_id, &tar)]);
    let first = images.import(image, options()).await?;
    let again = Image::new(config, [unreadable(diff_id)]);
    let second = images.import(again, options()).await;
    images.remove(&first.id).await?;
    ensure_eq!(second?, first);
    Ok(())
}

pub(super) async fn images_with_the_same_layers_live_apart(bench: &Bench<'_>) -> Check {
    let images = bench.images();
    let tar = tar();
    let diff_id = Digest::of(&tar);
    let one = Image::new(config(diff_id, "/a")?, [layer(diff_id, &tar)]);
    // Its layers are already stored, so they are not read again.
    let two = Image::new(config(diff_id, "/b")?, [unreadable(diff_id)]);
    images.import(one.clone(), options()).await?;
    let second = images.import(two, options()).await;
    images.remove(&one.id()).await?;
    let second = second?;
    ensure!(images.inspect(&one.id()).await, Err(ref error) if error.is_not_found());
    ensure_eq!(images.inspect(&second.id).await?, second);
    images.remove(&second.id).await?;
    Ok(())
}

pub(super) async fn of_many_imports_all_succeed(bench: &Bench<'_>) -> Check {
    let tar = tar();
    let diff_id = Digest::of(&tar);
    let image = Image::new(config(diff_id, "/a")?, [layer(diff_id, &tar)]);
    let other = bench.reopen().await?;
    let imports = (0..6).map(|number| {
        let images = match number % 2 {
            0 => bench.images(),
            _ => other.images(),
        };
        images.import(image.clone(), options())
    });
    let imported = futures_util::future::join_all(imports).await;
    let listed = bench.images().list().await?.images;
    let stored = listed.iter().filter(|info| info.id == image.id()).count();
    bench.images().remove(&image.id()).await?;
    for info in imported {
        ensure_eq!(info?.id, image.id());
    }
    ensure_eq!(stored, 1);
    Ok(())
}

pub(super) async fn a_damaged_layer_is_refused_and_nothing_is_listed(bench: &Bench<'_>) -> Check {
    let images = bench.images();
    let good = tar();
    let diff_id = Digest::of(&good);
    let mut damaged = good.clone();
    if let Some(byte) = damaged.get_mut(BLOCK) {
        *byte ^= 1;
    }
    let other = Digest::of(b"another layer");
    for layer in [
        layer(diff_id, &damaged),
        layer(diff_id, good.get(..BLOCK + 10).unwrap_or_default()),
        layer(other, &good),
        seekable(diff_id, &damaged),
        seekable(diff_id, good.get(..BLOCK + 10).unwrap_or_default()),
        seekable(other, &good),
        unreadable(diff_id),
    ] {
        let image = Image::new(config(diff_id, "/a")?, [layer]);
        let id = image.id();
        ensure!(
            images.import(image, options()).await,
            Err(Error {
                kind: ErrorKind::InvalidArgument { field: "layers" },
                ..
            })
        );
        ensure!(images.inspect(&id).await, Err(ref error) if error.is_not_found());
    }
    Ok(())
}

pub(super) async fn an_image_for_another_platform_is_refused_unread(bench: &Bench<'_>) -> Check {
    let images = bench.images();
    let diff_id = Digest::of(tar());
    for (os, architecture, field) in [
        ("windows", "amd64", "os"),
        ("linux", "s390x", "architecture"),
        ("linux", "x86_64", "architecture"),
    ] {
        let config = config_for(os, architecture, diff_id, "/a")?;
        let image = Image::new(config, [unreadable(diff_id)]);
        let id = image.id();
        let refused = images.import(image, options()).await;
        ensure!(
            refused.map_err(|error| error.kind),
            Err(ErrorKind::InvalidArgument { field: named }) if named == field
        );
        ensure!(images.inspect(&id).await, Err(ref error) if error.is_not_found());
    }
    Ok(())
}

pub(super) async fn a_dropped_import_can_be_repeated(bench: &Bench<'_>) -> Check {
    let images = bench.images();
    let tar = tar();
    let diff_id = Digest::of(&tar);
    let image = Image::new(config(diff_id, "/a")?, [layer(diff_id, &tar)]);
    for milliseconds in [0, 1, 5, 20, 50] {
        let import = images.import(image.clone(), options());
        let limit = Duration::from_millis(milliseconds);
        if tokio::time::timeout(limit, import).await.is_ok() {
            break;
        }
    }
    let info = images.import(image.clone(), options()).await?;
    ensure_eq!(images.inspect(&image.id()).await?, info);
    images.remove(&image.id()).await?;
    Ok(())
}

pub(super) async fn an_image_in_use_is_not_removed(bench: &Bench<'_>) -> Check {
    let images = bench.images();
    let tar = tar();
    let diff_id = Digest::of(&tar);
    let used = Image::new(config(diff_id, "/a")?, [layer(diff_id, &tar)]);
    let unused = Image::new(config(diff_id, "/b")?, [layer(diff_id, &tar)]);
    for image in [&used, &unused] {
        images.import(image.clone(), options()).await?;
    }
    let root = RootFs::image(used.id(), "conformance:latest");
    let spec = bench.spec(Process::Runs).root(root.clone());
    let container = bench.exec().create(spec.clone()).await?;
    ensure_eq!(bench.exec().inspect(&container).await?.root, root);
    let refused = images.remove(&used.id()).await;
    let usage = images.usage().await?;
    // Another image with the same layers is unaffected.
    images.remove(&unused.id()).await?;
    let still_refused = images.remove(&used.id()).await;
    bench.exec().remove(&container).await?;
    let info = images.inspect(&used.id()).await;
    images.remove(&used.id()).await?;
    for refused in [refused, still_refused] {
        ensure!(
            refused,
            Err(Error { kind: ErrorKind::InUse { ref by }, .. }) if **by == *spec.name
        );
    }
    ensure_eq!(usage.users.get(&used.id()), Some(&vec![container]));
    ensure!(usage.users.get(&unused.id()), None);
    ensure_eq!(&info?.config, used.config());
    Ok(())
}
