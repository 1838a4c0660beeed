//! Pausing a container: its machine is suspended.

use super::Shared;
use crate::{Capability, ContainerId, Error, Resource, Result, State, StateKind};

impl Shared {
    pub(super) async fn pause(&self, id: &ContainerId) -> Result<()> {
        let resource = self.can_suspend(id)?;
        let _turn = self.ids.turn(*id).await;
        let sight = self.look(id).await?;
        self.require(id, &sight, StateKind::PAUSABLE)?;
        if sight.state == State::Suspended {
            return Ok(());
        }
        self.endpoint.suspend(&sight.machine.vm, &resource).await
    }

    pub(super) async fn resume(&self, id: &ContainerId) -> Result<()> {
        let resource = self.can_suspend(id)?;
        let _turn = self.ids.turn(*id).await;
        let sight = self.look(id).await?;
        self.require(id, &sight, StateKind::RESUMABLE)?;
        self.endpoint.power_on(&sight.machine.vm, &resource).await
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
