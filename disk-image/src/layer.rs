//! Sources of layers, decompression and verification.

use std::fs::File;
use std::io::{self, BufRead, Read, Seek};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use flate2::bufread::MultiGzDecoder;

use crate::archive::LayerRead;
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
///
/// A source that can seek should implement [`LayerSource::open_seekable`] too: if the layer is not
/// compressed, only its headers and about a sixteenth of its data are read the first time, and its
/// digest is verified the second time. [`Merge::layer`](crate::Merge::layer) describes this.
pub trait LayerSource: Send + Sync {
    /// Opens the layer at its start. Every call must return the same bytes.
    ///
    /// # Errors
    /// Any error that prevents opening the layer.
    fn open(&self) -> io::Result<Box<dyn Read + Send>>;

    /// Opens the layer for reading at any offset: the same bytes as [`LayerSource::open`]. Returns
    /// `None` if the source cannot seek, as the default implementation does.
    ///
    /// # Errors
    /// Any error that prevents opening the layer.
    fn open_seekable(&self) -> io::Result<Option<Box<dyn ReadSeek>>> {
        Ok(None)
    }
}

/// A reader that can seek. Implemented by every type that can do both.
pub trait ReadSeek: Read + Seek + Send {}

impl<T: Read + Seek + Send + ?Sized> ReadSeek for T {}

/// A layer in a file. The file can seek, so it is read in part only until it is written.
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

    fn open_seekable(&self) -> io::Result<Option<Box<dyn ReadSeek>>> {
        let file = File::open(&self.0)?;
        Ok(match file.metadata()?.is_file() {
            true => Some(Box::new(file)),
            false => None,
        })
    }
}

/// A layer in memory. Its digests are always verified when it is added to a merge.
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

    /// Returns what a layer that is not compressed is expected to be, and what the digest is of.
    /// `None` if that is unknown, or not one digest.
    pub(crate) fn of_plain(&self) -> Option<(&'static str, Digest)> {
        match (self.blob, self.diff_id) {
            (Some(blob), Some(diff_id)) if blob != diff_id => None,
            (Some(blob), _) => Some((BLOB, blob)),
            (None, diff_id) => diff_id.map(|diff_id| (DIFF_ID, diff_id)),
        }
    }
}

/// What [`LayerDigests::blob`](field@LayerDigests::blob) is the digest of, in errors.
pub(crate) const BLOB: &str = "digest of the blob";
/// What [`LayerDigests::diff_id`](field@LayerDigests::diff_id) is the digest of, in errors.
pub(crate) const DIFF_ID: &str = "digest of the unpacked layer";

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
    /// Where the unpacked bytes are kept, and how many at most.
    spool: Option<(Spool, u64)>,
    /// Number of bytes at hand that are part of the digest, and of the spool, already.
    counted: usize,
}

/// Number of bytes of a layer that may be unpacked before the compression ratio is checked.
const RATIO_FROM: u64 = 64 << 20;
/// Number of bytes needed to detect the compression format.
pub(crate) const MAGIC: usize = 6;

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
        let compression = Compression::detect(&magic);
        if let Compression::Unsupported(name) = compression {
            return Err(unsupported(name));
        }
        let stored = ReadAhead::new("read layer", io::Cursor::new(magic).chain(reader))?;
        let is_compressed = compression != Compression::None;
        let inner = if is_compressed {
            let (counting, used) = Counting::new(stored);
            let decoder: Box<dyn Read + Send> = match compression {
                Compression::Gzip => Box::new(MultiGzDecoder::new(counting)),
                _ => Box::new(zstd::Decoder::with_buffer(counting)?),
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

    /// Keeps the unpacked bytes in a temporary file, if the layer is compressed, and unless they are
    /// more than `most` or there is no space for them. Called before anything is read.
    pub(crate) fn keep(&mut self, directory: &Path, most: u64) -> io::Result<()> {
        if self.is_compressed {
            self.spool = Some((Spool::create(directory)?, most));
        }
        Ok(())
    }

    /// Returns what was kept. It is complete only at the end of the stream.
    pub(crate) fn kept(&self) -> Option<&Spool> {
        self.spool.as_ref().map(|(spool, _)| spool)
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
            if let Some((spool, most)) = &mut self.spool {
                let fits = spool.length() + bytes.len() as u64 <= *most;
                if !(fits && spool.append(bytes)?) {
                    tracing::debug!(bytes = spool.length(), "the layer is not spooled");
                    // Frees what was written.
                    self.spool = None;
                }
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

impl LayerRead for Unpacked {}

/// How a layer is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Compression {
    None,
    Gzip,
    Zstd,
    Unsupported(&'static str),
}

impl Compression {
    /// Returns the compression of a layer that starts with these [`MAGIC`] bytes, or is shorter.
    pub(crate) fn detect(magic: &[u8]) -> Self {
        match magic {
            [0x1f, 0x8b, ..] => Self::Gzip,
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Self::Zstd,
            // A skippable frame, with which streams of `pzstd` begin.
            [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Self::Zstd,
            [b'B', b'Z', b'h', ..] => Self::Unsupported("bzip2"),
            [0xfd, b'7', b'z', b'X', b'Z', ..] => Self::Unsupported("xz"),
            _ => Self::None,
        }
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
