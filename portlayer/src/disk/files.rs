//! Reads the files on a disk.

use std::fs::File;

use bytes::BytesMut;
use disk_image::ext4::Reader;
use disk_image::vmdk::Disk;
use disk_image::{ByteStream, Monitor, run_blocking};
use futures_util::{StreamExt, stream};
use tokio::io::AsyncReadExt;
use uuid::Uuid;

use super::layers;
use super::spool::Spool;
use crate::archive::TarStream;
use crate::image::{Image, ImportOptions};
use crate::{Error, Resource, Result};

/// Size of the pieces of a stream, in bytes.
const PIECE: usize = 64 << 10;

/// Returns all files on a disk, which is a VMDK in one file, as a tar stream. The same disk results
/// in the same bytes. Dropping the stream stops the reader in the background.
pub(crate) async fn tar(disk: File, resource: &Resource) -> Result<TarStream> {
    let unreadable = {
        let resource = resource.clone();
        move |error: disk_image::Error| Error::internal(resource.clone(), error)
    };
    let monitor = Monitor::new();
    let reader = run_blocking(&monitor, |_| Reader::open(Disk::from_file(disk)?))
        .await
        .map_err(unreadable)?;
    let bytes = ByteStream::new(&monitor, move |out, monitor| {
        let root = reader.root()?;
        reader.write_tar(&root, out, |_| true, monitor).map(drop)
    });
    let resource = resource.clone();
    let pieces = stream::try_unfold(bytes, move |mut bytes| {
        let resource = resource.clone();
        async move {
            let mut piece = BytesMut::with_capacity(PIECE);
            match bytes.read_buf(&mut piece).await {
                Ok(0) => Ok(None),
                Ok(_) => Ok(Some((piece.freeze(), bytes))),
                Err(error) => Err(Error::internal(resource, error)),
            }
        }
    });
    Ok(pieces.boxed())
}

/// Returns the files of an image as a tar stream, from its layers.
pub(crate) async fn merged(image: Image) -> Result<TarStream> {
    let resource = Resource::image(image.id());
    let disk = {
        let monitor = Monitor::new();
        let _cancelled_if_dropped = CancelOnDrop(monitor.clone());
        let write = move || {
            let options = ImportOptions::new();
            let directory = std::env::temp_dir();
            let laid = layers::lay_out(&image, &directory, &options, Uuid::nil(), &monitor)?;
            Spool::write(&laid, &directory, &image, &options, &monitor)
        };
        let written = tokio::task::spawn_blocking(write).await;
        written.map_err(|error| Error::internal(resource.clone(), error))??
    };
    tar(disk.file, &resource).await
}

/// Cancels an operation when its future is dropped. Has no effect on one that has ended.
struct CancelOnDrop(Monitor);

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        self.0.cancel();
    }
}
