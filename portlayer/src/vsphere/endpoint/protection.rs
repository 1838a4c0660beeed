//! Protects disks from being deleted together with a machine.
//!
//! A disk whose descriptor contains `ddb.deletable = "false"` survives the destruction of a machine
//! that it, or a child of it, is attached to, and cannot be deleted until the entry is changed. VIC
//! protected its images in this way. The entry is written after the import of a disk, not sent with
//! it, so that an aborted import leaves no disk that the endpoint refuses to delete. Endpoints that
//! do not know the entry ignore it.

use disk_image::vmdk::Descriptor;
use vsphere_client::Datastore;

use super::Endpoint;
use super::files::on;
use crate::vsphere::fault;
use crate::{Resource, Result};

const DELETABLE: &str = "ddb.deletable";

/// Maximum size of a descriptor in bytes; larger files are disks in one file.
const MAX_DESCRIPTOR: u64 = 64 << 10;

fn is_protected(descriptor: &Descriptor) -> bool {
    let value = descriptor.get(DELETABLE);
    value.is_some_and(|value| value.eq_ignore_ascii_case("false") || value == "0")
}

impl Endpoint {
    /// Protects the disk at `[datastore] path` from deletion, or makes it deletable again. Returns
    /// whether the disk is as requested; `false` if the endpoint provides no descriptor.
    ///
    /// # Errors
    /// Those of writing the descriptor, unless the descriptor is intact after the failure.
    pub(in crate::vsphere) async fn set_protected(
        &self,
        datastore: &Datastore,
        path: &str,
        protected: bool,
        resource: &Resource,
    ) -> Result<bool> {
        self.fence.check(resource)?;
        let Some(before) = self.descriptor(datastore, path, resource).await else {
            return Ok(false);
        };
        if is_protected(&before) == protected {
            return Ok(true);
        }
        let mut changed = before.clone();
        changed.set(DELETABLE, if protected { "false" } else { "true" });
        let file = on(datastore, path, resource)?;
        let files = self.client.files(datastore);
        let written = files.upload_bytes(file.path(), changed.to_bytes()).await;
        let Err(error) = written else {
            return Ok(true);
        };
        match self.descriptor(datastore, path, resource).await {
            Some(now) if now == changed => Ok(true),
            Some(now) if now == before => {
                tracing::warn!(%resource, path, %error, "cannot change the protection of a disk");
                Ok(false)
            }
            _ => Err(fault::error(resource, error)),
        }
    }

    /// Returns the disk's descriptor, if the endpoint provides one.
    async fn descriptor(
        &self,
        datastore: &Datastore,
        path: &str,
        resource: &Resource,
    ) -> Option<Descriptor> {
        let part = self.read_part(datastore, path, (0, MAX_DESCRIPTOR), resource);
        match part.await {
            Ok((bytes, total)) if total <= MAX_DESCRIPTOR => Descriptor::parse(&bytes).ok(),
            Ok(_) => None,
            Err(error) => {
                tracing::debug!(%resource, path, %error, "cannot read the descriptor of a disk");
                None
            }
        }
    }
}
