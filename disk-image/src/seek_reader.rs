//! Reads parts of a layer that is not compressed, and seeks over the rest.

use std::io::{self, BufRead, Read, SeekFrom};

use crate::Monitor;
use crate::archive::LayerRead;
use crate::layer::{Compression, LayerSource, MAGIC, ReadSeek};

/// Number of bytes that are read after a jump. Enough for a header and a small file.
const FIRST: usize = 8 << 10;
/// Number of bytes that are read at once at most.
const MOST: usize = 64 << 10;

/// A buffered reader that seeks over what is skipped, and stops when the operation is cancelled.
pub(crate) struct SeekReader {
    inner: Box<dyn ReadSeek>,
    monitor: Monitor,
    /// Length of the layer when it was opened.
    length: u64,
    /// The offset of the next byte.
    position: u64,
    buffer: Vec<u8>,
    /// The part of the buffer that contains bytes of the layer from `position` on.
    unread: std::ops::Range<usize>,
    /// Number of bytes of the next read.
    next: usize,
    /// The position of `inner`.
    inner_position: u64,
}

impl SeekReader {
    /// Opens a layer at its start. Returns `None` if it cannot seek, or is compressed.
    pub(crate) fn open(source: &dyn LayerSource, monitor: &Monitor) -> io::Result<Option<Self>> {
        let Some(mut inner) = source.open_seekable()? else {
            return Ok(None);
        };
        let length = inner.seek(SeekFrom::End(0))?;
        inner.seek(SeekFrom::Start(0))?;
        let mut reader = Self {
            inner,
            monitor: monitor.clone(),
            length,
            position: 0,
            buffer: Vec::new(),
            unread: 0..0,
            next: FIRST,
            inner_position: 0,
        };
        let mut magic = [0; MAGIC];
        let magic = &mut magic[..length.min(MAGIC as u64) as usize];
        reader.peek(0, magic)?;
        let is_plain = Compression::detect(magic) == Compression::None;
        Ok(is_plain.then_some(reader))
    }

    /// Reads bytes, `ahead` bytes after the position, without moving it.
    pub(crate) fn peek(&mut self, ahead: u64, buf: &mut [u8]) -> io::Result<()> {
        self.monitor.check().map_err(io::Error::other)?;
        let end = self.position.checked_add(ahead);
        let end = end.and_then(|start| start.checked_add(buf.len() as u64));
        if end.is_none_or(|end| end > self.length) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let start = self.position + ahead;
        self.move_inner(start)?;
        let read = self.inner.read_exact(buf);
        // Unknown after an error.
        self.inner_position = u64::MAX;
        read?;
        self.inner_position = start + buf.len() as u64;
        Ok(())
    }

    fn move_inner(&mut self, position: u64) -> io::Result<()> {
        if self.inner_position != position {
            self.inner_position = self.inner.seek(SeekFrom::Start(position))?;
        }
        Ok(())
    }
}

impl BufRead for SeekReader {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.monitor.check().map_err(io::Error::other)?;
        if self.unread.is_empty() {
            self.move_inner(self.position)?;
            self.buffer.resize(MOST, 0);
            // Bytes that were appended since are not part of the layer.
            let most = (self.length - self.position).min(self.next as u64) as usize;
            let count = self.inner.read(&mut self.buffer[..most])?;
            self.inner_position += count as u64;
            self.unread = 0..count;
            self.next = (self.next * 2).min(MOST);
        }
        Ok(&self.buffer[self.unread.clone()])
    }

    fn consume(&mut self, count: usize) {
        let count = count.min(self.unread.len());
        self.unread.start += count;
        self.position += count as u64;
    }
}

impl Read for SeekReader {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let count = self.fill_buf()?.read(buf)?;
        self.consume(count);
        Ok(count)
    }
}

impl LayerRead for SeekReader {
    fn skip(&mut self, most: u64) -> io::Result<u64> {
        self.monitor.check().map_err(io::Error::other)?;
        let count = most.min(self.length - self.position);
        self.position += count;
        if count <= self.unread.len() as u64 {
            self.unread.start += count as usize;
        } else {
            self.unread = 0..0;
            self.next = FIRST;
        }
        Ok(count)
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
mod tests {
    use super::*;

    struct Memory(Vec<u8>);

    impl LayerSource for Memory {
        fn open(&self) -> io::Result<Box<dyn Read + Send>> {
            Err(io::ErrorKind::Unsupported.into())
        }

        fn open_seekable(&self) -> io::Result<Option<Box<dyn ReadSeek>>> {
            Ok(Some(Box::new(io::Cursor::new(self.0.clone()))))
        }
    }

    #[test]
    fn skipping_and_peeking_lead_to_the_same_bytes_as_reading() {
        let bytes: Vec<u8> = (0..500_000u32)
            .map(|n| ((n / 3) ^ (n >> 9)) as u8)
            .collect();
        let layer = Memory(bytes.clone());
        let mut reader = SeekReader::open(&layer, &Monitor::new()).unwrap().unwrap();
        let mut at = 0;
        for step in (1..).map(|n| n * 7919 % 60_000) {
            let mut peeked = [0; 100];
            if at + step + 100 > bytes.len() {
                let error = reader.peek(step as u64, &mut peeked).unwrap_err();
                assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
                break;
            }
            reader.peek(step as u64, &mut peeked).unwrap();
            assert_eq!(peeked, bytes[at + step..][..100]);
            let mut read = [0; 100];
            reader.read_exact(&mut read).unwrap();
            assert_eq!(read, bytes[at..][..100]);
            assert_eq!(reader.skip(step as u64).unwrap(), step as u64);
            at += 100 + step;
        }
        let rest = bytes.len() - at;
        assert_eq!(reader.skip(u64::MAX).unwrap(), rest as u64);
        assert_eq!(reader.skip(1).unwrap(), 0);
        assert_eq!(reader.fill_buf().unwrap(), b"");
    }
}
