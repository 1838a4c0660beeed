//! The result of merging layers: the tree, and the layers that contain the data of its files.

use std::sync::Arc;

use crate::archive::{Archive, Entry, Kind, LayerRead, Segment};
use crate::error::{LayerError, LayerProblem};
use crate::layer::{LayerSource, Unpacked, problem_of};
use crate::limits::Limits;
use crate::ranges::RangeFinder;
use crate::spool::Spool;
use crate::tree::Tree;
use crate::{Digest, Error, Monitor};

/// The result of merging the layers, shared with the plans created from it.
#[derive(Clone)]
pub(crate) struct Content {
    pub(crate) tree: Tree,
    pub(crate) layers: Vec<Layer>,
    pub(crate) limits: Limits,
}

/// A layer that was indexed.
#[derive(Clone)]
pub(crate) struct Layer {
    pub(crate) source: Arc<dyn LayerSource>,
    /// The digest of the stored bytes: found, or expected if the layer is not verified.
    pub(crate) blob: Digest,
    pub(crate) spool: Option<Spool>,
    /// What reading the whole layer has to find, if only parts of it were read so far.
    pub(crate) unverified: Option<Unverified>,
}

/// What is known of a layer of which only parts were read.
#[derive(Clone)]
pub(crate) struct Unverified {
    /// What the expected digest is of, for errors.
    pub(crate) what: &'static str,
    /// The digest of the [`Outline`](crate::outline::Outline).
    pub(crate) outline: Digest,
    /// Length in bytes.
    pub(crate) length: u64,
}

impl Content {
    /// Reads a layer again. For each entry for which `wanted` returns a value, passes the data, in
    /// order, to `consume`.
    pub(crate) fn replay<T>(
        &self,
        index: usize,
        monitor: &Monitor,
        mut wanted: impl FnMut(u32, &Entry) -> Option<T>,
        mut consume: impl FnMut(&mut T, Piece<'_>) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let _span = tracing::debug_span!("read layer", layer = index).entered();
        let wrap = |error: Box<LayerError>| error.of_layer(index);
        let layer = &self.layers[index];
        let unpacked = match &layer.spool {
            Some(spool) => Unpacked::spooled(spool, monitor),
            None => Unpacked::reopen(&*layer.source, self.limits.ratio, monitor),
        };
        let unpacked = unpacked.map_err(|error| wrap(start(error, &self.limits)))?;
        let mut archive = Archive::new(unpacked, &self.limits, 0);
        if layer.unverified.is_some() {
            archive = archive.outlined();
        }
        let mut entries = 0;
        while let Some(entry) = archive.next().map_err(wrap)? {
            monitor.check()?;
            let mut target = wanted(entries, &entry);
            let mut finder = (layer.unverified.is_some() && entry.kind == Kind::File)
                .then(|| RangeFinder::new(entry.segments.is_some(), self.limits.metadata));
            if target.is_some() || finder.is_some() {
                for_data(&mut archive, &entry, 0, monitor, |offset, bytes| {
                    if let Some(finder) = &mut finder {
                        finder.seek(offset);
                        finder.data(bytes);
                    }
                    match &mut target {
                        Some(target) => consume(target, Piece::Data { offset, bytes }),
                        None => Ok(()),
                    }
                })
                .map_err(|error| error.of_layer(index))?;
            }
            if let Some(finder) = finder {
                let ranges = finder.finish();
                let ranges = ranges.ok_or_else(|| wrap(archive.error(LayerProblem::Changed)))?;
                if let Some(outline) = archive.outline() {
                    outline.ranges(&ranges);
                }
            }
            if let Some(mut target) = target {
                consume(&mut target, Piece::End { size: entry.size })?;
                monitor.add_entry();
            }
            entries += 1;
        }
        archive.drain().map_err(wrap)?;
        if layer.spool.is_some() {
            return Ok(());
        }
        let found = archive.reader().blob();
        let problem = match &layer.unverified {
            // Another layer with the right digest is not the one that was planned.
            Some(planned) if !planned.is_of(&mut archive) => LayerProblem::Changed,
            _ if found == layer.blob => return Ok(()),
            Some(planned) => LayerProblem::WrongDigest {
                what: planned.what,
                expected: Box::new(layer.blob),
                found: Box::new(found),
            },
            None => LayerProblem::Changed,
        };
        Err(wrap(archive.error(problem)))
    }

    /// Returns whether [`Content::replay`] has to read a layer even if none of its data is wanted.
    pub(crate) fn is_unverified(&self, index: usize) -> bool {
        let layer = self.layers.get(index);
        layer.is_some_and(|layer| layer.unverified.is_some())
    }
}

impl Unverified {
    /// Returns whether an archive, which was read to its end, has the same outline.
    fn is_of<R: LayerRead>(&self, archive: &mut Archive<R>) -> bool {
        let length = archive.offset();
        let outline = archive.outline().map(|outline| outline.digest());
        length == self.length && outline == Some(self.outline)
    }
}

/// An event of [`Content::replay`].
pub(crate) enum Piece<'a> {
    Data { offset: u64, bytes: &'a [u8] },
    End { size: u64 },
}

/// An error of the layer, or of the consumer of its data.
pub(crate) enum DataError {
    Layer(Box<LayerError>),
    Other(Error),
}

impl DataError {
    pub(crate) fn of_layer(self, layer: usize) -> Error {
        match self {
            Self::Layer(error) => error.of_layer(layer),
            Self::Other(error) => error,
        }
    }
}

/// Passes the data of an entry, with the offset in the file, to a consumer; of a file that is not
/// sparse from an offset on, up to which the archive was read.
pub(crate) fn for_data<R: LayerRead>(
    archive: &mut Archive<R>,
    entry: &Entry,
    from: u64,
    monitor: &Monitor,
    mut consume: impl FnMut(u64, &[u8]) -> Result<(), Error>,
) -> Result<(), DataError> {
    let whole = [Segment {
        offset: from,
        len: entry.size - from,
    }];
    for segment in entry.segments.as_deref().unwrap_or(&whole) {
        let mut at = segment.offset;
        let end = segment.offset + segment.len;
        while at < end {
            monitor.check().map_err(DataError::Other)?;
            let bytes = archive.next_data(end - at).map_err(DataError::Layer)?;
            let n = bytes.len();
            if n == 0 {
                return Err(DataError::Layer(archive.error(LayerProblem::Truncated)));
            }
            consume(at, bytes).map_err(DataError::Other)?;
            monitor.add_bytes(n as u64);
            at += n as u64;
        }
    }
    Ok(())
}

/// Returns the error of a layer that cannot be opened.
pub(crate) fn start(error: std::io::Error, limits: &Limits) -> Box<LayerError> {
    let problem = problem_of(error, limits.ratio);
    Box::new(LayerError {
        entry: None,
        offset: 0,
        problem,
    })
}
