//! Updates the table of addresses from the machines.

use std::collections::HashSet;
use std::sync::Arc;

use jiff::Timestamp;
use tokio::time::Instant;
use vim25::{Ref, mo};

use super::known::Known;
use super::{HostNetworks, Pending};
use crate::exec::ContainerSpec;
use crate::network::EndpointSpec;
use crate::network::table::{Assignment, Table};
use crate::vsphere::index::{Changed, Seen};
use crate::{ContainerId, Error, Result};

impl HostNetworks {
    /// Reads scopes and containers, if they have not been read yet.
    pub(in crate::vsphere) async fn load(&self) -> Result<()> {
        let load = self.loaded.get_or_try_init(|| self.refresh());
        load.await.copied()
    }

    /// Updates scopes and containers.
    pub(super) async fn refresh(&self) -> Result<()> {
        {
            let _turn = self.scopes.lock().await;
            self.read_scopes().await?;
        }
        self.sync().await
    }

    /// Updates the table from the host's machines. Only machines that are new or whose keys have
    /// changed are processed, and after the first time only they are looked at.
    pub(in crate::vsphere) async fn sync(&self) -> Result<()> {
        // The index may be cleared between its being ready and the look at it.
        const ATTEMPTS: usize = 3;
        for _ in 0..ATTEMPTS {
            self.index.ready().await?;
            if self.try_sync() {
                return Ok(());
            }
        }
        Err(Error::unavailable(self.objects.host(), None))
    }

    /// Updates the table unless the index is being filled; returns whether it is up to date.
    fn try_sync(&self) -> bool {
        let mut table = self.table();
        let mut known = self.known();
        if known.is_synced(self.index.revision()) {
            return true;
        }
        let Some((revision, changed)) = self.index.changed_since(known.synced()) else {
            return false;
        };
        let gone = match changed {
            Changed::Some(changes) => {
                let again = known.again().into_iter();
                let again = again.map(|vm| (vm.clone(), self.index.get(&vm)));
                let (mut there, mut missing) = (Vec::new(), Vec::new());
                for (vm, seen) in changes.into_iter().chain(again) {
                    match seen {
                        Some(seen) => there.push(seen),
                        None => missing.push(vm),
                    }
                }
                see(&mut table, &mut known, &there);
                missing.iter().filter_map(|vm| known.left(vm)).collect()
            }
            Changed::Any(machines) => {
                see(&mut table, &mut known, &machines);
                let listed: HashSet<_> = machines.iter().map(|machine| &machine.vm).collect();
                known.again();
                known.retain(|vm| listed.contains(vm))
            }
        };
        self.release(&mut table, &mut known, gone);
        known.sync(revision);
        true
    }

    /// Releases the addresses of containers that are gone, and of operations that are given up.
    fn release(&self, table: &mut Table, known: &mut Known, gone: Vec<ContainerId>) {
        let now = Instant::now();
        if !gone.is_empty() {
            // A copy of a machine, or the same machine registered again, has the same id.
            let alive = known.ids();
            for id in gone.iter().filter(|id| !alive.contains(id)) {
                table.release(id, now.into_std());
            }
        }
        // After the timeout of a task, the endpoint no longer carries out an earlier request.
        let patience = self.task_timeout;
        let given_up = |_: &Assignment, since: Instant| now.duration_since(since) > patience;
        for assignment in known.settle(given_up) {
            table.abandon(&assignment);
            if !known.has(&assignment.id) {
                table.release(&assignment.id, now.into_std());
            }
        }
    }

    /// Assigns addresses to a new container, which has no machine yet.
    pub(in crate::vsphere) async fn assign_new(
        &self,
        spec: &ContainerSpec,
        created: Timestamp,
    ) -> Result<Pending<'_>> {
        self.load().await?;
        // A container must not depend on a scope that the endpoint may forget.
        self.settle_scopes().await;
        match self.try_assign_new(spec, created) {
            // Another program may have created the scope.
            Err(error) if error.is_not_found() => {
                {
                    let _turn = self.scopes.lock().await;
                    self.read_scopes().await?;
                }
                self.settle_scopes().await;
            }
            assigned => return assigned,
        }
        self.try_assign_new(spec, created)
    }

    fn try_assign_new(&self, spec: &ContainerSpec, created: Timestamp) -> Result<Pending<'_>> {
        let mut table = self.table();
        // The caller holds the container's lock and has checked that there is no machine, so an
        // earlier attempt did not create one.
        for assignment in self.known().settle(|earlier, _| earlier.id == spec.id) {
            table.abandon(&assignment);
        }
        let (id, now) = (spec.id, Instant::now().into_std());
        let assigned = table.assign_new(id, &spec.name, created, &spec.endpoints, now)?;
        Ok(Pending::new(self, assigned))
    }

    /// Assigns addresses to an existing container whose connections will change to these.
    pub(in crate::vsphere) async fn assign_edit(
        &self,
        id: ContainerId,
        endpoints: &[EndpointSpec],
    ) -> Result<Pending<'_>> {
        self.refresh().await?;
        self.settle_scopes().await;
        let now = Instant::now().into_std();
        let assigned = self.table().assign_edit(id, endpoints, now)?;
        Ok(Pending::new(self, assigned))
    }

    /// Releases the addresses of a removed container.
    pub(in crate::vsphere) fn removed(&self, id: &ContainerId, vm: &Ref<mo::VirtualMachine>) {
        let mut table = self.table();
        let mut known = self.known();
        known.destroyed(vm.clone());
        for assignment in known.settle(|earlier, _| earlier.id == *id) {
            table.abandon(&assignment);
        }
        table.release(id, Instant::now().into_std());
    }
}

/// Adds the machines that are new, or whose keys have changed, to the table.
fn see(table: &mut Table, known: &mut Known, machines: &[Arc<Seen>]) {
    let mut news: Vec<_> = machines
        .iter()
        .filter_map(|machine| {
            let id = machine.container().and_then(Result::ok);
            let is_news = known.is_news(machine, id);
            let info = machine.described().filter(|_| is_news)?;
            Some((info, machine.endpoints()))
        })
        .collect();
    news.sort_by_key(|(info, _)| info.created);
    let now = Instant::now().into_std();
    for (info, endpoints) in news {
        // The machine is listed with the assigned addresses, so the operation succeeded.
        let is_done = |assignment: &Assignment, _| {
            assignment.id == info.id && assignment.endpoints == endpoints
        };
        for assignment in known.settle(is_done) {
            table.abandon(&assignment);
        }
        table.adopt(info.id, &info.name, info.created, endpoints, now);
    }
}
