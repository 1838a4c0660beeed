//! Converts layers to a disk: reads, verifies and merges the layers, and lays out the disk.

use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;

use disk_image::{
    FsOptions, LayerDigests, LayerProblem, LayerSource, Limits, Merge, Monitor, Plan,
};
use uuid::Uuid;

use super::unusable;
use crate::image::{
    Image, ImportLimits, ImportOptions, ImportPhase, ImportProgress, Layer, ObserveImport,
};
use crate::{Error, Resource, Result};

/// The default size of a container's file system, as in VIC: 8 GiB.
const CAPACITY: u64 = 8 << 30;
/// Capacities are multiples of this: the endpoint accepts KiB, and disks consist of whole grains.
const GRANULARITY: u64 = 1 << 20;
/// The space that containers can use if an image needs more than the default capacity.
const ROOM: u64 = 1 << 30;

/// The maximum size of the temporary files with decompressed layers of one import, in bytes. Layers
/// beyond that are decompressed twice.
const SPOOL: u64 = 1 << 30;

/// The layout of a disk that has not been written yet.
pub(crate) struct Laid {
    pub(crate) plan: Plan,
    /// Total size of the unpacked layers in bytes.
    pub(crate) size: u64,
    /// Capacity of the disk in bytes.
    pub(crate) capacity: u64,
}

struct Source(Layer);

impl LayerSource for Source {
    fn open(&self) -> io::Result<Box<dyn Read + Send>> {
        self.0.open()
    }

    fn open_seekable(&self) -> io::Result<Option<Box<dyn disk_image::ReadSeek>>> {
        let reader = self.0.open_seekable()?;
        Ok(reader.map(|reader| Box::new(reader) as Box<_>))
    }
}

/// Reads all layers, and lays out the disk. Layers that are not verified yet are verified when the
/// disk is written. Decompressed layers are kept in temporary files in `directory` as long as the
/// result exists. Blocks the thread.
///
/// # Errors
/// [`InvalidArgument`](crate::ErrorKind::InvalidArgument) for a layer that is refused;
/// [`Internal`](crate::ErrorKind::Internal) if the directory cannot be used.
pub(crate) fn lay_out(
    image: &Image,
    directory: &Path,
    options: &ImportOptions,
    uuid: Uuid,
    monitor: &Monitor,
) -> Result<Laid> {
    let resource = Resource::image(image.id());
    let mut merge = Merge::new(limits(options.limits))
        .spool(directory)
        .spool_limit(SPOOL);
    let mut size = 0;
    for layer in image.layers() {
        report(
            options,
            ImportPhase::Verify {
                layer: layer.diff_id,
            },
            0,
            layer.size,
        );
        let mut digests = LayerDigests::none().diff_id(digest(&layer.diff_id));
        if let Some(blob) = &layer.blob {
            digests = digests.blob(digest(blob));
        }
        let source = Arc::new(Source(layer.clone()));
        let summary = merge
            .layer(source, digests, monitor)
            .map_err(|error| refused(&resource, directory, image, error))?;
        size += summary.unpacked;
        let done = layer.size.unwrap_or(summary.unpacked);
        let phase = ImportPhase::Verify {
            layer: layer.diff_id,
        };
        report(options, phase, done, Some(done));
    }
    for note in merge.notes() {
        tracing::debug!(
            image = %image.id(),
            layer = note.layer,
            entry = %String::from_utf8_lossy(&note.entry),
            "{}", note.what
        );
    }
    let plan = |bytes| {
        let options = FsOptions::new(bytes, uuid).label("containerfs");
        merge.plan(&options, monitor)
    };
    let (plan, capacity) = match options.capacity {
        Some(bytes) => {
            let bytes = bytes.next_multiple_of(GRANULARITY);
            (plan(bytes), bytes)
        }
        None => match plan(CAPACITY) {
            Err(disk_image::Error::DiskTooSmall { needed, .. }) => {
                let bytes = (needed + ROOM).next_multiple_of(GRANULARITY);
                (plan(bytes), bytes)
            }
            laid => (laid, CAPACITY),
        },
    };
    let plan = plan.map_err(|error| unwritable(&resource, error))?;
    Ok(Laid {
        plan,
        size,
        capacity,
    })
}

pub(crate) fn report(options: &ImportOptions, phase: ImportPhase, done: u64, total: Option<u64>) {
    if let Some(observer) = &options.observer {
        ObserveImport::observe(&**observer, ImportProgress::new(phase, done, total));
    }
}

fn digest(digest: &crate::image::Digest) -> disk_image::Digest {
    disk_image::Digest::from_bytes(*digest.as_bytes())
}

fn limits(limits: ImportLimits) -> Limits {
    Limits::default()
        .entries(limits.entries)
        .unpacked(limits.unpacked_bytes)
        .ratio(limits.ratio.into())
        .depth(limits.depth.into())
}

/// Returns the error of a layer that is invalid or cannot be kept in the directory, or of a disk that
/// cannot be laid out or written.
pub(crate) fn refused(
    resource: &Resource,
    directory: &Path,
    image: &Image,
    error: disk_image::Error,
) -> Error {
    if let disk_image::Error::Layer { source, .. } = &error
        && let LayerProblem::Spool(failure) = source.problem()
    {
        return unusable(resource, directory, io::Error::new(failure.kind(), error));
    }
    match error {
        disk_image::Error::Layer { layer, .. } => {
            let layer = image.layers().get(layer);
            let diff_id = layer.map(|layer| layer.diff_id.to_string());
            let reason = BadLayer {
                diff_id: diff_id.unwrap_or_default(),
                source: error,
            };
            Error::invalid_argument(resource.clone(), "layers", reason)
        }
        error => unwritable(resource, error),
    }
}

#[derive(Debug, thiserror::Error)]
#[error("layer {diff_id} cannot be used")]
struct BadLayer {
    diff_id: String,
    source: disk_image::Error,
}

/// Returns the error of a disk that cannot be laid out or written.
fn unwritable(resource: &Resource, error: disk_image::Error) -> Error {
    let field = match &error {
        disk_image::Error::DiskTooSmall { .. } | disk_image::Error::Options(_) => "capacity",
        disk_image::Error::Layer { .. } | disk_image::Error::Unstorable { .. } => "layers",
        _ => return Error::internal(resource.clone(), error),
    };
    Error::invalid_argument(resource.clone(), field, error)
}
