//! Detecting compression by the first bytes, and decompressing.

use std::io::{self, BufRead, BufReader, Read};

use crate::{Error, Limits};

/// The compression format of a file or layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Compression {
    None,
    Gzip,
    Zstd,
}

impl Compression {
    /// Detects the compression from the first bytes of the content: pass at least 6, or all if
    /// there are fewer.
    pub(crate) fn recognise(start: &[u8]) -> Result<Self, Error> {
        let refuse = |name: &str| {
            Err(Error::Unsupported {
                reason: format!("it is compressed with {name}; use gzip, zstd or none"),
            })
        };
        match start {
            [0x1f, 0x8b, ..] => Ok(Self::Gzip),
            // The magic number of a zstd frame, or of a skippable frame before it.
            [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Ok(Self::Zstd),
            [0x42, 0x5a, 0x68, ..] => refuse("bzip2"),
            [0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00, ..] => refuse("xz"),
            _ => Ok(Self::None),
        }
    }
}

/// Decompresses a reader. Reading fails once there are more than `limit` decompressed bytes.
pub(crate) fn decompress(
    reader: impl Read + Send + 'static,
    limits: &Limits,
) -> io::Result<Box<dyn Read + Send>> {
    let mut reader = BufReader::with_capacity(128 * 1024, reader);
    let compression = Compression::recognise(reader.fill_buf()?)?;
    let limit = limits.unpacked_bytes;
    Ok(match compression {
        Compression::None => Box::new(Bounded::new(reader, limit)),
        Compression::Gzip => Box::new(Bounded::new(
            flate2::bufread::MultiGzDecoder::new(reader),
            limit,
        )),
        Compression::Zstd => {
            let mut decoder = zstd::stream::read::Decoder::with_buffer(reader)?;
            decoder.window_log_max(limits.zstd_window_log)?;
            Box::new(Bounded::new(decoder, limit))
        }
    })
}

/// A reader that fails once it has returned more bytes than its limit.
struct Bounded<R> {
    inner: R,
    left: u64,
    limit: u64,
}

impl<R> Bounded<R> {
    fn new(inner: R, limit: u64) -> Self {
        Self {
            inner,
            left: limit,
            limit,
        }
    }
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.left = self.left.checked_sub(count as u64).ok_or_else(|| {
            io::Error::from(Error::TooLarge {
                what: "the decompressed content".into(),
                limit: self.limit,
            })
        })?;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a panic is the failure of a test")]

    use std::io::Write;

    use super::*;

    fn read(bytes: Vec<u8>, limits: &Limits) -> io::Result<Vec<u8>> {
        let mut content = Vec::new();
        decompress(io::Cursor::new(bytes), limits)?.read_to_end(&mut content)?;
        Ok(content)
    }

    fn gzip(content: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(content).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn gzip_zstd_and_plain_are_read_alike() {
        let content = b"some bytes ".repeat(100);
        let limits = Limits::default();
        let zstd = zstd::encode_all(&content[..], 1).unwrap();
        for form in [content.clone(), gzip(&content), zstd] {
            assert_eq!(read(form, &limits).unwrap(), content);
        }
        let mut twice = gzip(b"a");
        twice.extend(gzip(b"b"));
        assert_eq!(read(twice, &limits).unwrap(), b"ab");
    }

    #[test]
    fn bombs_truncation_and_other_compressions_are_errors() {
        let bomb = gzip(&vec![0; 1 << 20]);
        let limits = Limits::default().unpacked_bytes(1000);
        let error = read(bomb.clone(), &limits).unwrap_err();
        assert!(error.to_string().contains("larger than 1000 bytes"));
        assert!(read(bomb[..bomb.len() - 5].to_vec(), &Limits::default()).is_err());
        let error = read(b"BZh9....".to_vec(), &Limits::default()).unwrap_err();
        assert!(error.to_string().contains("bzip2"), "{error}");
        assert_eq!(read(Vec::new(), &limits).unwrap(), b"");
    }
}
