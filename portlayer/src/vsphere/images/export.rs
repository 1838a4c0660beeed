//! Exports an image: downloads its disk to a temporary file, and reads the files from there.

use std::fs::File;
use std::sync::Arc;
use std::time::Duration;

use futures_util::TryFutureExt;
use tokio::sync::watch;
use tracing::Instrument;
use vsphere_client::Error as ClientError;
use vsphere_client::nfc::Lease;

use super::Shared;
use super::import::dropped;
use super::lookup::Found;
use crate::archive::TarStream;
use crate::disk::{files, unusable};
use crate::image::ImageId;
use crate::{Capability, Error, ErrorKind, Resource, Result};

/// Interval at which an export is tried again while another program works on the machine.
const PAUSE: Duration = Duration::from_secs(1);

/// Downloads the disk in a separate task, which ends the lease even if this future is dropped.
pub(super) async fn start(shared: Arc<Shared>, id: &ImageId) -> Result<TarStream> {
    let resource = Resource::image(id);
    // Dropped together with this future, which notifies the task.
    let (_caller, stop) = watch::channel(());
    let id = *id;
    let download = async move { shared.download(&id, stop).await };
    let disk = tokio::spawn(download.in_current_span())
        .unwrap_or_else(|error| Err(Error::internal(resource.clone(), error)))
        .await?;
    files::tar(disk, &resource).await
}

impl Shared {
    /// Downloads the disk of an image, until the caller is dropped.
    async fn download(&self, id: &ImageId, mut stop: watch::Receiver<()>) -> Result<File> {
        let resource = Resource::image(id);
        let prepare = async {
            let chain = self.find(id).await?.record.chain;
            let needed = Capability::DiskContents;
            if !self.capabilities.contains(needed) {
                return Err(Error::unsupported(resource.clone(), needed));
            }
            let turn = self.chains.turn(chain).await;
            // The semaphore is never closed.
            let slot = self.transfers.acquire().await.ok();
            Ok((turn, slot, self.find(id).await?))
        };
        let (_turn, _slot, mut found) = tokio::select! {
            prepared = prepare => prepared?,
            () = dropped(&mut stop) => return Err(was_dropped(&resource)),
        };
        let mut tries = 0;
        loop {
            match self.download_once(&found, &mut stop, &resource).await {
                Err(error) if error.is_conflict() && tries < self.conflict_retries() => tries += 1,
                done => return done,
            }
            tokio::select! {
                () = tokio::time::sleep(PAUSE) => {}
                () = dropped(&mut stop) => return Err(was_dropped(&resource)),
            }
            found = self.find(id).await?;
        }
    }

    /// Downloads the disk. If the endpoint does not export templates, the machine is no template
    /// during the download.
    async fn download_once(
        &self,
        found: &Found,
        stop: &mut watch::Receiver<()>,
        resource: &Resource,
    ) -> Result<File> {
        let vm = &found.machine.vm;
        let refused = match self.endpoint.export(vm, resource).await {
            Ok(lease) => return self.receive(lease, stop, resource).await,
            Err(error) if found.machine.is_template && is_refusal(&error) => error,
            Err(error) => return Err(error),
        };
        tracing::debug!(%resource, error = %refused, "a template was not exported");
        self.changeable(found, resource).await?;
        let file = match self.endpoint.export(vm, resource).await {
            Ok(lease) => self.receive(lease, stop, resource).await,
            Err(error) => Err(error),
        };
        self.make_template(vm, resource).await;
        file
    }

    /// Writes the disk to a temporary file, and ends the lease.
    async fn receive(
        &self,
        lease: Lease,
        stop: &mut watch::Receiver<()>,
        resource: &Resource,
    ) -> Result<File> {
        let receive = async {
            let directory = self.options.temporary_directory.clone();
            let directory = directory.unwrap_or_else(std::env::temp_dir);
            let unusable = |error| unusable(resource, &directory, error);
            let file = tempfile::tempfile_in(&directory).map_err(unusable)?;
            let received = self.endpoint.receive_disk(&lease, file, unusable, resource);
            received.await
        };
        let file = tokio::select! {
            file = receive => file,
            () = dropped(stop) => Err(was_dropped(resource)),
        };
        // Best effort: either the disk was received, or there is an error already.
        let ended = match &file {
            Ok(_) => lease.complete().await.map(drop),
            Err(_) => lease.abort().await,
        };
        if let Err(error) = ended {
            tracing::debug!(%resource, %error, "the lease of an export was not ended");
        }
        file
    }
}

fn was_dropped(resource: &Resource) -> Error {
    Error::internal(resource.clone(), "the export was dropped")
}

/// Returns whether the endpoint refused a call because of the state or the type of the object.
fn is_refusal(error: &Error) -> bool {
    let kind = matches!(
        error.kind,
        ErrorKind::Internal | ErrorKind::InvalidState { .. } | ErrorKind::Conflict { .. }
    );
    let fault = std::error::Error::source(error)
        .and_then(|source| source.downcast_ref::<ClientError>())
        .is_some_and(|error| matches!(error, ClientError::Fault { .. }));
    kind && fault
}
