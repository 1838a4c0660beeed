//! Waits for the start of a container's next run.

use std::ops::ControlFlow;

use super::Shared;
use super::wait::Outage;
use crate::vsphere::derive_state::Power;
use crate::vsphere::run_state::RunState;
use crate::{ContainerId, Resource, Result};

impl Shared {
    /// Waits for the start of a run after the one that `before` describes, no matter who starts it.
    /// A run that has already ended counts, too.
    ///
    /// Waits through outages of the endpoint. Cancel-safe.
    ///
    /// # Errors
    /// [`NotFound`](crate::ErrorKind::NotFound) once the container is removed.
    pub(super) async fn begun(&self, id: &ContainerId, before: &RunState) -> Result<()> {
        // If a run is short and its guest reports nothing, the machine may not show it.
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
                if machine.power == Power::Off && machine.run() == *before {
                    ControlFlow::Continue(())
                } else {
                    ControlFlow::Break(())
                }
            })
            .await
    }
}
