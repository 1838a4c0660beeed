//! Disks on their way out, packed while they are read.

use std::io::{self, Read, Write};
use std::sync::Arc;

use axum::body::Body;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use bytes::{Bytes, BytesMut};
use disk_image::Sink as _;
use disk_image::vmdk::{StreamOptions, StreamWriter};
use sha1::Sha1;
use sha2::{Digest as _, Sha256};
use tokio::sync::mpsc;

use crate::core::Core;
use crate::datastore::content::Content;
use crate::lease::{Lease, Moved};

/// Bytes that are sent as one piece.
const PIECE: usize = 64 << 10;
/// Pieces that are ready before the reader takes them.
const AHEAD: usize = 8;

/// Sends a disk as a streamOptimized VMDK, whose length nobody knows before its end.
pub(super) async fn send(core: &Arc<Core>, lease: Arc<Lease>, at: usize) -> Response {
    let gate = Arc::clone(&lease.gate).read_owned().await;
    let (sender, receiver) = mpsc::channel(AHEAD);
    let core = Arc::clone(core);
    tokio::task::spawn_blocking(move || {
        let failed = sender.clone();
        if let Err(error) = pack(&core, &lease, at, sender) {
            tracing::debug!(%error, "a disk was not sent to its end");
            // The client sees the connection break off.
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
    core: &Core,
    lease: &Lease,
    at: usize,
    sender: mpsc::Sender<io::Result<Bytes>>,
) -> io::Result<()> {
    let device = lease.devices.get(at).ok_or(io::ErrorKind::NotFound)?;
    let mut content = Content::open(&core.store, &device.path)?;
    let out = Pieces {
        sender,
        piece: BytesMut::with_capacity(PIECE),
        size: 0,
        sha1: Sha1::new(),
        sha256: Sha256::new(),
    };
    let options = StreamOptions::new().threads(1);
    let mut writer =
        StreamWriter::new(out, content.length(), &options).map_err(io::Error::other)?;
    let mut grain = vec![0; PIECE];
    let (mut offset, mut populated) = (0, 0);
    while offset < content.length() {
        if lease.over.is_cancelled() {
            return Err(io::ErrorKind::Interrupted.into());
        }
        let left = usize::try_from(content.length() - offset).unwrap_or(usize::MAX);
        let some = &mut grain[..left.min(PIECE)];
        content.read_exact(some)?;
        if some.iter().any(|byte| *byte != 0) {
            writer.put(offset, some).map_err(io::Error::other)?;
            populated += some.len() as u64;
        }
        offset += some.len() as u64;
    }
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

/// A writer whose bytes become the body of a response.
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
        // Waits for a slow reader; fails when it has gone.
        let sent = self.sender.blocking_send(Ok(piece));
        sent.map_err(|_| io::ErrorKind::BrokenPipe.into())
    }
}
