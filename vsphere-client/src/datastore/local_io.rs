//! Reads and writes local files in large pieces, each file on a thread that may block.
//!
//! An asynchronous file would move every piece to such a thread and back, and copy it on the way.
//! Here the thread stays with its file, and computes a checksum while the connection is busy with
//! the pieces before.

use std::fs::{File, OpenOptions};
use std::io::{self, IoSlice, Read as _, Seek as _, Write as _};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use futures_core::stream::BoxStream;
use futures_util::StreamExt;
use sha2::{Digest, Sha256};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

/// The size of the pieces that are read and written, in bytes.
const PIECE: usize = 256 << 10;

/// The maximum number of pieces between the thread of a file and the connection.
const AHEAD: usize = 4;

/// A checksum that is computed only on demand.
#[derive(Clone, Debug)]
pub(super) struct Checksum(Option<Sha256>);

impl Checksum {
    pub(super) fn new(wanted: bool) -> Self {
        Self(wanted.then(Sha256::new))
    }

    fn update(&mut self, piece: &[u8]) {
        if let Some(digest) = &mut self.0 {
            digest.update(piece);
        }
    }

    fn finish(self) -> Option<[u8; 32]> {
        self.0.map(|digest| digest.finalize().into())
    }
}

/// A thread that stops at its next piece when this is dropped.
#[derive(Debug, Default)]
struct StopOnDrop(Arc<AtomicBool>);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// A file that is being read.
#[derive(Debug)]
pub(super) struct Reader(JoinHandle<Option<[u8; 32]>>);

impl Reader {
    /// Starts to read a file to its end. Returns its content, too; the thread ends when that is dropped.
    pub(super) fn start(
        file: File,
        mut checksum: Checksum,
    ) -> (Self, BoxStream<'static, io::Result<Bytes>>) {
        let (pieces, mut receiver) = mpsc::channel(AHEAD);
        let reading = tokio::task::spawn_blocking(move || {
            loop {
                let mut piece = Vec::with_capacity(PIECE);
                let read = (&file).take(PIECE as u64).read_to_end(&mut piece);
                let piece = match read {
                    Ok(0) => return checksum.finish(),
                    Ok(_) => Ok(Bytes::from(piece)),
                    Err(error) => Err(error),
                };
                let is_last = piece.is_err();
                if let Ok(piece) = &piece {
                    checksum.update(piece);
                }
                if pieces.blocking_send(piece).is_err() || is_last {
                    return None;
                }
            }
        });
        let content = futures_util::stream::poll_fn(move |cx| receiver.poll_recv(cx));
        (Self(reading), content.boxed())
    }

    /// Returns the checksum after the end of the content, if it was wanted.
    pub(super) async fn finish(self) -> io::Result<Option<[u8; 32]>> {
        Ok(self.0.await?)
    }
}

/// A file that is being written.
#[derive(Debug)]
pub(super) struct Writer {
    batches: mpsc::Sender<Vec<Bytes>>,
    /// Pieces that are not yet enough for the thread.
    batch: Vec<Bytes>,
    size: usize,
    writing: JoinHandle<io::Result<Option<[u8; 32]>>>,
    stop: StopOnDrop,
}

impl Writer {
    /// Starts to write at the position of a file.
    pub(super) fn start(mut file: File, mut checksum: Checksum) -> Self {
        let (batches, mut receiver) = mpsc::channel::<Vec<Bytes>>(AHEAD);
        let stop = StopOnDrop::default();
        let stopped = Arc::clone(&stop.0);
        let writing = tokio::task::spawn_blocking(move || {
            while let Some(batch) = receiver.blocking_recv() {
                if stopped.load(Ordering::Relaxed) {
                    return Ok(None);
                }
                write(&mut file, &batch)?;
                for piece in &batch {
                    checksum.update(piece);
                }
            }
            Ok(checksum.finish())
        });
        Self {
            batches,
            batch: Vec::new(),
            size: 0,
            writing,
            stop,
        }
    }

    /// Writes a piece. An error may also belong to a piece before.
    pub(super) async fn write(&mut self, piece: Bytes) -> io::Result<()> {
        self.size += piece.len();
        self.batch.push(piece);
        if self.size < PIECE {
            return Ok(());
        }
        self.flush().await
    }

    async fn flush(&mut self) -> io::Result<()> {
        self.size = 0;
        let batch = std::mem::take(&mut self.batch);
        if self.batches.send(batch).await.is_ok() {
            return Ok(());
        }
        // The thread has ended, so it failed.
        let ended = (&mut self.writing).await?;
        ended.and(Err(io::ErrorKind::BrokenPipe.into()))
    }

    /// Waits until everything is written; returns the checksum, if it was wanted.
    pub(super) async fn finish(mut self) -> io::Result<Option<[u8; 32]>> {
        self.flush().await?;
        let Self {
            batches,
            writing,
            stop,
            ..
        } = self;
        drop(batches);
        let written = writing.await?;
        drop(stop);
        written
    }
}

/// Writes pieces with as few system calls as possible.
fn write(file: &mut File, pieces: &[Bytes]) -> io::Result<()> {
    let mut slices: Vec<IoSlice<'_>> = pieces.iter().map(|piece| IoSlice::new(piece)).collect();
    let mut rest = slices.as_mut_slice();
    // Empty slices would look like the end.
    IoSlice::advance_slices(&mut rest, 0);
    while !rest.is_empty() {
        match file.write_vectored(rest) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => IoSlice::advance_slices(&mut rest, written),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Opens a file to read it. Returns its length, too.
pub(super) async fn open(local: &Path) -> io::Result<(File, u64)> {
    let local = local.to_owned();
    let opened = tokio::task::spawn_blocking(move || {
        let file = File::open(local)?;
        let length = file.metadata()?.len();
        Ok((file, length))
    });
    opened.await?
}

/// Creates a file to write it. With `resume`, its content stays: returns the file at its end, the
/// length of the content, and its checksum.
pub(super) async fn create(
    local: &Path,
    resume: bool,
    mut checksum: Checksum,
) -> io::Result<(File, u64, Checksum)> {
    let local = local.to_owned();
    let stop = StopOnDrop::default();
    let stopped = Arc::clone(&stop.0);
    let created = tokio::task::spawn_blocking(move || {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true);
        let mut file = options.truncate(!resume).open(local)?;
        if checksum.0.is_none() {
            let length = file.seek(io::SeekFrom::End(0))?;
            return Ok((file, length, checksum));
        }
        let mut length = 0;
        let mut piece = Vec::with_capacity(PIECE);
        while !stopped.load(Ordering::Relaxed) {
            piece.clear();
            match (&file).take(PIECE as u64).read_to_end(&mut piece)? {
                0 => break,
                read => length += read as u64,
            }
            checksum.update(&piece);
        }
        Ok((file, length, checksum))
    });
    created.await?
}

/// Removes the content of a file, to write it from its beginning.
pub(super) async fn empty(mut file: File) -> io::Result<File> {
    let emptied = tokio::task::spawn_blocking(move || {
        file.set_len(0)?;
        file.rewind()?;
        Ok(file)
    });
    emptied.await?
}
