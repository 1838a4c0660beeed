//! Reads tar archives piece by piece, with no more memory than one piece.
//!
//! An OVA is a tar of regular files in the form of POSIX (ustar). The extensions by which writers
//! give long names and sizes above 8 GiB are understood: those of GNU and of pax.
//!
//! `astral-tokio-tar` is not used, because it reads such an extension into memory whatever its size
//! is (checked 2026-11), and its errors do not tell the position in the archive.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use futures_core::Stream;
use tokio::io::{AsyncRead, AsyncReadExt, ReadBuf};

use super::error::{ArchiveError, ArchiveProblem};

/// The size of the blocks of a tar archive, in bytes.
pub(super) const BLOCK: usize = 512;
/// The size of the pieces that are read, in bytes.
const PIECE: usize = 64 << 10;
/// The maximum size of the records that give an entry a long name or size.
const EXTENSION: u64 = 64 << 10;

type Source = Pin<Box<dyn AsyncRead + Send>>;

/// An archive that is read from front to back.
///
/// The reader is shared by the archive and the contents of its current entry, which an upload
/// owns; only one of them reads at a time.
#[derive(Clone)]
pub(super) struct Archive {
    inner: Arc<Mutex<Inner>>,
}

struct Inner {
    /// `None` while it is lent for reading a header.
    source: Option<Source>,
    /// The position in the archive.
    offset: u64,
    /// The bytes of the current entry that were not read yet.
    rest: u64,
    /// The padding after the current entry.
    padding: u64,
    entry: Option<Box<str>>,
    /// Why the content could not be read; the first reason is kept.
    failure: Option<ArchiveError>,
}

/// A regular file in an archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) name: String,
    pub(super) size: u64,
    /// The position of its header.
    pub(super) offset: u64,
}

impl Archive {
    pub(super) fn new(source: impl AsyncRead + Send + 'static) -> Self {
        Self {
            inner: Arc::new(Mutex::new(Inner {
                source: Some(Box::pin(source)),
                offset: 0,
                rest: 0,
                padding: 0,
                entry: None,
                failure: None,
            })),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the position in the archive.
    pub(super) fn offset(&self) -> u64 {
        self.lock().offset
    }

    /// Returns why the content of an entry could not be read, if it could not.
    pub(super) fn failure(&self) -> Option<ArchiveError> {
        self.lock().failure.take()
    }

    /// Returns an error at the current position.
    fn wrong(&self, problem: ArchiveProblem) -> ArchiveError {
        let inner = self.lock();
        ArchiveError {
            entry: inner.entry.clone(),
            offset: inner.offset,
            problem,
        }
    }

    /// Moves to the next regular file, over the rest of the current one. Returns `None` at the end.
    pub(super) async fn next(&self) -> Result<Option<Entry>, ArchiveError> {
        let (rest, padding) = {
            let inner = self.lock();
            (inner.rest, inner.padding)
        };
        self.skip(rest + padding).await?;
        {
            let mut inner = self.lock();
            (inner.rest, inner.padding, inner.entry) = (0, 0, None);
        }
        let mut long_name = None;
        let mut long_size = None;
        loop {
            let offset = self.lock().offset;
            let Some(block) = self.block().await? else {
                return Ok(None);
            };
            let header = Header::read(&block).map_err(|why| self.malformed(offset, why))?;
            let Some(header) = header else {
                // The archive ends with a block of zeros; what follows is padding.
                return Ok(None);
            };
            let size = long_size.unwrap_or(header.size);
            match header.kind {
                b'0' | 0 | b'7' => {
                    let name = long_name.unwrap_or(header.name);
                    let mut inner = self.lock();
                    inner.rest = size;
                    inner.padding = padding_of(size);
                    inner.entry = Some(name.as_str().into());
                    return Ok(Some(Entry { name, size, offset }));
                }
                b'L' | b'x' => {
                    let content = self.extension(offset, header.size).await?;
                    if header.kind == b'L' {
                        let name = content.split(|byte| *byte == 0).next().unwrap_or_default();
                        let name = String::from_utf8(name.to_vec());
                        let name =
                            name.map_err(|_| self.malformed(offset, "a name is not UTF-8"))?;
                        long_name = Some(name);
                    } else {
                        let records = Records::read(&content);
                        let records = records.ok_or_else(|| {
                            self.malformed(offset, "an extended header is malformed")
                        })?;
                        long_name = records.path.or(long_name);
                        long_size = records.size.or(long_size);
                    }
                }
                // Directories and global headers mean nothing here.
                b'5' | b'g' => {
                    self.skip(header.size + padding_of(header.size)).await?;
                    (long_name, long_size) = (None, None);
                }
                _ => {
                    let name: Box<str> = long_name.unwrap_or(header.name).into();
                    return Err(ArchiveError {
                        entry: Some(name),
                        offset,
                        problem: ArchiveProblem::NotAFile,
                    });
                }
            }
        }
    }

    fn malformed(&self, offset: u64, why: &'static str) -> ArchiveError {
        ArchiveError {
            entry: None,
            offset,
            problem: ArchiveProblem::Malformed(why),
        }
    }

    /// Reads the records of an extension of the format.
    async fn extension(&self, offset: u64, size: u64) -> Result<Vec<u8>, ArchiveError> {
        if size > EXTENSION {
            return Err(self.malformed(offset, "an extended header is too long"));
        }
        let mut content = vec![0; usize::try_from(size).unwrap_or(0)];
        self.fill(&mut content).await?;
        self.skip(padding_of(size)).await?;
        Ok(content)
    }

    /// Reads a whole block; `None` if the archive ends before it.
    async fn block(&self) -> Result<Option<[u8; BLOCK]>, ArchiveError> {
        let mut block = [0; BLOCK];
        let mut filled = 0;
        while filled < BLOCK {
            let read = self
                .read(block.get_mut(filled..).unwrap_or_default())
                .await?;
            if read == 0 && filled == 0 {
                return Ok(None);
            }
            if read == 0 {
                return Err(self.wrong(ArchiveProblem::Truncated));
            }
            filled += read;
        }
        Ok(Some(block))
    }

    async fn fill(&self, mut buffer: &mut [u8]) -> Result<(), ArchiveError> {
        while !buffer.is_empty() {
            let read = self.read(buffer).await?;
            if read == 0 {
                return Err(self.wrong(ArchiveProblem::Truncated));
            }
            buffer = buffer.get_mut(read..).unwrap_or_default();
        }
        Ok(())
    }

    async fn skip(&self, mut count: u64) -> Result<(), ArchiveError> {
        let mut buffer = vec![0; PIECE.min(usize::try_from(count).unwrap_or(PIECE))];
        while count > 0 {
            let most = buffer
                .len()
                .min(usize::try_from(count).unwrap_or(buffer.len()));
            let read = self
                .read(buffer.get_mut(..most).unwrap_or_default())
                .await?;
            if read == 0 {
                return Err(self.wrong(ArchiveProblem::Truncated));
            }
            count -= read as u64;
        }
        Ok(())
    }

    async fn read(&self, buffer: &mut [u8]) -> Result<usize, ArchiveError> {
        let source = self.lock().source.take();
        // The source is missing only after an earlier read was cancelled.
        let mut source = source.ok_or_else(|| self.wrong(ArchiveProblem::Truncated))?;
        let read = source.read(buffer).await;
        let mut inner = self.lock();
        inner.source = Some(source);
        match read {
            Ok(read) => {
                inner.offset += read as u64;
                Ok(read)
            }
            Err(error) => {
                drop(inner);
                Err(self.wrong(ArchiveProblem::Source(error)))
            }
        }
    }

    /// Returns the content of the current entry, which may be streamed once.
    pub(super) fn content(&self) -> Content {
        Content {
            inner: Arc::clone(&self.inner),
            buffer: BytesMut::new(),
        }
    }

    /// Reads the whole content of the current entry, which must be at most `limit` bytes long.
    pub(super) async fn whole(&self, entry: &Entry, limit: u64) -> Result<Vec<u8>, ArchiveError> {
        if entry.size > limit {
            return Err(ArchiveError {
                entry: Some(entry.name.as_str().into()),
                offset: entry.offset,
                problem: ArchiveProblem::TooLong { limit },
            });
        }
        let mut content = vec![0; usize::try_from(entry.size).unwrap_or(0)];
        self.fill(&mut content).await?;
        self.lock().rest = 0;
        Ok(content)
    }
}

fn padding_of(size: u64) -> u64 {
    let block = BLOCK as u64;
    (block - size % block) % block
}

/// The content of an entry, as a stream of pieces. Fails if the archive ends before the entry.
pub(super) struct Content {
    inner: Arc<Mutex<Inner>>,
    buffer: BytesMut,
}

impl Stream for Content {
    type Item = std::io::Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        let mut inner = this.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let inner = &mut *inner;
        if inner.rest == 0 {
            return Poll::Ready(None);
        }
        let most = PIECE.min(usize::try_from(inner.rest).unwrap_or(PIECE));
        this.buffer.resize(most, 0);
        let mut into = ReadBuf::new(&mut this.buffer);
        let problem = match &mut inner.source {
            None => ArchiveProblem::Truncated,
            Some(source) => match std::task::ready!(source.as_mut().poll_read(cx, &mut into)) {
                Ok(()) if into.filled().is_empty() => ArchiveProblem::Truncated,
                Ok(()) => {
                    let read = into.filled().len();
                    inner.rest -= read as u64;
                    inner.offset += read as u64;
                    return Poll::Ready(Some(Ok(this.buffer.split_to(read).freeze())));
                }
                Err(error) => ArchiveProblem::Source(error),
            },
        };
        let words = std::io::Error::other("the archive could not be read");
        inner.failure = Some(ArchiveError {
            entry: inner.entry.clone(),
            offset: inner.offset,
            problem,
        });
        Poll::Ready(Some(Err(words)))
    }
}

/// The fields of a header that matter here.
struct Header {
    name: String,
    size: u64,
    kind: u8,
}

impl Header {
    /// Reads a header; `None` for the block of zeros at the end.
    fn read(block: &[u8; BLOCK]) -> Result<Option<Self>, &'static str> {
        if block.iter().all(|byte| *byte == 0) {
            return Ok(None);
        }
        let field = |at: usize, length: usize| block.get(at..at + length).unwrap_or_default();
        let sum = octal(field(148, 8)).ok_or("it is not a tar archive")?;
        let own = block.iter().enumerate().map(|(at, byte)| match at {
            148..156 => u64::from(b' '),
            _ => u64::from(*byte),
        });
        if own.sum::<u64>() != sum {
            return Err("the checksum of a header is wrong");
        }
        let text = |at, length| {
            let bytes = field(at, length).split(|byte| *byte == 0).next();
            String::from_utf8(bytes.unwrap_or_default().to_vec()).map_err(|_| "a name is not UTF-8")
        };
        let mut name = text(0, 100)?;
        if field(257, 6) == b"ustar\0" {
            let prefix = text(345, 155)?;
            if !prefix.is_empty() {
                name = format!("{prefix}/{name}");
            }
        }
        let size = field(124, 12);
        Ok(Some(Self {
            name,
            size: number(size).ok_or("the size of an entry is malformed")?,
            kind: block.get(156).copied().unwrap_or(0),
        }))
    }
}

/// Returns a number in octal digits, or in the binary form of GNU for large ones.
fn number(field: &[u8]) -> Option<u64> {
    let (first, rest) = field.split_first()?;
    if first & 0x80 == 0 {
        return octal(field);
    }
    let high = u64::from(first & 0x7f);
    let value = rest.iter().try_fold(high, |value, byte| {
        value.checked_mul(256).map(|value| value | u64::from(*byte))
    })?;
    // Sums of sizes and offsets must not overflow.
    (value <= u64::MAX / 4).then_some(value)
}

fn octal(field: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(field).ok()?;
    let text = text.trim_matches(|c: char| c == '\0' || c == ' ');
    if text.is_empty() {
        return Some(0);
    }
    u64::from_str_radix(text, 8).ok()
}

/// The records of a pax header that matter here.
#[derive(Default)]
struct Records {
    path: Option<String>,
    size: Option<u64>,
}

impl Records {
    fn read(mut content: &[u8]) -> Option<Self> {
        let mut records = Self::default();
        while !content.is_empty() {
            let blank = content.iter().position(|byte| *byte == b' ')?;
            let length = std::str::from_utf8(content.get(..blank)?).ok()?;
            let length: usize = length.parse().ok()?;
            let record = content.get(blank + 1..length)?;
            let record = std::str::from_utf8(record.strip_suffix(b"\n")?).ok()?;
            match record.split_once('=')? {
                ("path", path) => records.path = Some(path.to_owned()),
                ("size", size) => {
                    let size = size.parse().ok().filter(|size| *size <= u64::MAX / 4);
                    records.size = Some(size?);
                }
                _ => {}
            }
            content = content.get(length..)?;
        }
        Some(records)
    }
}

/// Returns the header of a regular file. `None` if the name is too long for it.
pub(super) fn header(name: &str, size: u64, modified: u64) -> Option<[u8; BLOCK]> {
    let mut block = [0; BLOCK];
    let mut put = |at: usize, bytes: &[u8]| {
        if let Some(field) = block.get_mut(at..at + bytes.len()) {
            field.copy_from_slice(bytes);
        }
    };
    if name.len() > 100 {
        return None;
    }
    put(0, name.as_bytes());
    put(100, b"0000644\0");
    put(108, b"0000000\0");
    put(116, b"0000000\0");
    if size < 1 << 33 {
        put(124, format!("{size:011o}\0").as_bytes());
    } else {
        put(124, &[0x80, 0, 0, 0]);
        put(128, &size.to_be_bytes());
    }
    put(
        136,
        format!("{:011o}\0", modified & ((1 << 33) - 1)).as_bytes(),
    );
    put(148, b"        ");
    put(156, b"0");
    put(257, b"ustar\x0000");
    let sum: u64 = block.iter().map(|byte| u64::from(*byte)).sum();
    let sum = format!("{sum:06o}\0 ");
    if let Some(field) = block.get_mut(148..156) {
        field.copy_from_slice(sum.as_bytes());
    }
    Some(block)
}

/// Returns the number of bytes that an entry of this size occupies after its header.
pub(super) const fn padded(size: u64) -> u64 {
    size.next_multiple_of(BLOCK as u64)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]
    use futures_util::StreamExt;

    use super::*;

    fn entry(name: &str, content: &[u8]) -> Vec<u8> {
        let mut bytes = header(name, content.len() as u64, 0).unwrap().to_vec();
        bytes.extend_from_slice(content);
        bytes.resize(bytes.len().next_multiple_of(BLOCK), 0);
        bytes
    }

    fn of_kind(kind: u8, content: &[u8]) -> Vec<u8> {
        let mut bytes = entry("x", content);
        bytes[156] = kind;
        let sum: u64 = (0..BLOCK)
            .map(|at| {
                if (148..156).contains(&at) {
                    32
                } else {
                    u64::from(bytes[at])
                }
            })
            .sum();
        bytes[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        bytes
    }

    async fn read(bytes: Vec<u8>) -> Result<Vec<(String, Vec<u8>)>, ArchiveError> {
        let archive = Archive::new(std::io::Cursor::new(bytes));
        let mut all = Vec::new();
        while let Some(entry) = archive.next().await? {
            let mut content = archive.content();
            let mut whole = Vec::new();
            while let Some(piece) = content.next().await {
                match piece {
                    Ok(piece) => whole.extend_from_slice(&piece),
                    Err(_) => return Err(archive.failure().unwrap()),
                }
            }
            all.push((entry.name, whole));
        }
        Ok(all)
    }

    #[tokio::test]
    async fn entries_are_read_with_long_names_and_extended_headers() {
        let long = "n".repeat(200);
        let mut bytes = entry("a.ovf", b"descriptor");
        bytes.extend(of_kind(b'5', b""));
        bytes.extend(of_kind(b'g', b"17 comment=global\n"));
        bytes.extend(of_kind(b'L', format!("{long}\0").as_bytes()));
        bytes.extend(entry("short", &[7; 1_000]));
        bytes.extend(of_kind(b'x', b"18 path=other.txt\n10 size=3\n"));
        bytes.extend(entry("cut", b"abc"));
        bytes.extend([0; 2 * BLOCK]);
        bytes.extend(b"what follows the end is not read");
        let all = read(bytes).await.unwrap();
        let expected = [
            ("a.ovf".to_owned(), b"descriptor".to_vec()),
            (long, vec![7; 1_000]),
            ("other.txt".to_owned(), b"abc".to_vec()),
        ];
        assert_eq!(all, expected);
    }

    #[tokio::test]
    async fn a_truncated_archive_says_where_it_ends() {
        let whole = [entry("a.ovf", b"descriptor"), entry("b", &[1; 5_000])].concat();
        // Behind the second entry's content, only padding is missing.
        for (length, entry) in [
            (100, None),
            (515, Some("a.ovf")),
            (1_023, Some("a.ovf")),
            (1_100, None),
            (1_536, Some("b")),
            (4_000, Some("b")),
            (6_535, Some("b")),
        ] {
            let error = read(whole[..length].to_vec()).await.unwrap_err();
            let problem = &error.problem;
            assert!(
                matches!(problem, ArchiveProblem::Truncated),
                "{length}: {error:?}"
            );
            assert_eq!(error.offset, length as u64);
            assert_eq!(error.entry.as_deref(), entry, "{length}");
        }
    }

    #[tokio::test]
    async fn what_is_no_archive_of_files_is_refused() {
        let error = read(vec![b'x'; 2_000]).await.unwrap_err();
        assert!(
            matches!(error.problem, ArchiveProblem::Malformed(_)),
            "{error:?}"
        );
        for kind in [b'1', b'2', b'3', b'6', b'S'] {
            let error = read(of_kind(kind, b"")).await.unwrap_err();
            assert!(
                matches!(error.problem, ArchiveProblem::NotAFile),
                "{error:?}"
            );
            assert_eq!(error.entry.as_deref(), Some("x"));
        }
        let mut wrong = entry("a", b"");
        wrong[0] = b'b';
        let error = read(wrong).await.unwrap_err();
        assert!(error.to_string().contains("checksum"), "{error}");
        for record in ["99999999 path=x\n", "9 size=-1\n", "x path=y\n", "7 path="] {
            let bytes = of_kind(b'x', record.as_bytes());
            assert!(read(bytes).await.is_err(), "{record:?}");
        }
        let mut long = of_kind(b'L', b"");
        long[124..136].copy_from_slice(b"77777777777\0");
        assert!(read(long).await.is_err());
    }

    #[test]
    fn sizes_above_eight_gigabytes_are_binary() {
        for size in [0, 511, (1 << 33) - 1, 1 << 33, 1 << 45] {
            let block = header("disk", size, 1_700_000_000).unwrap();
            let read = Header::read(&block).unwrap().unwrap();
            assert_eq!((read.size, read.name.as_str()), (size, "disk"));
        }
        assert!(header(&"n".repeat(101), 0, 0).is_none());
        assert_eq!(number(&[0xff; 12]), None);
    }
}
