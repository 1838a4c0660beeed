//! Pauses and resumes a container by suspending its machine.

use super::Shared;
use crate::vsphere::derive_state::Power;
use crate::vsphere::endpoint::Written;
use crate::vsphere::index::Seen;
use crate::{Capability, ContainerId, Error, Resource, Result, State, StateKind};

impl Shared {
    pub(super) async fn pause(&self, id: &ContainerId) -> Result<()> {
        let resource = self.can_suspend(id)?;
        let _turn = self.ids.turn(*id).await;
        let snapshot = self.look(id).await?;
        self.require(id, &snapshot, StateKind::PAUSABLE)?;
        if snapshot.state == State::Suspended {
            return Ok(());
        }
        let vm = &snapshot.machine.vm;
        self.endpoint.suspend(vm, &resource).await?;
        let is_suspended = |machine: &Seen| machine.power == Power::Suspended;
        self.shown(vm, &resource, Written::Power, is_suspended)
            .await;
        Ok(())
    }

    pub(super) async fn resume(&self, id: &ContainerId) -> Result<()> {
        let resource = self.can_suspend(id)?;
        let _turn = self.ids.turn(*id).await;
        let snapshot = self.look(id).await?;
        self.require(id, &snapshot, StateKind::RESUMABLE)?;
        let vm = &snapshot.machine.vm;
        self.endpoint.power_on(vm, &resource).await?;
        let is_resumed = |machine: &Seen| machine.power != Power::Suspended;
        self.shown(vm, &resource, Written::Power, is_resumed).await;
        Ok(())
    }

    fn can_suspend(&self, id: &ContainerId) -> Result<Resource> {
        let resource = Resource::container(id);
        if self.capabilities.contains(Capability::Suspend) {
            Ok(resource)
        } else {
            Err(Error::unsupported(resource, Capability::Suspend))
        }
    }
}
