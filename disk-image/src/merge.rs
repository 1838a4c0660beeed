//! Reads and verifies each layer once, and merges its entries into one tree.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use crate::archive::{Archive, Entry};
use crate::error::{LayerError, LayerProblem};
use crate::ext4::{FsOptions, Plan, xattr};
use crate::layer::{LayerDigests, LayerSource, Unpacked, problem_of};
use crate::limits::{LimitKind, Limits};
use crate::ranges::RangeFinder;
use crate::spool::Spool;
use crate::tree::{Applied, Tree};
use crate::{Digest, Error, Monitor};

/// Merges layers into one tree by the rules of the OCI image specification.
///
/// Layers are added from the lowest to the highest. Each is read once when it is added,
/// for its headers and digests, and again when a disk is written or a directory
/// unpacked. Only metadata is kept in memory, never file contents.
///
/// ```no_run
/// use std::sync::Arc;
/// use disk_image::{FileLayer, FsOptions, LayerDigests, Limits, Merge, Monitor};
///
/// # fn main() -> Result<(), disk_image::Error> {
/// let monitor = Monitor::new();
/// let mut merge = Merge::new(Limits::default());
/// for path in ["base.tar.gz", "app.tar.zst"] {
///     merge.layer(Arc::new(FileLayer::new(path)), LayerDigests::none(), &monitor)?;
/// }
/// let plan = merge.plan(&FsOptions::new(8 << 30, uuid::Uuid::from_u128(1)))?;
/// let mut disk = Vec::new();
/// plan.write_stream_optimized(&mut disk, &disk_image::StreamOptions::new(), &monitor)?;
/// # Ok(())
/// # }
/// ```
pub struct Merge {
    content: Arc<Content>,
    notes: Vec<MergeNote>,
    dropped_notes: u64,
    unpacked: u64,
    /// The directory for temporary files.
    spool: Option<PathBuf>,
    /// Whether a layer was merged only in part.
    is_incomplete: bool,
}

/// The result of merging the layers, shared with the plans created from it.
#[derive(Clone)]
pub(crate) struct Content {
    pub(crate) tree: Tree,
    pub(crate) layers: Vec<Layer>,
    pub(crate) limits: Limits,
}

/// A layer that was read and verified.
#[derive(Clone)]
pub(crate) struct Layer {
    source: Arc<dyn LayerSource>,
    blob: Digest,
    spool: Option<Spool>,
}

/// The digests and sizes of a layer.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct LayerSummary {
    /// The digest of the stored bytes.
    pub blob: Digest,
    /// The digest of the unpacked tar.
    pub diff_id: Digest,
    /// The number of entries in the layer, including whiteouts.
    pub entries: u64,
    /// The size of the unpacked tar in bytes.
    pub unpacked: u64,
}

/// A part of a layer that was skipped or changed without stopping the merge.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct MergeNote {
    /// The position of the layer; the lowest is 0.
    pub layer: usize,
    /// The path of the entry, as in the archive.
    pub entry: Box<[u8]>,
    /// What was skipped or changed, and why.
    pub what: &'static str,
}

/// The maximum number of notes that are kept; further ones are only counted.
const MAX_NOTES: usize = 1_000;

impl Merge {
    /// Creates a merge with an empty tree: a root directory of mode 0755.
    pub fn new(limits: Limits) -> Self {
        Self {
            content: Arc::new(Content {
                tree: Tree::new(),
                layers: Vec::new(),
                limits,
            }),
            notes: Vec::new(),
            dropped_notes: 0,
            unpacked: 0,
            spool: None,
            is_incomplete: false,
        }
    }

    /// Keeps the unpacked bytes of compressed layers in temporary files in `directory`, so that each
    /// of these layers is read and decompressed only once. Applies to the layers that are added
    /// afterwards; default: nothing is kept, and layers are read and decompressed again.
    ///
    /// The files need as much space as the unpacked layers, at most [`Limits::unpacked`](field@Limits::unpacked) bytes.
    /// They have no name where the system supports that, and are deleted when the merge and all
    /// plans created from it are dropped.
    #[must_use]
    pub fn spool(mut self, directory: impl Into<PathBuf>) -> Self {
        self.spool = Some(directory.into());
        self
    }

    /// Reads the next layer and merges it over the previous ones.
    ///
    /// # Errors
    /// [`Error::Layer`] if the layer is damaged, exceeds a limit, or does not have the given
    /// digests; [`Error::Cancelled`]. After an error the merge contains part of the layer, so
    /// everything else returns [`Error::IncompleteMerge`]: start again with a new merge.
    pub fn layer(
        &mut self,
        source: Arc<dyn LayerSource>,
        digests: LayerDigests,
        monitor: &Monitor,
    ) -> Result<LayerSummary, Error> {
        self.check_complete()?;
        self.is_incomplete = true;
        let content = Arc::make_mut(&mut self.content);
        let limits = &content.limits;
        let index = content.layers.len();
        let _span = tracing::debug_span!("index layer", layer = index).entered();
        let wrap = |error: Box<LayerError>| error.of_layer(index);
        let mut unpacked = Unpacked::open(&*source, limits.ratio, monitor)
            .map_err(|error| wrap(start(error, limits)))?;
        if let Some(directory) = &self.spool {
            let kept = unpacked.keep(directory);
            kept.map_err(|error| wrap(start(error, limits)))?;
        }
        let mut archive = Archive::new(unpacked, limits, self.unpacked);
        let mut entries = 0;
        while let Some(mut entry) = archive.next().map_err(wrap)? {
            monitor.check()?;
            keep_known_xattrs(&mut entry);
            for &what in &entry.odd {
                if self.notes.len() >= MAX_NOTES {
                    self.dropped_notes += 1;
                } else {
                    let entry = entry.path.clone().into_boxed_slice();
                    self.notes.push(MergeNote {
                        layer: index,
                        entry,
                        what,
                    });
                }
            }
            let applied = content.tree.apply(&entry, index as u32, entries, limits);
            if let Applied::File(node) = applied.map_err(|e| wrap(archive.error(e)))? {
                let memory = limits.metadata.saturating_sub(content.tree.metadata);
                let mut finder = RangeFinder::new(entry.segments.is_some(), memory);
                for_data(&mut archive, &entry, monitor, |offset, bytes| {
                    finder.seek(offset);
                    finder.data(bytes);
                    Ok(())
                })
                .map_err(|error| error.of_layer(index))?;
                let ranges = finder.finish().ok_or_else(|| {
                    wrap(archive.error(LayerProblem::Limit {
                        kind: LimitKind::Metadata,
                        limit: limits.metadata,
                    }))
                })?;
                content.tree.set_ranges(node, ranges);
            }
            monitor.add_entry();
            entries += 1;
        }
        archive.drain().map_err(wrap)?;
        let (blob, diff_id) = archive.reader().digests();
        for (what, expected, found) in [
            ("digest of the blob", digests.blob, blob),
            ("digest of the unpacked layer", digests.diff_id, diff_id),
        ] {
            if let Some(expected) = expected
                && expected != found
            {
                let (expected, found) = (Box::new(expected), Box::new(found));
                let problem = LayerProblem::WrongDigest {
                    what,
                    expected,
                    found,
                };
                return Err(wrap(archive.error(problem)));
            }
        }
        let unpacked = archive.offset();
        self.unpacked += unpacked;
        content.layers.push(Layer {
            source,
            blob,
            spool: archive.reader().kept().cloned(),
        });
        self.is_incomplete = false;
        tracing::debug!(entries, unpacked, "indexed layer");
        Ok(LayerSummary {
            blob,
            diff_id,
            entries: u64::from(entries),
            unpacked,
        })
    }

    /// Returns notes about what was skipped or changed so far: at most the first 1,000.
    pub fn notes(&self) -> &[MergeNote] {
        &self.notes
    }

    /// Returns the number of notes that were dropped because there were too many.
    pub fn dropped_notes(&self) -> u64 {
        self.dropped_notes
    }

    /// Lays the merged tree out as an ext4 file system, without writing anything.
    ///
    /// # Errors
    /// [`Error::DiskTooSmall`] with the required size; [`Error::Unstorable`] with a file that ext4
    /// cannot store; [`Error::Options`] if an option is invalid; [`Error::IncompleteMerge`].
    pub fn plan(&self, options: &FsOptions) -> Result<Plan, Error> {
        self.check_complete()?;
        Plan::new(Arc::clone(&self.content), options)
    }

    #[cfg(unix)]
    pub(crate) fn content(&self) -> Result<&Content, Error> {
        self.check_complete()?;
        Ok(&self.content)
    }

    fn check_complete(&self) -> Result<(), Error> {
        if self.is_incomplete {
            Err(Error::IncompleteMerge)
        } else {
            Ok(())
        }
    }
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
        let mut entries = 0;
        while let Some(entry) = archive.next().map_err(wrap)? {
            monitor.check()?;
            if let Some(mut target) = wanted(entries, &entry) {
                for_data(&mut archive, &entry, monitor, |offset, bytes| {
                    consume(&mut target, Piece::Data { offset, bytes })
                })
                .map_err(|error| error.of_layer(index))?;
                consume(&mut target, Piece::End { size: entry.size })?;
                monitor.add_entry();
            }
            entries += 1;
        }
        archive.drain().map_err(wrap)?;
        if layer.spool.is_none() && archive.reader().blob() != layer.blob {
            return Err(wrap(archive.error(LayerProblem::Changed)));
        }
        Ok(())
    }
}

impl fmt::Debug for Merge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Merge")
            .field("layers", &self.content.layers.len())
            .field("nodes", &self.content.tree.nodes.len())
            .finish_non_exhaustive()
    }
}

/// An event of [`Merge::replay`].
pub(crate) enum Piece<'a> {
    Data { offset: u64, bytes: &'a [u8] },
    End { size: u64 },
}

/// An error of the layer, or of the consumer of its data.
enum DataError {
    Layer(Box<LayerError>),
    Other(Error),
}

impl DataError {
    fn of_layer(self, layer: usize) -> Error {
        match self {
            Self::Layer(error) => error.of_layer(layer),
            Self::Other(error) => error,
        }
    }
}

/// Passes the data of an entry, with the offset in the file, to a consumer.
fn for_data<R: std::io::BufRead>(
    archive: &mut Archive<R>,
    entry: &Entry,
    monitor: &Monitor,
    mut consume: impl FnMut(u64, &[u8]) -> Result<(), Error>,
) -> Result<(), DataError> {
    let whole = [crate::archive::Segment {
        offset: 0,
        len: entry.size,
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

/// Removes extended attributes that a file system cannot store, and adds a note.
fn keep_known_xattrs(entry: &mut Entry) {
    let before = entry.xattrs.len();
    entry
        .xattrs
        .retain(|(name, value)| xattr::is_storable(name, value));
    if entry.xattrs.len() != before {
        entry
            .odd
            .push("an extended attribute of an unknown namespace or form was left out");
    }
}

fn start(error: std::io::Error, limits: &Limits) -> Box<LayerError> {
    let problem = problem_of(error, limits.ratio);
    Box::new(LayerError {
        entry: None,
        offset: 0,
        problem,
    })
}
