//! Reads and verifies each layer once, and merges its entries into one tree.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use crate::archive::{Archive, Entry};
use crate::content::{Content, Layer, Unverified, start};
use crate::error::{LayerError, LayerProblem};
use crate::ext4::{FsOptions, Plan};
use crate::index::Index;
use crate::layer::{BLOB, DIFF_ID, LayerDigests, LayerSource, Unpacked};
use crate::limits::Limits;
use crate::seek_reader::SeekReader;
use crate::spool::Spool;
use crate::tree::Tree;
use crate::{Digest, Error, Monitor};

/// Merges layers into one tree by the rules of the OCI image specification.
///
/// Layers are added from the lowest to the highest. Each is read once when it is added,
/// for its headers and digests, and again when a disk is written or a directory
/// unpacked. Only metadata is kept in memory, never file contents. [`Merge::layer`] describes when
/// the digests are verified.
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
/// let plan = merge.plan(&FsOptions::new(8 << 30, uuid::Uuid::from_u128(1)), &monitor)?;
/// let mut disk = Vec::new();
/// plan.write_stream_optimized(&mut disk, &disk_image::StreamOptions::new(), &monitor)?;
/// # Ok(())
/// # }
/// ```
pub struct Merge {
    content: Arc<Content>,
    notes: Notes,
    unpacked: u64,
    /// The directory for temporary files.
    spool: Option<PathBuf>,
    /// Number of bytes that temporary files may still have.
    spool_left: u64,
    /// Whether a layer was merged only in part.
    is_incomplete: bool,
}

/// The digests and sizes of a layer.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct LayerSummary {
    /// The digest of the stored bytes; the expected one if the layer is not verified.
    pub blob: Digest,
    /// The digest of the unpacked tar; the expected one if the layer is not verified.
    pub diff_id: Digest,
    /// Whether the layer was read in full and has these digests. Otherwise that is verified when it
    /// is written or unpacked, as [`Merge::layer`] describes.
    pub is_verified: bool,
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

#[derive(Default)]
pub(crate) struct Notes {
    kept: Vec<MergeNote>,
    dropped: u64,
}

impl Notes {
    /// Adds what was tolerated in an entry.
    pub(crate) fn add(&mut self, layer: usize, entry: &Entry) {
        for &what in &entry.odd {
            if self.kept.len() >= MAX_NOTES {
                self.dropped += 1;
            } else {
                let entry = entry.path.clone().into_boxed_slice();
                self.kept.push(MergeNote { layer, entry, what });
            }
        }
    }
}

impl Merge {
    /// Creates a merge with an empty tree: a root directory of mode 0755.
    pub fn new(limits: Limits) -> Self {
        Self {
            content: Arc::new(Content {
                tree: Tree::new(),
                layers: Vec::new(),
                limits,
            }),
            notes: Notes::default(),
            unpacked: 0,
            spool: None,
            spool_left: u64::MAX,
            is_incomplete: false,
        }
    }

    /// Keeps the unpacked bytes of compressed layers in temporary files in `directory`, so that each
    /// of these layers is read and decompressed only once. Applies to the layers that are added
    /// afterwards; default: nothing is kept, and layers are read and decompressed again.
    ///
    /// The files need as much space as the unpacked layers, at most
    /// [`Limits::unpacked`](field@Limits::unpacked) bytes, or what [`Merge::spool_limit`] allows. A
    /// layer for which there is no space is not kept, and is decompressed again instead. The files
    /// have no name where the system supports that, and are deleted soon after the merge and all plans
    /// created from it are dropped, and when the process ends.
    #[must_use]
    pub fn spool(mut self, directory: impl Into<PathBuf>) -> Self {
        self.spool = Some(directory.into());
        self
    }

    /// Sets how many bytes the temporary files of [`Merge::spool`] may have together from now on.
    /// Default: no limit.
    #[must_use]
    pub fn spool_limit(mut self, bytes: u64) -> Self {
        self.spool_left = bytes;
        self
    }

    /// Reads the next layer and merges it over the previous ones.
    ///
    /// A layer is verified here, before this returns, unless all of this holds: it has an expected
    /// digest, is not compressed, and its source can seek ([`LayerSource::open_seekable`]). Of such a
    /// layer, only the headers and parts of the data are read here, and
    /// [`LayerSummary::is_verified`] is false: the sizes, names and owners in the merged tree and in
    /// a [`Plan`] are those of the source, whatever its digest is. Every write and
    /// [`Merge::unpack`] read the whole layer and return [`LayerProblem::WrongDigest`] if it does
    /// not have the digest, or [`LayerProblem::Changed`] if it is not the layer that was merged, even
    /// if its digest is right. So what was written without an error was verified.
    ///
    /// # Errors
    /// [`Error::Layer`] if the layer is damaged, exceeds a limit, or does not have the given
    /// digests as far as they are verified here; [`Error::Cancelled`]. After an error the merge contains part of the layer, so
    /// everything else returns [`Error::IncompleteMerge`]: start again with a new merge.
    pub fn layer(
        &mut self,
        source: Arc<dyn LayerSource>,
        digests: LayerDigests,
        monitor: &Monitor,
    ) -> Result<LayerSummary, Error> {
        self.check_complete()?;
        self.is_incomplete = true;
        let index = self.content.layers.len();
        let _span = tracing::debug_span!("index layer", layer = index).entered();
        let unopened = |error, limits| start(error, limits).of_layer(index);
        let expected = digests.of_plain();
        let seekable = match expected {
            Some(_) => SeekReader::open(&*source, monitor)
                .map_err(|error| unopened(error, &self.content.limits))?,
            None => None,
        };
        let (layer, summary) = match (expected, seekable) {
            (Some(expected), Some(reader)) => {
                self.index_parts(index, source, reader, expected, monitor)?
            }
            _ => self.index_all(index, source, digests, monitor)?,
        };
        self.unpacked += summary.unpacked;
        Arc::make_mut(&mut self.content).layers.push(layer);
        self.is_incomplete = false;
        tracing::debug!(
            entries = summary.entries,
            unpacked = summary.unpacked,
            verified = summary.is_verified,
            "indexed layer"
        );
        Ok(summary)
    }

    /// Reads a layer, and verifies it.
    fn index_all(
        &mut self,
        index: usize,
        source: Arc<dyn LayerSource>,
        digests: LayerDigests,
        monitor: &Monitor,
    ) -> Result<(Layer, LayerSummary), Error> {
        let wrap = |error: Box<LayerError>| error.of_layer(index);
        let content = Arc::make_mut(&mut self.content);
        let limits = &content.limits;
        let mut unpacked = Unpacked::open(&*source, limits.ratio, monitor)
            .map_err(|error| wrap(start(error, limits)))?;
        if let Some(directory) = &self.spool {
            let kept = unpacked.keep(directory, self.spool_left);
            kept.map_err(|error| wrap(start(error, limits)))?;
        }
        let mut archive = Archive::new(unpacked, limits, self.unpacked);
        let reading = Index {
            tree: &mut content.tree,
            limits,
            notes: &mut self.notes,
            layer: index,
            monitor,
        };
        let entries = reading.read(&mut archive)?;
        let (blob, diff_id) = archive.reader().digests();
        for (what, expected, found) in [
            (BLOB, digests.blob, blob),
            (DIFF_ID, digests.diff_id, diff_id),
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
        let spool = archive.reader().kept().cloned();
        self.spool_left -= spool.as_ref().map_or(0, Spool::length);
        let layer = Layer {
            source,
            blob,
            spool,
            unverified: None,
        };
        let summary = LayerSummary {
            blob,
            diff_id,
            entries: u64::from(entries),
            unpacked: archive.offset(),
            is_verified: true,
        };
        Ok((layer, summary))
    }

    /// Reads the parts of a layer that the layout depends on.
    fn index_parts(
        &mut self,
        index: usize,
        source: Arc<dyn LayerSource>,
        reader: SeekReader,
        (what, blob): (&'static str, Digest),
        monitor: &Monitor,
    ) -> Result<(Layer, LayerSummary), Error> {
        let content = Arc::make_mut(&mut self.content);
        let limits = &content.limits;
        let mut archive = Archive::new(reader, limits, self.unpacked).outlined();
        let reading = Index {
            tree: &mut content.tree,
            limits,
            notes: &mut self.notes,
            layer: index,
            monitor,
        };
        let entries = reading.read(&mut archive)?;
        let length = archive.offset();
        let outline = archive.outline().map(|outline| outline.digest());
        let layer = Layer {
            source,
            blob,
            spool: None,
            unverified: outline.map(|outline| Unverified {
                what,
                outline,
                length,
            }),
        };
        let summary = LayerSummary {
            blob,
            diff_id: blob,
            entries: u64::from(entries),
            unpacked: length,
            is_verified: false,
        };
        Ok((layer, summary))
    }

    /// Returns notes about what was skipped or changed so far: at most the first 1,000.
    pub fn notes(&self) -> &[MergeNote] {
        &self.notes.kept
    }

    /// Returns the number of notes that were dropped because there were too many.
    pub fn dropped_notes(&self) -> u64 {
        self.notes.dropped
    }

    /// Lays the merged tree out as an ext4 file system, without writing or reading anything. It
    /// adds nothing to the counters of `monitor`.
    ///
    /// # Errors
    /// [`Error::DiskTooSmall`] with the required size; [`Error::Unstorable`] with a file that ext4
    /// cannot store; [`Error::Options`] if an option is invalid; [`Error::Cancelled`];
    /// [`Error::IncompleteMerge`].
    pub fn plan(&self, options: &FsOptions, monitor: &Monitor) -> Result<Plan, Error> {
        self.check_complete()?;
        Plan::new(Arc::clone(&self.content), options, monitor)
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

impl fmt::Debug for Merge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Merge")
            .field("layers", &self.content.layers.len())
            .field("nodes", &self.content.tree.nodes.len())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
mod tests {
    use std::io::{self, Cursor, Read};

    use super::*;
    use crate::archive::writer::{Attributes, Item, TarWriter};
    use crate::layer::ReadSeek;
    use crate::{StreamOptions, Timestamp};

    struct Seekable(Arc<[u8]>);

    impl LayerSource for Seekable {
        fn open(&self) -> io::Result<Box<dyn Read + Send>> {
            self.0.open()
        }

        fn open_seekable(&self) -> io::Result<Option<Box<dyn ReadSeek>>> {
            Ok(Some(Box::new(Cursor::new(Arc::clone(&self.0)))))
        }
    }

    fn layer() -> Arc<[u8]> {
        let mut tar = TarWriter::new(Vec::new());
        let attributes = Attributes {
            mode: 0o755,
            uid: 0,
            gid: 0,
            mtime: Timestamp::default(),
            xattrs: &[],
        };
        tar.entry(b"d", &Item::Directory, &attributes).unwrap();
        for (name, size) in [(b"d/a", 10), (b"d/b", 300_000)] {
            tar.entry(name, &Item::File(size), &attributes).unwrap();
            tar.data(io::repeat(7).take(size), size).unwrap();
        }
        tar.finish().unwrap().into()
    }

    /// Merges, lays out and writes a layer.
    fn convert(
        layer: &Arc<dyn LayerSource>,
        digests: LayerDigests,
        monitor: &Monitor,
    ) -> Result<(), Error> {
        let mut merge = Merge::new(Limits::default());
        merge.layer(Arc::clone(layer), digests, monitor)?;
        // Too small first, so that the smallest size is computed too.
        match merge.plan(&FsOptions::new(1 << 18, uuid::Uuid::nil()), monitor) {
            Err(Error::DiskTooSmall { .. }) => {}
            other => return other.map(drop),
        }
        let plan = merge.plan(&FsOptions::new(1 << 22, uuid::Uuid::nil()), monitor)?;
        let options = StreamOptions::new().threads(1);
        plan.write_stream_optimized(io::sink(), &options, monitor)?;
        Ok(())
    }

    #[test]
    fn everything_can_be_cancelled_at_any_moment() {
        let tar = layer();
        let digests = LayerDigests::none().diff_id(Digest::of(&tar));
        let gzip: Arc<[u8]> = {
            let level = flate2::Compression::fast();
            let mut gzip = flate2::read::GzEncoder::new(&tar[..], level);
            let mut packed = Vec::new();
            gzip.read_to_end(&mut packed).unwrap();
            packed.into()
        };
        let sources: [Arc<dyn LayerSource>; 3] = [
            Arc::new(Seekable(Arc::clone(&tar))),
            Arc::new(tar),
            Arc::new(gzip),
        ];
        for (index, source) in sources.iter().enumerate() {
            let mut checks = 0;
            loop {
                let monitor = Monitor::cancelling_at(checks);
                match convert(source, digests, &monitor) {
                    Err(Error::Cancelled) => checks += 1,
                    // It was complete before this check.
                    Ok(()) => break,
                    Err(error) => panic!("source {index}, check {checks}: {error:?}"),
                }
            }
            assert!(checks > 50, "source {index}: only {checks} checks");
        }
    }
}
