//! Response bodies that a blocking function writes.

use std::io::{self, Write};

use bytes::{Bytes, BytesMut};
use tokio::sync::mpsc;

use crate::reply::{self, Reply};

/// Size of the pieces in bytes.
const PIECE: usize = 128 << 10;
/// The number of pieces that may wait for the client.
const AHEAD: usize = 4;

/// Creates a response whose content a function writes on a blocking thread, as fast as the client
/// reads it. If the function fails, the response ends as broken. If the client leaves, writing
/// fails.
pub(crate) fn reply(
    media_type: &'static str,
    write: impl FnOnce(&mut dyn Write) -> io::Result<()> + Send + 'static,
) -> Reply {
    let (sender, receiver) = mpsc::channel(AHEAD);
    tokio::task::spawn_blocking(move || {
        let mut pieces = Pieces {
            sender,
            piece: BytesMut::with_capacity(PIECE),
        };
        let written = write(&mut pieces).and_then(|()| pieces.flush());
        if let Err(error) = written {
            // The client may have left.
            let _ = pieces.sender.blocking_send(Err(error));
        }
    });
    let pieces = futures_util::stream::unfold(receiver, |mut receiver| async move {
        receiver.recv().await.map(|piece| (piece, receiver))
    });
    reply::stream(media_type, pieces)
}

struct Pieces {
    sender: mpsc::Sender<io::Result<Bytes>>,
    piece: BytesMut,
}

impl Write for Pieces {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.piece.len() >= PIECE {
            self.flush()?;
        }
        let now = bytes.len().min(PIECE - self.piece.len());
        self.piece.extend_from_slice(&bytes[..now]);
        Ok(now)
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.piece.is_empty() {
            return Ok(());
        }
        let piece = std::mem::replace(&mut self.piece, BytesMut::with_capacity(PIECE)).freeze();
        let sent = self.sender.blocking_send(Ok(piece));
        sent.map_err(|_| io::Error::new(io::ErrorKind::BrokenPipe, "the client left"))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a panic is the failure of a test")]

    use http_body_util::BodyExt as _;

    use super::*;

    #[tokio::test]
    async fn what_is_written_arrives_whole_or_breaks() {
        let content: Vec<u8> = (0..1_000_000u32).map(|n| n as u8).collect();
        let expected = content.clone();
        let whole = reply("a/b", move |out| {
            out.write_all(&content[..7])?;
            out.write_all(&content[7..])
        });
        let whole = whole.into_body().collect().await.unwrap().to_bytes();
        assert!(whole == expected);

        let broken = reply("a/b", |out| {
            out.write_all(&[7; 300_000])?;
            Err(io::Error::other("no more"))
        });
        let error = broken.into_body().collect().await.unwrap_err();
        assert_eq!(error.to_string(), "no more");
    }

    #[tokio::test]
    async fn writing_ends_when_the_client_leaves() {
        let (tell, told) = tokio::sync::oneshot::channel();
        let left = reply("a/b", move |out| {
            let error = loop {
                if let Err(error) = out.write_all(&[7; 4096]) {
                    break error;
                }
            };
            let _ = tell.send(error.kind());
            Err(error)
        });
        drop(left);
        assert_eq!(told.await.unwrap(), io::ErrorKind::BrokenPipe);
    }
}
