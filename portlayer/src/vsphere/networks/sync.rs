//! Updating the table of addresses from the machines.

use std::collections::HashSet;
use std::sync::Arc;

use jiff::Timestamp;
use tokio::time::Instant;
use vim25::{Ref, mo};

use super::known::Moment;
use super::{HostNetworks, Pending};
use crate::exec::ContainerSpec;
use crate::network::EndpointSpec;
use crate::vsphere::index::Seen;
use crate::{ContainerId, Result};

impl HostNetworks {
    /// Reads scopes and containers once.
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

    /// Takes the host's machines into account. Only those that were not seen before are looked at.
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
        let mut found: Vec<_> = {
            let known = self.known();
            let new = machines
                .iter()
                .filter(|machine| known.is_new(&machine.vm, moment));
            new.map(|machine| (&machine.vm, machine.record().and_then(Result::ok)))
                .collect()
        };
        found.sort_by_key(|(_, record)| record.and_then(|record| record.created));
        for (vm, record) in found {
            let mut table = self.table();
            let mut known = self.known();
            let id = record.map(|record| record.spec.id);
            known.insert(vm.clone(), id);
            let Some(record) = record else { continue };
            if let Some((assignment, _)) = known.unsettled.remove(&record.spec.id) {
                table.abandon(&assignment);
            }
            let (id, name) = (record.spec.id, &record.spec.name);
            table.adopt(id, name, record.created, record.endpoints.clone());
        }
    }

    fn drop_missing(&self, moment: Moment, is_listed: impl Fn(&Ref<mo::VirtualMachine>) -> bool) {
        let mut table = self.table();
        let mut known = self.known();
        let now = Instant::now();
        for id in known.retain(moment, is_listed) {
            table.release(&id, now.into_std());
        }
        // After the timeout of a task, a missing machine will not appear any more.
        let patience = self.task_timeout;
        let given_up = |(_, since): &(_, Instant)| now.duration_since(*since) > patience;
        let lost: Vec<_> = known
            .unsettled
            .extract_if(|_, operation| given_up(operation))
            .collect();
        for (id, (assignment, _)) in lost {
            table.abandon(&assignment);
            table.release(&id, now.into_std());
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
        // The caller holds the container's lock and has seen that there is no machine, so an
        // earlier
        // attempt did not create one.
        if let Some((assignment, _)) = self.known().unsettled.remove(&spec.id) {
            table.abandon(&assignment);
        }
        let (id, now) = (spec.id, Instant::now().into_std());
        let assigned = table.assign_new(id, &spec.name, created, &spec.endpoints, now)?;
        Ok(Pending::new(self, assigned))
    }

    /// Assigns addresses to a container that gets these connections.
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
        if let Some((assignment, _)) = known.unsettled.remove(id) {
            table.abandon(&assignment);
        }
        table.release(id, Instant::now().into_std());
    }
}
