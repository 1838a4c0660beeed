//! Decompresses responses.

use std::io::{self, Write};

use flate2::write::MultiGzDecoder;

/// Decompresses the pieces of a body, up to a limit.
pub(crate) struct Gunzip(MultiGzDecoder<Bounded>);

impl Gunzip {
    /// Creates a decoder whose output is at most `limit` bytes long.
    pub(crate) fn new(limit: usize) -> Self {
        let content = Vec::new();
        Self(MultiGzDecoder::new(Bounded { content, limit }))
    }

    /// Decodes the next piece.
    ///
    /// # Errors
    /// An error that contains [`TooLong`] when the output exceeds the limit; any other error
    /// means that the text is not gzip.
    pub(crate) fn write(&mut self, piece: &[u8]) -> io::Result<()> {
        self.0.write_all(piece)
    }

    /// Returns the whole content.
    pub(crate) fn finish(self) -> io::Result<Vec<u8>> {
        Ok(self.0.finish()?.content)
    }
}

/// The decompressed output exceeds the limit.
#[derive(Debug, thiserror::Error)]
#[error("the decoded answer is too long")]
pub(crate) struct TooLong;

struct Bounded {
    content: Vec<u8>,
    limit: usize,
}

impl Write for Bounded {
    fn write(&mut self, piece: &[u8]) -> io::Result<usize> {
        if self.content.len() + piece.len() > self.limit {
            return Err(io::Error::other(TooLong));
        }
        self.content.extend_from_slice(piece);
        Ok(piece.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Returns whether decoding failed because of the limit.
pub(crate) fn is_too_long(error: &io::Error) -> bool {
    error.get_ref().is_some_and(|inner| inner.is::<TooLong>())
}
