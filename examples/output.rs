//! Standard output whose reader may end early, as `head` does.

use std::io::{self, ErrorKind, Stdout, Write};

/// Standard output. What is written after its reader has ended is discarded: that is no error, and
/// must not end a command that has more to do.
#[derive(Debug)]
pub struct Output(Stdout);

impl Output {
    /// Returns the standard output of this program.
    #[must_use]
    pub fn new() -> Self {
        Self(io::stdout())
    }
}

impl Default for Output {
    fn default() -> Self {
        Self::new()
    }
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self.0.write(bytes) {
            Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(bytes.len()),
            written => written,
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self.0.flush() {
            Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
            flushed => flushed,
        }
    }
}
