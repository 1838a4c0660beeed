//! NFC leases, and downloads under them.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_core::Stream;
use futures_util::StreamExt;
use reqwest::Method;
use tokio::sync::oneshot;
use vim25::types::HttpNfcLeaseManifestEntry;
use vim25::{Call, Ref, mo};

use super::device::LeaseDevice;
use super::keeper::{self, End, Opened, Tally};
use crate::client::Client;
use crate::datastore::{Download, TransferProgress};
use crate::error::{Error, LoginProblem, Operation, Result};
use crate::exchange::Failure;
use crate::transport::{Body, Request, Response, Transport, TransportError};

impl Client {
    /// Sends a call that starts an NFC lease and waits until the lease is ready.
    ///
    /// Such calls are `import_vapp`, `export_vm`, `export_vapp` and `export_snapshot`. When
    /// the lease of an import is ready, the machine exists, and the contents of its disks can
    /// be sent.
    ///
    /// Cancel safe: when the future is dropped, the lease is aborted in the
    /// background, which removes what an import created. There is no
    /// timeout; wrap it in [`tokio::time::timeout`].
    ///
    /// # Errors
    /// [`Error::Fault`] when the call is refused or the lease ends in its error
    /// state, with the server's reason; [`Error::OutcomeUnknown`] when the
    /// response to the call was lost, so that a lease may exist until it times out
    /// on the server after some minutes; otherwise see [`Error`].
    pub async fn lease(&self, call: impl Into<Call<Ref<mo::HttpNfcLease>>>) -> Result<Lease> {
        let call = call.into();
        let operation = self.operation(call.method(), Some(call.this()));
        let opened = keeper::start(self.clone(), call).await;
        // The sender is dropped without a result only if the runtime is shutting down.
        let opened = opened
            .map_err(|_| self.not_authenticated(&operation, LoginProblem::Closed, None))
            .flatten()?;
        Lease::new(self.clone(), opened)
    }
}

/// A lease that is ready for transfers.
///
/// While it exists, its progress is reported to the server at least every 30 seconds, which
/// keeps the lease alive. A lease ends with [`complete`](Self::complete) or
/// [`abort`](Self::abort); dropping the lease aborts it in the background.
pub struct Lease {
    pub(super) client: Client,
    pub(super) operation: Operation,
    lease: Ref<mo::HttpNfcLease>,
    entity: Ref<mo::ManagedEntity>,
    devices: Vec<LeaseDevice>,
    disk_capacity_kib: u64,
    pub(super) tally: Arc<Tally>,
    end: oneshot::Sender<End>,
}

impl Lease {
    fn new(client: Client, opened: Opened) -> Result<Self> {
        let Opened {
            operation,
            lease,
            info,
            tally,
            end,
        } = opened;
        let server = &client.inner.url;
        let devices = info.device_url.into_iter();
        let devices = devices.map(|device| LeaseDevice::read(device, server));
        let devices = devices
            .collect::<Result<_, String>>()
            .map_err(|reason| Error::Decode {
                operation: operation.clone(),
                source: reason.into(),
            })?;
        let capacity = info.total_disk_capacity_in_kb;
        Ok(Self {
            entity: info.entity,
            disk_capacity_kib: u64::try_from(capacity).unwrap_or(0),
            client,
            operation,
            lease,
            devices,
            tally,
            end,
        })
    }

    /// Returns the machine or vApp that is imported or exported.
    #[must_use]
    pub const fn entity(&self) -> &Ref<mo::ManagedEntity> {
        &self.entity
    }

    /// Returns the devices whose contents are transferred, in the server's order.
    #[must_use]
    pub fn devices(&self) -> &[LeaseDevice] {
        &self.devices
    }

    /// Returns the total capacity of all disks in KiB.
    #[must_use]
    pub const fn disk_capacity_kib(&self) -> u64 {
        self.disk_capacity_kib
    }

    /// Announces the total number of bytes of all transfers, so that the percentage that the
    /// server shows is right from the start. Otherwise, each transfer announces its own length
    /// when it starts.
    pub fn announce(&self, bytes: u64) {
        self.tally.announced.store(bytes, Ordering::Relaxed);
    }

    /// Reads the contents of a device of an export.
    ///
    /// # Errors
    /// [`Error::Fault`] when the server ended the lease; otherwise see [`Error`].
    pub async fn download(&self, device: &LeaseDevice) -> Result<LeaseDownload> {
        let operation = self.operation_on("GET", device);
        let response = self
            .send(&operation, device, Method::GET, Vec::new(), Body::Empty)
            .await?;
        if let Some(length) = response.length {
            self.tally.announced.fetch_add(length, Ordering::Relaxed);
        }
        Ok(LeaseDownload {
            download: Download::new(&self.client, operation, response),
            tally: Arc::clone(&self.tally),
        })
    }

    /// Reads the manifest of the lease: the size and checksum of each device that the server
    /// has received or sent so far.
    ///
    /// # Errors
    /// See [`Error`]. Some servers have manifests of exports only.
    pub async fn manifest(&self) -> Result<Vec<HttpNfcLeaseManifestEntry>> {
        let call = self.lease.http_nfc_lease_get_manifest();
        self.client.call(call).await
    }

    /// Completes the lease after all transfers. The machine of an
    /// import can be used from then on.
    ///
    /// If the future is dropped, the lease is still completed in the background.
    ///
    /// # Errors
    /// See [`Error`]. The lease is then aborted, unless it turns out to have
    /// been completed.
    pub async fn complete(self) -> Result<Ref<mo::ManagedEntity>> {
        let (reply, answer) = oneshot::channel();
        self.finish(End::Complete(reply), answer).await
    }

    /// Aborts the lease and removes what an import created. Dropping the lease
    /// does the same in the background.
    ///
    /// # Errors
    /// See [`Error`]. In that case the lease times out on the server.
    pub async fn abort(self) -> Result<()> {
        let (reply, answer) = oneshot::channel();
        self.finish(End::Abort(reply), answer).await.map(drop)
    }

    async fn finish(
        self,
        end: End,
        answer: oneshot::Receiver<Result<()>>,
    ) -> Result<Ref<mo::ManagedEntity>> {
        let closed = |_| {
            let problem = LoginProblem::Closed;
            self.client
                .not_authenticated(&self.operation, problem, None)
        };
        // If the keeper has ended, receiving its response fails below.
        let _ = self.end.send(end);
        answer.await.map_err(closed).flatten()?;
        Ok(self.entity)
    }

    pub(super) fn operation_on(&self, method: &str, device: &LeaseDevice) -> Operation {
        let operation = format!("{method} {}", device.name());
        self.client
            .operation(&operation, Some(&self.entity.upcast()))
    }

    /// Sends a request to the host of the device and checks the response.
    pub(super) async fn send(
        &self,
        operation: &Operation,
        device: &LeaseDevice,
        method: Method,
        headers: Vec<(&'static str, String)>,
        body: Body,
    ) -> Result<Response> {
        let inner = &self.client.inner;
        let transport: Arc<dyn Transport> = match &device.pin {
            Some(pin) => inner.transport.pinned(pin)?,
            None => Arc::clone(&inner.transport),
        };
        let limit = inner.options.request_timeout;
        let is_download = matches!(body, Body::Empty);
        let request = Request {
            method,
            url: device.url.clone(),
            headers,
            // The URL itself grants access, and the session must not be sent to other hosts.
            cookie: device
                .at_server
                .then(|| inner.session.ticket().cookie)
                .flatten(),
            body,
            limit: is_download.then_some(limit),
        };
        let response = tokio::select! {
            response = transport.send(request) => response,
            () = self.tally.lost() => Err(TransportError {
                kind: crate::transport::FailureKind::Broken,
                source: "the server ended the lease".into(),
            }),
        };
        self.judge(operation, response).await
    }

    /// Returns the response if it is a success, otherwise an error: the one that the lease
    /// reports, if any.
    pub(super) async fn judge(
        &self,
        operation: &Operation,
        response: Result<Response, TransportError>,
    ) -> Result<Response> {
        let inner = &self.client.inner;
        let outcome = match &response {
            Ok(response) => format!("status {}", response.status),
            Err(error) => format!("{:?}", error.kind),
        };
        tracing::debug!(
            server = %inner.server,
            operation = operation.name(),
            lease = %self.lease,
            outcome,
            "transfer"
        );
        let failure = match response {
            Ok(response) if (200..300).contains(&response.status) => return Ok(response),
            Ok(response) => Failure::Status(response.status, response.retry_after),
            Err(error) => Failure::Transport(error),
        };
        if let Some(error) = keeper::failure(&self.client, &self.lease, operation).await {
            return Err(error);
        }
        let limit = inner.options.request_timeout;
        // The outcome is known: when the lease is aborted, nothing of it remains.
        Err(inner.explain(operation.clone(), failure, true, limit))
    }
}

impl fmt::Debug for Lease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lease")
            .field("lease", &self.lease)
            .field("entity", &self.entity)
            .field("devices", &self.devices)
            .finish_non_exhaustive()
    }
}

/// The contents of a device under an export lease, as a stream of pieces.
///
/// The stream fails when the server pauses for longer than the client's idle
/// timeout or ends too early.
#[derive(Debug)]
pub struct LeaseDownload {
    download: Download,
    tally: Arc<Tally>,
}

impl LeaseDownload {
    /// Returns the number of bytes read, and the total if the server reported it. The length
    /// of a disk is not known before its end.
    #[must_use]
    pub const fn progress(&self) -> TransferProgress {
        self.download.progress()
    }
}

impl Stream for LeaseDownload {
    type Item = Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let piece = std::task::ready!(self.download.poll_next_unpin(cx));
        if let Some(Ok(piece)) = &piece {
            let moved = &self.tally.moved;
            moved.fetch_add(piece.len() as u64, Ordering::Relaxed);
        }
        Poll::Ready(piece)
    }
}
