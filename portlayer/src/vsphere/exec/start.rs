//! Starting a container.

use std::ops::ControlFlow;

use guestinfo::Dialect;
use vim25::types::VirtualMachineConfigSpec;

use super::{Shared, Snapshot};
use crate::exec::StartOptions;
use crate::vsphere::machine_spec::options as key_changes;
use crate::vsphere::record::RunState;
use crate::{Capability, ContainerId, Error, Resource, Result, State, StateKind};

impl Shared {
    pub(super) async fn start(&self, id: &ContainerId, options: StartOptions) -> Result<State> {
        let resource = Resource::container(id);
        let sight = {
            let _turn = self.ids.turn(*id).await;
            let sight = self.look(id).await?;
            self.require(id, &sight, options.allowed())?;
            let _starting = self.in_progress.mark(*id, StateKind::Starting);
            self.begin_run(id, &sight).await?;
            self.endpoint.power_on(&sight.machine.vm, &resource).await?;
            sight
        };
        if !self.capabilities.contains(Capability::GuestKeys) {
            return Ok(State::Starting);
        }
        // Others may stop it meanwhile: the turn is over.
        let report = self
            .endpoint
            .watch(&sight.machine.vm, &resource, |machine| {
                let sight = self.sight(id, machine);
                match (sight.failure, sight.state) {
                    (Some(reason), _) => {
                        ControlFlow::Break(Err(Error::guest_failed(resource.clone(), reason)))
                    }
                    (None, state @ (State::Running | State::Stopped { .. })) => {
                        ControlFlow::Break(Ok(state))
                    }
                    (None, State::Broken { reason }) => {
                        ControlFlow::Break(Err(Error::invalid_state(
                            resource.clone(),
                            StateKind::Broken,
                            StateKind::STARTABLE,
                        )
                        .with_source(reason)))
                    }
                    (None, _) => ControlFlow::Continue(()),
                }
            });
        match tokio::time::timeout(self.options.start_timeout, report).await {
            Ok(report) => {
                let state = report??;
                if let State::Stopped { .. } = state {
                    self.write_down(id).await;
                }
                Ok(state)
            }
            Err(_elapsed) => Err(Error::timeout(
                resource,
                "the guest's report that the process started",
            )),
        }
    }

    /// Writes down that a run begins and clears what the guest said about the last one, while the
    /// machine is off: such keys written to a machine that is on do not last.
    async fn begin_run(&self, id: &ContainerId, sight: &Snapshot) -> Result<()> {
        let run = sight.run.restarted(self.dialect(sight));
        let run = run.blocked(self.blocking.begin(id));
        self.write_run(id, sight, &run).await
    }

    /// Changes the keys of a machine that is off from those of `sight` to `run`, unless somebody
    /// else changed the machine meanwhile.
    pub(super) async fn write_run(
        &self,
        id: &ContainerId,
        sight: &Snapshot,
        run: &RunState,
    ) -> Result<()> {
        let resource = Resource::container(id);
        let changes = run
            .changes(&sight.run, self.dialect(sight))
            .map_err(|error| Error::internal(resource.clone(), error))?;
        if changes.is_empty() {
            return Ok(());
        }
        let change = VirtualMachineConfigSpec {
            change_version: sight.machine.change_version.clone(),
            extra_config: key_changes(changes),
            ..VirtualMachineConfigSpec::default()
        };
        self.endpoint
            .reconfigure(&sight.machine.vm, &change, &resource)
            .await
    }

    /// The dialect that the machine was made with.
    pub(super) fn dialect(&self, sight: &Snapshot) -> Dialect {
        Dialect::detect(sight.machine.keys.keys()).unwrap_or(self.options.dialect)
    }
}
