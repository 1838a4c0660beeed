//! Changes a container's machine, guarded against concurrent changes.

use std::collections::BTreeSet;
use std::sync::Arc;

use vim25::types::VirtualMachineConfigSpec;

use super::{Shared, Snapshot};
use crate::vsphere::derive_state::Power;
use crate::vsphere::endpoint::Written;
use crate::vsphere::index::Seen;
use crate::vsphere::record::Keys;
use crate::{Capability, ContainerId, Error, ErrorKind, Resource, Result, StateKind};

impl Shared {
    /// Changes a container's machine if the container is in one of these states, and returns the
    /// last snapshot.
    ///
    /// The change is computed from a snapshot; `None` means that nothing has to be changed. The
    /// endpoint refuses the change if the machine was changed after the snapshot. It is then
    /// retried with a new snapshot, a bounded number of times.
    ///
    /// The caller holds the container's lock.
    ///
    /// # Errors
    /// [`Conflict`](crate::ErrorKind::Conflict) with the names of the keys that were changed
    /// concurrently.
    pub(super) async fn edit(
        &self,
        id: &ContainerId,
        allowed: &'static [StateKind],
        change: impl Fn(&Snapshot) -> Result<Option<VirtualMachineConfigSpec>>,
    ) -> Result<Snapshot> {
        self.edit_from(None, id, allowed, change).await
    }

    /// Changes a container's machine like [`edit`](Self::edit), but computes the first change from a
    /// snapshot that is already known.
    pub(super) async fn edit_from(
        &self,
        mut known: Option<Snapshot>,
        id: &ContainerId,
        allowed: &'static [StateKind],
        change: impl Fn(&Snapshot) -> Result<Option<VirtualMachineConfigSpec>>,
    ) -> Result<Snapshot> {
        let resource = Resource::container(id);
        let mut first: Option<Arc<Seen>> = None;
        let mut tries = 0;
        loop {
            let snapshot = match known.take() {
                Some(known) => known,
                None => self.look_for_edit(id).await?,
            };
            self.require(id, &snapshot, allowed)?;
            let Some(mut change) = change(&snapshot)? else {
                return Ok(snapshot);
            };
            change.change_version = snapshot.machine.change_version.clone();
            match self
                .endpoint
                .reconfigure(&snapshot.machine.vm, &change, &resource)
                .await
            {
                Ok(()) => {
                    self.edited(&snapshot, &resource).await;
                    return Ok(snapshot);
                }
                Err(error) if !error.is_conflict() => return Err(error),
                Err(error) if tries >= self.options.conflict_retries => {
                    let now = self.machine(id).await?;
                    let first = first.as_ref().unwrap_or(&snapshot.machine);
                    let changed = changed_keys(&first.keys.unpack(), &now.keys.unpack());
                    return Err(
                        Error::new(ErrorKind::Conflict { changed }, resource).with_source(error)
                    );
                }
                Err(_conflict) => {
                    tries += 1;
                    first.get_or_insert(snapshot.machine);
                }
            }
        }
    }

    /// Returns the index's snapshot of a container that ran and is off, if the endpoint refuses a
    /// change that is computed from an outdated snapshot. A new run of such a container is recorded
    /// before its machine is powered on, so the snapshot is outdated then, too.
    pub(super) async fn known_for_edit(&self, id: &ContainerId) -> Result<Option<Snapshot>> {
        let snapshot = self.snapshot_unmarked(id, &self.indexed(id).await?);
        let is_known = snapshot.machine.power == Power::Off
            && !snapshot.machine.last_run(id).started().is_empty()
            && self.has_version(&snapshot.machine);
        Ok(is_known.then_some(snapshot))
    }

    /// Returns whether the machine's version changes with its configuration: the endpoint refuses
    /// changes that are computed from an outdated one.
    pub(super) fn has_version(&self, machine: &Seen) -> bool {
        self.capabilities
            .contains(Capability::StaleChangeVersionRefused)
            && machine.change_version.is_some()
    }

    /// Waits until the index shows the change made since `before`.
    async fn edited(&self, before: &Snapshot, resource: &Resource) {
        let (vm, version) = (&before.machine.vm, &before.machine.change_version);
        if self.has_version(&before.machine) {
            let shows = |machine: &Seen| machine.change_version != *version;
            self.shown(vm, resource, Written::Change, shows).await;
        } else if let Err(error) = self.index.read(vm, resource).await {
            // The endpoint's reports may be incomplete: vcsim's reports lack the hardware.
            tracing::debug!(%resource, %error, "a change may not be visible yet");
        }
    }

    /// Returns a snapshot like [`look`](Self::look), but ignores the mark of the operation that is
    /// about to edit the machine.
    pub(super) async fn look_for_edit(&self, id: &ContainerId) -> Result<Snapshot> {
        let machine = self.machine(id).await?;
        self.snapshot_for_edit(id, &machine).await
    }

    /// Returns the snapshot of a machine that was just read, for an edit.
    pub(super) async fn snapshot_for_edit(
        &self,
        id: &ContainerId,
        machine: &Arc<Seen>,
    ) -> Result<Snapshot> {
        let mut snapshot = self.snapshot_unmarked(id, machine);
        self.see_power_on(id, &mut snapshot).await?;
        Ok(snapshot)
    }
}

/// Returns the names of the keys that differ between `old` and `new`.
fn changed_keys(old: &Keys, new: &Keys) -> Box<[String]> {
    let names: BTreeSet<_> = old.keys().chain(new.keys()).collect();
    names
        .into_iter()
        .filter(|name| old.get(*name) != new.get(*name))
        .cloned()
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_conflict_names_the_keys_that_differ() {
        let keys = |pairs: &[(&str, &str)]| -> Keys {
            let pairs = pairs.iter();
            pairs
                .map(|(key, text)| ((*key).to_owned(), (*text).to_owned()))
                .collect()
        };
        let old = keys(&[("a", "1"), ("b", "2"), ("c", "3")]);
        let new = keys(&[("a", "1"), ("b", "4"), ("d", "5")]);
        assert_eq!(*changed_keys(&old, &new), ["b", "c", "d"]);
    }
}
