//! Updates a container.

use std::collections::BTreeMap;

use guestinfo::Dialect;
use guestinfo::vic::NetworkEndpoint;
use vim25::Poly;
use vim25::types::{VirtualDeviceConfigSpec, VirtualMachineConfigSpec};

use super::{Shared, Snapshot};
use crate::exec::Edit;
use crate::vsphere::machine_spec::{machine_name, options, sized};
use crate::vsphere::networks::{Pending, card_changes, guest_networks};
use crate::vsphere::record::Record;
use crate::{Capability, ContainerId, Error, Resource, Result, StateKind};

/// The new connections of a container.
struct Connections<'a> {
    pending: Pending<'a>,
    /// The version of the machine from which the cards were read.
    version: Option<String>,
    changes: Vec<Poly<VirtualDeviceConfigSpec>>,
    networks: BTreeMap<String, NetworkEndpoint>,
}

impl Shared {
    /// Updates a container with one guarded change of its machine. If the machine was changed
    /// concurrently, the edit is applied again to the new state. That is safe because an edit sets
    /// specific values, so it commutes with the changes of others.
    pub(super) async fn update(&self, id: &ContainerId, edit: Edit) -> Result<()> {
        edit.validate(id)?;
        let _id_turn = self.ids.turn(*id).await;
        let _name_turn = match &edit.name {
            Some(name) => Some(self.names.turn(name.clone()).await),
            None => None,
        };
        if let Some(name) = &edit.name {
            self.refuse_taken_name(id, name).await?;
        }
        let mut connections = match edit.endpoints.is_empty() {
            true => None,
            false => {
                let connections = self.connections_after(id, &edit).await;
                Some(connections.map_err(|error| edit.explain(self.capabilities, error))?)
            }
        };
        if let Some(connections) = &mut connections {
            connections.pending.sent();
        }
        let edited = self
            .edit(id, edit.allowed(self.capabilities), |snapshot| {
                self.update_of(id, snapshot, &edit, connections.as_ref())
            })
            .await;
        match (edited, connections) {
            (Ok(_), Some(connections)) => connections.pending.commit(None),
            (Ok(_), None) => {}
            (Err(error), connections) => {
                if let Some(connections) = connections {
                    connections.pending.failed(&error);
                }
                return Err(edit.explain(self.capabilities, error));
            }
        }
        if let Some(name) = &edit.name {
            self.networks.table().rename(id, name);
        }
        Ok(())
    }

    /// Returns the container's connections after the edit, with the assigned addresses.
    async fn connections_after(&self, id: &ContainerId, edit: &Edit) -> Result<Connections<'_>> {
        let resource = Resource::container(id);
        // Check the container's state before the scopes, so that an error about the state comes
        // first.
        let snapshot = self.look(id).await?;
        self.require(id, &snapshot, edit.allowed(self.capabilities))?;
        let before = Record::read(&snapshot.machine.keys.unpack())
            .map(|record| record.endpoints)
            .unwrap_or_default();
        let specs: Vec<_> = before.iter().map(|e| e.spec.clone()).collect();
        let after = edit.endpoints_after(id, &specs)?.unwrap_or(specs);
        let pending = self.networks.assign_edit(*id, &after).await?;
        let devices = self
            .endpoint
            .devices(&snapshot.machine.vm, &resource)
            .await?;
        let backings = self.networks.backings(pending.endpoints()).await?;
        let segments = self.networks.table().segments(pending.endpoints());
        let dialect = self.dialect(&snapshot);
        let (changes, slots) = card_changes(&devices, &before, &segments, &backings, dialect);
        let name = edit.name.as_deref();
        let name = name.unwrap_or(snapshot.machine.name()).to_owned();
        let networks = {
            let scopes = self.networks.table().scopes_of(pending.endpoints());
            guest_networks(&name, pending.endpoints(), &scopes, &slots)
        };
        Ok(Connections {
            pending,
            version: snapshot.machine.change_version.clone(),
            changes,
            networks,
        })
    }

    fn update_of(
        &self,
        id: &ContainerId,
        snapshot: &Snapshot,
        edit: &Edit,
        connections: Option<&Connections<'_>>,
    ) -> Result<Option<VirtualMachineConfigSpec>> {
        self.refuse_forgotten_name(id, snapshot, edit)?;
        let resource = Resource::container(id);
        let old = Record::read(&snapshot.machine.keys.unpack()).map_err(|broken| {
            Error::invalid_state(
                resource.clone(),
                StateKind::Broken,
                edit.allowed(self.capabilities),
            )
            .with_source(broken)
        })?;
        let mut new = old.clone();
        snapshot.machine.name().clone_into(&mut new.spec.name);
        edit.clone().apply(&mut new.spec);
        if let Some(connections) = connections {
            if connections.version != snapshot.machine.change_version {
                // The cards may have changed since they were read.
                return Err(Error::conflict(resource, ["endpoints".to_owned()]));
            }
            let endpoints = connections.pending.endpoints();
            new = new.connected(endpoints, connections.networks.clone());
        }
        let dialect = self.dialect(snapshot);
        let changes = new
            .changes(&old, dialect)
            .map_err(|error| Error::invalid_argument(resource, "edit", error))?;
        let resources = edit
            .resources
            .filter(|new| *new != snapshot.machine.resources);
        let cards = connections.map(|c| c.changes.clone()).unwrap_or_default();
        let name = edit.name.as_ref();
        let name = name.map(|name| machine_name(name, id, dialect));
        let name = name.filter(|name| *name != snapshot.machine.machine.name);
        if changes.is_empty() && resources.is_none() && cards.is_empty() && name.is_none() {
            return Ok(None);
        }
        Ok(Some(VirtualMachineConfigSpec {
            name,
            extra_config: options(changes),
            device_change: cards,
            ..resources.map(sized).unwrap_or_default()
        }))
    }

    /// Fails if the endpoint would forget the new name when the container is stopped. In the dialect
    /// of VIC 0.4, only the keys of the machine contain the name.
    fn refuse_forgotten_name(
        &self,
        id: &ContainerId,
        snapshot: &Snapshot,
        edit: &Edit,
    ) -> Result<()> {
        let state = snapshot.state.kind();
        if edit.name.is_none()
            || edit.may_be_forgotten
            || self.capabilities.contains(Capability::LiveEdits)
            || StateKind::STARTABLE.contains(&state)
            || self.dialect(snapshot) != Dialect::Vic04
        {
            return Ok(());
        }
        let resource = Resource::container(id);
        Err(
            Error::invalid_state(resource, state, StateKind::STARTABLE).with_source(
                "its name can be changed only while it is off, because the endpoint forgets changes \
                 made while it is on: stop it first",
            ),
        )
    }
}
