//! Changing a container.

use vim25::types::VirtualMachineConfigSpec;

use super::Shared;
use crate::exec::Edit;
use crate::vsphere::machine_spec::{container_name_in, machine_name, options, sized};
use crate::vsphere::record::Record;
use crate::{ContainerId, Error, Resource, Result, StateKind};

impl Shared {
    /// One guarded change of the machine. When the machine was changed concurrently, the edit is
    /// applied again to what it became: an edit names what it sets and so commutes with changes of
    /// anything else.
    pub(super) async fn update(&self, id: &ContainerId, edit: Edit) -> Result<()> {
        edit.validate(id)?;
        let _id_turn = self.ids.turn(*id).await;
        let _name_turn = match &edit.name {
            Some(name) => Some(self.names.turn(name.clone()).await),
            None => None,
        };
        if let Some(name) = &edit.name {
            self.refuse_taken(id, name).await?;
        }
        let mut tries = 0;
        loop {
            match self.try_update(id, &edit).await {
                Err(error) if error.is_conflict() && tries < self.options.conflict_retries => {
                    tries += 1;
                }
                done => return done,
            }
        }
    }

    async fn try_update(&self, id: &ContainerId, edit: &Edit) -> Result<()> {
        let resource = Resource::container(id);
        let sight = self.look(id).await?;
        self.require(id, &sight, edit.allowed())?;
        let old = Record::read(&sight.machine.keys).map_err(|broken| {
            Error::invalid_state(resource.clone(), StateKind::Broken, edit.allowed())
                .with_source(broken)
        })?;
        let mut new = old.clone();
        edit.clone().apply(&mut new.spec);
        let changes = new
            .changes(&old, self.dialect(&sight))
            .map_err(|error| Error::invalid_argument(resource.clone(), "edit", error))?;
        let resources = edit.resources.filter(|new| *new != sight.machine.resources);
        if changes.is_empty() && resources.is_none() {
            return Ok(());
        }
        let change = VirtualMachineConfigSpec {
            change_version: sight.machine.change_version.clone(),
            name: edit.name.as_ref().map(|name| machine_name(name, id)),
            extra_config: options(changes),
            ..resources.map(sized).unwrap_or_default()
        };
        self.endpoint
            .reconfigure(&sight.machine.vm, &change, &resource)
            .await
    }

    async fn refuse_taken(&self, id: &ContainerId, name: &str) -> Result<()> {
        let own = self.place.defaults.uuid(id);
        for member in self.roster().await? {
            if member.uuid != Some(own) && container_name_in(&member.name) == Some(name) {
                return Err(Error::already_exists(Resource::container(name)));
            }
        }
        Ok(())
    }
}
