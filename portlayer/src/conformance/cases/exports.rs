//! Exports: the files of an image are read back.

use std::time::Duration;

use futures_util::{StreamExt, TryStreamExt};

use super::images::{config, layer, options, seekable};
use crate::ContainerId;
use crate::archive::TarStream;
use crate::conformance::check::{Bench, Check, Failure, ensure, ensure_eq};
use crate::conformance::tar::{self, CHAR, DIRECTORY, Entry, FILE, HARD_LINK, SYMLINK};
use crate::image::{Digest, Image, ImageConfig, ImageId};

const TIME: u32 = 1_500_000_000;

async fn collect(stream: TarStream) -> Result<Vec<u8>, Failure> {
    let pieces: Vec<_> = stream.try_collect().await?;
    Ok(pieces.concat())
}

pub(super) async fn the_files_of_an_image_are_read_back(bench: &Bench<'_>) -> Check {
    let images = bench.images();
    let unique = ContainerId::generate().to_string();
    let kept = Entry {
        owner: (1000, 1001),
        time: TIME,
        mode: 0o4755,
        ..Entry::file("etc/kept", unique)
    };
    let directory = Entry {
        owner: (1, 2),
        time: TIME + 1,
        ..Entry::new("etc", DIRECTORY, 0o1750)
    };
    let symlink = Entry {
        link: "etc/kept".to_owned(),
        time: TIME + 2,
        ..Entry::new("link", SYMLINK, 0o777)
    };
    let device = Entry {
        device: (1, 3),
        ..Entry::new("null", CHAR, 0o666)
    };
    let hard_link = Entry {
        name: "same".to_owned(),
        link: "etc/kept".to_owned(),
        kind: HARD_LINK,
        content: Vec::new(),
        ..kept.clone()
    };
    let replaced = Entry::file("etc/replaced", "of the upper layer");
    let lower = tar::write(&[
        directory.clone(),
        kept.clone(),
        Entry::file("etc/replaced", "of the lower layer"),
        Entry::file("etc/gone", "removed by the upper layer"),
        symlink.clone(),
        hard_link.clone(),
        device.clone(),
    ]);
    let upper = tar::write(&[replaced.clone(), Entry::file("etc/.wh.gone", "")]);
    let [below, above] = [&lower, &upper].map(Digest::of);
    let json = format!(
        r#"{{"os":"linux","rootfs":{{"type":"layers","diff_ids":["{below}","{above}"]}}}}"#
    );
    let config = ImageConfig::parse(json).map_err(Failure::new)?;
    let image = Image::new(config, [layer(below, &lower), seekable(above, &upper)]);
    let id = image.id();
    ensure!(images.export(&id).await.err(), Some(ref error) if error.is_not_found());
    images.import(image, options()).await?;

    let exported = match images.export(&id).await {
        Ok(stream) => collect(stream).await,
        Err(error) => Err(error.into()),
    };
    let again = match bench.reopen().await?.images().export(&id).await {
        Ok(stream) => collect(stream).await,
        Err(error) => Err(error.into()),
    };
    images.remove(&id).await?;
    let exported = exported?;
    let mut entries = tar::read(&exported)?;
    ensure!(
        entries.first(),
        Some(root) if root.name.is_empty() && root.kind == DIRECTORY
    );
    entries.remove(0);
    normalise_links(&mut entries);
    let position = |name| entries.iter().position(|entry| entry.name == name);
    ensure!(
        (position("etc"), position("etc/replaced")),
        (Some(directory), Some(file)) if directory < file
    );
    let mut expected = [directory, kept, replaced, symlink, device, hard_link];
    entries.sort();
    expected.sort();
    ensure_eq!(entries, expected);
    ensure!(again? == exported, true);
    Ok(())
}

/// Either name of the file may come first, with the other one as a link to it: makes `same` the
/// link.
fn normalise_links(entries: &mut [Entry]) {
    let is_link = |entry: &Entry| entry.kind == HARD_LINK && entry.name == "etc/kept";
    if !entries.iter().any(is_link) {
        return;
    }
    let swapped = |name: &str| match name {
        "same" => "etc/kept".to_owned(),
        "etc/kept" => "same".to_owned(),
        other => other.to_owned(),
    };
    for entry in entries {
        if matches!(entry.kind, FILE | HARD_LINK) {
            entry.name = swapped(&entry.name);
            entry.link = swapped(&entry.link);
        }
    }
}

pub(super) async fn an_export_is_dropped_repeated_and_outlives_the_image(
    bench: &Bench<'_>,
) -> Check {
    let images = bench.images();
    // More than a stream may buffer.
    let mut content = ContainerId::generate().to_string().into_bytes();
    content.resize(3 << 20, b'.');
    let tar = tar::write(&[Entry::file("large", content)]);
    let diff_id = Digest::of(&tar);
    let image = Image::new(config(diff_id, "/a")?, [layer(diff_id, &tar)]);
    let id = images.import(image, options()).await?.id;
    let outcome = drop_and_repeat(bench, &id).await;
    let removed = images.remove(&id).await;
    outcome?;
    ensure!(removed, Err(ref error) if error.is_not_found());
    Ok(())
}

async fn drop_and_repeat(bench: &Bench<'_>, id: &ImageId) -> Check {
    let images = bench.images();
    let first = collect(images.export(id).await?).await?;
    for milliseconds in [0, 1, 5, 20, 50] {
        let limit = Duration::from_millis(milliseconds);
        if let Ok(stream) = tokio::time::timeout(limit, images.export(id)).await {
            drop(stream?);
        }
    }
    let mut dropped = images.export(id).await?;
    ensure!(dropped.next().await, Some(Ok(_)));
    drop(dropped);
    let open = images.export(id).await?;
    images.remove(id).await?;
    ensure!(images.export(id).await.err(), Some(ref error) if error.is_not_found());
    ensure!(collect(open).await? == first, true);
    Ok(())
}
