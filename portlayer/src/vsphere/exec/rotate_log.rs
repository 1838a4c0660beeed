//! Rotates the log of a container before its next run.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use guest_io::log::{Rename, Rotation, part_name};

use super::Shared;
use crate::vsphere::derive_state::Power;
use crate::vsphere::hardware::log_file;
use crate::vsphere::log_rotation::LogRotation;
use crate::{ContainerId, Resource, Result};

/// Counts the rotations of each container's log by this process, so that a client that has attached
/// before a run knows whether the run has a new log.
#[derive(Debug, Default)]
pub(in crate::vsphere) struct Rotations(Mutex<HashMap<ContainerId, u64>>);

impl Rotations {
    /// Returns the number of rotations so far.
    #[cfg_attr(not(feature = "attach"), expect(dead_code, reason = "nobody attaches"))]
    pub(in crate::vsphere) fn count(&self, id: &ContainerId) -> u64 {
        self.lock().get(id).copied().unwrap_or(0)
    }

    pub(super) fn forget(&self, id: &ContainerId) {
        self.lock().remove(id);
    }

    fn add(&self, id: ContainerId) {
        *self.lock().entry(id).or_default() += 1;
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<ContainerId, u64>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shared {
    /// Rotates the log of a container that has stopped, if the options say so. Best effort: a log
    /// that cannot be rotated grows.
    pub(super) async fn rotate_log(&self, id: &ContainerId) {
        let Some(rotation) = self.options.log_rotation else {
            return;
        };
        if let Err(error) = self.try_rotate_log(id, rotation).await {
            tracing::warn!(container = %id, %error, "the log was not rotated");
        }
    }

    async fn try_rotate_log(&self, id: &ContainerId, rotation: LogRotation) -> Result<()> {
        let resource = Resource::container(id);
        let machine = self.indexed(id).await?;
        let state = self.snapshot_unmarked(id, &machine).state;
        if machine.power != Power::Off || state.exit().is_none() {
            return Ok(());
        }
        let devices = self.endpoint.devices(&machine.vm, &resource).await?;
        let Some(log) = log_file(&devices) else {
            return Ok(());
        };
        let datastore = self
            .endpoint
            .datastore_of(&self.objects, &log, &resource)
            .await?;
        let length = |name: String| {
            let (endpoint, datastore, resource) = (&self.endpoint, &datastore, &resource);
            async move { endpoint.length(datastore, &name, resource).await }
        };
        let Some(size) = length(log.clone()).await? else {
            return Ok(());
        };
        if size < rotation.max_size.max(1) {
            return Ok(());
        }
        let keep = rotation.keep.min(LogRotation::MAX_KEEP);
        let mut parts = 0;
        while parts < keep && length(part_name(&log, parts + 1)).await?.is_some() {
            parts += 1;
        }
        let exists = |name: &str| (1..=parts).any(|part| part_name(&log, part) == name);
        for step in Rotation::new(rotation.max_size, keep).plan(&log, size, exists) {
            match step {
                Rename::Delete(name) => {
                    self.endpoint
                        .delete_file(&datastore, &name, &resource)
                        .await?;
                }
                Rename::Move { from, to } => {
                    self.endpoint
                        .rename_file(&datastore, &from, &to, &resource)
                        .await?;
                }
            }
        }
        self.rotations.add(*id);
        tracing::debug!(container = %id, size, "the log was rotated");
        Ok(())
    }
}
