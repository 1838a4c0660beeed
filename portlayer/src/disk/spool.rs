//! Writes a disk to a temporary file, so that its length is known before it is sent.

use std::fs::File;
use std::io::{self, Seek, SeekFrom};
use std::path::Path;

use disk_image::{CompressionLevel, Monitor, StreamOptions};

use super::layers::{Laid, refused, report};
use super::unusable;
use crate::image::{Image, ImportOptions, ImportPhase};
use crate::{Resource, Result};

/// A compressed disk in a temporary file, which is deleted when this value is dropped.
pub(crate) struct Spool {
    pub(crate) file: File,
    /// Length of the file in bytes.
    pub(crate) length: u64,
}

impl Spool {
    /// Writes the disk to a file in this directory, and verifies the layers that are not verified
    /// yet. Blocks the thread.
    ///
    /// # Errors
    /// [`InvalidArgument`](crate::ErrorKind::InvalidArgument) for a layer that is refused;
    /// [`Exhausted`](crate::ErrorKind::Exhausted) if the directory has no space.
    pub(crate) fn write(
        laid: &Laid,
        directory: &Path,
        image: &Image,
        options: &ImportOptions,
        monitor: &Monitor,
    ) -> Result<Self> {
        let resource = Resource::image(image.id());
        let unusable = |error| unusable(&resource, directory, error);
        report(options, ImportPhase::Write, 0, None);
        let file = tempfile::tempfile_in(directory).map_err(unusable)?;
        let stream = StreamOptions::new().level(CompressionLevel::Fast);
        let out = io::BufWriter::with_capacity(256 << 10, file);
        let out = laid
            .plan
            .write_stream_optimized(out, &stream, monitor)
            .map_err(|error| match error {
                disk_image::Error::Write(error) => unusable(error),
                error => refused(&resource, directory, image, error),
            })?;
        let mut file = out
            .into_inner()
            .map_err(|error| unusable(error.into_error()))?;
        let length = file.stream_position().map_err(unusable)?;
        file.seek(SeekFrom::Start(0)).map_err(unusable)?;
        Ok(Self { file, length })
    }
}
