//! Uploads the contents of one device.

use std::fmt;
use std::future::{Future, IntoFuture};
use std::pin::{Pin, pin};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use futures_core::Stream;
use futures_core::stream::BoxStream;
use futures_util::StreamExt;
use reqwest::Method;
use sha1::{Digest, Sha1};
use tokio::io::AsyncRead;
use tokio_util::io::ReaderStream;

use super::device::LeaseDevice;
use super::lease::Lease;
use super::manifest::{Transferred, hexadecimal};
use crate::datastore::{Counted, OnProgress, TransferProgress, stalled};
use crate::error::{RequestPhase, Result};
use crate::transport::{Body, FailureKind, TransportError};

/// The size of the pieces that are read from a reader, in bytes.
const PIECE: usize = 64 << 10;

impl Lease {
    /// Sends the contents of a device of an import from a reader, which must return exactly
    /// `length` bytes. For a disk, this is a streamOptimized VMDK. Await the returned value.
    pub fn upload(
        &self,
        device: &LeaseDevice,
        content: impl AsyncRead + Send + 'static,
        length: u64,
    ) -> LeaseUpload<'_> {
        let content = ReaderStream::with_capacity(content, PIECE);
        self.upload_stream(device, content, Some(length))
    }

    /// Sends the contents of a device from a stream. Without a `length`, they are sent in
    /// chunks, which not every host accepts; pass the length if it is known.
    pub fn upload_stream(
        &self,
        device: &LeaseDevice,
        content: impl Stream<Item = std::io::Result<Bytes>> + Send + 'static,
        length: Option<u64>,
    ) -> LeaseUpload<'_> {
        LeaseUpload {
            lease: self,
            device: device.clone(),
            content: content.boxed(),
            length,
            progress: None,
            checksum: false,
        }
    }
}

/// An upload of a device's contents, which starts when it is awaited. Dropping it ends the
/// transfer but not the lease, which should then be aborted.
#[must_use = "nothing is sent before this is awaited"]
pub struct LeaseUpload<'a> {
    lease: &'a Lease,
    device: LeaseDevice,
    content: BoxStream<'static, std::io::Result<Bytes>>,
    length: Option<u64>,
    progress: Option<OnProgress>,
    checksum: bool,
}

impl LeaseUpload<'_> {
    /// Sets a callback for progress, called after every piece. It should return quickly.
    pub fn on_progress(mut self, listener: impl FnMut(TransferProgress) + Send + 'static) -> Self {
        self.progress = Some(Box::new(listener));
        self
    }

    /// Computes the SHA-1 of the sent bytes, for
    /// [`check_manifest`](Lease::check_manifest).
    pub fn with_checksum(mut self) -> Self {
        self.checksum = true;
        self
    }

    async fn send(self) -> Result<Transferred> {
        let Self {
            lease,
            device,
            mut content,
            length,
            mut progress,
            checksum,
        } = self;
        let (method, headers) = if device.is_disk() {
            let kind = "application/x-vnd.vmware-streamVmdk".to_owned();
            (Method::POST, vec![("content-type", kind)])
        } else {
            let kind = "application/octet-stream".to_owned();
            let headers = vec![("content-type", kind), ("overwrite", "t".to_owned())];
            (Method::PUT, headers)
        };
        let operation = lease.operation_on(method.as_str(), &device);
        let tally = Arc::clone(&lease.tally);
        if let Some(length) = length
            && tally.announced.load(Ordering::Relaxed)
                < tally.moved.load(Ordering::Relaxed) + length
        {
            tally.announced.fetch_add(length, Ordering::Relaxed);
        }
        let digest = checksum.then(|| Arc::new(Mutex::new(Sha1::new())));
        if let Some(digest) = digest.clone() {
            content = content
                .inspect(move |piece| {
                    if let Ok(piece) = piece {
                        let mut digest = digest.lock().unwrap_or_else(PoisonError::into_inner);
                        digest.update(piece);
                    }
                })
                .boxed();
        }
        let sent = Arc::new(std::sync::atomic::AtomicU64::new(0));
        let counter = Arc::clone(&sent);
        let listener: OnProgress = Box::new(move |so_far: TransferProgress| {
            let before = counter.swap(so_far.bytes, Ordering::Relaxed);
            tally
                .moved
                .fetch_add(so_far.bytes.saturating_sub(before), Ordering::Relaxed);
            if let Some(listener) = &mut progress {
                listener(so_far);
            }
        });
        let (content, moved) = Counted::new(content, length, Some(listener));
        let body = Body::Stream {
            length,
            content: content.boxed(),
        };
        let idle = lease.client.inner.options.idle_timeout;
        let sending = lease.send(&operation, &device, method, headers, body);
        let mut sending = pin!(sending);
        tokio::select! {
            response = &mut sending => response?,
            () = stalled(&moved, idle) => {
                let stalled = TransportError {
                    kind: FailureKind::Timeout(RequestPhase::Idle),
                    source: "the transfer stalled".into(),
                };
                lease.judge(&operation, Err(stalled)).await?
            }
        };
        Ok(Transferred {
            key: device.key().to_owned(),
            bytes: sent.load(Ordering::Relaxed),
            sha1: digest.map(|digest| {
                let digest = digest.lock().unwrap_or_else(PoisonError::into_inner);
                hexadecimal(&digest.clone().finalize())
            }),
            sha256: None,
        })
    }
}

impl<'a> IntoFuture for LeaseUpload<'a> {
    type Output = Result<Transferred>;
    type IntoFuture = Pin<Box<dyn Future<Output = Result<Transferred>> + Send + 'a>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.send())
    }
}

impl fmt::Debug for LeaseUpload<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LeaseUpload")
            .field("device", &self.device)
            .field("length", &self.length)
            .finish_non_exhaustive()
    }
}
