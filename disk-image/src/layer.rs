//! Sources of layers, decompression and verification.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use flate2::bufread::MultiGzDecoder;

use crate::digest::{Hashing, Tally};
use crate::error::LayerProblem;
use crate::{Digest, Monitor};

/// A layer: a tar stream, plain or compressed with gzip or zstd, that can be opened
/// repeatedly.
///
/// The layout of a disk can be computed only when all sizes are known, so every layer is read
/// twice: first to index it, then to copy its data. A stream that can be read only once has to be
/// spooled to a file first. Other bytes in the second reading are an error at the end of the layer
/// ([`LayerProblem::Changed`]).
pub trait LayerSource: Send + Sync {
    /// Opens the layer at its start. Every call must return the same bytes.
    ///
    /// # Errors
    /// Any error that prevents opening the layer.
    fn open(&self) -> io::Result<Box<dyn Read + Send>>;
}

/// A layer in a file.
#[derive(Debug, Clone)]
pub struct FileLayer(PathBuf);

impl FileLayer {
    /// Creates a layer from a path; the file is opened when the layer is read.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }

    /// Returns the path of the file.
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl LayerSource for FileLayer {
    fn open(&self) -> io::Result<Box<dyn Read + Send>> {
        Ok(Box::new(File::open(&self.0)?))
    }
}

/// A layer in memory.
impl LayerSource for Arc<[u8]> {
    fn open(&self) -> io::Result<Box<dyn Read + Send>> {
        Ok(Box::new(io::Cursor::new(Self::clone(self))))
    }
}

/// The expected digests of a layer. A digest that is `None` is not verified.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LayerDigests {
    /// The digest of the stored layer, compressed or not: the digest in the
    /// image's manifest.
    pub blob: Option<Digest>,
    /// The digest of the unpacked tar: the entry in `rootfs.diff_ids` of the image's
    /// configuration.
    pub diff_id: Option<Digest>,
}

impl LayerDigests {
    /// Creates digests that verify nothing.
    pub fn none() -> Self {
        Self::default()
    }

    /// Sets the digest of the stored bytes.
    #[must_use]
    pub fn blob(mut self, digest: Digest) -> Self {
        self.blob = Some(digest);
        self
    }

    /// Sets the digest of the unpacked tar.
    #[must_use]
    pub fn diff_id(mut self, digest: Digest) -> Self {
        self.diff_id = Some(digest);
        self
    }
}

/// A reader of a layer's unpacked bytes that computes digests while reading, and stops when the
/// operation is cancelled.
pub(crate) struct Unpacked {
    inner: Watched<Box<dyn Read + Send>>,
    blob: Tally,
    /// The digest of the unpacked bytes; `None` if it is not computed, or equals the digest of the
    /// blob because the layer is not compressed.
    diff: Option<Tally>,
    is_compressed: bool,
    ratio: u64,
    out: u64,
}

/// Number of bytes of a layer that may be unpacked before the compression ratio is checked.
const RATIO_FROM: u64 = 64 << 20;
const BUFFER: usize = 128 << 10;
/// Number of bytes needed to detect the compression format.
const MAGIC: usize = 6;

impl Unpacked {
    /// Opens a layer to verify it: both digests are computed.
    pub(crate) fn open(
        source: &dyn LayerSource,
        ratio: u64,
        monitor: &Monitor,
    ) -> io::Result<Self> {
        let mut layer = Self::reopen(source, ratio, monitor)?;
        if layer.is_compressed {
            let (hashing, diff) = Hashing::new(layer.inner.inner);
            layer.inner.inner = Box::new(hashing);
            layer.diff = Some(diff);
        }
        Ok(layer)
    }

    /// Opens a layer that was verified before. Only the digest of the blob is computed, which is
    /// smaller: the same blob unpacks to the same bytes.
    pub(crate) fn reopen(
        source: &dyn LayerSource,
        ratio: u64,
        monitor: &Monitor,
    ) -> io::Result<Self> {
        let watched = |inner| Watched {
            inner,
            monitor: monitor.clone(),
        };
        // Watched below the decoder too, which may read much without returning anything.
        let (mut blob_reader, blob) = Hashing::new(watched(source.open()?));
        let mut magic = Vec::with_capacity(MAGIC);
        (&mut blob_reader)
            .take(MAGIC as u64)
            .read_to_end(&mut magic)?;
        let whole = io::Cursor::new(magic.clone()).chain(blob_reader);
        let buffered = BufReader::with_capacity(BUFFER, whole);
        let is = |prefix: &[u8]| magic.starts_with(prefix);
        let (inner, is_compressed): (Box<dyn Read + Send>, bool) = if is(b"\x1f\x8b") {
            (Box::new(MultiGzDecoder::new(buffered)), true)
        } else if is(b"\x28\xb5\x2f\xfd") || is_skippable(&magic) {
            (Box::new(zstd::Decoder::with_buffer(buffered)?), true)
        } else if is(b"BZh") {
            return Err(unsupported("bzip2"));
        } else if is(b"\xfd7zXZ") {
            return Err(unsupported("xz"));
        } else {
            (Box::new(buffered), false)
        };
        Ok(Self {
            inner: watched(inner),
            blob,
            diff: None,
            is_compressed,
            ratio,
            out: 0,
        })
    }

    /// Returns the digest of the blob's bytes read so far. It is complete only at the end of the
    /// stream.
    pub(crate) fn blob(&self) -> Digest {
        self.blob.digest()
    }

    /// Returns the digests (blob, unpacked) of the bytes read so far, for a layer that was opened
    /// with [`Unpacked::open`]. They are complete only at the end of the stream.
    pub(crate) fn digests(&self) -> (Digest, Digest) {
        let blob = self.blob();
        (blob, self.diff.as_ref().map_or(blob, Tally::digest))
    }
}

impl Read for Unpacked {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(buf)?;
        self.out += n as u64;
        if self.is_compressed
            && self.out > RATIO_FROM
            && self.out / self.blob.bytes().max(1) > self.ratio
        {
            return Err(io::Error::other(RatioExceeded));
        }
        Ok(n)
    }
}

/// A reader that fails with [`Error::Cancelled`](crate::Error::Cancelled) when the operation is
/// cancelled.
struct Watched<R> {
    inner: R,
    monitor: Monitor,
}

impl<R: Read> Read for Watched<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.monitor.check().map_err(io::Error::other)?;
        self.inner.read(buf)
    }
}

/// Returns whether a zstd stream begins with a skippable frame, as `pzstd` writes it.
fn is_skippable(magic: &[u8]) -> bool {
    matches!(magic, [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..])
}

fn unsupported(compression: &'static str) -> io::Error {
    io::Error::new(
        io::ErrorKind::Unsupported,
        format!("{compression} compression"),
    )
}

/// The error for an exceeded compression ratio, carried in an [`io::Error`] from the reader to
/// [`problem_of`].
#[derive(Debug, thiserror::Error)]
#[error("the compression ratio exceeds the limit")]
pub(crate) struct RatioExceeded;

/// Converts an error from reading [`Unpacked`] into the reported problem.
pub(crate) fn problem_of(error: io::Error, ratio: u64) -> LayerProblem {
    if error
        .get_ref()
        .is_some_and(|inner| inner.is::<RatioExceeded>())
    {
        return LayerProblem::Limit {
            kind: crate::LimitKind::Ratio,
            limit: ratio,
        };
    }
    LayerProblem::Read(error)
}
