//! Sends disks as streamOptimized VMDKs.

use std::io::{self, Write};
use std::sync::Arc;

use axum::body::Body;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use bytes::{Bytes, BytesMut};
use disk_image::vmdk::{StreamOptions, StreamWriter};
use disk_image::{Monitor, Sink};
use sha1::Sha1;
use sha2::{Digest as _, Sha256};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::datastore::disk;
use crate::lease::{Lease, Moved};
use crate::shared::Shared;

/// Size of a chunk in bytes.
const PIECE: usize = 64 << 10;
/// Maximum number of chunks buffered ahead of the client.
const AHEAD: usize = 8;

/// Sends a disk, compressed on the fly and therefore without a `Content-Length`.
pub(super) async fn send(shared: &Arc<Shared>, lease: Arc<Lease>, at: usize) -> Response {
    let gate = Arc::clone(&lease.gate).read_owned().await;
    let (sender, receiver) = mpsc::channel(AHEAD);
    let shared = Arc::clone(shared);
    tokio::task::spawn_blocking(move || {
        let failed = sender.clone();
        if let Err(error) = pack(&shared, &lease, at, sender) {
            tracing::debug!(%error, "a disk was not sent completely");
            // Aborts the response.
            let _ = failed.blocking_send(Err(error));
        }
        drop(gate);
    });
    let stream = futures_util::stream::unfold(receiver, |mut receiver| async move {
        receiver.recv().await.map(|piece| (piece, receiver))
    });
    let kind = HeaderValue::from_static("application/x-vnd.vmware-streamVmdk");
    (
        StatusCode::OK,
        [(CONTENT_TYPE, kind)],
        Body::from_stream(stream),
    )
        .into_response()
}

fn pack(
    shared: &Shared,
    lease: &Lease,
    at: usize,
    sender: mpsc::Sender<io::Result<Bytes>>,
) -> io::Result<()> {
    let device = lease.devices.get(at).ok_or(io::ErrorKind::NotFound)?;
    let disk = disk::open(&shared.store, &device.path).map_err(io::Error::other)?;
    let out = Pieces {
        sender,
        piece: BytesMut::with_capacity(PIECE),
        size: 0,
        sha1: Sha1::new(),
        sha256: Sha256::new(),
    };
    let options = StreamOptions::new().threads(1);
    let writer = StreamWriter::new(out, disk.capacity(), &options).map_err(io::Error::other)?;
    let mut writer = Counting {
        writer,
        over: &lease.over,
        populated: 0,
    };
    disk_image::copy(&disk, &mut writer, &Monitor::new()).map_err(io::Error::other)?;
    let Counting {
        writer, populated, ..
    } = writer;
    let mut out = writer.finish().map_err(io::Error::other)?;
    out.flush()?;
    device.set_moved(Moved {
        size: out.size,
        populated,
        sha1: hexadecimal(&out.sha1.finalize()),
        sha256: hexadecimal(&out.sha256.finalize()),
    });
    Ok(())
}

pub(super) fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A sink that counts bytes, and fails when the lease ends.
struct Counting<'l> {
    writer: StreamWriter<Pieces>,
    over: &'l CancellationToken,
    populated: u64,
}

impl Sink for Counting<'_> {
    fn put(&mut self, offset: u64, bytes: &[u8]) -> Result<(), disk_image::Error> {
        if self.over.is_cancelled() {
            return Err(disk_image::Error::Cancelled);
        }
        self.populated += bytes.len() as u64;
        self.writer.put(offset, bytes)
    }
}

/// A writer that sends the data as the body of a response.
struct Pieces {
    sender: mpsc::Sender<io::Result<Bytes>>,
    piece: BytesMut,
    size: u64,
    sha1: Sha1,
    sha256: Sha256,
}

impl Write for Pieces {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.piece.extend_from_slice(bytes);
        if self.piece.len() >= PIECE {
            self.flush()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        let piece = self.piece.split().freeze();
        if piece.is_empty() {
            return Ok(());
        }
        self.sha1.update(&piece);
        self.sha256.update(&piece);
        self.size += piece.len() as u64;
        // This waits for a slow client, and fails if it disconnected.
        let sent = self.sender.blocking_send(Ok(piece));
        sent.map_err(|_| io::ErrorKind::BrokenPipe.into())
    }
}
