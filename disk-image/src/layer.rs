//! Sources of layers, decompression and verification.

use std::fs::File;
use std::io::{self, BufRead, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use flate2::bufread::MultiGzDecoder;

use crate::digest::{Hashing, Tally};
use crate::error::LayerProblem;
use crate::read_ahead::ReadAhead;
use crate::spool::{Spool, SpoolError};
use crate::{Digest, Monitor};

/// A layer: a tar stream, plain or compressed with gzip or zstd, that can be opened
/// repeatedly.
///
/// The layout of a disk can be computed only when all sizes are known, so every layer is read
/// twice: first to index it, then to copy its data (a compressed layer only once with
/// [`Merge::spool`](crate::Merge::spool)). A stream that can be read only once has to be
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
///
/// Threads read ahead: one reads and hashes the stored bytes, and one decompresses them.
pub(crate) struct Unpacked {
    inner: ReadAhead,
    monitor: Monitor,
    blob: Tally,
    /// The digest of the unpacked bytes; `None` if it is not computed, or equals the digest of the
    /// blob because the layer is not compressed.
    diff: Option<Tally>,
    is_compressed: bool,
    /// Where the unpacked bytes are kept.
    spool: Option<Spool>,
    /// Number of bytes at hand that are part of the digest, and of the spool, already.
    counted: usize,
}

/// Number of bytes of a layer that may be unpacked before the compression ratio is checked.
const RATIO_FROM: u64 = 64 << 20;
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
        layer.diff = layer.is_compressed.then(Tally::default);
        Ok(layer)
    }

    /// Opens a layer that was verified before. Only the digest of the blob is computed, which is
    /// smaller: the same blob unpacks to the same bytes.
    pub(crate) fn reopen(
        source: &dyn LayerSource,
        ratio: u64,
        monitor: &Monitor,
    ) -> io::Result<Self> {
        // Watched below the decoder too, which may read much without returning anything.
        let watched = Watched {
            inner: source.open()?,
            monitor: monitor.clone(),
        };
        let (mut reader, blob) = Hashing::new(watched);
        let mut magic = Vec::with_capacity(MAGIC);
        (&mut reader).take(MAGIC as u64).read_to_end(&mut magic)?;
        let is = |prefix: &[u8]| magic.starts_with(prefix);
        let is_gzip = is(b"\x1f\x8b");
        let is_zstd = is(b"\x28\xb5\x2f\xfd") || is_skippable(&magic);
        if is(b"BZh") {
            return Err(unsupported("bzip2"));
        } else if is(b"\xfd7zXZ") {
            return Err(unsupported("xz"));
        }
        let stored = ReadAhead::new("read layer", io::Cursor::new(magic).chain(reader))?;
        let is_compressed = is_gzip || is_zstd;
        let inner = if is_compressed {
            let (counting, used) = Counting::new(stored);
            let decoder: Box<dyn Read + Send> = match is_gzip {
                true => Box::new(MultiGzDecoder::new(counting)),
                false => Box::new(zstd::Decoder::with_buffer(counting)?),
            };
            let bounded = Bounded {
                inner: decoder,
                used,
                ratio,
                out: 0,
            };
            ReadAhead::new("unpack layer", bounded)?
        } else {
            stored
        };
        Ok(Self {
            inner,
            monitor: monitor.clone(),
            blob,
            diff: None,
            is_compressed,
            spool: None,
            counted: 0,
        })
    }

    /// Opens the unpacked bytes that were kept when the layer was verified. Nobody else can change
    /// them, so no digest is computed.
    pub(crate) fn spooled(spool: &Spool, monitor: &Monitor) -> io::Result<Self> {
        Ok(Self {
            inner: ReadAhead::new("read spooled layer", spool.reader())?,
            monitor: monitor.clone(),
            blob: Tally::default(),
            diff: None,
            is_compressed: false,
            spool: None,
            counted: 0,
        })
    }

    /// Keeps the unpacked bytes in a temporary file, if the layer is compressed. Called before
    /// anything is read.
    pub(crate) fn keep(&mut self, directory: &Path) -> io::Result<()> {
        if self.is_compressed {
            self.spool = Some(Spool::create(directory)?);
        }
        Ok(())
    }

    /// Returns what was kept. It is complete only at the end of the stream.
    pub(crate) fn kept(&self) -> Option<&Spool> {
        self.spool.as_ref()
    }

    /// Returns the digest of the blob. It is complete only at the end of the stream, because of
    /// bytes that were read ahead before it.
    pub(crate) fn blob(&self) -> Digest {
        self.blob.digest()
    }

    /// Returns the digests (blob, unpacked) of a layer that was opened with [`Unpacked::open`].
    /// They are complete only at the end of the stream.
    pub(crate) fn digests(&self) -> (Digest, Digest) {
        let blob = self.blob();
        (blob, self.diff.as_ref().map_or(blob, Tally::digest))
    }
}

impl BufRead for Unpacked {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.monitor.check().map_err(io::Error::other)?;
        let bytes = self.inner.fill_buf()?;
        if self.counted == 0 {
            if let Some(diff) = &self.diff {
                diff.update(bytes);
            }
            if let Some(spool) = &mut self.spool {
                spool.append(bytes)?;
            }
            self.counted = bytes.len();
        }
        Ok(bytes)
    }

    fn consume(&mut self, count: usize) {
        self.counted = self.counted.saturating_sub(count);
        self.inner.consume(count);
    }
}

impl Read for Unpacked {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let count = self.fill_buf()?.read(buf)?;
        self.consume(count);
        Ok(count)
    }
}

/// A reader that counts how many bytes a decoder uses.
struct Counting<R> {
    inner: R,
    used: Arc<AtomicU64>,
}

impl<R: BufRead> Counting<R> {
    fn new(inner: R) -> (Self, Arc<AtomicU64>) {
        let used = Arc::new(AtomicU64::new(0));
        let counting = Self {
            inner,
            used: Arc::clone(&used),
        };
        (counting, used)
    }
}

impl<R: BufRead> BufRead for Counting<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.inner.fill_buf()
    }

    fn consume(&mut self, count: usize) {
        self.used.fetch_add(count as u64, Ordering::Relaxed);
        self.inner.consume(count);
    }
}

impl<R: BufRead> Read for Counting<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let count = self.fill_buf()?.read(buf)?;
        self.consume(count);
        Ok(count)
    }
}

/// A decoder that fails when its output exceeds the compression ratio. It counts what the decoder
/// used and not what was read ahead, so that the same layer always fails at the same byte.
struct Bounded {
    inner: Box<dyn Read + Send>,
    used: Arc<AtomicU64>,
    ratio: u64,
    out: u64,
}

impl Read for Bounded {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buf)?;
        self.out += count as u64;
        let used = self.used.load(Ordering::Relaxed).max(1);
        if self.out > RATIO_FROM && self.out / used > self.ratio {
            return Err(io::Error::other(RatioExceeded));
        }
        Ok(count)
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
    match error.downcast::<SpoolError>() {
        Ok(SpoolError(error)) => LayerProblem::Spool(error),
        Err(error) => LayerProblem::Read(error),
    }
}
