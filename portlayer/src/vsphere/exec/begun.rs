//! Waiting for the begin of a container's next run.

use std::ops::ControlFlow;

use super::Shared;
use super::wait::Outage;
use crate::vsphere::derive_state::Power;
use crate::vsphere::run_state::RunState;
use crate::{ContainerId, Resource, Result};

impl Shared {
    /// Waits until a run begins after the one that `before` shows, no matter who starts it. A run
    /// that has ended already counts.
    ///
    /// An endpoint that does not answer is waited for. Cancel safe.
    ///
    /// # Errors
    /// [`NotFound`](crate::ErrorKind::NotFound) once the container is removed.
    pub(super) async fn begun(&self, id: &ContainerId, before: &RunState) -> Result<()> {
        // A short run whose guest says nothing may not be seen at its machine.
        let here = self.blocking.begun(id);
        let seen = async {
            let mut outage = Outage::default();
            loop {
                match self.begun_at_machine(id, before).await {
                    Ok(()) => return Ok(()),
                    Err(error) => outage.wait_out(id, error).await?,
                }
            }
        };
        tokio::select! {
            () = here => Ok(()),
            seen = seen => seen,
        }
    }

    async fn begun_at_machine(&self, id: &ContainerId, before: &RunState) -> Result<()> {
        let vm = self.indexed(id).await?.vm.clone();
        let resource = Resource::container(id);
        self.index
            .watch(&vm, &resource, |machine| {
                if machine.power == Power::Off && machine.run() == before {
                    ControlFlow::Continue(())
                } else {
                    ControlFlow::Break(())
                }
            })
            .await
    }
}
