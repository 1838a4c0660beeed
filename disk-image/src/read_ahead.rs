//! Reads ahead on a thread.

use std::io::{self, BufRead, Read};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

/// Size of the chunks between the threads in bytes. Decompression into a third of it takes 4 % more
/// time, because each chunk begins with references to the last.
const CHUNK: usize = 384 << 10;
/// Number of chunks that wait for the reader.
const QUEUE: usize = 4;

/// Reads from another reader on a thread of its own, at most 1,920 KiB ahead, so that what the other
/// reader does (hashing, decompression) takes place at the same time as the work of the caller.
///
/// The end and errors of the other reader are returned after everything that it read, and again by
/// all further reads. Dropping this ends the thread, and waits for a read in progress.
pub(crate) struct ReadAhead {
    /// `None` after the end.
    connection: Option<Connection>,
    thread: Option<JoinHandle<()>>,
    chunk: Chunk,
    /// Number of bytes of the chunk that were already read.
    read: usize,
    failed: bool,
    name: &'static str,
}

struct Connection {
    chunks: Receiver<io::Result<Chunk>>,
    spare: SyncSender<Vec<u8>>,
}

/// A chunk without bytes marks the end.
#[derive(Default)]
struct Chunk {
    buffer: Vec<u8>,
    length: usize,
}

impl ReadAhead {
    /// Starts the thread.
    pub(crate) fn new(
        name: &'static str,
        mut inner: impl Read + Send + 'static,
    ) -> io::Result<Self> {
        let (sender, chunks) = sync_channel(QUEUE);
        // With room for all buffers, returning one never blocks.
        let (spare, spares) = sync_channel(QUEUE + 2);
        let thread = std::thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || {
                loop {
                    let chunk = next_chunk(&mut inner, spares.try_recv().unwrap_or_default());
                    let is_last = chunk.as_ref().map_or(true, |chunk| chunk.length == 0);
                    if sender.send(chunk).is_err() || is_last {
                        break;
                    }
                }
            })?;
        Ok(Self {
            connection: Some(Connection { chunks, spare }),
            thread: Some(thread),
            chunk: Chunk::default(),
            read: 0,
            failed: false,
            name,
        })
    }

    /// Receives the next chunk, if there is one.
    fn receive(&mut self) -> io::Result<()> {
        let Some(connection) = &self.connection else {
            return match self.failed {
                true => Err(io::Error::other(format!("{} has failed", self.name))),
                false => Ok(()),
            };
        };
        let old = std::mem::take(&mut self.chunk);
        self.read = 0;
        // The thread may have ended, and then needs no buffer.
        _ = connection.spare.try_send(old.buffer);
        let failure = match connection.chunks.recv() {
            Ok(Ok(chunk)) if chunk.length > 0 => {
                self.chunk = chunk;
                return Ok(());
            }
            Ok(Ok(_)) => None,
            Ok(Err(error)) => Some(error),
            // A thread that ends properly says so first.
            Err(_) => Some(io::Error::other(format!("a thread failed: {}", self.name))),
        };
        self.connection = None;
        self.failed = failure.is_some();
        failure.map_or(Ok(()), Err)
    }
}

fn next_chunk(inner: &mut impl Read, mut buffer: Vec<u8>) -> io::Result<Chunk> {
    buffer.resize(CHUNK, 0);
    loop {
        match inner.read(&mut buffer) {
            Ok(length) => return Ok(Chunk { buffer, length }),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

impl BufRead for ReadAhead {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.read == self.chunk.length {
            self.receive()?;
        }
        Ok(&self.chunk.buffer[self.read..self.chunk.length])
    }

    fn consume(&mut self, count: usize) {
        self.read = (self.read + count).min(self.chunk.length);
    }
}

impl Read for ReadAhead {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let count = self.fill_buf()?.read(buf)?;
        self.consume(count);
        Ok(count)
    }
}

impl Drop for ReadAhead {
    fn drop(&mut self) {
        // The thread notices it when it sends the next chunk.
        self.connection = None;
        if let Some(thread) = self.thread.take() {
            // A panic was already reported as the end without a last chunk.
            _ = thread.join();
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    /// Returns pieces of different lengths.
    struct Pieces {
        left: usize,
        size: usize,
    }

    impl Read for Pieces {
        fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
            self.size = self.size * 7 % 300_007;
            let count = self.left.min(self.size).min(buf.len());
            for (byte, number) in buf[..count].iter_mut().zip((1..=self.left).rev()) {
                *byte = number as u8;
            }
            self.left -= count;
            Ok(count)
        }
    }

    #[test]
    fn everything_is_read_in_order_and_the_end_is_repeated() {
        let left = 3_000_000;
        let mut reader = ReadAhead::new("test", Pieces { left, size: 1 }).unwrap();
        let mut found = Vec::new();
        reader.read_to_end(&mut found).unwrap();
        let expected: Vec<u8> = (1..=left).rev().map(|number| number as u8).collect();
        assert!(found == expected);
        assert_eq!(reader.read(&mut [0; 10]).unwrap(), 0);
        assert_eq!(reader.fill_buf().unwrap(), b"");
    }

    #[test]
    fn an_error_follows_what_was_read_before_it_and_is_final() {
        struct Failing;
        impl Read for Failing {
            fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
                Err(io::ErrorKind::PermissionDenied.into())
            }
        }
        let inner = io::Cursor::new(b"abc").chain(Failing);
        let mut reader = ReadAhead::new("test", inner).unwrap();
        let mut found = Vec::new();
        let error = reader.read_to_end(&mut found).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::PermissionDenied);
        assert_eq!(found, b"abc");
        // It must not look like the end.
        let again = reader.read(&mut [0; 10]).unwrap_err();
        assert_eq!(again.to_string(), "test has failed");
    }

    #[test]
    fn a_panic_of_the_other_reader_is_an_error() {
        struct Panicking;
        impl Read for Panicking {
            fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
                panic!("expected by the test");
            }
        }
        let mut reader = ReadAhead::new("test", Panicking).unwrap();
        let error = reader.read(&mut [0; 10]).unwrap_err();
        assert_eq!(error.to_string(), "a thread failed: test");
    }

    #[test]
    fn dropping_ends_the_thread_after_a_limited_number_of_reads() {
        struct Endless(Arc<AtomicUsize>);
        impl Read for Endless {
            fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
                self.0.fetch_add(1, Ordering::Relaxed);
                Ok(buf.len())
            }
        }
        let reads = Arc::new(AtomicUsize::new(0));
        let mut reader = ReadAhead::new("test", Endless(Arc::clone(&reads))).unwrap();
        reader.read_exact(&mut [0; 10]).unwrap();
        drop(reader);
        assert!(reads.load(Ordering::Relaxed) <= QUEUE + 2);
        // The thread owned the other reference.
        assert_eq!(Arc::strong_count(&reads), 1);
    }
}
