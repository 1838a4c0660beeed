//! Changing a container.

use vim25::types::VirtualMachineConfigSpec;

use super::{Shared, Snapshot};
use crate::exec::Edit;
use crate::vsphere::machine_spec::{machine_name, options, sized};
use crate::vsphere::record::Record;
use crate::{Capability, ContainerId, Error, Resource, Result, StateKind};

impl Shared {
    /// One guarded change of the machine. When the machine was changed concurrently, the edit is
    /// applied again to what it became: an edit names what it sets and so commutes with changes of
    /// anything else.
    pub(super) async fn update(&self, id: &ContainerId, edit: Edit) -> Result<()> {
        edit.validate(id)?;
        if !edit.endpoints.is_empty() {
            let capability = Capability::LaterConnect;
            return Err(Error::unsupported(Resource::container(id), capability));
        }
        let _id_turn = self.ids.turn(*id).await;
        let _name_turn = match &edit.name {
            Some(name) => Some(self.names.turn(name.clone()).await),
            None => None,
        };
        if let Some(name) = &edit.name {
            self.refuse_taken_name(id, name).await?;
        }
        self.edit(id, edit.allowed(), |sight| self.update_of(id, sight, &edit))
            .await?;
        Ok(())
    }

    fn update_of(
        &self,
        id: &ContainerId,
        sight: &Snapshot,
        edit: &Edit,
    ) -> Result<Option<VirtualMachineConfigSpec>> {
        let resource = Resource::container(id);
        let old = Record::read(&sight.machine.keys).map_err(|broken| {
            Error::invalid_state(resource.clone(), StateKind::Broken, edit.allowed())
                .with_source(broken)
        })?;
        let mut new = old.clone();
        edit.clone().apply(&mut new.spec);
        let dialect = self.dialect(sight);
        let changes = new
            .changes(&old, dialect)
            .map_err(|error| Error::invalid_argument(resource, "edit", error))?;
        let resources = edit.resources.filter(|new| *new != sight.machine.resources);
        if changes.is_empty() && resources.is_none() {
            return Ok(None);
        }
        Ok(Some(VirtualMachineConfigSpec {
            name: edit
                .name
                .as_ref()
                .map(|name| machine_name(name, id, dialect)),
            extra_config: options(changes),
            ..resources.map(sized).unwrap_or_default()
        }))
    }
}
