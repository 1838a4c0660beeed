//! Moves the content of files between disk and network in large pieces.
//!
//! Every access to a file is a hand-over to the thread pool for blocking work, which costs more than
//! copying some kilobytes. While one piece is on its way to or from the disk, the next one is
//! received or sent.

use std::fs::File;
use std::io::{self, Read as _, Write as _};

use bytes::Bytes;
use futures_util::{Stream, StreamExt as _, stream};
use tokio::task::JoinHandle;

use crate::datastore::Allowance;

/// The size of pieces in bytes. At most two are in memory for each transfer.
const PIECE: usize = 512 << 10;

/// Reads `count` bytes of a file from its current position. The stream ends earlier if the file does.
pub(super) fn read(
    file: File,
    count: u64,
) -> impl Stream<Item = io::Result<Bytes>> + Send + 'static {
    let first = (count > 0).then(|| begin_read(file, count));
    stream::unfold(first, |reading| async move {
        let (bytes, file, left) = match reading?.await {
            Ok(Ok(read)) => read,
            Ok(Err(error)) => return Some((Err(error), None)),
            Err(error) => return Some((Err(io::Error::other(error)), None)),
        };
        if bytes.is_empty() {
            return None;
        }
        let next = (left > 0).then(|| begin_read(file, left));
        Some((Ok(bytes), next))
    })
}

/// What was read, the file, and the number of bytes that are left to read.
type ReadPiece = io::Result<(Bytes, File, u64)>;

fn begin_read(file: File, left: u64) -> JoinHandle<ReadPiece> {
    tokio::task::spawn_blocking(move || {
        let size = left.min(PIECE as u64);
        let mut bytes = Vec::with_capacity(PIECE.min(usize::try_from(left).unwrap_or(PIECE)));
        let read = (&file).take(size).read_to_end(&mut bytes)?;
        Ok((bytes.into(), file, left - read as u64))
    })
}

/// Writes a stream to a file.
///
/// # Errors
/// The errors of the stream and of the file, and
/// [`StorageFull`](io::ErrorKind::StorageFull) for more bytes than allowed.
pub(super) async fn write<E: Into<Box<dyn std::error::Error + Send + Sync>>>(
    mut stream: impl Stream<Item = Result<Bytes, E>> + Unpin,
    file: File,
    mut allowance: Allowance,
) -> io::Result<()> {
    let mut writing = Some(begin_write(file, Vec::new()));
    let mut is_over = false;
    while !is_over {
        let (mut pieces, mut size) = (Vec::new(), 0);
        while size < PIECE {
            let Some(piece) = stream.next().await else {
                is_over = true;
                break;
            };
            let piece = piece.map_err(io::Error::other)?;
            allowance.take(piece.len() as u64)?;
            size += piece.len();
            pieces.push(piece);
        }
        if let Some(before) = writing.take() {
            let file = before.await.map_err(io::Error::other)??;
            writing = Some(begin_write(file, pieces));
        }
    }
    match writing {
        Some(last) => last.await.map_err(io::Error::other)?.map(drop),
        None => Ok(()),
    }
}

fn begin_write(mut file: File, pieces: Vec<Bytes>) -> JoinHandle<io::Result<File>> {
    tokio::task::spawn_blocking(move || {
        for piece in pieces {
            file.write_all(&piece)?;
        }
        Ok(file)
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use std::io::{Seek as _, SeekFrom};

    use super::*;
    use crate::datastore::Store;

    fn content() -> Vec<u8> {
        (0..3 * PIECE + 17).map(|n| (n % 251) as u8).collect()
    }

    async fn collect(stream: impl Stream<Item = io::Result<Bytes>>) -> Vec<u8> {
        let pieces: Vec<Bytes> = stream.map(|piece| piece.unwrap()).collect().await;
        assert!(
            pieces
                .iter()
                .all(|piece| !piece.is_empty() && piece.len() <= PIECE)
        );
        pieces.concat()
    }

    #[tokio::test]
    async fn a_part_of_a_file_is_read() {
        let content = content();
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&content).unwrap();
        for (first, count, end) in [
            (0, content.len(), content.len()),
            (5, PIECE, PIECE + 5),
            (7, 0, 7),
            // The file is shorter than it was.
            (PIECE, 9 * PIECE, content.len()),
        ] {
            let mut file = file.try_clone().unwrap();
            file.seek(SeekFrom::Start(first as u64)).unwrap();
            let read = collect(read(file, count as u64)).await;
            assert!(read == content[first..end], "{first} {count}");
        }
    }

    #[tokio::test]
    async fn pieces_of_any_size_are_written_in_order() {
        let content = content();
        let store = Store::temporary("ds").unwrap();
        let path = store.path(store.first(), "a").unwrap();
        for size in [1_000, 16 << 10, PIECE, content.len()] {
            let mut file = tempfile::tempfile().unwrap();
            let pieces = content
                .chunks(size)
                .map(|piece| Ok(Bytes::copy_from_slice(piece)));
            let pieces: Vec<io::Result<Bytes>> = pieces.collect();
            let copy = file.try_clone().unwrap();
            write(stream::iter(pieces), copy, store.allowance(&path))
                .await
                .unwrap();
            let mut written = Vec::new();
            file.rewind().unwrap();
            file.read_to_end(&mut written).unwrap();
            assert!(written == content, "{size}");
        }
    }

    #[tokio::test]
    async fn errors_end_a_transfer() {
        let store = Store::temporary("ds").unwrap();
        let path = store.path(store.first(), "a").unwrap();
        let pieces = [Ok(Bytes::from_static(b"x")), Err(io::Error::other("cut"))];
        let file = tempfile::tempfile().unwrap();
        let written = write(stream::iter(pieces), file, store.allowance(&path)).await;
        assert_eq!(written.unwrap_err().to_string(), "cut");
        // The file is not open for writing.
        let file = tempfile::NamedTempFile::new().unwrap();
        let file = File::open(file.path()).unwrap();
        let pieces = [Ok::<_, io::Error>(Bytes::from_static(b"x"))];
        let written = write(stream::iter(pieces), file, store.allowance(&path)).await;
        assert!(written.is_err());
    }
}
