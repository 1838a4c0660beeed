//! Serves the transfers of disks under a lease: `/nfc/<token>/disk-0.vmdk`.

use std::io::{self, BufReader, Read};
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{ConnectInfo, Path, State};
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Response};
use disk_image::Monitor;
use disk_image::vmdk::{self, StreamReader};
use futures_util::{StreamExt as _, TryStreamExt as _};
use sha1::Sha1;
use sha2::{Digest as _, Sha256};
use tokio_util::io::SyncIoBridge;
use vim25::types::NoDiskSpace;

use super::connection::Peer;
use super::export::{hexadecimal, send};
use super::upload::Upload;
use crate::datastore::disk::{self, FlatFile};
use crate::fault;
use crate::lease::{Device, Direction, Lease, Moved};
use crate::model;
use crate::script::Reaction;
use crate::shared::Shared;

/// The size of the buffer of an upload, in bytes.
const BUFFER: usize = 256 << 10;

pub(super) async fn serve(
    State(shared): State<Arc<Shared>>,
    ConnectInfo(peer): ConnectInfo<Peer>,
    Path((token, file)): Path<(String, String)>,
    method: Method,
    body: Body,
) -> Response {
    let mut lose_answer = false;
    let name = format!("{method} /nfc");
    for reaction in shared.script.react(&name) {
        match reaction {
            Reaction::Delay(time) => tokio::time::sleep(time).await,
            Reaction::Disconnect => {
                peer.hang_up.cancel();
                return std::future::pending().await;
            }
            Reaction::LoseAnswer => lose_answer = true,
            Reaction::HttpStatus(status) => {
                let status = StatusCode::from_u16(status);
                return status
                    .unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
                    .into_response();
            }
            _ => {}
        }
    }
    let Some(lease) = model::lease::with_token(&shared, &token) else {
        return (StatusCode::NOT_FOUND, "no such lease").into_response();
    };
    let Some(at) = lease.devices.iter().position(|device| device.file == file) else {
        return (StatusCode::NOT_FOUND, "no such device").into_response();
    };
    let response = match (method, lease.direction) {
        (Method::PUT | Method::POST, Direction::Import) => receive(&shared, lease, at, body).await,
        (Method::GET, Direction::Export) => send(&shared, lease, at).await,
        _ => StatusCode::METHOD_NOT_ALLOWED.into_response(),
    };
    if lose_answer {
        peer.hang_up.cancel();
        return std::future::pending().await;
    }
    shared.script.answered(&name);
    response
}

/// Receives a disk, which replaces the existing disk when the upload is complete. A datastore
/// without space ends the lease.
async fn receive(shared: &Arc<Shared>, lease: Arc<Lease>, at: usize, body: Body) -> Response {
    let gate = Arc::clone(&lease.gate).read_owned().await;
    let ended = Arc::clone(&lease);
    // The end of the lease cancels the transfer.
    let stream = body
        .into_data_stream()
        .map_err(io::Error::other)
        .take_until(async move { ended.over.cancelled().await });
    let failed = Arc::clone(&lease);
    let stream = SyncIoBridge::new(tokio_util::io::StreamReader::new(Box::pin(stream)));
    let own = Arc::clone(shared);
    let stored = tokio::task::spawn_blocking(move || {
        let device = lease.devices.get(at);
        let device = device.ok_or_else(|| broken(io::ErrorKind::NotFound))?;
        let _busy = device.busy.blocking_lock();
        let moved = store(&own, device, stream)?;
        if lease.over.is_cancelled() {
            return Err(broken(io::ErrorKind::Interrupted));
        }
        device.set_moved(moved);
        drop(gate);
        Ok(())
    });
    let stored = stored.await.map_err(io::Error::other);
    match stored.map_err(disk_image::Error::Write).flatten() {
        Ok(()) => StatusCode::OK.into_response(),
        Err(error) => {
            if let (Some(full), Some(device)) = (full(&error), failed.devices.get(at)) {
                let fault = fault::file_fault(&device.path.to_string(), full);
                model::lease::fail(shared, Arc::clone(&failed), fault).await;
            }
            refuse(&error)
        }
    }
}

/// Returns the error of a file system without space, if it is the cause of this error.
fn full(error: &disk_image::Error) -> Option<&io::Error> {
    let first: &(dyn std::error::Error + 'static) = error;
    std::iter::successors(Some(first), |error| error.source())
        .filter_map(|error| error.downcast_ref::<io::Error>())
        .find(|error| {
            use io::ErrorKind::{QuotaExceeded, StorageFull};
            matches!(error.kind(), StorageFull | QuotaExceeded)
        })
}

fn broken(kind: io::ErrorKind) -> disk_image::Error {
    disk_image::Error::Write(kind.into())
}

fn refuse(error: &disk_image::Error) -> Response {
    tracing::debug!(
        error = error as &dyn std::error::Error,
        "a disk was refused"
    );
    let words = format!("the disk was refused: {error}");
    (StatusCode::INTERNAL_SERVER_ERROR, words).into_response()
}

fn store(shared: &Shared, device: &Device, stream: impl Read) -> Result<Moved, disk_image::Error> {
    if device.is_child {
        return Err(vmdk::Error::Unsupported("a child disk cannot be uploaded").into());
    }
    let flat = shared.store.written(&disk::extent(&device.path));
    let flat = flat.map_err(disk_image::Error::Write)?;
    let upload = Upload::next_to(&flat);
    let file = std::fs::File::create_new(upload.file()).map_err(disk_image::Error::Write)?;
    file.set_len(device.bytes)
        .map_err(disk_image::Error::Write)?;
    // Markers and grains are read in small parts, and every read of the body is a hand-over
    // between threads.
    let mut stream = BufReader::with_capacity(
        BUFFER,
        Digesting {
            from: stream,
            size: 0,
            sha1: Sha1::new(),
            sha256: Sha256::new(),
        },
    );
    let disk = StreamReader::new(&mut stream)?;
    let deletable = disk
        .descriptor()
        .and_then(|descriptor| descriptor.get(disk::DELETABLE))
        .map(str::to_owned);
    let mut file = FlatFile::new(file, device.bytes, shared.store.allowance(&device.path));
    disk.copy_to(&mut file, &Monitor::new())?;
    // Trailing bytes count towards the digests.
    io::copy(&mut stream, &mut io::sink()).map_err(disk_image::Error::Write)?;
    upload.finish(&flat).map_err(disk_image::Error::Write)?;
    if let Some(deletable) = deletable {
        disk::set_deletable(&shared.store, &device.path, &deletable).map_err(|fault| {
            let kind = match fault.is::<NoDiskSpace>() {
                true => io::ErrorKind::StorageFull,
                false => io::ErrorKind::Other,
            };
            disk_image::Error::Write(io::Error::new(kind, fault.to_string()))
        })?;
    }
    let stream = stream.into_inner();
    Ok(Moved {
        size: stream.size,
        populated: file.populated,
        sha1: hexadecimal(&stream.sha1.finalize()),
        sha256: hexadecimal(&stream.sha256.finalize()),
    })
}

/// A reader that counts and hashes the bytes that are read.
struct Digesting<R> {
    from: R,
    size: u64,
    sha1: Sha1,
    sha256: Sha256,
}

impl<R: Read> Read for Digesting<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.from.read(buffer)?;
        let bytes = buffer.get(..length).unwrap_or_default();
        self.sha1.update(bytes);
        self.sha256.update(bytes);
        self.size += bytes.len() as u64;
        Ok(length)
    }
}
