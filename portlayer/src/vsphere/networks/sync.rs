//! Updates the table of addresses from the machines.

use std::collections::HashSet;
use std::sync::Arc;

use jiff::Timestamp;
use tokio::time::Instant;
use vim25::{Ref, mo};

use super::known::Moment;
use super::{HostNetworks, Pending};
use crate::exec::ContainerSpec;
use crate::network::EndpointSpec;
use crate::network::table::Assignment;
use crate::vsphere::index::Seen;
use crate::{ContainerId, Result};

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
    /// changed are processed.
    pub(in crate::vsphere) async fn sync(&self) -> Result<()> {
        self.index.ready().await?;
        let revision = self.index.revision();
        let (moment, resets) = {
            let mut known = self.known();
            if known.is_synced(revision) {
                return Ok(());
            }
            (known.moment(), known.resets())
        };
        let machines = self.index.all().await?;
        self.see(moment, &machines);
        let listed: HashSet<_> = machines.iter().map(|machine| &machine.vm).collect();
        self.drop_missing(moment, |vm| listed.contains(vm));
        self.known().sync(revision, resets);
        Ok(())
    }

    fn see(&self, moment: Moment, machines: &[Arc<Seen>]) {
        let mut table = self.table();
        let mut known = self.known();
        let mut news: Vec<_> = machines
            .iter()
            .filter_map(|machine| {
                let record = machine.record().and_then(Result::ok);
                let id = record.map(|record| record.spec.id);
                known.is_news(machine, id, moment).then_some(record)?
            })
            .collect();
        news.sort_by_key(|record| record.created);
        let now = Instant::now().into_std();
        for record in news {
            // The machine is listed with the assigned addresses, so the operation succeeded.
            let is_done = |assignment: &Assignment, _| {
                assignment.id == record.spec.id && assignment.endpoints == record.endpoints
            };
            for assignment in known.settle(is_done) {
                table.abandon(&assignment);
            }
            let (id, name) = (record.spec.id, &record.spec.name);
            table.adopt(id, name, record.created, record.endpoints.clone(), now);
        }
    }

    fn drop_missing(&self, moment: Moment, is_listed: impl Fn(&Ref<mo::VirtualMachine>) -> bool) {
        let mut table = self.table();
        let mut known = self.known();
        let now = Instant::now();
        for id in known.retain(moment, is_listed) {
            table.release(&id, now.into_std());
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
        match self.try_assign_new(spec, created) {
            // Another program may have created the scope.
            Err(error) if error.is_not_found() => {
                let _turn = self.scopes.lock().await;
                self.read_scopes().await?;
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
